"""Runs, the tools that they have used, and the steps that their events tell."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Integer, Text, and_, any_, bindparam, func, literal, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.conversations.costs import CallPurpose, Charge, ModelCall
from domain.conversations.entities import (
    OpenText,
    QueuePlace,
    Run,
    RunStatus,
    ToolUse,
)
from persistence.conversations.tables import message_clients, model_calls, run_steps, runs, tool_uses
from persistence.metadata import MOMENT, UUIDS
from persistence.repository import Repository, by_id, by_ids
from persistence.sql import Statement, columns

# One lock for each user, before those of rows: who counts a user's runs, or begins the next, is alone with them.
SEATS: Final = Statement("select pg_advisory_xact_lock(hashtextextended('runs of ' || $1::uuid, 0))", ("user_id",), {})
# As the partial index has it, by which they are found.
IS_OPEN: Final = runs.c.status.in_([literal_column(f"'{each}'") for each in (RunStatus.QUEUED, RunStatus.RUNNING)])
LOCKED: Final = by_id(Run, runs, locking=True)
# A vetted function: all of the user's, also those of messages that it sees no longer.
OPEN_COUNTS: Final = select(
    func.open_runs(bindparam("user_id", type_=Uuid)).table_valued("status", "many", name="open")
)
# Likewise: also those of messages that the owner of the conversation does not see; locked, in the order in which the
# pen takes their locks.
OPEN_OF: Final = select(
    func.open_runs_of(bindparam("conversation_id", type_=Uuid)).table_valued("run_id", "user_id", name="open")
)
ALL_OPEN: Final = (
    select(*columns(Run, runs))
    .where(IS_OPEN, runs.c.created_at < bindparam("before", type_=MOMENT))
    .order_by(runs.c.id)
)
OPEN_ABOUT: Final = (
    select(*columns(Run, runs))
    .join(message_clients, message_clients.c.message_id == runs.c.message_id)
    .where(IS_OPEN, message_clients.c.client_id == bindparam("client_id", type_=Uuid))
)
OPEN_BY: Final = select(*columns(Run, runs)).where(IS_OPEN, runs.c.user_id == bindparam("user_id", type_=Uuid))
OTHERS_COMPLETED: Final = (
    select(runs.c.id)
    .where(
        runs.c.conversation_id == bindparam("conversation_id", type_=Uuid),
        runs.c.status == RunStatus.COMPLETED.value,
        runs.c.id != bindparam("run_id", type_=Uuid),
    )
    .limit(1)
)
RETRIED: Final = select(func.is_retried(bindparam("run_id", type_=Uuid)))
NEXT: Final = (
    select(*columns(Run, runs))
    .where(runs.c.user_id == bindparam("user_id", type_=Uuid), runs.c.status == RunStatus.QUEUED.value)
    .order_by(runs.c.created_at, runs.c.id)
    .limit(1)
    .with_for_update()
)
CHANGE: Final = (
    update(runs)
    .where(runs.c.id == bindparam("run_id", type_=Uuid))
    .values(
        status=bindparam("status", type_=Text),
        attempt=bindparam("attempt", type_=Integer),
        started_at=bindparam("started_at", type_=MOMENT),
        ended_at=bindparam("ended_at", type_=MOMENT),
        error=bindparam("error", type_=Text),
    )
)
_EARLIER: Final = runs.alias("earlier")
# Its place in the user's queue, from 1 on.
POSITIONS: Final = (
    select(runs.c.id, func.count(_EARLIER.c.id))
    .join(
        _EARLIER,
        and_(
            _EARLIER.c.user_id == runs.c.user_id,
            _EARLIER.c.status == RunStatus.QUEUED.value,
            tuple_(_EARLIER.c.created_at, _EARLIER.c.id) <= tuple_(runs.c.created_at, runs.c.id),
        ),
    )
    .where(runs.c.id == any_(bindparam("keys", type_=UUIDS)), runs.c.status == RunStatus.QUEUED.value)
    .group_by(runs.c.id)
)
USES: Final = (
    select(*columns(ToolUse, tool_uses))
    .where(tool_uses.c.run_id == bindparam("run_id", type_=Uuid))
    .order_by(tool_uses.c.round, tool_uses.c.position)
)
CHARGES: Final = (
    select(*columns(Charge, model_calls))
    .where(
        model_calls.c.run_id == bindparam("run_id", type_=Uuid),
        model_calls.c.purpose == bindparam("purpose", type_=Text),
    )
    .order_by(model_calls.c.ended_at, model_calls.c.id)
)
# What was said of the blocks that are not settled yet.
OPEN_TEXTS: Final = (
    select(
        run_steps.c.message_id,
        run_steps.c.block,
        func.string_agg(run_steps.c.text, aggregate_order_by(literal(""), run_steps.c.seq)),
    )
    .where(run_steps.c.message_id == any_(bindparam("keys", type_=UUIDS)), run_steps.c.state.is_(None))
    .group_by(run_steps.c.message_id, run_steps.c.block)
    .order_by(run_steps.c.message_id, run_steps.c.block)
)
# A vetted function: a policy lets nobody forget events.
FORGET_STEPS: Final = select(func.forget_steps(bindparam("message_id", type_=Uuid)))


class Runs(Repository):
    """The runs of messages that the viewer sees."""

    async def seat(self, user_id: UUID) -> None:
        """Be alone with a user's runs until the end of the transaction; before any lock of a row."""
        await self.lent.rows(SEATS, {"user_id": user_id})

    async def open_counts(self, user_id: UUID) -> dict[RunStatus, int]:
        """How many of a user's runs are under way, and how many wait."""
        rows = await self.lent.rows(OPEN_COUNTS, {"user_id": user_id})
        return {RunStatus(row[0]): row[1] for row in rows}

    async def open_of(self, conversation_id: UUID) -> list[tuple[UUID, UUID]]:
        """The runs of a conversation that have not ended, with their locks, and whose they are."""
        rows = await self.lent.rows(OPEN_OF, {"conversation_id": conversation_id})
        return [(row[0], row[1]) for row in rows]

    async def open_before(self, moment: datetime) -> list[Run]:
        """All runs, of whoever, that were begun before a moment and have not ended."""
        return await self.lent.many(Run, ALL_OPEN, {"before": moment})

    async def open_about(self, client_id: UUID) -> list[Run]:
        """The runs that have not ended whose answers hold a client's data, as far as they are seen."""
        return await self.lent.many(Run, OPEN_ABOUT, {"client_id": client_id})

    async def open_by(self, user_id: UUID) -> list[Run]:
        """The runs of a user that have not ended, as far as they are seen."""
        return await self.lent.many(Run, OPEN_BY, {"user_id": user_id})

    async def is_retried(self, run_id: UUID) -> bool:
        """Whether a run was tried again."""
        (row,) = await self.lent.rows(RETRIED, {"run_id": run_id})
        return bool(row[0])

    async def is_first_completed(self, run: Run) -> bool:
        """Whether no other run of its conversation was completed, as far as the transaction's viewer sees them."""
        values = {"conversation_id": run.conversation_id, "run_id": run.id}
        return not await self.lent.rows(OTHERS_COMPLETED, values)

    async def next_queued(self, user_id: UUID) -> Run | None:
        """The user's run that has waited for longest, with its lock."""
        found = await self.lent.many(Run, NEXT, {"user_id": user_id})
        return found[0] if found else None

    async def add(self, run: Run) -> None:
        """Store a new run. The audit trail tells who asked, and when; not what."""
        await self.insert(runs, run)

    async def known(self, run_id: UUID) -> Run | None:
        """The run, as the transaction's viewer sees it."""
        found = await self.lent.many(Run, by_id(Run, runs), {"id": run_id})
        return found[0] if found else None

    async def locked(self, run_id: UUID) -> Run | None:
        """The run with its lock, as the transaction's viewer sees it."""
        found = await self.lent.many(Run, LOCKED, {"id": run_id})
        return found[0] if found else None

    async def change(self, after: Run) -> None:
        """Store a changed run whose lock is held."""
        await self.lent.rows(
            CHANGE,
            {
                "run_id": after.id,
                "status": after.status,
                "attempt": after.attempt,
                "started_at": after.started_at,
                "ended_at": after.ended_at,
                "error": after.error,
            },
        )

    async def end(self, before: Run, after: Run) -> None:
        """Store a run that has ended, whose lock is held; the audit trail tells how."""
        await self.change(after)
        self.record(before, after)

    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Run]:
        """These runs."""
        return await self.many(Run, by_ids(Run, runs), viewer, keys=keys)

    async def positions(self, viewer: Viewer, keys: Sequence[UUID]) -> list[QueuePlace]:
        """The places of those of these runs that wait in their users' queues."""
        return [QueuePlace(*row) for row in await self.rows(POSITIONS, viewer, keys=keys)]

    async def uses(self, run_id: UUID) -> list[ToolUse]:
        """The tools that a run has used, in order."""
        return await self.lent.many(ToolUse, USES, {"run_id": run_id})

    async def use(self, used: ToolUse) -> None:
        """Store a finished call of a tool."""
        await self.insert_unaudited(tool_uses, [used])

    async def charges(self, run_id: UUID, purpose: CallPurpose) -> list[Charge]:
        """What the calls of models have cost that a run has made for this, in order."""
        return await self.lent.many(Charge, CHARGES, {"run_id": run_id, "purpose": purpose})

    async def note(self, calls: Sequence[ModelCall]) -> None:
        """Store finished calls of models."""
        await self.insert_unaudited(model_calls, calls)

    async def open_texts(self, viewer: Viewer, message_ids: Sequence[UUID]) -> list[OpenText]:
        """What was said of each block of running answers so far."""
        return [OpenText(*row) for row in await self.rows(OPEN_TEXTS, viewer, keys=message_ids)]

    async def said(self, message_id: UUID) -> dict[int, str]:
        """What was said of each block of a running answer so far, by its place."""
        rows = await self.lent.rows(OPEN_TEXTS, {"keys": [message_id]})
        return {row[1]: row[2] for row in rows}

    async def forget_steps(self, message_id: UUID) -> int | None:
        """Forget the steps of an answer whose run has ended, and their events; gives the first of their numbers."""
        (row,) = await self.lent.rows(FORGET_STEPS, {"message_id": message_id})
        found: int | None = row[0]
        return found
