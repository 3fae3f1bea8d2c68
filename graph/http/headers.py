"""Headers that every answer carries."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
# A year; not for subdomains, for those of the firm's domain are not ours to bind.
ONLY_TLS: Final = "max-age=31536000"
STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})


def guarded(send: Send, request_id: str) -> Send:
    """A `send` that adds what the answer does not say itself, and the request id; no cache may keep clients' data."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = with_safety(message)
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Request-Id"] = request_id
            message = {**message, "headers": headers.raw}
        await send(message)

    return wrapped


def with_safety(message: Message) -> MutableHeaders:
    """The headers of an answer that starts, with those that every one has."""
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    for name, value in SAFETY.items():
        headers.setdefault(name, value)
    return headers


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
        encrypted = self.always_tls or scope.get("scheme") in {"https", "wss"}

        async def wrapped(message: Message) -> None:
            if message["type"] in STARTS:
                headers = with_safety(message)
                if encrypted:
                    headers.setdefault("Strict-Transport-Security", ONLY_TLS)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self.app(scope, receive, wrapped)
