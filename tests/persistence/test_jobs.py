import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from asyncpg import Connection, Record
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.types import Channel

from domain import households
from domain.access import SYSTEM, Role, Viewer
from domain.errors import Refusal, RefusalCode
from domain.households import NewHousehold
from domain.jobs import Job, Office, Schedule, job_name
from domain.jobs import retry as retry_verb
from domain.office import JOBS, SCHEDULES
from domain.work import Work
from graph.context import Services
from graph.worker import ELECTION
from persistence import jobs as queue
from persistence.database import driver_arguments
from persistence.housekeeping import forget
from persistence.identity import Identities
from tests.conftest import Databases
from tests.factories import jobs as made
from tests.factories.firm import Make
from tests.support.statements import Statements
from tests.support.worker import QUICK, drained, due, worker_of, working

JOBS_THERE: Final = "select id, entrypoint, status::text, attempts from queue.pgqueuer order by id"
COLUMNS: Final = """
select table_name, column_name, data_type, udt_name, is_nullable, column_default, is_identity
from information_schema.columns where table_schema = 'queue' and table_name <> 'dead_jobs' order by 1, ordinal_position
"""
INDEXES: Final = "select indexdef from pg_indexes where schemaname = 'queue' and indexname not like 'dead%' order by 1"
LABELS: Final = (
    "select enumlabel from pg_enum where enumtypid = 'queue.pgqueuer_status'::regtype order by enumsortorder"
)


async def ask(work: Work, _: Viewer, job: Job, *ids: UUID, after: timedelta = timedelta(0)) -> None:
    """The verb that enqueues what a test wants."""
    work.enqueue(job, *ids, after=after)


async def enqueue(services: Services, job: Job, *ids: UUID, **given: Any) -> None:
    await services.doors.write(SYSTEM, "test", ask, SYSTEM, job, *ids, **given)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait for something to be so; fails the test after some seconds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the database sets no event
            await asyncio.sleep(0.02)


class Ran:
    """A job that notes with which ids it ran, and does with them what a test says."""

    def __init__(self, does: Callable[[Office, UUID], Awaitable[Any]] | None = None) -> None:
        self.ids: list[UUID] = []
        self._does = does
        self.__name__ = "ran"
        self.__module__ = "tests.persistence.test_jobs"

    async def __call__(self, office: Office, *ids: UUID) -> None:
        self.ids += ids
        if self._does:
            await self._does(office, *ids)

    async def all(self, count: int) -> None:
        """Wait until it has run so often."""

        async def enough() -> bool:
            return len(self.ids) >= count

        await until(enough)


@pytest.fixture
async def owner(make: Make) -> "Connection[Record]":
    return make.connection


async def statuses(owner: "Connection[Record]") -> list[tuple[str, int]]:
    return [(row["status"], row["attempts"]) for row in await owner.fetch(JOBS_THERE)]


async def empty(owner: "Connection[Record]") -> None:
    async def none() -> bool:
        return await owner.fetch(JOBS_THERE) == []

    await until(none)


@pytest.fixture
async def theirs(databases: Databases) -> AsyncIterator["Connection[Record]"]:
    """A database that the library has set up by itself."""
    async with databases.clone("template0") as url:
        connection = await asyncpg.connect(**driver_arguments(url))
        await queue.queries(connection).install()
        yield connection
        await connection.close()


async def test_the_queue_is_as_the_library_would_have_it_but_for_its_trigger(
    owner: "Connection[Record]", theirs: "Connection[Record]"
) -> None:
    for catalogue in (COLUMNS, INDEXES, LABELS):
        ours = [tuple(row) for row in await owner.fetch(catalogue)]
        assert ours
        assert ours == [tuple(row) for row in await theirs.fetch(catalogue)]
    store = queue.queries(owner)
    await QueueManager(store, channel=Channel("x")).verify_structure()
    planned = (await store.plan_upgrade()).statements
    assert [each.split("\n")[0].strip() for each in planned] == [
        "CREATE FUNCTION queue.fn_pgqueuer_changed() RETURNS TRIGGER AS $$",
        "CREATE TRIGGER tg_pgqueuer_changed",
    ]
    assert await owner.fetchval("select count(*) from pg_trigger where tgname = 'tg_pgqueuer_changed'") == 0


