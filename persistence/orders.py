"""Orders and their fills."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.orders import (
    OPEN,
    WORKING,
    Attention,
    BlotterTotal,
    Executed,
    Fill,
    Order,
    OrderKind,
    OrderStatus,
    Side,
    TimeInForce,
)
from persistence.listing import Filter, Listing, one_of, plain
from persistence.metadata import AMOUNT, MOMENT, QUANTITY, TEXTS, UUIDS, enum_column, owned_by_client, table
from persistence.repository import Listed, Repository
from persistence.scope import by_book, through
from persistence.sql import columns
from persistence.transactions import transactions


def _among(statuses: Sequence[OrderStatus]) -> str:
    return ", ".join(f"'{status.value}'" for status in sorted(statuses))


# Written out, so that the partial indexes of open orders serve.
IS_OPEN: Final = literal_column(f"status in ({_among([*OPEN])})", Boolean)
IS_WORKING: Final = literal_column(f"status in ({_among([*WORKING])})", Boolean)
IS_UNCERTAIN: Final = literal_column("attention is not null", Boolean)
IS_PENDING: Final = literal_column("status = 'PENDING_APPROVAL'", Boolean)

orders = table(
    "orders",
    # What is only being prepared is not for the client.
    by_book(client_if="status <> 'DRAFT'"),
    Column("id", Uuid, primary_key=True),
    Column("portfolio_id", Uuid, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("book_id", Uuid, nullable=False),
    Column("instrument_id", Uuid, ForeignKey("instruments.id"), nullable=False),
    *enum_column("side", Side),
    *enum_column("kind", OrderKind),
    *enum_column("time_in_force", TimeInForce),
    Column("quantity", QUANTITY),
    Column("amount", AMOUNT),
    Column("limit_price", QUANTITY),
    Column("currency", Text, nullable=False),
    *enum_column("status", OrderStatus),
    Column("notional", AMOUNT, nullable=False),
    Column("filled_quantity", QUANTITY, nullable=False),
    Column("filled_value", AMOUNT, nullable=False),
    Column("reserved_cash", AMOUNT, nullable=False),
    Column("reserved_quantity", QUANTITY, nullable=False),
    Column("trades_on", Date, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("placed_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("terms_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("placed_at", MOMENT, nullable=False),
    Column("approved_by", Uuid, ForeignKey("users.id")),
    Column("approved_at", MOMENT),
    Column("closed_at", MOMENT),
    Column("checked_at", MOMENT),
    *enum_column("ending", OrderStatus, nullable=True),
    Column("revision", Integer, nullable=False),
    Column("sent_revision", Integer, nullable=False),
    *enum_column("attention", Attention, nullable=True),
    Column("reason", Text),
    Column("version", Integer, nullable=False),
    owned_by_client(),
    ForeignKeyConstraint(["portfolio_id", "client_id"], ["portfolios.id", "portfolios.client_id"]),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("quantity is not null or amount is not null", name="size"),
    CheckConstraint("(kind = 'LIMIT') = (limit_price is not null)", name="limit_price"),
    CheckConstraint("approved_by <> placed_by and approved_by <> terms_by", name="approval"),
    # No reservation is left behind, whatever a verb forgets.
    CheckConstraint(
        f"(reserved_cash = 0 and reserved_quantity = 0) or status in ({_among([*OPEN])})", name="reservation"
    ),
    CheckConstraint("reserved_cash >= 0 and reserved_quantity >= 0 and filled_quantity >= 0", name="signs"),
    Index(None, "book_id", "placed_at", "id"),
    Index(None, "placed_at", "id"),
    Index(None, "portfolio_id", "placed_at", "id"),
    Index(None, "client_id", "placed_at", "id"),
    Index(None, "placed_by", "placed_at", "id"),
    Index(None, "instrument_id", "placed_at", "id"),
    Index(None, "book_id", "trades_on", "id"),
    Index(None, "trades_on", "id"),
    Index("orders_open_portfolio_idx", "portfolio_id", postgresql_where=IS_OPEN),
    Index("orders_open_book_idx", "book_id", "placed_at", "id", postgresql_where=IS_OPEN),
    Index("orders_uncertain_idx", "book_id", "placed_at", "id", postgresql_where=IS_UNCERTAIN),
    Index("orders_pending_idx", "book_id", "placed_at", "id", postgresql_where=IS_PENDING),
    Index("orders_checked_idx", "checked_at", postgresql_where=IS_WORKING),
    Index("orders_expires_idx", "expires_at", postgresql_where=IS_OPEN),
)

fills = table(
    "order_fills",
    through("orders", "order_id"),
    Column("id", Uuid, primary_key=True),
    Column("order_id", Uuid, ForeignKey("orders.id"), nullable=False),
    Column("broker_fill_id", Text, nullable=False),
    Column("quantity", QUANTITY, nullable=False),
    Column("price", QUANTITY, nullable=False),
    Column("charges", AMOUNT, nullable=False),
    Column("currency", Text, nullable=False),
    Column("filled_at", MOMENT, nullable=False),
    Column("transaction_id", Uuid, ForeignKey("transactions.id"), nullable=False, unique=True),
    UniqueConstraint("order_id", "broker_fill_id"),
    CheckConstraint("quantity > 0 and price > 0", name="signs"),
)

FILLS = (
    select(*columns(Fill, fills))
    .where(fills.c.order_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(fills.c.filled_at, fills.c.id)
)


def _reserved() -> Any:
    cash = case((orders.c.currency == bindparam("currency"), orders.c.reserved_cash), else_=0)
    units = case(
        (orders.c.instrument_id == bindparam("instrument_id", type_=Uuid), orders.c.reserved_quantity), else_=0
    )
    return select(func.coalesce(func.sum(cash), 0), func.coalesce(func.sum(units), 0)).where(
        orders.c.portfolio_id == bindparam("portfolio_id", type_=Uuid), IS_OPEN
    )


RESERVED = _reserved()
RESERVED_CASH = (
    select(orders.c.portfolio_id, orders.c.currency, func.sum(orders.c.reserved_cash))
    .where(orders.c.portfolio_id == any_(bindparam("keys", type_=UUIDS)), IS_OPEN)
    .group_by(orders.c.portfolio_id, orders.c.currency)
)
HAS_OPEN = select(exists().where(orders.c.client_id == bindparam("client_id", type_=Uuid), IS_OPEN))
EXPIRED = (
    select(orders.c.id)
    .where(IS_OPEN, orders.c.expires_at <= bindparam("moment", type_=MOMENT), orders.c.ending.is_(None))
    .order_by(orders.c.expires_at)
    .limit(bindparam("most", type_=BigInteger))
)


AHEAD = select(*columns(Order, orders)).where(
    IS_OPEN, orders.c.trades_on >= bindparam("day", type_=Date), orders.c.ending.is_(None)
)


def _due() -> Any:
    due = (
        select(orders.c.id)
        .where(IS_WORKING, orders.c.checked_at < bindparam("checked_before", type_=MOMENT))
        .order_by(orders.c.checked_at)
        .limit(bindparam("most", type_=BigInteger))
        .with_for_update(skip_locked=True)
    )
    taken = update(orders).where(orders.c.id.in_(due)).values(checked_at=bindparam("now", type_=MOMENT))
    return taken.returning(orders.c.id)


# No change of the order itself: it has no version and leaves no trace in the audit trail.
TAKE_DUE = _due()


def _switch(condition: ColumnElement[bool]) -> Filter:
    """A filter that only a true value turns on; its parameters are the viewer's own."""
    return Filter(lambda: condition, lambda on: {} if on else None)


