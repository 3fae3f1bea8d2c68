"""Planned execution as an extension of Strawberry's.

It sets the result before graphql-core would make one.
"""

import dataclasses
from collections.abc import Awaitable
from typing import Any

from graphql import ExecutionResult, OperationType
from graphql.execution.values import VariableValues
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext

from graph.execution.compiling import Unplanned
from graph.execution.documents import Document, Operation
from graph.execution.events import Rendering
from graph.execution.plan import Level
from graph.execution.run import Planned, Run


@dataclasses.dataclass
class Asked(ExecutionContext):
    """An operation as it is asked for, with its document once that is found valid.

    `stock_because` is why graphql-core executes it; nothing if it is executed by its plan.
    """

    document: Document | None = None
    stock_because: str | None = "plans are switched off"

    def know(self, document: Document) -> None:
        """Take a document that has been found valid before."""
        self.document = document
        self.graphql_document = document.node


def executed(
    operation: Operation, given: dict[str, Any], context: Any, root: Any = None
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """The result of an operation that is certain to be planned (`Operation.is_planned`), to be waited for or not."""
    variables = operation.variables.coerced(given)
    if isinstance(variables, list):
        return ExecutionResult(None, variables)
    return Run(operation.subject, variables, context, root).result(operation.plan(variables))


class PlannedExecution(SchemaExtension):
    """Runs operations by their plans; stands last, for whatever may refuse an operation must come before.

    What is not planned is left to graphql-core, and so is the beginning of a subscription: the root value that it
    begins with says how its events are executed.
    """

    execution_context: Asked

    async def on_execute(self) -> None:  # type: ignore[override] # a coroutine may stand in for a generator
        """Execute, unless the operation is not planned."""
        context = self.execution_context
        operation = context.document.operation(context.operation_name) if context.document else None
        if operation is not None and operation.subject.operation.operation is OperationType.SUBSCRIPTION:
            context.root_value = self._rendering(operation)
        elif operation is not None:
            context.result = await self._result(operation)

    async def _result(self, operation: Operation) -> Any:
        context = self.execution_context
        variables = operation.variables.coerced(context.variables or {})
        if isinstance(variables, list):
            context.stock_because = None
            return ExecutionResult(None, variables)
        level = self._plan(operation, variables)
        if level is None:
            told = operation.introspected(context.query or "")
            return Planned(told.data, None, told.spent) if told else None
        return await Run(operation.subject, variables, context.context, context.root_value).result(level)

    def _rendering(self, operation: Operation) -> Rendering | None:
        """How events are executed; none if that is graphql-core's, as it is to refuse variables."""
        given = self.execution_context.variables or {}
        variables = operation.variables.coerced(given)
        if isinstance(variables, list):
            return None
        level = self._plan(operation, variables)
        return None if level is None else Rendering(operation, level, variables, given)

    def _plan(self, operation: Operation, variables: VariableValues) -> Level | None:
        """The plan; none for what is not planned, of which the reason is noted."""
        context = self.execution_context
        context.stock_because = None
        try:
            return operation.plan(variables)
        except Unplanned as reason:
            context.stock_because = str(reason)
            return None
