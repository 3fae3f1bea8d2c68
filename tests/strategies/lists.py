"""Filters of lists, drawn from the schema: a new filter is tested without anybody thinking of it."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql import GraphQLEnumType, GraphQLInputObjectType
from hypothesis import strategies as st

from tests.support.inputs import Inputs, Leaf

INPUTS: Final = Inputs(str)
DAYS: Final = ["2025-01-06", "2025-01-08", "2030-01-01", "2030-01-02", "0001-01-01", "9999-12-31"]
TEXTS: Final = {
    "text": ["zo", "ar", "s", "b a", "client", "nobody", ""],
    "search": ["sa", "client", "of s", "nobody", ""],
    "tag": ["vip", "x"],
    "currency": ["INR", "USD"],
    "names": ["books.count", "nothing"],
    "accountNumber": ["ACC-000001", "x"],
    "actions": ["tests.change", "clients.update"],
}


def _values(leaf: Leaf, ids: Mapping[str, Sequence[str]]) -> st.SearchStrategy[Any]:
    if isinstance(leaf.kind, GraphQLEnumType):
        return st.sampled_from(list(leaf.kind.values))
    if leaf.prefix:
        return st.sampled_from(ids[leaf.prefix])
    if leaf.kind.name == "Date":
        return st.sampled_from(DAYS)
    if leaf.kind.name == "DateTime":
        return st.sampled_from([f"{day}T12:00:00Z" for day in DAYS])
    if leaf.kind.name == "Boolean":
        return st.booleans()
    return st.sampled_from(TEXTS.get(leaf.field, ["INR", "XNSE", "Financials", "x"]))


def filters(
    kind: GraphQLInputObjectType | None, ids: Mapping[str, Sequence[str]]
) -> st.SearchStrategy[dict[str, Any] | None]:
    """Filters of a list: none, or up to two of its fields; ids are among those given for their prefix."""
    if kind is None:
        return st.none()
    fields = {
        str(leaf.path[0]): st.lists(_values(leaf, ids), max_size=3) if len(leaf.path) > 1 else _values(leaf, ids)
        for leaf in INPUTS.leaves(kind)
    }
    some = st.fixed_dictionaries({}, optional=fields).map(lambda chosen: dict(itertools.islice(chosen.items(), 2)))
    return st.none() | some
