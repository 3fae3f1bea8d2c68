"""The answers of operations that ask for nothing but the schema: made once by graphql-core, and kept as JSON.

They depend on what is asked alone, and take graphql-core a tenth of a second in which nobody else is answered. Who may
ask is decided before, each time anew.
"""

from typing import Final

import msgspec
from graphql import DocumentNode, FieldNode, OperationDefinitionNode, OperationType, execute_sync

from graph.cost import Priced
from graph.cost.weights import HUNDREDTHS
from graph.execution.subject import Subject

ROOTS: Final = frozenset({"__schema", "__type", "__typename"})


class Introspected(msgspec.Struct, frozen=True):
    """An answer's data as JSON, its size in bytes, and what it has cost, in hundredths."""

    data: msgspec.Raw
    size: int
    spent: int


def asks_schema_alone(operation: OperationDefinitionNode) -> bool:
    """Whether nothing but the schema is asked for: plainly, without variables, conditions and fragments at the root."""
    return (
        operation.operation is OperationType.QUERY
        and not operation.variable_definitions
        and not operation.directives
        and all(
            isinstance(each, FieldNode) and each.name.value in ROOTS and not each.directives
            for each in operation.selection_set.selections
        )
    )


def introspected(subject: Subject, document: DocumentNode, priced: Priced) -> Introspected:
    """The answer of graphql-core to a valid operation that asks for the schema alone."""
    name = subject.operation.name
    result = execute_sync(subject.host.schema, document, operation_name=name.value if name else None)
    if result.data is None or result.errors:
        raise RuntimeError("a valid question about the schema has an answer")
    data = msgspec.json.encode(result.data)
    return Introspected(msgspec.Raw(data), len(data), HUNDREDTHS * priced.actual(result.data))
