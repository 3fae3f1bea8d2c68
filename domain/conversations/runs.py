"""The life of a run: it waits for a seat, is taken up, perhaps more than once, and ends once.

A run belongs to the server: no socket ends it. Whoever works on it holds its present attempt; once somebody else has
taken it up, or it has ended, nothing is written in the name of an older one.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.conversations import blocks as content
from domain.conversations import titles
from domain.conversations.blocks import AnyBlock, ErrorBlock, SystemBlock, SystemKind, TextBlock
from domain.conversations.costs import CallPurpose, ModelCall, usage_of
from domain.conversations.entities import (
    GENERAL,
    RETRYABLE,
    EventKind,
    Insight,
    Message,
    MessageRole,
    Run,
    RunError,
    RunStatus,
    known_of,
    notes_of,
    stored,
    stream_of,
)
from domain.entities import made_at
from domain.errors import NotFound, RateLimited, Refusal, RefusalCode
from domain.work import Work

if TYPE_CHECKING:
    from domain.jobs import Office

MOST_RUNNING: Final = 5
MOST_QUEUED: Final = 20
# Of workers that ended while they had it; the next one gives it up.
MOST_ATTEMPTS: Final = 4
# A run that was just begun is about to be taken up.
ALONE: Final = timedelta(minutes=1)
OPEN: Final = frozenset({RunStatus.QUEUED, RunStatus.RUNNING})
# What a place in a full queue takes to become free, roughly.
RETRY_AFTER: Final = 10

SAYS: Final = {
    RunError.CANCELLED: ("The answer was cancelled.", None),
    RunError.INTERNAL: ("Something went wrong on our side.", "Try again in a moment."),
    RunError.INTERRUPTED: ("The answer was interrupted several times.", "Try again in a moment."),
    RunError.MODEL_DOWN: ("The language model does not answer at present.", "Try again in a few minutes."),
    RunError.MODEL_REFUSED: ("The language model declined to answer this.", "Ask in other words."),
    RunError.OUT_OF_SIGHT: ("You do not see every client whom the answer speaks of.", None),
    RunError.SESSION_ENDED: ("The session in which this was asked has ended.", "Sign in and ask again."),
}


class RunLost(Exception):  # noqa: N818 - it tells whoever works on a run to let go of it
    """The run has ended, or somebody else has taken it up."""


class Assistant(Protocol):
    """Whoever answers."""

    async def answer(self, office: "Office", run_id: UUID) -> None:
        """Take a run up and carry it to its end."""
        ...

    async def entitle(self, office: "Office", exchange: titles.Exchange) -> titles.Titled:
        """Say what an exchange is to be called."""
        ...


async def carry_out(office: "Office", run_id: UUID) -> None:
    """Answer what was asked. A job: after a kill it is begun again where it stopped."""
    await office.assistant.answer(office, run_id)


async def begin(work: Work, viewer: Viewer, question: Message, answer: Message, *, retry_of: UUID | None = None) -> Run:
    """Start the run of an answer, or have it wait for its turn. Raises RateLimited where too many wait already."""
    if answer.run_id is None:
        raise ValueError("an answer is of a run")
    counts = await work.runs.open_counts(viewer.user_id)
    free = counts.get(RunStatus.RUNNING, 0) < MOST_RUNNING
    if not free and counts.get(RunStatus.QUEUED, 0) >= MOST_QUEUED:
        raise RateLimited("Too many of your questions wait for an answer.", retry_after=RETRY_AFTER)
    run = Run(
        id=answer.run_id,
        conversation_id=answer.conversation_id,
        message_id=answer.id,
        question_id=question.id,
        user_id=viewer.user_id,
        session_id=viewer.session_id,
        status=RunStatus.RUNNING if free else RunStatus.QUEUED,
        attempt=0,
        created_at=work.now,
        started_at=None,
        ended_at=None,
        error=None,
        retry_of=retry_of,
    )
    await work.runs.add(run)
    if free:
        _have_carried_out(work, run)
    return run


def _have_carried_out(work: Work, run: Run) -> None:
    work.enqueue(carry_out, run.id, key=f"run {run.id}")


async def take(work: Work, _: Viewer, run_id: UUID) -> Run | None:
    """Take a run up, for whoever carries it out; none if there is nothing to do, or it was tried too often."""
    run = await _alone_with(work, run_id)
    if run is None or run.status is not RunStatus.RUNNING:
        return None
    if run.attempt >= MOST_ATTEMPTS:
        await end(work, run, RunError.INTERRUPTED)
        return None
    taken = msgspec.structs.replace(run, attempt=run.attempt + 1)
    await work.runs.change(taken)
    return taken


async def start(work: Work, run: Run) -> None:
    """Tell that an answer has begun, whose run's lock is held, unless it had before.

    After it is noted whom the answer is about by then: whoever may not see it is not told of it.
    """
    if run.started_at is None:
        await work.runs.change(msgspec.structs.replace(run, started_at=work.now))
        work.append(stream_of(run.conversation_id), EventKind.RUN_STARTED, run.message_id, 1)


async def held(work: Work, run: Run) -> Run:
    """The run with its lock, in the attempt that is worked on; raises RunLost."""
    return _as_held(await work.runs.locked(run.id), run)


async def check(work: Work, _: Viewer, run: Run) -> None:
    """See whether a run is still worked on in this attempt, without waiting for its lock; raises RunLost."""
    _as_held(await work.runs.known(run.id), run)


def _as_held(now: Run | None, run: Run) -> Run:
    if now is None or now.status is not RunStatus.RUNNING or now.attempt != run.attempt:
        raise RunLost
    return now


async def conclude(
    work: Work, _: Viewer, run: Run, error: RunError | None = None, calls: Sequence[ModelCall] = ()
) -> Message:
    """End a run, without an error with its whole answer, which is what its steps have told. Raises RunLost.

    `calls` are those of models that are not noted yet.
    """
    await work.runs.seat(run.user_id)
    now = await held(work, run)
    await work.runs.note(calls)
    return await end(work, now, error)


async def cancel(work: Work, run_id: UUID) -> Run:
    """End a run by the hand of somebody who may. Raises NotFound. Refuses: RUN_ENDED."""
    run = await _alone_with(work, run_id)
    if run is None:
        raise NotFound
    if run.status not in OPEN:
        raise Refusal(RefusalCode.RUN_ENDED, "The run has ended already.", ("input", "runId"))
    await _take_away(work, run, RunError.CANCELLED)
    return msgspec.structs.replace(run, status=RunStatus.CANCELLED, ended_at=work.now, error=RunError.CANCELLED)


async def cancel_about(work: Work, client_id: UUID) -> None:
    """End all runs, of whoever, whose answers hold data of a client that is erased."""
    async with work.as_firm():
        await _take_all_away(work, await work.runs.open_about(client_id), RunError.CANCELLED)


async def end_all_by(work: Work, user_id: UUID) -> None:
    """End all runs, wherever, of a user that is erased."""
    async with work.as_firm():
        await _take_all_away(work, await work.runs.open_by(user_id), RunError.SESSION_ENDED)


async def _take_all_away(work: Work, found: Sequence[Run], error: RunError) -> None:
    for user_id in sorted({run.user_id for run in found}):
        await work.runs.seat(user_id)
    for each in sorted(found, key=lambda run: run.id):
        run = await work.runs.locked(each.id)
        if run is not None and run.status in OPEN:
            await _take_away(work, run, error)


async def _take_away(work: Work, run: Run, error: RunError) -> None:
    await end(work, run, error)
    # Whoever works on it lets go of it.
    work.wake(topic_of(run.id))


def topic_of(run_id: UUID) -> str:
    """What is rung when a run has ended by another's hand."""
    return f"run:{run_id}"


