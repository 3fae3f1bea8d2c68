"""Queries drawn from the schema: any field, with any arguments, to some depth."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from hypothesis import strategies as st

from tests.strategies.lists import DAYS, INPUTS, filters
from tests.support.inputs import Leaf

PAGE_ARGUMENTS: Final = {"first", "after", "last", "before"}
MOST_FIELDS: Final = 4


class Enum(str):
    """A value that is written without quotes."""

    __slots__ = ()


def literal(value: Any) -> str:
    """A value as a document holds it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return str(value) if isinstance(value, Enum) else json.dumps(value)


class Documents:
    """Draws documents whose ids are among those given for their prefixes."""

    def __init__(self, draw: st.DrawFn, ids: Mapping[str, Sequence[str]]) -> None:
        self._draw = draw
        self._ids = ids

    def selection(self, kind: GraphQLNamedType, depth: int) -> str:
        """What is asked of an object: always its type and its id, and some more."""
        if isinstance(kind, GraphQLUnionType):
            members = self._draw(st.lists(st.sampled_from(kind.types), min_size=1, max_size=MOST_FIELDS, unique=True))
            of_each = (f"... on {each.name} {{ {self.selection(each, depth)} }}" for each in members)
            return " ".join(["__typename", *of_each])
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        usable = [name for name, field in kind.fields.items() if depth or is_leaf_type(get_named_type(field.type))]
        # Some types hold nothing but what lies deeper.
        usable = usable or sorted(kind.fields)
        chosen = self._draw(st.lists(st.sampled_from(usable), min_size=1, max_size=MOST_FIELDS, unique=True))
        # A list without its rows would tell little.
        always = [name for name in ("id", "nodes") if name in kind.fields]
        names = dict.fromkeys([*always, *chosen])
        return " ".join(["__typename", *(self.field(name, kind.fields[name], depth) for name in names)])

    def field(self, name: str, field: GraphQLField, depth: int) -> str:
        """A field with its arguments, and what is asked of what it leads to."""
        arguments = self._arguments(field)
        text = f"{name}({arguments})" if arguments else name
        kind = get_named_type(field.type)
        if is_leaf_type(kind):
            return text
        # The connection itself is no level of its own.
        deeper = depth if "first" in field.args or name in {"nodes", "edges"} else depth - 1
        return f"{text} {{ {self.selection(kind, max(deeper, 0))} }}"

    def _arguments(self, field: GraphQLField) -> str:
        given = {
            name: self._value(name, argument) for name, argument in field.args.items() if self._wanted(argument, name)
        }
        if "first" in field.args:
            given[self._draw(st.sampled_from(["first", "last"]))] = self._draw(st.integers(1, 20))
        return ", ".join(f"{name}: {literal(value)}" for name, value in given.items() if value is not None)

    def _wanted(self, argument: GraphQLArgument, name: str) -> bool:
        return is_required_argument(argument) or (name not in PAGE_ARGUMENTS and self._draw(st.booleans()))

    def _value(self, name: str, argument: GraphQLArgument) -> Any:
        kind = get_named_type(argument.type)
        if isinstance(kind, GraphQLInputObjectType):
            return self._order(kind) if name == "orderBy" else self._filter(kind)
        assert isinstance(kind, GraphQLLeafType)
        found = self._leaf(name, kind)
        return [found] if _is_list(argument.type) else found

    def _leaf(self, name: str, kind: Any) -> Any:
        if isinstance(kind, GraphQLEnumType):
            return Enum(self._draw(st.sampled_from(list(kind.values))))
        prefix = Leaf((name,), kind).prefix
        if prefix is not None:
            known = self._ids.get(prefix) or [each for ids in self._ids.values() for each in ids]
            return self._draw(st.sampled_from(known))
        if kind.name == "Date":
            return DAYS[0] if name == "from" else DAYS[1]
        return {"Int": 1, "Boolean": True, "String": "INR"}[kind.name]

    def _order(self, kind: GraphQLInputObjectType) -> dict[str, Enum]:
        return {name: self._leaf(name, get_named_type(field.type)) for name, field in kind.fields.items()}

    def _filter(self, kind: GraphQLInputObjectType) -> dict[str, Any]:
        enums = {str(leaf.path[0]) for leaf in INPUTS.leaves(kind) if isinstance(leaf.kind, GraphQLEnumType)}
        chosen = self._draw(filters(kind, self._ids)) or {}
        return {name: _unquoted(value) if name in enums else value for name, value in chosen.items()}


def in_full(kind: GraphQLNamedType, depth: int, since: date) -> str:
    """Every field of a type, and of what it leads to, some levels deep; a level of a list's own is none.

    `since` is the day that charts begin with.
    """
    if isinstance(kind, GraphQLUnionType):
        return " ".join(f"... on {each.name} {{ {in_full(each, depth, since)} }}" for each in kind.types)
    assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
    shown = ["__typename"]
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        needed = f'({name_of}: "{since}")' if (name_of := _needed(field)) else _few(field)
        if is_leaf_type(inner):
            shown.append(name + needed)
        elif depth or "nodes" in kind.fields:
            deeper = depth if "nodes" in kind.fields else depth - 1
            shown.append(f"{name}{needed} {{ {in_full(inner, deeper, since)} }}")
    return " ".join(shown)


def _needed(field: GraphQLField) -> str | None:
    """The one argument that a field cannot be asked without: so far they are all days."""
    return next((name for name, argument in field.args.items() if is_required_argument(argument)), None)


def _few(field: GraphQLField) -> str:
    """Of a list beneath a list a few rows, for all together must not cost too much."""
    return "(first: 3)" if "first" in field.args else ""


def _unquoted(value: Any) -> Any:
    return [Enum(each) for each in value] if isinstance(value, list) else Enum(value)


def _is_list(kind: Any) -> bool:
    return isinstance(kind.of_type if isinstance(kind, GraphQLNonNull) else kind, GraphQLList)


# Asked for by ids, or by an input that must be of one portfolio's: they have tests of their own.
APART: Final = {"node", "nodes", "previewOrder"}


@st.composite
def documents(draw: st.DrawFn, ids: Mapping[str, Sequence[str]]) -> str:
    """A query of one or two fields, some levels deep."""
    drawn = Documents(draw, ids)
    query = INPUTS.schema.query_type
    assert query
    names = draw(st.lists(st.sampled_from(sorted(set(query.fields) - APART)), min_size=1, max_size=2))
    fields = [f"q{at}: {drawn.field(name, query.fields[name], 4)}" for at, name in enumerate(names)]
    return "{ " + " ".join(fields) + " }"


@st.composite
def nodes(draw: st.DrawFn, ids: Mapping[str, Sequence[str]], kinds: Mapping[str, str]) -> str:
    """A query for several objects of one kind by their ids; `kinds` names the type of each prefix."""
    prefix = draw(st.sampled_from(sorted(ids)))
    kind = INPUTS.schema.type_map[kinds[prefix]]
    wanted = draw(st.lists(st.sampled_from(ids[prefix]), min_size=1, max_size=5))
    shown = Documents(draw, ids).selection(kind, 3)
    return f"{{ nodes(ids: {json.dumps(wanted)}) {{ __typename id ... on {kind.name} {{ {shown} }} }} }}"
