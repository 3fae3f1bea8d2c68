"""Following conversations: what their events tell, to whom, and until when."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import aclosing
from typing import Annotated, Final
from uuid import UUID

import strawberry
from strawberry import ID

from domain.conversations import blocks as content
from domain.conversations import entities, verbs
from domain.conversations.entities import EventKind, stream_of
from domain.errors import CursorExpired, Invalid, NotFound, Refusal
from graph.context import Context, Info
from graph.conversations import events as told
from graph.conversations.events import ConversationEvent
from graph.conversations.mutations import SendMessageInput, post_of
from graph.fanout import Batch, Happening
from graph.follow import Stream, StreamCursor
from graph.ids import decode
from persistence.conversations import Conversations, News, Newsstand
from persistence.conversations.news import OF_STEPS
from persistence.events import MOST_READ, Event, Events


def _cursor(event: Event) -> str:
    return StreamCursor(event.stream, event.seq).encode()


def _of_message(event: Event, news: News) -> told.Told | None:
    message = news.messages.get(event.entity_id)
    return MADE[event.kind](event, message, news) if message else None


def _ended(event: Event, message: entities.Message, news: News) -> told.Told:
    cursor, since = _cursor(event), StreamCursor(event.stream, (event.since or event.seq) - 1).encode()
    if event.kind == EventKind.RUN_COMPLETED:
        return told.Completed(cursor, event.occurred_at, message, since)
    run = news.ended.get(message.id)
    error = (run and run.error) or entities.RunError.INTERNAL
    return told.Failed(cursor, event.occurred_at, message, since, error)


def _added(event: Event, message: entities.Message, _: News) -> told.Told | None:
    known = content.read(message.blocks)
    if event.version >= len(known):
        return None
    return told.Added(_cursor(event), event.occurred_at, message.id, event.version, known[event.version])


MADE: Final[Mapping[str, Callable[[Event, entities.Message, News], told.Told | None]]] = {
    EventKind.RUN_STARTED: lambda event, message, _: told.Started(_cursor(event), event.occurred_at, message),
    EventKind.MESSAGE_POSTED: lambda event, message, _: told.Posted(_cursor(event), event.occurred_at, message),
    EventKind.BLOCK_ADDED: _added,
    EventKind.RUN_COMPLETED: _ended,
    EventKind.RUN_FAILED: _ended,
}


def _of_step(event: Event, news: News) -> told.Told | None:
    step = news.steps.get((event.entity_id, event.seq))
    if step is None:
        # The answer has ended meanwhile: what tells of that stands for this as well.
        return None
    cursor, moment = _cursor(event), event.occurred_at
    if step.state is not None:
        return told.Status(cursor, moment, step.message_id, step.state, step.agent, step.text)
    return told.Delta(cursor, moment, step.message_id, step.block, step.start, step.text)


def _told(event: Event, news: News) -> told.Told | None:
    """An event as the viewer may be told it; none for what it does not see."""
    if event.kind in OF_STEPS:
        return _of_step(event, news)
    if event.kind in MADE:
        return _of_message(event, news)
    if event.kind == EventKind.CONVERSATION_DELETED:
        return told.Deleted(_cursor(event), event.occurred_at, event.entity_id)
    participant = news.participants.get(event.entity_id)
    return told.Joined(_cursor(event), event.occurred_at, participant) if participant else None


def happenings(news: News) -> Batch:
    """What is told of news; the end of the conversation ends it."""
    made = [(event, _told(event, news)) for event in news.events]
    happened = [Happening(event.seq, event.occurred_at, each) for event, each in made if each is not None]
    deleted = any(event.kind == EventKind.CONVERSATION_DELETED for event in news.events)
    more = len(news.events) == MOST_READ
    return Batch(happened, news.events[-1].seq, NotFound() if deleted else None, more=more)


class Conversing(Stream):
    """A conversation's events, as long as the viewer takes part and sees what it has seen.

    What is said of clients whom it never saw is left out; but once it loses the sight of one of whom it was told, all
    ends there, in the middle of an answer too.
    """

    def __init__(self, context: Context, opened: Callable[[], Awaitable[UUID]], after: str | None) -> None:
        super().__init__(context, self._began, after)
        self._asks = opened
        self._reader = context
        self._seen: frozenset[UUID] = frozenset()

    @property
    def kind(self) -> Hashable:
        """Of one session: who takes part, and what was told of, differs between users of alike rights."""
        return "conversation", self.session

    async def _began(self) -> str:
        self._conversation_id = await self._asks()
        seen = await self._reader.read(Newsstand.in_sight, self._conversation_id)
        if seen is None:
            raise NotFound
        self._seen = seen
        return stream_of(self._conversation_id)

    async def read(self, context: Context, place: int) -> Batch | None:
        """What follows a place; it ends with NotFound once something is out of sight."""
        news = await context.read(Newsstand.since, self._stream, self._conversation_id, place)
        if news.in_sight is None:
            return Batch([], place, NotFound())
        deleted = any(event.kind == EventKind.CONVERSATION_DELETED for event in news.events)
        # With a conversation goes what it was about: whoever took part is told of its end.
        if not deleted and not self._seen <= news.in_sight:
            return Batch([], place, NotFound())
        self._seen = news.in_sight
        return happenings(news) if news.events else None


class Asking(Conversing):
    """What is said, and then all that happens to its answer, from the question on."""

    def __init__(self, context: Context, given: SendMessageInput, after: str | None) -> None:
        super().__init__(context, self._said, after)
        self._given = given
        self.sent: verbs.Sent | None = None

    async def _said(self) -> UUID:
        """Say it, once whatever is repeated; gives the conversation. Raises Invalid for what a rule declines."""
        try:
            self.sent = await self._reader.write(verbs.send, post_of(self._given))
        except Refusal as refusal:
            raise declined(refusal) from refusal
        return self.sent.conversation.id

    async def begin(self) -> int:
        """The place before the question; raises CursorExpired where the log keeps nothing of its answer."""
        place = await super().begin()
        if self.resumed or self.sent is None:
            return place
        ids = [self.sent.question.id, self.sent.answer.id]
        first = await self._reader.read(Events.first_of, stream_of(self.sent.conversation.id), ids)
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
            if after is None:
                # Whoever goes on from a cursor is told that it is gone.
                await context.read(Conversations.one, wanted)
            return wanted

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
