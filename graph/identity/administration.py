"""The users of the firm, for those who know them and those who look after them."""

from enum import StrEnum

import strawberry
from strawberry import ID

from domain.access import Role
from domain.identity import UserStatus, accounts, administration
from domain.identity.users import Newcomer
from domain.paging import Direction, Order
from graph.context import Info
from graph.described import enum, input_
from graph.identity.account import UserPayload
from graph.identity.types import User
from graph.ids import decode
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import mutation
from persistence.identity.accounts import Users


@enum
class UserOrderField(StrEnum):
    """What users can be ordered by.

    NAME: Their names, case and accents aside.
    CREATED_AT: When they were added.
    """

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"


@input_
class UserOrder:
    """What a list of users is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: UserOrderField
    direction: Direction = Direction.ASC


@input_
class UserFilter:
    """Which users a list holds.

    roles: Users with these roles.
    statuses: Users of these statuses.
    team_ids: Users in these teams.
    unit_ids: Users in these business units.
    """

    roles: list[Role] | None = None
    statuses: list[UserStatus] | None = None
    team_ids: list[ID] | None = None
    unit_ids: list[ID] | None = None


USERS = Lists(UserOrder, Order("NAME"), accounts.UserFilter, UserFilter)


@input_
class InviteUserInput:
    """Whom to invite.

    email: The address that the invitation goes to, and that the user signs in with.
    name: The user's full name.
    role: What the user is in the firm.
    team_id: The user's team; supervisors, advisors and viewers need one.
    unit_id: The user's business unit, where it has no team; managers of units need one.
    locale: How the user reads numbers and dates; en_IN if it is left out.
    time_zone: The user's IANA time zone; Asia/Kolkata if it is left out.
    """

    email: str
    name: str
    role: Role
    team_id: ID | None = None
    unit_id: ID | None = None
    locale: str | None = None
    time_zone: str | None = None


@input_
class ResendInvitationInput:
    """Who is to get another invitation.

    user_id: The user.
    """

    user_id: ID


@input_
class ChangeUserRoleInput:
    """What gives a user another role and place in the firm.

    user_id: The user.
    version: The user's version when it was read.
    role: What the user is in the firm from now on.
    team_id: The user's team from now on; none, if it is left out.
    unit_id: The user's business unit from now on, where it has no team.
    """

    user_id: ID
    version: int
    role: Role
    team_id: ID | None = None
    unit_id: ID | None = None


@input_
class DisableUserInput:
    """Whom to shut out.

    user_id: The user.
    """

    user_id: ID


@input_
class EnableUserInput:
    """Whom to let in again.

    user_id: The user.
    """

    user_id: ID


@input_
class SignOutUserInput:
    """Whose sessions to end.

    user_id: The user.
    """

    user_id: ID


@strawberry.type
class UserQueries:
    """Queries of users."""

    users: Connection[User] = listed(
        Users.page,
        Users.count,
        USERS,
        "The users whom the viewer knows: for staff each other and the end clients whose client they see, for an end "
        "client itself.",
    )


@strawberry.type
class UserMutations:
    """Mutations of users, for admins, and for managers of units as far as it concerns their people."""

    @mutation
    async def invite_user(self, info: Info, input: InviteUserInput) -> UserPayload | None:
        """Add a user, who gets an invitation by mail, good for seven days. Needs a recent proof of who asks."""
        return UserPayload(user=await info.context.account(administration.invite, into(Newcomer, input)))

    @mutation
    async def resend_invitation(self, info: Info, input: ResendInvitationInput) -> UserPayload | None:
        """Mail another invitation, in place of those before."""
        user_id = decode(input.user_id, "user", "input.userId")
        return UserPayload(user=await info.context.account(administration.resend_invitation, user_id))

    @mutation
    async def change_user_role(self, info: Info, input: ChangeUserRoleInput) -> UserPayload | None:
        """Give a user another role, team and unit, at once. Needs a recent proof of who asks."""
        change = into(administration.RoleChange, input)
        return UserPayload(user=await info.context.account(administration.change_role, change))

    @mutation
    async def disable_user(self, info: Info, input: DisableUserInput) -> UserPayload | None:
        """Shut a user out at once, on open sockets too. Needs a recent proof of who asks."""
        user_id = decode(input.user_id, "user", "input.userId")
        return UserPayload(user=await info.context.account(administration.disable, user_id))

    @mutation
    async def enable_user(self, info: Info, input: EnableUserInput) -> UserPayload | None:
        """Let a user in again who was shut out. Needs a recent proof of who asks."""
        user_id = decode(input.user_id, "user", "input.userId")
        return UserPayload(user=await info.context.account(administration.enable, user_id))

    @mutation
    async def sign_out_user(self, info: Info, input: SignOutUserInput) -> UserPayload | None:
        """End all sessions of a user at once, on open sockets too; the user may sign in again."""
        user_id = decode(input.user_id, "user", "input.userId")
        return UserPayload(user=await info.context.account(administration.sign_out_user, user_id))
