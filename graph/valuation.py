"""What portfolios, clients and households are worth, and what that rests on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, TypeVar

import msgspec
import strawberry

from domain import instruments, valuation
from domain.errors import Invalid, TooComplex
from domain.money import Money as DomainMoney
from domain.money import amount_stored, number_stored
from domain.valuation import AssetClass, Interval, Owner, chart_days, drifts
from graph.batching import batched
from graph.context import Context, Info
from graph.cost import cost, days, sized
from graph.dated import Batch, Load, past_day, reading
from graph.described import enum, interface, type_
from graph.instruments import Instrument
from graph.nodes import OfEntity
from graph.scalars import Money, money
from persistence.instruments import Instruments
from persistence.portfolios import Portfolios
from persistence.valuation import Valuations

enum(Interval)

T = TypeVar("T")
# From an object to what its fields are read off.
Source = Callable[[Any, Context], Awaitable[Any]]

MOST_POINTS: Final = 1_500
# Where the arguments do not tell.
USUAL_POINTS: Final = 250
# Of all portfolios of a level together: their ledgers are walked in the server, not in the database.
MOST_POINTS_OF_A_LEVEL: Final = 15_000


async def _taking_turns(results: Iterable[T]) -> list[T]:
    """The results, each calculated only when others have had their turn."""
    found = []
    for result in results:
        found.append(result)
        await asyncio.sleep(0)
    return found


def _valuations(owner: Owner) -> Load:
    async def load(context: Context, keys: Sequence[Any], day: date) -> list[valuation.PortfolioValuation]:
        if day == await context.today():
            today = await context.read(Valuations.of_today, owner, keys, day)
            return await _taking_turns(today.valuations())
        ledgers = await context.read(Valuations.ledgers, owner, keys, (day,))
        return await _taking_turns(ledgers.valuations())

    return load


PORTFOLIO_VALUES: Final = Batch(_valuations(Owner.PORTFOLIO), by="owner_id")
CLIENT_VALUES: Final = Batch(_valuations(Owner.CLIENT), by="owner_id")
HOUSEHOLD_VALUES: Final = Batch(_valuations(Owner.HOUSEHOLD), by="owner_id")
INSTRUMENTS: Final = Batch(reading(Instruments.by_ids), by="id")
TARGETS: Final = Batch(reading(Portfolios.targets_of), by="portfolio_id", many=True)


def shown(read: Callable[[Any], Any], kind: Any, description: str, of: Source | None = None) -> Any:
    """A field that shows something of its object or, with `of`, of what that leads to."""

    def resolve(root: Any) -> Any:
        return read(root)

    async def resolve_of(root: Any, info: Info) -> Any:
        return read(await of(root, info.context)) if of else None

    return strawberry.field(resolver=resolve_of if of else resolve, graphql_type=kind, description=description)


def derived(
    attribute: str,
    description: str,
    currency: str = "currency",
    *,
    rounded: Callable[[Decimal], Decimal] = amount_stored,
    of: Source | None = None,
) -> Any:
    """A nullable field of Money that was calculated: with the places of stored amounts, not with 80 digits."""

    def read(root: Any) -> DomainMoney | None:
        value = getattr(root, attribute)
        if value is None:
            return None
        found = value if isinstance(value, DomainMoney) else DomainMoney(value, getattr(root, currency))
        return DomainMoney(rounded(found.amount), found.currency)

    return shown(read, Money | None, description, of)


def fraction(attribute: str, description: str, *, of: Source | None = None) -> Any:
    """A nullable fraction that was calculated, with ten places."""

    def read(root: Any) -> Decimal | None:
        value = getattr(root, attribute)
        return None if value is None else number_stored(value)

    return shown(read, Decimal | None, description, of)


@type_
class AssetClassSlice(OfEntity):
    """What an asset class has of a whole."""

    entity = valuation.Slice

    value = derived("value", "What it is worth; none where a price or a rate is missing.")
    weight = fraction("weight", "Its share of the whole, as a fraction.")

    @strawberry.field(description="The asset class; balances count as cash.")
    def asset_class(self: "valuation.Slice[AssetClass]") -> AssetClass:
        """The slice's key."""
        return self.key


@type_
class SectorSlice(OfEntity):
    """What a sector has of a whole."""

    entity = valuation.Slice

    value = derived("value", "What it is worth; none where a price or a rate is missing.")
    weight = fraction("weight", "Its share of the whole, as a fraction.")

    @strawberry.field(description="The sector; CASH for balances, and none for instruments without one.")
    def sector(self: "valuation.Slice[str | None]") -> str | None:
        """The slice's key."""
        return self.key


