"""Books (the clients that somebody looks after), their members, and the organisation they lie in."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Role, Viewer, require
from domain.entities import Entity
from domain.errors import NotFound, Refusal, RefusalCode
from domain.identity import User
from domain.text import fold, invalid, named
from domain.work import Work

# How far the clock lags behind UTC where it lags most.
EARTH: Final = timedelta(hours=12)


class Unit(Entity, frozen=True):
    """A business unit of the firm."""

    id: UUID
    name: str


class Team(Entity, frozen=True):
    """A team within a unit."""

    id: UUID
    unit_id: UUID
    name: str


class Book(Entity, frozen=True):
    """The clients that somebody looks after; it belongs to a team."""

    id: UUID
    team_id: UUID
    unit_id: UUID
    name: str
    sort_name: str
    opened_on: date
    version: int

    of_book: ClassVar[str] = "id"


class MembershipKind(StrEnum):
    """Why somebody is a member of a book.

    ADVISOR: The book is this advisor's own.
    STAND_IN: Looks after the book during an absence.
    ASSISTANT: Helps the advisor of the book.
    RESEARCH: Follows the book's holdings as an analyst.
    """

    ADVISOR = "ADVISOR"
    STAND_IN = "STAND_IN"
    ASSISTANT = "ASSISTANT"
    RESEARCH = "RESEARCH"


class Membership(Entity, frozen=True):
    """A person's membership of a book, from a day to a day, both included; without an end it goes on."""

    id: UUID
    book_id: UUID
    user_id: UUID
    kind: MembershipKind
    starts_on: date
    ends_on: date | None
    version: int

    personal: ClassVar[frozenset[str]] = frozenset()

    def overlaps(self, starts_on: date, ends_on: date | None) -> bool:
        """Whether it shares a day with that time."""
        begins_in_time = ends_on is None or self.starts_on <= ends_on
        # One that was ended before it began holds no day at all.
        return begins_in_time and (self.ends_on is None or self.ends_on >= max(starts_on, self.starts_on))


class BookFilter(msgspec.Struct, frozen=True):
    """Which books a list holds."""

    team_ids: tuple[UUID, ...] | None = None


class Books(Protocol):
    """The storage of books."""

    async def one(self, viewer: Viewer, book_id: UUID) -> Book: ...  # noqa: D102 - the signature says it, here and below
    async def locked(self, viewer: Viewer, book_id: UUID) -> Book: ...  # noqa: D102
    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Book]: ...  # noqa: D102
    async def team(self, viewer: Viewer, team_id: UUID) -> Team: ...  # noqa: D102
    async def units(self, viewer: Viewer, unit_ids: Sequence[UUID]) -> list[Unit]: ...  # noqa: D102
    async def membership(self, viewer: Viewer, membership_id: UUID) -> Membership: ...  # noqa: D102
    async def memberships_of(self, viewer: Viewer, book_ids: Sequence[UUID]) -> list[Membership]: ...  # noqa: D102
    async def audience(self, viewer: Viewer, book_id: UUID, moment: datetime) -> list[UUID]: ...  # noqa: D102
    async def approvers(self, viewer: Viewer, book_id: UUID) -> list[UUID]: ...  # noqa: D102
    async def add(self, book: Book) -> None: ...  # noqa: D102
    async def add_membership(self, membership: Membership) -> None: ...  # noqa: D102
    async def replace_membership(self, before: Membership, after: Membership) -> Membership: ...  # noqa: D102


class NewBook(msgspec.Struct, frozen=True):
    """What opens a book."""

    name: str
    team_id: UUID


class NewMembership(msgspec.Struct, frozen=True):
    """What makes somebody a member of a book."""

    book_id: UUID
    user_id: UUID
    kind: MembershipKind
    starts_on: date | None = None
    ends_on: date | None = None


async def open_book(work: Work, viewer: Viewer, new: NewBook) -> Book:
    """Open an empty book in a team that the viewer leads. Refuses: INVALID_VALUE."""
    require(viewer, Action.OPEN_BOOK)
    team = await work.books.team(viewer, new.team_id)
    name = named(new.name, "name")
    book = Book(work.new_id(), team.id, team.unit_id, name, fold(name), viewer.today(work.now), 1)
    await work.books.add(book)
    return book


async def add_member(work: Work, viewer: Viewer, new: NewMembership) -> Membership:
    """Make somebody a member, from today or the given day on. Refuses: INVALID_VALUE, OVERLAPPING_MEMBERSHIP."""
    require(viewer, Action.MANAGE_MEMBERS)
    book = await led(work, viewer, new.book_id)
    user = await _staff(work, viewer, new.user_id)
    starts_on = new.starts_on or viewer.today(work.now)
    if new.ends_on is not None and new.ends_on < starts_on:
        raise invalid("endsOn", "A membership ends on or after its first day.")
    membership = Membership(work.new_id(), book.id, user.id, new.kind, starts_on, new.ends_on, 1)
    await _check_overlaps(work, viewer, membership, "userId")
    await work.books.add_membership(membership)
    return membership


async def led(work: Work, viewer: Viewer, book_id: UUID) -> Book:
    """A book, with its lock, of a team that the viewer leads.

    Standing in for a colleague shows the colleague's book, and gives no say in whose it is. Raises NotFound.
    """
    book = await work.books.locked(viewer, book_id)
    await work.books.team(viewer, book.team_id)
    return book


async def _check_overlaps(work: Work, viewer: Viewer, membership: Membership, field: str) -> None:
    for other in await work.books.memberships_of(viewer, [membership.book_id]):
        same = other.user_id == membership.user_id and other.id != membership.id
        if same and other.overlaps(membership.starts_on, membership.ends_on):
            message = "This person is a member in that time already."
            raise Refusal(RefusalCode.OVERLAPPING_MEMBERSHIP, message, ("input", field))


async def _staff(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """Whoever may be a member: an end client would be told of what happens to the other clients of the book."""
    for user in await work.identities.by_ids(viewer, [user_id]):
        if user.role is Role.CLIENT:
            raise invalid("userId", "An end client is no member of a book.")
        return user
    raise NotFound


async def end_membership(work: Work, viewer: Viewer, membership_id: UUID, ends_on: date | None) -> Membership:
    """End a membership with a day, by default the last that is over everywhere, so that it counts no more.

    One that has not begun never will, if its last day lies before its first. Refuses: MEMBERSHIP_ENDED,
    INVALID_VALUE, OVERLAPPING_MEMBERSHIP.
    """
    require(viewer, Action.MANAGE_MEMBERS)
    book_id = (await work.books.membership(viewer, membership_id)).book_id
    await led(work, viewer, book_id)
    # Read again under the book's lock, which everybody takes who adds or ends a membership.
    membership = await work.books.membership(viewer, membership_id)
    # By now nobody on earth still has the day before this one: the member's own day decides what it sees.
    today = (work.now - EARTH).date()
    if membership.ends_on is not None and (membership.ends_on < today or membership.ends_on == ends_on):
        raise Refusal(RefusalCode.MEMBERSHIP_ENDED, "The membership has ended already.", ("input", "membershipId"))
    # Counted in ordinals, for the first day of the calendar has none before it.
    first = membership.starts_on.toordinal()
    if ends_on is not None and ends_on.toordinal() < first - 1:
        raise invalid("endsOn", "A membership ends at the earliest the day before its first day.")
    last = ends_on or date.fromordinal(max(today.toordinal(), first) - 1)
    changed = msgspec.structs.replace(membership, ends_on=last, version=membership.version + 1)
    await _check_overlaps(work, viewer, changed, "endsOn")
    return await work.books.replace_membership(membership, changed)
