"""Following a stream of the event log: everything since a cursor, in order, then what comes live."""

import asyncio
from abc import abstractmethod
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.errors import CursorExpired, Invalid, Unavailable
from graph.context import Context
from graph.fanout import Batch, Begun, Fanout, Feed, Look
from graph.observing import Subscribed
from persistence.events import MOST_READ, Event, Events

T = TypeVar("T")

# What a subscription's field gives of events, as the context's viewer sees it. Raises nothing of its own: a batch ends
# with the fault that an event is, for what came before it is told all the same.
Show = Callable[[Context, Sequence[Event]], Awaitable[Batch]]

_PACKED = msgspec.msgpack.Encoder(uuid_format="bytes")


class StreamCursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a stream."""

    stream: str
    seq: int

    def encode(self) -> str:
        """Opaque text for clients."""
        return urlsafe_b64encode(_PACKED.encode(self)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, stream: str) -> Self:
        """Read the argument `after`; raises Invalid for anything but a cursor of this very stream."""
        try:
            cursor = msgspec.msgpack.decode(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)), type=cls)
        except (ValueError, msgspec.DecodeError) as error:
            raise Invalid.of("after", "is not a cursor of this stream") from error
        if cursor.stream != stream or cursor.encode() != text:
            raise Invalid.of("after", "is not a cursor of this stream")
        return cursor


class Stream(Feed):
    """A stream's events since the cursor, for ever; raises CursorExpired.

    `opened` gives the stream, or raises why it may not be followed.

    Nothing is held between two batches: each reading lends a connection, which checks the session again. A database
    that is gone for a while only delays what follows.
    """

    def __init__(self, context: Context, opened: Callable[[], Awaitable[str]], after: str | None) -> None:
        self.resumed = after is not None
        self._context = context
        self._opened = opened
        self._after = after
        self._stream = ""

    @property
    def fanout(self) -> Fanout:
        """The groups of the process."""
        return self._context.services.fanout

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._context.now

    def subscription(self) -> AbstractContextManager[Subscribed]:
        """What counts the subscription and its events."""
        return self._context.services.observer.subscription()

    def reading(self) -> AbstractContextManager[object]:
        """A span of its own."""
        return self._context.services.observer.traces.span("events")

    def listening(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """The bell of the stream."""
        return self._context.services.doors.bell.listening(self._stream)

    async def begin(self) -> Begun:
        """The number of the last event that was seen, or that there is.

        Raises Invalid, CursorExpired, and why the stream may not be followed.
        """
        try:
            return await self._begun()
        finally:
            # One that is declined wants its connection no more than one that stays.
            self._context.done()

    async def _begun(self) -> Begun:
        self._stream = await self._opened()
        viewer = await self._context.viewer()
        self.session, self.user_id = viewer.session_id, viewer.user_id
        self.key = self.kind, self._stream
        last, first_kept = await self._context.read(Events.bounds, self._stream)
        place = await (self.newest(last) if self._after is None else self._resumed(self._after, last, first_kept))
        # Whoever reads from now on waits for its turn.
        self._context.patient = True
        return Begun(place, viewer)

    async def newest(self, last: int) -> int:
        """Where to begin without a cursor; `last` is the number of the last event that there is."""
        return last

    async def _resumed(self, after: str, last: int, first_kept: int) -> int:
        seq = await self.place_of(after)
        if seq > last:
            raise Invalid.of("after", "is not a cursor of this stream")
        if seq + 1 < first_kept:
            raise CursorExpired
        return seq

    async def place_of(self, after: str) -> int:
        """The place of a cursor; raises Invalid."""
        return StreamCursor.decode(after, self._stream).seq

    @property
    @abstractmethod
    def kind(self) -> Hashable:
        """What tells apart what is shown of a stream."""

    @abstractmethod
    async def read(self, context: Context, place: int) -> Batch | None:
        """What follows a place, as the context's viewer sees it; None if there is nothing yet."""

    async def look(self, place: int) -> Look:
        """What follows a place, with rights asked again on the same connection; raises Unauthenticated."""
        return await _patiently(lambda: self._look(place))

    async def _look(self, place: int) -> Look:
        context = self._context.fresh()

        async def look() -> Look:
            return Look(await context.viewer(), context, await self.read(context, place))

        try:
            return await context.in_turn(look)
        except BaseException:
            context.done()
            raise

    async def standing(self, sessions: Collection[UUID]) -> Mapping[UUID, Viewer]:
        """The viewers of those of these sessions that stand, asked at once."""
        services, asked = self._context.services, list(sessions)

        async def ask() -> Mapping[UUID, Viewer]:
            async with services.turns:
                return await services.doors.viewers(asked, self.now)

        return await _patiently(ask)


class Followed(Stream):
    """A stream whose events are small: `show` reads what a field gives of them."""

    def __init__(self, context: Context, opened: Callable[[], Awaitable[str]], after: str | None, show: Show) -> None:
        super().__init__(context, opened, after)
        self._show = show

    @property
    def kind(self) -> Hashable:
        """What shows the events."""
        return self._show

    async def read(self, context: Context, place: int) -> Batch | None:
        """What follows a place, as the context's viewer sees it; None if there is nothing yet."""
        events = await context.read(Events.since, self._stream, place)
        if not events:
            return None
        return msgspec.structs.replace(await self._show(context, events), more=len(events) == MOST_READ)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the database does not answer."""
    while True:
        try:
            return await ask()
        except Unavailable as error:
            await asyncio.sleep(error.retry_after)
