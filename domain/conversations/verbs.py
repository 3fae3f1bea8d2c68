"""Starting conversations, saying something in them, sharing, renaming, archiving and deleting them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.conversations import runs
from domain.conversations.blocks import TextBlock
from domain.conversations.entities import (
    LONGEST_CONTENT,
    LONGEST_TITLE,
    MOST_PARTICIPANTS,
    RETRYABLE,
    Context,
    Conversation,
    EventKind,
    Insight,
    Message,
    MessageRole,
    Mode,
    Module,
    Participant,
    Run,
    Title,
    may_write,
    stream_of,
)
from domain.conversations.looking import looked_at
from domain.conversations.titles import shortened
from domain.errors import NotFound, Refusal, RefusalCode
from domain.receipts import claim
from domain.refs import Ref
from domain.text import invalid
from domain.work import Work

LONGEST_PAGE: Final = 200


class NewConversation(msgspec.Struct, frozen=True):
    """What starts a conversation."""

    module: Module = Module.ADVISORY
    mode: Mode = Mode.SOLO
    title: str | None = None


class Post(msgspec.Struct, frozen=True):
    """What is said, and what is looked at meanwhile; without a conversation it starts one."""

    content: str
    idempotency_key: str
    conversation_id: UUID | None = None
    refs: tuple[Ref, ...] = ()
    page: str | None = None


class Sent(msgspec.Struct, frozen=True):
    """What was said, and the answer to come."""

    conversation: Conversation
    question: Message
    answer: Message
    run: Run


async def start(work: Work, viewer: Viewer, new: NewConversation) -> Conversation:
    """Start a conversation. Refuses: INVALID_VALUE."""
    require(viewer, Action.CONVERSE)
    conversation = Conversation(
        id=work.new_id(),
        owner_id=viewer.user_id,
        module=new.module,
        mode=new.mode,
        created_at=work.now,
        updated_at=work.now,
        archived_at=None,
        version=1,
    )
    await work.conversations.add(conversation)
    await _join(work, viewer, conversation.id, viewer.user_id)
    if new.title is not None:
        await work.conversations.entitle(Title(conversation.id, _title(new.title), None))
    return conversation


async def send(work: Work, viewer: Viewer, post: Post) -> Sent:
    """Say something, and have it answered. Raises NotFound and RateLimited.

    Refuses: INVALID_VALUE, READ_ONLY, ARCHIVED, IDEMPOTENCY_CONFLICT.
    """
    require(viewer, Action.CONVERSE)
    text = _content(post.content)
    await work.privacy.people_stand()
    run_id, repeated = await claim(work, viewer, "sendMessage", post.idempotency_key, post)
    if repeated:
        return await _sent_before(work, viewer, run_id)
    await work.runs.seat(viewer.user_id)
    conversation = await _writable(work, viewer, post.conversation_id)
    looked = await looked_at(work, viewer, post.refs)
    clients = frozenset(client for each in looked for client in each.clients)
    insight = Insight(context=Context(post.refs, _page(post.page)))
    question = runs.message(
        work,
        conversation.id,
        MessageRole.USER,
        author_id=viewer.user_id,
        run_id=run_id,
        blocks=[TextBlock(text=text)],
        insight=insight,
    )
    await work.messages.post(question, text, clients)
    answer = await _answer(work, question, run_id, clients)
    run = await runs.begin(work, viewer, question, answer)
    await work.conversations.entitle(Title(conversation.id, shortened(text), question.id))
    await work.conversations.touch(conversation.id, work.now)
    work.append(stream_of(conversation.id), EventKind.MESSAGE_POSTED, question.id, question.version)
    return Sent(conversation, question, answer, run)


async def cancel(work: Work, viewer: Viewer, run_id: UUID) -> Run:
    """Have the assistant stop; what it has said so far stays. Raises NotFound. Refuses: READ_ONLY, RUN_ENDED."""
    require(viewer, Action.CONVERSE)
    run = await work.runs.known(run_id)
    if run is None:
        raise NotFound
    _check_writer(await work.conversations.one(viewer, run.conversation_id), viewer, "runId")
    return await runs.cancel(work, run_id)


async def retry(work: Work, viewer: Viewer, run_id: UUID) -> Sent:
    """Have a question answered once more, whose run has failed. Raises NotFound and RateLimited.

    Refuses: READ_ONLY, ARCHIVED, RUN_NOT_FAILED.
    """
    require(viewer, Action.CONVERSE)
    await work.runs.seat(viewer.user_id)
    failed = await work.runs.locked(run_id)
    if failed is None:
        raise NotFound
    conversation = await _writable(work, viewer, failed.conversation_id)
    if failed.error not in RETRYABLE or await work.runs.is_retried(failed.id):
        raise Refusal(
            RefusalCode.RUN_NOT_FAILED, "The run has not failed, or was tried again already.", ("input", "runId")
        )
    question = await work.messages.one(viewer, failed.question_id)
    clients = await work.messages.clients_of([question.id])
    answer = await _answer(work, question, work.new_id(), clients)
    run = await runs.begin(work, viewer, question, answer, retry_of=failed.id)
    await work.conversations.touch(conversation.id, work.now)
    return Sent(conversation, question, answer, run)


async def rename(work: Work, viewer: Viewer, conversation_id: UUID, title: str) -> Conversation:
    """Give a conversation another title. Refuses: INVALID_VALUE, READ_ONLY."""
    require(viewer, Action.CONVERSE)
    conversation = await _own(work, viewer, conversation_id)
    await work.conversations.rename(conversation.id, _title(title))
    return await _changed(work, conversation)


async def archive(work: Work, viewer: Viewer, conversation_id: UUID, *, archived: bool) -> Conversation:
    """Put a conversation away, or take it out again; what is archived takes no messages. Refuses: READ_ONLY."""
    require(viewer, Action.CONVERSE)
    conversation = await _own(work, viewer, conversation_id)
    if (conversation.archived_at is not None) == archived:
        return conversation
    return await _changed(work, conversation, archived_at=work.now if archived else None)


async def delete(work: Work, viewer: Viewer, conversation_id: UUID) -> UUID:
    """Delete a conversation of one's own, with all that was said and what its runs have left. Refuses: READ_ONLY."""
    require(viewer, Action.CONVERSE)
    conversation = await _own(work, viewer, conversation_id)
    # Their locks come before the messages' own: whoever writes of a run has its lock first, too.
    open_runs = await work.runs.open_of(conversation.id)
    await work.conversations.remove(conversation)
    await tell_deleted(work, conversation.id, open_runs)
    return conversation.id


