"""What a subscription has told of a conversation that may go out of sight, and what becomes of it then."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from domain.conversations.entities import EventKind, MessageRole
from graph.follow import StreamCursor
from persistence.conversations import News
from persistence.conversations.news import ENDS, OF_MESSAGES, OF_STEPS
from persistence.events import Event


class ConversationCursor(StreamCursor, frozen=True, array_like=True):
    """A place in a conversation's stream; with the answer that the event there is of, if that was still to grow.

    So whoever comes back with it can be told that the answer is out of sight. It tells of no other answer, for others
    of the same group are told the same bytes, and may never have been told of that.
    """

    answer_id: UUID | None = None

    def encode(self) -> str:
        """Opaque text for clients; just the place where there is no answer."""
        return super().encode() if self.answer_id else StreamCursor(self.stream, self.seq).encode()


class Sight(msgspec.Struct, frozen=True):
    """What was in sight when news were read.

    `hidden` are the messages of which they tell nothing, but for those in `ended`: that there is no more of them. With
    a conversation that is gone, whom it was about is gone too.
    """

    in_sight: frozenset[UUID]
    hidden: frozenset[UUID] = frozenset()
    ended: frozenset[UUID] = frozenset()
    is_gone: bool = False


class Mark(msgspec.Struct, frozen=True):
    """What is to be remembered of an event: the clients in sight then, and of which answer it is.

    `since` is the number before the first event of that which may have been told, if it still grows.
    """

    in_sight: frozenset[UUID]
    answer_id: UUID | None = None
    since: int | None = None


class Seen(msgspec.Struct, frozen=True):
    """What a subscription has told of that may go out of sight: clients, and answers to come.

    Of each answer it is the number before its first event that may have been told.
    """

    clients: frozenset[UUID]
    answers: Mapping[UUID, int] = {}

    def stands(self, sight: Sight) -> bool:
        """Whether the clients are still in sight, and of all answers that are not, just the end is told."""
        clients = sight.is_gone or self.clients <= sight.in_sight
        return clients and self.answers.keys() & sight.hidden == sight.ended

    def sight(self, news: News) -> Sight | None:
        """What is in sight of news for whoever has seen this; none if it takes no part, or no longer."""
        if news.in_sight is None:
            return None
        touched = {event.entity_id for event in news.events if event.kind in OF_MESSAGES | OF_STEPS}
        hidden = touched.difference(news.messages, news.shown)
        return Sight(news.in_sight, frozenset(hidden), frozenset(hidden & self.answers.keys()), _is_gone(news))

    def mark(self, event: Event, news: News, *, ends: bool) -> Mark:
        """What is to be remembered of one of these news once it is told; `ends` if that is as an answer's end."""
        sighted = news.in_sight or frozenset()
        if ends or event.kind in ENDS:
            return Mark(sighted, event.entity_id)
        message = news.messages.get(event.entity_id)
        since = self.answers.get(event.entity_id)
        if since is None and message is not None and message.role is MessageRole.ASSISTANT:
            since = event.seq - 1
        return Mark(sighted, event.entity_id, since)

    def after(self, mark: Mark) -> "Seen":
        """What it is once an event is told. An answer that has ended, be it for the viewer alone, hides no more."""
        clients, before = self.clients | mark.in_sight, self.answers.get(mark.answer_id) if mark.answer_id else None
        if mark.answer_id is None or (before is None) == (mark.since is None):
            return self if clients == self.clients else Seen(clients, self.answers)
        answers = {each: since for each, since in self.answers.items() if each != mark.answer_id}
        return Seen(clients, answers if mark.since is None else {**answers, mark.answer_id: mark.since})


def _is_gone(news: News) -> bool:
    return any(event.kind == EventKind.CONVERSATION_DELETED for event in news.events)
