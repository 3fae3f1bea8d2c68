"""How numbers, days and names are put into an answer in Markdown."""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from babel.dates import format_date
from babel.numbers import format_decimal

from domain.money import Currency, Money, arithmetic, display

UNKNOWN: Final = "not known"
_TENTH: Final = Decimal("0.1")
_HUNDREDTH: Final = Decimal("0.01")
_MARKED: Final = re.compile(r"([\\`*_\[\]<>|#])")


def safe(text: str) -> str:
    """A name as it is, whatever it holds: none of it is read as Markdown."""
    return _MARKED.sub(r"\\\1", " ".join(text.split()))


def bold(text: str) -> str:
    """A name that stands out."""
    return f"**{safe(text)}**"


def money(amount: str | None, currency: str, locale: str) -> str:
    """An amount as people of a locale read it."""
    return UNKNOWN if amount is None else display(Money(Decimal(amount), Currency(currency)), locale)


def percent(fraction: str | None) -> str:
    """A fraction in percent with one place, half up."""
    return UNKNOWN if fraction is None else f"{_in_percent(fraction, _TENTH)} %"


def change(fraction: str) -> str:
    """A fraction by which something has changed, in percent with two places and a sign, half up."""
    return f"{_in_percent(fraction, _HUNDREDTH):+f} %"


def day(on: date) -> str:
    """A day, as in 20 November 2026."""
    return format_date(on, "d MMMM y", locale="en")


def number(text: str) -> str:
    """A number of units, its thousands apart."""
    return format_decimal(Decimal(text), "#,##0.######", locale="en")


def lower(code: str) -> str:
    """A code such as PARTIALLY_FILLED in words."""
    return code.lower().replace("_", " ")


def count(many: int, one: str) -> str:
    """How many there are of something, as in 3 orders."""
    return f"{many:,} {one}" if many == 1 else f"{many:,} {one}s"


def with_article(noun: str) -> str:
    """A noun with its article, as in an order."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def listed(items: Sequence[str]) -> str:
    """Lines of a list."""
    return "\n".join(f"- {each}" for each in items)


def joined(items: Sequence[str]) -> str:
    """Items in a sentence: a, b and c."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def _in_percent(fraction: str, step: Decimal) -> Decimal:
    with arithmetic():
        # Adding zero turns the "-0.0" of a small loss into "0.0".
        return (Decimal(fraction) * 100).quantize(step) + Decimal(0)
