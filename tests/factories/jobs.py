"""Jobs that have failed for good."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.jobs import DeadJob
from tests.factories.firm import Make

ADD: Final = """
with added as (
    insert into queue.pgqueuer (priority, status, entrypoint, payload, attempts, created, updated)
    values (0, 'failed', $1, $2, $3, $4, $5) returning id
)
insert into queue.pgqueuer_log (job_id, status, priority, entrypoint, traceback, created)
select id, 'failed', 0, $1, $6, $5 from added returning job_id
"""


async def dead(make: Make, **given: Any) -> DeadJob:
    """A job that failed a moment ago, at its third attempt."""
    failed_at: datetime = given.pop("failed_at", make.now)
    job = DeadJob(UUID(int=0), "books.count", (make.new_id(),), 3, failed_at - timedelta(hours=1), failed_at, "OSError")
    job = msgspec.structs.replace(job, **given)
    number = await make.connection.fetchval(
        ADD,
        job.name,
        " ".join(map(str, job.subjects)).encode(),
        job.attempts - 1,
        job.enqueued_at,
        job.failed_at,
        msgspec.json.encode({"exception_message": job.error}).decode(),
    )
    return msgspec.structs.replace(job, id=UUID(int=number))
