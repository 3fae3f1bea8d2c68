"""Background work: what a job is and gets, and what is done about those that have failed for good.

A job is an async function that a verb enqueues in its own transaction, with the ids of what it is about and nothing
else. It is run at least once, after the commit: again after a while if it raises, again by another worker if its own
is killed. So its effect must be there once by its own guards: row locks, states and unique keys.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.entities import Entity
from domain.errors import NotFound, Refusal, RefusalCode
from domain.work import Work

if TYPE_CHECKING:
    from domain.conversations.runs import Assistant
    from domain.identity.links import Links
    from domain.mail import Mail
    from domain.markets.data import MarketData

P = ParamSpec("P")
T = TypeVar("T")

# What wakes the workers, in every process, when a job has been enqueued.
TOPIC: Final = "jobs"


class Office(Protocol):
    """What a job works with: the moment, and transactions as the firm itself; gateways are its attributes."""

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...

    @property
    def market_data(self) -> "MarketData":
        """The vendor of closing prices and FX rates."""
        ...

    @property
    def mail(self) -> "Mail":
        """How letters leave the firm."""
        ...

    @property
    def links(self) -> "Links":
        """What makes mailed links work."""
        ...

    @property
    def kyc_notice(self) -> timedelta:
        """How long before the end of a client's KYC people are told of it."""
        ...

    @property
    def assistant(self) -> "Assistant":
        """Whoever answers in conversations."""
        ...

    def listening(self, topic: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever the topic is rung, in whatever process."""
        ...

    async def write_as(
        self,
        session_id: UUID,
        verb: Callable[Concatenate[Work, Viewer, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a verb as whoever a session belongs to, with the rights of this moment, in a transaction of its own.

        Raises Unauthenticated if the session has ended.
        """
        ...

    async def write(
        self, verb: Callable[Concatenate[Work, Viewer, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a verb as the firm itself, in a transaction of its own."""
        ...


Job: TypeAlias = Callable[..., Awaitable[None]]


class Schedule(msgspec.Struct, frozen=True):
    """A job without ids that is enqueued whenever its cron expression, in UTC, says so."""

    job: Job
    cron: str


def job_name(job: Job) -> str:
    """What a job is called in the queue, which outlives the process: its module's last name and its own."""
    return f"{job.__module__.rpartition('.')[2]}.{job.__name__}"


class DeadJob(Entity, frozen=True):
    """A job whose last attempt has failed; it lies still until somebody has it tried again.

    `subjects` are the ids that it was enqueued with, `error` the class of the last failure and, where it is one that
    users may read, its message.
    """

    id: UUID
    name: str
    subjects: tuple[UUID, ...]
    attempts: int
    enqueued_at: datetime
    failed_at: datetime
    error: str


class DeadJobFilter(msgspec.Struct, frozen=True):
    """Which dead jobs a list holds."""

    names: tuple[str, ...] | None = None


class Jobs(Protocol):
    """The storage of jobs that have failed."""

    async def dead(self, viewer: Viewer, job_id: UUID) -> DeadJob | None: ...  # noqa: D102 - the signature says it
    async def is_known(self, job_id: UUID) -> bool: ...  # noqa: D102
    async def requeue(self, job: DeadJob) -> bool: ...  # noqa: D102


async def retry(work: Work, viewer: Viewer, job_id: UUID) -> DeadJob:
    """Have a dead job tried again, at once and with all its attempts; gives it as it was. Refuses: JOB_NOT_DEAD."""
    require(viewer, Action.MANAGE_JOBS)
    job = await work.jobs.dead(viewer, job_id)
    if job is None and not await work.jobs.is_known(job_id):
        raise NotFound
    if job is None or not await work.jobs.requeue(job):
        raise Refusal(
            RefusalCode.JOB_NOT_DEAD, "The job is no longer dead: it is waiting, running or done.", ("input", "jobId")
        )
    work.wake(TOPIC)
    return job
