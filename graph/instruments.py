"""Instruments, their prices, and FX rates."""

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

import msgspec
import strawberry

from domain import instruments
from domain.errors import Invalid, TooComplex
from domain.instruments import FxRate as DomainRate
from domain.instruments import InstrumentKind, InstrumentStatus, RiskLevel
from domain.paging import Direction, Order
from domain.valuation import AssetClass
from graph.batching import batched
from graph.context import Context, Info
from graph.cost import cost, days
from graph.dated import AsOf, Batch, past_day, reading
from graph.described import enum, input_, type_
from graph.lists import SEARCHES, Connection, Lists, listed
from graph.markets import Market
from graph.nodes import Node, OfEntity
from graph.scalars import money
from persistence.instruments import Instruments, Quotes
from persistence.markets import Markets

for each in (AssetClass, InstrumentKind, InstrumentStatus, RiskLevel):
    enum(each)

MOST_PRICED_DAYS: Final = 1_500
# Of all instruments of a level together.
MOST_PRICES_OF_A_LEVEL: Final = 30_000


@type_
class ClosingPrice(OfEntity):
    """A closing price as the exchange reported it: later splits and bonuses do not change it.

    on: The day.
    """

    entity = instruments.ClosingPrice
    cost_points: ClassVar[float] = 0.1

    on: date
    price = money("price", "currency", "The price of one unit.")


class _Span(msgspec.Struct, frozen=True):
    first: date
    last: date


async def _prices(context: Context, keys: Any, span: _Span) -> list[instruments.ClosingPrice]:
    if ((span.last - span.first).days + 1) * len(keys) > MOST_PRICES_OF_A_LEVEL:
        raise TooComplex(f"The prices of all instruments together are more than {MOST_PRICES_OF_A_LEVEL}.")
    return await context.read(Quotes.prices, keys, span.first, span.last)


LAST_PRICES: Final = Batch(reading(Quotes.last_prices), by="instrument_id", many=True)
PRICES: Final = Batch(_prices, by="instrument_id", many=True)


@type_
class Instrument(Node):
    """Something that can be held: a share, a fund, a bond.

    symbol: The symbol at its exchange.
    isin: The international securities identification number, by ISO 6166.
    name: What the instrument is called.
    asset_class: The class that it counts to in an allocation.
    sector: The sector that it counts to in an allocation.
    exchange: Where it is traded, by its market identifier code of ISO 10383.
    currency: The currency of its price, by its code of ISO 4217.
    lot_size: The smallest quantity that is traded.
    tick_size: The step that its price moves in.
    status: Whether it is traded.
    kind: What it is in trading.
    risk: How much its value swings, which decides for whom it is suitable.
    """

    entity = instruments.Instrument

    symbol: str
    isin: str
    name: str
    asset_class: AssetClass
    sector: str
    exchange: str
    currency: str
    lot_size: Decimal
    tick_size: Decimal
    status: InstrumentStatus
    kind: InstrumentKind
    risk: RiskLevel
    market: Market | None = batched(
        Markets.calendars,
        key="exchange",
        by="mic",
        description="The market that it is traded on, with its calendar; none if that is not known.",
    )

    @strawberry.field(
        description="The last closing price on or before a day; none if there is none.",
        graphql_type=ClosingPrice | None,
    )
    async def last_price(
        self: instruments.Instrument, info: Info, as_of: AsOf = None
    ) -> instruments.ClosingPrice | None:
        """The last price."""
        day = await past_day(info.context, as_of, "asOf")
        return next(iter(await LAST_PRICES.of(info.context, self.id, day)), None)

    @strawberry.field(
        description=f"The closing prices from one day to another, oldest first; at most {MOST_PRICED_DAYS} days.",
        graphql_type=list[ClosingPrice],
        metadata=cost(size=days(usual=250, most=MOST_PRICED_DAYS)),
    )
    async def prices(
        self: instruments.Instrument,
        info: Info,
        start: Annotated[date, strawberry.argument(name="from", description="The first day.")],
        to: Annotated[
            date | None, strawberry.argument(description="The last day; the viewer's today if it is left out.")
        ] = None,
    ) -> list[instruments.ClosingPrice]:
        """The prices of these days."""
        span = _Span(start, await past_day(info.context, to, "to"))
        if span.first > span.last:
            raise Invalid.of("from", "lies after to")
        if span.last - span.first >= timedelta(days=MOST_PRICED_DAYS):
            raise Invalid.of("from", f"gives more than {MOST_PRICED_DAYS} days")
        found: list[instruments.ClosingPrice] = await PRICES.of(info.context, self.id, span)
        return found


@type_
class FxRate(OfEntity):
    """What one unit of a currency was worth in US dollars on a day.

    currency: The currency, by its code of ISO 4217.
    usd: How many US dollars one unit was worth.
    """

    entity = instruments.FxRate

    currency: str
    usd: Decimal

    @strawberry.field(description="The day that the rate is from.")
    def on(self: instruments.FxRate) -> date:
        """The day of the quote."""
        return self.quoted_on


@enum
class InstrumentOrderField(StrEnum):
    """What instruments can be ordered by.

    SYMBOL: Their symbols.
    NAME: Their names, case and accents aside.
    """

    SYMBOL = "SYMBOL"
    NAME = "NAME"


@input_
class InstrumentOrder:
    """What a list of instruments is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: InstrumentOrderField
    direction: Direction = Direction.ASC


@input_
class InstrumentFilter:
    """Which instruments a list holds: those that fit all that is given.

    text: Each word must begin a word of the symbol, the name or the ISIN.
    asset_classes: Instruments of these classes.
    sectors: Instruments of these sectors.
    exchanges: Instruments traded at these exchanges, by their codes of ISO 10383.
    currencies: Instruments priced in these currencies.
    """

    text: str | None = None
    asset_classes: list[AssetClass] | None = None
    sectors: list[str] | None = None
    exchanges: list[str] | None = None
    currencies: list[str] | None = None


INSTRUMENTS = Lists(InstrumentOrder, Order("SYMBOL"), instruments.InstrumentFilter, InstrumentFilter)


@strawberry.type
class InstrumentQueries:
    """Queries of instruments and of the market."""

    instruments: Connection[Instrument] = listed(
        Instruments.page, Instruments.count, INSTRUMENTS, "The instruments that the firm knows.", cost=SEARCHES
    )

    @strawberry.field(
        description="The last FX rate of each currency on or before a day; one for each of the few currencies that "
        "the firm deals in.",
        graphql_type=list[FxRate],
        metadata=cost(2, size=10),
    )
    async def fx_rates(
        self,
        info: Info,
        on: Annotated[
            date | None, strawberry.argument(description="The day; the viewer's today if it is left out.")
        ] = None,
    ) -> list[DomainRate]:
        """The rates of a day."""
        return await info.context.read(Quotes.rates, await past_day(info.context, on, "on"))
