"""Households."""

from typing import Final
from uuid import UUID

from sqlalchemy import Column, ColumnElement, ForeignKey, FromClause, Index, Integer, Text, any_, bindparam, select
from sqlalchemy.types import Uuid

from domain.access import Sight, Viewer
from domain.households import Household
from persistence.clients import clients
from persistence.listing import Listing, one_of
from persistence.metadata import UUIDS, table
from persistence.repository import Listed
from persistence.scope import CLIENTS, Scope, by_book

_IN_BOOK: Final = by_book(client=None)


def _visible(table: FromClause, sight: Sight) -> ColumnElement[bool]:
    if sight is not Sight.CLIENTS:
        return _IN_BOOK.predicate(table, sight)
    own = clients.c.id == any_(bindparam("viewer_clients", type_=UUIDS))
    return table.c.id.in_(select(clients.c.household_id).where(own))


# Those of the viewer's books; an end client sees its own one, wherever that lies, and changes none.
OF_MEMBERS: Final = Scope(
    see=f"{_IN_BOOK.see} or id in (select household_id from clients where id in ({CLIENTS}))",  # noqa: S608 - our own names
    add=_IN_BOOK.add,
    change=_IN_BOOK.change,
    predicate=_visible,
)

households = table(
    "households",
    OF_MEMBERS,
    Column("id", Uuid, primary_key=True),
    Column("book_id", Uuid, ForeignKey("books.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "book_id", "sort_name", "id"),
    Index(None, "sort_name", "id"),
)


MEMBERS: Final = select(clients.c.id).where(clients.c.household_id == bindparam("household_id", type_=Uuid))


class Households(Listed[Household]):
    """Households, as far as the viewer sees their book or is a member."""

    entity = Household
    table = households
    listing = Listing(
        Household,
        households,
        orders={"NAME": households.c.sort_name},
        filters=dict([one_of("book_ids", households.c.book_id, UUIDS)]),
    )

    async def members(self, viewer: Viewer, household_id: UUID) -> list[UUID]:
        """The clients that belong to a household, as far as the viewer sees them."""
        return [row[0] for row in await self.rows(MEMBERS, viewer, household_id=household_id)]
