"""What a subscription remembers of a conversation, and whether what another has read is what it may be told."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from domain.conversations.entities import EventKind, Insight, Message, MessageRole, stored
from graph.conversations.sight import Mark, Seen
from persistence.conversations import News
from persistence.events import Event

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANSWER, OTHER, MEERA, ARJUN = (UUID(int=number) for number in range(1, 5))
HOLDS: Final = Message(
    ANSWER, UUID(int=9), MessageRole.ASSISTANT, None, None, None, None, NOW, "[]", stored(Insight()), 1
)
KNOWS: Final = Seen(frozenset(), {ANSWER: 3})
NOTHING: Final = Seen(frozenset())


def happened(
    *events: tuple[EventKind, UUID],
    shown: Sequence[UUID] = (),
    messages: Sequence[Message] = (),
    clients: Sequence[UUID] = (),
) -> News:
    """News of events from number 5 on."""
    told = [Event("conversation:9", at, kind, entity, 1, NOW) for at, (kind, entity) in enumerate(events, 5)]
    return News(told, frozenset(clients), frozenset(shown), {message.id: message for message in messages})


def after(seen: Seen, news: News, *, ends: bool = False) -> Seen:
    """What is remembered once all is told."""
    for event in news.events:
        seen = seen.after(seen.mark(event, news, ends=ends))
    return seen


def test_an_answer_is_remembered_from_its_first_event_until_its_end() -> None:
    begun = after(NOTHING, happened((EventKind.TEXT_DELTA, ANSWER), messages=[HOLDS]))
    assert begun.answers == {ANSWER: 4}
    # Once it is known it is not read again, and stays as it was at first.
    assert after(begun, happened((EventKind.TEXT_DELTA, ANSWER), shown=[ANSWER])) == begun
    assert after(begun, happened((EventKind.MESSAGE_POSTED, OTHER))) == begun
    for kind in (EventKind.RUN_COMPLETED, EventKind.RUN_FAILED):
        assert after(begun, happened((kind, ANSWER), shown=[ANSWER], messages=[HOLDS])).answers == {}
    assert after(begun, happened((EventKind.TEXT_DELTA, ANSWER)), ends=True).answers == {}


def test_whoever_joins_late_remembers_what_the_one_who_reads_has_known_long_since() -> None:
    news = happened((EventKind.TEXT_DELTA, ANSWER), shown=[ANSWER])
    (event,) = news.events
    assert NOTHING.after(KNOWS.mark(event, news, ends=False)).answers == KNOWS.answers


def test_a_hidden_answer_ends_for_those_alone_who_were_told_of_it() -> None:
    news = happened((EventKind.TEXT_DELTA, ANSWER))
    for reader, other in ((KNOWS, NOTHING), (NOTHING, KNOWS)):
        sight = reader.sight(news)
        assert sight
        assert reader.stands(sight)
        assert not other.stands(sight)
    assert KNOWS.sight(happened((EventKind.MESSAGE_POSTED, OTHER))) == NOTHING.sight(
        happened((EventKind.MESSAGE_POSTED, OTHER))
    )


def test_clients_are_remembered_once_something_is_told_and_judged_by_each_for_itself() -> None:
    seen = Seen(frozenset({MEERA})).after(Mark(frozenset({MEERA, ARJUN})))
    assert seen.clients == {MEERA, ARJUN}
    sight = NOTHING.sight(happened((EventKind.MESSAGE_POSTED, OTHER), clients=[MEERA]))
    assert sight
    assert Seen(frozenset({MEERA})).stands(sight)
    assert not seen.stands(sight)


def test_with_a_conversation_that_is_gone_nobody_goes_out_of_sight() -> None:
    sight = NOTHING.sight(happened((EventKind.CONVERSATION_DELETED, OTHER)))
    assert sight
    assert Seen(frozenset({MEERA})).stands(sight)
