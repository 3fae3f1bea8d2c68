"""Lists of orders: what they hold, what they are ordered by, and the blotter of a day."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import strawberry
from strawberry import ID

from domain import orders
from domain.access import Action
from domain.orders import AwaitingFilter, OrderStatus, Side
from domain.orders import Blotter as DomainBlotter
from domain.paging import Direction
from domain.paging import Order as Ordering
from graph.context import Info
from graph.cost import cost, sized
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
    uncertain_only: Only orders whose state at the broker is not certain.
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
    uncertain_only: bool = False


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
class BlotterExecution(OfEntity):
    """What the fills of a trade day with one currency and side come to.

    currency: The currency, by its code of ISO 4217.
    side: Whether they buy or sell.
    count: How many fills there are.
    """

    entity = orders.Executed

    currency: str
    side: Side
    count: int
    value = money("value", "currency", "What was traded, charges apart.")
    charges = money("charges", "currency", "What it has cost beside its price.")


@type_
class Blotter(OfEntity):
    """The orders of one day, summed up; the list `orders` has them one by one, by `tradesFrom` and `tradesTo`.

    day: The day.
    count: How many orders there are for the markets' sessions of the day, drafts apart.
    totals: What these come to: at most one total for each currency, side and status.
    executions: What was executed on the day, whichever day the orders are from: at most one for each currency and side.
    """

    entity = orders.Blotter

    day: date
    count: int
    totals: list[BlotterTotal] = sized(10)
    executions: list[BlotterExecution] = sized(4)


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
        "The orders that wait for the viewer's approval: those of others, of clients whose team or unit it leads.",
        needs=Action.APPROVE_ORDER,
    )

    @strawberry.field(description="The orders of a day, summed up.", graphql_type=Blotter | None, metadata=cost(10))
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
        executions = await info.context.read(Blotters.executions, wanted)
        return DomainBlotter(wanted, tuple(totals), tuple(executions))
