"""Orders as the schema shows them: their terms, their fills, and what is known of them at the broker."""

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import strawberry

from domain import orders
from domain.access import Action, Sight
from domain.orders import FINAL, Attention, OrderKind, OrderStatus, Side, TimeInForce
from domain.portfolios import Portfolio as DomainPortfolio
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.context import Info
from graph.dated import Batch, reading
from graph.described import enum, type_
from graph.identity import User
from graph.instruments import Instrument
from graph.lists import Connection
from graph.nodes import Node, OfEntity
from graph.scalars import money
from persistence.clients import Clients
from persistence.identity import Identities
from persistence.instruments import Instruments
from persistence.orders import Orders
from persistence.portfolios import Portfolios
from persistence.transactions import Transactions

if TYPE_CHECKING:
    from graph.clients import Client
    from graph.portfolios import Portfolio
    from graph.transactions import Transaction

for each in (Side, OrderKind, TimeInForce, OrderStatus, Attention):
    enum(each)

LazyClient = Annotated["Client", strawberry.lazy("graph.clients")]
LazyPortfolio = Annotated["Portfolio", strawberry.lazy("graph.portfolios")]
LazyTransaction = Annotated["Transaction", strawberry.lazy("graph.transactions")]
PORTFOLIOS: Final = Batch(reading(Portfolios.by_ids), by="id")


@type_
class Fill(OfEntity):
    """What the broker has filled of an order at one price.

    quantity: How many units.
    filled_at: When it was filled.
    """

    entity = orders.Fill

    quantity: Decimal
    filled_at: datetime
    price = money("price", "currency", "The price of one unit.")
    charges = money("charges", "currency", "What the trade has cost beside its price.")
    transaction: LazyTransaction | None = batched(
        Transactions.by_ids, key="transaction_id", by="id", description="The ledger's entry for it."
    )


@type_
class Order(Node):
    """An order to buy or sell an instrument for a portfolio.

    side: Whether it buys or sells.
    kind: At which price it trades.
    time_in_force: How long it stands.
    quantity: How many units it is for; none for an order by amount.
    status: Where it stands.
    filled_quantity: How many units were filled so far.
    remaining_quantity: How many are still to be filled; none for an order by amount.
    trades_on: The day of the market's session that it was placed for.
    expires_at: When what is not filled by then expires.
    placed_at: When it was placed; for a draft, when it was written.
    approved_at: When it was approved, if it was.
    closed_at: When it was filled, cancelled, rejected or expired.
    attention: Why its state at the broker is not certain; none while it is.
    version: Rises with each change.
    """

    entity = orders.Order

    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    quantity: Decimal | None
    status: OrderStatus
    filled_quantity: Decimal
    remaining_quantity: Decimal | None
    trades_on: date
    expires_at: datetime
    placed_at: datetime
    approved_at: datetime | None
    closed_at: datetime | None
    attention: Attention | None
    version: int
    amount = money("amount", "currency", "What it is for, charges included, if it is by amount.", nullable=True)
    limit_price = money("limit_price", "currency", "The limit, if it has one.", nullable=True)
    average_price = money(
        "average_price", "currency", "What a filled unit has cost or brought, charges apart.", nullable=True
    )
    notional = money("notional", "currency", "What it was worth when it was placed or last amended, charges apart.")
    filled_value = money("filled_value", "currency", "What its fills were worth, charges apart.")
    reserved_cash = money("reserved_cash", "currency", "The cash that it reserves while it is open.")
    portfolio: LazyPortfolio = batched(
        Portfolios.by_ids, key="portfolio_id", by="id", description="The portfolio that it trades for."
    )
    client: LazyClient = batched(
        Clients.by_ids, key="client_id", by="id", description="The client whose portfolio it is."
    )
    instrument: Instrument = batched(
        Instruments.by_ids, key="instrument_id", by="id", description="What is bought or sold."
    )
    placed_by: User | None = batched(
        Identities.by_ids,
        key="placed_by",
        by="id",
        description="Whoever has placed it; none if the viewer does not see that user.",
    )
    approved_by: User | None = batched(
        Identities.by_ids,
        key="approved_by",
        by="id",
        description="Whoever has approved it; none if nobody has, or the viewer does not see that user.",
    )
    fills: list[Fill] = batched(
        Orders.fills_of,
        key="id",
        by="order_id",
        description="Its fills, in order of time; as many as the broker has made.",
        size=3,
    )
    changes: Connection[AuditEvent] = changes("the order")

    @strawberry.field(
        description="Why it was declined, rejected or ended, or what the broker's trouble is, where somebody has said "
        "so; none for end clients."
    )
    async def reason(self: orders.Order, info: Info) -> str | None:
        """What the staff have said among themselves."""
        viewer = await info.context.viewer()
        return None if viewer.sight is Sight.CLIENTS else self.reason

    @strawberry.field(description="Whether the broker has been asked to cancel it, and has not confirmed it yet.")
    def cancel_requested(self: orders.Order) -> bool:
        """Whether a cancellation is on its way."""
        return self.ending is OrderStatus.CANCELLED

    @strawberry.field(description="Whether the viewer may cancel or amend it as things stand.")
    async def viewer_can_change(self: orders.Order, info: Info) -> bool:
        """Whether the role and the status allow it."""
        viewer = await info.context.viewer()
        return Action.PLACE_ORDER in viewer.can and self.status not in FINAL and self.ending is None

    @strawberry.field(description="Whether the viewer may approve or decline it as things stand.")
    async def viewer_can_approve(self: orders.Order, info: Info) -> bool:
        """Whether the role, the status and who has placed it allow it."""
        viewer = await info.context.viewer()
        pending = self.status is OrderStatus.PENDING_APPROVAL
        return pending and Action.APPROVE_ORDER in viewer.can and viewer.user_id not in {self.placed_by, self.terms_by}


async def portfolio_of(info: Info, order: orders.Order) -> DomainPortfolio:
    """The portfolio as it is after a change of the order."""
    found: DomainPortfolio = await PORTFOLIOS.of(info.context, order.portfolio_id)
    return found