async def tell_deleted(work: Work, conversation_id: UUID, open_runs: Sequence[tuple[UUID, UUID]]) -> None:
    """Have all who follow a conversation hear that it is gone; `open_runs` went with it, each with whose it was."""
    await work.conversations.forget(conversation_id)
    for run_id, user_id in open_runs:
        work.wake(runs.topic_of(run_id))
        work.enqueue(runs.seat_next, user_id)
    # It stands for all that was there: so no cursor is too old for it.
    work.append(stream_of(conversation_id), EventKind.CONVERSATION_DELETED, conversation_id, 1, since=1)


async def share(work: Work, viewer: Viewer, conversation_id: UUID, user_id: UUID) -> Conversation:
    """Let a colleague take part, who sees every client that the conversation speaks of. Raises NotFound.

    Refuses: READ_ONLY, NOT_SHAREABLE, INVALID_VALUE where too many take part already.
    """
    require(viewer, Action.CONVERSE)
    conversation = await _own(work, viewer, conversation_id)
    present = await work.conversations.participants(viewer, [conversation.id])
    if any(participant.user_id == user_id for participant in present):
        return conversation
    if len(present) >= MOST_PARTICIPANTS:
        raise invalid("userId", f"At most {MOST_PARTICIPANTS} take part in a conversation.")
    await work.identities.user(user_id)
    clients = await work.conversations.mentioned(conversation.id)
    if not await work.conversations.sees_all(user_id, list(clients), work.now):
        message = "This person does not see every client that the conversation speaks of."
        raise Refusal(RefusalCode.NOT_SHAREABLE, message, ("input", "userId"))
    participant = await _join(work, viewer, conversation.id, user_id)
    work.append(stream_of(conversation.id), EventKind.PARTICIPANT_JOINED, participant.id, 1)
    return await _changed(work, conversation)


