"""One operation while it is executed by its plan."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLOutputType,
    GraphQLResolveInfo,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import Path as InfoPath
from graphql.pyutils import is_awaitable
from graphql.type.definition import GraphQLResolveInfoHelpers

from graph.execution.completing import Site, Spots
from graph.execution.places import Path, Root
from graph.execution.plan import Field, Level
from graph.execution.subject import Subject

ROOT: Final = Root()
NOWHERE: Final = Site("", "", [])


async def _gathered(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*awaitables))


def _tracked(values: Sequence[Any]) -> None:
    """Nothing: what a resolver starts aside is its own to end."""


HELPERS: Final = GraphQLResolveInfoHelpers(gather=_gathered, track=_tracked)


class Planned(ExecutionResult):
    """The result of a planned operation: its data is a struct, and `spent` what came of it has cost, in hundredths."""

    __slots__ = ("spent",)

    def __init__(self, data: Any, errors: list[GraphQLError] | None, spent: int) -> None:
        super().__init__(data, errors)
        self.spent = spent


class Run:
    """The execution of one operation: who asks, what has failed, what was spent."""

    __slots__ = ("_arguments", "_nulled", "_root", "_subject", "_variables", "context", "errors", "spent")

    def __init__(self, subject: Subject, variables: VariableValues, context: Any, root: Any) -> None:
        self.context = context
        self.errors: list[GraphQLError] = []
        self._subject = subject
        self._variables = variables
        self._root = root
        # What came has cost, in hundredths.
        self.spent = 0
        self._nulled: set[Path] = set()
        self._arguments: dict[Field, dict[str, Any]] = {}

    async def result(self, level: Level) -> Planned:
        """Execute, beginning at the root."""
        spots = Spots(NOWHERE, ROOT)
        (data,) = await level(self, [self._root], spots)
        for error in spots.failures.values():
            self.failed(error, ())
        return Planned(data, self.errors or None, self.spent)

    async def rows(self, level: Level, roots: Sequence[Any]) -> Sequence[Any]:
        """Execute for several roots at once; nothing if anything fails, for an error is told of one answer."""
        spots = Spots(NOWHERE, ROOT)
        rows = await level(self, roots, spots)
        return () if spots.failures or self.errors else rows

    def spend(self, hundredths: int) -> None:
        """Count what has come."""
        self.spent += hundredths

    def failed(self, error: GraphQLError, path: Path) -> None:
        """Note an error, and that null stands at this path for it; what lies beneath a null needs no other."""
        if not any(path[:length] in self._nulled for length in range(len(path) + 1)):
            self._nulled.add(path)
            self.errors.append(error)

    def arguments(self, field: Field) -> dict[str, Any]:
        """The arguments of a field as its resolver takes them; made once, whatever it is asked of."""
        if field.arguments is None:
            return {}
        known = self._arguments.get(field)
        if known is None:
            known = self._arguments[field] = field.arguments.values(self._variables)
        return known

    def info(self, field: Field, path: Path) -> GraphQLResolveInfo[Any]:
        """What a field's resolver may know of the execution."""
        return self._info(field.site, field.definition.type, field.parent, path)

    def raw_info(self, site: Site, kind: GraphQLOutputType, path: Path) -> GraphQLResolveInfo[Any]:
        """What whoever tells types apart may know of it."""
        return self._info(site, kind, self._subject.host.schema.type_map[site.parent], path)

    def _info(self, site: Site, kind: GraphQLOutputType, parent: Any, path: Path) -> GraphQLResolveInfo[Any]:
        place: InfoPath | None = None
        for key in path:
            place = InfoPath(place, key, site.parent)
        subject = self._subject
        return GraphQLResolveInfo(
            site.name,
            site.nodes,
            kind,
            parent,
            place,  # type: ignore[arg-type] # none only at the root, which has no field
            subject.host.schema,
            subject.fragments,
            self._root,
            subject.operation,
            self._variables,
            self.context,
            is_awaitable,
            None,
            HELPERS,
        )
