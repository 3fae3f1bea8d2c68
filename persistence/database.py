"""The pool, and the lending of a connection: who asks is told to the database before anything is read."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter
from typing import Any, Final, TypeVar, cast

import asyncpg
from asyncpg import Connection, Record
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy.engine import make_url
from sqlalchemy.sql.base import Executable

from domain.access import NOBODY, Sight, Viewer
from domain.entities import Entity
from domain.errors import Fault, Invalid, Unauthenticated, Unavailable
from persistence.connections import ACQUIRE_SECONDS, Connections, Pooled
from persistence.sql import Statement, compiled, read_all

log = logging.getLogger("steward.database")

E = TypeVar("E", bound=Entity)

OWNER: Final = "steward_owner"
APPLICATION: Final = "steward_app"

# One round trip: the session is checked and the policies are told the viewer. Every lending sets all of them, so
# that nothing of the previous viewer stays and the pool needs no reset of its own.
LEND: Final = """
select session_stands($1),
       set_config('steward.user', $2, false),
       set_config('steward.books', $3, false),
       set_config('steward.clients', $4, false),
       set_config('steward.everything', $5, false),
       set_config('steward.identity', $6, false)
"""

REVISION: Final = "select version_num from alembic_version"

_GONE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    # What the driver says when a connection was cut between two steps of its own.
    asyncpg.InternalClientError,
)


def is_gone(error: BaseException) -> bool:
    """Whether an error means that the database does not answer, or no longer."""
    return isinstance(error, _GONE)


# What a client may be told of.
_FAILURES: Final = (asyncpg.DataError, *_GONE)


def _in_our_words(error: BaseException) -> Fault:
    if isinstance(error, asyncpg.DataError):
        # The edge refuses what it can name; what only PostgreSQL knows to be out of range ends here.
        return Invalid("A value is outside of what can be stored.")
    log.warning("the database does not answer: %s", type(error).__name__)
    return Unavailable()


class _Faults:
    def __enter__(self) -> None:
        """Let the block run."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Say it in our words; raises Invalid and Unavailable."""
        if isinstance(error, _FAILURES):
            raise _in_our_words(error) from error


_FAULTS: Final = _Faults()


def faults() -> AbstractContextManager[None]:
    """What the driver raises within, as what a client may be told.

    What every reading passes through says it by itself, in fewer steps.
    """
    return _FAULTS


class _Connection(Connection):
    """A pooled connection without a reset statement: each lending tells the viewer anew."""

    def get_reset_query(self) -> str:
        return ""


class Watch:
    """Whoever watches what is asked of the database; this one does not care."""

    def statement(self, text: str) -> AbstractContextManager[object] | None:
        """Around a statement that a repository runs, if anybody stands there."""

    def waited(self, seconds: float) -> None:
        """After a wait for a connection of the pool."""


NOBODY_WATCHES: Final = Watch()


class Lent:
    """A connection in the hands of one viewer, or of identity itself, until it is given back."""

    def __init__(
        self,
        connection: "PoolConnectionProxy[Record]",
        observe: Callable[[str], None],
        watch: Watch = NOBODY_WATCHES,
    ) -> None:
        self.connection = connection
        self._observe = observe
        self._watch = watch
        # Those that methods which narrow read of their rows; all, if it is not said.
        self.columns: frozenset[str] | None = None

    async def rows(self, statement: Statement | Executable, values: Mapping[str, Any]) -> Sequence[Record]:
        """Run a statement; raises Unavailable if the database is gone."""
        ready = statement if isinstance(statement, Statement) else compiled(statement)
        return await self.fetched(self.connection, ready.text, ready.arguments(values), ready.text)

    async def fetched(
        self, connection: "PoolConnectionProxy[Record]", text: str, arguments: Sequence[Any], shown: str
    ) -> Sequence[Record]:
        """Run a statement on a connection, `shown` to whoever watches."""
        self._observe(shown)
        try:
            seen = self._watch.statement(shown)
            if seen is None:
                return await connection.fetch(text, *arguments)
            with seen:
                return await connection.fetch(text, *arguments)
        except _FAILURES as error:
            raise _in_our_words(error) from error

    async def tell(self) -> None:
        """See to it that the connection knows its viewer, for what goes past `rows`: here it does."""

    async def many(self, entity: type[E], statement: Statement | Executable, values: Mapping[str, Any]) -> list[E]:
        """All rows as entities."""
        return read_all(entity, await self.rows(statement, values))