async def leave(work: Work, viewer: Viewer, conversation_id: UUID, user_id: UUID) -> Conversation | None:
    """Leave a conversation, or have somebody leave one's own; its owner stays. Raises NotFound. Refuses: READ_ONLY."""
    require(viewer, Action.CONVERSE)
    conversation = await work.conversations.locked(viewer, conversation_id)
    if viewer.user_id not in {user_id, conversation.owner_id}:
        raise _read_only("userId")
    if user_id == conversation.owner_id:
        raise invalid("userId", "The owner of a conversation deletes it instead.")
    present = await work.conversations.participants(viewer, [conversation.id])
    found = next((participant for participant in present if participant.user_id == user_id), None)
    if found is None:
        raise NotFound
    await work.conversations.part(found)
    work.wake(stream_of(conversation.id))
    return conversation if viewer.user_id == conversation.owner_id else None


async def _join(work: Work, viewer: Viewer, conversation_id: UUID, user_id: UUID) -> Participant:
    participant = Participant(work.new_id(), conversation_id, user_id, viewer.user_id, work.now)
    await work.conversations.join(participant)
    return participant


async def _own(work: Work, viewer: Viewer, conversation_id: UUID) -> Conversation:
    """The viewer's own conversation, with its lock. Raises NotFound. Refuses: READ_ONLY."""
    conversation = await work.conversations.locked(viewer, conversation_id)
    if conversation.owner_id != viewer.user_id:
        raise _read_only("conversationId")
    return conversation


async def _writable(work: Work, viewer: Viewer, conversation_id: UUID | None) -> Conversation:
    """The conversation that the viewer writes in; a new one, if none is named."""
    if conversation_id is None:
        return await start(work, viewer, NewConversation())
    conversation = await work.conversations.one(viewer, conversation_id)
    _check_writer(conversation, viewer, "conversationId")
    if conversation.archived_at is not None:
        raise Refusal(RefusalCode.ARCHIVED, "The conversation is archived.", ("input", "conversationId"))
    return conversation


def _check_writer(conversation: Conversation, viewer: Viewer, field: str) -> None:
    if not may_write(conversation, viewer.user_id):
        raise _read_only(field)


def _read_only(field: str) -> Refusal:
    return Refusal(
        RefusalCode.READ_ONLY, "The conversation is shared with you to be read; its owner decides.", ("input", field)
    )


async def _changed(work: Work, before: Conversation, **changes: object) -> Conversation:
    after = msgspec.structs.replace(before, version=before.version + 1, **changes)
    return await work.conversations.replace(before, after)


async def _answer(work: Work, question: Message, run_id: UUID, clients: frozenset[UUID]) -> Message:
    """The answer to come, as long as nothing of it is known."""
    answer = runs.message(work, question.conversation_id, MessageRole.ASSISTANT, reply_to_id=question.id, run_id=run_id)
    await work.messages.post(answer, "", clients)
    return answer


async def _sent_before(work: Work, viewer: Viewer, run_id: UUID) -> Sent:
    run = await work.runs.known(run_id)
    if run is None:
        raise NotFound
    return Sent(
        await work.conversations.one(viewer, run.conversation_id),
        await work.messages.one(viewer, run.question_id),
        await work.messages.one(viewer, run.message_id),
        run,
    )


def _content(text: str) -> str:
    if not text.strip():
        raise invalid("content", "A message has words.")
    if len(text) > LONGEST_CONTENT:
        raise invalid("content", f"A message has at most {LONGEST_CONTENT:,} characters.")
    return text.strip()


def _page(page: str | None) -> str | None:
    if page is not None and len(page) > LONGEST_PAGE:
        raise invalid("context.page", f"The name of a page has at most {LONGEST_PAGE} characters.")
    return page


def _title(text: str) -> str:
    title = " ".join(text.split())
    if not 1 <= len(title) <= LONGEST_TITLE:
        raise invalid("title", f"A title has 1 to {LONGEST_TITLE} characters.")
    return title
