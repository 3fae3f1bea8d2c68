"""What a portfolio is worth on a day, in its base currency, and what that rests on.

Values are exact and unrounded, weights are fractions of the value with cash. What cannot be known, for want of a
price or a rate, is null and flagged; it is never taken as 0 or 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from domain.ledger import Holding, average_cost
from domain.money import ZERO, Currency, Money, arithmetic
from domain.valuation.quotes import Action, FxQuote, Quote, Rate, rate_between, restated

K = TypeVar("K")


class AssetClass(StrEnum):
    """What kind of asset an instrument is, for allocation and targets.

    EQUITY: Shares of companies, and funds of them.
    DEBT: Bonds, deposits, and funds of them.
    GOLD: Gold and other precious metals, and funds of them.
    REAL_ESTATE: Property, and trusts that hold it.
    COMMODITY: Energy, crops and base metals, and funds of them.
    ALTERNATIVE: Private equity, hedge funds and whatever fits no other class.
    CASH: Balances, and instruments as good as cash, such as liquid funds.
    """

    EQUITY = "EQUITY"
    DEBT = "DEBT"
    GOLD = "GOLD"
    REAL_ESTATE = "REAL_ESTATE"
    COMMODITY = "COMMODITY"
    ALTERNATIVE = "ALTERNATIVE"
    CASH = "CASH"


class Classified(Protocol):
    """What a valuation must know of an instrument."""

    @property
    def asset_class(self) -> AssetClass:
        """The class it counts to."""

    @property
    def sector(self) -> str | None:
        """The sector it counts to, if any."""

    @property
    def currency(self) -> str:
        """The currency of its price and its cost."""


class Held(Protocol):
    """What a valuation must know of a position, folded or stored."""

    @property
    def instrument_id(self) -> UUID:
        """What is held."""

    @property
    def quantity(self) -> Decimal:
        """How many units are held."""

    @property
    def total_cost(self) -> Decimal:
        """What they cost, in the instrument's currency."""


class Market(msgspec.Struct, frozen=True, gc=False):
    """What a valuation must know of the world: instruments, and their quotes and rates of currencies, by key.

    `quotes` and `rates` are the last on or before the day; a later one counts as missing. Every instrument held must
    be among `instruments`.
    """

    instruments: Mapping[UUID, Classified]
    quotes: Mapping[UUID, Quote]
    rates: Mapping[str, FxQuote]


class Contents(msgspec.Struct, frozen=True, gc=False):
    """What one portfolio holds at the close of a day.

    `positions` has those sold out too, `cash` is by currency and trade date; `actions` are the portfolio's splits and
    bonuses until that day, by instrument.
    """

    positions: Sequence[Holding]
    cash: Mapping[str, Decimal]
    actions: Mapping[UUID, Sequence[Action]]


class Slice(msgspec.Struct, Generic[K], frozen=True, gc=False):
    """A part of an allocation: its value in `currency` and its weight as a fraction; null if unknown."""

    key: K
    value: Decimal | None
    weight: Decimal | None
    currency: Currency

    @property
    def instrument_id(self) -> UUID | None:
        """The instrument, where that is what the slice stands for."""
        return self.key if isinstance(self.key, UUID) else None


class PositionValuation(msgspec.Struct, frozen=True, gc=False):
    """What a position is worth: in the instrument's `currency`, and where named `base` in the portfolio's.

    Costs and gains in the base currency are at the rate of the day, which is from `fx_on`: null where none is
    needed. `weight` is a fraction of the portfolio's value with cash. `realised_gain` and `dividends`, until the day
    and in `currency`, are null where only what is held was given.
    """

    instrument_id: UUID
    currency: str
    base_currency: Currency
    quantity: Decimal
    average_cost: Decimal | None
    total_cost: Decimal
    total_cost_base: Decimal | None
    price: Decimal | None
    priced_on: date | None
    market_value: Decimal | None
    market_value_base: Decimal | None
    fx_on: date | None
    unrealised_gain: Decimal | None
    unrealised_gain_base: Decimal | None
    weight: Decimal | None
    realised_gain: Decimal | None = None
    dividends: Decimal | None = None


