"""Which columns of a row a plan reads, so that no others need be fetched.

Told by what each field says that it reads: an attribute by itself, a relation by its key, and whatever else by its
metadata (`reading`). A level with a field that does not say needs whole rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from graphql import GraphQLObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from persistence.sql import PLACE, as_text

# The names of the columns; None for all of them.
Needs: TypeAlias = frozenset[str] | None
# Those of rows of an entity, where several may stand.
NeedsOf: TypeAlias = Callable[[type], Needs]
NOTHING: Final[frozenset[str]] = frozenset()
READS: Final = "reads"
# Where a connection and an edge hold rows of the list.
ROWS: Final = frozenset({"nodes", "edges", "node"})
# What of a connection tells cursors.
CURSORS: Final = frozenset({"edges", "pageInfo"})


def reading(*names: str) -> Mapping[str, Any]:
    """The metadata of a field whose resolver reads these attributes of its object alone."""
    return {READS: frozenset(names)}


def together(all_needs: Iterable[Needs]) -> Needs:
    """What is needed for all of these."""
    found: frozenset[str] = NOTHING
    for needs in all_needs:
        if needs is None:
            return None
        found |= needs
    # Who reads a number as a number gets it so, and whoever would pass it on as text can do with that.
    return found - {as_text(name) for name in found}


def of_rows(fields: Sequence[tuple[str, Needs]]) -> Needs:
    """What is read of the rows of a list, by the fields of a connection or an edge with what each of them reads."""
    cursors = frozenset({PLACE}) if any(name in CURSORS for name, _ in fields) else NOTHING
    return together([cursors, *(needs for name, needs in fields if name in ROWS)])


def only_shown(needs: frozenset[str]) -> frozenset[str]:
    """Numbers and enums that go out as they come, so that nothing is made of what the database writes."""
    return frozenset(map(as_text, needs))


def columns_of(kind: GraphQLObjectType) -> frozenset[str]:
    """The columns of the entity that a type shows; none for a type over anything else."""
    return frozenset(getattr(entity_of(kind), "__struct_fields__", ()))


def entity_of(kind: GraphQLObjectType) -> type | None:
    """The entity that a type shows, if it is over one."""
    ours = (kind.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    found: type | None = getattr(getattr(ours, "origin", None), "entity", None)
    return found
