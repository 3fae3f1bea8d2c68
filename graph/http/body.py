"""Reading a request's body without taking more than is allowed."""

from starlette.requests import Request

from domain.errors import Invalid
from graph.http.refused import Refused


async def read_body(request: Request, most: int) -> bytes:
    """The whole body; refused with 413 as soon as it is known to be larger, chunked or not."""
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
