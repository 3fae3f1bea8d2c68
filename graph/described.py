"""Types of the schema, described where they stand: a line `name: Sentence.` of the docstring for each field.

GraphQL descriptions are documentation for strangers, so none may be missing; a test reads the schema for that.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, dataclass_transform

import strawberry
from strawberry.types.base import StrawberryObjectDefinition

from domain.entities import Described

T = TypeVar("T", bound=type[Any])
S = TypeVar("S", bound=StrEnum)


def _split(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The text about the type itself, and that about each field; a field's text may run over several lines."""
    lead: list[str] = []
    fields: dict[str, str] = {}
    name = ""
    for line in (line.strip() for line in (docstring or "").splitlines()):
        head, colon, rest = line.partition(": ")
        if colon and head.isidentifier() and head.islower():
            name, fields[head] = head, rest
        elif name and line:
            fields[name] += f" {line}"
        elif not name:
            lead.append(line)
    return "\n".join(lead).strip(), fields


def _describe(cls: Any) -> None:
    definition: StrawberryObjectDefinition = cls.__strawberry_definition__
    about, fields = _split(cls.__doc__)
    definition.description = about
    inherited = _inherited(cls)
    for field in definition.fields:
        if field.python_name in fields:
            field.description = fields.pop(field.python_name)
        elif field.description is None:
            field.description = inherited.get(field.python_name)
    if fields:
        raise TypeError(f"{cls.__name__} describes fields that it does not have: {', '.join(fields)}")


def _inherited(cls: Any) -> dict[str, str]:
    """What the types that it extends say of their fields, which Strawberry copies without it."""
    bases = (base for base in reversed(cls.__mro__[1:]) if "__strawberry_definition__" in vars(base))
    return {name: text for base in bases for name, text in _split(base.__doc__)[1].items()}


def _described(make: Callable[..., Any], **options: Any) -> Callable[[T], T]:
    def decorate(cls: T) -> T:
        made: T = make(cls, **options)
        _describe(made)
        return made

    return decorate


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def type_(cls: T) -> T:
    """An object type described by its docstring."""
    return _described(strawberry.type)(cls)


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def input_(cls: T) -> T:
    """An input type described by its docstring."""
    return _described(strawberry.input)(cls)


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def interface(cls: T) -> T:
    """An interface described by its docstring."""
    return _described(strawberry.interface)(cls)


def enum(domain_enum: type[S]) -> type[S]:
    """A domain's enum in the schema, its values described by their lines in its docstring."""
    strawberry.enum(domain_enum, description=(domain_enum.__doc__ or "").strip().splitlines()[0])
    texts = Described.values(domain_enum)
    for value in domain_enum.__strawberry_definition__.values:  # type: ignore[attr-defined] # set by strawberry.enum
        value.description = texts[value.name]
    return domain_enum
