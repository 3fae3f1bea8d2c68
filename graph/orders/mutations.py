"""What is done with orders."""

from decimal import Decimal

import strawberry
from strawberry import ID, UNSET

from domain import orders
from domain.orders import TimeInForce
from domain.portfolios import Portfolio as DomainPortfolio
from graph.context import Info
from graph.described import input_, type_
from graph.ids import decode
from graph.inputs import into
from graph.mutations import Payload, mutation
from graph.orders.ticket import TicketInput
from graph.orders.types import LazyPortfolio, Order, portfolio_of


@input_
class PlaceOrderInput(TicketInput):
    """What places an order.

    idempotency_key: A key of 1 to 100 characters: a repeat of the same input under it gives the first result.
    """

    idempotency_key: str


@input_
class DraftOrderInput(TicketInput):
    """What prepares an order without placing it.

    idempotency_key: A key of 1 to 100 characters: a repeat of the same input under it gives the first result.
    """

    idempotency_key: str


@input_
class SubmitOrderInput:
    """What places a draft.

    order_id: The draft.
    version: The version that was looked at.
    """

    order_id: ID
    version: int


@input_
class AmendOrderInput:
    """What changes the terms of an order that is not final; what is left out stays as it is.

    order_id: The order.
    version: The version that the change was made from.
    quantity: Another quantity, of all units, those that are filled included.
    amount: Another amount, for an order by amount.
    limit_price: Another limit, for a limit order.
    time_in_force: Another life, counted from now.
    """

    order_id: ID
    version: int
    quantity: Decimal | None = UNSET
    amount: Decimal | None = UNSET
    limit_price: Decimal | None = UNSET
    time_in_force: TimeInForce | None = UNSET


@input_
class CancelOrderInput:
    """What cancels an order.

    order_id: The order.
    """

    order_id: ID


@input_
class ApproveOrderInput:
    """What approves an order that somebody else has placed.

    order_id: The order.
    version: The version that was looked at.
    """

    order_id: ID
    version: int


@input_
class DeclineOrderInput:
    """What declines an order that somebody else has placed.

    order_id: The order.
    reason: Why it is declined; whoever has placed it reads this.
    """

    order_id: ID
    reason: str


@type_
class OrderPayload(Payload):
    """An order that was placed or changed.

    order: The order as it is now.
    """

    order: orders.Order | None = strawberry.field(default=None, graphql_type=Order | None)

    @strawberry.field(
        description="The order's portfolio as it is now, so that its cash and orders can be read again at once.",
        graphql_type=LazyPortfolio | None,
    )
    async def portfolio(self: "OrderPayload", info: Info) -> DomainPortfolio | None:
        """The portfolio, read after the change."""
        return await portfolio_of(info, self.order) if self.order else None


@strawberry.type
class OrderMutations:
    """Mutations of orders."""

    @mutation
    async def place_order(self, info: Info, input: PlaceOrderInput) -> OrderPayload | None:
        """Place an order. From a set value on it waits for somebody else's approval; else it goes to the broker."""
        ticket, limits = into(orders.Ticket, input), info.context.services.approval_limits
        return OrderPayload(order=await info.context.write(orders.place, limits, input.idempotency_key, ticket))

    @mutation
    async def draft_order(self, info: Info, input: DraftOrderInput) -> OrderPayload | None:
        """Prepare an order without placing it; a draft reserves nothing."""
        ticket = into(orders.Ticket, input)
        return OrderPayload(order=await info.context.write(orders.draft, input.idempotency_key, ticket))

    @mutation
    async def submit_order(self, info: Info, input: SubmitOrderInput) -> OrderPayload | None:
        """Place a draft, as it stands."""
        order_id, limits = decode(input.order_id, "order", "input.orderId"), info.context.services.approval_limits
        return OrderPayload(order=await info.context.write(orders.submit, limits, order_id, input.version))

    @mutation
    async def amend_order(self, info: Info, input: AmendOrderInput) -> OrderPayload | None:
        """Change the terms of an order. What the broker has filled meanwhile stays filled."""
        change, limits = into(orders.Amendment, input), info.context.services.approval_limits
        return OrderPayload(order=await info.context.write(orders.amend, limits, change))

    @mutation
    async def cancel_order(self, info: Info, input: CancelOrderInput) -> OrderPayload | None:
        """Cancel an order: at once or, once it is with the broker, as soon as the broker confirms it."""
        order_id = decode(input.order_id, "order", "input.orderId")
        return OrderPayload(order=await info.context.write(orders.cancel, order_id))

    @mutation
    async def approve_order(self, info: Info, input: ApproveOrderInput) -> OrderPayload | None:
        """Approve an order that somebody else has placed, so that it goes to the broker."""
        order_id = decode(input.order_id, "order", "input.orderId")
        return OrderPayload(order=await info.context.write(orders.approve, order_id, input.version))

    @mutation
    async def decline_order(self, info: Info, input: DeclineOrderInput) -> OrderPayload | None:
        """Decline an order that somebody else has placed; it is rejected."""
        order_id = decode(input.order_id, "order", "input.orderId")
        return OrderPayload(order=await info.context.write(orders.decline, order_id, input.reason))
