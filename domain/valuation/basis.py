"""What the valuations of many rest on, read at once: holdings as they are stored, or the ledgers of a past day."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from uuid import UUID

import msgspec

from domain.ledger import Transaction, fold
from domain.money import Currency, Money
from domain.valuation.portfolio import Classified, Contents, Market, PortfolioValuation, appraise
from domain.valuation.quotes import FxQuote, Quote, actions_of
from domain.valuation.series import series


class Owner(StrEnum):
    """Whose portfolios are valued together.

    PORTFOLIO: A portfolio alone, in its base currency.
    CLIENT: All portfolios of a client, in the currency of its totals.
    HOUSEHOLD: All portfolios of those members of a household that the viewer sees, in the household's currency.
    """

    PORTFOLIO = "PORTFOLIO"
    CLIENT = "CLIENT"
    HOUSEHOLD = "HOUSEHOLD"


class ValuePoint(msgspec.Struct, frozen=True, gc=False):
    """What a portfolio was worth at the close of a day; null for want of a price or a rate."""

    on: date
    value: Money | None


class Stored(msgspec.Struct, frozen=True):
    """What owners hold today, as it is stored: by owner, the currency of its totals, and each portfolio's contents.

    One without portfolios has no contents.
    """

    as_of: date
    currencies: Mapping[UUID, Currency]
    contents: Mapping[UUID, Sequence[Contents]]
    market: Market

    def valuations(self) -> Iterator[PortfolioValuation]:
        """What each owner's portfolios are worth."""
        for owner_id, currency in self.currencies.items():
            parts = self.contents.get(owner_id, ())
            yield appraise(parts, as_of=self.as_of, currency=currency, market=self.market, owner_id=owner_id)


class Ledgers(msgspec.Struct, frozen=True):
    """What owners have held on past days: by owner, the currency of its totals, and each portfolio's ledger.

    The ledgers, `closes` and `rates` reach to the last of `days`; closes by instrument, and rates, hold at least the
    last ones on or before each of them.
    """

    days: Sequence[date]
    currencies: Mapping[UUID, Currency]
    ledgers: Mapping[UUID, Sequence[Sequence[Transaction]]]
    instruments: Mapping[UUID, Classified]
    closes: Mapping[UUID, Sequence[Quote]]
    rates: Sequence[FxQuote]

    def valuations(self) -> Iterator[PortfolioValuation]:
        """What each owner's portfolios were worth on the last of the days."""
        day = self.days[-1]
        market = Market(
            self.instruments,
            {instrument_id: quotes[-1] for instrument_id, quotes in self.closes.items()},
            {rate.currency: rate for rate in self.rates},
        )
        for owner_id, currency in self.currencies.items():
            parts = [contents_of(ledger, day) for ledger in self.ledgers.get(owner_id, ())]
            yield appraise(parts, as_of=day, currency=currency, market=market, owner_id=owner_id)

    def worth(self, owner_id: UUID, days: Sequence[date]) -> list[tuple[date, Decimal | None]]:
        """What an owner, a portfolio, was worth on each of some of the days."""
        ledger = list(chain.from_iterable(self.ledgers.get(owner_id, ())))
        held = {entry.instrument_id for entry in ledger if entry.instrument_id}
        return series(
            ledger,
            dates=days,
            currency=self.currencies[owner_id],
            instruments=self.instruments,
            closes=chain.from_iterable(self.closes.get(instrument_id, ()) for instrument_id in held),
            rates=self.rates,
        )


class Charted(msgspec.Struct, frozen=True):
    """The values of portfolios on days: by portfolio and day as far as they are stored, and what the others rest on.

    `ledgers` are those of the portfolios that lack a value, for all days that one of them lacks; null if none does.
    """

    days: Sequence[date]
    currencies: Mapping[UUID, Currency]
    stored: Mapping[UUID, Mapping[date, Decimal | None]]
    ledgers: Ledgers | None

    def calculated(self, portfolio_id: UUID) -> list[tuple[date, Decimal | None]]:
        """The values that are not stored, each of its day."""
        known = self.stored[portfolio_id]
        lacking = [day for day in self.days if day not in known]
        return self.ledgers.worth(portfolio_id, lacking) if self.ledgers and lacking else []

    def series(self) -> Iterator[tuple[UUID, list[ValuePoint]]]:
        """What each portfolio was worth on each of the days."""
        for portfolio_id, currency in self.currencies.items():
            values = {**self.stored[portfolio_id], **dict(self.calculated(portfolio_id))}
            yield portfolio_id, [ValuePoint(day, _money(values[day], currency)) for day in self.days]


def contents_of(ledger: Iterable[Transaction], as_of: date) -> Contents:
    """What a portfolio's entries amount to at the close of a day."""
    entries = [entry for entry in ledger if entry.traded_on <= as_of]
    holdings = fold(entries)
    return Contents(tuple(holdings.positions.values()), holdings.cash, actions_of(entries))


def _money(value: Decimal | None, currency: Currency) -> Money | None:
    return None if value is None else Money(value, currency)
