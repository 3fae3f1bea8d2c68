"""Changing conversations: started, written in, shared, renamed, archived and deleted."""

from collections.abc import Sequence
from uuid import UUID

import strawberry
from strawberry import ID

from domain.conversations import entities, verbs
from domain.conversations.entities import Mode, Module
from domain.refs import Ref
from graph.context import Info
from graph.conversations.types import Conversation, Message, Run
from graph.described import input_, type_
from graph.ids import decode, split
from graph.inputs import into
from graph.mutations import Payload, mutation


@input_
class StartConversationInput:
    """What starts a conversation.

    module: What it is for.
    mode: Who writes in it: its owner alone, or all who take part.
    title: What it is called, at most 200 characters; left out, it is called by its first question and answer.
    """

    module: Module = Module.ADVISORY
    mode: Mode = Mode.SOLO
    title: str | None = None


@input_
class MessageContextInput:
    """What the user is looking at while it writes, so that "his portfolio" is understood.

    node_ids: The ids of clients, households, portfolios, orders, instruments or books, at most 20, all of which the
    viewer sees.
    page: The page's own name for itself, at most 200 characters.
    """

    node_ids: list[ID] = strawberry.field(default_factory=list)
    page: str | None = None


@input_
class SendMessageInput:
    """What is said to the assistant, and to those who take part.

    content: The words, in Markdown, at most 20,000 characters.
    idempotency_key: A text of the client's own choice, 1 to 100 characters: what is sent again under it is said once.
    conversation_id: The conversation; left out, a new one for advisory work begins.
    context: What the user is looking at.
    """

    content: str
    idempotency_key: str
    conversation_id: ID | None = None
    context: MessageContextInput | None = None


@input_
class CancelRunInput:
    """What cancels a run.

    run_id: The run.
    """

    run_id: ID


@input_
class RetryRunInput:
    """What has a question answered once more.

    run_id: The run that has failed.
    """

    run_id: ID


@input_
class RenameConversationInput:
    """What gives a conversation another title.

    conversation_id: The conversation.
    title: The title, 1 to 200 characters.
    """

    conversation_id: ID
    title: str


@input_
class ArchiveConversationInput:
    """What puts a conversation away, or takes it out again.

    conversation_id: The conversation.
    archived: Whether it is to be archived.
    """

    conversation_id: ID
    archived: bool = True


@input_
class DeleteConversationInput:
    """What deletes a conversation.

    conversation_id: The conversation.
    """

    conversation_id: ID


@input_
class ShareConversationInput:
    """Who takes part in a conversation from now on.

    conversation_id: The conversation.
    user_id: The colleague.
    """

    conversation_id: ID
    user_id: ID


@input_
class LeaveConversationInput:
    """Who takes part in a conversation no longer.

    conversation_id: The conversation.
    user_id: Whoever leaves: the viewer, or a colleague who was let in.
    """

    conversation_id: ID
    user_id: ID


@type_
class ConversationPayload(Payload):
    """A conversation that was changed.

    conversation: The conversation as it is now; none for whoever has left it.
    """

    conversation: entities.Conversation | None = strawberry.field(default=None, graphql_type=Conversation | None)


@type_
class SendMessagePayload(Payload):
    """What was said, and the answer to come.

    conversation: The conversation.
    message: What was said.
    answer: The answer, which is empty yet: `conversationEvents` tells how it grows.
    run: The work on the answer.
    """

    conversation: entities.Conversation | None = strawberry.field(default=None, graphql_type=Conversation | None)
    message: entities.Message | None = strawberry.field(default=None, graphql_type=Message | None)
    answer: entities.Message | None = strawberry.field(default=None, graphql_type=Message | None)
    run: entities.Run | None = strawberry.field(default=None, graphql_type=Run | None)

    @classmethod
    def of(cls, sent: verbs.Sent) -> "SendMessagePayload":
        """The payload of what was sent."""
        return cls(conversation=sent.conversation, message=sent.question, answer=sent.answer, run=sent.run)


@type_
class CancelRunPayload(Payload):
    """A run that was cancelled.

    run: The run as it is now.
    """

    run: entities.Run | None = strawberry.field(default=None, graphql_type=Run | None)


