"""Orders as they change, live."""

from collections.abc import AsyncIterable, Sequence
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
from graph.dated import Batch as Dated
from graph.described import type_
from graph.fanout import Batch, Happening
from graph.follow import Followed, StreamCursor
from graph.ids import decode
from graph.nodes import OfEntity
from graph.orders.types import Order
from persistence.events import Event, Events
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


PLACES: Final = Dated(_places, by="portfolio_id")


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
    ) -> AsyncIterable[OrderChange]:
        """Follow the portfolio's stream; NotFound for one that the viewer does not see."""
        context = info.context

        async def opened() -> str:
            portfolio = decode(portfolio_id, "portfolio", "portfolioId")
            await context.read(Portfolios.one, portfolio)
            return stream_of(portfolio)

        return Followed(context, opened, after, changes)


async def changes(context: Context, events: Sequence[Event]) -> Batch:
    """The changes that events tell of. Whoever sees an order of the portfolio no longer is told nothing more."""
    found = await context.read(Orders.by_ids, list({event.entity_id for event in events}))
    seen = {order.id: order for order in found}
    told: list[Happening] = []
    for event in events:
        if event.entity_id not in seen:
            return Batch(told, event.seq - 1, NotFound())
        cursor = StreamCursor(event.stream, event.seq).encode()
        order = seen[event.entity_id]
        change = OrderChange(cursor, OrderStatus(event.kind), event.version, event.occurred_at, order)
        told.append(Happening(event.seq, event.occurred_at, change))
    return Batch(told, events[-1].seq)
