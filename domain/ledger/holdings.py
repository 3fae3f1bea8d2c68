"""The fold of the ledger: what a portfolio holds, in first-in-first-out lots, and its cash."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from domain.errors import Refusal, RefusalCode
from domain.ledger.entries import Transaction, TransactionKind
from domain.ledger.lots import Holding, LotBook
from domain.money import AMOUNT_LIMIT, NUMBER_LIMIT, ZERO, arithmetic
from domain.text import invalid

FieldPath = tuple[str, ...]
QUANTITY_FIELD: Final[FieldPath] = ("input", "quantity")


class Holdings(msgspec.Struct, frozen=True, gc=False):
    """What a portfolio holds at the close of a day, by trade date.

    `positions` by instrument, those sold out (quantity zero, with their realised gain) among them; `cash` by
    currency; `settlements` by currency and the day on which the cash moves.
    """

    positions: Mapping[UUID, Holding]
    cash: Mapping[str, Decimal]
    settlements: Mapping[str, Mapping[date, Decimal]]

    def unsettled(self, as_of: date) -> dict[str, Decimal]:
        """By currency, the part of `cash` that only moves after a day: negative for purchases yet to be paid."""
        with arithmetic():
            pending = {
                currency: [amount for day, amount in days.items() if day > as_of]
                for currency, days in self.settlements.items()
            }
            return {currency: sum(amounts, ZERO) for currency, amounts in pending.items() if amounts}

    def settled(self, as_of: date) -> dict[str, Decimal]:
        """By currency, the part of `cash` that has moved by the end of a day."""
        unsettled = self.unsettled(as_of)
        with arithmetic():
            return {currency: balance - unsettled.get(currency, ZERO) for currency, balance in self.cash.items()}


class RunningHoldings:
    """Holdings that grow by entries, which come in the ledger's order, over one or several calls of `advance`."""

    __slots__ = ("_books", "_field", "_settlements", "cash")

    def __init__(self, field: FieldPath = QUANTITY_FIELD) -> None:
        self._field = field
        self._books: dict[UUID, LotBook] = {}
        self.cash: dict[str, Decimal] = {}
        self._settlements: dict[str, dict[date, Decimal]] = {}

    def advance(self, entries: Iterable[Transaction]) -> None:
        """Take further entries, none earlier than those before. Refuses: INSUFFICIENT_HOLDING, INVALID_VALUE."""
        with arithmetic():
            for entry in entries:
                if entry.amount:
                    self._move_cash(entry)
                move = _MOVES.get(entry.kind)
                if move is not None:
                    move(self._book_of(entry), entry, self._field)

    def holdings(self) -> Holdings:
        """What is held now. Refuses: INVALID_VALUE, when a total is beyond what storage keeps."""
        with arithmetic():
            positions = {instrument_id: book.holding(instrument_id) for instrument_id, book in self._books.items()}
            _check_range(positions.values(), self.cash)
            settlements = {currency: dict(days) for currency, days in self._settlements.items()}
            return Holdings(positions, dict(self.cash), settlements)

    def quantities(self) -> list[tuple[UUID, Decimal]]:
        """What is held now of each instrument, without those sold out."""
        return [(instrument_id, book.quantity) for instrument_id, book in self._books.items() if book.quantity]

    def _book_of(self, entry: Transaction) -> LotBook:
        if entry.instrument_id is None:
            raise ValueError(f"ledger entry {entry.id} names no instrument")
        book = self._books.get(entry.instrument_id)
        if book is None:
            book = self._books[entry.instrument_id] = LotBook()
        return book

    def _move_cash(self, entry: Transaction) -> None:
        currency = entry.currency
        days = self._settlements.get(currency)
        if days is None:
            days = self._settlements[currency] = {}
        self.cash[currency] = self.cash.get(currency, ZERO) + entry.amount
        days[entry.settles_on] = days.get(entry.settles_on, ZERO) + entry.amount


def _buy(book: LotBook, entry: Transaction, _: FieldPath) -> None:
    # The cost is the cash that left, so that cost and cash agree to the last stored place.
    book.add(entry.id, entry.traded_on, _quantity(entry), -entry.amount)


def _sell(book: LotBook, entry: Transaction, field: FieldPath) -> None:
    book.realised_gain += entry.amount - _taken(book, entry, field)


def _transfer_in(book: LotBook, entry: Transaction, _: FieldPath) -> None:
    opened_on = entry.acquired_on or entry.traded_on
    book.add(entry.id, opened_on, _quantity(entry), entry.cost or ZERO)


def _transfer_out(book: LotBook, entry: Transaction, field: FieldPath) -> None:
    _taken(book, entry, field)


def _dividend(book: LotBook, entry: Transaction, _: FieldPath) -> None:
    book.dividends += entry.amount


def _split(book: LotBook, entry: Transaction, _: FieldPath) -> None:
    if not book.split(*_ratio(entry)):
        raise invalid("ratioNew", "The split leaves a lot that is too small to be kept.")
    _check_growth(book)


def _bonus(book: LotBook, entry: Transaction, _: FieldPath) -> None:
    new, old = _ratio(entry)
    allotted = book.quantity * new // old
    if allotted:
        book.add(entry.id, entry.traded_on, allotted, ZERO)
    _check_growth(book)


