"""Idempotency keys."""

from sqlalchemy import Column, Index, Text, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.receipts import Receipt
from persistence.metadata import MOMENT, table
from persistence.repository import Repository
from persistence.scope import by_user
from persistence.sql import columns, values_of

receipts = table(
    "receipts",
    by_user(),
    Column("user_id", Uuid, primary_key=True),
    Column("mutation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("result_id", Uuid, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Index(None, "created_at"),
)

# Waits for a concurrent use of the same key: the unique index is the referee.
CLAIM = (
    insert(receipts)
    .values({name: bindparam(name) for name in Receipt.__struct_fields__})
    .on_conflict_do_nothing()
    .returning(*columns(Receipt, receipts))
)
FIRST = select(*columns(Receipt, receipts)).where(
    receipts.c.mutation == bindparam("mutation"), receipts.c.key == bindparam("key")
)


class Receipts(Repository):
    """The viewer's idempotency keys."""

    async def kept(self, viewer: Viewer, receipt: Receipt) -> Receipt:
        """Store the receipt, or give the one that was there first."""
        if claimed := await self.lent.many(Receipt, CLAIM, values_of(receipt)):
            return claimed[0]
        (first,) = await self.many(Receipt, FIRST, viewer, mutation=receipt.mutation, key=receipt.key)
        return first
