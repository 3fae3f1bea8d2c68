"""Recording what custodians report, and reversing what was wrong; positions and cash follow in the same transaction."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.entities import derived_id
from domain.errors import Refusal, RefusalCode
from domain.instruments import Instrument
from domain.ledger import (
    TRADES,
    Entry,
    Holding,
    Holdings,
    Transaction,
    TransactionKind,
    booked,
    check_entry,
    check_reversible,
    fold,
    lowest_cash,
    reversal,
)
from domain.markets import EXCHANGES
from domain.notifications import Notice, NotificationKind
from domain.portfolios import Portfolio, open_for_change
from domain.positions import CashBalance, Lot, Position
from domain.receipts import claim
from domain.text import invalid, noted
from domain.valuation import days
from domain.work import Work

# What the client decides must be paid for; what the custodian takes (fees, taxes) may overdraw, for it is a fact.
PAID_FROM_CASH: Final = frozenset({TransactionKind.BUY, TransactionKind.WITHDRAWAL})
PAID_FROM_HOLDING: Final = frozenset({TransactionKind.SELL, TransactionKind.TRANSFER_OUT})
NOTICED: Final = {
    TransactionKind.DEPOSIT: NotificationKind.LARGE_DEPOSIT,
    TransactionKind.WITHDRAWAL: NotificationKind.LARGE_WITHDRAWAL,
}


class TransactionFilter(msgspec.Struct, frozen=True):
    """Which entries a list holds; days are trade dates, both ends included."""

    kinds: tuple[TransactionKind, ...] | None = None
    instrument_id: UUID | None = None
    currency: str | None = None
    traded_from: date | None = None
    traded_to: date | None = None


class Transactions(Protocol):
    """The storage of the ledger."""

    async def one(self, viewer: Viewer, transaction_id: UUID) -> Transaction: ...  # noqa: D102 - the signature says it, here and below
    async def of_portfolio(self, viewer: Viewer, portfolio_id: UUID) -> list[Transaction]: ...  # noqa: D102
    async def add(self, entry: Transaction) -> None: ...  # noqa: D102


class LargeAmounts(msgspec.Struct, frozen=True):
    """From which amount on, in each currency, a deposit or withdrawal is told; a currency without one is not."""

    thresholds: dict[str, Decimal]

    def reached(self, currency: str, amount: Decimal) -> bool:
        """Whether a movement of cash is large."""
        threshold = self.thresholds.get(currency)
        return threshold is not None and abs(amount) >= threshold


async def record(work: Work, viewer: Viewer, large: LargeAmounts, key: str, entry: Entry) -> Transaction:
    """Record an entry and refold what it touches.

    A repeat of `key` with the same entry gives the first result. Refuses: INVALID_VALUE, ENTRY_BEFORE_OPENING,
    FUTURE_DATE, INSUFFICIENT_HOLDING, INSUFFICIENT_CASH, ARCHIVED, IDEMPOTENCY_CONFLICT.
    """
    require(viewer, Action.RECORD_TRANSACTION)
    new_id, repeated = await claim(work, viewer, "recordTransaction", key, entry)
    if repeated:
        return await work.transactions.one(viewer, new_id)
    portfolio = await open_for_change(work, viewer, entry.portfolio_id)
    instrument = await _instrument(work, viewer, entry.instrument_id)
    currency = instrument.currency if instrument else None
    check_entry(entry, opened_on=portfolio.opened_on, today=viewer.today(work.now), instrument_currency=currency)
    recorded = booked(
        await _settling(work, instrument, entry),
        transaction_id=new_id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        recorded_at=work.now,
        recorded_by=viewer.user_id,
    )
    entries = [*await work.transactions.of_portfolio(viewer, portfolio.id), recorded]
    if recorded.kind in PAID_FROM_CASH | PAID_FROM_HOLDING:
        await _check_cover(work, viewer, entries, recorded)
    await _book(work, portfolio, instrument, entries, recorded)
    kind = NOTICED.get(recorded.kind)
    if kind is not None and large.reached(recorded.currency, recorded.amount):
        await _tell(work, viewer, kind, recorded)
    return recorded


class Reversal(msgspec.Struct, frozen=True):
    """What asks to reverse a wrong entry."""

    transaction_id: UUID
    reason: str


async def reverse(work: Work, viewer: Viewer, key: str, wanted: Reversal) -> Transaction:
    """Take back a wrong entry, as though it had never been recorded, and refold what it touched.

    A repeat of `key` gives the first result. Refuses: INVALID_VALUE, NOT_REVERSIBLE, ALREADY_REVERSED,
    INSUFFICIENT_HOLDING (later sales or open orders rely on the entry), INSUFFICIENT_CASH (open orders rely on it),
    ARCHIVED, IDEMPOTENCY_CONFLICT.
    """
    require(viewer, Action.REVERSE_TRANSACTION)
    new_id, repeated = await claim(work, viewer, "reverseTransaction", key, wanted)
    if repeated:
        return await work.transactions.one(viewer, new_id)
    reason = noted(wanted.reason, "reason")
    if not reason:
        raise invalid("reason", "A reason is needed.")
    wrong = await work.transactions.one(viewer, wanted.transaction_id)
    portfolio = await open_for_change(work, viewer, wrong.portfolio_id, "transactionId")
    entries = await work.transactions.of_portfolio(viewer, portfolio.id)
    check_reversible(wrong, reversed_already=any(entry.reverses_id == wrong.id for entry in entries))
    taken_back = reversal(
        # Read again under the portfolio's lock: its book may have changed since.
        next(entry for entry in entries if entry.id == wrong.id),
        transaction_id=new_id,
        recorded_at=work.now,
        recorded_by=viewer.user_id,
        note=reason,
    )
    await _check_left(work, viewer, entries, taken_back)
    instrument = await _instrument(work, viewer, wrong.instrument_id)
    await _book(work, portfolio, instrument, [*entries, taken_back], taken_back)
    await _tell(work, viewer, NotificationKind.ENTRY_REVERSED, taken_back)
    return taken_back


async def _settling(work: Work, instrument: Instrument | None, entry: Entry) -> Entry:
    """The entry with the day on which its market settles it, where the custodian has not named the day of a trade."""
    if entry.settles_on is not None or entry.kind not in TRADES:
        return entry
    if instrument is None or instrument.exchange not in EXCHANGES:
        return entry
    calendar = await work.markets.calendar(instrument.exchange)
    return msgspec.structs.replace(entry, settles_on=calendar.settles_on(entry.traded_on))


async def _instrument(work: Work, viewer: Viewer, instrument_id: UUID | None) -> Instrument | None:
    return None if instrument_id is None else await work.instruments.one(viewer, instrument_id)


async def _check_cover(work: Work, viewer: Viewer, entries: Sequence[Transaction], recorded: Transaction) -> None:
    """Refuse to take what open orders rely on; a sale beyond the holding itself is the fold's to refuse."""
    cash, units = await work.orders.reserved(viewer, recorded.portfolio_id, recorded.currency, recorded.instrument_id)
    if recorded.kind in PAID_FROM_CASH:
        _check_cash(entries, recorded, cash)
    elif units and recorded.instrument_id is not None:
        held = fold(entries, instrument_id=recorded.instrument_id, field=("input", "quantity"))
        left = held.positions[recorded.instrument_id].quantity
        if left < units:
            message = f"Open orders are to sell {units.normalize():f} units, and {left.normalize():f} would be left."
            raise Refusal(RefusalCode.INSUFFICIENT_HOLDING, message, ("input", "quantity"), missing=units - left)


