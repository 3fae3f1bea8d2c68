"""A request of the API as it was received."""

from functools import cached_property

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope

from domain.origin import Origin
from graph.http.origin import origin_of


class Received:
    """A request whose headers are found by their names; Starlette's are walked through for each."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        # Of several of a name the first holds.
        self._first: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        # The token by which it was counted, if it came with one.
        self.counted_by: str | None = None
        # What was found of that.
        self.found: object = None

    def header(self, name: bytes) -> str | None:
        """The first header of a name, in small letters; none if there is none."""
        return self._first[name].decode("latin-1") if name in self._first else None

    @cached_property
    def query_params(self) -> QueryParams:
        """What stands behind the question mark of its address."""
        return QueryParams(self.scope["query_string"])

    @cached_property
    def origin(self) -> Origin:
        """Where it comes from."""
        return origin_of(self.scope)

    @property
    def accept(self) -> str:
        """All that the client takes, in one list; empty if it does not say."""
        if b"accept" not in self._first:
            return ""
        return ",".join(value.decode("latin-1") for name, value in self.scope["headers"] if name == b"accept")
