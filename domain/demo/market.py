"""Three years of simulated daily prices and rates: correlated random walks that end at today's sizes.

They are sums and products of uniform draws alone, so that they are the same on every machine; what becomes money is
rounded to whole hundredths first.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from domain.demo.chance import chance
from domain.demo.days import HISTORY, Days
from domain.demo.listings import FUNDS, LISTINGS, Fund, Listing
from domain.instruments import FxRate, Instrument, Price
from domain.ledger import TransactionKind
from domain.valuation import AssetClass

DAYS_A_YEAR: Final = 261
_DAILY: Final = DAYS_A_YEAR**-0.5
# The standard deviation of the sum of four uniform draws is the root of a third.
_UNIT: Final = 3**0.5

# What one unit is worth in US dollars at the end, and by how much that moves and gains in a year.
CURRENCIES: Final[Mapping[str, tuple[float, float, float]]] = {
    "INR": (0.01124, 0.03, -0.025),
    "USD": (1.0, 0.0, 0.0),
    "EUR": (1.1582, 0.07, 0.02),
    "GBP": (1.3127, 0.07, 0.015),
    "SGD": (0.7684, 0.04, 0.01),
}

# The yearly gain of a class; shares differ from each other, and have none here.
_GAINS: Final[Mapping[AssetClass, float]] = {
    AssetClass.DEBT: 0.065,
    AssetClass.GOLD: 0.17,
    AssetClass.REAL_ESTATE: 0.06,
    AssetClass.COMMODITY: 0.02,
    AssetClass.ALTERNATIVE: 0.01,
    AssetClass.CASH: 0.0,
}


class CorporateAction(msgspec.Struct, frozen=True):
    """A split or a bonus: `new` shares for `old` ones, from the day on."""

    symbol: str
    kind: TransactionKind
    day: int
    new: int
    old: int

    @property
    def multiple(self) -> int:
        """How many shares one has become."""
        kept = self.old if self.kind is TransactionKind.BONUS else 0
        return (self.new + kept) // self.old


ACTIONS: Final = (
    CorporateAction("RELIANCE", TransactionKind.BONUS, 251, 1, 1),
    CorporateAction("HDFCBANK", TransactionKind.BONUS, 452, 1, 1),
    CorporateAction("KOTAKBANK", TransactionKind.SPLIT, 571, 5, 1),
)


class Market:
    """Instruments by symbol, their prices by day, and the days' rates.

    Closes are raw and in hundredths, the net asset values of funds in ten thousandths.
    """

    def __init__(self, days: Days) -> None:
        self._days = days
        self.listings: Mapping[str, Listing] = {listing.symbol: listing for listing in LISTINGS}
        self._moves = _Moves()
        self.closes: Mapping[str, Sequence[int]] = {listing.symbol: self._closes(listing) for listing in LISTINGS}
        self.values: Mapping[str, Sequence[int]] = {fund.symbol: self._values(fund) for fund in FUNDS}
        self.actions: Mapping[str, CorporateAction] = {action.symbol: action for action in ACTIONS}

    @cached_property
    def by_id(self) -> Mapping[UUID, Instrument]:
        """All instruments, by their ids."""
        listed = {listing.instrument.id: listing.instrument for listing in LISTINGS}
        return listed | {fund.instrument.id: fund.instrument for fund in FUNDS}

    def price(self, symbol: str, day: int) -> Decimal:
        """The raw close or the net asset value of a day."""
        if symbol in self.values:
            return Decimal(self.values[symbol][day]).scaleb(-4)
        return Decimal(self.closes[symbol][day]).scaleb(-2)

    def prices(self) -> Iterator[Price]:
        """All prices, raw: a split or bonus shows as a fall on its day."""
        for listing in LISTINGS:
            closes = self.closes[listing.symbol]
            for day, close in zip(self._days.dates, closes, strict=True):
                yield Price(listing.instrument.id, day, Decimal(close).scaleb(-2))
        for fund in FUNDS:
            for day, value in zip(self._days.dates, self.values[fund.symbol], strict=True):
                yield Price(fund.instrument.id, day, Decimal(value).scaleb(-4))

    def rates(self) -> Iterator[FxRate]:
        """All rates in US dollars."""
        for currency, (last, volatility, gain) in CURRENCIES.items():
            draws = chance("rate", currency)
            path = _walk(_drifting([volatility * _DAILY * normal(draws) for _ in range(HISTORY)], gain))
            for day, level in zip(self._days.dates, path, strict=True):
                yield FxRate(currency, day, Decimal(f"{last * level / path[-1]:.10f}"))

    def _closes(self, listing: Listing) -> list[int]:
        path = _walk(self._moves.of(listing.instrument, listing.volatility))
        scale = listing.close / path[-1]
        closes = [max(round(level * scale / listing.tick), 1) * listing.tick for level in path]
        for action in ACTIONS:
            if action.symbol == listing.symbol:
                closes = [close * action.multiple for close in closes[: action.day]] + closes[action.day :]
        return closes

    def _values(self, fund: Fund) -> list[int]:
        path = _walk(self._moves.of(fund.instrument, fund.volatility, fund.gain))
        return [round(level * fund.value / path[-1]) for level in path]


class _Moves:
    """Daily moves: of a market, of a sector in it, and of each instrument alone."""

    def __init__(self) -> None:
        self._shared: dict[str, list[float]] = {}

    def of(self, instrument: Instrument, volatility: float, gain: float | None = None) -> list[float]:
        """The daily returns of an instrument, as fractions, around a gain of its own or its class's."""
        draws = chance("price", instrument.symbol)
        gain = _GAINS.get(instrument.asset_class) if gain is None else gain
        gain = draws.uniform(-0.02, 0.24) if gain is None else gain
        market = self._of(instrument.currency)
        sector = self._of(f"{instrument.currency}:{instrument.sector}")
        size = volatility * _DAILY
        # 0.6² + 0.5² + 0.62² is 1: the parts share the instrument's volatility.
        moves = [
            size * (0.6 * whole + 0.5 * part + 0.62 * normal(draws)) for whole, part in zip(market, sector, strict=True)
        ]
        return _drifting(moves, gain)

    def _of(self, name: str) -> list[float]:
        if name not in self._shared:
            draws = chance("moves", name)
            self._shared[name] = [normal(draws) for _ in range(HISTORY)]
        return self._shared[name]


def normal(draws: Random) -> float:
    """A draw that is nearly normal, of mean 0 and deviation 1, and never beyond 3.5."""
    return (draws.random() + draws.random() + draws.random() + draws.random() - 2) * _UNIT


def _drifting(moves: Sequence[float], gain: float) -> list[float]:
    """The same moves around a yearly gain: left to chance alone, half of the market would end far from believable."""
    shift = gain / DAYS_A_YEAR - sum(moves) / len(moves)
    return [move + shift for move in moves]


def _walk(moves: Sequence[float]) -> list[float]:
    level = 1.0
    path = []
    for move in moves:
        level *= 1 + move
        path.append(level)
    return path
