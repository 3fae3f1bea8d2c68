"""Server-sent events: graphql-sse, one operation a connection."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from strawberry.types import ExecutionResult

from graph.http.accept import STREAM
from graph.http.bounds import HttpLimits
from graph.http.contexts import Context
from graph.http.live import Live
from graph.http.response import encode, payload

HEADERS = (
    (b"content-type", f"{STREAM}; charset=utf-8".encode()),
    # Proxies that compress or buffer would hold events back.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
HEARTBEAT = b": alive\n\n"
COMPLETE = b"event: complete\ndata:\n\n"


class EventStream:
    """An ASGI answer: each result an event `next`, at the end `complete`.

    When the session ends, an event with the error goes before `complete`, which alone looks like a normal end.
    A reader that is slow slows its subscription down; nothing is kept for it but the event in flight.
    """

    def __init__(
        self,
        results: AsyncGenerator[Any, None],
        context: Context,
        limits: HttpLimits,
        error_of: Callable[[Exception], GraphQLError],
    ) -> None:
        self.results = results
        self.context = context
        self.limits = limits
        self.error_of = error_of

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the operation, the session or the connection ends, whichever is first."""
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        pump = asyncio.create_task(self._pump(send))
        ended = asyncio.create_task(self._ended())
        gone = asyncio.create_task(_disconnected(receive))
        beat = asyncio.create_task(self._beat(send))
        try:
            await asyncio.wait((pump, ended, gone), return_when=asyncio.FIRST_COMPLETED)
            await _stop(beat, gone)
            if ended.done() and not pump.done():
                # The subscription stops first: nothing may follow the error, and a slow reader must not keep it open.
                await _stop(pump)
                await self.results.aclose()
                await self._last_words(send, ended.result())
        finally:
            await _stop(pump, ended, gone, beat)
            await self.results.aclose()

    async def _pump(self, send: Send) -> None:
        try:
            async for result in self.results:
                if isinstance(result, Live):
                    # It may go on for hours, and needs nothing more of what began it.
                    await self.results.aclose()
                    await result.deliver(StreamLine(send))
                    break
                await _send(send, _event(encode(payload(result))))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told, and it is logged
            await _send(send, _event(self._error(error)))
        await _send(send, COMPLETE, more=False)

    async def _beat(self, send: Send) -> None:
        while True:
            await asyncio.sleep(self.limits.heartbeat_seconds)
            await _send(send, HEARTBEAT)

    async def _ended(self) -> Exception:
        try:
            return await self.context.ended()
        except Exception as error:  # noqa: BLE001 - one who cannot tell whether the session stands must not go on
            return error

    async def _last_words(self, send: Send, error: Exception) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.limits.last_words_seconds):
                await _send(send, _event(self._error(error)))
                await _send(send, COMPLETE, more=False)

    def _error(self, error: Exception) -> bytes:
        return encode(payload(ExecutionResult(None, [self.error_of(error)])))


class StreamLine:
    """The way to the reader for the answers of a subscription; each is waited for until the reader has taken it."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def ready(self) -> None:
        """Never: each event is waited for."""

    async def send(self, answer: bytes) -> None:
        """Send one."""
        await _send(self._send, _event(answer))


def _event(answer: bytes) -> bytes:
    return b"event: next\ndata: " + answer + b"\n\n"


async def _send(send: Send, chunk: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
