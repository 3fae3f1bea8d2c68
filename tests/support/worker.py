"""Background work in a test: a worker that runs beside it, or the queue worked off at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, cast
from uuid import uuid4

import anyio
from asyncpg import Connection, Record
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Job, TracebackRecord
from pgqueuer.domain.types import QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from domain import jobs as domain_jobs
from domain.office import JOBS
from graph.context import Services
from graph.worker import Attempt, Pace, Worker
from persistence import jobs as queue

QUICK: Final = Pace(
    heartbeat=timedelta(seconds=1),
    poll=timedelta(seconds=0.1),
    grace=timedelta(seconds=0.5),
    election=timedelta(seconds=0.1),
    delay=timedelta(seconds=0.1),
    attempts=3,
)


def worker_of(services: Services, jobs: Sequence[domain_jobs.Job] = JOBS, pace: Pace = QUICK, **given: Any) -> Worker:
    """A worker that has little patience, and no schedules unless they are given: no clock interferes with a test."""
    given = {"schedules": (), "observer": services.observer, **given}
    return Worker(services.doors, services.gateways, jobs=jobs, pace=pace, **given)


@asynccontextmanager
async def working(services: Services, jobs: Sequence[domain_jobs.Job] = JOBS, **given: Any) -> AsyncIterator[Worker]:
    """A worker beside the test, until the end of the block."""
    worker = worker_of(services, jobs, **given)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 10)


async def drained(services: Services, jobs: Sequence[domain_jobs.Job] = JOBS, pace: Pace = QUICK) -> int:
    """Run all jobs that are due, one after the other, and those that they enqueue; gives how many were run.

    A job that fails waits for its next attempt, as it would, and is run again only if that comes due meanwhile.
    """
    worker = worker_of(services, jobs, pace)
    count = 0
    async with services.doors.database.lend(None) as lent:
        store = queue.queries(cast("Connection[Record]", lent.connection))
        attempts = worker.attempts(store)
        while found := await due(store, attempts):
            for job in found:
                await _attempt(store, attempts[job.entrypoint], job)
            count += len(found)
    return count


async def due(store: Queries, attempts: dict[str, Attempt]) -> list[Job]:
    """Take some of the jobs that are due off the queue."""
    known: Any = {name: EntrypointExecutionParameter(concurrency_limit=0) for name in attempts}
    if not known:
        return []
    return await store.dequeue(10, known, QueueManagerId(uuid4()), None, timedelta(hours=1))


async def _attempt(store: Queries, attempt: Attempt, job: Job) -> None:
    """Run a job, and store what becomes of it as pgqueuer's own manager does."""
    try:
        await attempt.execute(job, Context(anyio.CancelScope()))
    except RetryRequested as retry:
        await store.retry_job(job, retry.delay, TracebackRecord.from_exception(retry, job.id))
    except Exception as error:  # noqa: BLE001 - as pgqueuer's manager does
        await store.log_jobs([(job, "failed", TracebackRecord.from_exception(error, job.id))])
    else:
        await store.log_jobs([(job, "successful", None)])
