"""Scalars and enums are serialised by the column.

Where every value is already what the encoder writes, the column goes out as it is: that is told by the set of the
values' classes, which costs a tenth of a call for each value.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from graphql import GraphQLEnumType, GraphQLLeafType, GraphQLScalarType, Undefined

from graph.scalars import plain_column

# Of a column without nulls, with the classes of its values.
Serialise = Callable[[Sequence[Any], set[type]], Sequence[Any]]

# Plain numbers of a whole column, one after the other.
WRITTEN: Final = re.compile(r"[-0-9.]+")
TEXT: Final = {str}
LEAST_INT: Final = -(2**31)
MOST_INT: Final = 2**31 - 1


def _small_integers(values: Sequence[Any]) -> bool:
    return bool(min(values) >= LEAST_INT and max(values) <= MOST_INT)


def _finite(values: Sequence[Any]) -> bool:
    return all(map(math.isfinite, values))


def _in_utc(values: Sequence[Any]) -> bool:
    return {value.tzinfo for value in values} == {UTC}


# What the encoder writes as the scalar's own serialisation would: the text of RFC 3339, of ISO 8601, of RFC 9562.
AS_IT_IS: Final[Mapping[str, type]] = {
    "String": str,
    "ID": str,
    "Boolean": bool,
    "Int": int,
    "Float": float,
    "Date": date,
    "UUID": UUID,
    "DateTime": datetime,
}
# Values of which that is true of some alone.
PROVIDED: Final[Mapping[str, Callable[[Sequence[Any]], bool]]] = {
    "Int": _small_integers,
    "Float": _finite,
    "DateTime": _in_utc,
}


def serialiser(kind: GraphQLLeafType) -> Serialise:
    """The function that serialises a column; it raises for one in which any value is wrong."""
    if isinstance(kind, GraphQLEnumType):
        return _names(kind)
    each = _each(kind)
    if is_decimal(kind):
        return _decimals(each)
    if kind.name not in AS_IT_IS:
        return each
    ready, provided = {AS_IT_IS[kind.name]}, PROVIDED.get(kind.name)
    if provided is None:
        return lambda values, kinds: values if kinds == ready else each(values, kinds)
    return lambda values, kinds: values if kinds == ready and provided(values) else each(values, kinds)


def is_decimal(kind: object) -> bool:
    """Whether values of a type are exact numbers, which the database may write itself."""
    return isinstance(kind, GraphQLScalarType) and kind.name == "Decimal"


def serialised(kind: GraphQLLeafType, value: Any) -> Any:
    """One value, serialised as graphql-core does it; raises what it raises."""
    if isinstance(value, Exception):
        raise value
    made = kind.coerce_output_value(value)
    if made is Undefined or made is None:
        raise TypeError(f"{kind} has no value for {type(value).__name__}.")
    return made


def _decimals(each: Serialise) -> Serialise:
    def serialise(values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
        if kinds == {Decimal}:
            return plain_column(values)
        written = kinds == {str} and WRITTEN.fullmatch("".join(values))
        return values if written else each(values, kinds)

    return serialise


def _each(kind: GraphQLLeafType) -> Serialise:
    coerce = kind.coerce_output_value

    def serialise(values: Sequence[Any], _: set[type]) -> Sequence[Any]:
        made = list(map(coerce, values))
        if None in made or Undefined in made:
            raise TypeError(f"{kind} has no value for some.")
        return made

    return serialise


def _names(kind: GraphQLEnumType) -> Serialise:
    """Members and their values alike are looked up; whatever is neither is graphql-core's to judge."""
    names = {value.value: name for name, value in kind.values.items()}
    each = _each(kind)
    # Most are called what their values are, and then the texts of a column are their names.
    alike = frozenset(names.values()) if all(name == value for value, name in names.items()) else frozenset()

    def serialise(values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
        if kinds == TEXT and alike.issuperset(values):
            return values
        try:
            return [names[value] for value in values]
        except (KeyError, TypeError):
            return each(values, kinds)

    return serialise
