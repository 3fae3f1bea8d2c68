"""The events of conversations as the schema shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
import strawberry
from strawberry import ID

from domain.conversations import costs, entities
from domain.conversations.blocks import AnyBlock
from domain.conversations.entities import RETRYABLE, AgentState, Insight, RunError, known_of
from domain.conversations.runs import SAYS
from domain.refs import Ref
from graph.conversations.blocks import Block
from graph.conversations.types import Citation, Message, MessageEntity, Participant, ToolUse, Usage
from graph.cost import cost
from graph.described import interface, type_
from graph.nodes import OfEntity


class Told(msgspec.Struct, frozen=True):
    """An event of a conversation as it is told."""

    cursor: str
    occurred_at: datetime


class OfMessage(Told, frozen=True):
    """An event with the message that it is about."""

    message: entities.Message


class Started(OfMessage, frozen=True):
    """The assistant has begun with an answer."""

    @property
    def agent(self) -> str:
        """The agent that answers."""
        return self.message.agent or entities.GENERAL


class Posted(OfMessage, frozen=True):
    """Somebody has posted a message."""


class Completed(OfMessage, frozen=True):
    """An answer is there."""

    since: str

    @property
    def insight(self) -> Insight:
        """What is known of the answer."""
        return known_of(self.message)


class Failed(OfMessage, frozen=True):
    """An answer has ended before it was whole."""

    since: str
    code: RunError


class OfAnswer(Told, frozen=True):
    """An event of an answer that is being written."""

    answer_id: UUID

    @property
    def message_id(self) -> str:
        """The answer's id as clients see it."""
        return str(Ref("message", self.answer_id))


class Status(OfAnswer, frozen=True):
    """What an agent is doing."""

    state: AgentState
    agent: str
    line: str


class Delta(OfAnswer, frozen=True):
    """Some further words."""

    position: int
    start: int
    text: str


class Added(OfAnswer, frozen=True):
    """A further block."""

    position: int
    block: AnyBlock


class Joined(Told, frozen=True):
    """Somebody takes part."""

    participant: entities.Participant


class Deleted(Told, frozen=True):
    """The conversation is gone."""

    conversation: UUID


@interface
class ConversationUpdate(OfEntity):
    """What all events of a conversation have in common.

    cursor: The place to go on from, as the argument `after`, when the connection is lost.
    occurred_at: When it happened.
    """

    cursor: str
    occurred_at: datetime


@type_
class RunStarted(ConversationUpdate):
    """The assistant has begun with an answer.

    message: The answer as it is by now: read late, it is ahead of the words that are told next.
    agent: The agent that answers.
    """

    entity = Started

    message: Message
    agent: str


@type_
class AgentStatus(ConversationUpdate):
    """What an agent is doing for an answer.

    message_id: The answer.
    state: What it is doing.
    agent: Which agent it is.
    line: A line for people.
    """

    entity = Status

    message_id: ID
    state: AgentState
    agent: str
    line: str


@type_
class TextDelta(ConversationUpdate):
    """Some further words of an answer.

    message_id: The answer.
    position: The place of the text among the answer's blocks, from 0 on.
    start: Where the words begin in that text, in UTF-16 units, as JavaScript counts; who has that much of the text
    already leaves out what it has.
    text: The words.
    """

    entity = Delta

    message_id: ID
    position: int
    start: int
    text: str


@type_
class BlockAdded(ConversationUpdate):
    """A further block of an answer.

    message_id: The answer.
    position: Its place among the answer's blocks, from 0 on.
    block: The block.
    """

    entity = Added

    message_id: ID
    position: int
    block: Block


@type_
class RunCompleted(ConversationUpdate):
    """An answer is there. From now on this event stands for all others about it, which are told no longer.

    since: The cursor after which everything that was told about the answer is in its message.
    message: The whole answer.
    """

    entity = Completed

    since: str
    message: Message

    @strawberry.field(description="What was wanted, where that is understood.")
    def intent(self: Completed) -> str | None:
        """The intent's name."""
        return self.insight.intent

    @strawberry.field(
        name="entities",
        description="What it speaks of, where that is understood.",
        graphql_type=list[MessageEntity],
        metadata=cost(size=3),
    )
    def mentions(self: Completed) -> Sequence[entities.Mention]:
        """The entities, in the order of the words."""
        return self.insight.entities

    @strawberry.field(description="The tools that were used.", graphql_type=list[ToolUse], metadata=cost(size=2))
    def tools_used(self: Completed) -> Sequence[entities.ToolNote]:
        """The tools, in order."""
        return self.insight.tools

    @strawberry.field(description="Where its figures come from.", graphql_type=list[Citation], metadata=cost(size=3))
    def citations(self: Completed) -> Sequence[entities.Citation]:
        """The objects that figures are of."""
        return self.insight.citations

    @strawberry.field(description="What it has cost.", graphql_type=Usage | None)
    def usage(self: Completed) -> costs.Usage | None:
        """Tokens and price."""
        return self.insight.usage


@type_
class RunFailed(ConversationUpdate):
    """An answer has ended before it was whole. This event stands for all others about it, as RunCompleted does.

    With OUT_OF_SIGHT it may have ended for the viewer alone: some of it was told before it turned out to speak of a
    client whom the viewer does not see. Then drop what was told of it, for the message says nothing but that. It is
    there no longer for whoever asks for it, and neither may be the question. Whoever was away just then is told so when
    it comes back with a cursor of that answer's.

    since: The cursor after which everything that was told about the answer is in its message.
    message: The answer as far as it came, and why it came no further.
    code: Why it has ended.
    """

    entity = Failed

    since: str
    message: Message
    code: RunError

    @strawberry.field(description="Whether `retryRun` may try it again.")
    def retryable(self: Failed) -> bool:
        """Whether the same may succeed later."""
        return self.code in RETRYABLE

    @strawberry.field(description="Why it has ended, for people.")
    def reason(self: Failed) -> str:
        """A sentence."""
        return SAYS[self.code][0]


@type_
class MessagePosted(ConversationUpdate):
    """Somebody has posted a message.

    message: The message.
    """

    entity = Posted

    message: Message


@type_
class ParticipantJoined(ConversationUpdate):
    """Somebody takes part from now on.

    participant: Who it is.
    """

    entity = Joined

    participant: Participant


@type_
class ConversationDeleted(ConversationUpdate):
    """The conversation was deleted, and all that was said with it. Nothing comes after this."""

    entity = Deleted

    @strawberry.field(description="The id that it had.")
    def conversation_id(self: Deleted) -> ID:
        """The id as clients knew it."""
        return ID(str(Ref("conversation", self.conversation)))


ConversationEvent: TypeAlias = Annotated[
    RunStarted
    | AgentStatus
    | TextDelta
    | BlockAdded
    | RunCompleted
    | RunFailed
    | MessagePosted
    | ParticipantJoined
    | ConversationDeleted,
    strawberry.union("ConversationEvent", description="Something that has happened in a conversation."),
]
