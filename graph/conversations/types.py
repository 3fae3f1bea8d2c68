"""Conversations, messages and runs as the schema shows them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
import strawberry
from strawberry import ID

from domain.conversations import blocks as content
from domain.conversations import costs, entities
from domain.conversations.entities import (
    RETRYABLE,
    AgentState,
    MessageRole,
    Mode,
    Module,
    OpenText,
    QueuePlace,
    RunError,
    RunStatus,
    Title,
    known_of,
    may_write,
    stream_of,
)
from domain.errors import NotFound
from domain.refs import Ref
from graph.batching import batched
from graph.context import Context, Info
from graph.conversations.blocks import Block
from graph.conversations.export import as_markdown
from graph.conversations.lists import MESSAGES
from graph.cost import cost
from graph.dated import Batch, reading
from graph.described import enum, type_
from graph.follow import StreamCursor
from graph.identity import User
from graph.lists import Connection
from graph.nodes import Node, OfEntity
from persistence.books import Books
from persistence.conversations import Conversations, Messages, Runs
from persistence.events import Events
from persistence.households import Households
from persistence.identity import Identities

for each in (AgentState, RunError, RunStatus):
    enum(each)


class Place(msgspec.Struct, frozen=True):
    """How far the stream of a conversation has come."""

    conversation_id: UUID
    cursor: StreamCursor


async def _places(context: Context, keys: Sequence[Any], _: Any) -> list[Place]:
    streams = {stream_of(conversation_id): conversation_id for conversation_id in keys}
    found = await context.read(Events.last, list(streams))
    return [Place(streams[stream], StreamCursor(stream, seq)) for stream, seq in found]


PLACES: Final = Batch(_places, by="conversation_id")
TITLES: Final = Batch(reading(Conversations.titles), by="id")
OPEN_TEXTS: Final = Batch(reading(Runs.open_texts), by="message_id", many=True)
POSITIONS: Final = Batch(reading(Runs.positions), by="run_id")
# Of what is looked at, these alone may be unseen by who sees the clients of a message.
LOOKED_AT: Final = {
    "book": Batch(reading(Books.by_ids), by="id"),
    "household": Batch(reading(Households.by_ids), by="id"),
}


@type_
class ToolUse(OfEntity):
    """A tool that was used for an answer.

    name: Which tool it was.
    line: What was looked up, in words for people.
    failed: Whether nothing came of it.
    """

    entity = entities.ToolNote

    name: str
    line: str
    failed: bool


@type_
class Usage(OfEntity):
    """What an answer has cost: all finished calls of models together, also those before a failure or a cancel.

    A call that was cut off before its model told what it has cost is not in it.

    input_tokens: How many tokens the models have read.
    output_tokens: How many tokens they have written.
    models: The models that were asked.
    cost: The price of both in US dollars, where it is known.
    """

    entity = costs.Usage

    input_tokens: int
    output_tokens: int
    models: list[str]
    cost: Decimal | None


@type_
class MessageEntity(OfEntity):
    """Something that a message speaks of.

    kind: What it is, such as an amount or a date.
    text: The words for it.
    value: What they mean, where that is plain.
    """

    entity = entities.Mention

    kind: str
    text: str
    value: str | None


@type_
class Citation(OfEntity):
    """Where a figure of an answer comes from.

    label: What it is called.
    """

    entity = entities.Citation

    label: str

    @strawberry.field(description="The id of the object that the figure is of.")
    def node_id(self: entities.Citation) -> ID:
        """The id as clients see it."""
        return ID(str(self.ref))


@type_
class MessageContext(OfEntity):
    """What was looked at while a message was written.

    page: The page's own name for itself.
    """

    entity = entities.Context

    page: str | None

    @strawberry.field(
        description="The ids of the objects that were looked at, as far as the viewer sees them.", metadata=cost(size=2)
    )
    async def node_ids(self: entities.Context, info: Info) -> list[ID]:
        """The ids as clients see them."""
        seen = await asyncio.gather(*(_is_seen(info.context, ref) for ref in self.refs))
        return [ID(str(ref)) for ref, shown in zip(self.refs, seen, strict=True) if shown]


async def _is_seen(context: Context, ref: Ref) -> bool:
    """Whether the viewer, who sees the message, sees an object that was looked at."""
    if ref.kind not in LOOKED_AT:
        return True
    try:
        await LOOKED_AT[ref.kind].of(context, ref.id)
    except NotFound:
        return False
    return True


@type_
class Run(Node):
    """The work on one answer. It goes on whoever listens, until it ends or is cancelled.

    status: Where it stands.
    created_at: When it was asked for.
    started_at: When the assistant began.
    ended_at: When it ended.
    error: Why it has ended without a whole answer, if it has.
    """

    entity = entities.Run

    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: RunError | None

    @strawberry.field(description="Whether `retryRun` may try it again.")
    def retryable(self: entities.Run) -> bool:
        """Whether the same may succeed later."""
        return self.error in RETRYABLE

    @strawberry.field(description="Its place among the runs that wait, from 1 on; none if it does not wait.")
    async def position(self: entities.Run, info: Info) -> int | None:
        """The place in its user's queue."""
        if self.status is not RunStatus.QUEUED:
            return None
        try:
            found: QueuePlace = await POSITIONS.of(info.context, self.id)
        except NotFound:
            return None
        return found.position


