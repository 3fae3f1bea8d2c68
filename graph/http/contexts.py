"""What the endpoint asks of whoever knows sessions: a context for each operation, and word of a session's end."""

from typing import Protocol, Self

from domain.errors import Unauthenticated
from domain.origin import Origin
from graph.http.meters import Meter


class Context(Protocol):
    """What resolvers find in `info.context`, as far as the transports care."""

    @property
    def request_id(self) -> str:
        """Id of the request or of the socket, as it stands in errors, in the log and in the audit trail."""

    @property
    def signed_in(self) -> bool:
        """Whether a valid token was given; without one the context is that of an anonymous viewer."""

    @property
    def holder(self) -> str:
        """Whose the operation is, among all that run at once: the user's, the key's or the address's."""

    @property
    def meter(self) -> Meter | None:
        """What counts and charges the operation; none where nobody does."""

    def fresh(self) -> Self:
        """The same viewer and request with nothing remembered: new loaders, rights asked again.

        Called for each operation on a socket and for each event of a subscription.
        """

    async def used(self) -> None:
        """Note that the session is in use; called for each operation on a socket. Raises Unauthenticated."""

    @property
    def settled(self) -> bool:
        """Whether nothing that was assumed is open: nobody need ask whether it `stands`."""

    async def stands(self) -> bool:
        """Whether the viewer is whom it was taken for, where that was assumed; if not, nothing may be told.

        Raises Unavailable if nobody can tell.
        """

    def done(self) -> None:
        """Called when the operation is over: what is kept for its next reading is others' now."""

    async def ended(self) -> Unauthenticated:
        """Wait until the access token expires or the session is revoked, and return the fault that says which.

        Awaited once for each socket or event stream, from its start to its end, and cancelled when the client
        leaves: so let it sleep on a timer and on a wake-up, never poll, and hold no connection meanwhile.
        Its `reason` is EXPIRED or REVOKED. For the anonymous it never returns. Raises Unavailable if nobody can tell
        any more, which ends the socket or the stream with a sign to come back.
        """


class Contexts(Protocol):
    """Makes contexts from credentials."""

    def assumed(self, found: object, origin: Origin) -> Context | None:
        """The context of a viewer who is taken for whom it was when its session was asked for last.

        None if that is not known, or not by what the gate has `found` of the token. It is for what reads alone, and
        asks before it answers whether the context `stands`.
        """

    async def of_request(self, token: str | None, origin: Origin, *, assuming: bool = False) -> Context:
        """The context of a request, a socket or an event stream; with `assuming` it may be one that is `assumed`.

        No token gives the anonymous context, so that signing in is possible. Raises Unauthenticated, with the
        reason INVALID, EXPIRED or REVOKED, for a token that is no good; Unavailable if nobody can tell.
        """
