"""What the ledger folds to: positions, their lots, and cash; written only with the ledger, in its transaction."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    any_,
    bindparam,
    delete,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import Date, Uuid

from domain.access import Viewer
from domain.entities import Entity
from domain.positions import CashBalance, Lot, Position
from persistence.listing import Listing, one_of, plain
from persistence.metadata import AMOUNT, QUANTITY, UUIDS, owned_by_client, table
from persistence.repository import Listed, Repository
from persistence.scope import by_book, through
from persistence.sql import Statement, columns, compile_statement, values_of
from persistence.transactions import transactions

positions = table(
    "positions",
    by_book(),
    Column("id", Uuid, primary_key=True),
    Column("portfolio_id", Uuid, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("book_id", Uuid, nullable=False),
    Column("instrument_id", Uuid, ForeignKey("instruments.id"), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("quantity", QUANTITY, nullable=False),
    Column("total_cost", AMOUNT, nullable=False),
    Column("realised_gain", AMOUNT, nullable=False),
    Column("dividends", AMOUNT, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    owned_by_client(),
    ForeignKeyConstraint(["portfolio_id", "client_id"], ["portfolios.id", "portfolios.client_id"]),
    UniqueConstraint("portfolio_id", "instrument_id"),
    Index(None, "portfolio_id", "symbol", "id"),
    Index(None, "portfolio_id", "total_cost", "id"),
    Index(None, "client_id"),
    Index(None, "book_id"),
)

lots = table(
    "lots",
    through("positions", "position_id"),
    Column("id", Uuid, primary_key=True),
    Column("position_id", Uuid, ForeignKey("positions.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("quantity", QUANTITY, nullable=False),
    Column("cost", AMOUNT, nullable=False),
    Index(None, "position_id", "ordinal"),
)

cash_balances = table(
    "cash_balances",
    by_book(),
    Column("id", Uuid, primary_key=True),
    Column("portfolio_id", Uuid, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("book_id", Uuid, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("version", Integer, nullable=False),
    owned_by_client(),
    ForeignKeyConstraint(["portfolio_id", "client_id"], ["portfolios.id", "portfolios.client_id"]),
    UniqueConstraint("portfolio_id", "currency"),
    Index(None, "client_id"),
    Index(None, "book_id"),
)

LOTS = (
    select(*columns(Lot, lots))
    .where(lots.c.position_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(lots.c.position_id, lots.c.ordinal)
)
FORGET_LOTS = delete(lots).where(lots.c.position_id == bindparam("position_id", type_=Uuid))
OF_PORTFOLIOS = select(*columns(Position, positions)).where(
    positions.c.portfolio_id == any_(bindparam("keys", type_=UUIDS))
)
BALANCES = (
    select(*columns(CashBalance, cash_balances))
    .where(cash_balances.c.portfolio_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(cash_balances.c.currency)
)
# What has been traded but not settled by a day, reversed entries and their reversals cancelling out.
UNSETTLED = (
    select(transactions.c.portfolio_id, transactions.c.currency, func.sum(transactions.c.amount).label("amount"))
    .where(
        transactions.c.portfolio_id == any_(bindparam("keys", type_=UUIDS)),
        transactions.c.settles_on > bindparam("day", type_=Date),
    )
    .group_by(transactions.c.portfolio_id, transactions.c.currency)
)


def _folding(entity: type[Entity], target: Table, derived: Sequence[str]) -> Statement:
    """Write a derived row; its version rises only if what it is derived to differs."""
    row = insert(target).values({name: bindparam(name) for name in entity.__struct_fields__})
    values: dict[str, Any] = {name: row.excluded[name] for name in derived}
    changed = tuple_(*(target.c[name] for name in derived)).is_distinct_from(tuple_(*values.values()))
    upsert = row.on_conflict_do_update(
        index_elements=["id"], set_={**values, "version": target.c.version + 1}, where=changed
    )
    return compile_statement(upsert)


FOLD_POSITION = _folding(Position, positions, ["quantity", "total_cost", "realised_gain", "dividends"])
FOLD_CASH = _folding(CashBalance, cash_balances, ["amount"])


class Positions(Listed[Position]):
    """Positions, as far as the viewer sees their client."""

    entity = Position
    table = positions
    listing = Listing(
        Position,
        positions,
        orders={"SYMBOL": positions.c.symbol, "COST": positions.c.total_cost},
        filters=dict(
            [
                # A filter that is off still narrows: without `closed`, only what is held is listed.
                plain("closed", lambda: (positions.c.quantity != 0) | bindparam("closed", type_=Boolean)),
                one_of("instrument_ids", positions.c.instrument_id, UUIDS),
            ]
        ),
        parent="portfolio_id",
    )

    async def of_portfolios(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> list[Position]:
        """All positions of these portfolios, those sold out too."""
        return await self.many(Position, OF_PORTFOLIOS, viewer, keys=portfolio_ids)

    async def lots_of(self, viewer: Viewer, position_ids: Sequence[UUID]) -> list[Lot]:
        """The lots of these positions, oldest first."""
        return await self.many(Lot, LOTS, viewer, keys=position_ids)

    async def store(self, position: Position, held: Sequence[Lot]) -> None:
        """Write a folded position and its lots, with the next version if anything differs."""
        await self.lent.rows(FOLD_POSITION, values_of(position))
        await self.lent.rows(FORGET_LOTS, {"position_id": position.id})
        if held:
            await self.lent.insert_rows("lots", Lot.__struct_fields__, [tuple(values_of(lot).values()) for lot in held])


class Cash(Repository):
    """Cash balances, as far as the viewer sees their client."""

    async def of_portfolios(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> list[CashBalance]:
        """All balances of these portfolios, by trade date."""
        return await self.many(CashBalance, BALANCES, viewer, keys=portfolio_ids)

    async def unsettled(
        self, viewer: Viewer, portfolio_ids: Sequence[UUID], day: date
    ) -> list[tuple[UUID, str, Decimal]]:
        """Portfolio, currency and amount of what has been traded but not settled by the end of a day."""
        rows = await self.rows(UNSETTLED, viewer, keys=portfolio_ids, day=day)
        return [(row[0], row[1], row[2]) for row in rows]

    async def store(self, balance: CashBalance) -> None:
        """Write a folded balance, with the next version if it differs."""
        await self.lent.rows(FOLD_CASH, values_of(balance))
