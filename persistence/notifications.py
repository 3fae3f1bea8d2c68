"""Notifications of users."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    any_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.notifications import Notification, NotificationKind
from persistence.listing import Listing, one_of, plain
from persistence.metadata import AMOUNT, MOMENT, TEXTS, UUIDS, enum_column, table
from persistence.repository import Listed
from persistence.scope import SIGNED_IN, by_user
from persistence.sql import columns

notifications = table(
    "notifications",
    by_user(add=SIGNED_IN),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    *enum_column("kind", NotificationKind),
    Column("occurred_at", MOMENT, nullable=False),
    # What a notification speaks of may be deleted or out of sight by the time it is read, so these refer to nothing.
    Column("actor_id", Uuid),
    Column("book_id", Uuid),
    Column("client_id", Uuid),
    Column("portfolio_id", Uuid),
    Column("transaction_id", Uuid),
    Column("order_id", Uuid),
    Column("glass_access_id", Uuid),
    Column("announcement_id", Uuid),
    Column("amount", AMOUNT),
    Column("currency", Text),
    Column("read_at", MOMENT),
    UniqueConstraint("user_id", "seq"),
    Index("notifications_unread_idx", "user_id", postgresql_where="read_at is null"),
)

MARK = (
    update(notifications)
    .where(
        notifications.c.user_id == bindparam("user_id", type_=Uuid),
        notifications.c.read_at.is_(None),
        or_(bindparam("all", type_=Boolean), notifications.c.id == any_(bindparam("ids", type_=UUIDS))),
    )
    .values(read_at=bindparam("at", type_=MOMENT))
    .returning(*columns(Notification, notifications))
)
UNREAD = select(func.count()).select_from(notifications).where(notifications.c.read_at.is_(None))


class Notifications(Listed[Notification]):
    """The viewer's own notifications."""

    entity = Notification
    table = notifications
    listing = Listing(
        Notification,
        notifications,
        orders={"SEQUENCE": notifications.c.seq},
        filters=dict(
            [
                plain("unread", lambda: notifications.c.read_at.is_(None) == bindparam("unread")),
                one_of("kinds", notifications.c.kind, TEXTS),
            ]
        ),
    )

    async def unread_count(self, viewer: Viewer) -> int:
        """How many of the viewer's are unread."""
        return int((await self.rows(UNREAD, viewer))[0][0])

    async def mark_all_read(self, viewer: Viewer, at: datetime) -> list[Notification]:
        """Mark all of the viewer's unread ones, which the trail does not tell one by one; gives them."""
        values = {"user_id": viewer.user_id, "all": True, "ids": [], "at": at}
        return await self.lent.many(Notification, MARK, values)

    async def mark_read(self, viewer: Viewer, ids: Sequence[UUID], at: datetime) -> list[Notification]:
        """Mark these of the viewer's unread ones; gives those that it marked."""
        values = {"user_id": viewer.user_id, "all": False, "ids": ids, "at": at}
        marked = await self.lent.many(Notification, MARK, values)
        for notification in marked:
            self.record(msgspec.structs.replace(notification, read_at=None), notification)
        return marked
