"""Sign-in, the session, and the users of the firm."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import identity
from domain.access import Action, Role
from domain.access import Viewer as DomainViewer
from domain.books import Book as DomainBook
from domain.identity import UserStatus
from graph.batching import batched
from graph.context import Info
from graph.described import enum, type_
from graph.nodes import Node, OfEntity
from persistence.books import Books
from persistence.identity import Identities

if TYPE_CHECKING:
    from graph.books import Book, Team, Unit

for each in (Role, Action, UserStatus):
    enum(each)

LazyBook = Annotated["Book", strawberry.lazy("graph.books")]
LazyTeam = Annotated["Team", strawberry.lazy("graph.books")]
LazyUnit = Annotated["Unit", strawberry.lazy("graph.books")]


@type_
class User(Node):
    """Somebody who can sign in: staff of the firm, an end client, or a partner's program.

    name: The user's full name.
    email: The address that the user signs in with.
    picture_url: Where a picture of the user can be loaded.
    locale: How the user reads numbers and dates, such as en_IN.
    time_zone: The IANA time zone of the user, which decides what today is.
    role: What the user is in the firm.
    status: Whether the user may sign in.
    created_at: When the user was added.
    """

    entity = identity.User

    name: str
    email: str
    picture_url: str | None
    locale: str
    time_zone: str
    role: Role
    status: UserStatus
    created_at: datetime
    team: LazyTeam | None = batched(Books.teams, key="team_id", by="id", description="The team of the user.")
    unit: LazyUnit | None = batched(Books.units, key="unit_id", by="id", description="The business unit of the user.")


@type_
class Viewer(OfEntity):
    """Whoever asks: the signed-in user, and what it sees and may do.

    role: What the viewer is in the firm.
    locale: How the viewer reads numbers and dates.
    time_zone: The IANA time zone that decides what the viewer's today is.
    """

    entity = DomainViewer

    role: Role
    locale: str
    time_zone: str
    user: User = batched(Identities.by_ids, key="user_id", by="id", description="The user who is signed in.")

    @strawberry.field(
        graphql_type=list[LazyBook],
        description="The books that the viewer sees by team, unit or membership, in no order; empty for those who "
        "see everything. Bounded by the size of a unit.",
    )
    async def books(self: DomainViewer, info: Info) -> list[DomainBook]:
        """The viewer's books."""
        return await info.context.read(Books.by_ids, list(self.book_ids))

    @strawberry.field(description="The name of the signed-in user.")
    async def name(self: DomainViewer, info: Info) -> str:
        """The user's name."""
        return (await info.context.read(Identities.by_ids, [self.user_id]))[0].name

    @strawberry.field(description="What the viewer's role allows.")
    def can(self: DomainViewer) -> list[Action]:
        """The allowed actions, in a steady order."""
        return sorted(self.can)

    @strawberry.field(description="The viewer's calendar day.")
    async def today(self: DomainViewer, info: Info) -> date:
        """Today, in the viewer's zone."""
        return self.today(info.context.now)


@type_
class Session(OfEntity):
    """A session and its tokens.

    access_token: Sent with every request, as `Authorization: Bearer …`; a JWT.
    access_token_expires_at: When the access token ends, and must be refreshed.
    refresh_token: Exchanged, once, for the next pair of tokens.
    refresh_token_expires_at: When the refresh token ends, and the user must sign in again.
    user: The user who is signed in.
    """

    entity = identity.Grant

    access_token: str
    access_token_expires_at: datetime
    refresh_token: str
    refresh_token_expires_at: datetime
    user: User