@type_
class InstrumentSlice(OfEntity):
    """What an instrument, or all cash, has of a whole."""

    entity = valuation.Slice

    instrument: Instrument | None = batched(
        Instruments.by_ids, key="instrument_id", by="id", description="The instrument; none for cash."
    )
    value = derived("value", "What it is worth; none where a price or a rate is missing.")
    weight = fraction("weight", "Its share of the whole, as a fraction.")


@type_
class Allocation(OfEntity):
    """How a whole divides, in three ways; in each of them the largest comes first.

    by_asset_class: By asset class.
    by_sector: By sector.
    by_instrument: By instrument.
    """

    entity = valuation.PortfolioValuation

    cost_points: ClassVar[float] = 0

    by_asset_class: list[AssetClassSlice] = sized(6)
    by_sector: list[SectorSlice] = sized(10)
    by_instrument: list[InstrumentSlice] = sized(15)


@type_
class Drift(OfEntity):
    """How far an asset class has drifted from its target, in fractions of the whole.

    asset_class: The asset class.
    target: The share that it is meant to have.
    """

    entity = valuation.Drift

    asset_class: AssetClass
    weight = fraction("weight", "The share that it has.")
    target: Decimal
    drift = fraction("drift", "The share less the target: above zero where there is too much.")


@type_
class PositionInBaseCurrency(OfEntity):
    """What a position is worth in the base currency of its portfolio, at the rate of the day.

    fx_on: The day that the rate is from; none where no rate is needed.
    """

    entity = valuation.PositionValuation
    cost_points: ClassVar[float] = 0.5

    market_value = derived("market_value_base", "What it is worth.", "base_currency")
    total_cost = derived("total_cost_base", "What it has cost.", "base_currency")
    unrealised_gain = derived("unrealised_gain_base", "What it is worth more than it has cost.", "base_currency")
    fx_on: date | None


@type_
class PositionValuation(OfEntity):
    """What a position is worth at the close of a day, in the currency of its instrument.

    quantity: How many units are held.
    priced_on: The day that the price is from.
    """

    entity = valuation.PositionValuation

    instrument: Instrument = batched(Instruments.by_ids, key="instrument_id", by="id", description="What is held.")
    quantity: Decimal
    average_cost = derived("average_cost", "The cost of one unit; none where nothing is held.")
    total_cost = money("total_cost", "currency", "What the units have cost.")
    price = derived("price", "The last price on or before the day; none if there is none.", rounded=number_stored)
    priced_on: date | None
    market_value = derived("market_value", "What the units are worth; none without a price.")
    unrealised_gain = derived("unrealised_gain", "What the units are worth more than they have cost.")
    realised_gain = money(
        "realised_gain", "currency", "What sales until the day have gained over the cost of the units sold."
    )
    dividends = money("dividends", "currency", "What dividends until the day have paid.")
    weight = fraction("weight", "The share of the portfolio's value with cash; none where that is unknown.")

    @strawberry.field(
        description="The same in the base currency of the portfolio.", graphql_type=PositionInBaseCurrency
    )
    def in_base_currency(self: valuation.PositionValuation) -> valuation.PositionValuation:
        """Both are in the one valuation."""
        return self


@interface
class Valuation(OfEntity):
    """What one or several portfolios are worth at the close of a day, in one currency.

    What cannot be known, for want of a price or a rate, is null, and flagged in `missingPrices` and `missingRates`.
    """

    entity = valuation.PortfolioValuation
    # A portfolio's ledger is walked in the server.
    cost_points: ClassVar[float] = 10

    # Described here and not in the docstring, or the types that implement it would lose the descriptions.
    as_of: date = strawberry.field(description="The day.")
    prices_as_of: date | None = strawberry.field(
        description="The oldest day that a price is from; none where no price was used."
    )
    rates_as_of: date | None = strawberry.field(
        description="The oldest day that a rate is from; none where no rate was needed."
    )
    missing_rates: list[str] = strawberry.field(
        description="The currencies that had no rate on or before the day, by their codes of ISO 4217."
    )
    cash = derived("cash", "All cash, whether settled or not.")
    invested = derived("invested", "What the positions have cost, at the rates of the day.")
    unrealised_gain = derived("unrealised_gain", "What the positions are worth more than they have cost.")
    realised_gain = derived("realised_gain", "What all sales until the day have gained, at the rates of the day.")
    dividends = derived("dividends", "What all dividends until the day have paid, at the rates of the day.")

    @strawberry.field(
        description="Instruments that are held and had no price on or before the day.",
        graphql_type=list[Instrument],
        metadata=cost(size=1),
    )
    async def missing_prices(self: valuation.PortfolioValuation, info: Info) -> list[instruments.Instrument]:
        """The instruments without a price."""
        return await INSTRUMENTS.of_each(info.context, self.missing_prices)

    @strawberry.field(description="How the whole divides.", graphql_type=Allocation)
    def allocation(self: valuation.PortfolioValuation) -> valuation.PortfolioValuation:
        """All three allocations are in the one valuation."""
        return self


