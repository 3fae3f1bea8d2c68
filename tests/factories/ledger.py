"""Rows of the ledger and what it folds to, as an owner of the tables could add them: no rule and no fold is run."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from domain.entities import derived_id
from domain.identity import User
from domain.instruments import Instrument
from domain.ledger import Transaction, TransactionKind
from domain.portfolios import Portfolio
from domain.positions import CashBalance, Lot, Position
from persistence import positions, transactions
from tests.factories.firm import Make

ZERO = Decimal(0)


async def deposit(make: Make, portfolio: Portfolio, by: User, amount: str = "1000", **given: Any) -> Transaction:
    """A deposit in rupees, without the balance that it folds to."""
    made = Transaction(
        id=make.new_id(),
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        kind=TransactionKind.DEPOSIT,
        instrument_id=None,
        quantity=None,
        price=None,
        amount=Decimal(amount),
        currency="INR",
        brokerage=ZERO,
        transaction_tax=ZERO,
        stamp_duty=ZERO,
        other_charges=ZERO,
        cost=None,
        acquired_on=None,
        ratio_new=None,
        ratio_old=None,
        traded_on=date(2025, 1, 6),
        settles_on=date(2025, 1, 6),
        recorded_at=make.now,
        recorded_by=by.id,
        reverses_id=None,
        reference=None,
        note=None,
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(transactions.transactions, made)
    return made


async def position(make: Make, portfolio: Portfolio, instrument: Instrument, quantity: str = "10") -> Position:
    """A holding with one lot, bought at a price of 100, without the entries that it is folded from."""
    cost = Decimal(quantity) * 100
    made = Position(
        id=derived_id("position", portfolio.id, instrument.id),
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        instrument_id=instrument.id,
        symbol=instrument.symbol,
        quantity=Decimal(quantity),
        total_cost=cost,
        realised_gain=ZERO,
        dividends=ZERO,
        currency=instrument.currency,
        version=1,
    )
    await make.add(positions.positions, made)
    await make.add(positions.lots, lot_of(made))
    return made


def lot_of(position: Position) -> Lot:
    """The one lot of a position that `position` has made."""
    on = date(2025, 1, 6)
    return Lot(derived_id("lot", position.id), position.id, 0, on, position.quantity, position.total_cost, "INR")


async def cash(make: Make, portfolio: Portfolio, amount: str = "1000") -> CashBalance:
    """A balance in rupees, without the entries that it is folded from."""
    made = CashBalance(
        id=derived_id("cash", portfolio.id, "INR"),
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        currency="INR",
        amount=Decimal(amount),
        version=1,
    )
    await make.add(positions.cash_balances, made)
    return made