class Loan:
    """A connection for a block; with `telling` the database is told on it who the viewer is."""

    __slots__ = ("_connection", "_database", "_identity", "_telling", "_viewer")

    def __init__(self, database: "Database", viewer: Viewer | None, *, identity: bool = False, telling: bool) -> None:
        self._database = database
        self._viewer = viewer
        self._identity = identity
        self._telling = telling

    async def __aenter__(self) -> Lent:
        """The connection. Raises Unauthenticated and Unavailable."""
        database = self._database
        self._connection = connection = await database.acquire()
        if self._telling:
            try:
                await database.tell(connection, self._viewer, identity=self._identity)
            except BaseException:
                database.give_back(connection, sound=False)
                raise
        return database.lent(connection)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Give it back."""
        self._database.give_back(self._connection, sound=error is None)


def _identifiers(ids: Sequence[Any]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"


def words_for(viewer: Viewer | None, *, identity: bool = False) -> tuple[Any, ...]:
    """What `LEND` is given: the session, and what the policies are told."""
    if viewer is None:
        return None, "", "", "", "", "on" if identity else ""
    everything = "on" if viewer.sight is Sight.EVERYTHING else ""
    # The policies tell end clients from the staff by their clients, so that one without any is told of nobody's.
    clients = viewer.client_ids or ((NOBODY,) if viewer.sight is Sight.CLIENTS else ())
    return (
        None if viewer.is_system else viewer.session_id,
        str(viewer.user_id),
        _identifiers(viewer.book_ids),
        _identifiers(clients),
        everything,
        "on" if identity else "",
    )


def driver_arguments(url: str) -> dict[str, Any]:
    """The driver's arguments for a URL `postgresql+asyncpg://…`."""
    parsed = make_url(url)
    query = dict(parsed.query)
    host = query.pop("host", None) or parsed.host
    port = query.pop("port", None) or parsed.port
    arguments: dict[str, Any] = {
        "host": host,
        "port": int(str(port)) if port else 5432,
        "user": parsed.username,
        "password": parsed.password,
        "database": parsed.database,
    }
    ssl = query.pop("ssl", None) or query.pop("sslmode", None)
    return arguments | ({"ssl": ssl} if ssl else {})


