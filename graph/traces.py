"""Where traces go: nowhere, unless a setting says to whom. `graph/otlp.py` has the one that sends them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

from starlette.types import Scope

from graph.running import Running


class Span(Protocol):
    """A stretch of work in a trace."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Note a fact of it; never personal data."""

    def failed(self) -> None:
        """Note that it has failed; of what is told by the log."""


class _Nothing:
    def set_attribute(self, key: str, value: Any) -> None:
        """Forget the fact."""

    def failed(self) -> None:
        """Forget the failure."""


NOTHING: Final[AbstractContextManager[Span]] = nullcontext(_Nothing())


class Traces:
    """Traces that nobody reads."""

    # Whether all that is done for a trace may be left out: a context of nothing costs as much as a log line.
    silent = True

    def request(self, scope: Scope, request_id: str) -> AbstractContextManager[Span]:  # noqa: ARG002 - for who traces
        """A request, continuing its caller's trace if the caller is trusted."""
        return NOTHING

    def operation(self, running: Running | None) -> AbstractContextManager[object]:  # noqa: ARG002 - as above
        """The operation that runs, named when it is over, for only then it has been read."""
        return NOTHING

    def span(self, name: str, **facts: str | int) -> AbstractContextManager[Span]:  # noqa: ARG002 - as above
        """A stretch within what runs at present."""
        return NOTHING

    def statement(self, text: str) -> AbstractContextManager[Span]:  # noqa: ARG002 - as above
        """A statement, by its text, in which no value stands."""
        return NOTHING

    def close(self) -> None:
        """Send what is left, and end."""
