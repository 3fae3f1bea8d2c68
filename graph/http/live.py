"""Subscriptions whose events are shared: rendered once, and told each client with its own cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from graphql import GraphQLError
from strawberry.types import ExecutionResult

from graph.fanout import Feed, Rendering, Subscriber, Told
from graph.http.response import encode, payload
from graph.observing import Subscribed
from graph.running import running

# What an answer says of its cost; `Metering` says the same of answers that are not shared.
COST: Final = b'{"data":%b,"extensions":{"cost":{"requested":%d,"actual":%d,"remaining":%d,"resetAt":"%b"}}}'
FREE: Final = b'{"data":%b}'

Remark = Callable[[], Mapping[str, Any]]


class Event(ExecutionResult):
    """The result of one event that was executed by its plan: its data is a struct."""

    def __init__(self, data: Any, errors: list[GraphQLError] | None, *, spent: int) -> None:
        super().__init__(data, errors)
        # In hundredths of a point.
        self.spent = spent


class Line(Protocol):
    """The way to one client, for the answers of one operation, each of which is a JSON object."""

    @property
    def ready(self) -> bool:
        """Whether it can be written to without waiting."""

    def write(self, answers: Sequence[bytes]) -> None:
        """Send all without waiting, if it is ready."""

    async def send(self, answer: bytes) -> None:
        """Send one, however long that takes. Raises if the client is gone."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a caller has left of its budget after it was charged, and when that is whole again, in RFC 3339."""

    remaining: int
    resets_at: bytes


class Toll(Protocol):
    """Charges the events of one subscription."""

    requested: int

    def at_once(self, points: int) -> Receipt | None:
        """Charge without waiting; None, and nothing is charged, if that cannot be, or too little is left."""

    async def charge(self, points: int) -> Mapping[str, Any]:
        """Charge, and give what the answer says of it. Raises RateLimited."""


class Live(ExecutionResult):
    """In the place of results: a subscription of which the transport has to deliver the events itself."""

    def __init__(self, feed: Feed, rendering: Rendering) -> None:
        super().__init__(None, None)
        self._feed = feed
        self._rendering = rendering
        self.toll: Toll | None = None
        # What else the answers say.
        self.remarks: list[Remark] = []
        self.coded: Callable[[list[GraphQLError]], None] = lambda _: None

    async def deliver(self, line: Line) -> None:
        """Deliver events until something ends the subscription, which is raised."""
        with self._feed.subscription() as subscribed:
            await Subscriber(self._feed, self._rendering, Outlet(self, line, subscribed, self._feed)).follow()


class Outlet:
    """Where the events of one subscription go: charged, encoded around what is shared, and counted."""

    def __init__(self, live: Live, line: Line, subscribed: Subscribed, feed: Feed) -> None:
        self._live = live
        self._line = line
        self._subscribed = subscribed
        self._feed = feed
        self._running = running()

    def put(self, events: Sequence[Told]) -> bool:
        """Take all of them without waiting; false, and nothing is taken, where that cannot be."""
        if not self._line.ready or self._live.remarks or any(event.answer.errors for event in events):
            return False
        toll, costs = self._live.toll, [event.answer.cost for event in events]
        if toll is None:
            self._line.write([FREE % event.answer.data for event in events])
        elif (receipt := toll.at_once(sum(costs))) is not None:
            self._line.write(_receipted(events, costs, toll.requested, receipt))
        else:
            return False
        self._delivered(events, costs[-1])
        return True

    def _delivered(self, events: Sequence[Told], cost: int) -> None:
        self._subscribed.delivers(self._feed.now - events[-1].occurred_at)
        self._subscribed.delivered(len(events))
        if self._running is not None:
            self._running.results += len(events)
            self._running.cost = cost if self._live.toll else None

    async def send(self, event: Told, *, live: bool) -> None:
        """Take one, however long it takes; `live` unless it is caught up with. Raises what ends the subscription."""
        shared, extensions = event.answer, {}
        if self._live.toll is not None:
            extensions["cost"] = await self._live.toll.charge(shared.cost)
        for remark in self._live.remarks:
            extensions |= remark()
        errors = list(shared.errors) if shared.errors else None
        if errors:
            self._live.coded(errors)
        self._subscribed.delivers(self._feed.now - event.occurred_at if live else None)
        data: Any = msgspec.Raw(shared.data)
        result = ExecutionResult(data, errors, extensions or None)
        await self._line.send(encode(payload(result)))
        self._subscribed.delivered(1)


def _receipted(events: Sequence[Told], costs: Sequence[int], requested: int, receipt: Receipt) -> list[bytes]:
    """The answers, each with what was left after it."""
    left, answers = receipt.remaining + sum(costs), []
    for event, cost in zip(events, costs, strict=True):
        left -= cost
        answers.append(COST % (event.answer.data, requested, cost, left, receipt.resets_at))
    return answers
