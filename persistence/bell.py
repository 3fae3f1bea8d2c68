"""Waking those who wait, in every process: one coalesced NOTIFY after commits, and a slow poll behind it.

NOTIFY inside a transaction would serialise the commits of the whole cluster, so each process sends its own, after
the commit, for all topics that have gathered since the last one.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import asyncpg
from asyncpg import Connection, Record

from domain.errors import Fault
from domain.jobs import TOPIC
from persistence import jobs
from persistence.database import Database

log = logging.getLogger("steward.bell")

CHANNEL: Final = "steward"
LONGEST_PAYLOAD: Final = 7900  # NOTIFY takes less than 8,000 bytes
EVERYBODY: Final = "*"
POLL_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
LAST: Final = "select stream, last from event_streams where stream = any($1)"


class Signal(asyncio.Event):
    """An event that thousands who are idle have one of each: those who wait for it take no queue of 760 bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._waiters: Any = []


class Listening:
    """Whoever waits for a topic, while its block runs."""

    __slots__ = ("_event", "_topic", "_waiting")

    def __init__(self, waiting: dict[str, set[asyncio.Event]], topic: str) -> None:
        self._waiting = waiting
        self._topic = topic
        self._event = Signal()

    async def __aenter__(self) -> asyncio.Event:
        """From here on."""
        self._waiting[self._topic].add(self._event)
        return self._event

    async def __aexit__(self, *_: object) -> None:
        """To here."""
        waiting = self._waiting[self._topic]
        waiting.discard(self._event)
        if not waiting:
            del self._waiting[self._topic]


class Bell:
    """Rings topics after commits, and lets others wait for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._rung: set[str] = set()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._deaf_since: float | None = None
        self.stopping = False
        self._last: dict[str, int] = {}

    async def start(self) -> None:
        """Listen, in the background, until `close`."""
        self._deaf_since = monotonic()
        self._task = asyncio.create_task(self._run())

    @property
    def deaf_for(self) -> float:
        """For how many seconds nothing was heard, for want of a connection; zero while there is one."""
        return 0.0 if self._deaf_since is None else monotonic() - self._deaf_since

    def stop(self) -> None:
        """Say that the server is about to end, to all who wait for anything."""
        self.stopping = True
        self._wake([EVERYBODY])

    async def close(self) -> None:
        """Stop listening, and wake everybody a last time."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._wake([EVERYBODY])

    def ring(self, topics: Iterable[str]) -> None:
        """Wake those who wait for the topics: at once here, with the next NOTIFY elsewhere."""
        rung = set(topics)
        if rung:
            self._wake(rung)
            self._rung |= rung
            self._wanted.set()

    def listening(self, topic: str) -> Listening:
        """An event that is set whenever the topic is rung; the listener clears it before it looks."""
        return Listening(self._waiting, topic)

    def _wake(self, topics: Iterable[str]) -> None:
        woken = list(topics)
        if EVERYBODY in woken:
            woken = list(self._waiting)
        for topic in woken:
            for event in self._waiting.get(topic, ()):
                event.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (Fault, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                # When the connection is back, everybody looks again.
                log.warning("the listener lost the database: %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await self._database.connect()
        try:
            await connection.add_listener(CHANNEL, self._heard)
            # No viewer looks here: what is read tells only that a stream has grown.
            await connection.execute("select set_config('steward.identity', 'on', false)")
            self._deaf_since = None
            # What was rung while nobody listened.
            self._wake([EVERYBODY])
            while True:
                with suppress(TimeoutError):
                    # Not `wait_for`, which forgets that it is cancelled if what it waits for comes at that moment.
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wanted.wait()
                await self._notify(connection)
                await self._look(connection)
        finally:
            self._deaf_since = monotonic()
            connection.terminate()

    async def _notify(self, connection: "Connection[Record]") -> None:
        self._wanted.clear()
        topics, self._rung = self._rung, set()
        if not topics:
            return
        try:
            await connection.execute("select pg_notify($1, $2)", CHANNEL, _payload(topics))
            if TOPIC in topics:
                # Workers listen where their library has them listen.
                await connection.execute("select pg_notify($1, $2)", jobs.CHANNEL, jobs.changed())
        except BaseException:
            self._rung |= topics
            self._wanted.set()
            raise

    async def _look(self, connection: "Connection[Record]") -> None:
        """The slow poll, one for all who wait in this process: a lost NOTIFY costs seconds, never an event."""
        moment = asyncio.get_running_loop().time()
        if moment - self._looked < POLL_SECONDS or not self._waiting:
            return
        self._looked = moment
        grown = {row[0]: row[1] for row in await connection.fetch(LAST, list(self._waiting))}
        self._wake(topic for topic, last in grown.items() if self._last.get(topic) != last)
        self._last = grown

    def _heard(self, listener: Any, sender: int, _: str, payload: object) -> None:
        if sender == listener.get_server_pid():
            # Who waits in this process was woken when it was rung.
            return
        self._wake(json.loads(str(payload)))


def _payload(topics: set[str]) -> str:
    payload = json.dumps(sorted(topics))
    return payload if len(payload) <= LONGEST_PAYLOAD else json.dumps([EVERYBODY])
