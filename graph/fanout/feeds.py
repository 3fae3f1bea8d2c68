"""What is followed: streams as subscribers have asked for them, and their events as they are read and rendered."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self
from uuid import UUID

import msgspec
from graphql import GraphQLError

from domain.access import NOBODY, Viewer
from graph.observing import Subscribed

if TYPE_CHECKING:
    from graph.fanout.groups import Fanout


class Happening(msgspec.Struct, frozen=True):
    """An event of a stream: its place there, and what a subscription's field gives of it.

    `mark` is what the memory of whoever is told it takes in.
    """

    place: int
    occurred_at: datetime
    source: Any
    mark: Any = None


class Batch(msgspec.Struct, frozen=True):
    """Events that were read at once, the place that the stream has come to with them, and the fault that ends it.

    `more` says that there may be others behind them; without it, the stream's bell rings for whatever comes. `sight` is
    what they were read with, of which each memory judges whether it stands.
    """

    events: Sequence[Happening]
    place: int
    fault: Exception | None = None
    more: bool = False
    sight: Any = None


class Over(Exception):  # noqa: N818 - it is no error
    """The fault of a batch behind which nothing more is ever told: whoever was told it has all that it asked for."""


class Answer(msgspec.Struct, frozen=True):
    """An event as it is answered to all who asked alike: its data in JSON, what went wrong, and its cost in points."""

    data: bytes
    errors: Sequence[GraphQLError] | None
    cost: int


class Rendering(Protocol):
    """How the events of a subscription are executed.

    Renderings of an equal `key` give the same to the same viewer; and to all with the same rights, unless they are
    `personal`.
    """

    personal: bool

    @property
    def key(self) -> Hashable:
        """What it depends on."""

    async def all(self, sources: Sequence[Any], context: Any) -> Sequence[Answer]:
        """The answers to events that came together."""


class Told(msgspec.Struct, frozen=True):
    """An event as all of a group are told it."""

    place: int
    occurred_at: datetime
    answer: Answer
    mark: Any = None


class Memory(Protocol):
    """What a subscriber was told that decides what it may be told next: of its own, whoever reads for it."""

    def after(self, mark: Any) -> Self:
        """What it is once an event with this mark is told."""

    def stands(self, sight: Any) -> bool:
        """Whether what was read with this sight is what it would have read itself."""


class Telling(msgspec.Struct, frozen=True):
    """Events that a group is told at once, and the place that it has come to with them."""

    events: Sequence[Told]
    place: int
    # What is the same for all who are told it: the points and bytes of all events, and whether anything went wrong.
    cost: int
    size: int
    flawless: bool

    @classmethod
    def of(cls, events: Sequence[Told], place: int) -> Self:
        """Sum them up."""
        answers = [event.answer for event in events]
        return cls(
            events,
            place,
            sum(each.cost for each in answers),
            sum(len(each.data) for each in answers),
            not any(each.errors for each in answers),
        )

    def after(self, place: int) -> "Telling":
        """What of it comes after a place."""
        if not self.events or self.events[0].place > place:
            return self
        return Telling.of([event for event in self.events if event.place > place], self.place)


class Begun(msgspec.Struct, frozen=True):
    """The place after which a subscriber begins, and whoever it is, with the rights of that moment."""

    place: int
    viewer: Viewer


class Look(msgspec.Struct, frozen=True):
    """What one subscriber sees of its stream at a moment: what follows a place; none if there is nothing yet.

    The viewer has the rights of that moment, and the context is what resolvers find in `info.context`.
    """

    viewer: Viewer
    context: Any
    batch: Batch | None


class Feed(ABC):
    """A stream as one subscriber has asked for it."""

    # Whether it begins at a cursor, which may lie far back.
    resumed: bool
    # Both are known when it has begun. Feeds of an equal key give the same to whoever has the same rights.
    key: Hashable
    session: UUID
    # Of all events that were told; none where they decide nothing.
    seen: Memory | None = None

    def remember(self, mark: Any) -> None:
        """Take in the mark of an event that is told."""
        if self.seen is not None:
            self.seen = self.seen.after(mark)

    @property
    @abstractmethod
    def fanout(self) -> "Fanout":
        """The groups that it may be followed in."""

    @abstractmethod
    async def begin(self) -> Begun:
        """The place to begin after. Raises what says that there is none."""

    @abstractmethod
    async def look(self, place: int) -> Look:
        """What the subscriber sees at this moment after a place. Raises Unauthenticated."""

    @abstractmethod
    async def standing(self, sessions: Collection[UUID]) -> Mapping[UUID, Viewer]:
        """The viewers of those of these sessions that stand at this moment."""

    @property
    @abstractmethod
    def now(self) -> datetime:
        """The present moment."""

    @abstractmethod
    def subscription(self) -> AbstractContextManager[Subscribed]:
        """What counts the subscription and its events, while it is open."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[object]:
        """Around what a group reads and renders, which is no subscriber's own."""

    @abstractmethod
    def listening(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever the stream may have grown."""

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        """What the field gives of each event, for the subscriber alone."""
        place, live = (await self.begin()).place, False
        # The listener stands before the first look, so that nothing falls between the two.
        async with self.listening() as rung:
            with self.subscription() as subscribed:
                while True:
                    rung.clear()
                    more = True
                    while more and (batch := await self._alone(place)):
                        for event in batch.events:
                            subscribed.delivers(self.now - event.occurred_at if live else None)
                            self.remember(event.mark)
                            yield event.source
                            subscribed.delivered(1)
                        if isinstance(batch.fault, Over):
                            return
                        if batch.fault:
                            raise batch.fault
                        place, more = batch.place, batch.more
                    live = True
                    await rung.wait()

    async def _alone(self, place: int) -> Batch | None:
        look = await self.look(place)
        # Each event is executed with a context of its own.
        look.context.done()
        return look.batch


def alike(viewer: Viewer, *, personal: bool) -> Viewer:
    """What viewers who are told the same have in common.

    That is role, place, locale, time zone, and all that they see; and where it is `personal`, user and session too.
    """
    common = (
        viewer
        if personal
        else msgspec.structs.replace(viewer, user_id=NOBODY, session_id=NOBODY, authenticated_at=None)
    )
    return msgspec.structs.replace(
        common,
        last_used_at=None,
        book_ids=tuple(sorted(viewer.book_ids)),
        client_ids=tuple(sorted(viewer.client_ids)),
        glass_ids=tuple(sorted(viewer.glass_ids)),
    )


async def rendered(rendering: Rendering, batch: Batch, context: Any) -> list[Told]:
    """The events of a batch, as whoever's context it is may see them."""
    if not batch.events:
        return []
    answers = await rendering.all([event.source for event in batch.events], context)
    told = zip(batch.events, answers, strict=True)
    return [Told(event.place, event.occurred_at, answer, event.mark) for event, answer in told]
