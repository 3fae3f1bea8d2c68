"""Following conversations: what their events tell, to whom, and until when."""

from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Hashable, Mapping
from datetime import datetime
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec
import strawberry
from strawberry import ID

from domain.conversations import blocks as content
from domain.conversations import entities, runs, verbs
from domain.conversations.entities import EventKind, stream_of
from domain.errors import CursorExpired, Invalid, NotFound, Refusal
from graph.context import Context, Info
from graph.conversations import events as told
from graph.conversations.events import ConversationEvent
from graph.conversations.mutations import SendMessageInput, post_of
from graph.conversations.sight import ConversationCursor, Mark, Seen
from graph.fanout import Batch, Happening, Over
from graph.follow import Stream, StreamCursor
from graph.ids import decode
from persistence.conversations import Conversations, News, Newsstand
from persistence.conversations.news import ENDS, OF_STEPS
from persistence.events import MOST_READ, Event, Events


class At(NamedTuple):
    """The place of an event, and its moment: what all that is told begins with."""

    cursor: str
    occurred_at: datetime


def _at(event: Event, mark: Mark) -> At:
    growing = None if mark.since is None else mark.answer_id
    return At(ConversationCursor(event.stream, event.seq, growing).encode(), event.occurred_at)


def _of_message(event: Event, news: News, at: At) -> told.Told | None:
    message = news.messages.get(event.entity_id)
    return MADE[event.kind](event, message, news, at) if message else None


def _ended(event: Event, message: entities.Message, news: News, at: At) -> told.Told:
    since = StreamCursor(event.stream, (event.since or event.seq) - 1).encode()
    if event.kind == EventKind.RUN_COMPLETED:
        return told.Completed(*at, message, since)
    run = news.ended.get(message.id)
    error = (run and run.error) or entities.RunError.INTERNAL
    return told.Failed(*at, message, since, error)


def _added(event: Event, message: entities.Message, _: News, at: At) -> told.Told | None:
    known = content.read(message.blocks)
    if event.version >= len(known):
        return None
    return told.Added(*at, message.id, event.version, known[event.version])


MADE: Final[Mapping[str, Callable[[Event, entities.Message, News, At], told.Told | None]]] = {
    EventKind.RUN_STARTED: lambda _, message, __, at: told.Started(*at, message),
    EventKind.MESSAGE_POSTED: lambda _, message, __, at: told.Posted(*at, message),
    EventKind.BLOCK_ADDED: _added,
    EventKind.RUN_COMPLETED: _ended,
    EventKind.RUN_FAILED: _ended,
}


def _of_step(event: Event, news: News, at: At) -> told.Told | None:
    step = news.steps.get((event.entity_id, event.seq))
    if step is None:
        # The answer has ended meanwhile: what tells of that stands for this as well.
        return None
    if step.state is not None:
        return told.Status(*at, step.message_id, step.state, step.agent, step.text)
    return told.Delta(*at, step.message_id, step.block, step.start, step.text)


def _told(event: Event, news: News, at: At) -> told.Told | None:
    """An event as the viewer may be told it; none for what it does not see."""
    if event.kind in OF_STEPS:
        return _of_step(event, news, at)
    if event.kind in MADE:
        return _of_message(event, news, at)
    if event.kind == EventKind.CONVERSATION_DELETED:
        return told.Deleted(*at, event.entity_id)
    participant = news.participants.get(event.entity_id)
    return told.Joined(*at, participant) if participant else None


def _out_of_sight(event: Event, conversation_id: UUID, since: int, at: At) -> told.Told:
    # Newer than all that was told of it. Until its end an answer has its first version, whatever of it is told.
    version = event.version if event.kind in ENDS else 1
    message = runs.hidden(event.entity_id, conversation_id, version + 1)
    cursor = StreamCursor(event.stream, since).encode()
    return told.Failed(*at, message, cursor, entities.RunError.OUT_OF_SIGHT)


def _happenings(news: News, conversation_id: UUID, seen: Seen, hidden: Collection[UUID]) -> list[Happening]:
    """What is told of news; of an answer that is hidden by now, that there is no more of it, once.

    The end of the conversation ends it.
    """
    happened: list[Happening] = []
    ending = {each: seen.answers[each] for each in hidden}
    for event in news.events:
        since = ending.pop(event.entity_id, None)
        mark = seen.mark(event, news, ends=since is not None)
        at = _at(event, mark)
        made = _told(event, news, at) if since is None else _out_of_sight(event, conversation_id, since, at)
        if made is not None:
            happened.append(Happening(event.seq, event.occurred_at, made, mark))
    return happened


