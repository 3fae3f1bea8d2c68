"""Positions of portfolios, and their lots."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import ID

from domain import positions
from domain.money import number_stored
from domain.paging import Direction, Order
from domain.valuation import PositionValuation as DomainValuation
from graph.batching import batched
from graph.context import Context
from graph.described import enum, input_, type_
from graph.instruments import Instrument
from graph.lists import Lists
from graph.nodes import Node
from graph.scalars import money
from graph.valuation import PORTFOLIO_VALUES, PositionValuation, derived, fraction, shown
from persistence.instruments import Instruments
from persistence.portfolios import Portfolios
from persistence.positions import Positions

if TYPE_CHECKING:
    from graph.portfolios import Portfolio

LazyPortfolio = Annotated["Portfolio", strawberry.lazy("graph.portfolios")]


async def _valued(position: positions.Position, context: Context) -> DomainValuation:
    """Out of the valuation of its portfolio, which is one for all its positions: weights need the whole."""
    whole = await PORTFOLIO_VALUES.of(context, position.portfolio_id, await context.today())
    found: DomainValuation = whole.position(position.instrument_id, position.currency)
    return found


@type_
class Lot(Node):
    """What is left of one acquisition.

    opened_on: The day of the acquisition.
    quantity: How many units are left.
    """

    entity = positions.Lot

    opened_on: date
    quantity: Decimal
    cost = money("cost", "currency", "What the units that are left have cost.")


@type_
class Position(Node):
    """A holding of an instrument, with its costs and gains in the instrument's currency.

    quantity: How many units are held; zero for a position that was sold out, which stays for its realised gain.
    version: Rises with each change.
    """

    entity = positions.Position

    quantity: Decimal
    version: int
    instrument: Instrument = batched(Instruments.by_ids, key="instrument_id", by="id", description="What is held.")
    portfolio: LazyPortfolio = batched(
        Portfolios.by_ids, key="portfolio_id", by="id", description="The portfolio that holds it."
    )
    lots: list[Lot] = batched(
        Positions.lots_of,
        key="id",
        by="position_id",
        description="What it consists of, the oldest first, as sales take them; bounded by the purchases of one "
        "instrument.",
        size=4,
    )
    average_cost = derived("average_cost", "The cost of one unit; none where nothing is held.")
    total_cost = money("total_cost", "currency", "What the units held have cost, charges included.")
    realised_gain = money("realised_gain", "currency", "What sales have gained over the cost of the units sold.")
    dividends = money("dividends", "currency", "What dividends have paid.")
    price = derived(
        "price", "The last price; none if there is none, or nothing is held.", rounded=number_stored, of=_valued
    )
    priced_on = shown(attrgetter("priced_on"), date | None, "The day that the price is from.", _valued)
    market_value = derived("market_value", "What the units are worth today; none without a price.", of=_valued)
    unrealised_gain = derived("unrealised_gain", "What the units are worth more than they have cost.", of=_valued)
    weight = fraction("weight", "The share of the portfolio's value with cash; none where that is unknown.", of=_valued)
    valuation = shown(
        lambda valued: valued, PositionValuation, "What it is worth today, also in the base currency.", _valued
    )


@enum
class PositionOrderField(StrEnum):
    """What positions can be ordered by.

    SYMBOL: The symbols of their instruments.
    COST: What they have cost, whatever the currency.
    """

    SYMBOL = "SYMBOL"
    COST = "COST"


@input_
class PositionOrder:
    """What a list of positions is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: PositionOrderField
    direction: Direction = Direction.ASC


@input_
class PositionFilter:
    """Which positions a list holds: those that fit all that is given.

    closed: Also those that were sold out.
    instrument_ids: Positions in these instruments.
    """

    closed: bool = False
    instrument_ids: list[ID] | None = None


POSITIONS = Lists(PositionOrder, Order("SYMBOL"), positions.PositionFilter, PositionFilter)
