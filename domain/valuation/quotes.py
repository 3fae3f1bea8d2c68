"""Prices and rates as a valuation takes them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from domain.ledger import Transaction, TransactionKind, live
from domain.money import arithmetic

# Every stored rate is a value in this currency, so it needs no rate of its own.
PIVOT: Final = "USD"
_ONE: Final = Decimal(1)


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The raw closing price of an instrument on a day, in its currency."""

    instrument_id: UUID
    on: date
    price: Decimal


class FxQuote(msgspec.Struct, frozen=True, gc=False):
    """What one unit of a currency was worth in US dollars on a day; above zero."""

    currency: str
    on: date
    usd: Decimal


class Rate(msgspec.Struct, frozen=True, gc=False):
    """What leads from one currency to another: the dollar value of each, and the day of the older of the two.

    `on` is null where no stored rate is needed; `missing` names the currencies that lack theirs.
    """

    source_usd: Decimal
    target_usd: Decimal
    on: date | None
    missing: tuple[str, ...] = ()

    def convert(self, amount: Decimal | None) -> Decimal | None:
        """The amount in the target currency; null when a rate is missing. Call it within `arithmetic`."""
        if amount is None or self.missing:
            return None
        # Multiplied first, so that what comes out even stays exact.
        return amount * self.source_usd / self.target_usd


def rate_between(source: str, target: str, rates: Mapping[str, FxQuote], as_of: date) -> Rate:
    """The rate of a day, from each currency's last quote on or before it."""
    if source == target:
        return Rate(_ONE, _ONE, None)
    known = {code: rate for code in (source, target) if (rate := rates.get(code)) and rate.on <= as_of}
    known.pop(PIVOT, None)
    missing = tuple(code for code in (source, target) if code != PIVOT and code not in known)
    if missing:
        return Rate(_ONE, _ONE, None, missing)
    usd = {code: rate.usd for code, rate in known.items()}
    return Rate(usd.get(source, _ONE), usd.get(target, _ONE), min(rate.on for rate in known.values()))


class Action(msgspec.Struct, frozen=True, gc=False):
    """A split or a bonus: from `ex_date` on, `new` units stand for `old` ones."""

    ex_date: date
    new: int
    old: int


def actions_of(entries: Iterable[Transaction]) -> dict[UUID, list[Action]]:
    """The splits and bonuses in a ledger, by instrument, each once."""
    found: dict[UUID, list[Action]] = {}
    for entry in live(entries):
        if entry.instrument_id is None or entry.ratio_new is None or entry.ratio_old is None:
            continue
        action = action_of(entry.kind, entry.traded_on, entry.ratio_new, entry.ratio_old)
        found.setdefault(entry.instrument_id, []).append(action)
    return found


def action_of(kind: TransactionKind, ex_date: date, ratio_new: int, ratio_old: int) -> Action:
    """The action that a split or a bonus of this ratio is: a bonus adds to what is held, a split replaces it."""
    kept = ratio_old if kind is TransactionKind.BONUS else 0
    return Action(ex_date, ratio_new + kept, ratio_old)


def restated(quote: Quote, actions: Sequence[Action], as_of: date) -> Quote:
    """The quote in units of `as_of`.

    On an ex-date before its close, the last price is still one of old units: multiplied by the new holding, it
    would double the value of a holding that has been split 2 for 1.
    """
    later = [action for action in actions if quote.on < action.ex_date <= as_of]
    if not later:
        return quote
    new = old = 1
    for action in later:
        new *= action.new
        old *= action.old
    with arithmetic():
        return Quote(quote.instrument_id, quote.on, quote.price * old / new)
