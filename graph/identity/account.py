"""One's own account: how it comes to be, how its owner gets back into it, and what it says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import strawberry
from strawberry import UNSET

from domain import identity
from domain.identity import joining, profile, recovery
from domain.identity.accounts import Entrance
from graph.context import Info
from graph.described import input_, type_
from graph.identity.sign_in import SessionPayload
from graph.identity.types import User
from graph.inputs import into
from graph.mutations import PROVES, Payload, mutation
from graph.scalars import JSON

# Longer than anything takes that is found out about an address, so that the time tells nothing of it.
EVEN_SECONDS: Final = 0.25


@asynccontextmanager
async def evenly() -> AsyncIterator[None]:
    """Take the same time, whatever comes of it."""
    clock = asyncio.get_running_loop()
    ends = clock.time() + EVEN_SECONDS
    try:
        yield
    finally:
        await asyncio.sleep(ends - clock.time())


@input_
class AcceptInviteInput:
    """What accepts an invitation.

    token: The token of the mailed link: what follows `#token=`.
    password: The password to sign in with from now on.
    name: The user's full name, if the invitation has another.
    locale: How the user reads numbers and dates, such as en_IN.
    time_zone: The user's IANA time zone, such as Asia/Kolkata.
    """

    token: str
    password: str
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None


@input_
class RegisterInput:
    """What somebody registers with. There is no password yet: it is chosen by the link that is mailed to the address.

    email: The address to sign in with.
    name: The full name.
    locale: How the user reads numbers and dates; en_IN if it is left out.
    time_zone: The user's IANA time zone; Asia/Kolkata if it is left out.
    """

    email: str
    name: str
    locale: str | None = None
    time_zone: str | None = None


@input_
class RequestPasswordResetInput:
    """Who has forgotten a password.

    email: The address of the account.
    """

    email: str


@input_
class ResetPasswordInput:
    """What takes the place of a forgotten password.

    token: The token of the mailed link: what follows `#token=`.
    new_password: The password to sign in with from now on.
    """

    token: str
    new_password: str


@input_
class RequestEmailVerificationInput:
    """What asks for a link that shows that the viewer's address is its own.

    client_mutation_id: Of no meaning here; for frontends that send one.
    """

    client_mutation_id: str | None = None


@input_
class ChangeEmailInput:
    """What gives the viewer another address.

    email: The address to sign in with, once the link that is mailed to it has been used.
    """

    email: str


@input_
class VerifyEmailInput:
    """What shows that an address is the user's own.

    token: The token of the mailed link: what follows `#token=`.
    """

    token: str


@input_
class UpdateProfileInput:
    """What changes one's own profile; what is left out stays as it is.

    name: The full name.
    picture_url: Where a picture can be loaded, by https; null for none.
    locale: How the user reads numbers and dates, such as en_IN.
    time_zone: The IANA time zone, such as Asia/Kolkata, which decides what today is.
    preferences: An object of the user's own, which replaces the one before; at most 16 kB.
    """

    name: str | None = UNSET
    picture_url: str | None = UNSET
    locale: str | None = UNSET
    time_zone: str | None = UNSET
    preferences: JSON | None = UNSET


@type_
class LetterPayload(Payload):
    """A request that is answered by mail.

    accepted: Whether the request was taken. It tells nothing of whether a letter follows.
    """

    accepted: bool = False


@type_
class ResetPasswordPayload(Payload):
    """A new password.

    reset: Whether the password was changed; all sessions have ended then, and the user signs in with it.
    """

    reset: bool = False


@type_
class VerifyEmailPayload(Payload):
    """An address that was verified.

    email: The address that the user signs in with from now on.
    """

    email: str | None = None


@type_
class UserPayload(Payload):
    """A user that was changed.

    user: The user as it is now.
    """

    user: identity.User | None = strawberry.field(default=None, graphql_type=User | None)


def _entrance(info: Info) -> Entrance:
    services = info.context.services
    return Entrance(services.gateways.links, services.passwords, services.admissions)


@strawberry.type
class AccountMutations:
    """Mutations of one's own account."""

    @mutation(cost=PROVES)
    async def accept_invite(self, info: Info, input: AcceptInviteInput) -> SessionPayload | None:
        """Become a user by a mailed invitation, which works once and for seven days, and begin a session."""
        context, accepted = info.context, into(joining.Acceptance, input)
        admission = await context.identify(joining.accept_invite, _entrance(info), accepted, context.origin)
        return SessionPayload(session=admission.grant, challenge=admission.challenge)

    @mutation(cost=PROVES)
    async def register(self, info: Info, input: RegisterInput) -> LetterPayload | None:
        """Ask to become a user, where the firm lets people do so by themselves.

        The answer is the same for an address that has an account: all else comes by mail. The new user is a VIEWER
        without a team and sees no client, until an admin gives it a role and a team.
        """
        context = info.context
        async with evenly():
            new = into(joining.Registration, input)
            outcome = await context.identify(
                joining.register,
                context.services.admissions,
                new,
                context.origin,
                is_open=context.services.registration,
            )
        return LetterPayload(accepted=identity.settled(outcome))

    @mutation(cost=PROVES)
    async def request_password_reset(self, info: Info, input: RequestPasswordResetInput) -> LetterPayload | None:
        """Have a link to a new password mailed. The answer is the same for an address that has no account."""
        context = info.context
        async with evenly():
            rules = context.services.admissions
            outcome = await context.identify(recovery.request_password_reset, rules, input.email, context.origin)
        return LetterPayload(accepted=identity.settled(outcome))

    @mutation(cost=PROVES)
    async def reset_password(self, info: Info, input: ResetPasswordInput) -> ResetPasswordPayload | None:
        """Choose another password by a mailed link, which works once and for half an hour. All sessions end."""
        await info.context.identify(recovery.reset_password, _entrance(info), input.token, input.new_password)
        return ResetPasswordPayload(reset=True)

    @mutation(cost=PROVES)
    async def request_email_verification(
        self,
        info: Info,
        input: RequestEmailVerificationInput,  # noqa: ARG002 - every mutation takes one
    ) -> LetterPayload | None:
        """Have a link mailed that shows that the viewer's address is its own; it works for a day."""
        await info.context.account(recovery.request_verification)
        return LetterPayload(accepted=True)

    @mutation(cost=PROVES)
    async def change_email(self, info: Info, input: ChangeEmailInput) -> LetterPayload | None:
        """Have a link mailed to another address, which becomes the viewer's when the link is used."""
        async with evenly():
            await info.context.account(recovery.change_email, input.email)
        return LetterPayload(accepted=True)

    @mutation(cost=PROVES)
    async def verify_email(self, info: Info, input: VerifyEmailInput) -> VerifyEmailPayload | None:
        """Show that an address is one's own, by the link that was mailed to it."""
        links = info.context.services.gateways.links
        user = await info.context.identify(recovery.verify_email, links, input.token)
        return VerifyEmailPayload(email=user.email)

    @mutation
    async def update_profile(self, info: Info, input: UpdateProfileInput) -> UserPayload | None:
        """Change one's own name, picture, locale, time zone or preferences."""
        given: dict[str, Any] = {} if input.preferences is UNSET else {"preferences": input.preferences}
        change = into(profile.ProfileChange, input, **given)
        return UserPayload(user=await info.context.account(profile.update_profile, change))
