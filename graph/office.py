"""What a job works with: transactions as the firm itself, and the gateways to the outside."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

import msgspec

from domain.access import SYSTEM, Viewer
from domain.conversations.runs import Assistant
from domain.identity.links import Links
from domain.mail import Mail
from domain.markets.data import MarketData, SimulatedMarket
from domain.orders.broker import Broker
from domain.work import Work
from persistence.doors import Doors

P = ParamSpec("P")
T = TypeVar("T")


class Gateways(msgspec.Struct, frozen=True):
    """The outside, as jobs may call it, and what the firm has set for them; each is an attribute of the office too."""

    broker: Broker
    mail: Mail
    links: Links
    assistant: Assistant
    market_data: MarketData = msgspec.field(default_factory=SimulatedMarket)
    kyc_notice: timedelta = timedelta(days=30)


class Office:
    """What `domain.jobs.Office` states, for one job; its transactions carry the job's number as their request id."""

    def __init__(self, doors: Doors, gateways: Gateways, turns: asyncio.Semaphore, job_id: int) -> None:
        self._doors = doors
        self._gateways = gateways
        self._turns = turns
        self._request_id = f"job {job_id}"

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._doors.clock()

    @property
    def broker(self) -> Broker:
        """Where orders are executed."""
        return self._gateways.broker

    @property
    def market_data(self) -> MarketData:
        """The vendor of closing prices and FX rates."""
        return self._gateways.market_data

    @property
    def mail(self) -> Mail:
        """How letters leave the firm."""
        return self._gateways.mail

    @property
    def links(self) -> Links:
        """What makes mailed links work."""
        return self._gateways.links

    @property
    def kyc_notice(self) -> timedelta:
        """How long before the end of a client's KYC people are told of it."""
        return self._gateways.kyc_notice

    @property
    def assistant(self) -> Assistant:
        """Whoever answers in conversations."""
        return self._gateways.assistant

    def listening(self, topic: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever the topic is rung, in whatever process."""
        return self._doors.bell.listening(topic)

    async def write_as(
        self,
        session_id: UUID,
        verb: Callable[Concatenate[Work, Viewer, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a verb as whoever a session belongs to, with the rights of this moment, in a transaction of its own."""
        async with self._turns:
            viewer = await self._doors.viewer(session_id, self.now)
            return await self._doors.write(viewer, self._request_id, verb, viewer, *args, **kwargs)

    async def write(
        self, verb: Callable[Concatenate[Work, Viewer, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a verb as the firm itself, in a transaction of its own."""
        # Many jobs at once must not keep the pool's connections from requests.
        async with self._turns:
            return await self._doors.write(SYSTEM, self._request_id, verb, SYSTEM, *args, **kwargs)