@type_
class PortfolioValuation(Valuation):
    """What a portfolio is worth at the close of a day, in its base currency.

    positions: What is held, instrument by instrument; bounded by what one portfolio holds.
    """

    value = derived("value", "All positions and cash.")
    positions: list[PositionValuation] = sized(15)

    @strawberry.field(
        description="How far each class that is held or aimed at has drifted from the target allocation; empty "
        "without one.",
        graphql_type=list[Drift],
        metadata=cost(size=6),
    )
    async def drift(self: valuation.PortfolioValuation, info: Info) -> list[valuation.Drift]:
        """Weights against the portfolio's targets."""
        targets = await TARGETS.of(info.context, self.owner_id)
        return drifts(self, {target.asset_class: target.weight for target in targets}) if targets else []


@type_
class Wealth(Valuation):
    """What all portfolios of a client or a household are worth at the close of a day."""

    cost_points: ClassVar[float] = 20

    total_assets = derived("value", "All positions and cash of all portfolios.")


@type_
class ValuePoint(OfEntity):
    """A point of a chart.

    on: The day.
    """

    entity = valuation.ValuePoint
    cost_points: ClassVar[float] = 0.1

    on: date
    value = derived("value", "What the portfolio was worth at its close; none for want of a price or a rate.")


class Chart(msgspec.Struct, frozen=True):
    """Which points a series has."""

    first: date
    last: date
    interval: Interval

    def days(self) -> tuple[date, ...]:
        """The days of the points; raises Invalid if they are too many."""
        if self.first > self.last:
            raise Invalid.of("from", "lies after to")
        days = tuple(islice(chart_days(self.first, self.last, self.interval), MOST_POINTS + 1))
        if len(days) > MOST_POINTS:
            raise Invalid.of("from", f"gives more than {MOST_POINTS} points; begin later or take a longer interval")
        return days


class _Series(msgspec.Struct, frozen=True):
    owner_id: Any
    points: list[valuation.ValuePoint]


async def _series(context: Context, keys: Sequence[Any], chart: Chart) -> list[_Series]:
    days = chart.days()
    if len(days) * len(keys) > MOST_POINTS_OF_A_LEVEL:
        raise TooComplex(f"The series of all portfolios together have more than {MOST_POINTS_OF_A_LEVEL} points.")
    charted = await context.read(Valuations.series, keys, days)
    return [_Series(*found) for found in await _taking_turns(charted.series())]


SERIES: Final = Batch(_series, by="owner_id")

From = Annotated[date, strawberry.argument(name="from", description="The day of the first point.")]
To = Annotated[
    date | None,
    strawberry.argument(description="The day of the last point; the viewer's today if it is left out."),
]
Every = Annotated[Interval, strawberry.argument(description="How far apart the points between these two are.")]


_DAYS: Final = days(usual=USUAL_POINTS, most=100 * 366)
_DAYS_APART: Final[Mapping[str, int]] = {Interval.WEEK: 7, Interval.MONTH: 30}


def _points(arguments: Mapping[str, Any]) -> int:
    """How many points a series is expected to have, by arguments that are not read as their types yet."""
    interval = arguments.get("interval")
    apart = _DAYS_APART.get(interval, 1) if isinstance(interval, str) else 1
    return min(_DAYS(arguments) // apart + 2, MOST_POINTS)


def value_series() -> Any:
    """The field of a portfolio that a chart is drawn from."""

    async def resolve(root: Any, info: Info, start: From, to: To = None, interval: Every = Interval.DAY) -> Any:
        chart = Chart(start, await past_day(info.context, to, "to"), interval)
        # Refused before any portfolio is read, and not once for each.
        chart.days()
        return (await SERIES.of(info.context, root.id, chart)).points

    return strawberry.field(
        resolver=resolve,
        graphql_type=list[ValuePoint],
        description=f"The value over time, cash included; at most {MOST_POINTS} points.",
        metadata=cost(20, size=_points),
    )