async def _check_left(work: Work, viewer: Viewer, entries: Sequence[Transaction], taken_back: Transaction) -> None:
    """Refuse to take back what open orders rely on: they are cancelled first."""
    portfolio_id, currency, instrument_id = taken_back.portfolio_id, taken_back.currency, taken_back.instrument_id
    cash, units = await work.orders.reserved(viewer, portfolio_id, currency, instrument_id)
    if not cash and not units:
        return
    field = ("input", "transactionId")
    before, after = (fold(each, field=field) for each in (entries, [*entries, taken_back]))
    left = after.cash.get(currency, Decimal(0))
    if left < cash and left < before.cash.get(currency, Decimal(0)):
        message = f"Open orders reserve {cash} {currency}, and {left} would be left; cancel them first."
        raise Refusal(RefusalCode.INSUFFICIENT_CASH, message, field, missing=cash - left)
    held, kept = (_units(each, instrument_id) for each in (before, after))
    if kept < units and kept < held:
        message = f"Open orders are to sell {units.normalize():f} units, and {kept.normalize():f} would be left."
        raise Refusal(RefusalCode.INSUFFICIENT_HOLDING, message, field, missing=units - kept)


def _units(holdings: Holdings, instrument_id: UUID | None) -> Decimal:
    held = holdings.positions.get(instrument_id) if instrument_id else None
    return held.quantity if held else Decimal(0)


