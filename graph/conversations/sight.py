"""What a subscription has told of a conversation that may go out of sight, and what becomes of it then."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from domain.conversations.entities import EventKind, Message, MessageRole
from persistence.conversations import News
from persistence.conversations.news import ENDS, OF_MESSAGES, OF_STEPS
from persistence.events import Event


class Growing(msgspec.Struct, frozen=True):
    """An answer to come of which something was told, as it was at first; `since` is the number before that."""

    message: Message
    since: int


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
    """What is to be remembered of an event: the clients in sight then, and its answer, if that still grows."""

    in_sight: frozenset[UUID]
    answer_id: UUID | None = None
    growing: Growing | None = None


class Seen(msgspec.Struct, frozen=True):
    """What a subscription has told of that may go out of sight: clients, and answers to come."""

    clients: frozenset[UUID]
    answers: Mapping[UUID, Growing] = {}

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
        growing = self.answers.get(event.entity_id)
        if growing is None and message is not None and message.role is MessageRole.ASSISTANT:
            growing = Growing(message, event.seq - 1)
        return Mark(sighted, event.entity_id, growing)

    def after(self, mark: Mark) -> "Seen":
        """What it is once an event is told. An answer that has ended, be it for the viewer alone, hides no more."""
        clients, before = self.clients | mark.in_sight, self.answers.get(mark.answer_id) if mark.answer_id else None
        if mark.answer_id is None or (before is None) == (mark.growing is None):
            return self if clients == self.clients else Seen(clients, self.answers)
        answers = {each: growing for each, growing in self.answers.items() if each != mark.answer_id}
        return Seen(clients, answers if mark.growing is None else {**answers, mark.answer_id: mark.growing})


def _is_gone(news: News) -> bool:
    return any(event.kind == EventKind.CONVERSATION_DELETED for event in news.events)