async def test_jobs_are_enqueued_by_the_commit_of_their_verb_in_one_statement(
    services: Services, owner: "Connection[Record]", statements: Statements
) -> None:
    job, ids = Ran(), [uuid4(), uuid4()]

    async def twice_and_later(work: Work, _: Viewer, *, fails: bool) -> None:
        work.enqueue(job, *ids)
        work.enqueue(job)
        work.enqueue(job, ids[0], after=timedelta(hours=1))
        if fails:
            raise Refusal(RefusalCode.DUPLICATE, "no")

    with pytest.raises(Refusal):
        await services.doors.write(SYSTEM, "test", twice_and_later, SYSTEM, fails=True)
    assert await owner.fetch(JOBS_THERE) == []
    with statements.counted() as seen:
        await services.doors.write(SYSTEM, "test", twice_and_later, SYSTEM, fails=False)
    assert len(seen) == 1
    assert [row["entrypoint"] for row in await owner.fetch(JOBS_THERE)] == ["test_jobs.ran"] * 3
    assert await drained(services, [job]) == 2
    assert job.ids == ids
    assert await statuses(owner) == [("queued", 0)]
    assert await owner.fetchval("select execute_after - now() > interval '59 minutes' from queue.pgqueuer")


async def test_a_verb_without_jobs_asks_the_queue_nothing(services: Services, statements: Statements) -> None:
    async def idle(_: Work, __: Viewer) -> None:
        pass

    with statements.counted() as seen:
        await services.doors.write(SYSTEM, "test", idle, SYSTEM)
    assert seen == []


async def test_a_user_enqueues_as_the_firm_does(services: Services, make: Make, owner: "Connection[Record]") -> None:
    viewer = await make.viewer(await make.user(Role.ADVISOR))
    await services.doors.write(viewer, "test", ask, viewer, Ran())
    assert await statuses(owner) == [("queued", 0)]


async def test_a_job_acts_as_the_firm_itself(services: Services, make: Make, owner: "Connection[Record]") -> None:
    book = await make.book()

    async def found(office: Office, book_id: UUID) -> None:
        await office.write(households.create, NewHousehold(book_id, "Rao"))

    job = Ran(found)
    await enqueue(services, job, book.id)
    await drained(services, [job])
    assert await owner.fetch(JOBS_THERE) == []
    (row,) = await owner.fetch("select * from audit_events")
    assert (row["actor_id"], row["session_id"], row["action"]) == (None, None, "households.create")
    assert row["request_id"].startswith("job ")


async def test_what_the_firm_lends_is_not_taken_for_somebodys_session(services: Services) -> None:
    nobody = msgspec.structs.replace(SYSTEM, session_id=uuid4())
    with pytest.raises(Exception, match="session has ended"):
        await services.doors.write(nobody, "test", ask, nobody, Ran())
    with pytest.raises(Exception, match="session"):
        await services.doors.read(None, Identities.viewer, SYSTEM.session_id, services.doors.clock())


async def test_a_worker_is_rung_by_the_commit(services: Services) -> None:
    job = Ran()
    # It would look by itself only after the test has failed.
    async with working(services, [job], pace=msgspec.structs.replace(QUICK, poll=timedelta(minutes=1))):
        await asyncio.sleep(0.5)
        await enqueue(services, job, uuid4())
        await job.all(1)


async def test_a_job_is_done_once_by_two_workers(services: Services, owner: "Connection[Record]") -> None:
    job, ids = Ran(), [uuid4() for _ in range(60)]
    async with working(services, [job]), working(services, [job]):
        await asyncio.gather(*(enqueue(services, job, each) for each in ids))
        await empty(owner)
    assert sorted(job.ids) == sorted(ids)


async def test_a_job_that_was_taken_up_and_never_acknowledged_is_taken_again(
    services: Services, make: Make, owner: "Connection[Record]"
) -> None:
    book = await make.book()

    async def once(office: Office, household_id: UUID) -> None:
        await office.write(renamed, household_id)

    async def renamed(work: Work, viewer: Viewer, household_id: UUID) -> None:
        before = await work.households.locked(viewer, household_id)
        if before.name != "done":
            await work.households.replace(before, msgspec.structs.replace(before, name="done", version=2))

    household = await services.doors.write(SYSTEM, "x", households.create, SYSTEM, NewHousehold(book.id, "Rao"))
    job = Ran(once)
    await enqueue(services, job, household.id)
    # Its effect is there, and the worker is gone before it could say so.
    worker = worker_of(services, [job])
    async with services.doors.database.lend(None) as lent:
        store = queue.queries(lent.connection)  # type: ignore[arg-type] # a pool's proxy is used alike
        (taken,) = await due(store, worker.attempts(store))
        await worker.attempts(store)[job_name(job)].execute(taken, None)  # type: ignore[arg-type] # it is not asked
    assert await statuses(owner) == [("picked", 0)]
    async with working(services, [job]):
        await empty(owner)
    assert job.ids == [household.id] * 2
    assert await owner.fetchval("select count(*) from audit_events where action like '%renamed'") == 1