def _check_cash(entries: Sequence[Transaction], recorded: Transaction, reserved: Decimal) -> None:
    lowest = lowest_cash(entries, recorded.currency, recorded.traded_on) - reserved
    if lowest < 0:
        field = ("input", "amount" if recorded.kind is TransactionKind.WITHDRAWAL else "quantity")
        besides = ", with what open orders reserve" if reserved else ""
        raise Refusal(
            RefusalCode.INSUFFICIENT_CASH,
            f"There is not enough {recorded.currency} in the portfolio: {-lowest} is missing{besides}.",
            field,
            missing=-lowest,
        )


class Settling(msgspec.Struct, frozen=True):
    """How a fill is booked: where, under which id, in whose name and, where it is given, with which effect on cash."""

    portfolio: Portfolio
    instrument: Instrument
    transaction_id: UUID
    recorded_by: UUID
    amount: Decimal | None


async def book_fill(work: Work, viewer: Viewer, entry: Entry, settling: Settling) -> Transaction:
    """Book what the broker has filled: a fact, whatever cash there is. Refuses: INSUFFICIENT_HOLDING, INVALID_VALUE."""
    portfolio = settling.portfolio
    recorded = booked(
        entry,
        transaction_id=settling.transaction_id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        recorded_at=work.now,
        recorded_by=settling.recorded_by,
    )
    if settling.amount is not None:
        recorded = msgspec.structs.replace(recorded, amount=settling.amount)
    entries = [*await work.transactions.of_portfolio(viewer, portfolio.id), recorded]
    await _book(work, portfolio, settling.instrument, entries, recorded)
    return recorded


async def _book(
    work: Work, portfolio: Portfolio, instrument: Instrument | None, entries: Sequence[Transaction], added: Transaction
) -> None:
    """Store an entry, and what all entries of its instrument and currency fold to with it."""
    reversing = added.reverses_id is not None
    holdings = fold(entries, field=("input", "transactionId" if reversing else "quantity"))
    await work.transactions.add(added)
    if instrument is not None:
        holding = holdings.positions.get(instrument.id) or _nothing(instrument.id)
        await work.positions.store(*folded(portfolio, instrument, holding))
    if added.amount:
        await work.cash.store(cash_balance(portfolio, added.currency, holdings.cash.get(added.currency)))
    await days.ledger_changed(work, portfolio.id, added.traded_on)


def _nothing(instrument_id: UUID) -> Holding:
    zero = Decimal(0)
    return Holding(instrument_id, zero, zero, zero, zero, ())


def folded(portfolio: Portfolio, instrument: Instrument, holding: Holding) -> tuple[Position, list[Lot]]:
    """A holding as it is stored. The version is that of a first storing."""
    position = Position(
        id=derived_id("position", portfolio.id, instrument.id),
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        instrument_id=instrument.id,
        symbol=instrument.symbol,
        quantity=holding.quantity,
        total_cost=holding.total_cost,
        realised_gain=holding.realised_gain,
        dividends=holding.dividends,
        currency=instrument.currency,
        version=1,
    )
    lots = [
        Lot(
            id=derived_id("lot", lot.transaction_id),
            position_id=position.id,
            ordinal=ordinal,
            opened_on=lot.opened_on,
            quantity=lot.quantity,
            cost=lot.cost,
            currency=instrument.currency,
        )
        for ordinal, lot in enumerate(holding.lots)
    ]
    return position, lots


def cash_balance(portfolio: Portfolio, currency: str, amount: Decimal | None) -> CashBalance:
    """A balance as it is stored. The version is that of a first storing."""
    return CashBalance(
        id=derived_id("cash", portfolio.id, currency),
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        currency=currency,
        amount=amount or Decimal(0),
        version=1,
    )


async def _tell(work: Work, viewer: Viewer, kind: NotificationKind, entry: Transaction) -> None:
    audience = await work.books.audience(viewer, entry.book_id, work.now)
    notice = Notice(
        kind,
        # Whoever records it is told as well, so that a second screen of the same person follows.
        frozenset(audience) | {viewer.user_id},
        book_id=entry.book_id,
        client_id=entry.client_id,
        portfolio_id=entry.portfolio_id,
        transaction_id=entry.id,
        amount=entry.amount,
        currency=entry.currency,
    )
    work.tell(notice)