async def _alone_with(work: Work, run_id: UUID) -> Run | None:
    """The run with its lock, and alone with all of its user's runs; the seat comes before the row, always."""
    run = await work.runs.known(run_id)
    if run is None:
        return None
    await work.runs.seat(run.user_id)
    return await work.runs.locked(run_id)


async def end(work: Work, run: Run, error: RunError | None) -> Message:
    """End a run whose lock and seat are held, whoever ends it.

    What its events have told so far is in its message from now on, and what was used for it and what it has cost.
    """
    message = await work.messages.known(run.message_id)
    whole = await settled(work, message)
    if error is not None:
        whole.append(_told(error))
    ended = msgspec.structs.replace(
        message,
        blocks=content.stored(whole),
        insight=stored(await _known(work, run, message)),
        version=message.version + 1,
    )
    await work.messages.change(ended)
    await work.messages.index(message.id, words_of(whole))
    await work.runs.end(run, msgspec.structs.replace(run, status=_status(error), ended_at=work.now, error=error))
    since = await work.runs.forget_steps(message.id)
    kind = EventKind.RUN_FAILED if error else EventKind.RUN_COMPLETED
    work.append(stream_of(run.conversation_id), kind, message.id, ended.version, since=since)
    work.enqueue(seat_next, run.user_id)
    if error is None:
        await titles.enqueue_if_due(work, run)
    return ended


