"""Reading a request's body without taking more than is allowed."""

import asyncio

from starlette.requests import Request

from domain.errors import Invalid
from graph.http.refused import Refused


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The whole body; refused with 413 as soon as it is known to be larger, chunked or not, with 408 if it is slow."""
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most)
    except TimeoutError as error:
        fault = Invalid.of("", f"The request has not come within {seconds:g} seconds.")
        raise Refused(408, fault, {"Connection": "close"}) from error


async def _read(request: Request, most: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most: int) -> Refused:
    return Refused(413, Invalid.of("", f"The request is larger than {most} bytes."))
