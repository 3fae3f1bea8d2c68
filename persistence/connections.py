"""The pool's connections; those that are idle lie ready, and are handed over at once.

asyncpg's pool makes a task, a time limit and a hundred calls of each lending, which costs as much as a small statement.
Whoever will soon want its connection again may leave it here in its own name: others get that one only when there is
no other, so that nobody waits for a connection that nobody uses. Whoever only begins waits its turn before: to take
from another what that must then have anew costs both more than to come one after the other.

Who waits, waits here, and is handed what somebody else is done with: asyncpg's pool is asked for as many as it may
have, and sees one again only when that is to be looked at.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec
from asyncpg import Connection, Record
from asyncpg.pool import Pool, PoolConnectionProxy

if TYPE_CHECKING:
    Proxy = PoolConnectionProxy[Record]

log = logging.getLogger("steward.database")

ACQUIRE_SECONDS: Final = 10.0
# However long somebody has waited, to connect takes that.
LEAST_SECONDS: Final = 1.0
# After which a connection goes through asyncpg's own hands, which end those that are long idle or much used.
READY_SECONDS: Final = 60.0
# For how long it is kept for an owner that does not come.
KEPT_SECONDS: Final = 1.0
# For how long whoever begins waits for one that somebody is done with.
TURN_SECONDS: Final = 0.2
# The driver looks up the types of arrays on each connection, for each statement that has one it does not know: some
# milliseconds each time, and here once for all.
ARRAYS: Final = ("uuid", "timestamptz", "date", "interval", "integer", "bigint", "numeric", "boolean", "bytea", "jsonb")
TYPES: Final = "select " + ", ".join(f"null::{name}[]" for name in ARRAYS)


class Pooled(msgspec.Struct, frozen=True):
    """The connections of a pool: lent, idle, and at most."""

    in_use: int
    idle: int
    most: int


class Connections:
    """Connections to one database; `is_gone` tells errors of one that does not answer from others."""

    def __init__(self, pool: "Pool[Record]", is_gone: Callable[[BaseException], bool]) -> None:
        self._pool = pool
        self._is_gone = is_gone
        # Since when each of those outside of asyncpg's hands has been there.
        self._since: dict[Proxy, float] = {}
        self._idle: list[Proxy] = []
        self._kept: dict[object, tuple[Proxy, float]] = {}
        # Those who need one now, and those who only begin.
        self._waits: deque[asyncio.Future[Proxy | None]] = deque()
        self._turns: deque[asyncio.Future[Proxy | None]] = deque()
        # How many are being taken from asyncpg's pool.
        self._coming = 0
        self._closing = False
        self._releasing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, arguments: Mapping[str, Any], size: int, kind: type[Any], is_gone: Callable[[BaseException], bool]
    ) -> "Connections":
        """Connect; raises what the driver raises."""
        pool = await asyncpg.create_pool(
            **arguments,
            min_size=min(2, size),
            max_size=size,
            connection_class=kind,
            init=_know_types,
            timeout=ACQUIRE_SECONDS,
            command_timeout=60,
            # Twice the driver's own: of what an operation reads first there are two forms (`persistence/lanes.py`).
            statement_cache_size=200,
            max_inactive_connection_lifetime=300,
        )
        return cls(pool, is_gone)

    async def close(self) -> None:
        """End all connections; those still at work after five seconds are cut."""
        self._closing = True
        for connection in [*self._idle, *(kept for kept, _ in self._kept.values())]:
            self._release(connection)
        self._idle.clear()
        self._kept.clear()
        while self._hand_over(None):
            pass
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @property
    def pooled(self) -> Pooled:
        """How the pool is used at present."""
        size = self._pool.get_size()
        in_use = len(self._since) - len(self._idle) - len(self._kept)
        # One that was cut is counted here until it is given back, but not there.
        return Pooled(in_use, max(0, size - in_use), self._pool.get_max_size())

    async def wait(self) -> "Proxy":
        """A connection that has to be waited for; raises what the driver raises, TimeoutError after ten seconds."""
        clock = asyncio.get_running_loop().time
        until, overtaken = clock() + ACQUIRE_SECONDS, False
        while not self._room:
            if (handed := await self._handed(self._waits, until, first=overtaken)) is not None:
                return handed
            # Unless there is room now, somebody who has not waited was quicker.
            overtaken = True
            if clock() >= until and not self._room:
                raise TimeoutError
        self._coming += 1
        try:
            connection = await self._pool.acquire(timeout=max(LEAST_SECONDS, until - clock()))
        except BaseException:
            self._coming -= 1
            self._hand_over(None)
            raise
        self._coming -= 1
        self._since[connection] = monotonic()
        return connection

    async def turn(self) -> "Proxy | None":
        """A connection that somebody else is done with; None if one can be had otherwise, or nobody is for a while."""
        return await self._handed(self._turns, asyncio.get_running_loop().time() + TURN_SECONDS)

    async def _handed(
        self, line: "deque[asyncio.Future[Proxy | None]]", until: float, *, first: bool = False
    ) -> "Proxy | None":
        """What is handed to who waits in a line, or is its first; None when it is late, or there is room."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Proxy | None] = loop.create_future()
        # Of those who have gone without one, none stays.
        while line and line[0].done():
            line.popleft()
        if first:
            line.appendleft(turn)
        else:
            line.append(turn)
        late = loop.call_at(until, self._hand, turn, None)
        try:
            connection = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # What was meant for this one is the next one's.
                self._pass_on(turn.result())
            raise
        finally:
            late.cancel()
        if connection is not None and not _stands(connection):
            self._release(connection)
            return None
        return connection

    def _pass_on(self, handed: "Proxy | None") -> None:
        if handed is None:
            self._hand_over(None)
        else:
            self.give_back(handed)

    @staticmethod
    def _hand(turn: "asyncio.Future[Proxy | None]", connection: "Proxy | None") -> bool:
        """Let the one who waits go on; tells whether that one still waits."""
        if turn.done():
            return False
        turn.set_result(connection)
        return True

    def _hand_over(self, connection: "Proxy | None", *lines: "deque[asyncio.Future[Proxy | None]]") -> bool:
        """Whether somebody has waited for it, or for a place that has become free: in these lines, or in any."""
        for line in lines or (self._waits, self._turns):
            while line:
                if self._hand(line.popleft(), connection):
                    return True
        return False

    def ready(self) -> "Proxy | None":
        """A connection that is told nothing yet and can be had at once, if there is one; else `wait`."""
        while (connection := self._next()) is not None:
            if _stands(connection):
                return connection
            self._release(connection)
        return None

    @property
    def spare(self) -> bool:
        """Whether one can be had that nobody uses or will soon want again."""
        return bool(self._idle) or self._room

    @property
    def _room(self) -> bool:
        """Whether asyncpg's pool has one at once, or makes one."""
        return len(self._since) + self._coming + len(self._releasing) < self._pool.get_max_size()

    def _next(self) -> "Proxy | None":
        """One that is idle; at last one that is kept, if no other can be had without waiting."""
        if self._idle:
            return self._idle.pop()
        if not self._kept or self.spare:
            return None
        return self._kept.pop(next(iter(self._kept)))[0]

    def give_back(self, connection: "Proxy", *, sound: bool = True) -> None:
        """Let others have a connection; one that is not `sound`, after any failure, is looked at before."""
        now = monotonic()
        if not sound or self._closing or now - self._since[connection] > READY_SECONDS:
            self._release(connection)
        elif not self._hand_over(connection):
            self._idle.append(connection)
        while self._kept and now - next(iter(self._kept.values()))[1] > KEPT_SECONDS:
            forgotten, _ = self._kept.pop(next(iter(self._kept)))
            if not self._hand_over(forgotten):
                self._idle.insert(0, forgotten)
        while self._idle and now - self._since[self._idle[0]] > READY_SECONDS:
            self._release(self._idle.pop(0))

    def keep(self, owner: object, connection: "Proxy") -> None:
        """Give a connection back that its owner will soon want again."""
        if self._closing:
            self._release(connection)
        elif not self._hand_over(connection, self._waits):
            self._kept[owner] = connection, monotonic()

    def take(self, owner: object) -> "Proxy | None":
        """What was kept for its owner, if nobody else has needed it meanwhile."""
        kept, _ = self._kept.pop(owner, (None, None))
        if kept is not None and not _stands(kept):
            self._release(kept)
            return None
        return kept

    def leave(self, owner: object) -> None:
        """Give back what was kept for its owner."""
        kept, _ = self._kept.pop(owner, (None, None))
        if kept is not None:
            # Whether it stands is asked when it is lent again.
            self.give_back(kept)

    def _release(self, connection: "Proxy") -> None:
        del self._since[connection]
        task = asyncio.get_running_loop().create_task(self._released(connection))
        self._releasing.add(task)
        task.add_done_callback(self._freed)

    def _freed(self, releasing: asyncio.Task[None]) -> None:
        """Let the next who waits a turn have another in the place of one that was released."""
        self._releasing.discard(releasing)
        self._hand_over(None)

    async def _released(self, connection: "Proxy") -> None:
        try:
            await self._pool.release(connection)
        except Exception as error:
            if not self._is_gone(error):
                raise
            # The pool has dropped it; the answer, if there is one, stands.
            log.warning("a connection was lost on its way back: %s", type(error).__name__)


def _stands(connection: "Proxy") -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken a connection that was cut out of everybody's hands.
        return False


async def _know_types(connection: "Connection[Record]") -> None:
    await connection.prepare(TYPES, timeout=ACQUIRE_SECONDS)
