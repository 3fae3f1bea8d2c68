"""Subscriptions whose events are shared: rendered once, and told each client with its own cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from graphql import GraphQLError
from strawberry.types import ExecutionResult

from graph.execution import Asked
from graph.fanout import Feed, Rendering, Subscriber, Telling, Told
from graph.http.response import encode, payload
from graph.observing import Subscribed
from graph.running import running

# What an answer says of its cost; `Metering` says the same of answers that are not shared.
COST: Final = b'{"data":%b,"extensions":{"cost":{"requested":%d,"actual":%d,"remaining":%d,"resetAt":"%b"}}}'
FREE: Final = b'{"data":%b}'

Write = Callable[[Sequence[bytes]], None]
Remark = Callable[[], Mapping[str, Any]]


class Event(ExecutionResult):
    """The result of one event that was executed by its plan: its data is a struct."""

    def __init__(self, data: Any, errors: list[GraphQLError] | None, *, spent: int) -> None:
        super().__init__(data, errors)
        # In hundredths of a point.
        self.spent = spent


class Line(Protocol):
    """The way to one client, for the answers of one operation, each of which is a JSON object."""

    def ready(self) -> "Write | None":
        """What sends answers without waiting; none if that cannot be at present."""

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
        # The operation, by whose schema errors are coded and masked before they leave.
        self.asked: Asked | None = None

    async def deliver(self, line: Line) -> None:
        """Deliver events until something ends the subscription, which is raised."""
        with self._feed.subscription() as subscribed:
            await Subscriber(self._feed, self._rendering, Outlet(self, line, subscribed, self._feed)).follow()


class Outlet:
    """Where the events of one subscription go: charged, encoded around what is shared, and counted."""

    __slots__ = ("_feed", "_line", "_live", "_running", "_subscribed")

    def __init__(self, live: Live, line: Line, subscribed: Subscribed, feed: Feed) -> None:
        self._live = live
        self._line = line
        self._subscribed = subscribed
        self._feed = feed
        self._running = running()

    def put(self, telling: Telling) -> bool:
        """Take all of it without waiting; false, and nothing is taken, where that cannot be."""
        write = self._line.ready()
        if write is None or self._live.remarks or not telling.flawless:
            return False
        toll = self._live.toll
        if toll is None:
            write([FREE % event.answer.data for event in telling.events])
        elif (receipt := toll.at_once(telling.cost)) is not None:
            write(_receipted(telling, toll.requested, receipt))
        else:
            return False
        if (made := self._running) is not None:
            made.results += len(telling.events)
            made.cost = telling.events[-1].answer.cost if toll else None
        return True

    def delivered(self, telling: Telling, subscribers: int) -> None:
        """Count what so many sinks of one group have taken."""
        if not telling.events:
            return
        lag = self._feed.now - telling.events[-1].occurred_at
        for _ in range(subscribers):
            self._subscribed.delivers(lag)
        self._subscribed.delivered(subscribers * len(telling.events))

    async def send(self, event: Told, *, live: bool) -> None:
        """Take one, however long it takes; `live` unless it is caught up with. Raises what ends the subscription."""
        shared, extensions = event.answer, {}
        if self._live.toll is not None:
            extensions["cost"] = await self._live.toll.charge(shared.cost)
        for remark in self._live.remarks:
            extensions |= remark()
        errors = self._coded(shared.errors) if shared.errors else None
        self._subscribed.delivers(self._feed.now - event.occurred_at if live else None)
        data: Any = msgspec.Raw(shared.data)
        result = ExecutionResult(data, errors, extensions or None)
        await self._line.send(encode(payload(result)))
        self._subscribed.delivered(1)

    def _coded(self, errors: Sequence[GraphQLError]) -> list[GraphQLError]:
        """The errors as this client may see them."""
        asked, coded = self._live.asked, list(errors)
        if asked is None:
            raise RuntimeError("only what an operation has asked for is delivered")
        asked.schema.process_errors(coded, asked)
        return coded


def _receipted(telling: Telling, requested: int, receipt: Receipt) -> list[bytes]:
    """The answers, each with what was left after it."""
    left, answers = receipt.remaining + telling.cost, []
    for event in telling.events:
        shared = event.answer
        left -= shared.cost
        answers.append(COST % (shared.data, requested, shared.cost, left, receipt.resets_at))
    return answers
