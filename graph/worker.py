"""Running background work: whoever runs it, each job until it has succeeded, and each schedule once.

pgqueuer's manager takes jobs off the queue and beats their hearts; around it stand the election of one process among
several, an end within a few seconds, and a database that may be gone for a while.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Final

import msgspec
from anyio.lowlevel import checkpoint
from asyncpg import Connection, Record
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context as JobContext
from pgqueuer.domain.models import Job as QueuedJob

from domain.errors import Fault, Refusal
from domain.jobs import TOPIC, Job, Schedule, job_name
from domain.office import JOBS, RUNS, SCHEDULES
from graph.observing import Observer
from graph.office import Gateways, Office
from persistence import jobs as queue
from persistence.database import is_gone
from persistence.doors import Doors

log = logging.getLogger("steward.jobs")

# Any number that no other program takes for its advisory lock; the one before it is set-up's.
ELECTION: Final = 7_839_274
# pgqueuer looks for further jobs when so many of this process are done, or every tenth of a second.
AT_ONCE: Final = 20
LONGEST_PAUSE: Final = 30.0
# By whichever worker; each of them may know more.
KNOWN: Final = tuple(map(job_name, (*JOBS, *RUNS)))


class Pace(msgspec.Struct, frozen=True):
    """How patient a worker is.

    `heartbeat` is how long a job of a killed worker lies before another takes it; `poll` how often it looks without
    being rung; `grace` how long running jobs are let finish at the end. A failed job waits `delay` before its second
    attempt and twice as long before each next one: ten attempts span a quarter of an hour, which most outages of a
    broker do not.
    """

    heartbeat: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=3)
    election: timedelta = timedelta(seconds=3)
    attempts: int = 10
    delay: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(hours=1)
    # A job that takes its worker down with it would take down each in turn.
    lives: int = 5


class Dead(Exception):  # noqa: N818 - it is told to pgqueuer alone, as the end of a job
    """A job's last attempt has failed; its text is what the queue keeps and admins read."""


class Killed(Exception):  # noqa: N818 - as for Dead
    """A job's workers have ended again and again while it ran."""


def told(error: BaseException) -> str:
    """What may be kept of a failure: its class, and its message if it is one that is written for people."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, Fault | Refusal) else name


class Attempt(AbstractEntrypointExecutor):
    """Runs a job once, and tells pgqueuer what comes of it: done, again later, or dead."""

    def __init__(self, job: Job, worker: "Worker", store: Queries) -> None:
        super().__init__(EntrypointExecutorParameters(concurrency_limit=0, func=self._called, on_failure="hold"))
        self._job = job
        self._worker = worker
        self._store = store

    async def _called(self, queued: QueuedJob) -> None:
        office = self._worker.office(queued.id)
        async with asyncio.timeout(self._worker.pace.longest.total_seconds()):
            await self._job(office, *queue.subjects(queued.payload))

    async def execute(self, job: QueuedJob, context: JobContext) -> None:  # noqa: ARG002 - pgqueuer's signature
        """Run the job; raises RetryRequested or Dead."""
        with self._worker.running(), self._worker.observer.job(job.entrypoint, int(job.id)) as attempted:
            try:
                if await queue.picked(self._store, job.id) > self._worker.pace.lives:
                    raise Killed  # noqa: TRY301 - told as any other failure
                await self._called(job)
                attempted.outcome = "done"
            except asyncio.CancelledError:
                attempted.outcome = "cut"
                # pgqueuer takes a cancelled job for one that nobody wants; this one is somebody else's to finish.
                if (task := asyncio.current_task()) is not None:
                    task.uncancel()
                raise RetryRequested(reason="cut short by the end of its worker") from None
            except Exception as error:  # noqa: BLE001 - whatever a job raises is what becomes of it
                failure = self._failed(job, error)
                attempted.outcome = "dead" if isinstance(failure, Dead) else "failed"
                raise failure from None

    def _failed(self, job: QueuedJob, error: Exception) -> Exception:
        pace, attempt = self._worker.pace, job.attempts + 1
        dead = attempt >= pace.attempts or isinstance(error, Killed)
        expected = isinstance(error, Fault | Refusal | Killed)
        ids = " ".join(map(str, queue.subjects(job.payload)))
        log.log(
            logging.ERROR if dead else logging.WARNING,
            "job %d, %s(%s), failed at attempt %d%s: %s",
            *(job.id, job.entrypoint, ids, attempt, " and is dead" if dead else "", type(error).__name__),
            exc_info=error if dead and not expected else None,
        )
        if dead:
            return Dead(told(error))
        return RetryRequested(delay=pace.delay * 2**job.attempts, reason=told(error))


class _Quiet(logging.Filter):
    """Leaves out of pgqueuer's log what this module says itself, in one line: failed attempts, and a lost database."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record tells something new."""
        error = record.exc_info[1] if record.exc_info else None
        own = isinstance(error, Dead) or str(record.msg).startswith("Shutdown flush failed")
        return record.levelno >= logging.WARNING and not own and not (error and is_gone(error))


