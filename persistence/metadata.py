"""The one metadata of all tables, and the columns that recur in them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    MetaData,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.types import Numeric, TypeEngine, Uuid

from persistence.scope import Scope

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

AMOUNT: TypeEngine[Any] = Numeric(20, 4)
QUANTITY: TypeEngine[Any] = Numeric(24, 10)
MOMENT: TypeEngine[Any] = TIMESTAMP(timezone=True)
UUIDS: TypeEngine[Any] = ARRAY(Uuid)
TEXTS: TypeEngine[Any] = ARRAY(Text)


def table(name: str, scope: Scope, *items: Any, prefixes: Sequence[str] = ()) -> Table:
    """A table and whose rows it holds; without a scope there is no table. `prefixes` as in CREATE UNLOGGED TABLE."""
    return Table(name, metadata, *items, info={"scope": scope}, prefixes=list(prefixes))


def unnested(name: str, type_: TypeEngine[Any]) -> TableValuedAlias:
    """The values of an array parameter as rows, with one column `value`."""
    rows: TableValuedAlias = func.unnest(bindparam(name, type_=type_)).table_valued("value")
    return rows.render_derived()


def enum_column(name: str, enum: type[StrEnum], *, nullable: bool = False) -> tuple[Column[str], CheckConstraint]:
    """A text column that a CHECK holds to the enum: native enums lose their indexes under row-level security."""
    values = ", ".join(f"'{value.value}'" for value in enum)
    return Column(name, Text, nullable=nullable), CheckConstraint(f"{name} IN ({values})", name=name)


def owned_by_client() -> ForeignKeyConstraint:
    """Keeps `book_id` true: a client that changes hands takes all its rows along in one cascade."""
    return ForeignKeyConstraint(["client_id", "book_id"], ["clients.id", "clients.book_id"], onupdate="CASCADE")
