"""Sign-in, the session, and the users of the firm."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import strawberry

from domain import identity
from domain.access import Action, Role
from domain.access import Viewer as DomainViewer
from domain.books import Book as DomainBook
from domain.identity import UserStatus
from domain.identity.factors import FactorMethod, FactorState
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.context import Info
from graph.cost import cost
from graph.described import enum, type_
from graph.lists import Connection
from graph.nodes import Node, OfEntity
from graph.scalars import JSON
from persistence.books import Books
from persistence.identity import MOST_SESSIONS, Factors, Identities
from persistence.identity.accounts import Accounts

if TYPE_CHECKING:
    from graph.books import Book, Team, Unit

for each in (Role, Action, UserStatus, FactorMethod):
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
    email_verified_at: When the user last showed that the address is its own; none, if it never has.
    version: Rises with each change.
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
    email_verified_at: datetime | None
    version: int
    team: LazyTeam | None = batched(Books.teams, key="team_id", by="id", description="The team of the user.")
    unit: LazyUnit | None = batched(Books.units, key="unit_id", by="id", description="The business unit of the user.")
    changes: Connection[AuditEvent] = changes("the user, for the user itself and for those who see everything")


@type_
class UserSession(Node):
    """A sign-in of a user on one device, and all that has followed from it.

    device: The program that it was begun with, in that program's own words.
    address: The network address that it was begun from.
    created_at: When it was begun.
    last_used_at: When it was last used, to the minute.
    idle_until: When it ends if it is not used before.
    expires_at: When it ends if it is not refreshed before.
    revoked_at: When it was ended by hand, if it was.
    authenticated_at: When the user last proved to be who it is.
    second_factor: Whether it was begun, or proved since, with a second factor.
    """

    entity = identity.Session

    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    idle_until: datetime
    expires_at: datetime
    revoked_at: datetime | None
    authenticated_at: datetime
    second_factor: bool

    @strawberry.field(description="Whether it is the session of this very request.")
    async def current(self: identity.Session, info: Info) -> bool:
        """Whether it is the viewer's."""
        return (await info.context.viewer()).session_id == self.id


@type_
class SecondFactor(OfEntity):
    """The second factor of the viewer, which it signs in with besides its password.

    confirmed_at: Since when there is one; none, if there is none.
    recovery_codes_left: How many recovery codes were not used yet.
    """

    entity = FactorState

    confirmed_at: datetime | None
    recovery_codes_left: int

    @strawberry.field(description="Whether there is one.")
    def enabled(self: FactorState) -> bool:
        """Whether it counts."""
        return self.confirmed_at is not None

    @strawberry.field(description="Whether the viewer's role must have one.")
    async def required(self: FactorState, info: Info) -> bool:
        """Whether it can be disabled no more."""
        return (await info.context.viewer()).role in info.context.services.admissions.needing_factor


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
        description="The books that the viewer sees by team, unit, membership or a broken glass; empty for those who "
        "see everything. Bounded by the size of a unit.",
        metadata=cost(2, size=10),
    )
    async def books(self: DomainViewer, info: Info) -> list[DomainBook]:
        """The viewer's books."""
        return await info.context.read(Books.by_ids, list(self.book_ids))

    @strawberry.field(description="The name of the signed-in user.")
    async def name(self: DomainViewer, info: Info) -> str:
        """The user's name."""
        return (await info.context.read(Identities.by_ids, [self.user_id]))[0].name

    @strawberry.field(description="What the viewer prefers: the object that was last given to `updateProfile`.")
    async def preferences(self: DomainViewer, info: Info) -> JSON:
        """The viewer's preferences."""
        found = await info.context.read(Accounts.preferences)
        return JSON(msgspec.json.decode(found.settings) if found else {})

    @strawberry.field(
        graphql_type=list["UserSession"],
        description=f"The viewer's sessions that have not ended, the one that was used last first; at most "
        f"{MOST_SESSIONS}.",
        metadata=cost(size=5),
    )
    async def sessions(self: DomainViewer, info: Info) -> list[identity.Session]:
        """The viewer's live sessions."""
        return await info.context.read(Identities.living_sessions, info.context.now)

    @strawberry.field(graphql_type=SecondFactor, description="The viewer's second factor.")
    async def second_factor(self: DomainViewer, info: Info) -> FactorState:
        """The state of the viewer's second factor."""
        return await info.context.read(Factors.state) or FactorState(None, 0)

    @strawberry.field(description="What the viewer's role allows.")
    def can(self: DomainViewer) -> list[Action]:
        """The allowed actions, in a steady order."""
        return sorted(self.can)

    @strawberry.field(description="The viewer's calendar day.")
    async def today(self: DomainViewer, info: Info) -> date:
        """Today, in the viewer's zone."""
        return self.today(info.context.now)


@type_
class SignInChallenge(OfEntity):
    """What stands before a session: a second factor, which `completeSignIn` takes with the token.

    token: Sent along with the second factor; good for one sign-in, and of no other use.
    expires_at: When the sign-in has to be begun anew.
    methods: By what the second factor can be proved; nothing, where there is none yet.
    enrolment_needed: Whether the user's role needs a second factor, and it has none: it is made by `beginSecondFactor`
        and `confirmSecondFactor`, which take the token, and the second of which gives the session.
    """

    entity = identity.Challenge

    token: str
    expires_at: datetime
    methods: list[FactorMethod]
    enrolment_needed: bool


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