class PortfolioValuation(msgspec.Struct, frozen=True, gc=False):
    """What a portfolio, or several seen as one, is worth at the close of a day, in its base currency.

    `value` is positions and cash; `invested` is the cost of the positions, and like the gains and dividends it is at
    the rates of the day. `prices_as_of` and `rates_as_of` are the oldest days that a price and a rate are from; null
    where none was used. Allocations are ordered by value, the largest first; in each of them cash has the key
    AssetClass.CASH, and what has no sector has the key null. `sold_out` is worth nothing, and has earned.
    `realised_gain` and `dividends` are null where only what is held was given, `owner_id` where nobody was said
    to own it.
    """

    as_of: date
    currency: Currency
    value: Money | None
    cash: Money | None
    invested: Money | None
    unrealised_gain: Money | None
    missing_prices: tuple[UUID, ...]
    missing_rates: tuple[str, ...]
    prices_as_of: date | None
    rates_as_of: date | None
    positions: tuple[PositionValuation, ...]
    by_asset_class: tuple[Slice[AssetClass], ...]
    by_sector: tuple[Slice[str | None], ...]
    by_instrument: tuple[Slice[UUID | AssetClass], ...]
    realised_gain: Money | None = None
    dividends: Money | None = None
    owner_id: UUID | None = None
    sold_out: tuple[Holding, ...] = ()

    def position(self, instrument_id: UUID, currency: str) -> PositionValuation:
        """The position of an instrument that is kept in `currency`; one that was sold out is worth nothing."""
        found = (each for each in self.positions if each.instrument_id == instrument_id)
        return next(found, None) or self._sold_out(instrument_id, currency)

    def _sold_out(self, instrument_id: UUID, currency: str) -> PositionValuation:
        known = next((each for each in self.sold_out if each.instrument_id == instrument_id), None)
        return PositionValuation(
            instrument_id=instrument_id,
            currency=currency,
            base_currency=self.currency,
            quantity=ZERO,
            average_cost=None,
            total_cost=ZERO,
            total_cost_base=ZERO,
            price=None,
            priced_on=None,
            market_value=ZERO,
            market_value_base=ZERO,
            fx_on=None,
            unrealised_gain=ZERO,
            unrealised_gain_base=ZERO,
            weight=_share(ZERO, self.value.amount if self.value else None),
            # None is known where nothing was traded by the day.
            realised_gain=known.realised_gain if known else ZERO,
            dividends=known.dividends if known else ZERO,
        )

    def drift(self, target: Mapping[AssetClass, Decimal]) -> dict[AssetClass, Decimal | None]:
        """Weight minus target, as fractions, of each class that is held or aimed at; null if the weight is unknown."""
        weights = {part.key: part.weight for part in self.by_asset_class}
        # Only where weights exist at all is a class that is not held one of weight zero.
        absent = ZERO if self.value is not None and self.value.amount else None
        with arithmetic():
            return {
                key: _difference(weights.get(key, absent), target.get(key, ZERO))
                for key in AssetClass
                if key in weights or key in target
            }


def value(
    positions: Iterable[Held],
    cash: Mapping[str, Decimal],
    *,
    as_of: date,
    currency: Currency,
    instruments: Mapping[UUID, Classified],
    quotes: Mapping[UUID, Quote],
    rates: Mapping[str, FxQuote],
) -> PortfolioValuation:
    """What these positions and this cash by currency are worth on a day, in the base `currency`.

    `quotes` by instrument and `rates` by currency are the last on or before the day (a later one counts as
    missing). Every instrument held must be among `instruments`.
    """
    market = Market(instruments, quotes, rates)
    with arithmetic():
        held = [(position, ()) for position in positions]
        return _valuation(held, cash, as_of=as_of, currency=currency, market=market)


def appraise(
    parts: Sequence[Contents], *, as_of: date, currency: Currency, market: Market, owner_id: UUID | None = None
) -> PortfolioValuation:
    """What portfolios, seen as one, are worth on a day, in one `currency`, with what they have earned.

    A quote from before a split or bonus counts in the units of each portfolio that has recorded it.
    """
    with arithmetic():
        positions = [position for part in parts for position in part.positions]
        codes = [market.instruments[position.instrument_id].currency for position in positions]
        realised = _by_currency(zip(codes, (position.realised_gain for position in positions), strict=True))
        dividends = _by_currency(zip(codes, (position.dividends for position in positions), strict=True))
        valued = _valuation(
            [(each, part.actions.get(each.instrument_id, ())) for part in parts for each in part.positions],
            _by_currency(balance for part in parts for balance in part.cash.items()),
            as_of=as_of,
            currency=currency,
            market=market,
            earned=(realised, dividends),
        )
    earning = (each for each in positions if each.quantity)
    return msgspec.structs.replace(
        valued,
        owner_id=owner_id,
        positions=tuple(map(_with_earnings, valued.positions, earning)),
        sold_out=tuple(each for each in positions if not each.quantity),
    )


def _with_earnings(valued: PositionValuation, held: Holding) -> PositionValuation:
    return msgspec.structs.replace(valued, realised_gain=held.realised_gain, dividends=held.dividends)


