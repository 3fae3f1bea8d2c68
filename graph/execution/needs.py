"""Which columns of a row a plan reads, so that no others need be fetched.

Told by what each field says that it reads: an attribute by itself, a relation by its key, and whatever else by its
metadata (`reading`). A level with a field that does not say needs whole rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from graphql import GraphQLObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from persistence.sql import as_text

# The names of the columns; None for all of them.
Needs: TypeAlias = frozenset[str] | None
NOTHING: Final[frozenset[str]] = frozenset()
READS: Final = "reads"
# Where a connection and an edge hold rows of the list.
ROWS: Final = frozenset({"nodes", "edges", "node"})


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


def only_shown(needs: frozenset[str]) -> frozenset[str]:
    """Numbers that go out as they come, so that the database may write them."""
    return frozenset(map(as_text, needs))


def columns_of(kind: GraphQLObjectType) -> frozenset[str]:
    """The columns of the entity that a type shows; none for a type over anything else."""
    ours = (kind.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    entity = getattr(getattr(ours, "origin", None), "entity", None)
    return frozenset(getattr(entity, "__struct_fields__", ()))
