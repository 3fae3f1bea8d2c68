"""Requests that come with the head that the one before had on their connection.

Programs send the same head again and again, but for the length of the body. To parse it costs as much as to run a small
statement, and what the parser made of these bytes once it makes of them always.
"""

import asyncio
import re
from functools import cached_property
from typing import Any, Final, Self

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from graph.http.head import STATE, Head

LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
END: Final = b"\r\n\r\n"
# Kept for each connection; honest ones are shorter.
LONGEST: Final = 8192
MOST_DIGITS: Final = 8
# What a client waits for before it goes on.
PECULIAR: Final = frozenset({b"expect", b"upgrade"})
# What each request has of its own in its scope.
OWN: Final = frozenset({"headers", "state"})


class SameHead(msgspec.Struct, frozen=True):
    """A head as it came, cut where the length of the body stands, and what the parser has made of it."""

    before: bytes
    after: bytes
    scope: dict[str, Any]
    headers: list[tuple[bytes, bytes]]
    # Which of them tells the length.
    at: int
    head: Head

    @classmethod
    def of(cls, data: bytes, cycle: RequestResponseCycle) -> Self | None:
        """That of one request, which these bytes are as a whole; none for what is not that simple."""
        end = data.find(END) + len(END)
        if end > LONGEST or data[end:] != cycle.body or not cycle.keep_alive:
            return None
        # The request's own are its application's, to do with them what it will.
        headers = list(cycle.scope["headers"])
        names = [name for name, _ in headers]
        # The parser refuses a second.
        found = LENGTH.search(data, 0, end)
        if found is None or len(found[1]) > MOST_DIGITS or not PECULIAR.isdisjoint(names):
            return None
        head = cycle.scope["state"][STATE] = Head(headers)
        scope = {name: value for name, value in cycle.scope.items() if name not in OWN}
        at = names.index(b"content-length")
        return cls(data[: found.start(1)], data[found.end(1) : end], scope, headers, at, head)

    def scope_and_body(self, data: bytes, state: dict[str, Any]) -> tuple[dict[str, Any], bytes] | None:
        """A request that is all of these bytes, if it has this head; `state` is what the application begins with."""
        if not data.startswith(self.before):
            return None
        begin = len(self.before)
        end = data.find(b"\r", begin, begin + MOST_DIGITS + 1)
        length = data[begin:end]
        body = end + len(self.after)
        if not length.isdigit() or not data.startswith(self.after, end) or len(data) - body != int(length):
            return None
        headers = self.headers.copy()
        headers[self.at] = (b"content-length", length)
        return {**self.scope, "headers": headers, "state": {**state, STATE: self.head}}, data[body:]


class Whole(RequestResponseCycle):
    """A request that has come as a whole, and its answer: as uvicorn has it, with nothing made before it is needed."""

    disconnected = False
    waiting_for_100_continue = False
    more_body = False
    response_started = False
    response_complete = False
    keep_alive = True
    chunked_encoding = None
    expected_content_length = 0

    def __init__(self, wire: HttpToolsProtocol, scope: dict[str, Any], body: bytes) -> None:
        self.scope: Any = scope
        self.body: Any = body
        self.transport = wire.transport
        self.flow = wire.flow
        self.logger = wire.logger
        self.access_logger = wire.access_logger
        self.access_log = wire.access_log
        self.default_headers = wire.server_state.default_headers
        self.on_response = wire.on_response_complete

    @cached_property
    def message_event(self) -> asyncio.Event:  # type: ignore[override] # seldom wanted, and set once
        """Set, for the body is there."""
        event = asyncio.Event()
        event.set()
        return event
