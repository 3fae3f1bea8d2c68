"""A broker that does what a test says, around the real paper broker, and the queue worked off without waiting."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from asyncpg import Connection, Record

from domain.orders.broker import Broker, BrokerUnavailable, Instruction, Report
from graph.context import Services
from persistence.paper_broker import PaperBroker, PaperRules
from tests.support.worker import QUICK, drained

Ask: TypeAlias = Callable[[], Awaitable[Report | None]]
Trouble: TypeAlias = Callable[[Ask], Awaitable[Report | None]]


class Scripted:
    """A broker whose next calls go as the troubles say, one each; without one they go as the real broker's do.

    `calls` are what it was asked, `reports` what the real broker has answered.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.troubles: deque[Trouble] = deque()
        self.always: Trouble | None = None
        self.calls: list[str] = []
        self.reports: list[Report] = []

    async def submit(self, instruction: Instruction) -> Report:
        """Accept an order."""
        return await self._certainly("submit", lambda: self.broker.submit(instruction))

    async def report(self, order_id: UUID) -> Report | None:
        """Say what has become of an order."""
        return await self._called("report", lambda: self.broker.report(order_id))

    async def cancel(self, order_id: UUID) -> Report:
        """End an order."""
        return await self._certainly("cancel", lambda: self.broker.cancel(order_id))

    def then(self, *troubles: Trouble) -> None:
        """Have the next calls go so."""
        self.troubles.extend(troubles)

    async def _certainly(self, name: str, ask: Ask) -> Report:
        report = await self._called(name, ask)
        if report is None:
            raise BrokerUnavailable
        return report

    async def _called(self, name: str, ask: Ask) -> Report | None:
        self.calls.append(name)

        async def noted() -> Report | None:
            report = await ask()
            if report is not None:
                self.reports.append(report)
            return report

        trouble = self.troubles.popleft() if self.troubles else self.always
        return await (trouble(noted) if trouble else noted())


async def well(ask: Ask) -> Report | None:
    """As the broker does."""
    return await ask()


async def down(_: Ask) -> Report | None:
    """The broker is not there, and does nothing."""
    raise BrokerUnavailable


async def lost(ask: Ask) -> Report | None:
    """The broker acts, and its answer is lost."""
    await ask()
    raise BrokerUnavailable


async def silent(_: Ask) -> Report | None:
    """The broker never answers."""
    await asyncio.Event().wait()
    return None


async def silent_after(ask: Ask) -> Report | None:
    """The broker acts, and never answers."""
    await ask()
    await asyncio.Event().wait()
    return None


async def forgets(_: Ask) -> Report | None:
    """The broker has never heard of the order."""
    return None


async def twice(ask: Ask) -> Report | None:
    """The broker is asked twice over."""
    await ask()
    return await ask()


def says(report: Report) -> Trouble:
    """The broker acts, and answers with this, whatever is true."""

    async def answer(ask: Ask) -> Report | None:
        await ask()
        return report

    return answer


def twists(change: Callable[[Report], Report]) -> Trouble:
    """The broker acts, and its answer is changed on its way."""

    async def answer(ask: Ask) -> Report | None:
        report = await ask()
        assert report is not None
        return change(report)

    return answer


def slow(begun: asyncio.Event, go_on: asyncio.Event) -> Trouble:
    """The broker acts, and its answer takes until `go_on`."""

    async def answer(ask: Ask) -> Report | None:
        report = await ask()
        begun.set()
        await go_on.wait()
        return report

    return answer


def scripted(services: Services, **rules: Any) -> tuple[Services, Scripted]:
    """The services with a scripted broker, which trades by these rules and goes by the services' own clock."""

    def clock() -> datetime:
        return services.doors.clock()

    broker = Scripted(PaperBroker(services.doors.database, clock, PaperRules(**rules)))
    gateways = msgspec.structs.replace(services.gateways, broker=broker)
    return msgspec.structs.replace(services, gateways=gateways), broker


def in_parts(services: Services, units: int | str) -> tuple[Services, Scripted]:
    """The same with a broker that fills so many units each time that it is asked."""
    return scripted(services, largest_fill=Decimal(units))


async def hurried(services: Services, owner: "Connection[Record]", rounds: int = 100) -> int:
    """Run all jobs, those too that wait for a later moment, so many times over; gives how many were run."""
    count = 0
    for _ in range(rounds):
        await owner.execute("update queue.pgqueuer set execute_after = now() where status = 'queued'")
        if not (run := await drained(services, pace=QUICK)):
            break
        count += run
    return count