_MOVES: Final[Mapping[TransactionKind, Callable[[LotBook, Transaction, FieldPath], None]]] = {
    TransactionKind.BUY: _buy,
    TransactionKind.SELL: _sell,
    TransactionKind.DIVIDEND: _dividend,
    TransactionKind.SPLIT: _split,
    TransactionKind.BONUS: _bonus,
    TransactionKind.TRANSFER_IN: _transfer_in,
    TransactionKind.TRANSFER_OUT: _transfer_out,
}


def _quantity(entry: Transaction) -> Decimal:
    if entry.quantity is None:
        raise ValueError(f"ledger entry {entry.id} has no quantity")
    return entry.quantity


def _ratio(entry: Transaction) -> tuple[int, int]:
    if entry.ratio_new is None or entry.ratio_old is None:
        raise ValueError(f"ledger entry {entry.id} has no ratio")
    return entry.ratio_new, entry.ratio_old


def _taken(book: LotBook, entry: Transaction, field: FieldPath) -> Decimal:
    """Cost of what the entry takes from the oldest lots."""
    wanted = _quantity(entry)
    if wanted > book.quantity:
        raise Refusal(
            RefusalCode.INSUFFICIENT_HOLDING,
            f"{_plain(wanted)} are wanted on {entry.traded_on}, but {_plain(book.quantity)} are held.",
            field,
            held=book.quantity,
            wanted=wanted,
            on=entry.traded_on,
            instrument_id=entry.instrument_id,
        )
    return book.take(wanted)


def _plain(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"


def _check_growth(book: LotBook) -> None:
    # At once, not at the end: a few more such steps and the arithmetic itself would overflow.
    if book.quantity >= NUMBER_LIMIT:
        raise invalid("ratioNew", "The holding becomes larger than the ledger can keep.")


def _check_range(positions: Iterable[Holding], cash: Mapping[str, Decimal]) -> None:
    for held in positions:
        if held.quantity >= NUMBER_LIMIT:
            raise invalid("quantity", "The holding becomes larger than the ledger can keep.")
        for total in (held.total_cost, held.realised_gain, held.dividends):
            _check_total(total)
    for balance in cash.values():
        _check_total(balance)


def _check_total(total: Decimal) -> None:
    if total.copy_abs() >= AMOUNT_LIMIT:
        raise invalid("amount", "A total becomes larger than the ledger can keep.")


def fold(
    entries: Iterable[Transaction],
    *,
    as_of: date | None = None,
    instrument_id: UUID | None = None,
    field: FieldPath = QUANTITY_FIELD,
) -> Holdings:
    """What one portfolio's entries, in any order, amount to at the close of `as_of`, or after all of them.

    With `instrument_id` only that instrument's entries count, and `cash` is only theirs. The reversals must be among
    the entries. Refuses: INSUFFICIENT_HOLDING at `field` with `held`, `wanted`, `on` and `instrument_id`, when more
    is taken at any point than is held; INVALID_VALUE, when a total is beyond what storage keeps.
    """
    running = RunningHoldings(field)
    running.advance(in_order(entries, as_of=as_of, instrument_id=instrument_id))
    return running.holdings()


def live(entries: Iterable[Transaction]) -> list[Transaction]:
    """The entries that count: neither those that were reversed, whenever that was, nor the reversals."""
    everything = list(entries)
    gone = {entry.reverses_id for entry in everything if entry.reverses_id is not None}
    if not gone:
        return everything
    return [entry for entry in everything if entry.reverses_id is None and entry.id not in gone]


def in_order(
    entries: Iterable[Transaction], *, as_of: date | None = None, instrument_id: UUID | None = None
) -> list[Transaction]:
    """The entries that count, as the fold takes them: by trade date, splits and bonuses first, then as recorded."""
    chosen: Iterator[Transaction] | list[Transaction] = live(entries)
    if as_of is not None:
        chosen = (entry for entry in chosen if entry.traded_on <= as_of)
    if instrument_id is not None:
        chosen = (entry for entry in chosen if entry.instrument_id == instrument_id)
    return sorted(chosen, key=_order)


def _order(entry: Transaction) -> tuple[date, bool, datetime, UUID]:
    # Only splits and bonuses have a ratio. Their entitlement is the holding at the close before the ex-date,
    # so they precede the trades of that day, however late they were reported.
    return entry.traded_on, entry.ratio_new is None, entry.recorded_at, entry.id


def lowest_cash(entries: Iterable[Transaction], currency: str, from_date: date) -> Decimal:
    """The lowest end-of-day balance of a currency, by trade date, from a day on; zero without entries."""
    moves: dict[date, Decimal] = {from_date: ZERO}
    with arithmetic():
        for entry in live(entries):
            if entry.currency == currency and entry.amount:
                day = max(entry.traded_on, from_date)
                moves[day] = moves.get(day, ZERO) + entry.amount
        balance = lowest = moves.pop(from_date)
        for day in sorted(moves):
            balance += moves[day]
            lowest = min(lowest, balance)
        return lowest
