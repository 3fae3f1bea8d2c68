"""Lists of orders: what they hold, what they are ordered by, and the blotter of a day."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import strawberry
from strawberry import ID

from domain import orders
from domain.orders import AwaitingFilter, OrderStatus, Side
from domain.orders import Blotter as DomainBlotter
from domain.paging import Direction
from domain.paging import Order as Ordering
from graph.context import Info
from graph.described import enum, input_, type_
from graph.lists import Connection, Lists, listed
from graph.nodes import OfEntity
from graph.orders.types import Order
from graph.scalars import money
from persistence.orders import Blotters, Orders


@enum
class OrderOrderField(StrEnum):
    """What orders can be ordered by.

    PLACED_AT: When they were placed.
    TRADES_ON: The day of the market's session that they were placed for.
    """

    PLACED_AT = "PLACED_AT"
    TRADES_ON = "TRADES_ON"


@input_
class OrderOrder:
    """What a list of orders is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: OrderOrderField
    direction: Direction = Direction.DESC


@input_
class OrderFilter:
    """Which orders a list holds: those that fit all that is given.

    client_ids: Orders of these clients.
    portfolio_ids: Orders of these portfolios.
    instrument_ids: Orders of these instruments.
    statuses: Orders that stand there.
    sides: Orders of these sides.
    trades_from: Orders for sessions of this day or later.
    trades_to: Orders for sessions of this day or earlier.
    placed_by_me: Only orders that the viewer has placed.
    open_only: Only orders that are not final, drafts apart.
    """

    client_ids: list[ID] | None = None
    portfolio_ids: list[ID] | None = None
    instrument_ids: list[ID] | None = None
    statuses: list[OrderStatus] | None = None
    sides: list[Side] | None = None
    trades_from: date | None = None
    trades_to: date | None = None
    placed_by_me: bool = False
    open_only: bool = False


LATEST = Ordering("PLACED_AT", Direction.DESC)
ORDERS = Lists(OrderOrder, LATEST, orders.OrderFilter, OrderFilter)
AWAITING = Lists(OrderOrder, LATEST, AwaitingFilter, OrderFilter)


@type_
class BlotterTotal(OfEntity):
    """What the orders of a blotter with one currency, side and status come to.

    currency: The currency, by its code of ISO 4217.
    side: Whether they buy or sell.
    status: Where they stand.
    count: How many orders there are.
    """

    entity = orders.BlotterTotal

    currency: str
    side: Side
    status: OrderStatus
    count: int
    notional = money("notional", "currency", "What they were worth when they were placed, charges apart.")
    filled_value = money("filled_value", "currency", "What their fills were worth, charges apart.")


@type_
class Blotter(OfEntity):
    """All orders for the sessions of one day, summed up; the list `orders` has them one by one, by `tradesFrom`.

    day: The day of the markets' sessions.
    count: How many orders there are.
    totals: Their totals, in one statement: at most one for each currency, side and status.
    """

    entity = orders.Blotter

    day: date
    count: int
    totals: list[BlotterTotal]


@strawberry.type
class OrderQueries:
    """Queries of orders."""

    orders: Connection[Order] = listed(
        Orders.page, Orders.count, ORDERS, "The orders of the clients that the viewer sees, the latest first."
    )
    orders_awaiting_approval: Connection[Order] = listed(
        Orders.page,
        Orders.count,
        AWAITING,
        "The orders that wait for an approval, but for the viewer's own; who may approve is up to the role.",
    )

    @strawberry.field(description="The orders of a day, summed up.", graphql_type=Blotter | None)
    async def blotter(
        self,
        info: Info,
        day: Annotated[
            date | None,
            strawberry.argument(description="The day of the markets' sessions; the viewer's today if it is left out."),
        ] = None,
    ) -> DomainBlotter:
        """The totals of a day."""
        wanted = day or await info.context.today()
        totals = await info.context.read(Blotters.totals, wanted)
        return DomainBlotter(wanted, tuple(totals))