async def test_a_job_that_fails_is_tried_again_later_and_dead_in_the_end(
    services: Services, owner: "Connection[Record]", caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_: Office, __: UUID) -> None:
        raise ValueError("what is secret")

    job, subject = Ran(refuse), uuid4()
    await enqueue(services, job, subject)
    with caplog.at_level(logging.INFO):
        await drained(services, [job])
        assert await statuses(owner) == [("queued", 1)]
        wait = await owner.fetchval("select execute_after - updated from queue.pgqueuer")
        assert wait == QUICK.delay
        async with working(services, [job]):
            await job.all(3)

            async def dead() -> bool:
                return await statuses(owner) == [("failed", 2)]

            await until(dead)
    lines = [record for record in caplog.records if record.name in {"steward.jobs", "pgqueuer"}]
    number = await owner.fetchval("select id from queue.pgqueuer")
    about = f"job {number}, test_jobs.ran({subject}), failed at attempt"
    assert [record.getMessage() for record in lines] == [
        f"{about} 1: ValueError",
        f"{about} 2: ValueError",
        f"{about} 3 and is dead: ValueError",
    ]
    # What nobody expected has its traceback in the log, at the end; none of its values are in the queue.
    assert [bool(record.exc_info) for record in lines] == [False, False, True]
    assert await owner.fetchval("select count(*) from queue.pgqueuer_log where traceback::text like '%secret%'") == 0


async def test_the_waits_grow(services: Services, owner: "Connection[Record]") -> None:
    async def refuse(_: Office, __: UUID) -> None:
        raise Refusal(RefusalCode.DUPLICATE, "not now")

    job = Ran(refuse)
    await enqueue(services, job, uuid4())
    waits = []
    pace = msgspec.structs.replace(QUICK, attempts=5, delay=timedelta(seconds=2))
    while await drained(services, [job], pace):
        waits.append(await owner.fetchval("select extract(epoch from execute_after - updated) from queue.pgqueuer"))
        await owner.execute("update queue.pgqueuer set execute_after = now()")
    assert [int(wait) for wait in waits[:4]] == [2, 4, 8, 16]
    assert await statuses(owner) == [("failed", 4)]
    told = "select traceback ->> 'exception_message' from queue.pgqueuer_log where status = 'failed'"
    assert await owner.fetchval(told) == "Refusal: not now"


async def test_a_dead_job_is_retried_with_all_its_attempts(services: Services, owner: "Connection[Record]") -> None:
    broken = True

    async def perhaps(_: Office, __: UUID) -> None:
        if broken:
            raise OSError

    job = Ran(perhaps)
    await enqueue(services, job, uuid4())
    await drained(services, [job], msgspec.structs.replace(QUICK, attempts=1))
    job_id = UUID(int=await owner.fetchval("select id from queue.pgqueuer"))
    assert await statuses(owner) == [("failed", 0)]
    retried = await services.doors.write(SYSTEM, "test", retry_verb, SYSTEM, job_id)
    assert (retried.attempts, retried.error, retried.subjects) == (1, "OSError", tuple(job.ids))
    assert await statuses(owner) == [("queued", 0)]
    broken = False
    assert await drained(services, [job]) == 1
    assert await statuses(owner) == []
    with pytest.raises(Refusal, match="no longer dead"):
        await services.doors.write(SYSTEM, "test", retry_verb, SYSTEM, job_id)


