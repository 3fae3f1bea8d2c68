"""Reading a request's body without taking more than is allowed."""

import asyncio

from starlette.requests import ClientDisconnect

from domain.errors import Invalid
from graph.http.received import Received
from graph.http.refused import Refused
from graph.wire import come


async def read_body(request: Received, most: int, seconds: float) -> bytes:
    """The whole body; refused with 413 as soon as it is known to be larger, chunked or not, with 408 if it is slow."""
    if (body := come(request.receive)) is not None:
        if len(body) > most:
            raise _too_large(most)
        return body
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most)
    except TimeoutError as error:
        fault = Invalid.of("", f"The request has not come within {seconds:g} seconds.")
        raise Refused(408, fault, {"Connection": "close"}) from error


async def _read(request: Received, most: int) -> bytes:
    declared = dict(reversed(request.scope["headers"])).get(b"content-length", b"").decode("latin-1")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most: int) -> Refused:
    return Refused(413, Invalid.of("", f"The request is larger than {most} bytes."))
