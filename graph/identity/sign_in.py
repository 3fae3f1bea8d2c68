"""Signing in and out, and going on with a session."""

import strawberry

from domain import identity
from domain.access import Viewer as DomainViewer
from domain.identity import granted
from graph.context import Info
from graph.described import input_, type_
from graph.identity.types import Session, Viewer
from graph.mutations import Payload, mutation
from persistence.identity import Identities


@input_
class SignInInput:
    """What signs in.

    email: The user's address.
    password: The user's password.
    """

    email: str
    password: str


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
    """A session, begun or gone on with.

    session: The session's new tokens.
    """

    session: identity.Grant | None = strawberry.field(default=None, graphql_type=Session | None)


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

    @mutation
    async def sign_in(self, info: Info, input: SignInInput) -> SessionPayload | None:
        """Begin a session. An unknown address and a wrong password get the same answer, UNAUTHENTICATED."""
        context = info.context
        known = await context.services.doors.read(None, Identities.credential, input.email.strip().lower())
        user_id = await context.services.passwords.verified(known, input.password)
        admission = await context.identify(identity.admit, context.services.admissions, user_id, context.origin)
        return SessionPayload(session=admission.grant)

    @mutation
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> SessionPayload | None:
        """Exchange a refresh token for new tokens. It works once: a second use ends the whole session."""
        context = info.context
        outcome = await context.identify(identity.refresh, context.services.tokens, input.refresh_token)
        return SessionPayload(session=granted(outcome))

    @mutation
    async def sign_out(self, info: Info, input: SignOutInput) -> SignOutPayload | None:  # noqa: ARG002 - every mutation takes one
        """End the session at once, on its open sockets too."""
        await info.context.account(identity.sign_out)
        return SignOutPayload(signed_out=True)
