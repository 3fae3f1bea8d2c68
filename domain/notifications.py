"""What people are told about, and how it reaches them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.audit import Trace
from domain.entities import Entity
from domain.errors import NotFound
from domain.work import Work


class NotificationKind(StrEnum):
    """What has happened.

    CLIENT_ARRIVED: A client was moved to a book of yours.
    CLIENT_LEFT: A client was moved from a book of yours; the notification names that book, the client is null if you
    see it no longer.
    KYC_CHANGED: The KYC status of a client of yours has changed.
    KYC_EXPIRING: The KYC of a client of yours ends within the time that the firm has set for it.
    LARGE_DEPOSIT: A deposit of at least the firm's threshold was recorded.
    LARGE_WITHDRAWAL: A withdrawal of at least the firm's threshold was recorded.
    ENTRY_REVERSED: A ledger entry of a client of yours was reversed.
    ORDER_FILLED: An order of a client of yours was filled as a whole.
    ORDER_PARTLY_FILLED: An order of a client of yours was filled in part.
    ORDER_REJECTED: An order was declined by an approver or by the broker.
    ORDER_EXPIRED: The time of an order is over.
    ORDER_CANCELLED: The broker has ended an order by itself; what was filled before stays filled.
    ORDER_UNCERTAIN: The broker's word on an order is missing, or cannot be true; it is asked again.
    APPROVAL_WANTED: An order waits for your approval.
    ORDER_APPROVED: An order of yours was approved.
    GLASS_BROKEN: Somebody has taken sight of a book of your unit for an hour, for a stated reason.
    ANNOUNCEMENT: The firm announces something.
    MAINTENANCE: The platform will not be available for a while.
    """

    CLIENT_ARRIVED = "CLIENT_ARRIVED"
    CLIENT_LEFT = "CLIENT_LEFT"
    KYC_CHANGED = "KYC_CHANGED"
    KYC_EXPIRING = "KYC_EXPIRING"
    LARGE_DEPOSIT = "LARGE_DEPOSIT"
    LARGE_WITHDRAWAL = "LARGE_WITHDRAWAL"
    ENTRY_REVERSED = "ENTRY_REVERSED"
    ORDER_FILLED = "ORDER_FILLED"
    ORDER_PARTLY_FILLED = "ORDER_PARTLY_FILLED"
    ORDER_REJECTED = "ORDER_REJECTED"
    ORDER_EXPIRED = "ORDER_EXPIRED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    ORDER_UNCERTAIN = "ORDER_UNCERTAIN"
    APPROVAL_WANTED = "APPROVAL_WANTED"
    ORDER_APPROVED = "ORDER_APPROVED"
    GLASS_BROKEN = "GLASS_BROKEN"
    ANNOUNCEMENT = "ANNOUNCEMENT"
    MAINTENANCE = "MAINTENANCE"


class Notice(msgspec.Struct, frozen=True):
    """What a verb tells, and whom: each recipient gets a notification of its own."""

    kind: NotificationKind
    recipients: frozenset[UUID]
    book_id: UUID | None = None
    client_id: UUID | None = None
    portfolio_id: UUID | None = None
    transaction_id: UUID | None = None
    order_id: UUID | None = None
    glass_access_id: UUID | None = None
    announcement_id: UUID | None = None
    amount: Decimal | None = None
    currency: str | None = None


class Notification(Entity, frozen=True):
    """One user's notification. `seq` is its place in the user's stream, without gaps."""

    id: UUID
    user_id: UUID
    seq: int
    kind: NotificationKind
    occurred_at: datetime
    actor_id: UUID | None
    book_id: UUID | None
    client_id: UUID | None
    portfolio_id: UUID | None
    transaction_id: UUID | None
    order_id: UUID | None
    glass_access_id: UUID | None
    announcement_id: UUID | None
    amount: Decimal | None
    currency: str | None
    read_at: datetime | None


class NotificationFilter(msgspec.Struct, frozen=True):
    """Which notifications a list holds."""

    unread: bool | None = None
    kinds: tuple[NotificationKind, ...] | None = None


class Notifications(Protocol):
    """The storage of notifications."""

    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Notification]:
        """These of the viewer's."""
        ...

    async def mark_read(self, viewer: Viewer, ids: Sequence[UUID], at: datetime) -> list[Notification]:
        """Mark these of the viewer's unread ones; gives those that it marked."""
        ...

    async def mark_all_read(self, viewer: Viewer, at: datetime) -> list[Notification]:
        """Mark all of the viewer's unread ones, which the trail does not tell one by one; gives them."""
        ...


def user_stream(user_id: UUID) -> str:
    """The event stream of a user's notifications."""
    return f"user:{user_id}"


async def mark_read(work: Work, viewer: Viewer, ids: Sequence[UUID]) -> list[Notification]:
    """Mark notifications of one's own as read; gives those that were unread. Raises NotFound for another's."""
    require(viewer, Action.MARK_NOTIFICATIONS)
    if len(await work.notifications.by_ids(viewer, ids)) < len(set(ids)):
        raise NotFound
    return await work.notifications.mark_read(viewer, ids, work.now)


async def mark_all_read(work: Work, viewer: Viewer) -> list[Notification]:
    """Mark all unread notifications of one's own as read; the trail tells of it in one row."""
    require(viewer, Action.MARK_NOTIFICATIONS)
    marked = await work.notifications.mark_all_read(viewer, work.now)
    if marked:
        facts = {"marked": len(marked)}
        work.trace(Trace("notifications.mark_all_read", "Notification", facts=facts, user_id=viewer.user_id))
    return marked
