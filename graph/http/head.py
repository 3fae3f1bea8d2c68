"""What the headers of a request say, each found by its name.

A connection's requests have the same head again and again. Whoever reads them from the wire keeps one of these in the
request's state for as long as that is so, and what was read out of it once need not be read again.
"""

import re
from collections.abc import MutableMapping, Sequence
from functools import cached_property
from typing import Any, Final

from domain.origin import LONGEST_DEVICE
from graph.http.accept import ANSWERS, JSON, OFFERED, chosen
from graph.http.credentials import for_counting

STATE: Final = "head"
# What goes into log lines and headers unquoted; trace ids of the usual balancers fit.
SANE: Final = re.compile(rb"[A-Za-z0-9._:=-]{1,64}")


class Head:
    """The headers of a request, but for the length of its body; of several of a name the first holds."""

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._headers = headers
        self.first: dict[bytes, bytes] = dict(reversed(headers))
        self.first.pop(b"content-length", None)
        # What was found of its token, by whoever counts requests.
        self.found: object = None

    def header(self, name: bytes) -> str | None:
        """The first header of a name, in small letters; none if there is none."""
        found = self.first.get(name)
        return None if found is None else found.decode("latin-1")

    @cached_property
    def accept(self) -> str:
        """All that the client takes, in one list; empty if it does not say."""
        if b"accept" not in self.first:
            return ""
        return ",".join(value.decode("latin-1") for name, value in self._headers if name == b"accept")

    @cached_property
    def answered_in(self) -> str:
        """The type that an answer is to have, be it a stream. Raises Refused with 406."""
        return chosen(self.accept, OFFERED)

    @cached_property
    def answered_at_once_in(self) -> str:
        """The same, where a stream cannot be had. Raises Refused with 406."""
        return chosen(self.accept, ANSWERS)

    @cached_property
    def is_json(self) -> bool:
        """Whether the body is JSON in UTF-8."""
        content_type = self.header(b"content-type") or ""
        media, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
        charsets = {piece.removeprefix("charset=").strip('"') for piece in parameters if piece.startswith("charset=")}
        return media == JSON and charsets <= {"utf-8", "utf8"}

    @cached_property
    def is_encoded(self) -> bool:
        """Whether the body is compressed, or what else one may do to it."""
        return (self.header(b"content-encoding") or "").strip().lower() not in {"", "identity"}

    @cached_property
    def counted_by(self) -> str | None:
        """The token by which the request is counted, if it came with what looks like one."""
        return for_counting(self.header(b"authorization"))

    @cached_property
    def request_id(self) -> str | None:
        """The id that the client has given to the request, if that is a sane one."""
        sent = self.first.get(b"x-request-id", b"")
        return sent.decode("ascii") if SANE.fullmatch(sent) else None

    @cached_property
    def device(self) -> str:
        """The program that the client says it is."""
        said = self.first.get(b"user-agent", b"")[:LONGEST_DEVICE].decode("latin-1")
        return "".join(letter for letter in said if letter.isprintable())


def head_of(scope: MutableMapping[str, Any]) -> Head:
    """What the headers of an ASGI scope say; kept in its state for all that ask."""
    state: dict[str, Any] = scope.setdefault("state", {})
    known: Head | None = state.get(STATE)
    if known is None:
        known = state[STATE] = Head(scope["headers"])
    return known
