import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from domain.access import SYSTEM, Viewer
from domain.work import Work
from graph.context import Services
from persistence.embedded import EmbeddedServer
from tests.factories import people
from tests.factories.firm import Make
from tests.soak.worker import slow

KILLS = int(os.environ.get("SOAK_JOB_KILLS", "30"))
JOBS = int(os.environ.get("SOAK_JOBS", "1000"))
EFFECTS = "select count(*), count(distinct object_id) from audit_events where action like '%renamed'"

pytestmark = pytest.mark.soak


class Workers:
    """Worker processes on one database."""

    def __init__(self, url: str, home: Path) -> None:
        self.command = [sys.executable, "-c", "from tests.soak.worker import main; main()", url, str(home)]
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start one, and wait until it works."""
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        self.running.append(process)
        assert process.stdout
        assert process.stdout.readline() == "working\n"

    def kill(self) -> None:
        """Kill the eldest, in the middle of whatever it does."""
        process = self.running.pop(0)
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
async def workers(database_url: str, cluster: EmbeddedServer) -> AsyncIterator[Workers]:
    made = Workers(database_url, Path(cluster.home))
    yield made
    while made.running:
        made.kill()


async def enqueue(work: Work, _: Viewer, household_id: UUID) -> None:
    work.enqueue(slow, household_id)


async def test_each_job_has_its_effect_once_whatever_is_killed(
    workers: Workers, services: Services, make: Make
) -> None:
    chance = random.Random(7)
    book = await make.book()
    for _ in range(2):
        await asyncio.to_thread(workers.start)
    households = [await people.household(make, book) for _ in range(JOBS)]
    adding = asyncio.create_task(_enqueue(services, [household.id for household in households]))
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        workers.kill()
        await asyncio.to_thread(workers.start)
    await adding
    async with asyncio.timeout(120):
        while await make.connection.fetchval("select count(*) from queue.pgqueuer"):  # noqa: ASYNC110 - the database sets no event
            await asyncio.sleep(0.1)
    assert tuple(await make.connection.fetchrow(EFFECTS) or ()) == (JOBS, JOBS)
    assert await make.connection.fetchval("select count(*) from households where name <> 'done'") == 0
    # The kills hit: some jobs were taken up more often than they were tried again.
    taken = "select count(*) - count(distinct job_id) from queue.pgqueuer_log where status = 'picked'"
    assert await make.connection.fetchval(taken) > 0


async def test_a_killed_workers_job_is_finished_by_another(workers: Workers, services: Services, make: Make) -> None:
    household = await people.household(make, await make.book())
    await asyncio.to_thread(workers.start)
    await _enqueue(services, [household.id])
    async with asyncio.timeout(10):
        while not await make.connection.fetchval("select count(*) from queue.pgqueuer where status = 'picked'"):  # noqa: ASYNC110 - the database sets no event
            await asyncio.sleep(0.01)
    workers.kill()
    assert await make.connection.fetchval("select status::text from queue.pgqueuer") == "picked"
    await asyncio.to_thread(workers.start)
    async with asyncio.timeout(10):
        while await make.connection.fetchval("select count(*) from queue.pgqueuer"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert tuple(await make.connection.fetchrow(EFFECTS) or ()) == (1, 1)


async def _enqueue(services: Services, ids: list[UUID]) -> None:
    for each in ids:
        await services.doors.write(SYSTEM, "test", enqueue, SYSTEM, each)
