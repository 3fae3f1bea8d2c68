"""Orders as they change, live."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import strawberry
from strawberry import ID

from domain import orders
from domain.errors import NotFound
from domain.orders import OrderStatus
from domain.orders.execution import stream_of
from graph.context import Context, Info
from graph.dated import Batch
from graph.described import type_
from graph.follow import StreamCursor, follow, patiently
from graph.ids import decode
from graph.nodes import OfEntity
from graph.orders.types import Order
from persistence.events import Events
from persistence.orders import Orders
from persistence.portfolios import Portfolios


class StreamPlace(msgspec.Struct, frozen=True):
    """How far the stream of a portfolio's orders has come."""

    portfolio_id: UUID
    cursor: StreamCursor


class OrderChange(msgspec.Struct, frozen=True):
    """A change of an order as it arrives on a subscription, with the order as it is by then."""

    cursor: str
    status: OrderStatus
    version: int
    occurred_at: datetime
    order: orders.Order


@type_
class OrderEvent(OfEntity):
    """A change of an order as it arrives.

    cursor: The place to go on from, as the argument `after`, when the connection is lost.
    status: Where the order stood after this change.
    version: The order's version after this change.
    occurred_at: When it changed.
    order: The order as it is now: after several changes at once it is ahead of the event.
    """

    entity = OrderChange

    cursor: str
    status: OrderStatus
    version: int
    occurred_at: datetime
    order: Order


async def _places(context: Context, keys: Sequence[Any], _: Any) -> list[StreamPlace]:
    streams = {stream_of(portfolio_id): portfolio_id for portfolio_id in keys}
    found = await context.read(Events.last, list(streams))
    return [StreamPlace(streams[stream], StreamCursor(stream, seq)) for stream, seq in found]


PLACES: Final = Batch(_places, by="portfolio_id")


def orders_cursor() -> Any:
    """The place in a portfolio's stream of orders that what is read beside it stands at, or before."""

    async def resolve(root: Any, info: Info) -> str:
        found: StreamPlace = await PLACES.of(info.context, root.id)
        return found.cursor.encode()

    return strawberry.field(
        resolver=resolve,
        description="The place in `orderEvents` as of now. Ask for it first, read the orders after it, and follow from "
        "it: nothing that happens in between is missed.",
    )


@strawberry.type
class OrderSubscriptions:
    """Orders, live."""

    @strawberry.subscription(
        description="The changes of a portfolio's orders, in order: those since `after`, then each as it comes.",
        graphql_type=OrderEvent,
    )
    async def order_events(
        self,
        info: Info,
        portfolio_id: Annotated[ID, strawberry.argument(description="The portfolio to watch.")],
        after: Annotated[
            str | None,
            strawberry.argument(
                description="The cursor of the last event that was seen. Without one, only new events come; with one "
                "older than the log keeps (30 days), CURSOR_EXPIRED."
            ),
        ] = None,
    ) -> AsyncIterator[OrderChange]:
        """Follow the portfolio's stream; raises NotFound for one that the viewer does not see."""
        portfolio = decode(portfolio_id, "portfolio", "portfolioId")
        await info.context.read(Portfolios.one, portfolio)
        async with aclosing(follow(info.context, stream_of(portfolio), after)) as news:
            async for events in news:
                # Rights are asked again at each reading: whoever sees the portfolio no longer is told nothing more.
                found = await patiently(info.context, Orders.by_ids, list({event.entity_id for event in events}))
                seen = {order.id: order for order in found}
                for event in events:
                    if event.entity_id not in seen:
                        raise NotFound
                    cursor = StreamCursor(event.stream, event.seq).encode()
                    order = seen[event.entity_id]
                    yield OrderChange(cursor, OrderStatus(event.kind), event.version, event.occurred_at, order)
