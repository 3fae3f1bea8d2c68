"""Core states the SQL, the driver runs it, rows become entities by position.

A statement is compiled to the driver's text once; after that it costs what bare asyncpg costs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import count, repeat
from typing import Any, Final, TypeVar, cast, get_origin, get_type_hints
from uuid import UUID

import msgspec
from asyncpg import Record
from asyncpg.pgproto import pgproto
from sqlalchemy import ColumnElement, FromClause, Numeric, Text, func
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import CompilerElement

from domain.entities import Entity

E = TypeVar("E", bound=Entity)

DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves its dialects' constructors untyped


def key_of(digits: str) -> UUID:
    """A row's id of its 32 hexadecimal digits, as the driver makes ids: it sends Python's own more slowly.

    Raises ValueError for what is none.
    """
    made: UUID = pgproto.UUID(digits)
    return made


class Statement(msgspec.Struct, frozen=True):
    """A statement as the driver takes it: its text, and the names of its parameters in order."""

    text: str
    names: tuple[str, ...]
    literals: Mapping[str, Any]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the text; a missing one is an error, never null."""
        return [values[name] if name in values else self.literals[name] for name in self.names]


def compile_statement(statement: Executable) -> Statement:
    """Compile a Core statement to the driver's text."""
    compiled = cast("CompilerElement", statement).compile(dialect=DIALECT)
    names = tuple(getattr(compiled, "positiontup", None) or ())
    literals = {name: value for name, value in compiled.params.items() if value is not None}
    return Statement(compiled.string, names, literals)


@lru_cache(maxsize=2048)
def compiled(statement: Executable) -> Statement:
    """As compile_statement, once for a statement that lives as long as its module."""
    return compile_statement(statement)


def as_text(name: str) -> str:
    """What a column of numbers or of an enum is asked for by where they only go out again: as plain text.

    Numbers are without trailing zeros. To make numbers of what the database sends, and text of these, takes four times
    as long as to pass it on; of an enum's members the text is all that goes out.
    """
    return f"{name}::text"


def columns(entity: type[Entity], table: FromClause, names: frozenset[str] | None = None) -> list[ColumnElement[Any]]:
    """The columns of an entity: those with the names of its fields, in their order; with `names`, of these alone."""
    return chosen(entity, [table.c[name] for name in entity.__struct_fields__], names)


def chosen(
    entity: type[Entity], every: Iterable[ColumnElement[Any]], names: frozenset[str] | None
) -> list[ColumnElement[Any]]:
    """Those of an entity's columns that have these names, in the form that is asked for."""
    named = zip(entity.__struct_fields__, every, strict=False)
    if names is None:
        return [column for _, column in named]
    return [
        column if name in names else _text_of(column, name)
        for name, column in named
        if name in names or as_text(name) in names
    ]


def _text_of(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A column as text, which those of enums are."""
    return func.trim_scale(column).cast(Text).label(name) if isinstance(column.type, Numeric) else column


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """What makes a field of a driver's value, where they differ: enums arrive as text, tuples as lists."""
    options = [option for option in getattr(hint, "__args__", ()) if option is not type(None)]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint._value2member_map_.__getitem__
    if get_origin(hint) is tuple:
        return tuple
    if len(options) == 1 and isinstance(options[0], type) and issubclass(options[0], StrEnum):
        return options[0]._value2member_map_.get
    return None


# What is selected is the clients' own choice.
@lru_cache(maxsize=2048)
def _fields(
    entity: type[Entity], names: frozenset[str] | None
) -> tuple[tuple[int | None, Callable[[Any], Any] | None], ...]:
    """For each field of an entity, its place among the columns of these names, and what makes it of its column."""
    hints, places = get_type_hints(entity), count()
    return tuple(
        (
            next(places) if names is None or name in names or as_text(name) in names else None,
            _converter(hints[name]) if names is None or name in names else None,
        )
        for name in entity.__struct_fields__
    )


# What a list's rows are ordered by, of which cursors are made; where columns are named, it is named like one of them.
PLACE: Final = "place in the list"


class Unread:
    """Stands for a column that was not fetched; nobody may find it."""

    def __repr__(self) -> str:
        return "UNREAD"


UNREAD: Final = Unread()
NOT_FETCHED: Final = repeat(UNREAD)


def read_all(entity: type[E], rows: Sequence[Record], names: frozenset[str] | None = None) -> list[E]:
    """All rows as entities, whose fields are the first columns, in order; with `names`, those fields alone.

    Column by column: what makes an entity of each row is called by C, and so is what converts a field.
    """
    if not rows:
        return []
    fetched: list[Any] = list(zip(*rows, strict=True))
    columns = [
        NOT_FETCHED if at is None else map(convert, fetched[at]) if convert else fetched[at]
        for at, convert in _fields(entity, names)
    ]
    return list(map(entity, *columns))


def values_of(entity: Entity) -> dict[str, Any]:
    """An entity's fields as a statement's parameters."""
    return {name: getattr(entity, name) for name in entity.__struct_fields__}
