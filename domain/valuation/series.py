"""A portfolio's value over time, in one walk along its ledger, its prices and its rates."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Generic, TypeVar
from uuid import UUID

from domain.ledger import RunningHoldings, Transaction, in_order
from domain.money import ZERO, Currency, arithmetic
from domain.valuation.portfolio import Classified
from domain.valuation.quotes import Action, FxQuote, Quote, actions_of, rate_between, restated

K = TypeVar("K")
Q = TypeVar("Q", bound=Quote | FxQuote)


def series(
    entries: Iterable[Transaction],
    *,
    dates: Iterable[date],
    currency: Currency,
    instruments: Mapping[UUID, Classified],
    closes: Iterable[Quote],
    rates: Iterable[FxQuote],
) -> list[tuple[date, Decimal | None]]:
    """The portfolio's value, cash included, in the base `currency` at the close of each date, in order of dates.

    `closes` and `rates` come in any order, and must reach back to the last ones on or before the first date. A value
    is null where a price or a rate that it needs is missing. Reversed entries count on no date.
    """
    ledger = in_order(entries)
    running = RunningHoldings()
    prices, fx = _Latest(closes, attrgetter("instrument_id")), _Latest(rates, attrgetter("currency"))
    worth = _Worth(running, prices.known, fx.known, instruments, actions_of(ledger))
    points: list[tuple[date, Decimal | None]] = []
    played = 0
    with arithmetic():
        for day in sorted(set(dates)):
            reached = bisect_right(ledger, day, lo=played, key=attrgetter("traded_on"))
            running.advance(ledger[played:reached])
            played = reached
            prices.advance(day)
            fx.advance(day)
            points.append((day, worth.on(day, currency)))
    return points


class _Latest(Generic[K, Q]):
    """The last quote of each key as the days go by."""

    def __init__(self, quotes: Iterable[Q], key: Callable[[Q], K]) -> None:
        self.known: dict[K, Q] = {}
        self._key = key
        self._quotes = sorted(quotes, key=attrgetter("on"))
        self._seen = 0

    def advance(self, day: date) -> None:
        """Go on to the close of a day."""
        reached = bisect_right(self._quotes, day, lo=self._seen, key=attrgetter("on"))
        for quote in self._quotes[self._seen : reached]:
            self.known[self._key(quote)] = quote
        self._seen = reached


class _Worth:
    """The value of what is held at the moment, at the quotes known at the moment."""

    def __init__(
        self,
        running: RunningHoldings,
        prices: Mapping[UUID, Quote],
        rates: Mapping[str, FxQuote],
        instruments: Mapping[UUID, Classified],
        actions: Mapping[UUID, list[Action]],
    ) -> None:
        self._running = running
        self._prices = prices
        self._rates = rates
        self._instruments = instruments
        self._actions = actions

    def on(self, day: date, currency: Currency) -> Decimal | None:
        """The value in a currency; null for want of a price or a rate."""
        sums = self._by_currency(day)
        if sums is None:
            return None
        total = ZERO
        for code, amount in sums.items():
            worth = rate_between(code, currency, self._rates, day).convert(amount) if amount else ZERO
            if worth is None:
                return None
            total += worth
        return total

    def _by_currency(self, day: date) -> dict[str, Decimal] | None:
        sums = dict(self._running.cash)
        for instrument_id, quantity in self._running.quantities():
            quote = self._prices.get(instrument_id)
            if quote is None:
                return None
            if instrument_id in self._actions:
                quote = restated(quote, self._actions[instrument_id], day)
            code = self._instruments[instrument_id].currency
            sums[code] = sums.get(code, ZERO) + quantity * quote.price
        return sums
