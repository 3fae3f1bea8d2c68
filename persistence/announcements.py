"""Announcements, for those whom they are for."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    Text,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.types import BigInteger, Uuid

from domain.access import Role, Sight, Viewer
from domain.announcements import Announcement, AnnouncementKind, Audience
from domain.identity import UserStatus
from persistence.identity import users
from persistence.listing import Listing, one_of
from persistence.metadata import MOMENT, TEXTS, enum_column, table
from persistence.repository import Listed
from persistence.scope import EVERYTHING, OWN, SIGNED_IN, USER, Scope
from persistence.sql import columns

# Those whom it is for see it as soon as it is shown; what an admin prepares is nobody else's.
ADDRESSED: Final = (
    f"{EVERYTHING} or {SIGNED_IN} and shown_from <= now() and (audience = 'ALL' or exists (select from users "
    f"where users.id = {USER} and (users.role = {OWN}.role or users.unit_id = {OWN}.unit_id)))"
)
# As many banners as anybody reads.
MOST_CURRENT: Final = 20


def _is_for_viewer(source: FromClause) -> ColumnElement[bool]:
    own = exists().where(
        users.c.id == bindparam("viewer_id", type_=Uuid),
        or_(users.c.role == source.c.role, users.c.unit_id == source.c.unit_id),
    )
    return or_(source.c.audience == Audience.ALL.value, own)


def _addressed(source: FromClause, sight: Sight) -> ColumnElement[bool]:
    if sight is Sight.EVERYTHING:
        return true()
    return and_(source.c.shown_from <= func.now(), _is_for_viewer(source))


announcements = table(
    "announcements",
    Scope(see=ADDRESSED, add=EVERYTHING, change=EVERYTHING, predicate=_addressed),
    Column("id", Uuid, primary_key=True),
    *enum_column("kind", AnnouncementKind),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    *enum_column("audience", Audience),
    *enum_column("role", Role, nullable=True),
    Column("unit_id", Uuid, ForeignKey("units.id")),
    Column("starts_at", MOMENT, nullable=False),
    Column("ends_at", MOMENT),
    Column("shown_from", MOMENT, nullable=False),
    Column("announced_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("announced_at", MOMENT, nullable=False),
    Column("withdrawn_at", MOMENT),
    Column("version", Integer, nullable=False),
    # The last user of the audience who was told, in the order of their ids.
    Column("told_through", Uuid),
    CheckConstraint("(role is not null) = (audience = 'ROLE')", name="of_role"),
    CheckConstraint("(unit_id is not null) = (audience = 'UNIT')", name="of_unit"),
    CheckConstraint("ends_at > starts_at", name="order"),
    Index(None, "announced_at", "id"),
    Index(None, "shown_from"),
)

CURRENT: Final = (
    select(*columns(Announcement, announcements))
    .where(
        # Who sees everything is shown as a banner only what it is told, as everybody.
        _is_for_viewer(announcements),
        announcements.c.withdrawn_at.is_(None),
        announcements.c.shown_from <= bindparam("moment", type_=MOMENT),
        or_(announcements.c.ends_at.is_(None), announcements.c.ends_at > bindparam("moment", type_=MOMENT)),
    )
    .order_by(announcements.c.shown_from.desc(), announcements.c.id.desc())
    .limit(bindparam("most", type_=BigInteger))
)
# Joined to the announcement, so that one statement knows whom it is for and how far it has come.
NEXT_OF_AUDIENCE: Final = (
    select(users.c.id)
    .select_from(users.join(announcements, announcements.c.id == bindparam("announcement_id", type_=Uuid)))
    .where(
        users.c.status == UserStatus.ACTIVE.value,
        or_(announcements.c.told_through.is_(None), users.c.id > announcements.c.told_through),
        or_(announcements.c.role.is_(None), users.c.role == announcements.c.role),
        or_(announcements.c.unit_id.is_(None), users.c.unit_id == announcements.c.unit_id),
    )
    .order_by(users.c.id)
    .limit(bindparam("most", type_=BigInteger))
)
TOLD: Final = (
    update(announcements)
    .where(announcements.c.id == bindparam("announcement_id", type_=Uuid))
    .values(told_through=bindparam("through", type_=Uuid))
)


class Announcements(Listed[Announcement]):
    """Announcements, as far as they are for the viewer."""

    entity = Announcement
    table = announcements
    listing = Listing(
        Announcement,
        announcements,
        orders={"ANNOUNCED_AT": announcements.c.announced_at},
        filters=dict([one_of("kinds", announcements.c.kind, TEXTS)]),
    )

    async def current(self, viewer: Viewer, moment: datetime) -> list[Announcement]:
        """What is shown to the viewer at a moment, the latest first; no more than anybody reads."""
        return await self.many(Announcement, CURRENT, viewer, moment=moment, most=MOST_CURRENT)

    async def next_of_audience(self, viewer: Viewer, announcement: Announcement, most: int) -> list[UUID]:
        """The next active users whom an announcement is for and who were not told, in the order of their ids."""
        rows = await self.rows(NEXT_OF_AUDIENCE, viewer, announcement_id=announcement.id, most=most)
        return [row[0] for row in rows]

    async def told(self, announcement: Announcement, through: UUID) -> None:
        """Store how far the telling has come: no change of the announcement, so that no audit row tells of it."""
        await self.lent.rows(TOLD, {"announcement_id": announcement.id, "through": through})
