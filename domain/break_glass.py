"""Breaking the glass: sight of a book that is not one's own, for an hour and for a stated reason."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Role, Sight, Viewer, require, require_recent
from domain.entities import Entity
from domain.errors import NotFound, RateLimited, Refusal, RefusalCode
from domain.notifications import Notice, NotificationKind
from domain.text import invalid, reasoned
from domain.work import Work

LIFE: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
# Whoever needs more of them needs a membership.
MOST_A_DAY: Final = 5


class GlassAccess(Entity, frozen=True):
    """A user's sight of a book from `granted_at` until `expires_at`, or until it was ended before."""

    id: UUID
    user_id: UUID
    book_id: UUID
    reason: str
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    version: int

    def is_open(self, now: datetime) -> bool:
        """Whether the book is seen by it."""
        return self.ended_at is None and self.expires_at > now


class GlassAccessFilter(msgspec.Struct, frozen=True):
    """Which accesses a list holds."""

    book_ids: tuple[UUID, ...] | None = None
    user_ids: tuple[UUID, ...] | None = None


class Behind(msgspec.Struct, frozen=True):
    """The book behind a glass, and the unit that it belongs to."""

    book_id: UUID
    unit_id: UUID


class Breaking(msgspec.Struct, frozen=True):
    """Which book is to be seen, by its own id or by that of a client in it, and why."""

    reason: str
    book_id: UUID | None = None
    client_id: UUID | None = None


class GlassAccesses(Protocol):
    """The storage of broken glass."""

    async def locked(self, viewer: Viewer, row_id: UUID) -> GlassAccess: ...  # noqa: D102 - the signature says it, here and below
    async def one_at_a_time(self, viewer: Viewer) -> None: ...  # noqa: D102
    async def behind(self, book_id: UUID | None, client_id: UUID | None) -> Behind: ...  # noqa: D102
    async def since(self, viewer: Viewer, moment: datetime) -> Sequence[GlassAccess]: ...  # noqa: D102
    async def followed_up_by(self, viewer: Viewer, unit_id: UUID) -> Sequence[UUID]: ...  # noqa: D102
    async def add(self, row: GlassAccess) -> None: ...  # noqa: D102
    async def replace(self, before: GlassAccess, after: GlassAccess) -> GlassAccess: ...  # noqa: D102


async def break_glass(work: Work, viewer: Viewer, asked: Breaking) -> GlassAccess:
    """See a book for an hour; the managers of its unit are told at once, or the admins where there are none.

    Refuses: INVALID_VALUE, ALREADY_SEEN. Raises NotFound, and RateLimited after some times a day.
    """
    require(viewer, Action.BREAK_GLASS)
    require_recent(viewer, work.now)
    reason = reasoned(asked.reason)
    if (asked.book_id is None) == (asked.client_id is None):
        raise invalid("bookId", "Name either a book or a client.")
    await work.glass_accesses.one_at_a_time(viewer)
    behind = await work.glass_accesses.behind(asked.book_id, asked.client_id)
    await _check(work, viewer, behind)
    access = GlassAccess(
        work.new_id(), viewer.user_id, behind.book_id, reason, work.now, work.now + LIFE, ended_at=None, version=1
    )
    work.because(reason)
    await work.glass_accesses.add(access)
    recipients = frozenset(await work.glass_accesses.followed_up_by(viewer, behind.unit_id))
    work.tell(Notice(NotificationKind.GLASS_BROKEN, recipients, book_id=behind.book_id, glass_access_id=access.id))
    return access


async def _check(work: Work, viewer: Viewer, behind: Behind) -> None:
    """Whether there is a glass, and it is not broken too often."""
    latest = await work.glass_accesses.since(viewer, work.now - DAY)
    broken = any(each.book_id == behind.book_id and each.is_open(work.now) for each in latest)
    if broken or viewer.sight is Sight.EVERYTHING or behind.book_id in viewer.book_ids:
        raise Refusal(RefusalCode.ALREADY_SEEN, "You see this book already.", ("input",))
    if len(latest) >= MOST_A_DAY:
        wait = min(each.granted_at for each in latest) + DAY - work.now
        message = f"The glass is broken at most {MOST_A_DAY} times a day."
        raise RateLimited(message, retry_after=max(1, round(wait.total_seconds())))


async def end_access(work: Work, viewer: Viewer, access_id: UUID) -> GlassAccess:
    """End an access before its hour is over: one's own, or as a manager of the book's unit, or as an admin.

    Refuses: ACCESS_ENDED. Raises NotFound for what one may see, but has no say in.
    """
    require(viewer, Action.BREAK_GLASS)
    access = await work.glass_accesses.locked(viewer, access_id)
    if access.user_id != viewer.user_id and not await _follows_up(work, viewer, access.book_id):
        raise NotFound
    if not access.is_open(work.now):
        raise Refusal(RefusalCode.ACCESS_ENDED, "The access has ended already.", ("input", "glassAccessId"))
    ended = msgspec.structs.replace(access, ended_at=work.now, version=access.version + 1)
    return await work.glass_accesses.replace(access, ended)


async def _follows_up(work: Work, viewer: Viewer, book_id: UUID) -> bool:
    if viewer.sight is Sight.EVERYTHING:
        return True
    book = await work.books.one(viewer, book_id)
    return viewer.role is Role.BU_MANAGER and book.unit_id == viewer.unit_id
