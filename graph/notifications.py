"""Notifications: read, marked, and followed live."""

from collections.abc import AsyncIterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec
import strawberry
from strawberry import ID

from domain import notifications
from domain.errors import Invalid
from domain.notifications import NotificationKind, user_stream
from domain.paging import Direction
from domain.paging import Order as Ordering
from graph.announcements import Announcement
from graph.batching import batched
from graph.books import Book
from graph.break_glass import GlassAccess
from graph.clients import Client
from graph.context import Context, Info
from graph.cost import cost
from graph.described import enum, input_, type_
from graph.fanout import Batch, Happening
from graph.follow import Followed, StreamCursor
from graph.identity import User
from graph.ids import decode
from graph.inputs import camel
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node, OfEntity
from graph.scalars import money
from persistence.announcements import Announcements
from persistence.books import Books
from persistence.break_glass import GlassAccesses
from persistence.clients import Clients
from persistence.events import Event
from persistence.identity import Identities
from persistence.notifications import Notifications
from persistence.orders import Orders
from persistence.portfolios import Portfolios
from persistence.transactions import Transactions

if TYPE_CHECKING:
    from graph.orders.types import Order
    from graph.portfolios import Portfolio
    from graph.transactions import Transaction

enum(NotificationKind)

LazyPortfolio = Annotated["Portfolio", strawberry.lazy("graph.portfolios")]
LazyOrder = Annotated["Order", strawberry.lazy("graph.orders.types")]
LazyTransaction = Annotated["Transaction", strawberry.lazy("graph.transactions")]
MOST_MARKED = 200


@type_
class Notification(Node):
    """Something that the viewer is told. What it speaks of is null once the viewer sees it no longer.

    kind: What has happened.
    occurred_at: When it happened.
    read_at: When the viewer marked it as read; none while it is unread.
    """

    entity = notifications.Notification

    kind: NotificationKind
    occurred_at: datetime
    read_at: datetime | None
    actor: User | None = batched(Identities.by_ids, key="actor_id", by="id", description="Whoever did it.")
    book: Book | None = batched(Books.by_ids, key="book_id", by="id", description="The book in which it happened.")
    client: Client | None = batched(Clients.by_ids, key="client_id", by="id", description="The client concerned.")
    portfolio: LazyPortfolio | None = batched(
        Portfolios.by_ids, key="portfolio_id", by="id", description="The portfolio concerned."
    )
    transaction: LazyTransaction | None = batched(
        Transactions.by_ids, key="transaction_id", by="id", description="The ledger entry concerned."
    )
    order: LazyOrder | None = batched(Orders.by_ids, key="order_id", by="id", description="The order concerned.")
    glass_access: GlassAccess | None = batched(
        GlassAccesses.by_ids, key="glass_access_id", by="id", description="Whose sight of a book it is, and why."
    )
    announcement: Announcement | None = batched(
        Announcements.by_ids, key="announcement_id", by="id", description="What is announced."
    )
    amount = money("amount", "currency", "The effect on cash, where there is one.", nullable=True)


class Arrival(msgspec.Struct, frozen=True):
    """A notification as it arrives on a subscription."""

    cursor: str
    notification: notifications.Notification


@type_
class NotificationEvent(OfEntity):
    """A notification as it arrives.

    cursor: The place to go on from, as the argument `after`, when the connection is lost.
    notification: The notification.
    """

    entity = Arrival

    cursor: str
    notification: Notification


@enum
class NotificationOrderField(StrEnum):
    """What notifications can be ordered by.

    SEQUENCE: The order in which they happened.
    """

    SEQUENCE = "SEQUENCE"


@input_
class NotificationOrder:
    """What a list of notifications is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: NotificationOrderField
    direction: Direction = Direction.DESC


@input_
class NotificationFilter:
    """Which notifications a list holds.

    unread: Those that are unread, or those that are read.
    kinds: Those of these kinds.
    """

    unread: bool | None = None
    kinds: list[NotificationKind] | None = None


NOTIFICATIONS = Lists(
    NotificationOrder, Ordering("SEQUENCE", Direction.DESC), notifications.NotificationFilter, NotificationFilter
)


@input_
class MarkNotificationsReadInput:
    """What marks notifications as read.

    notification_ids: The notifications, at most 200.
    """

    notification_ids: list[ID]


@input_
class MarkAllNotificationsReadInput:
    """What marks all of the viewer's notifications as read.

    client_mutation_id: Of no meaning here; for frontends that send one.
    """

    client_mutation_id: str | None = None


@type_
class NotificationsPayload(Payload):
    """Notifications that were marked.

    marked: Those that had been unread.
    """

    marked: list[notifications.Notification] = strawberry.field(
        default_factory=list, graphql_type=list[Notification], metadata=cost(size=25)
    )


@strawberry.type
class NotificationQueries:
    """Queries of the viewer's notifications."""

    notifications: Connection[Notification] = listed(
        Notifications.page, Notifications.count, NOTIFICATIONS, "The viewer's notifications, the latest first."
    )

    @strawberry.field(description="How many of the viewer's notifications are unread.")
    async def unread_notification_count(self, info: Info) -> int | None:
        """How many are unread."""
        return await info.context.read(Notifications.unread_count)


@strawberry.type
class NotificationMutations:
    """Mutations of the viewer's notifications."""

    @mutation
    async def mark_notifications_read(
        self, info: Info, input: MarkNotificationsReadInput
    ) -> NotificationsPayload | None:
        """Mark notifications of the viewer's as read; NOT_FOUND if one of them is not the viewer's."""
        path = f"input.{camel('notification_ids')}"
        if len(input.notification_ids) > MOST_MARKED:
            raise Invalid.of(path, f"holds more than {MOST_MARKED} ids")
        ids = [decode(each, "notification", f"{path}.{at}") for at, each in enumerate(input.notification_ids)]
        return NotificationsPayload(marked=await info.context.write(notifications.mark_read, ids))

    @mutation
    async def mark_all_notifications_read(
        self,
        info: Info,
        input: MarkAllNotificationsReadInput,  # noqa: ARG002 - every mutation takes one
    ) -> NotificationsPayload | None:
        """Mark all of the viewer's notifications as read."""
        return NotificationsPayload(marked=await info.context.write(notifications.mark_all_read))


@strawberry.type
class NotificationSubscriptions:
    """What the viewer is told, live."""

    @strawberry.subscription(
        description="The viewer's notifications, in order: those since `after`, then each as it comes.",
        graphql_type=NotificationEvent,
    )
    async def notifications(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="The cursor of the last event that was seen. Without one, only new events come; with one "
                "older than the log keeps (30 days), CURSOR_EXPIRED."
            ),
        ] = None,
    ) -> AsyncIterable[Arrival]:
        """Follow the viewer's own stream."""
        context = info.context

        async def opened() -> str:
            return user_stream((await context.viewer()).user_id)

        return Followed(context, opened, after, arrivals)


async def arrivals(context: Context, events: Sequence[Event]) -> Batch:
    """The notifications that events tell of, as far as the viewer sees them."""
    found = await context.read(Notifications.by_ids, [event.entity_id for event in events])
    seen = {notification.id: notification for notification in found}
    told = [
        Happening(
            event.seq,
            event.occurred_at,
            Arrival(StreamCursor(event.stream, event.seq).encode(), seen[event.entity_id]),
        )
        for event in events
        if event.entity_id in seen
    ]
    return Batch(told, events[-1].seq)