VIEWER: Final = bindparam("viewer_id", type_=Uuid)
FILTERS: Final = dict(
    [
        one_of("client_ids", orders.c.client_id, UUIDS),
        one_of("portfolio_ids", orders.c.portfolio_id, UUIDS),
        one_of("instrument_ids", orders.c.instrument_id, UUIDS),
        one_of("statuses", orders.c.status, TEXTS),
        one_of("sides", orders.c.side, TEXTS),
        plain("trades_from", lambda: orders.c.trades_on >= bindparam("trades_from", type_=Date)),
        plain("trades_to", lambda: orders.c.trades_on <= bindparam("trades_to", type_=Date)),
        ("placed_by_me", _switch(orders.c.placed_by == VIEWER)),
        ("open_only", _switch(IS_OPEN)),
        ("uncertain_only", _switch(IS_UNCERTAIN)),
        ("awaiting_me", _switch(and_(IS_PENDING, orders.c.placed_by != VIEWER, orders.c.terms_by != VIEWER))),
    ]
)
ORDERS_BY: Final = {"PLACED_AT": orders.c.placed_at, "TRADES_ON": orders.c.trades_on}


class Orders(Listed[Order]):
    """Orders, as far as the viewer sees their client."""

    entity = Order
    table = orders
    listing = Listing(Order, orders, orders=ORDERS_BY, filters=FILTERS, parent="portfolio_id")

    async def fills_of(self, viewer: Viewer, order_ids: Sequence[UUID]) -> list[Fill]:
        """The fills of these orders, in order of time."""
        return await self.many(Fill, FILLS, viewer, keys=order_ids)

    async def add_fill_once(self, fill: Fill) -> bool:
        """Store a fill, unless the broker's own name of it was stored before; tells which."""
        return await self.insert_once(fills, fill)

    async def reserved(
        self, viewer: Viewer, portfolio_id: UUID, currency: str, instrument_id: UUID | None
    ) -> tuple[Decimal, Decimal]:
        """The cash in a currency and the units of an instrument that open orders of a portfolio reserve."""
        values = {"portfolio_id": portfolio_id, "currency": currency, "instrument_id": instrument_id}
        (row,) = await self.rows(RESERVED, viewer, **values)
        return row[0], row[1]

    async def reserved_cash(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> Mapping[tuple[UUID, str], Decimal]:
        """The cash that open orders of these portfolios reserve, by portfolio and currency."""
        rows = await self.rows(RESERVED_CASH, viewer, keys=portfolio_ids)
        return {(row[0], row[1]): row[2] for row in rows}

    async def has_open(self, viewer: Viewer, client_id: UUID) -> bool:
        """Whether a client has orders that are not final, drafts apart."""
        return bool((await self.rows(HAS_OPEN, viewer, client_id=client_id))[0][0])

    async def take_due(self, checked_before: datetime, now: datetime, most: int) -> list[UUID]:
        """Orders at the broker that were last asked about before a moment, which count as asked about now."""
        values = {"checked_before": checked_before, "now": now, "most": most}
        return [row[0] for row in await self.lent.rows(TAKE_DUE, values)]

    async def ahead(self, viewer: Viewer, day: date) -> list[Order]:
        """Open orders for sessions of a day or later ones, which are not being ended."""
        return await self.many(Order, AHEAD, viewer, day=day)

    async def expired(self, viewer: Viewer, moment: datetime, most: int) -> list[UUID]:
        """Open orders whose time is over, and which are not being ended already."""
        return [row[0] for row in await self.rows(EXPIRED, viewer, moment=moment, most=most)]


class ClientOrders(Listed[Order]):
    """The same orders, listed beneath clients."""

    entity = Order
    table = orders
    listing = Listing(Order, orders, orders=ORDERS_BY, filters=FILTERS, parent="client_id")


TOTALS = (
    select(
        orders.c.currency,
        orders.c.side,
        orders.c.status,
        func.count(),
        func.sum(orders.c.notional),
        func.sum(orders.c.filled_value),
    )
    .where(orders.c.trades_on == bindparam("day", type_=Date), orders.c.status != OrderStatus.DRAFT.value)
    .group_by(orders.c.currency, orders.c.side, orders.c.status)
    .order_by(orders.c.currency, orders.c.side, orders.c.status)
)
# By the ledger's own day, which is that of the trade, whenever the order was placed.
EXECUTIONS = (
    select(
        orders.c.currency,
        orders.c.side,
        func.count(),
        func.sum(func.round(fills.c.quantity * fills.c.price, 4)),
        func.sum(fills.c.charges),
    )
    .select_from(transactions)
    .join(fills, fills.c.transaction_id == transactions.c.id)
    .join(orders, orders.c.id == fills.c.order_id)
    .where(transactions.c.traded_on == bindparam("day", type_=Date))
    .group_by(orders.c.currency, orders.c.side)
    .order_by(orders.c.currency, orders.c.side)
)


class Blotters(Repository):
    """The orders of a day, and what was executed on it, each summed up in one statement."""

    async def totals(self, viewer: Viewer, day: date) -> list[BlotterTotal]:
        """What the orders for the sessions of a day come to."""
        return [
            BlotterTotal(row[0], Side(row[1]), OrderStatus(row[2]), *row[3:])
            for row in await self.rows(TOTALS, viewer, day=day)
        ]

    async def executions(self, viewer: Viewer, day: date) -> list[Executed]:
        """What was executed on a day."""
        return [Executed(row[0], Side(row[1]), *row[2:]) for row in await self.rows(EXECUTIONS, viewer, day=day)]