class Database:
    """One PostgreSQL, as the application role."""

    def __init__(self, connections: Connections, arguments: Mapping[str, Any]) -> None:
        self._connections = connections
        self._arguments = arguments
        self._observers: list[Callable[[str], None]] = []
        self.watch = NOBODY_WATCHES

    @classmethod
    async def open(cls, url: str, *, size: int = 10) -> "Database":
        """Connect; raises Unavailable if the database cannot be reached."""
        arguments = driver_arguments(url) | {"server_settings": {"role": APPLICATION, "application_name": "steward"}}
        with faults():
            connections = await Connections.open(arguments, size, _Connection, is_gone)
        return cls(connections, arguments)

    async def close(self) -> None:
        """End all connections; those still at work after five seconds are cut."""
        await self._connections.close()

    async def connect(self) -> "Connection[Record]":
        """A connection of one's own, for LISTEN; the caller closes it."""
        with faults():
            return await asyncpg.connect(**self._arguments, timeout=ACQUIRE_SECONDS, command_timeout=ACQUIRE_SECONDS)

    async def answers(self) -> bool:
        """Whether the database answers within two seconds, its connections being lent or not."""
        try:
            async with asyncio.timeout(2), self.lend(None) as lent:
                await lent.connection.fetchval("select 1")
        except (Fault, *_GONE):
            return False
        return True

    async def revision(self) -> str | None:
        """The revision of the tables; none if it cannot be told within two seconds. No viewer is needed for it."""
        try:
            async with asyncio.timeout(2), self.lend(None) as lent:
                return cast("str | None", await lent.connection.fetchval(REVISION))
        except (Fault, asyncpg.PostgresError, *_GONE):
            return None

    @property
    def spare(self) -> bool:
        """Whether a connection can be had that nobody uses or will soon want again."""
        return self._connections.spare

    @property
    def pooled(self) -> Pooled:
        """How the pool is used at present."""
        return self._connections.pooled

    @contextmanager
    def observed(self, observer: Callable[[str], None]) -> Iterator[None]:
        """Tell the observer each statement that repositories run, lendings and transactions apart."""
        self._observers.append(observer)
        try:
            yield
        finally:
            self._observers.remove(observer)

    def observe(self, text: str) -> None:
        """Tell a statement that runs."""
        for observer in self._observers:
            observer(text)

    def lend(self, viewer: Viewer | None, *, identity: bool = False) -> Loan:
        """A connection that sees what the viewer sees.

        With `identity` it sees the rows of sign-in too; without either it sees nothing. Raises Unauthenticated if the
        viewer's session has ended (the firm itself has none), Unavailable if no connection is to be had.
        """
        return Loan(self, viewer, identity=identity, telling=True)

    def lent(self, connection: "PoolConnectionProxy[Record]") -> Lent:
        """A connection that was told its viewer, as repositories take it."""
        return Lent(connection, self.observe, self.watch)

    def untold(self) -> Loan:
        """A connection for a vetted function that heeds no settings: those of whoever had it before still stand.

        Raises Unavailable if no connection is to be had.
        """
        return Loan(self, None, telling=False)

    async def tell(
        self, connection: "PoolConnectionProxy[Record]", viewer: Viewer | None, *, identity: bool = False
    ) -> None:
        """Tell the database on a connection who the viewer is. Raises Unauthenticated if its session has ended."""
        try:
            told = await connection.fetchrow(LEND, *words_for(viewer, identity=identity))
        except _FAILURES as error:
            raise _in_our_words(error) from error
        if viewer is not None and not viewer.is_system and not (told and told[0]):
            raise Unauthenticated("The session has ended.", reason="REVOKED")

    async def acquire(self, *, in_turn: bool = False) -> "PoolConnectionProxy[Record]":
        """A connection that is told nothing yet, for `give_back`. Raises Unavailable if none is to be had.

        Whoever takes it `in_turn` waits for a while before it is taken from somebody who wants it again.
        """
        if (ready := self.at_once(in_turn=in_turn)) is not None:
            return ready
        connections, began = self._connections, perf_counter()
        with faults():
            handed = await connections.turn() if in_turn and not connections.spare else None
            connection = handed or connections.ready() or await connections.wait()
        self.watch.waited(perf_counter() - began)
        return connection

    def at_once(self, *, in_turn: bool = False) -> "PoolConnectionProxy[Record] | None":
        """As `acquire`, if nothing has to be waited for; else none."""
        connections = self._connections
        if in_turn and not connections.spare:
            return None
        if (ready := connections.ready()) is not None:
            self.watch.waited(0.0)
        return ready

    def give_back(self, connection: "PoolConnectionProxy[Record]", *, sound: bool = True) -> None:
        """Let others have a connection; one that is not `sound`, after any failure, is looked at before."""
        self._connections.give_back(connection, sound=sound)

    def keep(self, owner: object, connection: "PoolConnectionProxy[Record]") -> None:
        """Let others have a connection if they have no other, else its owner once more."""
        self._connections.keep(owner, connection)

    def take(self, owner: object) -> "PoolConnectionProxy[Record] | None":
        """The connection that is kept for its owner, as it was, unless somebody else has needed it."""
        return self._connections.take(owner)

    def leave(self, owner: object) -> None:
        """Let others have what is kept for an owner who does not come again."""
        self._connections.leave(owner)
