"""Whether a portfolio's orders, their fills, the ledger and what that folds to agree with one another."""

from decimal import Decimal
from uuid import UUID

import msgspec
from asyncpg import Connection, Record

from domain.access import SYSTEM
from domain.ledger import TRADES, Transaction, fold
from domain.orders import FINAL, OPEN, Side
from graph.context import Services
from persistence.transactions import Transactions

ZERO = Decimal(0)
ORDERS = "select * from orders where portfolio_id = $1 order by placed_at, id"
FILLS = """
select f.*, t.kind as kind, t.quantity as t_quantity, t.price as t_price, t.amount, t.instrument_id,
       t.brokerage + t.transaction_tax + t.stamp_duty + t.other_charges as t_charges
from order_fills f join transactions t on t.id = f.transaction_id where t.portfolio_id = $1
"""


class Free(msgspec.Struct, frozen=True):
    """What a portfolio has and has free of what open orders reserve: cash by currency, units by instrument."""

    cash: dict[str, Decimal]
    units: dict[UUID, Decimal]
    reserved_cash: Decimal
    reserved_units: Decimal

    @property
    def idle(self) -> bool:
        """Whether nothing is reserved."""
        return not (self.reserved_cash or self.reserved_units)


async def ledger_of(services: Services, portfolio_id: UUID) -> list[Transaction]:
    """All entries of a portfolio."""
    return await services.doors.read(SYSTEM, Transactions.of_portfolio, SYSTEM, portfolio_id)


async def balanced(services: Services, owner: "Connection[Record]", portfolio_id: UUID) -> Free:
    """Fail the test unless what is stored is the fold, fills are booked once, and what has ended reserves nothing."""
    holdings = fold(await ledger_of(services, portfolio_id))
    stored = "select instrument_id, quantity, total_cost from positions where portfolio_id = $1"
    positions = {row[0]: (row[1], row[2]) for row in await owner.fetch(stored, portfolio_id)}
    folded = {key: (held.quantity, held.total_cost) for key, held in holdings.positions.items()}
    assert {key: held for key, held in positions.items() if key in folded or any(held)} == folded
    balances = await owner.fetch("select currency, amount from cash_balances where portfolio_id = $1", portfolio_id)
    cash = {row[0]: row[1] for row in balances}
    assert {key: amount for key, amount in cash.items() if amount} == {k: v for k, v in holdings.cash.items() if v}
    orders = await owner.fetch(ORDERS, portfolio_id)
    await _check_fills(services, owner, portfolio_id, orders)
    for order in orders:
        held = (order["reserved_cash"], order["reserved_quantity"])
        assert order["status"] in OPEN or held == (0, 0), dict(order)
        assert order["status"] not in FINAL or (order["ending"] is None and order["closed_at"]), dict(order)
    units = {key: held.quantity for key, held in holdings.positions.items()}
    for order in orders:
        cash[order["currency"]] = cash.get(order["currency"], ZERO) - order["reserved_cash"]
        units[order["instrument_id"]] = units.get(order["instrument_id"], ZERO) - order["reserved_quantity"]
    return Free(
        cash,
        units,
        sum((order["reserved_cash"] for order in orders), ZERO),
        sum((order["reserved_quantity"] for order in orders), ZERO),
    )


async def _check_fills(
    services: Services, owner: "Connection[Record]", portfolio_id: UUID, orders: list[Record]
) -> None:
    """Each fill has one entry of the same size, and each order the sum of its fills."""
    fills = await owner.fetch(FILLS, portfolio_id)
    for row in fills:
        assert (row["quantity"], row["price"], row["charges"]) == (row["t_quantity"], row["t_price"], row["t_charges"])
    assert len({row["transaction_id"] for row in fills}) == len(fills)
    assert len({(row["order_id"], row["broker_fill_id"]) for row in fills}) == len(fills)
    by_orders = [entry for entry in await ledger_of(services, portfolio_id) if entry.reference in _names(fills)]
    assert sorted(entry.id for entry in by_orders if entry.kind in TRADES) == sorted(r["transaction_id"] for r in fills)
    for order in orders:
        mine = [row for row in fills if row["order_id"] == order["id"]]
        assert sum((row["quantity"] for row in mine), ZERO) == order["filled_quantity"]
        assert (
            order["quantity"] is None or order["status"] not in FINAL or order["filled_quantity"] <= order["quantity"]
        )
        assert {row["kind"] for row in mine} <= {Side(order["side"]).value}


def _names(fills: list[Record]) -> set[str]:
    return {row["broker_fill_id"] for row in fills}


async def as_the_broker_has_it(owner: "Connection[Record]", portfolio_id: UUID) -> None:
    """Fail the test unless the paper broker's book has the same fills of the portfolio's orders as the firm's."""
    ours = await owner.fetch(
        "select f.order_id, broker_fill_id, f.quantity, price from order_fills f join orders o on o.id = f.order_id"
        " where portfolio_id = $1",
        portfolio_id,
    )
    theirs = await owner.fetch(
        "select f.order_id, 'PAPER-' || replace(f.order_id::text, '-', '') || '-' || number, f.quantity, price"
        " from paper_fills f join orders o on o.id = f.order_id where portfolio_id = $1",
        portfolio_id,
    )
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))
