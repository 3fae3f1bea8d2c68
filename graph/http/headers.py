"""Headers that every answer carries."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

# Answers hold clients' data: no cache may keep them, no browser may guess what they are,
# and no address of a page (it may hold a query) travels to others.
GUARDS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def guarded(send: Send, request_id: str) -> Send:
    """A `send` that adds what the answer does not say itself, and the request id."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in GUARDS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = request_id
            message = {**message, "headers": headers.raw}
        await send(message)

    return wrapped
