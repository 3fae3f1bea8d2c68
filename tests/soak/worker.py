"""A worker process for `test_jobs.py`: its one job has an effect, and takes a while before and after it."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from domain.access import Viewer
from domain.jobs import Office
from domain.work import Work
from graph.app import open_services
from graph.settings import Environment, Settings
from graph.worker import Pace, Worker


async def renamed(work: Work, viewer: Viewer, household_id: UUID) -> None:
    """The effect, guarded as the effects of all jobs are: by the state of what it changes, under its lock."""
    before = await work.households.locked(viewer, household_id)
    if before.name != "done":
        await work.households.replace(before, msgspec.structs.replace(before, name="done", version=before.version + 1))


async def slow(office: Office, household_id: UUID) -> None:
    """The job."""
    await asyncio.sleep(0.05)
    await office.write(renamed, household_id)
    await asyncio.sleep(0.05)


async def run(url: str, home: Path) -> None:
    """Work until killed."""
    settings = Settings(environment=Environment.DEVELOPMENT, state_directory=home)
    # Killed far more often than any process should be, so that a job has as many lives as it takes.
    pace = Pace(heartbeat=timedelta(seconds=1), poll=timedelta(seconds=0.1), lives=10**6)
    async with open_services(settings, url, home) as services:
        worker = Worker(services.doors, services.gateways, jobs=[slow], schedules=[], pace=pace)
        print("working", flush=True)  # noqa: T201 - for the test that started it
        await worker.run()


def main() -> None:
    """Run as `python -c`, for the queue knows a job by its module's name, which `__main__` would not be."""
    uvloop.run(run(sys.argv[1], Path(sys.argv[2])))
