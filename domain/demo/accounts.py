"""The portfolios of the demo firm: what each aims at, what it may hold, and how long its story is."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from domain.clients import ClientKind, ClientStatus, RiskProfile, Segment
from domain.demo.chance import chance
from domain.demo.days import LAST, OPENING, Days
from domain.demo.groups import HALF, IN_A_HALF, SIZE, Group
from domain.demo.ids import named_id
from domain.demo.listings import LISTINGS
from domain.demo.market import ACTIONS
from domain.demo.people import YOUNGEST, Dossier
from domain.entities import derived_id
from domain.portfolios import Portfolio, PortfolioStatus, Target
from domain.text import fold
from domain.valuation import AssetClass

FIRST_ACCOUNT: Final = 10_000_001  # where the firm's own count begins too
ENTRIES: Final = 30  # of a portfolio, in the middle
_DORMANT: Final = 260  # business days without an entry make a client dormant
_TWO_CURRENCIES: Final = 0.22  # of the portfolios
_ABROAD: Final = 0.34
_AT_HOME: Final = 0.6
_SYSTEMATIC: Final = 0.5  # of the clients put in the same amount each time
_SMALLEST: Final = 5  # percent

_Weights = Mapping[AssetClass, int]
# Percent, by risk profile.
_AIMS: Final[Mapping[RiskProfile, _Weights]] = {
    RiskProfile.CONSERVATIVE: {
        AssetClass.EQUITY: 25,
        AssetClass.DEBT: 50,
        AssetClass.GOLD: 10,
        AssetClass.REAL_ESTATE: 5,
        AssetClass.CASH: 10,
    },
    RiskProfile.MODERATE: {
        AssetClass.EQUITY: 55,
        AssetClass.DEBT: 22,
        AssetClass.GOLD: 10,
        AssetClass.REAL_ESTATE: 5,
        AssetClass.CASH: 8,
    },
    RiskProfile.AGGRESSIVE: {
        AssetClass.EQUITY: 72,
        AssetClass.DEBT: 8,
        AssetClass.GOLD: 6,
        AssetClass.ALTERNATIVE: 5,
        AssetClass.COMMODITY: 4,
        AssetClass.CASH: 5,
    },
}
_BENCHMARKS: Final[Mapping[str, Mapping[RiskProfile, str]]] = {
    "INR": {
        RiskProfile.CONSERVATIVE: "CRISIL Hybrid 85+15 Conservative Index",
        RiskProfile.MODERATE: "CRISIL Hybrid 50+50 Moderate Index",
        RiskProfile.AGGRESSIVE: "NIFTY 50 TRI",
    },
    "USD": dict.fromkeys(RiskProfile, "S&P 500 TR"),
    "EUR": dict.fromkeys(RiskProfile, "EURO STOXX 50 TR"),
    "GBP": dict.fromkeys(RiskProfile, "FTSE All-Share TR"),
    "SGD": dict.fromkeys(RiskProfile, "Straits Times Index TR"),
}
_FIRST_NAMES: Final = {
    RiskProfile.CONSERVATIVE: "Income Portfolio",
    RiskProfile.MODERATE: "Balanced Portfolio",
    RiskProfile.AGGRESSIVE: "Growth Portfolio",
}
_KIND_NAMES: Final = {
    ClientKind.COMPANY: "Treasury Portfolio",
    ClientKind.TRUST: "Trust Corpus",
    ClientKind.MINOR: "Education Fund",
}
_LATER_NAMES: Final = ("Retirement Portfolio", "Long-Term Wealth", "Children's Education", "Rainy Day Fund")
_GLOBAL: Final = "Global Opportunities"
_INDIA: Final = "India Opportunities"

# The first deposit in thousands of rupees, and what a thousand rupees are in another currency.
_WEALTH: Final = {
    Segment.RETAIL: (300, 1_500),
    Segment.AFFLUENT: (1_500, 8_000),
    Segment.HNI: (8_000, 60_000),
    Segment.UHNI: (60_000, 400_000),
}
_THOUSAND: Final = {"INR": 1000.0, "USD": 11.5, "EUR": 10.0, "GBP": 8.8, "SGD": 15.0}


class Purse(msgspec.Struct, frozen=True):
    """One currency of a portfolio: the first deposit in hundredths, and what it is spent on, by weight."""

    currency: str
    deposit: int
    shares: tuple[tuple[str, float], ...]


class Plan(msgspec.Struct, frozen=True):
    """A portfolio, and the frame of its story: its entries are told from the `opened` day to the `last` one."""

    number: int
    portfolio: Portfolio
    targets: tuple[Target, ...]
    purses: tuple[Purse, ...]
    entries: int
    opened: int
    last: int
    closes: bool
    systematic: bool


def _by_class() -> dict[tuple[str, AssetClass], list[str]]:
    table: dict[tuple[str, AssetClass], list[str]] = {}
    for listing in LISTINGS:
        table.setdefault((listing.instrument.currency, listing.instrument.asset_class), []).append(listing.symbol)
    return table


_BY_CLASS: Final = _by_class()
_SPLIT: Final = frozenset(action.symbol for action in ACTIONS)


def plans(group: Group, dossiers: Sequence[Dossier], days: Days) -> Iterator[Plan]:
    """The portfolios of a group's clients; their numbers follow from the group's, whatever went before."""
    for place, dossier in enumerate(dossiers):
        half = place // HALF
        first = (group.number * SIZE // HALF + half) * IN_A_HALF
        before = sum(group.portfolios[half * HALF : place])
        lengths = _lengths(group.number * 2 + half)
        for order in range(group.portfolios[place]):
            slot = before + order
            yield _Planner(group, dossier, first + slot, order, days).plan(lengths[slot])


def _lengths(half: int) -> tuple[int, ...]:
    """How many entries each of five portfolios has: different for each, the same for all five together."""
    draws = chance("lengths", half)
    near, far = draws.randint(1, 8), draws.randint(3, 10)
    # The first two add up to the middle as well, so that a firm whose clients end there has round figures.
    return ENTRIES + (near if half else 0), ENTRIES - (near if half else 0), ENTRIES, ENTRIES + far, ENTRIES - far


class _Planner:
    """Draws one portfolio."""

    def __init__(self, group: Group, dossier: Dossier, number: int, order: int, days: Days) -> None:
        self._dossier = dossier
        self._client = dossier.client
        self._number = number
        self._order = order
        self._days = days
        self._draws = chance("portfolio", number)
        self._group = group
        self._name, self._currency = self._mandate()
        self._risk = self._client.risk_profile or RiskProfile.MODERATE

    def plan(self, entries: int) -> Plan:
        """The portfolio and the frame of its story."""
        draws = self._draws
        status = self._client.status
        early = self._order == 0 or self._number < IN_A_HALF
        opened = self._dossier.since + draws.randint(1, 6 if early else 200)
        opened = min(opened, YOUNGEST + 10)
        last = LAST - draws.randrange(12)
        if status is ClientStatus.DORMANT:
            last = max(opened + 60, LAST - _DORMANT - draws.randrange(80))
        if status is ClientStatus.ARCHIVED:
            last = min(last, opened + 100 + draws.randrange(200))
        portfolio = self._portfolio(opened)
        return Plan(
            number=self._number,
            portfolio=portfolio,
            targets=tuple(self._targets(portfolio)),
            purses=tuple(self._purses()),
            entries=entries,
            opened=opened,
            last=last,
            closes=portfolio.status is PortfolioStatus.CLOSED,
            systematic=draws.random() < _SYSTEMATIC,
        )

    def _mandate(self) -> tuple[str, str]:
        """Name and currency: every third second portfolio is invested abroad, for whoever lives abroad in India."""
        draws, client = self._draws, self._client
        home = client.currency
        if self._order == 0:
            name = _KIND_NAMES.get(client.kind) or _FIRST_NAMES[client.risk_profile or RiskProfile.MODERATE]
            return name, home
        lot = draws.random()
        if self._order == 1 and home == "INR" and lot < _ABROAD:
            return _GLOBAL, "USD"
        if self._order == 1 and home != "INR" and lot < _AT_HOME:
            return (_INDIA, "INR") if lot < _ABROAD or home == "USD" else (_GLOBAL, "USD")
        return _LATER_NAMES[(self._number + self._order) % len(_LATER_NAMES)], home

    def _portfolio(self, opened: int) -> Portfolio:
        archived = self._client.status is ClientStatus.ARCHIVED
        return Portfolio(
            id=named_id("portfolio", self._number, opened, OPENING),
            client_id=self._client.id,
            book_id=self._client.book_id,
            name=self._name,
            sort_name=fold(self._name),
            account_number=f"ACC-{FIRST_ACCOUNT + self._number}",
            base_currency=self._currency,
            benchmark=_BENCHMARKS[self._currency][self._risk],
            opened_on=self._days.dates[opened],
            status=PortfolioStatus.CLOSED if archived else PortfolioStatus.OPEN,
            version=1,
        )

    def _weights(self) -> dict[AssetClass, int]:
        """What is aimed at: what cannot be had in the currency goes to shares."""
        weights = dict(_AIMS[self._risk])
        for kind in list(weights):
            if kind is not AssetClass.CASH and (self._currency, kind) not in _BY_CLASS:
                weights[AssetClass.EQUITY] += weights.pop(kind)
        return weights

    def _targets(self, portfolio: Portfolio) -> Iterator[Target]:
        for kind, percent in self._weights().items():
            target_id = derived_id("target", portfolio.id, kind)
            yield Target(target_id, portfolio.id, kind, Decimal(percent).scaleb(-2))

    def _purses(self) -> Iterator[Purse]:
        draws = self._draws
        deposit = self._deposit(self._currency)
        yield Purse(self._currency, deposit, tuple(self._shares()))
        closes = self._client.status is ClientStatus.ARCHIVED
        if self._currency != "USD" and not closes and draws.random() < _TWO_CURRENCIES:
            abroad = draws.sample(_BY_CLASS["USD", AssetClass.EQUITY], 2)
            yield Purse("USD", self._deposit("USD") // 5, tuple((symbol, 0.45) for symbol in abroad))

    def _deposit(self, currency: str) -> int:
        """A first deposit, in hundredths: round, as people are."""
        least, most = _WEALTH[self._client.segment]
        # Small fortunes are more common than large ones.
        thousands = least + (most - least) * self._draws.random() * self._draws.random()
        step = 2_500_000 if currency == "INR" else 50_000
        return max(round(thousands * _THOUSAND[currency] * 100 / step), 4) * step

    def _shares(self) -> Iterator[tuple[str, float]]:
        """What to hold, each with the fraction of a deposit that goes there."""
        draws = self._draws
        few = self._client.status is ClientStatus.ARCHIVED
        for kind, percent in self._weights().items():
            symbols = _BY_CLASS.get((self._currency, kind), [])
            if few:
                # Nothing is held for a split that comes after the end.
                symbols = [symbol for symbol in symbols if symbol not in _SPLIT]
            if kind is AssetClass.EQUITY:
                chosen = _popular(symbols, 3 if few else draws.randint(3, 6), draws)
                if self._number == 0:
                    chosen = ["HDFCBANK", "RELIANCE", "INFY", "NIFTYBEES"]
            else:
                # Nobody follows the smallest aims to the letter.
                wanted = symbols and (percent > _SMALLEST or draws.randrange(2))
                chosen = draws.sample(symbols, 1) if wanted else []
            for symbol in chosen:
                yield symbol, percent / 100 / len(chosen)


def _popular(symbols: Sequence[str], count: int, draws: Random) -> list[str]:
    """Some of the symbols, those at the front more often."""
    left = list(symbols)
    chosen = []
    for _ in range(min(count, len(left))):
        place = int(draws.random() * draws.random() * len(left))
        chosen.append(left.pop(place))
    return chosen
