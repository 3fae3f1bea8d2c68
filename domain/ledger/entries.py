"""What stands in a portfolio's ledger: entries as they are reported, and as they are kept."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from domain.entities import Entity
from domain.money import AMOUNT, ZERO, arithmetic

_SATURDAY: Final = 5


class TransactionKind(StrEnum):
    """What an entry of the ledger records.

    DEPOSIT: The client puts cash in.
    WITHDRAWAL: The client takes cash out.
    BUY: Securities are bought; charges add to their cost.
    SELL: Securities are sold, the oldest lots first; charges reduce the proceeds.
    DIVIDEND: A holding pays a dividend in cash, which is income and changes no cost.
    INTEREST: A bond or a balance pays interest in cash.
    FEE: A fee that stands alone, such as for custody or advice.
    TAX: A tax that stands alone, such as tax deducted at source.
    SPLIT: A split or reverse split multiplies the quantity of each lot; cost and date stay.
    BONUS: Free shares for shares held, as a lot of zero cost; a fraction of a share is dropped.
    TRANSFER_IN: Securities come in kind from another account, with their cost and acquisition date.
    TRANSFER_OUT: Securities leave in kind, the oldest lots first, with no gain.
    REVERSAL: Takes back a wrong entry, as though neither had ever been recorded.
    """

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    BUY = "BUY"
    SELL = "SELL"
    DIVIDEND = "DIVIDEND"
    INTEREST = "INTEREST"
    FEE = "FEE"
    TAX = "TAX"
    SPLIT = "SPLIT"
    BONUS = "BONUS"
    TRANSFER_IN = "TRANSFER_IN"
    TRANSFER_OUT = "TRANSFER_OUT"
    REVERSAL = "REVERSAL"


TRADES: Final = frozenset({TransactionKind.BUY, TransactionKind.SELL})
INFLOWS: Final = frozenset({TransactionKind.DEPOSIT, TransactionKind.DIVIDEND, TransactionKind.INTEREST})
OUTFLOWS: Final = frozenset({TransactionKind.WITHDRAWAL, TransactionKind.FEE, TransactionKind.TAX})


class Transaction(Entity, frozen=True):
    """An entry of the ledger, never changed once recorded.

    `amount` is the signed effect on cash in `currency`, charges included; it is zero where only securities move.
    A bonus has no quantity: what it allots follows from the holding, also when that changes by a late entry.
    """

    id: UUID
    portfolio_id: UUID
    client_id: UUID
    book_id: UUID
    kind: TransactionKind
    instrument_id: UUID | None
    quantity: Decimal | None
    price: Decimal | None
    amount: Decimal
    currency: str
    brokerage: Decimal
    transaction_tax: Decimal
    stamp_duty: Decimal
    other_charges: Decimal
    cost: Decimal | None
    acquired_on: date | None
    ratio_new: int | None
    ratio_old: int | None
    traded_on: date
    settles_on: date
    recorded_at: datetime
    recorded_by: UUID
    reverses_id: UUID | None
    reference: str | None
    note: str | None

    personal: ClassVar[frozenset[str]] = frozenset({"reference", "note"})
    person: ClassVar[str] = "client_id"


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What somebody asks to record; `check_entry` says whether it can be.

    `amount` is the positive gross amount of the kinds that move only cash, dividends included; trades have
    `quantity` and `price` and their charges instead. Without `settles_on` the kind's usual day is taken.
    """

    portfolio_id: UUID
    kind: TransactionKind
    currency: str
    traded_on: date
    instrument_id: UUID | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    brokerage: Decimal = ZERO
    transaction_tax: Decimal = ZERO
    stamp_duty: Decimal = ZERO
    other_charges: Decimal = ZERO
    cost: Decimal | None = None
    acquired_on: date | None = None
    ratio_new: int | None = None
    ratio_old: int | None = None
    settles_on: date | None = None
    reference: str | None = None
    note: str | None = None


def signed_amount(entry: Entry) -> Decimal:
    """The entry's effect on cash in its currency, charges included, rounded half up to the 4 places of storage.

    A sale whose charges exceed its proceeds takes cash. Zero for what moves only securities.
    """
    with arithmetic():
        amount = entry.amount or ZERO
        gross = (entry.quantity or ZERO) * (entry.price or ZERO)
        charges = entry.brokerage + entry.transaction_tax + entry.stamp_duty + entry.other_charges
        if entry.kind in INFLOWS:
            effect = amount
        elif entry.kind in OUTFLOWS:
            effect = -amount
        elif entry.kind is TransactionKind.BUY:
            effect = -(gross + charges)
        elif entry.kind is TransactionKind.SELL:
            effect = gross - charges
        else:
            effect = ZERO
        return effect.quantize(AMOUNT) + ZERO


def settlement_day(entry: Entry) -> date:
    """When the entry settles: as stated, else the same day, but for a trade the next weekday.

    A trade on a market that the firm knows is given that market's own day before it is booked.
    """
    if entry.settles_on is not None:
        return entry.settles_on
    return _next_weekday(entry.traded_on) if entry.kind in TRADES else entry.traded_on


def _next_weekday(day: date) -> date:
    following = day + timedelta(days=1)
    while following.weekday() >= _SATURDAY:
        following += timedelta(days=1)
    return following


def booked(
    entry: Entry, *, transaction_id: UUID, client_id: UUID, book_id: UUID, recorded_at: datetime, recorded_by: UUID
) -> Transaction:
    """The checked entry as the ledger keeps it."""
    given = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    given.update(amount=signed_amount(entry), settles_on=settlement_day(entry))
    return Transaction(
        id=transaction_id,
        client_id=client_id,
        book_id=book_id,
        recorded_at=recorded_at,
        recorded_by=recorded_by,
        reverses_id=None,
        **given,
    )


def reversal(
    wrong: Transaction, *, transaction_id: UUID, recorded_at: datetime, recorded_by: UUID, note: str | None
) -> Transaction:
    """The entry that takes back a wrong one.

    It keeps the wrong one's dates, so that a sum of amounts is right on each day, and not only from today on;
    `recorded_at` says when the mistake was found. Scope follows the wrong entry as it is now.
    """
    return msgspec.structs.replace(
        wrong,
        id=transaction_id,
        kind=TransactionKind.REVERSAL,
        quantity=None,
        price=None,
        amount=-wrong.amount + ZERO,
        brokerage=ZERO,
        transaction_tax=ZERO,
        stamp_duty=ZERO,
        other_charges=ZERO,
        cost=None,
        acquired_on=None,
        ratio_new=None,
        ratio_old=None,
        recorded_at=recorded_at,
        recorded_by=recorded_by,
        reverses_id=wrong.id,
        reference=None,
        note=note,
    )
