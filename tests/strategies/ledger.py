"""Ledgers of one portfolio that never oversell, and single entries by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from domain.ledger import Entry, Transaction, TransactionKind, booked, reversal
from domain.money import number_stored

Kind = TransactionKind
OPENED = date(2022, 1, 3)
PORTFOLIO, CLIENT, BOOK, CLERK = (UUID(int=number) for number in (1, 2, 3, 4))
SHARES = (UUID(int=11), UUID(int=12), UUID(int=13))
SHARE = SHARES[0]

RATIOS = ((2, 1), (5, 1), (3, 2), (1, 2), (1, 3), (1, 7), (10, 3))


def entry(kind: Kind, on: date = OPENED, **details: Any) -> Entry:
    """An entry of SHARE or of cash in rupees; numbers may be texts."""
    numbers = {"quantity", "price", "amount", "cost", "brokerage", "transaction_tax", "stamp_duty", "other_charges"}
    values: dict[str, Any] = {name: Decimal(value) if name in numbers else value for name, value in details.items()}
    cash_only = {Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.INTEREST, Kind.FEE, Kind.TAX}
    values.setdefault("instrument_id", None if kind in cash_only else SHARE)
    values.setdefault("currency", "INR")
    return Entry(portfolio_id=PORTFOLIO, kind=kind, traded_on=on, **values)


class Scribe:
    """Writes a ledger: each entry a second after the one before."""

    def __init__(self) -> None:
        self.ledger: list[Transaction] = []

    def write(self, kind: Kind, on: date = OPENED, **details: Any) -> Transaction:
        """Record an entry as `entry` makes it."""
        number = len(self.ledger)
        written = booked(
            entry(kind, on, **details),
            transaction_id=UUID(int=1000 + number),
            client_id=CLIENT,
            book_id=BOOK,
            recorded_at=self._now(),
            recorded_by=CLERK,
        )
        self.ledger.append(written)
        return written

    def reverse(self, wrong: Transaction) -> Transaction:
        """Record the reversal of an entry."""
        written = reversal(
            wrong,
            transaction_id=UUID(int=1000 + len(self.ledger)),
            recorded_at=self._now(),
            recorded_by=CLERK,
            note=None,
        )
        self.ledger.append(written)
        return written

    def _now(self) -> datetime:
        return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.ledger))


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals in a range with at most so many places."""
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


# Trades far more often than all else, for lots are what there is to get wrong.
COMMON = [Kind.BUY] * 5 + [Kind.SELL] * 5
RARE = [kind for kind in Kind if kind not in {Kind.BUY, Kind.SELL, Kind.REVERSAL}]


@st.composite
def ledgers(draw: st.DrawFn, *, transfers_out: bool = True) -> list[Transaction]:
    """A ledger in its own order: each entry follows those before it by date and by time of recording."""
    scribe = Scribe()
    held = dict.fromkeys(SHARES, Decimal(0))
    day = OPENED
    kinds = [kind for kind in [*COMMON, *RARE] if transfers_out or kind is not Kind.TRANSFER_OUT]
    for _ in range(draw(st.integers(0, 16))):
        kind = draw(st.sampled_from(kinds))
        # Splits and bonuses open their day, since they precede its trades.
        day += timedelta(days=draw(st.integers(1 if kind in {Kind.SPLIT, Kind.BONUS} else 0, 4)))
        sold = kind in {Kind.SELL, Kind.TRANSFER_OUT}
        share = draw(st.sampled_from([share for share in SHARES if held[share] or not sold] or SHARES))
        details = draw(_details(kind, held[share], day))
        if details is not None:
            held[share] = _held_after(kind, held[share], details)
            instrument_id = None if kind in {Kind.DEPOSIT, Kind.WITHDRAWAL} else share
            scribe.write(kind, day, instrument_id=instrument_id, **details)
    return scribe.ledger


# Small whole numbers beside fractions, so that sales often end where a lot ends.
QUANTITIES = st.integers(1, 6).map(Decimal) | decimals("0.001", "400", 3)


@st.composite
def _details(draw: st.DrawFn, kind: Kind, held: Decimal, day: date) -> dict[str, Any] | None:
    if kind in {Kind.SPLIT, Kind.BONUS}:
        new, old = draw(st.sampled_from(RATIOS))
        return {"ratio_new": new, "ratio_old": old}
    if kind in {Kind.SELL, Kind.TRANSFER_OUT}:
        quantity = min(held, draw(QUANTITIES))
        if not quantity:
            return None
    else:
        quantity = draw(QUANTITIES)
    if kind is Kind.TRANSFER_OUT:
        return {"quantity": quantity}
    if kind is Kind.TRANSFER_IN:
        acquired_on = day - timedelta(days=draw(st.integers(0, 900)))
        return {"quantity": quantity, "cost": draw(decimals("0", "90000", 4)), "acquired_on": acquired_on}
    if kind in {Kind.BUY, Kind.SELL}:
        price, charge = draw(decimals("0.0001", "5000", 4)), draw(decimals("0", "40", 4))
        return {"quantity": quantity, "price": price, "brokerage": charge, "stamp_duty": Decimal("0.15")}
    return {"amount": draw(decimals("0.01", "100000", 2))}


def _held_after(kind: Kind, held: Decimal, details: dict[str, Any]) -> Decimal:
    quantity: Decimal = details.get("quantity", Decimal(0))
    new, old = Decimal(details.get("ratio_new", 1)), Decimal(details.get("ratio_old", 1))
    if kind in {Kind.BUY, Kind.TRANSFER_IN}:
        return held + quantity
    if kind in {Kind.SELL, Kind.TRANSFER_OUT}:
        return held - quantity
    if kind is Kind.SPLIT:
        return number_stored(held * new / old)
    if kind is Kind.BONUS:
        return held + held * new // old
    return held