@type_
class Message(Node):
    """A message of a conversation. Who does not see every client whose data it holds does not see it.

    role: Whose words it is.
    agent: The agent that answers, if it is an answer.
    created_at: When it was posted.
    version: Rises with each change.
    """

    entity = entities.Message

    role: MessageRole
    agent: str | None
    created_at: datetime
    version: int
    author: User | None = batched(
        Identities.by_ids, key="author_id", by="id", description="Whoever wrote it; none if the assistant did."
    )
    run: Run | None = batched(Runs.by_ids, key="run_id", by="id", description="The run that answers it, or made it.")
    conversation: "Conversation | None" = batched(
        Conversations.by_ids,
        key="conversation_id",
        by="id",
        description="The conversation that it was said in; none if that was deleted meanwhile.",
    )

    @strawberry.field(
        description="The id of the message that it answers, if it answers one.",
    )
    def reply_to_id(self: entities.Message) -> ID | None:
        """The id as clients see it."""
        return ID(str(Ref("message", self.reply_to_id))) if self.reply_to_id else None

    @strawberry.field(
        description="What it is made of; of an answer that is being written, what is there so far.",
        metadata=cost(size=3),
    )
    async def blocks(self: entities.Message, info: Info) -> list[Block]:
        """The blocks, with the words that are still being written."""
        known: list[Any] = list(content.read(self.blocks))
        if self.role is MessageRole.ASSISTANT:
            texts: list[OpenText] = await OPEN_TEXTS.of(info.context, self.id)
            known += [content.TextBlock(text=each.text) for each in texts if each.block == len(known)]
        return known

    @strawberry.field(description="What was looked at while it was written.", graphql_type=MessageContext)
    def context(self: entities.Message) -> entities.Context:
        """The context that was given with it."""
        return known_of(self).context

    @strawberry.field(description="The tools that were used for it.", graphql_type=list[ToolUse], metadata=cost(size=2))
    def tools_used(self: entities.Message) -> Sequence[entities.ToolNote]:
        """The tools, in order."""
        return known_of(self).tools

    @strawberry.field(
        description="What it has cost, once it has ended; none where no model has told.", graphql_type=Usage | None
    )
    def usage(self: entities.Message) -> costs.Usage | None:
        """Tokens and price."""
        return known_of(self).usage

    @strawberry.field(description="What was wanted, where that is understood.")
    def intent(self: entities.Message) -> str | None:
        """The intent's name."""
        return known_of(self).intent

    @strawberry.field(description="The mood that it is written in, where that is understood.")
    def sentiment(self: entities.Message) -> str | None:
        """The sentiment's name."""
        return known_of(self).sentiment

    @strawberry.field(
        name="entities",
        description="What it speaks of, where that is understood.",
        graphql_type=list[MessageEntity],
        metadata=cost(size=3),
    )
    def mentions(self: entities.Message) -> Sequence[entities.Mention]:
        """The entities, in the order of the words."""
        return known_of(self).entities

    @strawberry.field(description="Where its figures come from.", graphql_type=list[Citation], metadata=cost(size=3))
    def citations(self: entities.Message) -> Sequence[entities.Citation]:
        """The objects that figures are of."""
        return known_of(self).citations


@type_
class Participant(OfEntity):
    """Somebody who takes part in a conversation.

    joined_at: Since when.
    """

    entity = entities.Participant

    joined_at: datetime
    user: User | None = batched(
        Identities.by_ids, key="user_id", by="id", description="Who it is; none if the viewer does not see that user."
    )


@type_
class Conversation(Node):
    """A conversation with the office, seen by who takes part in it.

    module: What it is for.
    mode: Who writes in it.
    created_at: When it was started.
    updated_at: When the last message was posted.
    archived_at: When it was put away, if it was.
    version: Rises with each change of the conversation itself.
    """

    entity = entities.Conversation

    module: Module
    mode: Mode
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    version: int
    owner: User | None = batched(
        Identities.by_ids,
        key="owner_id",
        by="id",
        description="Whose it is; none if the viewer does not see that user.",
    )
    participants: list[Participant] = batched(
        Conversations.participants,
        key="id",
        by="conversation_id",
        description="Those who take part, its owner first; at most 50.",
        size=3,
    )
    messages: Connection[Message] = batched(
        Messages.pages,
        key="id",
        by="parent",
        count=Messages.counts,
        lists=MESSAGES,
        description="What was said, the first message first unless ordered otherwise.",
    )

    @strawberry.field(
        description="What it is called: the beginning of the first question; soon after that was answered, what both "
        "are about; or as it was renamed. None before the first question, and where what it was made from is about "
        "clients whom the viewer does not see."
    )
    async def title(self: entities.Conversation, info: Info) -> str | None:
        """The title."""
        try:
            found: Title = await TITLES.of(info.context, self.id)
        except NotFound:
            return None
        return found.title

    @strawberry.field(
        description="The place in `conversationEvents` as of now. Ask for it first, read the messages after it, and "
        "follow from it: nothing that happens in between is missed."
    )
    async def events_cursor(self: entities.Conversation, info: Info) -> str:
        """The place in the stream."""
        found: Place = await PLACES.of(info.context, self.id)
        return found.cursor.encode()

    @strawberry.field(description="Whether the viewer may write in it as things stand.")
    async def viewer_can_write(self: entities.Conversation, info: Info) -> bool:
        """Whether the mode and the archive allow it."""
        viewer = await info.context.viewer()
        return may_write(self, viewer.user_id) and self.archived_at is None

    @strawberry.field(
        description="All that the viewer sees of it, as a Markdown document; the last 2,000 messages of a longer one.",
        metadata=cost(50),
    )
    async def markdown(self: entities.Conversation, info: Info) -> str:
        """The conversation as a document."""
        return await as_markdown(info.context, self)
