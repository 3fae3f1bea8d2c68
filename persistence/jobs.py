"""The queue of background work: pgqueuer's tables in the schema `queue`, written in the verbs' own transactions."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, cast
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from croniter import croniter  # type: ignore[import-untyped] # it comes without types, and with pgqueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import CronExpressionEntrypoint, TableChangedEvent
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel, CronEntrypoint, CronExpression
from sqlalchemy import Column, ColumnElement, FromClause, Integer, MetaData, Table, Text, false, true
from sqlalchemy.types import Uuid

from domain.access import Action, Sight, Viewer
from domain.jobs import DeadJob, Job, Schedule, job_name
from persistence.database import Lent, faults
from persistence.listing import Listing, one_of
from persistence.metadata import MOMENT, TEXTS, UUIDS
from persistence.repository import Listed
from persistence.scope import EVERYTHING, Scope
from persistence.sql import Statement

CHANNEL: Final = Channel("ch_pgqueuer")
# All said, for pgqueuer would else take names from the environment, some of them as plain as TRIGGER.
SETTINGS: Final = DBSettings(
    db_schema="queue",
    prefix="",
    channel=CHANNEL,
    function="fn_pgqueuer_changed",
    trigger="tg_pgqueuer_changed",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    queue_status_type="pgqueuer_status",
    schedules_table="pgqueuer_schedules",
    statistics_table="pgqueuer_statistics",
    durability=Durability.durable,
    widen_id=False,
)
LARGEST_NUMBER: Final = 2**63 - 1

_COLUMNS: Final = ("priority", "names", "payloads", "delays", "dedupe_keys", "headers")
ENQUEUE: Final = Statement(QueryQueueBuilder(SETTINGS).build_enqueue_query(), _COLUMNS, {})
ENQUEUE_UNLESS_WAITING: Final = Statement(QueryQueueBuilder(SETTINGS).build_enqueue_query("skip"), _COLUMNS, {})
KNOWN: Final = Statement(
    """
    select exists (select from queue.pgqueuer where id = $1)
        or exists (select from queue.pgqueuer_log where job_id = $1)
    """,
    ("number",),
    {},
)
# Its old key is dropped: the schedule that it came from may have enqueued another since.
REQUEUE: Final = Statement(
    """
    with requeued as (
        update queue.pgqueuer
        set status = 'queued', execute_after = now(), updated = now(), attempts = 0, dedupe_key = null
        where id = $1 and status = 'failed'
        returning id, entrypoint, priority
    )
    insert into queue.pgqueuer_log (job_id, status, entrypoint, priority)
    select id, 'queued', entrypoint, priority from requeued
    returning job_id
    """,
    ("number",),
    {},
)


# What became of jobs that have left the queue, a week ago and more.
FORGET: Final = Statement(
    """
    delete from queue.pgqueuer_log log
    where log.created < $1::timestamptz - interval '7 days'
        and not exists (select from queue.pgqueuer job where job.id = log.job_id)
    """,
    ("moment",),
    {},
)
UNKNOWN: Final = """
select entrypoint, count(*) from queue.pgqueuer
where status in ('queued', 'picked') and entrypoint <> all($1::text[])
group by entrypoint order by entrypoint
"""
PICKED: Final = """
select count(*) from queue.pgqueuer_log
where job_id = $1 and status = 'picked'
    and id > (select max(id) from queue.pgqueuer_log where job_id = $1 and status = 'queued')
"""


class Enqueued(msgspec.Struct, frozen=True):
    """A job as the queue takes it; one with a key is left out while another of the same key waits or runs."""

    job: Job
    ids: tuple[UUID, ...] = ()
    after: timedelta = timedelta(0)
    key: str | None = None


def queries(connection: "Connection[Record]") -> Queries:
    """What pgqueuer asks of our queue, on a connection of one's own."""
    return Queries(
        AsyncpgDriver(connection),
        qbe=QueryBuilderEnvironment(SETTINGS),
        qbq=QueryQueueBuilder(SETTINGS),
        qbs=QuerySchedulerBuilder(SETTINGS),
    )


def subjects(payload: bytes | None) -> list[UUID]:
    """The ids that a job was enqueued with."""
    return [UUID(each) for each in (payload or b"").decode("ascii").split()]


def changed(moment: datetime | None = None) -> str:
    """What pgqueuer's own trigger would tell the workers, were it there."""
    told = TableChangedEvent(
        channel=CHANNEL,
        sent_at=moment or datetime.now(UTC),
        type="table_changed_event",
        operation="insert",
        table=SETTINGS.queue_table,
    )
    return told.model_dump_json(exclude={"received_at"})


