"""The sessions of a user, its password, and proving anew who it is."""

from datetime import datetime

import strawberry
from strawberry import ID

from domain import identity
from domain.access import RECENT
from domain.identity import settled
from domain.identity import sign_in as signing_in
from graph.context import Info
from graph.described import input_, type_
from graph.identity.types import UserSession
from graph.ids import decode
from graph.mutations import PROVES, Payload, mutation


@input_
class RevokeSessionInput:
    """Which session to end.

    session_id: One of the viewer's own sessions.
    """

    session_id: ID


@input_
class RevokeOtherSessionsInput:
    """What ends all sessions of the viewer but the one of the request.

    client_mutation_id: Of no meaning here; for frontends that send one.
    """

    client_mutation_id: str | None = None


@input_
class ReauthenticateInput:
    """What proves anew who the viewer is: all that it has of a password and a second factor.

    password: The viewer's password.
    code: What its authenticator shows, or a recovery code.
    """

    password: str | None = None
    code: str | None = None


@input_
class ChangePasswordInput:
    """What gives the viewer another password.

    current_password: The password before.
    new_password: The password from now on: at least 12 characters, of any kind, and none that is easily guessed.
    """

    current_password: str
    new_password: str


@type_
class RevokeSessionPayload(Payload):
    """The end of a session.

    session: The session, which has ended.
    """

    session: identity.Session | None = strawberry.field(default=None, graphql_type=UserSession | None)


@type_
class RevokeOtherSessionsPayload(Payload):
    """The end of all other sessions.

    revoked: How many have ended.
    """

    revoked: int = 0


@type_
class ReauthenticatePayload(Payload):
    """That the viewer has proved anew who it is.

    authenticated_at: When it has.
    good_until: Until when that is good for sensitive changes.
    """

    authenticated_at: datetime | None = None
    good_until: datetime | None = None


@type_
class ChangePasswordPayload(Payload):
    """A new password.

    changed: Whether the password was changed.
    sessions_ended: How many other sessions have ended with it.
    """

    changed: bool = False
    sessions_ended: int = 0


@strawberry.type
class SessionMutations:
    """Mutations of the viewer's sessions and of what they rest on."""

    @mutation
    async def revoke_session(self, info: Info, input: RevokeSessionInput) -> RevokeSessionPayload | None:
        """End one of the viewer's sessions at once, on its open sockets too."""
        session_id = decode(input.session_id, "session", "input.sessionId")
        return RevokeSessionPayload(session=await info.context.account(identity.revoke_session, session_id))

    @mutation
    async def revoke_other_sessions(
        self,
        info: Info,
        input: RevokeOtherSessionsInput,  # noqa: ARG002 - every mutation takes one
    ) -> RevokeOtherSessionsPayload | None:
        """End all sessions of the viewer but this one at once, on their open sockets too."""
        return RevokeOtherSessionsPayload(revoked=await info.context.account(identity.revoke_other_sessions))

    @mutation(cost=PROVES)
    async def reauthenticate(self, info: Info, input: ReauthenticateInput) -> ReauthenticatePayload | None:
        """Prove anew who the viewer is, as sensitive changes ask for."""
        context, services = info.context, info.context.services
        rules = services.admissions
        tried = settled(await context.account(signing_in.try_own_password, rules, context.origin))
        matches = await services.passwords.matches(tried.credential, input.password or "")
        code = input.code or ""
        outcome = await context.account(signing_in.reauthenticate, rules, tried, matches=matches, code=code)
        proved = settled(outcome).authenticated_at
        return ReauthenticatePayload(authenticated_at=proved, good_until=proved + RECENT)

    @mutation(cost=PROVES)
    async def change_password(self, info: Info, input: ChangePasswordInput) -> ChangePasswordPayload | None:
        """Give the viewer another password, given the one before. All its other sessions end at once."""
        context, services = info.context, info.context.services
        rules = services.admissions
        tried = settled(await context.account(signing_in.try_own_password, rules, context.origin))
        hashed = None
        if await services.passwords.matches(tried.credential, input.current_password):
            hashed = await services.passwords.chosen(input.new_password, *tried.about)
        outcome = await context.account(signing_in.change_password, rules, tried, hashed=hashed)
        return ChangePasswordPayload(changed=True, sessions_ended=settled(outcome))
