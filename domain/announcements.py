"""Announcements and maintenance windows: what admins tell all, a role or a unit."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Role, Viewer, require
from domain.entities import Entity
from domain.errors import NotFound
from domain.notifications import Notice, NotificationKind
from domain.text import invalid, named
from domain.work import Work

if TYPE_CHECKING:
    from domain.jobs import Office

LONGEST_TEXT: Final = 4_000
# So many people are told in one transaction: their streams stay locked until its end.
AT_ONCE: Final = 500


class AnnouncementKind(StrEnum):
    """What is announced.

    ANNOUNCEMENT: Anything that people should know.
    MAINTENANCE: A time in which the platform may not be available. Nothing is shut off by it.
    """

    ANNOUNCEMENT = "ANNOUNCEMENT"
    MAINTENANCE = "MAINTENANCE"


class Audience(StrEnum):
    """Whom an announcement is for.

    ALL: Everybody.
    ROLE: Those of one role.
    UNIT: The people of one business unit.
    """

    ALL = "ALL"
    ROLE = "ROLE"
    UNIT = "UNIT"


class Announcement(Entity, frozen=True):
    """What people are told, from `shown_from` until `ends_at`, or until it is withdrawn.

    `starts_at` and `ends_at` are the window of a maintenance, which is shown before it begins.
    """

    id: UUID
    kind: AnnouncementKind
    title: str
    text: str
    audience: Audience
    role: Role | None
    unit_id: UUID | None
    starts_at: datetime
    ends_at: datetime | None
    shown_from: datetime
    announced_by: UUID
    announced_at: datetime
    withdrawn_at: datetime | None
    version: int


class AnnouncementFilter(msgspec.Struct, frozen=True):
    """Which announcements a list holds."""

    kinds: tuple[AnnouncementKind, ...] | None = None


class NewAnnouncement(msgspec.Struct, frozen=True):
    """What is to be announced."""

    kind: AnnouncementKind
    title: str
    text: str
    audience: Audience
    role: Role | None = None
    unit_id: UUID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class Announcements(Protocol):
    """The storage of announcements."""

    async def locked(self, viewer: Viewer, row_id: UUID) -> Announcement: ...  # noqa: D102 - the signature says it, here and below
    async def add(self, row: Announcement) -> None: ...  # noqa: D102
    async def replace(self, before: Announcement, after: Announcement) -> Announcement: ...  # noqa: D102
    async def next_of_audience(self, viewer: Viewer, announcement: Announcement, most: int) -> list[UUID]: ...  # noqa: D102
    async def told(self, announcement: Announcement, through: UUID) -> None: ...  # noqa: D102


async def announce(work: Work, viewer: Viewer, new: NewAnnouncement) -> Announcement:
    """Announce something; a job tells everybody of the audience, once it is to be shown. Refuses: INVALID_VALUE."""
    require(viewer, Action.ANNOUNCE)
    await _check_audience(work, viewer, new)
    starts_at = new.starts_at or work.now
    _check_time(new, starts_at, work.now)
    # People prepare for a maintenance before it begins.
    at_once = new.kind is AnnouncementKind.MAINTENANCE
    announcement = Announcement(
        id=work.new_id(),
        kind=new.kind,
        title=named(new.title, "title"),
        text=_text(new.text),
        audience=new.audience,
        role=new.role,
        unit_id=new.unit_id,
        starts_at=starts_at,
        ends_at=new.ends_at,
        shown_from=work.now if at_once else max(starts_at, work.now),
        announced_by=viewer.user_id,
        announced_at=work.now,
        withdrawn_at=None,
        version=1,
    )
    await work.announcements.add(announcement)
    work.enqueue(tell_audience, announcement.id, after=max(announcement.shown_from - work.now, timedelta(0)))
    return announcement


async def withdraw(work: Work, viewer: Viewer, announcement_id: UUID, version: int) -> Announcement:
    """Take an announcement back: it is shown no longer, and whoever was not told yet never is.

    Refuses: INVALID_VALUE, STALE_VERSION.
    """
    require(viewer, Action.ANNOUNCE)
    before = await work.announcements.locked(viewer, announcement_id)
    if before.withdrawn_at is not None:
        raise invalid("announcementId", "The announcement has been withdrawn already.")
    after = msgspec.structs.replace(before, withdrawn_at=work.now, version=before.version + 1)
    return await work.announcements.replace(msgspec.structs.replace(before, version=version), after)


async def tell_audience(office: "Office", announcement_id: UUID) -> None:
    """Tell everybody of an announcement's audience, once, some at a time."""
    while await office.write(tell_some, announcement_id):
        pass


async def tell_some(work: Work, viewer: Viewer, announcement_id: UUID) -> bool:
    """Tell the next people of the audience, as far as nobody has told them; says whether there may be more.

    How far it has come is stored with what it tells, under the announcement's lock: run twice, it tells nobody twice.
    """
    try:
        announcement = await work.announcements.locked(viewer, announcement_id)
    except NotFound:
        return False
    if announcement.withdrawn_at is not None:
        return False
    people = await work.announcements.next_of_audience(viewer, announcement, AT_ONCE)
    if people:
        kind = NotificationKind(announcement.kind.value)
        work.tell(Notice(kind, frozenset(people), announcement_id=announcement.id))
        await work.announcements.told(announcement, people[-1])
    return len(people) == AT_ONCE


async def _check_audience(work: Work, viewer: Viewer, new: NewAnnouncement) -> None:
    if (new.role is not None) is not (new.audience is Audience.ROLE):
        raise invalid("role", "A role goes with the audience ROLE, and with no other.")
    if (new.unit_id is not None) is not (new.audience is Audience.UNIT):
        raise invalid("unitId", "A business unit goes with the audience UNIT, and with no other.")
    if new.unit_id is not None and not await work.books.units(viewer, [new.unit_id]):
        raise NotFound


def _check_time(new: NewAnnouncement, starts_at: datetime, now: datetime) -> None:
    if new.kind is AnnouncementKind.MAINTENANCE and (new.starts_at is None or new.ends_at is None):
        raise invalid("startsAt", "A maintenance window has a beginning and an end.")
    if new.ends_at is not None and new.ends_at <= max(starts_at, now):
        raise invalid("endsAt", "The end lies after the beginning, and in the future.")


def _text(text: str) -> str:
    stripped = text.strip()
    if not 1 <= len(stripped) <= LONGEST_TEXT:
        raise invalid("text", f"A text has 1 to {LONGEST_TEXT} characters.")
    return stripped
