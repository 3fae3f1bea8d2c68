"""The organisation, its books and their members."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    any_,
    bindparam,
    cast,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.types import Uuid

from domain.access import Role, Sight, Viewer
from domain.books import Book, Membership, MembershipKind, Team, Unit
from domain.errors import NotFound
from persistence.identity import users
from persistence.listing import Listing, one_of
from persistence.metadata import MOMENT, UUIDS, enum_column, table
from persistence.repository import Listed, by_id, by_ids
from persistence.scope import SIGNED_IN, by_book, shared
from persistence.sql import columns

units = table(
    "units", shared(), Column("id", Uuid, primary_key=True), Column("name", Text, nullable=False, unique=True)
)

teams = table(
    "teams",
    shared(),
    Column("id", Uuid, primary_key=True),
    Column("unit_id", Uuid, ForeignKey("units.id"), nullable=False),
    Column("name", Text, nullable=False, unique=True),
    # Books repeat their unit, kept true by a reference to both.
    UniqueConstraint("id", "unit_id"),
)

books = table(
    "books",
    # A book that was just opened is in nobody's settings yet: whoever leads its team may add it.
    by_book("id", client=None, add=SIGNED_IN),
    Column("id", Uuid, primary_key=True),
    Column("team_id", Uuid, nullable=False),
    Column("unit_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("version", Integer, nullable=False),
    ForeignKeyConstraint(["team_id", "unit_id"], ["teams.id", "teams.unit_id"]),
    Index(None, "sort_name", "id"),
    Index(None, "team_id"),
)

memberships = table(
    "memberships",
    by_book(client=None),
    Column("id", Uuid, primary_key=True),
    Column("book_id", Uuid, ForeignKey("books.id"), nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    *enum_column("kind", MembershipKind),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("version", Integer, nullable=False),
    CheckConstraint("ends_on is null or ends_on >= starts_on - 1", name="order"),
    Index(None, "book_id", "starts_on"),
    Index(None, "user_id"),
)

MEMBERSHIPS = (
    select(*columns(Membership, memberships))
    .where(memberships.c.book_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(memberships.c.starts_on, memberships.c.id)
)
MEMBERSHIPS_OF_USERS = (
    select(*columns(Membership, memberships))
    .where(memberships.c.user_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(memberships.c.starts_on, memberships.c.id)
)
# Who is told of what happens in a book: the supervisors of its team, and its members of the day that it is for them.
THEIR_DAY = cast(func.timezone(users.c.time_zone, bindparam("moment", type_=MOMENT)), Date)
AUDIENCE = (
    select(users.c.id)
    .select_from(books)
    .join(users, users.c.status == "ACTIVE")
    .where(
        books.c.id == bindparam("book_id", type_=Uuid),
        or_(
            (users.c.role == Role.SUPERVISOR.value) & (users.c.team_id == books.c.team_id),
            exists().where(
                memberships.c.book_id == books.c.id,
                memberships.c.user_id == users.c.id,
                memberships.c.starts_on <= THEIR_DAY,
                or_(memberships.c.ends_on.is_(None), memberships.c.ends_on >= THEIR_DAY),
            ),
        ),
    )
)
# Who may approve what happens in a book: those who lead its team or its unit.
APPROVERS = (
    select(users.c.id)
    .select_from(books)
    .join(users, users.c.status == "ACTIVE")
    .where(
        books.c.id == bindparam("book_id", type_=Uuid),
        or_(
            (users.c.role == Role.SUPERVISOR.value) & (users.c.team_id == books.c.team_id),
            (users.c.role == Role.BU_MANAGER.value) & (users.c.unit_id == books.c.unit_id),
        ),
    )
)


class Books(Listed[Book]):
    """Books, as far as the viewer sees them."""

    entity = Book
    table = books
    listing = Listing(
        Book,
        books,
        orders={"NAME": books.c.sort_name, "OPENED_ON": books.c.opened_on},
        filters=dict([one_of("team_ids", books.c.team_id, UUIDS)]),
    )

    async def team(self, viewer: Viewer, team_id: UUID) -> Team:
        """A team that the viewer leads; raises NotFound for any other."""
        team = await self.first(Team, by_id(Team, teams), viewer, id=team_id)
        leads = viewer.sight is Sight.EVERYTHING or viewer.team_id == team.id
        if not leads and not (viewer.role is Role.BU_MANAGER and viewer.unit_id == team.unit_id):
            raise NotFound
        return team

    async def teams(self, viewer: Viewer, team_ids: Sequence[UUID]) -> list[Team]:
        """These teams."""
        return await self.many(Team, by_ids(Team, teams), viewer, keys=team_ids)

    async def units(self, viewer: Viewer, unit_ids: Sequence[UUID]) -> list[Unit]:
        """These business units."""
        return await self.many(Unit, by_ids(Unit, units), viewer, keys=unit_ids)

    async def membership(self, viewer: Viewer, membership_id: UUID) -> Membership:
        """The membership, with its row lock; raises NotFound."""
        return await self.first(Membership, by_id(Membership, memberships, locking=True), viewer, id=membership_id)

    async def memberships(self, viewer: Viewer, membership_ids: Sequence[UUID]) -> list[Membership]:
        """These memberships."""
        return await self.many(Membership, by_ids(Membership, memberships), viewer, keys=membership_ids)

    async def memberships_of(self, viewer: Viewer, book_ids: Sequence[UUID]) -> list[Membership]:
        """All memberships of these books, past and future ones too, oldest first."""
        return await self.many(Membership, MEMBERSHIPS, viewer, keys=book_ids)

    async def memberships_of_users(self, viewer: Viewer, user_ids: Sequence[UUID]) -> list[Membership]:
        """All memberships of these users in books that the viewer sees, past and future ones too, oldest first."""
        return await self.many(Membership, MEMBERSHIPS_OF_USERS, viewer, keys=user_ids)

    async def audience(self, viewer: Viewer, book_id: UUID, moment: datetime) -> list[UUID]:
        """Who is told of what happens in the book at a moment."""
        return [row[0] for row in await self.rows(AUDIENCE, viewer, book_id=book_id, moment=moment)]

    async def approvers(self, viewer: Viewer, book_id: UUID) -> list[UUID]:
        """Who may approve what happens in the book."""
        return [row[0] for row in await self.rows(APPROVERS, viewer, book_id=book_id)]

    async def add_membership(self, membership: Membership) -> None:
        """Store a new membership."""
        await self.insert(memberships, membership)

    async def replace_membership(self, before: Membership, after: Membership) -> Membership:
        """Store a changed membership; refuses STALE_VERSION."""
        return await self.replace_row(memberships, before, after)
