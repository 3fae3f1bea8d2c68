"""Money and the arithmetic on it: exact decimals, rounding only for display and storage, half up."""

from contextlib import AbstractContextManager
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from functools import lru_cache
from typing import Final, NewType

import msgspec
from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, get_currency_precision, list_currencies

from domain.errors import Refusal
from domain.text import invalid

Currency = NewType("Currency", str)
"""An ISO 4217 code in capitals; made by `as_currency`."""

CURRENCIES: Final[frozenset[str]] = frozenset(list_currencies())
DEFAULT_LOCALE: Final = "en_IN"
LONGEST_LOCALE: Final = 35  # what RFC 5646 asks of a buffer for language tags

ZERO: Final = Decimal(0)
AMOUNT: Final = Decimal("0.0001")  # numeric(20,4)
NUMBER: Final = Decimal("0.0000000001")  # numeric(24,10)
AMOUNT_LIMIT: Final = Decimal(10) ** 16
NUMBER_LIMIT: Final = Decimal(10) ** 14

_PRICE: Final = Decimal("0.0001")
_UNITS: Final = Decimal("0.001")
_QUANTITY: Final = Decimal("0.000001")

# Quantity by price by rate is 72 digits: exact, with room for a sum of a hundred million of them.
_DIGITS: Final = 80


class Money(msgspec.Struct, frozen=True, gc=False):
    """An amount, exact and unrounded, in a currency."""

    amount: Decimal
    currency: Currency


def arithmetic() -> AbstractContextManager[Context]:
    """The decimal context of all arithmetic on money, whatever the caller's: 80 digits, half up, no silent NaN.

    A context belongs to its thread or task: nothing may be awaited or yielded inside.
    """
    # Entering it costs 1.5 µs: once around a loop, not in it.
    return localcontext(
        Context(prec=_DIGITS, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])
    )


def is_currency(code: str) -> bool:
    """Whether this is an ISO 4217 code, in capitals."""
    return code in CURRENCIES


def as_currency(code: str, field: str = "currency") -> Currency:
    """The currency of a code. Refuses: INVALID_VALUE at the input's field."""
    if code not in CURRENCIES:
        raise unknown_currency(field)
    return Currency(code)


def unknown_currency(field: str) -> Refusal:
    """The refusal of a code that is no currency's."""
    return invalid(field, "This is not a currency of ISO 4217.")


def places(currency: str) -> int:
    """The decimal places of a currency by ISO 4217: 2 for INR, 0 for JPY."""
    return get_currency_precision(currency)


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    with arithmetic():
        # Adding zero turns the "-0.00" of a small loss into "0.00".
        return value.quantize(step) + ZERO


def money_rounded(amount: Decimal, currency: str) -> Decimal:
    """An amount as it is shown: the places of its currency, half up (away from zero)."""
    return _rounded(amount, Decimal(1).scaleb(-places(currency)))


def price_rounded(price: Decimal) -> Decimal:
    """A price or an average cost as it is shown: 4 places, half up."""
    return _rounded(price, _PRICE)


def units_rounded(units: Decimal) -> Decimal:
    """Units of a fund as they are shown: 3 places, half up."""
    return _rounded(units, _UNITS)


def quantity_rounded(quantity: Decimal) -> Decimal:
    """A quantity as it is shown: 6 places, half up."""
    return _rounded(quantity, _QUANTITY)


def amount_stored(amount: Decimal) -> Decimal:
    """An amount as numeric(20,4) keeps it: 4 places, half up."""
    return _rounded(amount, AMOUNT)


def number_stored(number: Decimal) -> Decimal:
    """A quantity, price or rate as numeric(24,10) keeps it: 10 places, half up."""
    return _rounded(number, NUMBER)


def fits_amount(value: Decimal) -> bool:
    """Whether numeric(20,4) keeps this amount unchanged: finite, below 10^16, at most 4 places."""
    return _fits(value, AMOUNT_LIMIT, AMOUNT)


def fits_number(value: Decimal) -> bool:
    """Whether numeric(24,10) keeps this quantity, price or rate unchanged: finite, below 10^14, at most 10 places."""
    return _fits(value, NUMBER_LIMIT, NUMBER)


def _fits(value: Decimal, limit: Decimal, step: Decimal) -> bool:
    # copy_abs, unlike abs, neither rounds nor raises; the size is tested first, for quantize overflows on the rest.
    if not value.is_finite() or value.copy_abs() >= limit:
        return False
    with arithmetic():
        return value.quantize(step) == value


def display(money: Money, locale: str = DEFAULT_LOCALE) -> str:
    """Money as people of a locale read it: `₹1,23,45,678.90` in en_IN. An unknown locale reads as en_IN."""
    with arithmetic():
        # Babel rounds half to even, so the amount it gets needs no more rounding.
        amount = money_rounded(money.amount, money.currency)
        return format_currency(amount, money.currency, locale=_locale(locale[: LONGEST_LOCALE + 1]))


@lru_cache(maxsize=256)
def _locale(tag: str) -> Locale:
    """Babel's locale of a tag in either form, en-IN or en_IN; reading one takes as long as a display."""
    try:
        return Locale.parse(tag.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return Locale.parse(DEFAULT_LOCALE)
