"""A request of the API as it was received."""

from functools import cached_property

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope

from domain.origin import Origin
from graph.http.head import head_of
from graph.http.origin import origin_of


class Received:
    """A request whose headers are found by their names; Starlette's are walked through for each."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.head = head_of(scope)
        # Where it comes from.
        self.origin: Origin = origin_of(scope)

    def header(self, name: bytes) -> str | None:
        """The first header of a name, in small letters; none if there is none."""
        return self.head.header(name)

    @cached_property
    def query_params(self) -> QueryParams:
        """What stands behind the question mark of its address."""
        return QueryParams(self.scope["query_string"])
