"""Following a stream of the event log: everything since a cursor, in order, then what comes live."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from domain.access import Viewer
from domain.errors import CursorExpired, Invalid, Unavailable
from graph.context import Context
from persistence.events import Event, Events
from persistence.repository import Repository

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Repository)


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


async def follow(context: Context, stream: str, after: str | None) -> AsyncGenerator[list[Event], None]:
    """Yield the stream's events since the cursor, some at a time, for ever; raises CursorExpired.

    Nothing is held between two batches: each reading lends a connection, which checks the session again. A database
    that is gone for a while only delays what follows.
    """
    context.patient = True
    async with context.services.doors.bell.listening(stream) as rung:
        # The listener stands before the first look, so that nothing falls between the two.
        seq, live = await _start(context, stream, after), False
        with context.services.observer.subscription() as subscribed:
            while True:
                rung.clear()
                while events := await patiently(context, Events.since, stream, seq):
                    seq = events[-1].seq
                    subscribed.delivers(context.now - events[-1].occurred_at if live else None)
                    yield events
                    subscribed.delivered(len(events))
                live = True
                await rung.wait()


async def patiently(
    context: Context, method: Callable[Concatenate[R, Viewer, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Read with rights asked again, and again while the database does not answer."""
    while True:
        try:
            return await context.fresh().read(method, *args, **kwargs)
        except Unavailable as error:
            await asyncio.sleep(error.retry_after)


async def _start(context: Context, stream: str, after: str | None) -> int:
    last, first_kept = await context.read(Events.bounds, stream)
    if after is None:
        return last
    seq = StreamCursor.decode(after, stream).seq
    if seq > last:
        raise Invalid.of("after", "is not a cursor of this stream")
    if seq + 1 < first_kept:
        raise CursorExpired
    return seq
