"""Planned execution in Strawberry's own flow.

It hands over the document before it is parsed, and the result before graphql-core would make one.
"""

import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from graphql import ExecutionResult, OperationType
from graphql.execution.values import get_variable_values
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext

from graph.execution.compiling import Unplanned
from graph.execution.documents import Document, Documents, Operation
from graph.execution.run import Run

MOST_COERCION_ERRORS: Final = 50


@dataclasses.dataclass
class Asked(ExecutionContext):
    """An operation as it is asked for, with its document once that is found valid."""

    document: Document | None = None


class KnownDocuments(SchemaExtension):
    """Parses and validates a document once; stands before whatever else checks documents.

    It leaves the document with the execution context, as `document`.
    """

    execution_context: Asked

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def on_parse(self) -> Iterator[None]:
        """Hand over the document if it is known."""
        context = self.execution_context
        context.document = self._documents.get(context.query or "")
        if context.document is not None:
            context.graphql_document = context.document.node
        yield

    def on_validate(self) -> Iterator[None]:
        """Let a known document pass, and keep one that has passed."""
        context = self.execution_context
        if context.document is not None:
            context.pre_execution_errors = []
        yield
        if context.document is None and context.graphql_document and not context.pre_execution_errors:
            context.document = Document(self._documents.host, context.graphql_document)
            if not context.document.introspects:
                self._documents.keep(context.query or "", context.document)


class PlannedExecution(SchemaExtension):
    """Runs queries and mutations by their plans; stands last, for whatever may refuse an operation must come before.

    What is not planned is left to graphql-core.
    """

    execution_context: Asked

    async def on_execute(self) -> AsyncIterator[None]:
        """Execute, unless the operation is not planned."""
        context = self.execution_context
        operation = context.document.operation(context.operation_name) if context.document else None
        if operation is not None and operation.subject.operation.operation is not OperationType.SUBSCRIPTION:
            context.result = await self._result(operation)
        yield

    async def _result(self, operation: Operation) -> Any:
        context, subject = self.execution_context, operation.subject
        variables = get_variable_values(
            subject.host.schema,
            subject.operation.variable_definitions or (),
            context.variables or {},
            max_errors=MOST_COERCION_ERRORS,
        )
        if isinstance(variables, list):
            return ExecutionResult(None, variables)
        try:
            level = operation.plan(variables)
        except Unplanned:
            return None
        return await Run(subject, variables, context.context, context.root_value).result(level)
