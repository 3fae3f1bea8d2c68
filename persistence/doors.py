"""The two doors: reads, and writes that are one transaction per call of a verb."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast
from uuid import UUID

import asyncpg
import msgspec

from domain.access import Viewer
from domain.audit import AuditEvent, Opened, opened
from domain.clock import Clock
from domain.entities import IdMaker
from domain.errors import Unavailable
from persistence.bell import Bell
from persistence.database import Database, Lent, faults, is_gone
from persistence.identity import Identities
from persistence.keyring import KeyRing
from persistence.lanes import Lane, Seen
from persistence.repository import Repository, repository_of
from persistence.vault import Vault
from persistence.work import Work

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Repository)
W = TypeVar("W")

ATTEMPTS: Final = 5
UNDO_SECONDS: Final = 5.0
_LOST_RACES = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Actor(msgspec.Struct, frozen=True):
    """Who writes, in which request, by which verb; `identity` opens the rows of sign-in."""

    viewer: Viewer | None
    request_id: str
    action: str
    identity: bool


def action_of(verb: Callable[..., Any]) -> str:
    """What the audit trail calls a verb: its context and its name, such as orders.place."""
    return f"{verb.__module__.split('.')[1]}.{verb.__name__}"


class Doors:
    """How everybody gets at the data: for one viewer, or for identity itself before there is one."""

    def __init__(self, database: Database, bell: Bell, *, clock: Clock, ids: IdMaker, ring: KeyRing) -> None:
        self.database = database
        self.bell = bell
        self.clock = clock
        self._ids = ids
        self._ring = ring
        self._seen = Seen()

    async def read(
        self,
        viewer: Viewer | None,
        method: Callable[Concatenate[R, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a repository's method on a connection of its own; nothing is held afterwards."""
        async with self.database.lend(viewer, identity=viewer is None) as lent:
            return await method(repository_of(method)(lent), *args, **kwargs)

    def lane(self) -> Lane:
        """For the readings of one operation, which follow each other closely."""
        return Lane(self.database, self._seen)

    async def read_along(
        self,
        lane: Lane,
        viewer: Viewer,
        columns: frozenset[str] | None,
        method: Callable[Concatenate[R, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `read`, on the lane's connection; with `columns`, a method that `narrows` reads these alone."""
        async with lane.lend(viewer, columns) as lent:
            return await method(repository_of(method)(lent), *args, **kwargs)

    async def viewer(self, session_id: UUID, now: datetime) -> Viewer:
        """Whoever a session belongs to; raises Unauthenticated if it has ended.

        A vetted function tells, which heeds no settings: so nobody need be told to the database before.
        """
        async with self.database.untold() as lent:
            return await Identities(lent).viewer(session_id, now)

    async def viewers(self, session_ids: Sequence[UUID], now: datetime) -> Mapping[UUID, Viewer]:
        """Whoever each of these sessions belongs to, in one statement; those that have ended are left out."""
        async with self.database.untold() as lent:
            return await Identities(lent).viewers(session_ids, now)

    async def write(
        self,
        viewer: Viewer | None,
        request_id: str,
        verb: Callable[Concatenate[W, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a verb in a transaction of its own, again if it lost a race for locks, and commit.

        `verb` takes the work, then the given arguments. What it tells goes out with its rows, and is rung after the
        commit.
        """
        actor = Actor(viewer, request_id, action_of(verb), identity=viewer is None)
        return await self._write(actor, lambda work: verb(cast("W", work), *args, **kwargs))

    async def identify(
        self,
        viewer: Viewer | None,
        request_id: str,
        verb: Callable[Concatenate[W, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `write`, with the rows of sign-in open too: for a viewer who changes an account."""
        actor = Actor(viewer, request_id, action_of(verb), identity=True)
        return await self._write(actor, lambda work: verb(cast("W", work), *args, **kwargs))

    async def opened(self, viewer: Viewer, events: Sequence[AuditEvent]) -> list[Opened]:
        """What events of the audit trail tell, their personal fields opened, in one statement for all persons."""
        async with self.database.lend(viewer) as lent:
            vault = Vault(lent, self._ring)
            await vault.fetch(event.person_id for event in events if event.person_id is not None)
        return [opened(event, vault.opened_or_none) for event in events]

    async def _write(self, actor: Actor, verb: Callable[[Work], Awaitable[T]]) -> T:
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - spreads retries, no secret
            try:
                async with self.database.lend(actor.viewer, identity=actor.identity) as lent:
                    work, result = await self._attempt(lent, actor, verb)
            except _LOST_RACES:
                continue
            self.bell.ring(work.topics)
            return result
        raise Unavailable("Too many changes at once; try again.", retry_after=1)

    async def _attempt(self, lent: Lent, actor: Actor, verb: Callable[[Work], Awaitable[T]]) -> tuple[Work, T]:
        work, committing = Work(lent, now=self.clock(), ids=self._ids, ring=self._ring), False
        try:
            with faults():
                await lent.connection.execute("begin")
            result = await verb(work)
            await work.finish(actor.viewer, actor.request_id, actor.action)
            committing = True
            with faults():
                await lent.connection.execute("commit")
        except BaseException:
            # Whoever is cancelled in the middle of any of these does not know whether it was done.
            try:
                await _undone(lent)
            finally:
                if committing:
                    self.bell.ring(work.topics)
            raise
        return work, result


async def _undone(lent: Lent) -> None:
    """Roll back what there is of a transaction, however often that is cancelled: the connection is another's next."""
    undoing = asyncio.ensure_future(lent.connection.execute("rollback", timeout=UNDO_SECONDS))
    cancelled: asyncio.CancelledError | None = None
    while not undoing.done():
        try:
            await asyncio.wait({undoing})
        except asyncio.CancelledError as error:
            cancelled = error
    failed = undoing.exception()
    if failed is not None and not is_gone(failed):
        raise failed
    if cancelled is not None:
        raise cancelled
