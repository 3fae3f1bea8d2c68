"""The weights of a whole schema, read off its fields once."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final, cast

import msgspec
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    get_named_type,
    is_leaf_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from graph.cost.declared import Cost, Size, declared

# Costs are counted in whole hundredths of a point: sums stay exact, and the same on every machine.
HUNDREDTHS: Final = 100
# Of a list that does not say; a test holds that each of ours does.
EXPECTED: Final = 10
INTROSPECTED: Final = Cost(each=0.01)
POINTS: Final = "cost_points"


class Kind(Enum):
    """How many objects a field gives."""

    SCALAR = auto()
    ONE = auto()
    LIST = auto()
    CONNECTION = auto()
    # `nodes` and `edges`: the page of the connection that they stand in.
    PAGE = auto()


class Weight(msgspec.Struct, frozen=True, gc=False):
    """What a field costs, in hundredths, and how many objects of which type it gives."""

    kind: Kind
    own: int
    each: int
    size: Size
    type_name: str
    by_address: bool = False
    # Of a list that does not say how long it is expected to be.
    guessed: bool = False


class Weights:
    """The weight of each field, by the name of its type; what is not listed is a scalar and free."""

    def __init__(self, fields: Mapping[str, Mapping[str, Weight]], interfaces: frozenset[str] = frozenset()) -> None:
        self._fields = fields
        self._interfaces = interfaces

    @classmethod
    def of(cls, schema: GraphQLSchema) -> "Weights":
        """Read them off a schema of Strawberry's."""
        composite = {
            name: kind
            for name, kind in schema.type_map.items()
            if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        }
        sizes = _introspected_sizes(schema)
        fields = {name: _weights(kind, sizes) for name, kind in composite.items()}
        if schema.query_type is not None:
            for meta in (("__schema", SchemaMetaFieldDef), ("__type", TypeMetaFieldDef)):
                fields[schema.query_type.name][meta[0]] = _weight(meta[1], INTROSPECTED, {}, meta[0])
        interfaces = frozenset(name for name, kind in composite.items() if isinstance(kind, GraphQLInterfaceType))
        return cls(fields, interfaces)

    def of_type(self, name: str) -> Mapping[str, Weight]:
        """The weights of a type's fields."""
        return self._fields.get(name, {})

    def is_interface(self, name: str) -> bool:
        """Whether objects of several types answer to a type's name."""
        return name in self._interfaces

    def unsaid(self, name: str) -> list[str]:
        """The fields of a type that are lists and do not say how long they are expected to be."""
        return [field for field, weight in self.of_type(name).items() if weight.guessed]


def _weights(kind: GraphQLObjectType | GraphQLInterfaceType, sizes: Mapping[str, int]) -> dict[str, Weight]:
    found: dict[str, Weight] = {}
    for name, field in kind.fields.items():
        said = _said(field) or (INTROSPECTED if kind.name.startswith("__") else Cost())
        weight = _weight(field, said, sizes, f"{kind.name}.{name}", in_connection=kind.name.endswith("Connection"))
        if weight.kind is not Kind.SCALAR or weight.own:
            found[name] = weight
    return found


def _said(field: GraphQLField) -> Cost | None:
    ours = (field.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return declared(getattr(ours, "metadata", None))


def _weight(
    field: GraphQLField, said: Cost, sizes: Mapping[str, int], name: str, *, in_connection: bool = False
) -> Weight:
    named = get_named_type(field.type)
    listed = _is_list(field.type)
    size: Size = said.size if said.size is not None else sizes.get(name, EXPECTED if listed else 1)
    if is_leaf_type(named):
        kind = Kind.SCALAR
    elif named.name.endswith("Connection"):
        kind = Kind.CONNECTION
    elif listed:
        kind = Kind.PAGE if in_connection and said.size is None else Kind.LIST
    else:
        kind = Kind.ONE
    each = 0 if is_leaf_type(named) else _points_of(named) if said.each is None else said.each
    guessed = kind is Kind.LIST and said.size is None and name not in sizes
    return Weight(kind, _hundredths(said.own), _hundredths(each), size, named.name, said.by_address, guessed)


def _points_of(kind: GraphQLNamedType) -> float:
    """What one object of a type costs, as its class says."""
    ours = (kind.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return float(getattr(getattr(ours, "origin", None), POINTS, 1))


def _hundredths(points: float) -> int:
    return round(points * HUNDREDTHS)


def _is_list(kind: Any) -> bool:
    bare = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    return isinstance(bare, GraphQLList)


def _introspected_sizes(schema: GraphQLSchema) -> dict[str, int]:
    """How long introspection's own lists are in this schema, on average and rounded up."""
    types = list(schema.type_map.values())
    fields = [len(cast("Any", kind).fields) for kind in types if hasattr(kind, "fields")]
    average = -(-sum(fields) // max(1, len(types)))
    lists = {"fields": average, "inputFields": average, "interfaces": 1, "possibleTypes": 1, "enumValues": 2}
    return {
        "__Schema.types": len(types),
        "__Schema.directives": len(schema.directives),
        "__Field.args": 1,
        "__Directive.args": 1,
        **{f"__Type.{name}": size for name, size in lists.items()},
    }
