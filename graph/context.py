"""What resolvers find in `info.context`: the two doors as the viewer, and the loaders of one operation."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeAlias, TypeVar

import msgspec
import strawberry

from domain.access import Role, Viewer
from domain.errors import Forbidden, Unauthenticated, Unavailable
from domain.identity import Admissions, Claims, Passwords, Tokens, session_topic
from domain.orders.terms import ApprovalLimits
from domain.origin import Origin
from domain.providers.gateway import SignInProviders
from domain.transactions import LargeAmounts
from domain.work import Work
from graph.fanout import Fanout
from graph.loading import Load, Loader
from graph.observing import Observer
from graph.office import Gateways
from graph.rates import Caller, Meter, Rates
from graph.running import seen_by
from persistence.bell import POLL_SECONDS
from persistence.doors import Doors
from persistence.identity import Identities
from persistence.repository import Repository

# A session's last use is noted to the minute: more would be a write for each request.
USE_NOTED: Final = timedelta(minutes=1)

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Repository)


class Services(msgspec.Struct, frozen=True):
    """What the composition root hands to every context."""

    doors: Doors
    tokens: Tokens
    admissions: Admissions
    passwords: Passwords
    large_amounts: LargeAmounts
    approval_limits: ApprovalLimits
    gateways: Gateways
    registration: bool
    retention_years: int
    providers: SignInProviders
    rates: Rates
    observer: Observer
    # How many subscriptions read at once: all others wait here, without a time limit and without keeping the pool
    # from requests, when something wakes thousands of them.
    turns: asyncio.Semaphore
    fanout: Fanout = msgspec.field(default_factory=Fanout)


class Context:
    """One operation, or one event of a subscription, of one viewer.

    It is never kept longer: loaders would serve stale rows, and the viewer's books are read with the context.
    """

    def __init__(
        self,
        services: Services,
        origin: Origin,
        claims: Claims | None,
        renew: Callable[[], Awaitable[Claims]] | None = None,
        *,
        viewer: Viewer | None = None,
        caller: Caller | None = None,
    ) -> None:
        self.services = services
        self.origin = origin
        self._claims = claims
        # Reads anew what a key of a service account says, whose end may be put forward.
        self._renew = renew
        self._viewer = viewer
        self._asking: asyncio.Task[Viewer] | None = None
        self._loaders: dict[Any, Loader] = {}
        self._lane = services.doors.lane()
        self.patient = False
        # Whoever pays for what is asked.
        self.caller = caller or (Caller.of(claims) if claims else Caller.at(origin.address))

    @property
    def holder(self) -> str:
        """Whose the operation is, among all that run at once."""
        return self.caller.key

    @property
    def meter(self) -> Meter:
        """What counts and charges the caller's operations."""
        return Meter(self.services.rates, self.caller, self.origin.address)

    @property
    def request_id(self) -> str:
        """Id of the request or of the socket."""
        return self.origin.request_id

    @property
    def signed_in(self) -> bool:
        """Whether a valid access token came with the request."""
        return self._claims is not None

    @property
    def role(self) -> Role | None:
        """The viewer's role, where it has been asked for already."""
        return self._viewer.role if self._viewer else None

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self.services.doors.clock()

    def fresh(self) -> Self:
        """The same request with nothing remembered: new loaders, rights asked again."""
        return self._another(None)

    def _another(self, viewer: Viewer | None) -> Self:
        made = type(self)(self.services, self.origin, self._claims, self._renew, viewer=viewer, caller=self.caller)
        made.patient = self.patient
        return made

    def apart(self) -> Self:
        """The same viewer, with the rights that it has here, and nothing read."""
        return self._another(self._viewer)

    async def viewer(self) -> Viewer:
        """Whoever asks, read once; raises Unauthenticated."""
        if self._viewer is not None:
            return self._viewer
        if self._claims is None:
            raise Unauthenticated
        if self._asking is None:
            # One task for all resolvers that ask at once; shielded, for one of them may be cancelled.
            self._asking = asyncio.create_task(self._ask(self._claims))
        asking = self._asking
        viewer = await asyncio.shield(asking)
        if self._asking is asking:
            # Else something has changed meanwhile, and the next who asks is told anew.
            self._viewer = viewer
        return viewer

    async def still(self) -> Viewer:
        """The viewer with the rights of this moment, for what goes on for long.

        Raises Unauthenticated once the access token has expired or the session is revoked.
        """
        if self._renew is not None:
            self._claims = await self._renew()
        if self._left() <= 0:
            raise Unauthenticated("The access token has expired; refresh it.", reason="EXPIRED")
        patient = self.fresh()
        patient.patient = True
        return await patient.viewer()

    async def in_turn(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Call what reads several times, one closely behind the other, as one of those who wait for their turns."""
        async with self.services.turns:
            patient, self.patient = self.patient, False
            try:
                return await ask()
            finally:
                self.patient = patient

    async def _ask(self, claims: Claims) -> Viewer:
        if self.patient:
            async with self.services.turns:
                viewer = await self.services.doors.viewer(claims.session_id, self.now)
        else:
            viewer = await self._lane.viewer(claims.session_id, self.now)
        seen_by(viewer.user_id)
        return viewer

    async def today(self) -> date:
        """The viewer's calendar day."""
        return (await self.viewer()).today(self.now)

    async def read(
        self, method: Callable[Concatenate[R, Viewer, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a repository's method as the viewer, on a connection of its own."""
        if self.patient:
            return await self.read_columns(None, method, *args, **kwargs)
        viewer = self._viewer or await self.viewer()
        return await self.services.doors.read_along(self._lane, viewer, None, method, viewer, *args, **kwargs)

    def read_columns(
        self,
        columns: frozenset[str] | None,
        method: Callable[Concatenate[R, Viewer, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[T]:
        """As `read`, of a method that `narrows`: its rows have these columns alone."""
        viewer = self._viewer
        if viewer is None or self.patient:
            return self._read_columns(columns, method, *args, **kwargs)
        return self.services.doors.read_along(self._lane, viewer, columns, method, viewer, *args, **kwargs)

    async def _read_columns(
        self,
        columns: frozenset[str] | None,
        method: Callable[Concatenate[R, Viewer, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        viewer, doors = self._viewer or await self.viewer(), self.services.doors
        if not self.patient:
            return await doors.read_along(self._lane, viewer, columns, method, viewer, *args, **kwargs)
        async with self.services.turns:
            return await doors.read(viewer, method, viewer, *args, **kwargs)

    async def write(
        self, verb: Callable[Concatenate[Work, Viewer, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a verb as the viewer, in a transaction of its own."""
        viewer = (await self.certain()).changing
        result = await self.services.doors.write(viewer, self.request_id, verb, viewer, *args, **kwargs)
        self._forget()
        return result

    async def identify(
        self, verb: Callable[Concatenate[Work, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a verb of sign-in, before there is a viewer. Raises Forbidden for the key of a service account."""
        if self._renew is not None:
            raise Forbidden
        result = await self.services.doors.write(None, self.request_id, verb, *args, **kwargs)
        self._forget()
        return result

    async def account(
        self, verb: Callable[Concatenate[Work, Viewer, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a verb as the viewer that changes what sign-in rests on, whose rows are open to it."""
        viewer = (await self.certain()).changing
        result = await self.services.doors.identify(viewer, self.request_id, verb, viewer, *args, **kwargs)
        self._forget()
        return result

    def assume(self) -> bool:
        """Take the viewer for whom it was when its session was asked for last, if that is known; tells whether it is.

        For what reads alone, and asks in the end whether it `stands`. The first reading asks the database.
        """
        if self._claims is None:
            return False
        now = self.now
        known = self._lane.assume(self._claims.session_id, now, lambda viewer: self._is_due(viewer, now))
        if known is None:
            return False
        self._viewer = known
        seen_by(known.user_id)
        return True

    @property
    def settled(self) -> bool:
        """Whether nothing that was assumed is open."""
        return self._lane.settled

    async def stands(self) -> bool:
        """Whether the viewer is whom it was taken for; if not, nothing that was read may be told."""
        return await self._lane.stands()

    async def certain(self) -> Viewer:
        """The viewer, and no mere assumption: for what is more than to read. Raises Unauthenticated."""
        await self._lane.ascertain()
        return await self.viewer()

    def _is_due(self, viewer: Viewer, now: datetime) -> bool:
        """Whether the use of the viewer's session is to be noted once more."""
        every = min(USE_NOTED, self.services.tokens.lives.idle / 10)
        return viewer.last_used_at is not None and now - viewer.last_used_at >= every

    async def used(self) -> None:
        """Note that the viewer's session is in use, unless that was noted in the last minute; a mere event is no use.

        The anonymous have none. Raises Unauthenticated.
        """
        if self._claims is None:
            return
        now = self.now
        # Before anything else is asked, so that there is nobody to share it with.
        viewer = self._viewer = await self._ask(self._claims)
        if self._is_due(viewer, now):
            read, idle = self.services.doors.read, self.services.tokens.lives.idle
            await read(None, Identities.note_use, viewer.session_id, now, now + idle)

    async def load(self, key: Any, load: Load, item: Any) -> Any:
        """One item out of a batch."""
        return (await self.load_all(key, load, [item]))[0]

    async def load_all(self, key: Any, load: Load, items: Sequence[Any]) -> list[Any]:
        """Items out of a batch; the relation's loader is made at its first use."""
        loader = self._loaders.get(key)
        if loader is None:
            loader = self._loaders[key] = Loader(load)
        return await loader.all(items)

    def _forget(self) -> None:
        """What was read before a change is not what is there after it."""
        self._loaders.clear()
        self._viewer = self._asking = None

    def done(self) -> None:
        """Give back what is kept for the operation's next reading: there is none.

        Loaders know the context that knows them. Left to the collector, they would hold all that was read until that
        comes by, which is seldom.
        """
        self._lane.close()
        self._forget()

    async def ended(self) -> Unauthenticated:
        """Wait until the token expires or the session is revoked, and say which.

        Raises Unavailable when the server is about to end, so that clients go on elsewhere.
        """
        topic = session_topic(self._claims.session_id) if self._claims else "nobody's session"
        bell = self.services.doors.bell
        async with bell.listening(topic) as rung:
            while self._left() > 0:
                rung.clear()
                if bell.stopping:
                    raise Unavailable("The server is about to end; connect again.", retry_after=1)
                if fault := await self._fallen():
                    return fault
                # Revocation rings; the slow poll is there in case the bell was not heard.
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self._left(), POLL_SECONDS * 6)):
                        await rung.wait()
        return Unauthenticated("The access token has expired; refresh it.", reason="EXPIRED")

    def _left(self) -> float:
        """Seconds until the token ends; for the anonymous, for ever."""
        return (self._claims.expires_at - self.now).total_seconds() if self._claims else math.inf

    async def _fallen(self) -> Unauthenticated | None:
        """Why the session no longer stands, if it does not."""
        if self._claims is None:
            return None
        try:
            await self.still()
        except Unauthenticated as fault:
            return fault
        except Unavailable:
            # Nobody can tell; each reading checks the session by itself.
            return None
        return None


Info: TypeAlias = strawberry.Info[Context, None]
