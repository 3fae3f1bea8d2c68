"""Signing in and out, and going on with a session."""

import strawberry

from domain import identity
from domain.access import Viewer as DomainViewer
from domain.identity import admission, settled
from domain.identity import sign_in as signing_in
from graph.context import Info
from graph.described import input_, type_
from graph.identity.types import Session, SignInChallenge, Viewer
from graph.mutations import GOES_ON, PROVES, Payload, mutation


@input_
class SignInInput:
    """What signs in.

    email: The user's address.
    password: The user's password.
    """

    email: str
    password: str


@input_
class CompleteSignInInput:
    """What turns a challenge into a session.

    challenge: The token of the challenge that signing in was answered with.
    code: What the authenticator shows, or a recovery code.
    """

    challenge: str
    code: str


@input_
class RefreshSessionInput:
    """What goes on with a session.

    refresh_token: The refresh token that was handed out last.
    """

    refresh_token: str


@input_
class SignOutInput:
    """What ends the session of the access token that the request is made with.

    client_mutation_id: Of no meaning here; for frontends that send one.
    """

    client_mutation_id: str | None = None


@type_
class SessionPayload(Payload):
    """A session, begun or gone on with, or what stands before it.

    session: The session's new tokens.
    challenge: A second factor that is asked for first; there is no session then.
    """

    session: identity.Grant | None = strawberry.field(default=None, graphql_type=Session | None)
    challenge: identity.Challenge | None = strawberry.field(default=None, graphql_type=SignInChallenge | None)


@type_
class SignOutPayload(Payload):
    """The end of a session.

    signed_out: Whether the session has ended.
    """

    signed_out: bool = False


@strawberry.type
class IdentityQueries:
    """Queries about who asks."""

    @strawberry.field(description="Whoever asks.", graphql_type=Viewer | None)
    async def viewer(self, info: Info) -> DomainViewer | None:
        """The viewer."""
        return await info.context.viewer()


@strawberry.type
class IdentityMutations:
    """Mutations of sessions."""

    @mutation(cost=PROVES)
    async def sign_in(self, info: Info, input: SignInInput) -> SessionPayload | None:
        """Begin a session, or get the challenge of a second factor.

        An unknown address and a wrong password get the same answer, UNAUTHENTICATED, and many of them RATE_LIMITED.
        """
        context, services = info.context, info.context.services
        rules = services.admissions
        tried = settled(await context.identify(signing_in.try_sign_in, rules, input.email, context.origin))
        matches = await services.passwords.matches(tried.credential, input.password)
        admitted = settled(await context.identify(signing_in.sign_in, rules, tried, matches=matches))
        return SessionPayload(session=admitted.grant, challenge=admitted.challenge)

    @mutation(cost=PROVES)
    async def complete_sign_in(self, info: Info, input: CompleteSignInInput) -> SessionPayload | None:
        """Begin the session that a challenge stands before, by the code of the second factor or a recovery code."""
        context = info.context
        rules = context.services.admissions
        outcome = await context.identify(admission.complete_sign_in, rules, input.challenge, input.code, context.origin)
        return SessionPayload(session=settled(outcome))

    @mutation(cost=GOES_ON)
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> SessionPayload | None:
        """Exchange a refresh token for new tokens. It works once: a second use ends the whole session."""
        context, rules = info.context, info.context.services.admissions
        outcome = await context.identify(identity.refresh, rules.tokens, input.refresh_token, rules.needing_factor)
        return SessionPayload(session=settled(outcome))

    @mutation
    async def sign_out(self, info: Info, input: SignOutInput) -> SignOutPayload | None:  # noqa: ARG002 - every mutation takes one
        """End the session at once, on its open sockets too."""
        await info.context.account(identity.sign_out)
        return SignOutPayload(signed_out=True)
