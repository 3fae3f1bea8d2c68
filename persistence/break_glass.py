"""Sight of books by a broken glass."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    Text,
    any_,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.types import Uuid

from domain.access import Role, Sight, Viewer
from domain.break_glass import Behind, GlassAccess
from domain.errors import NotFound
from domain.identity import UserStatus
from persistence.identity import users
from persistence.listing import Listing, one_of
from persistence.metadata import MOMENT, UUIDS, table
from persistence.repository import Listed
from persistence.scope import BOOKS, END_CLIENT, EVERYTHING, USER, Scope
from persistence.sql import columns

# One's own, and those to the books that one sees, by which managers follow them up.
FOLLOWED: Final = f"user_id = {USER} or {EVERYTHING} or book_id in ({BOOKS}) and not {END_CLIENT}"


def _followed(source: FromClause, sight: Sight) -> ColumnElement[bool]:
    if sight is Sight.EVERYTHING:
        return true()
    own = source.c.user_id == bindparam("viewer_id", type_=Uuid)
    if sight is Sight.CLIENTS:
        return own
    return or_(own, source.c.book_id == any_(bindparam("viewer_books", type_=UUIDS)))


glass_accesses = table(
    "glass_accesses",
    Scope(see=FOLLOWED, add=f"user_id = {USER}", change=FOLLOWED, predicate=_followed),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("book_id", Uuid, ForeignKey("books.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("granted_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index(None, "user_id", "expires_at"),
    Index(None, "book_id", "granted_at"),
    # The list of those who see everything.
    Index(None, "granted_at", "id"),
)

# The user's own row is what those wait for who break the glass at once as the same user.
OWN_ROW = select(users.c.id).where(users.c.id == bindparam("user_id", type_=Uuid)).with_for_update(key_share=True)
# A vetted function of the migration: whoever asks does not see the book yet.
BEHIND = select(
    func.book_behind(bindparam("book_id", type_=Uuid), bindparam("client_id", type_=Uuid)).table_valued(
        "book_id", "unit_id"
    )
)
OWN_SINCE = (
    select(*columns(GlassAccess, glass_accesses))
    .where(
        glass_accesses.c.user_id == bindparam("viewer_id", type_=Uuid),
        glass_accesses.c.granted_at > bindparam("moment", type_=MOMENT),
    )
    .order_by(glass_accesses.c.granted_at)
)
FOLLOWERS = select(users.c.id, users.c.role).where(
    users.c.status == UserStatus.ACTIVE.value,
    or_(
        (users.c.role == Role.BU_MANAGER.value) & (users.c.unit_id == bindparam("unit_id", type_=Uuid)),
        users.c.role == Role.ADMIN.value,
    ),
)


class GlassAccesses(Listed[GlassAccess]):
    """Broken glass: one's own, and that of the books that one sees."""

    entity = GlassAccess
    table = glass_accesses
    listing = Listing(
        GlassAccess,
        glass_accesses,
        orders={"GRANTED_AT": glass_accesses.c.granted_at},
        filters=dict(
            [
                one_of("book_ids", glass_accesses.c.book_id, UUIDS),
                one_of("user_ids", glass_accesses.c.user_id, UUIDS),
            ]
        ),
    )

    async def one_at_a_time(self, viewer: Viewer) -> None:
        """Wait until no other transaction breaks the glass as this user."""
        await self.lent.rows(OWN_ROW, {"user_id": viewer.user_id})

    async def behind(self, book_id: UUID | None, client_id: UUID | None) -> Behind:
        """The book of this id, or that of this client, though it is not seen; raises NotFound."""
        rows = await self.lent.rows(BEHIND, {"book_id": book_id, "client_id": client_id})
        if not rows:
            raise NotFound
        return Behind(*rows[0])

    async def since(self, viewer: Viewer, moment: datetime) -> Sequence[GlassAccess]:
        """The viewer's own since a moment."""
        return await self.many(GlassAccess, OWN_SINCE, viewer, moment=moment)

    async def followed_up_by(self, viewer: Viewer, unit_id: UUID) -> Sequence[UUID]:
        """The managers of a unit, or the admins where it has none."""
        found = await self.rows(FOLLOWERS, viewer, unit_id=unit_id)
        managers = [row[0] for row in found if row[1] == Role.BU_MANAGER]
        return managers or [row[0] for row in found]
