"""Inputs made from the schema itself: a mutation or field that is new is tested without anybody thinking of it."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import count
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_required_input_field,
)

from graph.schema import schema_text

Path = tuple[str | int, ...]

# What a rule would accept, where the type alone does not tell.
TELLING: Final = {
    "currency": "INR",
    "baseCurrency": "INR",
    "email": "asha@example.org",
    "exchange": "XNSE",
    "phone": "+91 98123 45678",
    "language": "hi",
    "taxId": "ABCDE1234F",
    "name": "Asha Rao",
}
PLAIN: Final = {
    "String": "Text",
    "Int": 1,
    "Boolean": True,
    "Decimal": "1",
    "Date": "2026-01-05",
    "DateTime": "2026-01-05T04:00:00Z",
    "Float": 1.0,
    "JSON": {"theme": "dark"},
}


# What a field names by its part: an actor is a user, and an object or a node may be a client.
PARTS: Final = {"actor": "user", "object": "client", "node": "client"}


class Leaf:
    """A place in an input that holds a scalar or an enum's value."""

    def __init__(self, path: Path, kind: GraphQLScalarType | GraphQLEnumType) -> None:
        self.path = path
        self.kind = kind

    @property
    def field(self) -> str:
        """The name of the innermost field."""
        return next(str(part) for part in reversed(self.path) if isinstance(part, str))

    @property
    def prefix(self) -> str | None:
        """The prefix of the ids that it takes, if it takes ids."""
        if self.kind.name != "ID":
            return None
        name = self.field.removesuffix("s")
        part = "".join(f"_{mark.lower()}" if mark.isupper() else mark for mark in name).removesuffix("_id")
        return PARTS.get(part, part)

    def __repr__(self) -> str:
        """Where it is."""
        return ".".join(map(str, self.path))


@cache
def printed() -> GraphQLSchema:
    """The schema as its own text tells it, read once for all who only look at it."""
    return build_schema(schema_text())


class Inputs:
    """Makes inputs for the schema's mutations and lists; `ids` gives an id for a prefix."""

    def __init__(self, ids: Callable[[str], str]) -> None:
        self.schema = printed()
        self._ids = ids
        self._numbers = count(1)

    @property
    def mutations(self) -> list[str]:
        """The names of all mutations."""
        assert self.schema.mutation_type
        return sorted(self.schema.mutation_type.fields)

    @property
    def lists(self) -> list[str]:
        """The names of all connections at the root."""
        assert self.schema.query_type
        return sorted(name for name, field in self.schema.query_type.fields.items() if "first" in field.args)

    def kind_of(self, mutation: str) -> GraphQLInputObjectType:
        """The type of a mutation's input."""
        assert self.schema.mutation_type
        kind = self.schema.mutation_type.fields[mutation].args["input"].type
        assert isinstance(kind, GraphQLNonNull)
        assert isinstance(kind.of_type, GraphQLInputObjectType)
        return kind.of_type

    def filter_of(self, name: str) -> GraphQLInputObjectType | None:
        """The type of a list's filter, if it has one."""
        assert self.schema.query_type
        argument = self.schema.query_type.fields[name].args.get("filter")
        assert argument is None or isinstance(argument.type, GraphQLInputObjectType)
        return argument.type if argument else None

    def of(self, kind: GraphQLInputObjectType, *, full: bool = False) -> dict[str, Any]:
        """A well-formed input: its needed fields, or all of them."""
        return {
            name: self._value(field, name, full=full)
            for name, field in kind.fields.items()
            if full or is_required_input_field(field)
        }

    def _value(self, field: GraphQLInputField, name: str, *, full: bool) -> Any:
        kind: Any = field.type
        lists = 0
        while isinstance(kind, GraphQLNonNull | GraphQLList):
            lists += isinstance(kind, GraphQLList)
            kind = kind.of_type
        value = self.of(kind, full=full) if isinstance(kind, GraphQLInputObjectType) else self._plain(name, kind)
        for _ in range(lists):
            value = [value]
        return value

    def _plain(self, name: str, kind: GraphQLScalarType | GraphQLEnumType) -> Any:
        if isinstance(kind, GraphQLEnumType):
            return next(iter(kind.values))
        if prefix := Leaf((name,), kind).prefix:
            return self._ids(prefix)
        if name == "idempotencyKey":
            return f"key {next(self._numbers)}"
        return TELLING.get(name, PLAIN[kind.name])

    def leaves(self, kind: GraphQLInputObjectType, before: Path = ()) -> Iterator[Leaf]:
        """Every place of a full input that holds a scalar or an enum's value."""
        for name, field in kind.fields.items():
            inner: Any = field.type
            path: Path = (*before, name)
            while isinstance(inner, GraphQLNonNull | GraphQLList):
                path = (*path, 0) if isinstance(inner, GraphQLList) else path
                inner = inner.of_type
            if isinstance(inner, GraphQLInputObjectType):
                yield from self.leaves(inner, path)
            else:
                yield Leaf(path, inner)


def replaced(given: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """The input with another value at a place."""
    changed = deepcopy(given)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def document(mutation: str) -> str:
    """A mutation that asks for nothing but what was declined."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    return f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ __typename userErrors {{ code field }} }} }}"
