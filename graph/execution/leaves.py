"""Scalars and enums are serialised by the column.

Where every value is already what the encoder writes, the column goes out as it is: that is told by the set of the
values' classes, which costs a tenth of a call for each value.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from graphql import GraphQLEnumType, GraphQLLeafType, Undefined

from graph.scalars import plain_column

Serialise = Callable[[Sequence[Any]], Sequence[Any]]

LEAST_INT: Final = -(2**31)
MOST_INT: Final = 2**31 - 1


def _all_of(kind: type) -> Callable[[Sequence[Any]], bool]:
    only = {kind}

    def check(values: Sequence[Any]) -> bool:
        return set(map(type, values)) == only

    return check


def _small_integers(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) >= LEAST_INT and max(values) <= MOST_INT


def _finite(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {float} and all(map(math.isfinite, values))


def _moments_in_utc(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {datetime} and {value.tzinfo for value in values} == {UTC}


_decimals = _all_of(Decimal)

# What the encoder writes as the scalar's own serialisation would: the text of RFC 3339, of ISO 8601, of RFC 9562.
AS_IT_IS: Final[Mapping[str, Callable[[Sequence[Any]], bool]]] = {
    "String": _all_of(str),
    "ID": _all_of(str),
    "Boolean": _all_of(bool),
    "Int": _small_integers,
    "Float": _finite,
    "Date": _all_of(date),
    "UUID": _all_of(UUID),
    "DateTime": _moments_in_utc,
}


def serialiser(kind: GraphQLLeafType) -> Serialise:
    """The function that serialises a column without nulls; it raises for a column in which any value is wrong."""
    if isinstance(kind, GraphQLEnumType):
        return _names(kind)
    each = _each(kind)
    if kind.name == "Decimal":
        return lambda values: plain_column(values) if _decimals(values) else each(values)
    ready = AS_IT_IS.get(kind.name)
    if ready is None:
        return each
    return lambda values: values if ready(values) else each(values)


def serialised(kind: GraphQLLeafType, value: Any) -> Any:
    """One value, serialised as graphql-core does it; raises what it raises."""
    if isinstance(value, Exception):
        raise value
    made = kind.coerce_output_value(value)
    if made is Undefined or made is None:
        raise TypeError(f"{kind} has no value for {type(value).__name__}.")
    return made


def _each(kind: GraphQLLeafType) -> Serialise:
    coerce = kind.coerce_output_value

    def serialise(values: Sequence[Any]) -> Sequence[Any]:
        made = list(map(coerce, values))
        if None in made or Undefined in made:
            raise TypeError(f"{kind} has no value for some.")
        return made

    return serialise


def _names(kind: GraphQLEnumType) -> Serialise:
    """Members and their values alike are looked up; whatever is neither is graphql-core's to judge."""
    names = {value.value: name for name, value in kind.values.items()}
    each = _each(kind)

    def serialise(values: Sequence[Any]) -> Sequence[Any]:
        try:
            return [names[value] for value in values]
        except (KeyError, TypeError):
            return each(values)

    return serialise
