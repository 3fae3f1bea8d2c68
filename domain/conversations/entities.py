"""Conversations, who takes part in them, their messages, and the runs that answer."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from domain.conversations.costs import Usage
from domain.entities import Entity
from domain.refs import Ref

LONGEST_CONTENT: Final = 20_000
LONGEST_TITLE: Final = 200
MOST_PARTICIPANTS: Final = 50
GENERAL: Final = "general"


class Module(StrEnum):
    """What a conversation is for.

    ADVISORY: Looking after clients.
    BRAINSTORM: Turning ideas over.
    PLANNING: Planning for a client's goals.
    SUPPORT: Help with the office itself.
    """

    ADVISORY = "ADVISORY"
    BRAINSTORM = "BRAINSTORM"
    PLANNING = "PLANNING"
    SUPPORT = "SUPPORT"


class Mode(StrEnum):
    """Who writes in a conversation.

    SOLO: Its owner alone; those with whom it is shared read it.
    GROUP: All who take part.
    """

    SOLO = "SOLO"
    GROUP = "GROUP"


class MessageRole(StrEnum):
    """Whose words a message is.

    USER: A person's.
    ASSISTANT: The assistant's.
    SYSTEM: The system's own.
    TOOL: What a tool has found.
    """

    USER = "USER"
    ASSISTANT = "ASSISTANT"
    SYSTEM = "SYSTEM"
    TOOL = "TOOL"


class RunStatus(StrEnum):
    """Where a run stands.

    QUEUED: It waits until another run of the same user has ended.
    RUNNING: The assistant is at work, or about to be.
    COMPLETED: The answer is there.
    FAILED: It has ended without a whole answer.
    CANCELLED: Somebody has cancelled it.
    """

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class AgentState(StrEnum):
    """What an agent is doing.

    THINKING: It considers what to say.
    TOOL_CALL: It looks something up.
    DELEGATING: It hands over to another agent.
    """

    THINKING = "THINKING"
    TOOL_CALL = "TOOL_CALL"
    DELEGATING = "DELEGATING"


class EventKind(StrEnum):
    """What has happened in a conversation."""

    RUN_STARTED = "RUN_STARTED"
    AGENT_STATUS = "AGENT_STATUS"
    TEXT_DELTA = "TEXT_DELTA"
    BLOCK_ADDED = "BLOCK_ADDED"
    RUN_COMPLETED = "RUN_COMPLETED"
    RUN_FAILED = "RUN_FAILED"
    MESSAGE_POSTED = "MESSAGE_POSTED"
    PARTICIPANT_JOINED = "PARTICIPANT_JOINED"
    CONVERSATION_DELETED = "CONVERSATION_DELETED"


class RunError(StrEnum):
    """Why a run has ended without a whole answer.

    CANCELLED: Somebody has cancelled it.
    INTERNAL: Something went wrong in the server.
    INTERRUPTED: Its server ended again and again while it ran.
    MODEL_DOWN: No language model answers at present.
    MODEL_REFUSED: The language model declined what it was asked.
    OUT_OF_SIGHT: Whoever asked sees a client no longer whom the answer speaks of; or whoever follows it, and was told
    some of it, does not see whom it turns out to speak of.
    SESSION_ENDED: The session of whoever asked has ended.
    """

    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"
    INTERRUPTED = "INTERRUPTED"
    MODEL_DOWN = "MODEL_DOWN"
    MODEL_REFUSED = "MODEL_REFUSED"
    OUT_OF_SIGHT = "OUT_OF_SIGHT"
    SESSION_ENDED = "SESSION_ENDED"


RETRYABLE: Final = frozenset({RunError.CANCELLED, RunError.INTERNAL, RunError.INTERRUPTED, RunError.MODEL_DOWN})


class Conversation(Entity, frozen=True):
    """A conversation with the office. `updated_at` is when the last message was posted."""

    id: UUID
    owner_id: UUID
    module: Module
    mode: Mode
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    version: int


class Title(Entity, frozen=True):
    """What a conversation is called; seen by who sees the message that it was made from, if it was made from one."""

    id: UUID
    title: str
    message_id: UUID | None


class Participant(Entity, frozen=True):
    """Somebody who takes part in a conversation."""

    id: UUID
    conversation_id: UUID
    user_id: UUID
    added_by: UUID
    joined_at: datetime


class MentionedClient(Entity, frozen=True):
    """A client whose data a message holds: who does not see it does not see the message."""

    conversation_id: UUID
    message_id: UUID
    client_id: UUID


class ToolNote(msgspec.Struct, frozen=True):
    """A tool that was used for an answer, and what it was used for, in words for people."""

    name: str
    line: str
    failed: bool = False


class Context(msgspec.Struct, frozen=True):
    """What the user is looking at while it writes: the objects, and the page's own name for itself."""

    refs: tuple[Ref, ...] = ()
    page: str | None = None


