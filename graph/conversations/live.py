"""Following conversations: what their events tell, to whom, and until when."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Final
from uuid import UUID

import msgspec
import strawberry
from strawberry import ID

from domain.conversations import blocks as content
from domain.conversations import entities, verbs
from domain.conversations.entities import EventKind, Step, stream_of
from domain.errors import CursorExpired, Invalid, NotFound, Refusal
from graph.context import Context, Info
from graph.conversations import events as told
from graph.conversations.events import ConversationEvent
from graph.conversations.mutations import SendMessageInput, post_of
from graph.fanout import Batch, Happening, Look
from graph.follow import Followed, StreamCursor
from graph.ids import decode
from persistence.conversations import Conversations, Messages, Runs
from persistence.events import Event, Events

OF_STEPS: Final = frozenset({EventKind.TEXT_DELTA, EventKind.AGENT_STATUS})


class Material(msgspec.Struct, frozen=True):
    """What the events of a batch speak of, as far as the viewer sees it."""

    messages: Mapping[UUID, entities.Message]
    errors: Mapping[UUID, entities.RunError | None]
    steps: Mapping[tuple[UUID, int], Step]
    participants: Mapping[UUID, entities.Participant]


async def _material(context: Context, batch: Sequence[Event]) -> Material:
    message_ids = list({event.entity_id for event in batch if event.kind in MADE})
    messages = await context.read(Messages.by_ids, message_ids) if message_ids else []
    failed = [event.entity_id for event in batch if event.kind == EventKind.RUN_FAILED]
    run_ids = [message.run_id for message in messages if message.id in failed and message.run_id]
    ended = await context.read(Runs.by_ids, run_ids) if run_ids else []
    numbers = [event.seq for event in batch if event.kind in OF_STEPS]
    of_steps = list({event.entity_id for event in batch if event.kind in OF_STEPS})
    steps = await context.read(Runs.steps, of_steps, min(numbers), max(numbers)) if numbers else []
    joined = [event.entity_id for event in batch if event.kind == EventKind.PARTICIPANT_JOINED]
    participants = await context.read(Conversations.participants_by_ids, joined) if joined else []
    return Material(
        {message.id: message for message in messages},
        {run.message_id: run.error for run in ended},
        {(step.message_id, step.seq): step for step in steps},
        {participant.id: participant for participant in participants},
    )


def _cursor(event: Event) -> str:
    return StreamCursor(event.stream, event.seq).encode()


def _of_message(event: Event, material: Material) -> told.Told | None:
    message = material.messages.get(event.entity_id)
    return MADE[event.kind](event, message, material) if message else None


def _ended(event: Event, message: entities.Message, material: Material) -> told.Told:
    cursor, since = _cursor(event), StreamCursor(event.stream, (event.since or event.seq) - 1).encode()
    if event.kind == EventKind.RUN_COMPLETED:
        return told.Completed(cursor, event.occurred_at, message, since)
    error = material.errors.get(message.id) or entities.RunError.INTERNAL
    return told.Failed(cursor, event.occurred_at, message, since, error)


def _added(event: Event, message: entities.Message, _: Material) -> told.Told | None:
    known = content.read(message.blocks)
    if event.version >= len(known):
        return None
    return told.Added(_cursor(event), event.occurred_at, message.id, event.version, known[event.version])


MADE: Final[Mapping[str, Callable[[Event, entities.Message, Material], told.Told | None]]] = {
    EventKind.RUN_STARTED: lambda event, message, _: told.Started(_cursor(event), event.occurred_at, message),
    EventKind.MESSAGE_POSTED: lambda event, message, _: told.Posted(_cursor(event), event.occurred_at, message),
    EventKind.BLOCK_ADDED: _added,
    EventKind.RUN_COMPLETED: _ended,
    EventKind.RUN_FAILED: _ended,
}


def _of_step(event: Event, material: Material) -> told.Told | None:
    step = material.steps.get((event.entity_id, event.seq))
    if step is None:
        # The answer has ended meanwhile: what tells of that stands for this as well.
        return None
    cursor, moment = _cursor(event), event.occurred_at
    if step.state is not None:
        return told.Status(cursor, moment, step.message_id, step.state, step.agent, step.text)
    return told.Delta(cursor, moment, step.message_id, step.block, step.start, step.text)


def _told(event: Event, material: Material) -> told.Told | None:
    """An event as the viewer may be told it; none for what it does not see."""
    if event.kind in OF_STEPS:
        return _of_step(event, material)
    if event.kind in MADE:
        return _of_message(event, material)
    if event.kind == EventKind.CONVERSATION_DELETED:
        return told.Deleted(_cursor(event), event.occurred_at, event.entity_id)
    participant = material.participants.get(event.entity_id)
    return told.Joined(_cursor(event), event.occurred_at, participant) if participant else None


async def happenings(context: Context, batch: Sequence[Event]) -> Batch:
    """What the events of a conversation tell; the end of the conversation ends it."""
    material = await _material(context, batch)
    made = [(event, _told(event, material)) for event in batch]
    happened = [Happening(event.seq, event.occurred_at, each) for event, each in made if each is not None]
    deleted = any(event.kind == EventKind.CONVERSATION_DELETED for event in batch)
    return Batch(happened, batch[-1].seq, NotFound() if deleted else None)


class Conversing(Followed):
    """A conversation's events, as long as the viewer takes part and sees what it has seen.

    What is said of clients whom it never saw is left out; but once it loses the sight of one of whom it was told, all
    ends there, in the middle of an answer too.
    """

    def __init__(self, context: Context, opened: Callable[[], Awaitable[UUID]], after: str | None) -> None:
        async def stream() -> str:
            self._conversation_id = await opened()
            return stream_of(self._conversation_id)

        super().__init__(context, stream, after, happenings)
        self._seen: frozenset[UUID] = frozenset()

    async def look(self) -> Look:
        """The stream with rights asked again; raises Unauthenticated, and NotFound once something is out of sight."""
        look = await super().look()
        clients = await look.context.read(Conversations.in_sight, self._conversation_id)
        if clients is None or not self._seen <= clients.seen:
            raise NotFound
        self._seen = clients.seen
        return look


async def _taking_part(context: Context, conversation_id: UUID, *, resumed: bool) -> UUID:
    """The conversation; raises NotFound for one that the viewer takes no part in, or that is gone.

    Whoever goes on from a cursor is told that it is gone.
    """
    if await context.read(Conversations.in_sight, conversation_id) is None:
        raise NotFound
    if not resumed:
        await context.read(Conversations.one, conversation_id)
    return conversation_id


class Asking(Conversing):
    """What is said, and then all that happens to its answer, from the question on."""

    def __init__(self, context: Context, given: SendMessageInput, after: str | None) -> None:
        super().__init__(context, self._said, after)
        self._asker = context
        self._given = given
        self.sent: verbs.Sent | None = None

    async def _said(self) -> UUID:
        """Say it, once whatever is repeated; gives the conversation. Raises Invalid for what a rule declines."""
        try:
            self.sent = await self._asker.write(verbs.send, post_of(self._given))
        except Refusal as refusal:
            raise declined(refusal) from refusal
        return self.sent.conversation.id

    async def begin(self) -> int:
        """The place before the question; raises CursorExpired where the log keeps nothing of its answer."""
        place = await super().begin()
        if self.resumed or self.sent is None:
            return place
        ids = [self.sent.question.id, self.sent.answer.id]
        first = await self._asker.read(Events.first_of, stream_of(self.sent.conversation.id), ids)
        if first is None:
            raise CursorExpired
        return first - 1

    async def answered(self) -> AsyncIterator[told.Told]:
        """What happens to the question and its answer, until that has ended."""
        async with aclosing(self.__aiter__()) as happened:
            async for event in happened:
                if self._concerns(event):
                    yield event
                    if isinstance(event, told.Completed | told.Failed):
                        return

    def _concerns(self, event: told.Told) -> bool:
        if self.sent is None:
            return False
        if isinstance(event, told.OfMessage):
            return event.message.id in {self.sent.question.id, self.sent.answer.id}
        return not isinstance(event, told.OfAnswer) or event.answer_id == self.sent.answer.id


def declined(refusal: Refusal) -> Invalid:
    """What a rule declines, where there is no payload to say so."""
    path = ".".join(refusal.field)
    return Invalid(f"{refusal.code.value}: {refusal.message}", ((path, f"{refusal.code.value}: {refusal.message}"),))


AFTER: Final = (
    "The cursor of the last event that was seen. Without one, only new events come; with one older than the log keeps "
    "(30 days), CURSOR_EXPIRED: then read the conversation itself."
)
After = Annotated[str | None, strawberry.argument(description=AFTER)]


@strawberry.type
class ConversationSubscriptions:
    """Conversations, live."""

    @strawberry.subscription(
        description="What happens in a conversation, in order: what has happened since `after`, then each as it comes. "
        "It ends with NOT_FOUND when the viewer takes part no longer, or loses the sight of a client it was told of.",
        graphql_type=ConversationEvent,
    )
    async def conversation_events(
        self,
        info: Info,
        conversation_id: Annotated[ID, strawberry.argument(description="The conversation to follow.")],
        after: After = None,
    ) -> AsyncIterable[told.Told]:
        """Follow a conversation; NotFound for one that the viewer takes no part in."""
        context = info.context

        async def opened() -> UUID:
            wanted = decode(conversation_id, "conversation", "conversationId")
            return await _taking_part(context, wanted, resumed=after is not None)

        return Conversing(context, opened, after)

    @strawberry.subscription(
        description="Say something and see the answer grow: `sendMessage` and `conversationEvents` in one. It tells of "
        "this question and its answer alone, and completes when that has ended. Subscribed to again with the same "
        "idempotency key, it goes on with the same answer, from the question or from `after` on.",
        graphql_type=ConversationEvent,
    )
    async def ask(
        self,
        info: Info,
        input: Annotated[SendMessageInput, strawberry.argument(description="What is said.")],
        after: After = None,
    ) -> AsyncIterable[told.Told]:
        """Say something, and follow its answer."""
        return Asking(info.context, input, after).answered()
