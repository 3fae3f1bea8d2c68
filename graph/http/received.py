"""A request of the API as it was received."""

from starlette.requests import Request
from starlette.types import Receive, Scope


class Received(Request):
    """A request whose headers are found by their names; Starlette's are walked through for each."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        # Of several of a name the first holds.
        self._first: dict[bytes, bytes] = dict(reversed(scope["headers"]))

    def header(self, name: bytes) -> str | None:
        """The first header of a name, in small letters; none if there is none."""
        value = self._first.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def accept(self) -> str:
        """All that the client takes, in one list; empty if it does not say."""
        if b"accept" not in self._first:
            return ""
        return ",".join(value.decode("latin-1") for name, value in self.scope["headers"] if name == b"accept")
