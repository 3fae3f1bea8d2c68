"""Which entries the ledger takes, as far as the entry itself tells; the fold knows the rest."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from domain.errors import Refusal, RefusalCode
from domain.ledger.entries import TRADES, Entry, Transaction, TransactionKind, settlement_day, signed_amount
from domain.money import AMOUNT_LIMIT, ZERO, fits_amount, fits_number, is_currency, unknown_currency
from domain.text import LONGEST_NAME, LONGEST_NOTE, invalid

RATIO_LIMIT: Final = 100_000

_DETAILS: Final = ("instrument_id", "quantity", "price", "amount", "cost", "acquired_on", "ratio_new", "ratio_old")
_CHARGES: Final = ("brokerage", "transaction_tax", "stamp_duty", "other_charges")


class _Shape(msgspec.Struct, frozen=True):
    """Which details an entry of a kind must have, and which it may have."""

    needed: frozenset[str]
    allowed: frozenset[str] = frozenset()


_CASH: Final = _Shape(frozenset({"amount"}))
_CASH_OF_ANYTHING: Final = _Shape(frozenset({"amount"}), frozenset({"instrument_id"}))
_TRADE: Final = _Shape(frozenset({"instrument_id", "quantity", "price"}))
_ACTION: Final = _Shape(frozenset({"instrument_id", "ratio_new", "ratio_old"}))

SHAPES: Final[Mapping[TransactionKind, _Shape]] = {
    TransactionKind.DEPOSIT: _CASH,
    TransactionKind.WITHDRAWAL: _CASH,
    TransactionKind.BUY: _TRADE,
    TransactionKind.SELL: _TRADE,
    TransactionKind.DIVIDEND: _Shape(frozenset({"instrument_id", "amount"})),
    TransactionKind.INTEREST: _CASH_OF_ANYTHING,
    TransactionKind.FEE: _CASH_OF_ANYTHING,
    TransactionKind.TAX: _CASH_OF_ANYTHING,
    TransactionKind.SPLIT: _ACTION,
    TransactionKind.BONUS: _ACTION,
    TransactionKind.TRANSFER_IN: _Shape(frozenset({"instrument_id", "quantity", "cost", "acquired_on"})),
    TransactionKind.TRANSFER_OUT: _Shape(frozenset({"instrument_id", "quantity"})),
}


def check_entry(entry: Entry, *, opened_on: date, today: date, instrument_currency: str | None = None) -> None:
    """Refuse what the ledger cannot take, whatever the holding.

    `opened_on` is the portfolio's first day, `today` the viewer's; `instrument_currency` is that of the entry's
    instrument, if it has one. Refuses: INVALID_VALUE, ENTRY_BEFORE_OPENING, FUTURE_DATE, each at its field.
    """
    _check_shape(entry)
    _check_numbers(entry)
    _check_ratio(entry)
    _check_currency(entry, instrument_currency)
    _check_dates(entry, opened_on, today)
    _check_texts(entry)


def check_reversible(wrong: Transaction, *, reversed_already: bool, field: str = "transactionId") -> None:
    """Refuse to reverse what cannot be. Refuses: NOT_REVERSIBLE, ALREADY_REVERSED."""
    if wrong.kind is TransactionKind.REVERSAL:
        message = "A reversal cannot itself be reversed; record the entry anew."
        raise Refusal(RefusalCode.NOT_REVERSIBLE, message, ("input", field))
    if reversed_already:
        raise Refusal(RefusalCode.ALREADY_REVERSED, "This entry has been reversed before.", ("input", field))


def _refused(name: str, message: str) -> Refusal:
    return invalid(_input_name(name), message)


def _input_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _check_shape(entry: Entry) -> None:
    shape = SHAPES.get(entry.kind)
    if shape is None:
        raise _refused("kind", f"An entry of kind {entry.kind} is not recorded like this; reverse the wrong one.")
    for name in _DETAILS:
        given = getattr(entry, name) is not None
        if not given and name in shape.needed:
            raise _refused(name, f"An entry of kind {entry.kind} needs this field.")
        if given and name not in shape.needed | shape.allowed:
            raise _refused(name, f"An entry of kind {entry.kind} does not have this field.")


def _check_numbers(entry: Entry) -> None:
    for name in ("quantity", "price"):
        _check_range(name, getattr(entry, name), fits=fits_number, whole=14, places=10)
    for name in ("amount", "cost", *_CHARGES):
        _check_range(name, getattr(entry, name), fits=fits_amount, whole=16, places=4)
    _check_signs(entry)
    if signed_amount(entry).copy_abs() >= AMOUNT_LIMIT:
        raise _refused("quantity", "Quantity by price is beyond what the ledger can keep.")


def _check_range(name: str, value: Decimal | None, *, fits: Callable[[Decimal], bool], whole: int, places: int) -> None:
    if value is not None and not fits(value):
        raise _refused(name, f"The value has at most {whole} digits before the point and {places} after it.")


def _check_signs(entry: Entry) -> None:
    for name in ("quantity", "amount"):
        if (value := getattr(entry, name)) is not None and value <= 0:
            raise _refused(name, "The value must be above zero.")
    for name in ("price", "cost", *_CHARGES):
        if (value := getattr(entry, name)) is not None and value < 0:
            raise _refused(name, "The value must not be negative.")
    # A sale at zero writes off what has become worthless; shares that cost nothing come by bonus or transfer.
    if entry.kind is TransactionKind.BUY and entry.price == ZERO:
        raise _refused("price", "The price of a purchase must be above zero.")
    for name in () if entry.kind in TRADES else _CHARGES:
        if getattr(entry, name):
            raise _refused(name, "Only trades have charges; record a fee or tax of its own.")


def _check_ratio(entry: Entry) -> None:
    for name in ("ratio_new", "ratio_old"):
        if (value := getattr(entry, name)) is not None and not 1 <= value <= RATIO_LIMIT:
            raise _refused(name, f"A side of a ratio is from 1 to {RATIO_LIMIT}.")
    if entry.kind is TransactionKind.SPLIT and entry.ratio_new == entry.ratio_old:
        raise _refused("ratio_new", "A split of this ratio changes nothing.")


def _check_currency(entry: Entry, instrument_currency: str | None) -> None:
    if not is_currency(entry.currency):
        raise unknown_currency("currency")
    if entry.instrument_id is not None and instrument_currency not in {None, entry.currency}:
        raise _refused("currency", f"The instrument is kept in {instrument_currency}.")


def _check_dates(entry: Entry, opened_on: date, today: date) -> None:
    if entry.traded_on < opened_on:
        message = "The portfolio was opened later."
        raise Refusal(RefusalCode.ENTRY_BEFORE_OPENING, message, ("input", "tradedOn"), opened_on=opened_on)
    if entry.traded_on > today:
        message = "The date lies in the future."
        raise Refusal(RefusalCode.FUTURE_DATE, message, ("input", "tradedOn"), today=today)
    if settlement_day(entry) < entry.traded_on:
        raise _refused("settles_on", "An entry does not settle before it is traded.")
    if entry.acquired_on is not None and entry.acquired_on > entry.traded_on:
        raise _refused("acquired_on", "Securities are acquired before they are transferred.")


def _check_texts(entry: Entry) -> None:
    for name, longest in (("reference", LONGEST_NAME), ("note", LONGEST_NOTE)):
        if len(getattr(entry, name) or "") > longest:
            raise _refused(name, f"A text has at most {longest} characters.")
