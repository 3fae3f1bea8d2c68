"""Households."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Text
from sqlalchemy.types import Uuid

from domain.households import Household
from persistence.listing import Listing, one_of
from persistence.metadata import UUIDS, table
from persistence.repository import Listed
from persistence.scope import by_book

households = table(
    "households",
    by_book(client=None),
    Column("id", Uuid, primary_key=True),
    Column("book_id", Uuid, ForeignKey("books.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "book_id", "sort_name", "id"),
    Index(None, "sort_name", "id"),
)


class Households(Listed[Household]):
    """Households, as far as the viewer sees their book."""

    entity = Household
    table = households
    listing = Listing(
        Household,
        households,
        orders={"NAME": households.c.sort_name},
        filters=dict([one_of("book_ids", households.c.book_id, UUIDS)]),
    )
