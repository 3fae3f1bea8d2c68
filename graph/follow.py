"""Following a stream of the event log: everything since a cursor, in order, then what comes live."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator

import msgspec

from domain.errors import CursorExpired, Invalid
from graph.context import Context
from persistence.bell import POLL_SECONDS
from persistence.events import Event, Events


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

    Nothing is held between two batches: each reading lends a connection, which checks the session again.
    """
    async with context.services.doors.bell.listening(stream) as rung:
        # The listener stands before the first look, so that nothing falls between the two.
        seq = await _start(context, stream, after)
        while True:
            rung.clear()
            while events := await context.fresh().read(Events.since, stream, seq):
                seq = events[-1].seq
                yield events
            try:
                await asyncio.wait_for(rung.wait(), POLL_SECONDS)
            except TimeoutError:
                continue


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
