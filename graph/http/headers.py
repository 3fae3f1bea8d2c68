"""Headers that every answer carries."""

from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph.http.meters import noted
from graph.http.request_id import request_id

# What answers are no page may do nothing in a browser, whatever is in it; a page says for itself what it needs.
NO_PAGE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# No browser may guess what an answer is, show it in a frame or share its process with others; no address of a page (it
# may hold a query) travels to others; and no page of ours asks for a device.
SAFETY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": NO_PAGE,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})

Pair = tuple[bytes, bytes]


def encoded(headers: Mapping[str, str]) -> list[Pair]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


SAFE: Final[Sequence[Pair]] = encoded(SAFETY)
# No cache may keep clients' data.
NOT_KEPT: Final[Sequence[Pair]] = [*SAFE, (b"cache-control", b"no-store")]
# A year; not for subdomains, for those of the firm's domain are not ours to bind.
STRICT: Final[Pair] = (b"strict-transport-security", b"max-age=31536000")
ONLY_TLS: Final[Sequence[Pair]] = [*SAFE, STRICT]


# uvicorn's own change each second.
@lru_cache(maxsize=64)
def block(pairs: tuple[Pair, ...]) -> bytes:
    """Headers as they go over the wire."""
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)


def completed(message: Message, *more: Pair) -> Message:
    """The start of an answer with these headers too, but for those that it has already."""
    given = message.get("headers", ())
    said = {name for name, _ in given}
    return {**message, "headers": [*given, *[pair for pair in more if pair[0] not in said]]}


def guarded(send: Send, scope: Scope) -> Send:
    """A `send` that adds what the answer does not say itself: safety, the request's id, what is left of its budget."""

    def wrapped(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            standing = noted(scope)
            told = standing.headers if standing else ()
            message = completed(message, *NOT_KEPT, (b"x-request-id", request_id(scope).encode("ascii")), *told)
        return send(message)

    return wrapped


def is_encrypted(scope: Scope, *, always: bool) -> bool:
    """Whether a connection is encrypted, by us or by a proxy that is believed, or `always` is."""
    return always or scope.get("scheme") in {"https", "wss"}


class SafeAnswers:
    """Adds the headers to whatever an application answers: to its files, redirects and failures too.

    Where the connection is encrypted, by us or by a proxy that is believed, or where `always_tls` says that it is,
    browsers are told to come back no other way.
    """

    def __init__(self, app: ASGIApp, *, always_tls: bool = False) -> None:
        self.app = app
        self.always_tls = always_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        more = ONLY_TLS if is_encrypted(scope, always=self.always_tls) else SAFE

        def wrapped(message: Message) -> Awaitable[None]:
            return send(completed(message, *more) if message["type"] in STARTS else message)

        await self.app(scope, receive, wrapped)
