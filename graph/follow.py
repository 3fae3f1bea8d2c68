"""Following a stream of the event log: everything since a cursor, in order, then what comes live."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.errors import CursorExpired, Invalid, Unavailable
from graph.context import Context
from graph.fanout import Batch, Fanout, Feed, Look
from graph.observing import Subscribed
from persistence.events import MOST_READ, Event, Events

T = TypeVar("T")

# What a subscription's field gives of events, as the context's viewer sees it. Raises nothing of its own: a batch ends
# with the fault that an event is, for what came before it is told all the same.
Show = Callable[[Context, Sequence[Event]], Awaitable[Batch]]


class StreamCursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a stream."""

    stream: str
    seq: int

    def encode(self) -> str:
        """Opaque text for clients."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, stream: str) -> "StreamCursor":
        """Read the argument `after`; raises Invalid for anything but a cursor of this very stream."""
        try:
            cursor = msgspec.msgpack.decode(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)), type=cls)
        except (ValueError, msgspec.DecodeError) as error:
            raise Invalid.of("after", "is not a cursor of this stream") from error
        if cursor.stream != stream or cursor.encode() != text:
            raise Invalid.of("after", "is not a cursor of this stream")
        return cursor


class Followed(Feed):
    """A stream's events since the cursor, for ever; raises CursorExpired.

    `opened` gives the stream, or raises why it may not be followed; `show` what a field gives of its events.

    Nothing is held between two batches: each reading lends a connection, which checks the session again. A database
    that is gone for a while only delays what follows.
    """

    def __init__(self, context: Context, opened: Callable[[], Awaitable[str]], after: str | None, show: Show) -> None:
        self.resumed = after is not None
        self.show = show
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

    async def begin(self) -> int:
        """The number of the last event that was seen, or that there is.

        Raises Invalid, CursorExpired, and why the stream may not be followed.
        """
        self._stream = await self._opened()
        self.key = self.show, self._stream
        self.session = (await self._context.viewer()).session_id
        self._context.patient = True
        last, first_kept = await self._context.read(Events.bounds, self._stream)
        self._context.done()
        if self._after is None:
            return last
        seq = StreamCursor.decode(self._after, self._stream).seq
        if seq > last:
            raise Invalid.of("after", "is not a cursor of this stream")
        if seq + 1 < first_kept:
            raise CursorExpired
        return seq

    async def look(self) -> Look:
        """The stream with rights asked again; raises Unauthenticated."""

        async def look() -> Sight:
            context = self._context.fresh()
            return Sight(self, self._stream, context, await context.viewer())

        return await _patiently(look)

    async def standing(self, sessions: Collection[UUID]) -> Mapping[UUID, Viewer]:
        """The viewers of those of these sessions that stand, asked at once."""
        services, asked = self._context.services, list(sessions)

        async def ask() -> Mapping[UUID, Viewer]:
            async with services.turns:
                return await services.doors.viewers(asked, self.now)

        return await _patiently(ask)


class Sight(msgspec.Struct, frozen=True):
    """What a viewer sees of a stream at a moment."""

    feed: Followed
    stream: str
    context: Context
    viewer: Viewer

    async def since(self, place: int) -> Batch | None:
        """What follows a place; None if there is nothing yet. Raises Unauthenticated."""
        return await _patiently(lambda: self._since(place))

    async def _since(self, place: int) -> Batch | None:
        events = await self.context.read(Events.since, self.stream, place)
        if not events:
            return None
        batch = await self.feed.show(self.context, events)
        return msgspec.structs.replace(batch, more=len(events) == MOST_READ)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the database does not answer."""
    while True:
        try:
            return await ask()
        except Unavailable as error:
            await asyncio.sleep(error.retry_after)
