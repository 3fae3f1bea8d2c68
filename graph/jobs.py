"""Background jobs that have failed for good, for admins."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import strawberry
from strawberry import ID

from domain import jobs
from domain.access import Action
from domain.paging import Direction, Order
from graph.context import Info
from graph.described import enum, input_, type_
from graph.ids import decode
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node
from persistence.jobs import Jobs


@type_
class DeadJob(Node):
    """A background job whose last attempt has failed. It lies still until it is tried again by `retryJob`.

    name: Which job it is, such as `execution.send`.
    subjects: The plain ids of what it is about, as it was enqueued with them; the job's name tells of what they are.
    attempts: How often it was tried.
    enqueued_at: When it was enqueued.
    failed_at: When its last attempt failed.
    error: What the last attempt failed of: the class of the error and, where it is meant to be read, its message.
    """

    entity = jobs.DeadJob

    name: str
    subjects: list[UUID]
    attempts: int
    enqueued_at: datetime
    failed_at: datetime
    error: str


@enum
class DeadJobOrderField(StrEnum):
    """What dead jobs can be ordered by.

    FAILED_AT: When their last attempts failed.
    NAME: Their names.
    """

    FAILED_AT = "FAILED_AT"
    NAME = "NAME"


@input_
class DeadJobOrder:
    """What a list of dead jobs is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: DeadJobOrderField
    direction: Direction = Direction.ASC


@input_
class DeadJobFilter:
    """Which dead jobs a list holds.

    names: Jobs of these names.
    """

    names: list[str] | None = None


DEAD_JOBS = Lists(DeadJobOrder, Order("FAILED_AT", Direction.DESC), jobs.DeadJobFilter, DeadJobFilter)


@input_
class RetryJobInput:
    """What has a dead job tried again.

    job_id: The job.
    """

    job_id: ID


@type_
class RetryJobPayload(Payload):
    """A job that is no longer dead.

    retried: The job as it was when it was dead; it is tried at once, and has all its attempts again.
    """

    retried: jobs.DeadJob | None = strawberry.field(default=None, graphql_type=DeadJob | None)


@strawberry.type
class JobQueries:
    """Queries of background jobs."""

    dead_jobs: Connection[DeadJob] = listed(
        Jobs.page,
        Jobs.count,
        DEAD_JOBS,
        "The background jobs that have failed for good, the latest first. For admins alone: others get FORBIDDEN.",
        needs=Action.MANAGE_JOBS,
    )


@strawberry.type
class JobMutations:
    """Mutations of background jobs."""

    @mutation
    async def retry_job(self, info: Info, input: RetryJobInput) -> RetryJobPayload | None:
        """Have a dead job tried again, at once. Refused if it is no longer dead, for another has retried it."""
        job_id = decode(input.job_id, "job", "input.jobId")
        return RetryJobPayload(retried=await info.context.write(jobs.retry, job_id))
