"""A small schema, and sessions that a test can end, to drive the endpoint with."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NewType, Self

import strawberry
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info
from strawberry.types.scalar import ScalarDefinition

from domain.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from domain.origin import Origin
from graph.disclosure import DISCREET, Disclosure
from graph.http.schema import Schema
from graph.limits import Limits

SECRET = "the driver said: password=hunter2"
ONE_FAILURE = RuntimeError(SECRET)


@dataclass
class Seen:
    """What happened inside the server, for a test to look at."""

    ran: list[str] = field(default_factory=list)
    open_streams: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """The life of a subscription's source."""
        self.open_streams += 1
        self.opened.set()
        try:
            yield
        finally:
            self.open_streams -= 1
            self.closed.set()


@dataclass
class Session:
    token: str
    reason: str = "EXPIRED"
    over: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    def fail(self, failure: Exception) -> None:
        """Have nobody know whether it stands."""
        self.failure = failure
        self.over.set()

    def end(self, reason: str) -> None:
        self.reason = reason
        self.over.set()


@dataclass
class TestContext:
    request_id: str
    seen: Seen
    session: Session | None
    # A stand-in for loaders: remembered for as long as the context lives.
    memory: dict[str, int] = field(default_factory=dict)

    @property
    def signed_in(self) -> bool:
        return self.session is not None

    @property
    def holder(self) -> str:
        return self.session.token if self.session else "nobody"

    @property
    def meter(self) -> None:
        """Nobody counts."""

    def fresh(self) -> Self:
        return replace(self, memory={})

    async def used(self) -> None:
        pass

    @property
    def settled(self) -> bool:
        return False

    async def stands(self) -> bool:
        return True

    def done(self) -> None:
        pass

    async def ended(self) -> Unauthenticated:
        if self.session is None:
            return await asyncio.Future()
        await self.session.over.wait()
        if self.session.failure:
            raise self.session.failure
        return Unauthenticated("The session has ended.", reason=self.session.reason)


class Sessions:
    """Knows a few tokens; `down` is a database that is gone."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.session = Session("good")
        self.down = False
        self.broken = False

    def assumed(self, found: object, origin: Origin) -> TestContext | None:
        """None: nothing is kept."""

    async def of_request(
        self,
        token: str | None,
        origin: Origin,
        *,
        assuming: bool = False,  # noqa: ARG002 - as above
    ) -> TestContext:
        if self.down:
            raise Unavailable(retry_after=7)
        if self.broken:
            raise RuntimeError(SECRET)
        if token is None:
            return TestContext(origin.request_id, self.seen, None)
        if token != self.session.token:
            raise Unauthenticated("The token is no good.", reason=token.upper())
        return TestContext(origin.request_id, self.seen, self.session)


def read_even(value: object) -> str:
    """What a scalar's parser may do: refuse, or have a bug."""
    if value == "bug":
        raise KeyError(SECRET)
    if value == "odd":
        raise Invalid("It must be even.")
    return str(value)


Even = NewType("Even", str)
SCALARS: dict[object, ScalarDefinition] = {Even: strawberry.scalar(name="Even", serialize=str, parse_value=read_even)}

Asked = Info[TestContext, None]


@strawberry.input
class DayInput:
    day: date
    tags: list[str] | None = None


@strawberry.type
class Thing:
    name: str

    @strawberry.field
    def thing(self) -> "Thing":
        return Thing(name=self.name)

    @strawberry.field
    def visits(self, info: Asked) -> int:
        """How often this context was asked: 1 in a fresh one."""
        count = info.context.memory.get("visits", 0) + 1
        info.context.memory["visits"] = count
        return count


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello, {name}."

    @strawberry.field
    def count(self, number: int = 3) -> int:
        return number

    @strawberry.field
    def picky(self, even: Even) -> str:
        return even

    @strawberry.field
    def wide(self) -> JSON:
        return JSON({"wide": 2**70, "text": "é"})

    @strawberry.field
    def ratio(self, number: float) -> float:
        return number

    @strawberry.field
    def day(self, input: DayInput) -> str:
        return input.day.isoformat()

    @strawberry.field
    def thing(self, name: str = "a") -> Thing:
        return Thing(name=name)

    @strawberry.field
    def missing(self) -> str | None:
        raise NotFound

    @strawberry.field
    def forbidden(self) -> str | None:
        raise Forbidden

    @strawberry.field
    def malformed(self) -> str | None:
        raise Invalid.of("id", "It is no id of a client.")

    @strawberry.field
    def away(self) -> str | None:
        raise Unavailable(retry_after=3)

    @strawberry.field
    def boom(self) -> str | None:
        raise RuntimeError(SECRET)

    @strawberry.field
    def boom_required(self) -> str:
        raise RuntimeError(SECRET)

    @strawberry.field
    def same_boom(self) -> str | None:
        """Fails with one exception for all, as a batch does."""
        raise ONE_FAILURE

    @strawberry.field
    def unwritable(self) -> int | None:
        return "not a number"  # type: ignore[return-value]  # the bug to be masked

    @strawberry.field
    def who(self, info: Asked) -> str:
        return info.context.session.token if info.context.session else "nobody"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def change(self, info: Asked, name: str = "x") -> str | None:
        info.context.seen.ran.append(name)
        return name


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, info: Asked, most: int = 1_000_000, pause: float = 0.005) -> AsyncGenerator[int, None]:
        with info.context.seen.stream():
            for number in range(most):
                yield number
                await asyncio.sleep(pause)

    @strawberry.subscription
    async def things(self, most: int = 3) -> AsyncGenerator[Thing, None]:
        for number in range(most):
            yield Thing(name=str(number))

    @strawberry.subscription
    async def quiet(self, info: Asked) -> AsyncGenerator[int, None]:
        """Never yields."""
        with info.context.seen.stream():
            await asyncio.Event().wait()
            yield 0

    @strawberry.subscription
    async def floods(self, info: Asked) -> AsyncGenerator[str, None]:
        """As much as the reader takes."""
        seen = info.context.seen
        with seen.stream():
            while True:
                seen.ran.append("flood")
                yield "x" * 100_000
                await asyncio.sleep(0)

    @strawberry.subscription
    async def unseen(self, after: int = 0) -> AsyncGenerator[int, None]:
        for number in range(after):
            yield number
        raise NotFound

    @strawberry.subscription
    async def breaks(self, after: int = 1) -> AsyncGenerator[int, None]:
        for number in range(after):
            yield number
        raise RuntimeError(SECRET)

    @strawberry.subscription
    async def broken_events(self) -> AsyncGenerator[Thing, None]:
        yield Thing(name=object())  # type: ignore[arg-type]  # what a serializer cannot write


def make_schema(limits: Limits | None = None, disclosure: Disclosure = DISCREET) -> Schema:
    config = StrawberryConfig(scalar_map=SCALARS)
    return Schema(Query, Mutation, Subscription, config=config, limits=limits, disclosure=disclosure)