class Mention(msgspec.Struct, frozen=True):
    """What a message speaks of: its kind, such as an amount, the words, and what they mean, where that is plain."""

    kind: str
    text: str
    value: str | None = None


class Citation(msgspec.Struct, frozen=True):
    """The object that a figure of an answer comes from."""

    label: str
    ref: Ref


class Insight(msgspec.Struct, frozen=True):
    """What is known of a message for good, stored as JSON."""

    context: Context = Context()
    tools: tuple[ToolNote, ...] = ()
    usage: Usage | None = None
    intent: str | None = None
    entities: tuple[Mention, ...] = ()
    sentiment: str | None = None
    citations: tuple[Citation, ...] = ()


_INSIGHT: Final = msgspec.json.Decoder(Insight)


class Message(Entity, frozen=True):
    """A message. `blocks` and `insight` are JSON as it is stored; a running answer's hold what is settled by then."""

    id: UUID
    conversation_id: UUID
    role: MessageRole
    author_id: UUID | None
    agent: str | None
    reply_to_id: UUID | None
    run_id: UUID | None
    created_at: datetime
    blocks: str
    insight: str
    version: int


class Run(Entity, frozen=True):
    """A run: the work on one answer, in the name of who asked.

    `attempt` rises whenever a worker takes it up, and fences off whoever had it before.
    """

    id: UUID
    conversation_id: UUID
    message_id: UUID
    question_id: UUID
    user_id: UUID
    session_id: UUID
    status: RunStatus
    attempt: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: RunError | None
    retry_of: UUID | None


class ToolUse(Entity, frozen=True):
    """A finished call of a tool: its place in the run, what the model wrote before it, and what came of it.

    What it wrote, it `said` in the block that has this place in the message, behind what earlier rounds said in it.
    `facts` is the JSON that the model was told, or, if it has `failed`, the message.
    """

    id: UUID
    run_id: UUID
    message_id: UUID
    round: int
    position: int
    block: int
    said: str
    call_id: str
    name: str
    arguments: str
    line: str
    facts: str
    failed: bool
    used_at: datetime


def known_of(message: Message) -> Insight:
    """What is known of a message for good."""
    return _INSIGHT.decode(message.insight)


def stored(insight: Insight) -> str:
    """What is known of a message, as it is stored."""
    return msgspec.json.encode(insight).decode()


class Step(Entity, frozen=True):
    """What an event of a running answer tells: some words of a block, or what an agent is doing.

    `block` is the block's place in the message, `start` where the words begin in its text, in UTF-16 units, as
    JavaScript counts. Steps are gone when the run has ended, for its message has them all.
    """

    conversation_id: UUID
    message_id: UUID
    seq: int
    state: AgentState | None
    agent: str
    block: int
    start: int
    text: str


def notes_of(uses: Sequence[ToolUse]) -> tuple[ToolNote, ...]:
    """What is told of the tools that were used for an answer."""
    return tuple(ToolNote(use.name, use.line, use.failed) for use in uses)


class OpenText(msgspec.Struct, frozen=True):
    """What was said of a block of a running answer so far."""

    message_id: UUID
    block: int
    text: str


class QueuePlace(msgspec.Struct, frozen=True):
    """The place of a run in its user's queue, from 1 on."""

    run_id: UUID
    position: int


class ConversationFilter(msgspec.Struct, frozen=True):
    """Which conversations a list holds."""

    module: Module | None = None
    mode: Mode | None = None
    archived: bool | None = None


class MessageFilter(msgspec.Struct, frozen=True):
    """Which messages a list holds."""

    roles: tuple[MessageRole, ...] | None = None
    search: str | None = None


def may_write(conversation: Conversation, user_id: UUID) -> bool:
    """Whether somebody who takes part in a conversation writes in it, and ends its runs."""
    return conversation.mode is Mode.GROUP or conversation.owner_id == user_id


def stream_of(conversation_id: UUID) -> str:
    """The event stream of a conversation."""
    return f"conversation:{conversation_id}"


def utf16(text: str) -> int:
    """The length of a text in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)