def _by_currency(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for code, amount in amounts:
        sums[code] = sums.get(code, ZERO) + amount
    return sums


def _valuation(
    positions: Iterable[tuple[Held, Sequence[Action]]],
    cash: Mapping[str, Decimal],
    *,
    as_of: date,
    currency: Currency,
    market: Market,
    earned: tuple[Mapping[str, Decimal], ...] = (),
) -> PortfolioValuation:
    """Within `arithmetic`; `earned` is the realised gain and the dividends, by currency."""
    held = [(position, actions) for position, actions in positions if position.quantity]
    in_use = {market.instruments[position.instrument_id].currency for position, _ in held}
    in_use |= {code for sums in (cash, *earned) for code, amount in sums.items() if amount}
    table = {code: rate_between(code, currency, market.rates, as_of) for code in sorted(in_use)}
    current = {key: quote for key, quote in market.quotes.items() if quote.on <= as_of}
    valued = []
    for position, actions in held:
        quote = current.get(position.instrument_id)
        if quote is not None and actions:
            quote = restated(quote, actions, as_of)
        code = market.instruments[position.instrument_id].currency
        valued.append(_valued(position, code, currency, quote, table[code]))
    balance, *gained = (_converted(sums, table) for sums in (cash, *earned))
    whole = _assembled(valued, balance, as_of=as_of, currency=currency, instruments=market.instruments, table=table)
    if not gained:
        return whole
    realised, dividends = (_money(amount, currency) for amount in gained)
    return msgspec.structs.replace(whole, realised_gain=realised, dividends=dividends)


def _converted(sums: Mapping[str, Decimal], table: Mapping[str, Rate]) -> Decimal | None:
    return _total(table[code].convert(amount) for code, amount in sums.items() if amount)


def _valued(held: Held, currency: str, base: Currency, quote: Quote | None, rate: Rate) -> PositionValuation:
    worth = None if quote is None else held.quantity * quote.price
    worth_base, cost_base = rate.convert(worth), rate.convert(held.total_cost)
    return PositionValuation(
        instrument_id=held.instrument_id,
        currency=currency,
        base_currency=base,
        quantity=held.quantity,
        average_cost=average_cost(held.total_cost, held.quantity),
        total_cost=held.total_cost,
        total_cost_base=cost_base,
        price=quote.price if quote else None,
        priced_on=quote.on if quote else None,
        market_value=worth,
        market_value_base=worth_base,
        fx_on=rate.on,
        unrealised_gain=_difference(worth, held.total_cost),
        unrealised_gain_base=_difference(worth_base, cost_base),
        weight=None,
    )


def _assembled(
    valued: list[PositionValuation],
    cash: Decimal | None,
    *,
    as_of: date,
    currency: Currency,
    instruments: Mapping[UUID, Classified],
    table: Mapping[str, Rate],
) -> PortfolioValuation:
    worth = _total(each.market_value_base for each in valued)
    invested = _total(each.total_cost_base for each in valued)
    value = _total((worth, cash))
    # No slice for a portfolio without cash, which a missing rate (null) is not.
    purse = [] if cash == ZERO else [(AssetClass.CASH, cash)]
    parts = [(instruments[each.instrument_id], each.market_value_base) for each in valued]
    sectors: list[tuple[str | None, Decimal | None]] = [(of.sector, amount) for of, amount in parts]
    singles: list[tuple[UUID | AssetClass, Decimal | None]] = [
        (each.instrument_id, each.market_value_base) for each in valued
    ]
    return PortfolioValuation(
        as_of=as_of,
        currency=currency,
        value=_money(value, currency),
        cash=_money(cash, currency),
        invested=_money(invested, currency),
        unrealised_gain=_money(_difference(worth, invested), currency),
        # Several portfolios may hold the same instrument.
        missing_prices=tuple(dict.fromkeys(each.instrument_id for each in valued if each.price is None)),
        missing_rates=tuple(sorted({code for rate in table.values() for code in rate.missing})),
        prices_as_of=min((each.priced_on for each in valued if each.priced_on), default=None),
        rates_as_of=min((rate.on for rate in table.values() if rate.on), default=None),
        positions=tuple(msgspec.structs.replace(each, weight=_share(each.market_value_base, value)) for each in valued),
        by_asset_class=_slices([*((of.asset_class, amount) for of, amount in parts), *purse], value, currency),
        by_sector=_slices([*sectors, *purse], value, currency),
        by_instrument=_slices([*singles, *purse], value, currency),
    )


def _slices(
    parts: Iterable[tuple[K, Decimal | None]], whole: Decimal | None, currency: Currency
) -> tuple[Slice[K], ...]:
    sums: dict[K, Decimal | None] = {}
    for key, amount in parts:
        sums[key] = _total((sums.get(key, ZERO), amount))
    largest_first = sorted(sums.items(), key=lambda part: (part[1] is None, -(part[1] or ZERO), str(part[0])))
    return tuple(Slice(key, amount, _share(amount, whole), currency) for key, amount in largest_first)


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum, which is unknown when a part of it is."""
    total = ZERO
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def _difference(amount: Decimal | None, less: Decimal | None) -> Decimal | None:
    return None if amount is None or less is None else amount - less


def _share(amount: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return None if amount is None or not whole else amount / whole


def _money(amount: Decimal | None, currency: Currency) -> Money | None:
    return None if amount is None else Money(amount, currency)