async def test_two_retries_at_once_enqueue_it_once(services: Services, make: Make, owner: "Connection[Record]") -> None:
    dead = await made.dead(make)
    answers = await asyncio.gather(
        *(services.doors.write(SYSTEM, "test", retry_verb, SYSTEM, dead.id) for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["DeadJob", "Refusal", "Refusal", "Refusal"]
    assert await statuses(owner) == [("queued", 0)]


async def test_a_job_that_takes_its_workers_down_is_dead_after_some(
    services: Services, owner: "Connection[Record]"
) -> None:
    job = Ran()
    await enqueue(services, job, uuid4())
    worker = worker_of(services, [job])
    async with services.doors.database.lend(None) as lent:
        store = queue.queries(lent.connection)  # type: ignore[arg-type] # a pool's proxy is used alike
        for _ in range(QUICK.lives):
            assert len(await due(store, worker.attempts(store))) == 1
            await owner.execute("update queue.pgqueuer set heartbeat = now() - interval '2 hours'")
    await drained(services, [job])
    assert await statuses(owner) == [("failed", 0)]
    assert job.ids == []
    # Whoever has it tried again gives it as many lives again.
    dead_id = UUID(int=await owner.fetchval("select id from queue.pgqueuer"))
    await services.doors.write(SYSTEM, "test", retry_verb, SYSTEM, dead_id)
    await drained(services, [job])
    assert len(job.ids) == 1


async def test_a_schedule_fires_once_with_two_workers(services: Services, owner: "Connection[Record]") -> None:
    job = Ran()

    async def due_now() -> None:
        await owner.execute("update queue.pgqueuer_schedules set next_run = now() - interval '1 minute'")

    async def registered() -> bool:
        return bool(await owner.fetchval("select count(*) = 1 from queue.pgqueuer_schedules"))

    given = {"schedules": [Schedule(job, "0 4 * * *")]}
    log = "select count(*) from queue.pgqueuer_log where status = 'successful'"
    async with working(services, [job], **given), working(services, [job], **given):
        await until(registered)
        for times in (1, 2):
            await due_now()

            async def fired(times: int = times) -> bool:
                return int(await owner.fetchval(log)) == times

            await until(fired)
        await asyncio.sleep(0.5)
    assert await owner.fetchval(log) == 2
    row = await owner.fetchrow("select next_run, status::text from queue.pgqueuer_schedules")
    assert row
    assert row["status"] == "queued"
    assert (row["next_run"].hour, row["next_run"].minute) == (4, 0)


async def test_a_schedule_waits_for_its_last_job(services: Services, owner: "Connection[Record]") -> None:
    job = Ran()
    schedule = Schedule(job, "* * * * *")
    async with services.doors.database.lend(None) as lent:
        await queue.register(lent, [schedule])
        for fired in (True, True):
            await owner.execute("update queue.pgqueuer_schedules set next_run = now()")
            assert await queue.fire(lent, [schedule]) is fired
        assert not await queue.fire(lent, [schedule])
    assert await statuses(owner) == [("queued", 0)]


async def test_only_one_of_the_elected_works_and_another_takes_over(
    services: Services, owner: "Connection[Record]"
) -> None:
    seen: list[str] = []

    def named(name: str) -> Job:
        async def note(_: Office) -> None:
            seen.append(name)

        note.__name__, note.__module__ = "note", "x"
        return note

    async with working(services, [named("first")], elected=True) as first:
        await enqueue(services, named("first"))
        await empty(owner)
        async with working(services, [named("second")], elected=True):
            for _ in range(20):
                await enqueue(services, named("first"))
            await empty(owner)
            assert set(seen) == {"first"}
            first.stop()
            # Not even half of the time that a job of a killed worker lies.
            await asyncio.sleep(0.5)
            await enqueue(services, named("second"))
            await empty(owner)
    assert seen[-1] == "second"


async def test_a_job_that_the_end_cuts_short_is_somebody_elses_at_once(
    services: Services, owner: "Connection[Record]"
) -> None:
    patience = [60.0, 0.0]

    async def slow(_: Office, __: UUID) -> None:
        await asyncio.sleep(patience.pop(0))

    job = Ran(slow)
    pace = msgspec.structs.replace(QUICK, heartbeat=timedelta(minutes=1))
    async with working(services, [job], pace=pace):
        await enqueue(services, job, uuid4())
        await job.all(1)
    assert await statuses(owner) == [("queued", 1)]
    async with working(services, [job], pace=pace):
        await empty(owner)
    assert len(job.ids) == 2


async def test_a_job_that_runs_at_the_end_is_let_finish(services: Services, owner: "Connection[Record]") -> None:
    async def short(_: Office, __: UUID) -> None:
        await asyncio.sleep(0.3)

    job = Ran(short)
    async with working(services, [job]):
        await enqueue(services, job, uuid4())
        await job.all(1)
    assert await statuses(owner) == []


async def test_a_job_has_a_time_in_which_to_end(services: Services, owner: "Connection[Record]") -> None:
    async def endless(_: Office, __: UUID) -> None:
        await asyncio.sleep(60)

    job = Ran(endless)
    await enqueue(services, job, uuid4())
    await drained(services, [job], msgspec.structs.replace(QUICK, longest=timedelta(seconds=0.1)))
    assert await statuses(owner) == [("queued", 1)]


async def test_a_worker_outlives_its_connection(
    services: Services, owner: "Connection[Record]", database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = Ran()
    root = await asyncpg.connect(**driver_arguments(database_url))
    async with working(services, [job], elected=True):
        await enqueue(services, job, uuid4())
        await empty(owner)
        # Workers of other tests have their elections in other databases of the same cluster.
        here = "database = (select oid from pg_database where datname = current_database())"
        lost = f"select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = $1 and {here}"  # noqa: S608 - ours
        assert len(await root.fetch(lost, ELECTION)) == 1
        await enqueue(services, job, uuid4())
        await empty(owner)
    await root.close()
    assert len(job.ids) == 2
    lines = [record for record in caplog.records if record.name in {"steward.jobs", "pgqueuer"}]
    assert [record.exc_info for record in lines] == [None]
    assert lines[0].getMessage().startswith("background work was interrupted: ")


async def test_a_worker_outlives_its_database_being_gone_for_a_while(
    services: Services, databases: Databases, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = Ran()
    root = await asyncpg.connect(**driver_arguments(databases.server.url("postgres")))
    name = driver_arguments(database_url)["database"]
    async with working(services, [job], elected=True):
        await enqueue(services, job, uuid4())
        await job.all(1)
        await root.execute(f"alter database {name} allow_connections false")
        await root.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        await asyncio.sleep(2)
        await root.execute(f"alter database {name} allow_connections true")

        async def answers() -> bool:
            return await services.doors.database.answers()

        await until(answers)
        await enqueue(services, job, uuid4())
        await job.all(2)
    await root.close()
    lines = [record for record in caplog.records if record.name in {"steward.jobs", "pgqueuer"}]
    assert 1 <= len(lines) <= 4, lines
    assert all("background work was interrupted: " in line.getMessage() for line in lines)


async def test_a_job_that_nobody_knows_is_said(
    services: Services, owner: "Connection[Record]", caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(services, Ran())
    async with working(services, []):

        async def said() -> bool:
            return "1 of test_jobs.ran wait, a job that this version does not know" in caplog.text

        await until(said)
    assert await statuses(owner) == [("queued", 0)]


async def test_the_firms_own_schedules_come_due(services: Services, owner: "Connection[Record]") -> None:
    worker_of(services, JOBS, schedules=SCHEDULES)
    async with services.doors.database.lend(None) as lent:
        await queue.register(lent, SCHEDULES)
    rows = await owner.fetch("select next_run - now() as wait from queue.pgqueuer_schedules")
    assert len(rows) == len(SCHEDULES)
    assert all(timedelta(0) < row["wait"] <= timedelta(days=7) for row in rows)


def test_two_jobs_of_one_name_are_refused(services: Services) -> None:
    with pytest.raises(ValueError, match="a name of its own"):
        worker_of(services, [Ran(), Ran()])
    with pytest.raises(ValueError, match="a name of its own"):
        worker_of(services, [], schedules=[Schedule(Ran(), "* * * * *")])


async def test_what_became_of_a_job_is_forgotten_after_a_week(services: Services, make: Make) -> None:
    job = Ran()
    await enqueue(services, job)
    await drained(services, [job])
    dead = await made.dead(make, failed_at=make.now - timedelta(days=30))
    await make.connection.execute("update queue.pgqueuer_log set created = created - interval '6 days'")
    log = "select count(*), count(*) filter (where job_id = $1) from queue.pgqueuer_log"
    await forget(services.doors.database, make.now)
    assert tuple(await make.connection.fetchrow(log, dead.id.int) or ()) == (4, 1)
    await forget(services.doors.database, make.now + timedelta(days=2))
    # What a dead job died of is kept for as long as it is dead.
    assert tuple(await make.connection.fetchrow(log, dead.id.int) or ()) == (1, 1)