@type_
class DeleteConversationPayload(Payload):
    """A conversation that is gone.

    deleted_id: The id that it had.
    """

    deleted_id: ID | None = None


def post_of(given: SendMessageInput) -> verbs.Post:
    """What is said, as the domain takes it; raises Invalid."""
    context = given.context
    return verbs.Post(
        content=given.content,
        idempotency_key=given.idempotency_key,
        conversation_id=_conversation(given.conversation_id) if given.conversation_id else None,
        refs=tuple(_refs(context.node_ids)) if context else (),
        page=context.page if context else None,
    )


def _refs(node_ids: Sequence[ID]) -> list[Ref]:
    return [Ref(*split(each, f"input.context.nodeIds.{at}")) for at, each in enumerate(node_ids)]


def _conversation(given: ID) -> UUID:
    return decode(given, "conversation", "input.conversationId")


@strawberry.type
class ConversationMutations:
    """Mutations of conversations."""

    @mutation
    async def start_conversation(self, info: Info, input: StartConversationInput) -> ConversationPayload | None:
        """Start a conversation with the office."""
        new = into(verbs.NewConversation, input)
        return ConversationPayload(conversation=await info.context.write(verbs.start, new))

    @mutation
    async def send_message(self, info: Info, input: SendMessageInput) -> SendMessagePayload | None:
        """Say something, and have it answered. It returns at once; `conversationEvents` tells how the answer grows.

        The answer comes whoever listens. Five of a user's questions are answered at once and twenty more wait; beyond
        them it fails with RATE_LIMITED.
        """
        return SendMessagePayload.of(await info.context.write(verbs.send, post_of(input)))

    @mutation
    async def cancel_run(self, info: Info, input: CancelRunInput) -> CancelRunPayload | None:
        """Have the assistant stop; what it has said so far stays."""
        run_id = decode(input.run_id, "run", "input.runId")
        return CancelRunPayload(run=await info.context.write(verbs.cancel, run_id))

    @mutation
    async def retry_run(self, info: Info, input: RetryRunInput) -> SendMessagePayload | None:
        """Have a question answered once more whose run has failed or was cancelled, in a message of its own."""
        run_id = decode(input.run_id, "run", "input.runId")
        return SendMessagePayload.of(await info.context.write(verbs.retry, run_id))

    @mutation
    async def rename_conversation(self, info: Info, input: RenameConversationInput) -> ConversationPayload | None:
        """Give a conversation of one's own another title."""
        conversation_id = _conversation(input.conversation_id)
        renamed = await info.context.write(verbs.rename, conversation_id, input.title)
        return ConversationPayload(conversation=renamed)

    @mutation
    async def archive_conversation(self, info: Info, input: ArchiveConversationInput) -> ConversationPayload | None:
        """Put a conversation of one's own away, or take it out again; what is archived takes no messages."""
        conversation_id = _conversation(input.conversation_id)
        changed = await info.context.write(verbs.archive, conversation_id, archived=input.archived)
        return ConversationPayload(conversation=changed)

    @mutation
    async def delete_conversation(self, info: Info, input: DeleteConversationInput) -> DeleteConversationPayload | None:
        """Delete a conversation of one's own for good, with all that was said, its events and its traces."""
        conversation_id = _conversation(input.conversation_id)
        await info.context.write(verbs.delete, conversation_id)
        return DeleteConversationPayload(deleted_id=input.conversation_id)

    @mutation
    async def share_conversation(self, info: Info, input: ShareConversationInput) -> ConversationPayload | None:
        """Let a colleague take part in a conversation of one's own, who sees every client that it speaks of.

        What is said later about clients whom somebody does not see is hidden from that one.
        """
        conversation_id = _conversation(input.conversation_id)
        user_id = decode(input.user_id, "user", "input.userId")
        return ConversationPayload(conversation=await info.context.write(verbs.share, conversation_id, user_id))

    @mutation
    async def leave_conversation(self, info: Info, input: LeaveConversationInput) -> ConversationPayload | None:
        """Leave a conversation, or have somebody leave one's own."""
        conversation_id = _conversation(input.conversation_id)
        user_id = decode(input.user_id, "user", "input.userId")
        return ConversationPayload(conversation=await info.context.write(verbs.leave, conversation_id, user_id))
