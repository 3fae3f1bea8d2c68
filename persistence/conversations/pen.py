"""Writing the steps of all runs of a process into the log: one statement for all that wait, some thirty a second.

The statement writes only for runs that are still worked on in this very attempt, whose rows it locks, so that nothing
is told of a run behind its end, and nothing by a worker that has lost it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextvars import Context as Variables
from typing import Final
from uuid import UUID

import msgspec

from domain.access import SYSTEM
from domain.assistant.telling import Telling
from domain.clock import Clock
from domain.conversations.entities import EventKind, Run, stream_of
from domain.conversations.runs import RunLost
from domain.errors import Unavailable
from persistence.bell import Bell
from persistence.database import Database
from persistence.sql import Statement

log = logging.getLogger("steward.assistant")

# At most one event of words in this time for each run.
PAUSE: Final = 0.03
WRITE: Final = Statement(
    f"""
with given as (
    select * from unnest(
        $1::uuid[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::text[]
    ) with ordinality as step (run_id, attempt, state, agent, block, start, text, place)
), alive as (
    select r.id, r.attempt, r.conversation_id, r.message_id, 'conversation:' || r.conversation_id as stream
    from runs r
    where r.id = any($1::uuid[]) and r.status = 'RUNNING'
    order by r.id
    for no key update
), told as (
    select g.*, a.conversation_id, a.message_id, a.stream,
        count(*) over (partition by a.stream) as many,
        row_number() over (partition by a.stream order by g.place) as number
    from given g join alive a on a.id = g.run_id and a.attempt = g.attempt
), advanced as (
    insert into event_streams (stream, last)
    select stream, count(*) from told group by stream order by stream
    on conflict (stream) do update set last = event_streams.last + excluded.last
    returning stream, last
), logged as (
    insert into events (stream, seq, kind, entity_id, version, occurred_at)
    select t.stream, a.last - t.many + t.number,
        case when t.state is null then '{EventKind.TEXT_DELTA}' else '{EventKind.AGENT_STATUS}' end,
        t.message_id, t.block, $8::timestamptz
    from told t join advanced a using (stream)
), kept as (
    insert into run_steps (conversation_id, message_id, seq, state, agent, block, start, text)
    select t.conversation_id, t.message_id, a.last - t.many + t.number, t.state, t.agent, t.block, t.start, t.text
    from told t join advanced a using (stream)
)
select id, attempt from alive
""",  # noqa: S608 - names of our own
    ("runs", "attempts", "states", "agents", "blocks", "starts", "texts", "now"),
    {},
)


class Nib:
    """What writes the steps of one run, in the attempt that is worked on: `domain.assistant.telling.Nib`."""

    def __init__(self, pen: "Pen", run: Run) -> None:
        self.run = run
        self._pen = pen
        self._waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._fault: Exception | None = None

    def write(self, telling: Telling) -> None:
        """Have it told soon; words of the same block that wait are told together. Raises as `written`."""
        if self._fault is not None:
            raise self._fault
        self._waiting += 1
        self._idle.clear()
        self._pen.take(self, telling)

    async def written(self) -> None:
        """Wait until all is in the log. Raises RunLost, and Unavailable."""
        await self._idle.wait()
        if self._fault is not None:
            raise self._fault

    def told(self, count: int, fault: Exception | None) -> None:
        """Note that so much is in the log, or why it is not."""
        self._waiting -= count
        self._fault = self._fault or fault
        if self._fault is not None or not self._waiting:
            self._idle.set()


class Pen:
    """What writes the steps of all runs of a process: `domain.assistant.telling.Pen`."""

    def __init__(self, database: Database, bell: Bell, clock: Clock) -> None:
        self._database = database
        self._bell = bell
        self._clock = clock
        self._waiting: list[tuple[Nib, Telling]] = []
        self._task: asyncio.Task[None] | None = None

    def of(self, run: Run) -> Nib:
        """What writes the steps of a run."""
        return Nib(self, run)

    def take(self, nib: Nib, telling: Telling) -> None:
        """Have it written with the next batch."""
        self._waiting.append((nib, telling))
        if self._task is None:
            # Of no run's own: it outlives whichever was first.
            self._task = asyncio.get_running_loop().create_task(self._go(), context=Variables())

    async def _go(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            counts = Counter(nib for nib, _ in batch)
            faults = await self._stored(_merged(batch))
            for nib, count in counts.items():
                nib.told(count, faults[nib])
            await asyncio.sleep(PAUSE)
        self._task = None

    async def _stored(self, batch: Sequence[tuple[Nib, Telling]]) -> dict[Nib, Exception | None]:
        """Write a batch; gives why not, for each run. Where not all can be written, each run's own is, if it can."""
        parts: dict[Nib, list[tuple[Nib, Telling]]] = {}
        for nib, telling in batch:
            parts.setdefault(nib, []).append((nib, telling))
        try:
            alive = await self._store(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, each run is told of it
            # Whether a database that is gone has written it, nobody knows; whatever else has failed was undone.
            if isinstance(error, Unavailable) or len(parts) == 1:
                return dict.fromkeys(parts, error)
            log.warning("steps of %d runs could not be written at once: %s", len(parts), type(error).__name__)
            return {nib: (await self._stored(part))[nib] for nib, part in parts.items()}
        return {nib: None if _attempt(nib) in alive else RunLost() for nib in parts}

    async def _store(self, batch: Sequence[tuple[Nib, Telling]]) -> set[tuple[UUID, int]]:
        """Write a batch; gives the runs that are still worked on in this attempt."""
        tellings = [telling for _, telling in batch]
        values = {
            "runs": [nib.run.id for nib, _ in batch],
            "attempts": [nib.run.attempt for nib, _ in batch],
            "states": [telling.state for telling in tellings],
            "agents": [telling.agent for telling in tellings],
            "blocks": [telling.block for telling in tellings],
            "starts": [telling.start for telling in tellings],
            "texts": [telling.text for telling in tellings],
            "now": self._clock(),
        }
        async with self._database.lend(SYSTEM) as lent:
            alive = {(row[0], row[1]) for row in await lent.rows(WRITE, values)}
        self._bell.ring({stream_of(nib.run.conversation_id) for nib, _ in batch})
        return alive


def _attempt(nib: Nib) -> tuple[UUID, int]:
    return nib.run.id, nib.run.attempt


def _merged(batch: Sequence[tuple[Nib, Telling]]) -> list[tuple[Nib, Telling]]:
    """The batch with the words of each block that follow each other in one piece."""
    merged: list[tuple[Nib, Telling]] = []
    last: dict[Nib, int] = {}
    for nib, telling in batch:
        at = last.get(nib)
        before = merged[at][1] if at is not None else None
        if before and telling.state is before.state is None and telling.block == before.block:
            merged[last[nib]] = nib, msgspec.structs.replace(before, text=before.text + telling.text)
        else:
            last[nib] = len(merged)
            merged.append((nib, telling))
    return merged
