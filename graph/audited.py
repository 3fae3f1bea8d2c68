"""What an auditor asks for is noted in the audit trail before it is answered, over every transport."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    get_operation_ast,
    parse,
)
from strawberry.extensions import SchemaExtension

from domain.access import Role, Viewer
from domain.audit import Trace, note
from domain.errors import Unauthenticated
from graph.context import Context
from graph.execution import digest_of
from graph.ids import ENTITIES
from graph.limits import Limits

# Of one operation, as many as the trail names.
MOST_NAMED: Final = 100
LONGEST_NAME: Final = 200
IDS: Final = re.compile(rf"\b(?:{'|'.join(ENTITIES)})_[0-9a-f]{{32}}\b")


class AuditorReads(SchemaExtension):
    """Writes a trace of each operation of an AUDITOR; one that cannot be noted is not answered.

    It stands before parsing, so that what fails later, in whatever way, is noted too.
    """

    @staticmethod
    def passes(context: Context) -> bool:
        """Whether it is certain that no AUDITOR asks in this context."""
        return not context.signed_in or context.role not in {None, Role.AUDITOR}

    async def on_operation(self) -> None:  # type: ignore[override] # a coroutine may stand in for a generator
        """Note the operation before it runs."""
        context = self.execution_context.context
        # Whose session has ended is answered by itself.
        viewer = await _viewer(context) if isinstance(context, Context) and context.signed_in else None
        if viewer is not None and viewer.role is Role.AUDITOR:
            viewer = await context.certain()
            await context.services.doors.write(viewer, context.request_id, note, viewer, self._trace())

    def _trace(self) -> Trace:
        asked = self.execution_context
        query = asked.query or ""
        variables = json.dumps(asked.variables or {}, default=str)
        facts = _told(query, asked.operation_name)
        facts |= {
            "digest": digest_of(query),
            "ids": list(dict.fromkeys(IDS.findall(f"{query} {variables}")))[:MOST_NAMED],
        }
        return Trace("audit.read", "Operation", facts=facts)


async def _viewer(context: Context) -> Viewer | None:
    try:
        return await context.viewer()
    except Unauthenticated:
        return None


def _told(query: str, name: str | None) -> dict[str, Any]:
    """What is asked: the operation's type and name and its root fields, as far as it can be read."""
    unread: dict[str, Any] = {"operation": (name or "")[:LONGEST_NAME] or None, "type": None, "fields": []}
    try:
        document = parse(query, no_location=True, max_tokens=Limits().tokens)
        operation = get_operation_ast(document, name)
    except (GraphQLError, RecursionError):
        return unread
    if operation is None:
        return unread
    given = operation.name.value[:LONGEST_NAME] if operation.name else None
    fields = list(dict.fromkeys(_root_fields(document, operation)))[:MOST_NAMED]
    return {"operation": given, "type": operation.operation.value, "fields": fields}


def _root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[str]:
    """The names of the fields that an operation begins with, its fragments' among them, each of which is seen once."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    waiting: list[SelectionNode] = [*operation.selection_set.selections]
    seen: set[str] = set()
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, FieldNode):
            yield each.name.value[:LONGEST_NAME]
        else:
            waiting += _within(each, fragments, seen)


def _within(each: Any, fragments: dict[str, FragmentDefinitionNode], seen: set[str]) -> Iterable[SelectionNode]:
    if not isinstance(each, FragmentSpreadNode):
        return list(each.selection_set.selections)
    name = each.name.value
    if name in seen or name not in fragments:
        return []
    seen.add(name)
    return list(fragments[name].selection_set.selections)
