"""From the schema's inputs to the domain's structs, by the fields' names."""

import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from strawberry.types.base import has_object_definition
from strawberry.types.unset import UNSET

from domain.errors import Invalid
from graph.ids import decode, split

S = TypeVar("S", bound=msgspec.Struct)


def camel(name: str) -> str:
    """A Python name as the schema spells it."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def into(struct: type[S], given: Any, path: str = "input", **more: Any) -> S:
    """The struct whose fields have the names of the input's; `more` overrides or adds fields.

    A field `client_id` (or `client_ids`) holds ids with the prefix `client`; one that was not given keeps the struct's
    default. Raises Invalid, naming the field's path, for an id of another type, and for null where there is none.
    """
    hints = _hints(struct)
    values: dict[str, Any] = {}
    for name in struct.__struct_fields__:
        value = getattr(given, name, UNSET)
        if name not in more and value is not UNSET and not _left_out(given, name, value, hints[name]):
            values[name] = _converted(value, hints[name], name, f"{path}.{camel(name)}")
    return struct(**values, **more)


# What a field names by its part: an actor is a user, and an object is of any type.
PARTS: Final[Mapping[str, str]] = {"actor": "user"}
ANYTHING: Final = "object"


def _key(text: str, prefix: str, path: str) -> UUID:
    return split(text, path)[1] if prefix == ANYTHING else decode(text, PARTS.get(prefix, prefix), path)


@cache
def _hints(struct: type[msgspec.Struct]) -> Mapping[str, Any]:
    return get_type_hints(struct)


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def _left_out(given: Any, name: str, value: Any, hint: Any) -> bool:
    """Whether a null only says that the field was not given: it is the input's own default, and the struct has none."""
    return value is None and type(None) not in _options(hint) and getattr(type(given), name, UNSET) is None


def _converted(value: Any, hint: Any, name: str, path: str) -> Any:
    options = [option for option in _options(hint) if option not in {type(None), msgspec.UnsetType}]
    inner = options[0]
    if value is None and type(None) not in _options(hint):
        raise Invalid.of(path, "can be left out, but is never null")
    if value is None or isinstance(value, Enum):
        return value
    if isinstance(value, list):
        item = get_args(inner)[0]
        return tuple(_converted(each, item, name.removesuffix("s"), f"{path}.{at}") for at, each in enumerate(value))
    if inner is UUID:
        return _key(str(value), name.removesuffix("_id"), path)
    if has_object_definition(type(value)) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return into(inner, value, path)
    return value