async def enqueue(lent: Lent, jobs: Sequence[Enqueued]) -> None:
    """Store jobs, in one statement, as part of the transaction that the connection is in."""
    if not jobs:
        return
    values = {
        "priority": [0] * len(jobs),
        "names": [job_name(each.job) for each in jobs],
        "payloads": [" ".join(map(str, each.ids)).encode("ascii") for each in jobs],
        "delays": [each.after for each in jobs],
        "dedupe_keys": [each.key for each in jobs],
        "headers": ["null"] * len(jobs),
    }
    keyed = any(each.key for each in jobs)
    await lent.rows(ENQUEUE_UNLESS_WAITING if keyed else ENQUEUE, values)


async def unknown(store: Queries, names: Sequence[str]) -> list[tuple[str, int]]:
    """The names, and numbers, of jobs that nobody who knows these names will run."""
    rows = await store.driver.fetch(UNKNOWN, list(names))
    return [(str(row["entrypoint"]), cast("int", row["count"])) for row in rows]


async def picked(store: Queries, number: int) -> int:
    """How often workers have taken a job up since it was last enqueued: more than once if they ended while it ran."""
    (row,) = await store.driver.fetch(PICKED, number)
    return cast("int", row["count"])


async def register(lent: Lent, schedules: Sequence[Schedule]) -> None:
    """Note when each schedule comes due first, unless that is noted; one that came due meanwhile is due at once."""
    async with _schedules(lent, schedules) as (store, delays):
        await store.insert_schedule(delays)


async def fire(lent: Lent, schedules: Sequence[Schedule]) -> bool:
    """Enqueue the jobs of those schedules that are due, each once however many ask; tells whether any was.

    A schedule that is due again while its last job still waits or runs is left out: it would do the same work.
    """
    known = {_key(each): each.job for each in schedules}
    async with _schedules(lent, schedules) as (store, delays):
        due = await store.fetch_schedule(delays)
        jobs = [known[CronExpressionEntrypoint(each.entrypoint, each.expression)] for each in due]
        await enqueue(lent, [Enqueued(job, key=f"schedule {job_name(job)}") for job in jobs])
        await store.set_schedule_queued({each.id for each in due})
    return bool(due)


Delays: TypeAlias = dict[CronExpressionEntrypoint, timedelta]


@asynccontextmanager
async def _schedules(lent: Lent, schedules: Sequence[Schedule]) -> AsyncIterator[tuple[Queries, Delays]]:
    """A transaction, and the time from its beginning until each schedule comes due."""
    connection = cast("Connection[Record]", lent.connection)
    with faults():
        async with connection.transaction():
            # The database's own clock, to which pgqueuer adds the times: by another, however little behind, a schedule
            # would fire just before its minute, and once more in it.
            now = await connection.fetchval("select now()")
            delays = {key: croniter(key.expression, now).get_next(datetime) - now for key in map(_key, schedules)}
            yield queries(connection), delays


def _key(schedule: Schedule) -> CronExpressionEntrypoint:
    return CronExpressionEntrypoint(CronEntrypoint(job_name(schedule.job)), CronExpression(schedule.cron))


def _everything(_: FromClause, sight: Sight) -> ColumnElement[bool]:
    return true() if sight is Sight.EVERYTHING else false()


# A view, and in the queue's own schema: what the policies of other tables say, it says in its own condition.
dead_jobs: Final = Table(
    "dead_jobs",
    MetaData(schema=SETTINGS.db_schema),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("subjects", UUIDS, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("enqueued_at", MOMENT, nullable=False),
    Column("failed_at", MOMENT, nullable=False),
    Column("error", Text, nullable=False),
    info={"scope": Scope(see=EVERYTHING, add="false", change="false", predicate=_everything)},
)


class Jobs(Listed[DeadJob]):
    """Jobs that have failed for good, for those who may have them tried again."""

    entity = DeadJob
    table = dead_jobs
    listing = Listing(
        DeadJob,
        dead_jobs,
        orders={"FAILED_AT": dead_jobs.c.failed_at, "NAME": dead_jobs.c.name},
        filters=dict([one_of("names", dead_jobs.c.name, TEXTS)]),
    )

    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[DeadJob]:
        """These dead jobs, in any order; none for who may not manage them."""
        return await super().by_ids(viewer, keys) if Action.MANAGE_JOBS in viewer.can else []

    async def dead(self, viewer: Viewer, job_id: UUID) -> DeadJob | None:
        """The dead job, if it is dead."""
        found = await self.by_ids(viewer, [job_id])
        return found[0] if found else None

    async def is_known(self, job_id: UUID) -> bool:
        """Whether there is such a job, or was one in the last week."""
        if job_id.int > LARGEST_NUMBER:
            return False
        (row,) = await self.lent.rows(KNOWN, {"number": job_id.int})
        return cast("bool", row[0])

    async def requeue(self, job: DeadJob) -> bool:
        """Have the job wait for a worker again, as if it were new; tells whether it was still dead."""
        if not await self.lent.rows(REQUEUE, {"number": job.id.int}):
            return False
        self.record(job, None)
        return True