def hidden(answer_id: UUID, conversation_id: UUID, version: int) -> Message:
    """An answer as it is shown to whoever was told some of it, and does not see whom it speaks of: just that."""
    return Message(
        id=answer_id,
        conversation_id=conversation_id,
        role=MessageRole.ASSISTANT,
        author_id=None,
        agent=GENERAL,
        reply_to_id=None,
        run_id=None,
        created_at=made_at(answer_id),
        blocks=content.stored([_told(RunError.OUT_OF_SIGHT)]),
        insight=stored(Insight()),
        version=version,
    )


async def _known(work: Work, run: Run, message: Message) -> Insight:
    """What is known of an answer for good."""
    tools = notes_of(await work.runs.uses(run.id))
    usage = usage_of(await work.runs.charges(run.id, CallPurpose.ANSWER))
    return msgspec.structs.replace(known_of(message), tools=tools, usage=usage)


def _status(error: RunError | None) -> RunStatus:
    if error is None:
        return RunStatus.COMPLETED
    return RunStatus.CANCELLED if error is RunError.CANCELLED else RunStatus.FAILED


def _told(error: RunError) -> AnyBlock:
    text, suggestion = SAYS[error]
    if error is RunError.CANCELLED:
        return SystemBlock(about=SystemKind.STATUS, text=text)
    return ErrorBlock(code=error.value, message=text, retryable=error in RETRYABLE, suggestion=suggestion)


async def settled(work: Work, message: Message) -> list[AnyBlock]:
    """The blocks of a running answer: those that are stored, and what was said since."""
    known = list(content.read(message.blocks))
    said = await work.runs.said(message.id)
    text = said.get(len(known), "")
    return [*known, TextBlock(text=text)] if text else known


async def seat_next(office: "Office", user_id: UUID) -> None:
    """Let a user's next runs begin where others have ended. A job."""
    await office.write(seat, user_id)


async def seat(work: Work, _: Viewer, user_id: UUID) -> int:
    """Let a user's next runs begin while there are seats; gives how many."""
    await work.runs.seat(user_id)
    running = (await work.runs.open_counts(user_id)).get(RunStatus.RUNNING, 0)
    begun = 0
    while running + begun < MOST_RUNNING and (run := await work.runs.next_queued(user_id)):
        await work.runs.change(msgspec.structs.replace(run, status=RunStatus.RUNNING))
        _have_carried_out(work, run)
        begun += 1
    return begun


async def revive(office: "Office") -> None:
    """Take care of runs that nobody does: their jobs have died, or a worker that had lost a run ended its job."""
    await office.write(have_cared_for)


async def have_cared_for(work: Work, _: Viewer) -> None:
    """Have all open runs carried on whose job is neither waiting nor running, and seats filled that are free."""
    left = await work.runs.open_before(work.now - ALONE)
    for run in left:
        if run.status is RunStatus.RUNNING:
            _have_carried_out(work, run)
    for user_id in sorted({run.user_id for run in left if run.status is RunStatus.QUEUED}):
        work.enqueue(seat_next, user_id, key=f"seats of {user_id}")


def words_of(whole: Sequence[AnyBlock]) -> str:
    """The words that a message is found by."""
    texts: list[str] = []
    for block in whole:
        match block:
            case content.TextBlock():
                texts.append(block.text)
            case content.TableBlock():
                texts += [block.title, *(cell for row in block.rows for cell in row if cell)]
            case content.ChartBlock():
                texts.append(block.title)
            case content.ActionCardBlock():
                texts.append(block.label)
            case content.ConfirmationBlock():
                texts.append(block.summary)
            case content.ErrorBlock() | content.SystemBlock():
                continue
    return " ".join(texts)


def message(
    work: Work,
    conversation_id: UUID,
    role: MessageRole,
    *,
    author_id: UUID | None = None,
    reply_to_id: UUID | None = None,
    run_id: UUID | None = None,
    blocks: Sequence[AnyBlock] = (),
    insight: Insight | None = None,
) -> Message:
    """A new message."""
    return Message(
        id=work.new_id(),
        conversation_id=conversation_id,
        role=role,
        author_id=author_id,
        agent=GENERAL if role is MessageRole.ASSISTANT else None,
        reply_to_id=reply_to_id,
        run_id=run_id,
        created_at=work.now,
        blocks=content.stored(blocks),
        insight=stored(insight or Insight()),
        version=1,
    )