QUIET: Final = _Quiet()
PACE: Final = Pace()


class Worker:
    """Runs jobs and schedules until it is stopped; one that is `elected` waits until no other elected one works."""

    def __init__(
        self,
        doors: Doors,
        gateways: Gateways,
        *,
        jobs: Sequence[Job] = JOBS,
        schedules: Sequence[Schedule] = SCHEDULES,
        pace: Pace = PACE,
        elected: bool = False,
        at_once: int = AT_ONCE,
        connections: int = 4,
        observer: Observer | None = None,
    ) -> None:
        self.pace = pace
        self.observer = observer or Observer()
        self._doors = doors
        self._gateways = gateways
        self._jobs = {job_name(job): job for job in jobs}
        self._schedules = schedules
        self._elected = elected
        self._at_once = at_once
        self._turns = asyncio.Semaphore(connections)
        self._running: set[asyncio.Task[object]] = set()
        self._stopping = asyncio.Event()
        if len(self._jobs) != len(jobs) or not {job_name(each.job) for each in schedules} <= set(self._jobs):
            raise ValueError("each job has a name of its own, and each schedule is of one of them")

    def stop(self) -> None:
        """Take no further job, let those that run finish for a moment, and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`, again and again if the database is lost."""
        logging.getLogger("pgqueuer").addFilter(QUIET)
        # pgqueuer runs jobs by anyio, which loads most of itself when it is first used: now, and not as somebody waits.
        await checkpoint()
        pause = 1.0
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self._turn()
            except Exception as error:
                # Whatever it is, background work must go on.
                expected = isinstance(error, Fault) or is_gone(error)
                log.warning(
                    "background work was interrupted: %s", type(error).__name__, exc_info=None if expected else error
                )
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE:
                pause = 1.0
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def office(self, job_id: int) -> Office:
        """What a job works with."""
        return Office(self._doors, self._gateways, self._turns, job_id)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the present task among those that the end of the worker cuts short."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a job runs in a task")
        self._running.add(task)
        try:
            yield
        finally:
            self._running.discard(task)

    def attempts(self, store: Queries) -> dict[str, Attempt]:
        """What runs each job, by its name."""
        return {name: Attempt(job, self, store) for name, job in self._jobs.items()}

    async def _pause(self, seconds: float) -> bool:
        """Wait for some seconds; tells whether the worker is to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _turn(self) -> None:
        """Work on one connection until it is lost, or the worker is to end."""
        async with self._connection() as connection:
            if self._elected and not await self._won(connection):
                return
            store = queue.queries(connection)
            for name, count in await queue.unknown(store, [*KNOWN, *self._jobs]):
                log.warning("%d of %s wait, a job that this version does not know", count, name)
            await self._work(store)

    @asynccontextmanager
    async def _connection(self) -> "AsyncIterator[Connection[Record]]":
        connection = await self._doors.database.connect()
        try:
            yield connection
        finally:
            connection.terminate()

    async def _won(self, connection: "Connection[Record]") -> bool:
        """Wait to be the only one; PostgreSQL ends the term with the connection, whatever ends the process."""
        while not await connection.fetchval("select pg_try_advisory_lock($1)", ELECTION):
            if await self._pause(self.pace.election.total_seconds()):
                return False
        return True

    async def _work(self, store: Queries) -> None:
        manager = QueueManager(store, channel=queue.CHANNEL)
        for name, attempt in self.attempts(store).items():
            manager.register_executor(name, attempt)
        pace = self.pace
        managing = asyncio.create_task(
            manager.run(
                dequeue_timeout=pace.poll,
                batch_size=self._at_once // 2,
                max_concurrent_tasks=self._at_once,
                shutdown_on_listener_failure=True,
                heartbeat_timeout=pace.heartbeat,
                log_aggregation_interval=timedelta(0),
            )
        )
        keeping_time = asyncio.create_task(self._keep_time())
        try:
            await asyncio.wait({managing, keeping_time}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            manager.shutdown.set()
            await self._wind_down(managing)
            keeping_time.cancel()
            managing.cancel()
            await asyncio.gather(managing, keeping_time, return_exceptions=True)
        for task in (managing, keeping_time):
            if not task.cancelled():
                task.result()

    async def _wind_down(self, managing: "asyncio.Task[None]") -> None:
        """Let running jobs finish; then have them given back to the queue, for another worker to take again."""
        for _ in range(2):
            await asyncio.wait({managing}, timeout=self.pace.grace.total_seconds())
            for task in self._running:
                task.cancel()

    async def _keep_time(self) -> None:
        """Enqueue the jobs of the schedules as they come due, until the worker is to end."""
        database, bell = self._doors.database, self._doors.bell
        async with database.lend(None) as lent:
            await queue.register(lent, self._schedules)
        while not await self._pause(self.pace.poll.total_seconds()):
            async with database.lend(None) as lent:
                if await queue.fire(lent, self._schedules):
                    bell.ring([TOPIC])