class Conversing(Stream):
    """A conversation's events, as long as the viewer takes part and sees what it has seen.

    What is said of clients whom it never saw is left out; an answer that turns out to be about such a one, after some
    of it was told, ends for it as failed. But once the viewer loses the sight of a client of whom it was told, all ends
    there. Each subscription remembers that of itself, and begins with the answer that its cursor tells of.
    """

    seen: Seen

    def __init__(self, context: Context, opened: Callable[[], Awaitable[UUID]], after: str | None) -> None:
        super().__init__(context, self._began, after)
        self._asks = opened

    @property
    def kind(self) -> Hashable:
        """Of one user: who takes part differs between users of alike rights."""
        return "conversation", self.user_id

    async def _began(self) -> str:
        self._conversation_id = await self._asks()
        in_sight = await self._context.read(Newsstand.in_sight, self._conversation_id)
        if in_sight is None:
            raise NotFound
        self.seen = Seen(in_sight)
        return stream_of(self._conversation_id)

    async def place_of(self, after: str) -> int:
        """The place of a cursor, whose answer was told of."""
        cursor = ConversationCursor.decode(after, self._stream)
        if cursor.answer_id is not None:
            first = await self._context.read(Events.first_of, self._stream, [cursor.answer_id])
            if first is not None:
                self.seen = Seen(self.seen.clients, {cursor.answer_id: first - 1})
        return cursor.seq

    async def read(self, context: Context, place: int) -> Batch | None:
        """What follows a place; raises NotFound once a client is out of sight, or the viewer takes part no longer."""
        seen = self.seen
        news = await context.read(Newsstand.since, self._conversation_id, place, seen.answers)
        sight = seen.sight(news)
        if sight is None or not seen.stands(sight):
            raise NotFound
        if not news.events:
            return None
        fault, more = NotFound() if sight.is_gone else None, len(news.events) == MOST_READ
        return Batch(
            _happenings(news, self._conversation_id, seen, sight.ended),
            news.events[-1].seq,
            fault,
            more=more,
            sight=sight,
        )


class Asking(Conversing):
    """What is said, and then all that happens to its answer, from the question on until that has ended."""

    def __init__(self, context: Context, given: SendMessageInput, after: str | None) -> None:
        super().__init__(context, self._said, after)
        self._given = given

    @property
    def kind(self) -> Hashable:
        """Of one user, and one answer."""
        return "answer", self.user_id, self._answer_id

    async def _said(self) -> UUID:
        """Say it, once whatever is repeated; gives the conversation. Raises Invalid for what a rule declines."""
        try:
            sent = await self._context.write(verbs.send, post_of(self._given))
        except Refusal as refusal:
            raise declined(refusal) from refusal
        self._question_id, self._answer_id = sent.question.id, sent.answer.id
        self._has_ended = sent.run.ended_at is not None
        return sent.conversation.id

    async def place_of(self, after: str) -> int:
        """The place of a cursor; no other answer is told of."""
        place = await super().place_of(after)
        own = {each: since for each, since in self.seen.answers.items() if each == self._answer_id}
        self.seen = Seen(self.seen.clients, own)
        return place

    async def newest(self, _: int) -> int:
        """The place before the question; raises CursorExpired where the log keeps nothing of its answer."""
        ids = [self._question_id, self._answer_id]
        first = await self._context.read(Events.first_of, self._stream, ids)
        if first is None:
            raise CursorExpired
        return first - 1

    async def read(self, context: Context, place: int) -> Batch | None:
        """What follows a place, of this answer alone; it is over with its end."""
        batch = await super().read(context, place)
        if batch is None:
            # From a cursor behind its end.
            return Batch([], place, Over()) if self._has_ended else None
        own = [happening for happening in batch.events if self._concerns(happening.source)]
        ends = [at for at, each in enumerate(own, 1) if isinstance(each.source, told.Completed | told.Failed)]
        if ends:
            return msgspec.structs.replace(batch, events=own[: ends[0]], fault=Over())
        return msgspec.structs.replace(batch, events=own)

    def _concerns(self, event: told.Told) -> bool:
        if isinstance(event, told.OfMessage):
            return event.message.id in {self._question_id, self._answer_id}
        return not isinstance(event, told.OfAnswer) or event.answer_id == self._answer_id


def declined(refusal: Refusal) -> Invalid:
    """What a rule declines, where there is no payload to say so."""
    path = ".".join(refusal.field)
    return Invalid(f"{refusal.code.value}: {refusal.message}", ((path, f"{refusal.code.value}: {refusal.message}"),))


AFTER: Final = (
    "The cursor of the last event that was seen. Without one, only new events come; with one older than the log keeps "
    "(30 days), CURSOR_EXPIRED: then read the conversation itself. An answer may have gone out of sight meanwhile. If "
    "the last event was of that, it ends with RunFailed, OUT_OF_SIGHT (where it was asked by `ask`, that fails with "
    "NOT_FOUND). Of other answers that were growing then the cursor knows nothing: ask for them by their ids "
    "(`nodes`), and drop those that are null."
)
After = Annotated[str | None, strawberry.argument(description=AFTER)]


@strawberry.type
class ConversationSubscriptions:
    """Conversations, live."""

    @strawberry.subscription(
        description="What happens in a conversation, in order: what has happened since `after`, then each as it comes. "
        "It ends with NOT_FOUND when the viewer takes part no longer, or no longer sees a client whom it saw the "
        "conversation to be about when this subscription began, or with an event of it. What is about other clients "
        "whom the viewer does not see is left out; an answer that turns out to be about one after this subscription "
        "told some of it ends with RunFailed, OUT_OF_SIGHT, in place of the next that happens to it.",
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
        return Asking(info.context, input, after)
