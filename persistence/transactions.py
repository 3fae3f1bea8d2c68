"""The ledger: rows are added and never changed, but for the book that a client's move takes along."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    any_,
    bindparam,
    select,
    text,
)
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.ledger import Transaction, TransactionKind
from persistence.listing import Listing, one_of, plain
from persistence.metadata import AMOUNT, MOMENT, QUANTITY, TEXTS, UUIDS, enum_column, owned_by_client, table
from persistence.repository import Listed
from persistence.scope import by_book
from persistence.sql import columns

transactions = table(
    "transactions",
    by_book(),
    Column("id", Uuid, primary_key=True),
    Column("portfolio_id", Uuid, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("book_id", Uuid, nullable=False),
    *enum_column("kind", TransactionKind),
    Column("instrument_id", Uuid, ForeignKey("instruments.id")),
    Column("quantity", QUANTITY),
    Column("price", QUANTITY),
    Column("amount", AMOUNT, nullable=False),
    Column("currency", Text, nullable=False),
    Column("brokerage", AMOUNT, nullable=False),
    Column("transaction_tax", AMOUNT, nullable=False),
    Column("stamp_duty", AMOUNT, nullable=False),
    Column("other_charges", AMOUNT, nullable=False),
    Column("cost", AMOUNT),
    Column("acquired_on", Date),
    Column("ratio_new", Integer),
    Column("ratio_old", Integer),
    Column("traded_on", Date, nullable=False),
    Column("settles_on", Date, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    Column("recorded_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("reverses_id", Uuid, ForeignKey("transactions.id"), unique=True),
    Column("reference", Text),
    Column("note", Text),
    owned_by_client(),
    ForeignKeyConstraint(["portfolio_id", "client_id"], ["portfolios.id", "portfolios.client_id"]),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("(kind = 'REVERSAL') = (reverses_id is not null)", name="reversal"),
    Index(None, "portfolio_id", "traded_on", "id"),
    Index(None, "portfolio_id", "recorded_at", "id"),
    # Splits and bonuses are few, and each valuation asks for them.
    Index("transactions_actions_idx", "portfolio_id", postgresql_where=text("ratio_new is not null")),
    Index("transactions_client_actions_idx", "client_id", postgresql_where=text("ratio_new is not null")),
    Index(None, "book_id", "traded_on", "id"),
    Index(None, "traded_on", "id"),
    Index(None, "book_id", "recorded_at", "id"),
    Index(None, "recorded_at", "id"),
    Index(None, "client_id"),
)

OF_PORTFOLIO = select(*columns(Transaction, transactions)).where(
    transactions.c.portfolio_id == bindparam("portfolio_id", type_=Uuid)
)
REVERSALS = select(*columns(Transaction, transactions)).where(
    transactions.c.reverses_id == any_(bindparam("keys", type_=UUIDS))
)


class Transactions(Listed[Transaction]):
    """Ledger entries, as far as the viewer sees their client."""

    entity = Transaction
    table = transactions
    listing = Listing(
        Transaction,
        transactions,
        orders={"TRADED_ON": transactions.c.traded_on, "RECORDED_AT": transactions.c.recorded_at},
        filters=dict(
            [
                one_of("kinds", transactions.c.kind, TEXTS),
                plain("instrument_id", lambda: transactions.c.instrument_id == bindparam("instrument_id")),
                plain("currency", lambda: transactions.c.currency == bindparam("currency")),
                plain("traded_from", lambda: transactions.c.traded_on >= bindparam("traded_from")),
                plain("traded_to", lambda: transactions.c.traded_on <= bindparam("traded_to")),
            ]
        ),
        parent="portfolio_id",
    )

    async def of_portfolio(self, viewer: Viewer, portfolio_id: UUID) -> list[Transaction]:
        """All entries of a portfolio, in no order."""
        return await self.many(Transaction, OF_PORTFOLIO, viewer, portfolio_id=portfolio_id)

    async def reversals(self, viewer: Viewer, transaction_ids: Sequence[UUID]) -> list[Transaction]:
        """The entries that take these back; each is taken back at most once."""
        return await self.many(Transaction, REVERSALS, viewer, keys=transaction_ids)
