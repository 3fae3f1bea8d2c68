"""What the ledger folds to: positions, their lots, and cash; written only with the ledger, in its transaction."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Select,
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
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Date, Uuid

from domain.access import Viewer
from domain.entities import Entity
from domain.positions import CashBalance, Lot, Position, Settled
from persistence.listing import Listing, one_of, plain
from persistence.metadata import AMOUNT, QUANTITY, UUIDS, owned_by_client, table
from persistence.repository import Listed, Repository, by_ids
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
    Column("currency", Text, nullable=False),
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
LOTS_BY_IDS = by_ids(Lot, lots)


def _inserting_lots() -> Statement:
    """All lots in one statement, each field an array: COPY does not go together with policies."""
    names = Lot.__struct_fields__
    arrays = (bindparam(name, type_=ARRAY(lots.c[name].type)) for name in names)
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    return compile_statement(lots.insert().from_select(names, select(*(rows.c[name] for name in names))))


INSERT_LOTS = _inserting_lots()


def _moved(condition: ColumnElement[bool]) -> ColumnElement[Decimal]:
    return func.coalesce(func.sum(transactions.c.amount).filter(condition), 0)


# Cash on any day out of the ledger itself: an entry that was reversed and its reversal have the same dates and
# cancel out, so this one statement serves for today and for the past.
SETTLED = (
    select(
        transactions.c.portfolio_id,
        transactions.c.currency,
        _moved(transactions.c.settles_on <= bindparam("day", type_=Date)),
        _moved(transactions.c.settles_on > bindparam("day", type_=Date)),
    )
    .where(
        transactions.c.portfolio_id == any_(bindparam("keys", type_=UUIDS)),
        transactions.c.traded_on <= bindparam("day", type_=Date),
        transactions.c.amount != 0,
    )
    .group_by(transactions.c.portfolio_id, transactions.c.currency)
    .order_by(transactions.c.currency)
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


def _available() -> Select[Any]:
    cash = select(cash_balances.c.amount).where(
        cash_balances.c.portfolio_id == bindparam("portfolio_id", type_=Uuid),
        cash_balances.c.currency == bindparam("currency"),
    )
    units = select(positions.c.quantity).where(
        positions.c.portfolio_id == bindparam("portfolio_id", type_=Uuid),
        positions.c.instrument_id == bindparam("instrument_id", type_=Uuid),
    )
    return select(func.coalesce(cash.scalar_subquery(), 0), func.coalesce(units.scalar_subquery(), 0))


# The portfolio was read under scope, and the policies hold in the subqueries.
AVAILABLE = _available()


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

    async def available(
        self,
        viewer: Viewer,  # noqa: ARG002 - every reading is somebody's
        portfolio_id: UUID,
        currency: str,
        instrument_id: UUID,
    ) -> tuple[Decimal, Decimal]:
        """What a portfolio has: the cash in a currency by trade date, and the units of an instrument."""
        values = {"portfolio_id": portfolio_id, "currency": currency, "instrument_id": instrument_id}
        (row,) = await self.lent.rows(AVAILABLE, values)
        return row[0], row[1]

    async def lots_of(self, viewer: Viewer, position_ids: Sequence[UUID]) -> list[Lot]:
        """The lots of these positions, oldest first."""
        return await self.many(Lot, LOTS, viewer, keys=position_ids)

    async def lots_by_ids(self, viewer: Viewer, lot_ids: Sequence[UUID]) -> list[Lot]:
        """These lots, as far as the viewer sees their positions."""
        return await self.many(Lot, LOTS_BY_IDS, viewer, keys=lot_ids)

    async def store(self, position: Position, held: Sequence[Lot]) -> None:
        """Write a folded position and its lots, with the next version if anything differs."""
        await self.lent.rows(FOLD_POSITION, values_of(position))
        await self.lent.rows(FORGET_LOTS, {"position_id": position.id})
        if held:
            await self.lent.rows(
                INSERT_LOTS, {name: [getattr(lot, name) for lot in held] for name in Lot.__struct_fields__}
            )


class Cash(Repository):
    """Cash balances, as far as the viewer sees their client."""

    async def settled(self, _: Viewer, portfolio_ids: Sequence[UUID], day: date) -> list[Settled]:
        """The cash of these portfolios at the end of a day, by currency."""
        # No predicate beside the policy: the portfolios were read under scope, and with one the planner would read
        # the books' whole index too.
        rows = await self.lent.rows(SETTLED, {"keys": portfolio_ids, "day": day})
        return [Settled(*row) for row in rows]

    async def store(self, balance: CashBalance) -> None:
        """Write a folded balance, with the next version if it differs."""
        await self.lent.rows(FOLD_CASH, values_of(balance))
