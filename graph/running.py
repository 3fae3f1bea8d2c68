"""What runs at present: the request, the operation on a socket or the job that log lines and metrics speak of."""

from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Final
from uuid import UUID

from graphql import FieldNode, OperationDefinitionNode, get_operation_ast
from strawberry.types import ExecutionContext, ExecutionResult

# Names are the clients' own choice.
LONGEST_NAME: Final = 64


class Running:
    """One request, operation or job, while it runs; tasks that it starts know it too."""

    __slots__ = (
        "_defined",
        "_kind",
        "began",
        "codes",
        "cost",
        "execution",
        "job",
        "request_id",
        "results",
        "statements",
        "status",
        "viewer",
    )

    def __init__(self, request_id: str, job: str | None = None) -> None:
        self.request_id = request_id
        self.job = job
        self.began = perf_counter()
        self.viewer: UUID | None = None
        self.execution: ExecutionContext | None = None
        self._defined: OperationDefinitionNode | None = None
        self._kind: str | None = None
        self.status: int | None = None
        self.codes: list[str] = []
        self.cost: int | None = None
        self.results = 0
        self.statements = 0

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return perf_counter() - self.began

    @property
    def asked(self) -> bool:
        """Whether an operation was asked for, well-formed or not."""
        return self.execution is not None or self._defined is not None

    def runs(self, defined: OperationDefinitionNode, kind: str) -> None:
        """Note the operation that is executed, and its type, where that is known from the first."""
        self._defined = defined
        self._kind = kind

    @property
    def operation(self) -> str | None:
        """The operation's name, as its client calls it; none for an anonymous one."""
        found = self._defined or self._definition()
        return found.name.value[:LONGEST_NAME] if found and found.name else None

    @property
    def kind(self) -> str:
        """Query, mutation or subscription; `unknown` for what cannot be read."""
        if self._kind is None and (found := self._defined or self._definition()) is not None:
            self._kind = found.operation.value
        return self._kind or "unknown"

    @property
    def field(self) -> str:
        """The first field that is asked for: a subscription has no other."""
        found = self._definition()
        fields = found.selection_set.selections if found is not None else ()
        return next((each.name.value for each in fields if isinstance(each, FieldNode)), "unknown")

    def _definition(self) -> OperationDefinitionNode | None:
        execution = self.execution
        if self._defined is None and execution is not None and execution.graphql_document is not None:
            self._defined = get_operation_ast(execution.graphql_document, execution.operation_name)
        return self._defined

    def saw(self, result: ExecutionResult) -> None:
        """Note what an answer, or an event of a subscription, says of errors and of cost."""
        self.results += 1
        for error in result.errors or ():
            self.failed(str((error.extensions or {}).get("code", "INTERNAL")))
        if result.extensions and "cost" in result.extensions:
            self.cost = result.extensions["cost"].get("actual")

    def end(self) -> None:
        """Let go of what was executed: a connection that was opened meanwhile knows for good what ran then."""
        self.execution = self._defined = None

    def failed(self, code: str) -> None:
        """Note the code of an error; an endless subscription keeps a handful."""
        if len(self.codes) < 10:  # noqa: PLR2004 - a handful
            self.codes.append(code)

    def told(self) -> dict[str, str]:
        """What each log line says of it: ids alone, never names of people."""
        told = {"request_id": self.request_id}
        if self.viewer is not None:
            told["viewer"] = str(self.viewer)
        if (operation := self.operation) is not None:
            told["operation"] = operation
        if self.job is not None:
            told["job"] = self.job
        return told


# The one thing that is no parameter: log lines and statements come from anywhere below.
_CURRENT: Final[ContextVar[Running | None]] = ContextVar("running", default=None)


# What runs at present, if anything does; each statement and each line asks.
running: Final[Callable[[], Running | None]] = _CURRENT.get


class current:  # noqa: N801 - reads as the function that it is used as
    """Let something be what runs until the end of the block."""

    __slots__ = ("_before", "_made")

    def __init__(self, made: Running) -> None:
        self._made = made

    def __enter__(self) -> Running:
        """From here on."""
        self._before = _CURRENT.set(self._made)
        return self._made

    def __exit__(self, *_: object) -> None:
        """To here."""
        _CURRENT.reset(self._before)


def seen_by(viewer: UUID) -> None:
    """Note whose request it is."""
    if (now := _CURRENT.get()) is not None:
        now.viewer = viewer
