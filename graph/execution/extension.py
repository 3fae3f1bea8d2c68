"""Planned execution in Strawberry's own flow.

It sets the result before graphql-core would make one.
"""

import dataclasses
from typing import Any, Final

from graphql import ExecutionResult, OperationType
from graphql.execution.values import get_variable_values
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext

from graph.execution.compiling import Unplanned
from graph.execution.documents import Document, Operation
from graph.execution.run import Run

MOST_COERCION_ERRORS: Final = 50


@dataclasses.dataclass
class Asked(ExecutionContext):
    """An operation as it is asked for, with its document once that is found valid.

    `stock_because` is why graphql-core executes it; nothing if it is executed by its plan.
    """

    document: Document | None = None
    stock_because: str | None = "plans are switched off"


class PlannedExecution(SchemaExtension):
    """Runs queries and mutations by their plans; stands last, for whatever may refuse an operation must come before.

    What is not planned is left to graphql-core.
    """

    execution_context: Asked

    async def on_execute(self) -> None:  # type: ignore[override] # a coroutine may stand in for a generator
        """Execute, unless the operation is not planned."""
        context = self.execution_context
        operation = context.document.operation(context.operation_name) if context.document else None
        if operation is not None and operation.subject.operation.operation is OperationType.SUBSCRIPTION:
            context.stock_because = "subscription"
        elif operation is not None:
            context.result = await self._result(operation)

    async def _result(self, operation: Operation) -> Any:
        context, subject = self.execution_context, operation.subject
        variables = get_variable_values(
            subject.host.schema,
            subject.operation.variable_definitions or (),
            context.variables or {},
            max_errors=MOST_COERCION_ERRORS,
        )
        context.stock_because = None
        if isinstance(variables, list):
            return ExecutionResult(None, variables)
        try:
            level = operation.plan(variables)
        except Unplanned as reason:
            context.stock_because = str(reason)
            return None
        return await Run(subject, variables, context.context, context.root_value).result(level)
