"""The events of conversations: in order, from any place, and the same to all who may hear them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest

from domain.office import RUNS
from graph.context import Services
from graph.conversations.sight import ConversationCursor
from graph.follow import StreamCursor
from graph.ids import decode
from persistence.housekeeping import forget
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Want, halting, says, wants
from tests.support.served import Served, Socket, socket_to
from tests.support.talking import ENDS, FOLLOW, Heard, answered_by, cursor_of, message, say, share, talk, until_end
from tests.support.worker import drained, working

PIECES: Final = ["One ", "and \U0001f4b0 ", "and so on. "]
READ: Final = """query ($id: ID!) { node(id: $id) { ... on Conversation { eventsCursor messages {
    nodes { id blocks { ... on TextBlock { text } } }
} } } }"""
OLDER: Final = "update events set occurred_at = occurred_at - $1::interval"


def stream_of(conversation: str) -> str:
    """The name of a conversation's stream."""
    return f"conversation:{decode(conversation, 'conversation', 'id')}"


def number(cursor: str, conversation: str) -> int:
    """The place in the stream that a cursor means."""
    return ConversationCursor.decode(cursor, stream_of(conversation)).seq


async def fault_of(socket: Socket, conversation: str, after: str) -> Any:
    """How following from a place fails."""
    await socket.subscribe(FOLLOW, conversation=conversation, after=after)
    told = await socket.receive()
    assert told["type"] == "error", told
    return told["payload"][0]["extensions"]


def looking_up() -> LanguageModel:
    """Says something, looks something up twice, and says more."""
    find = Want("find_client", {"text": "Meera"})
    return LanguageModel(wants(find, text="Let me see. "), wants(find), says("There ", "she ", "is."))


async def told(gql: Gql, live: Served, services: Services, who: SignedIn, conversation: str) -> Heard:
    """An answer with tools, as it is told live from the beginning of its question."""
    cursor = await cursor_of(gql, who, conversation)
    async with (
        answered_by(services, looking_up()) as answering,
        working(answering, RUNS),
        socket_to(live, who.token) as socket,
    ):
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        await say(gql, who, "Find her", conversationId=conversation)
        return await until_end(socket)


class Written(msgspec.Struct, frozen=True):
    """An answer of which PIECES are told, and whose end waits until it is let go; what was heard of it on a socket."""

    who: SignedIn
    conversation: str
    start: str
    answer: str
    held: asyncio.Event
    heard: Heard
    socket: Socket


@asynccontextmanager
async def being_written(make: Make, gql: Gql, live: Served, services: Services) -> AsyncIterator[Written]:
    """An answer in its middle."""
    who = await make.advisor()
    conversation = await talk(gql, who)
    start, held, heard = await cursor_of(gql, who, conversation), asyncio.Event(), Heard()
    server = LanguageModel(halting(held, PIECES, "The ", "end."))
    async with answered_by(services, server) as answering, socket_to(live, who.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=start)
        async with working(answering, RUNS):
            answer = (await say(gql, who, "Go on", conversationId=conversation))["answer"]["id"]
            while heard.text_of(answer) != "".join(PIECES):
                heard.hear((await socket.next(20))["conversationEvents"])
            yield Written(who, conversation, start, answer, held, heard, socket)


async def meera(make: Make) -> SignedIn:
    """An advisor with a client of that name."""
    advisor = await make.advisor()
    assert advisor.book
    await make.client(advisor.book, name="Meera Krishnamurthy")
    return advisor


async def test_an_answer_is_told_in_order_without_a_gap(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor = await meera(make)
    conversation = await talk(gql, advisor)
    heard = await told(gql, live, services, advisor, conversation)
    numbers = [number(event["cursor"], conversation) for event in heard.events]
    assert numbers == list(range(1, len(numbers) + 1))
    steps = [event for event in heard.events if event["__typename"] in {"AgentStatus", "BlockAdded"}]
    assert [(event.get("state"), event.get("position")) for event in steps] == [
        ("THINKING", None),
        ("TOOL_CALL", None),
        (None, 1),
        ("THINKING", None),
        ("TOOL_CALL", None),
        (None, 2),
        ("THINKING", None),
    ]
    (answer,) = heard.whole
    blocks = heard.whole[answer]["blocks"]
    assert [block["__typename"] for block in blocks] == ["TextBlock", "TableBlock", "TableBlock", "TextBlock"]
    assert heard.text_of(answer) == "Let me see. There she is."
    assert heard.agrees(answer)
    assert [event["block"] for event in steps if event["__typename"] == "BlockAdded"] == blocks[1:3]
    assert [tool["name"] for tool in heard.events[-1]["toolsUsed"]] == ["find_client"] * 2


async def test_from_every_place_of_an_answer_that_has_ended_one_gets_the_whole(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await meera(make)
    conversation = await talk(gql, advisor)
    heard = await told(gql, live, services, advisor, conversation)
    end = heard.events[-1]
    # The log keeps the question, the beginning and the end, which stands for all that is between.
    first_step = number(heard.events[2]["cursor"], conversation)
    assert number(end["since"], conversation) == first_step - 1
    assert await make.connection.fetchval("select count(*) from events where kind <> 'MESSAGE_POSTED'") == 2
    assert await make.connection.fetchval("select count(*) from run_steps") == 0
    async with socket_to(live, advisor.token) as socket:
        for place, event in enumerate(heard.events[:-1]):
            await socket.subscribe(FOLLOW, conversation=conversation, after=event["cursor"], id=str(place))
            again = await until_end(socket)
            assert again.whole == heard.whole
            expected = ["RunStarted"] if place == 0 else []
            assert again.kinds == [*expected, "RunCompleted"]
            await socket.send(type="complete", id=str(place))


async def test_from_every_place_of_an_answer_that_is_written_one_goes_on_exactly_there(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    async with being_written(make, gql, live, services) as it:
        heard, socket = it.heard, it.socket
        others = []
        for place in range(len(heard.events) + 1):
            other = Heard()
            for event in heard.events[:place]:
                other.hear(event)
            others.append(other)
            cursor = other.cursor or it.start
            await socket.subscribe(FOLLOW, conversation=it.conversation, after=cursor, id=f"from {place}")
            while len(other.events) < len(heard.events):
                received = await socket.receive()
                assert received["id"] == f"from {place}"
                other.hear(received["payload"]["data"]["conversationEvents"])
            assert other.events[place:] == heard.events[place:]
        it.held.set()
        by_id = {f"from {place}": other for place, other in enumerate(others)} | {"1": heard}
        while any(not each.whole for each in by_id.values()):
            received = await socket.receive(20)
            by_id[received["id"]].hear(received["payload"]["data"]["conversationEvents"])
    assert heard.whole[it.answer]["blocks"][0]["text"] == "".join(PIECES) + "The end."
    for other in others:
        assert other.whole == heard.whole
        assert other.agrees(it.answer)


async def test_a_cursor_beside_the_messages_misses_nothing_and_repeats_nothing(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    async with being_written(make, gql, live, services) as it:
        conversation, socket = it.conversation, it.socket
        read = (await gql.as_(it.who).run(READ, id=conversation))["node"]
        text = next(node for node in read["messages"]["nodes"] if node["id"] == it.answer)["blocks"][0]["text"]
        assert text == "".join(PIECES)
        # From the beginning on, which the text is ahead of: what is known already is left out by its start.
        await socket.subscribe(FOLLOW, conversation=conversation, after=it.start, id="again")
        it.held.set()
        while True:
            received = await socket.receive(20)
            if received["id"] != "again":
                continue
            event = received["payload"]["data"]["conversationEvents"]
            if event["__typename"] == "TextDelta" and event["start"] >= len(text.encode("utf-16-le")) // 2:
                text += event["text"]
            if event["__typename"] in ENDS:
                break
        # And from the cursor on nothing was missed.
        await socket.subscribe(FOLLOW, conversation=conversation, after=read["eventsCursor"], id="from here")
        while (received := await socket.receive(20))["id"] != "from here":
            pass
    assert received["payload"]["data"]["conversationEvents"]["message"]["id"] == it.answer
    whole = event["message"]["blocks"][0]["text"]
    assert whole.startswith(text)
    assert whole == "".join(PIECES) + "The end."


async def test_two_tabs_hear_the_same(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor = await meera(make)
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    second = await make.session(advisor.user)
    async with (
        answered_by(services, looking_up()) as answering,
        working(answering, RUNS),
        socket_to(live, advisor.token) as one,
        socket_to(live, advisor.token) as same,
        socket_to(live, second.token) as other,
    ):
        for socket in (one, same, other):
            await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        await say(gql, advisor, "Find her", conversationId=conversation)
        heard = [await until_end(socket) for socket in (one, same, other)]
    for each in heard:
        assert each.whole == heard[0].whole
        (answer,) = each.whole
        assert each.agrees(answer)
        places = [number(event["cursor"], conversation) for event in each.events]
        assert places == sorted(set(places))


async def test_answers_of_a_group_are_told_side_by_side(make: Make, gql: Gql, live: Served, services: Services) -> None:
    owner, colleague = await make.advisor(), await make.advisor()
    conversation = await talk(gql, owner, mode="GROUP")
    await share(gql, owner, conversation, colleague)
    cursor = await cursor_of(gql, owner, conversation)
    gates = [asyncio.Event(), asyncio.Event()]
    server = LanguageModel(*(halting(gate, ["Well, "], "that ", "is all.") for gate in gates))
    async with answered_by(services, server) as answering, socket_to(live, owner.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        heard = Heard()
        async with working(answering, RUNS):
            sent = [
                await say(gql, who, f"Hello from {who.id}", conversationId=conversation) for who in (owner, colleague)
            ]
            answers = [payload["answer"]["id"] for payload in sent]
            while any(heard.text_of(answer) != "Well, " for answer in answers):
                heard.hear((await socket.next(20))["conversationEvents"])
            # Both are under way at once, and the one that began last may end first.
            for gate in reversed(gates):
                gate.set()
                count = len(heard.whole)
                while len(heard.whole) == count:
                    heard.hear((await socket.next(20))["conversationEvents"])
    for answer in answers:
        assert heard.whole[answer]["blocks"][0]["text"] == "Well, that is all."
        assert heard.agrees(answer)
    # From the middle of either both are told whole.
    middle = next(event["cursor"] for event in heard.events if event["__typename"] == "TextDelta")
    async with socket_to(live, colleague.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=middle)
        again = Heard()
        while len(again.whole) < 2:
            again.hear((await socket.next(20))["conversationEvents"])
    assert again.whole == heard.whole


async def test_words_are_told_in_batches(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    pieces = [f"word{place} " for place in range(2_000)]
    async with answered_by(services, LanguageModel(says(*pieces))) as answering, socket_to(live, advisor.token) as one:
        await one.subscribe(FOLLOW, conversation=conversation, after=cursor)
        async with working(answering, RUNS):
            await say(gql, advisor, "Much", conversationId=conversation)
            heard = await until_end(one)
    (answer,) = heard.whole
    assert heard.whole[answer]["blocks"][0]["text"] == "".join(pieces)
    moments = [datetime.fromisoformat(e["occurredAt"]) for e in heard.events if e["__typename"] == "TextDelta"]
    # However fast the model is: the clock of the log has a millisecond's precision.
    assert all(later - earlier >= timedelta(milliseconds=28) for earlier, later in pairwise(moments))


async def test_what_the_log_does_not_keep_any_more_is_said(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await meera(make)
    conversation = await talk(gql, advisor)
    start = await cursor_of(gql, advisor, conversation)
    first = await told(gql, live, services, advisor, conversation)
    await make.connection.execute(OLDER, timedelta(days=2))
    await say(gql, advisor, "Thank you", conversationId=conversation)
    await drained(services, RUNS)
    await make.connection.execute(OLDER, timedelta(days=29))
    await forget(services.doors.database, make.now)
    async with socket_to(live, advisor.token) as socket:
        for event in [{"cursor": start}, *first.events[:-1]]:
            assert (await fault_of(socket, conversation, event["cursor"]))["code"] == "CURSOR_EXPIRED"
        # From the last that is gone on, all is there.
        await socket.subscribe(FOLLOW, conversation=conversation, after=first.events[-1]["cursor"])
        assert (await until_end(socket)).kinds == ["MessagePosted", "RunStarted", "RunCompleted"]


async def test_an_end_that_is_too_old_is_missed_by_nobody_through_another_one(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    start, held, heard = await cursor_of(gql, advisor, conversation), asyncio.Event(), Heard()
    server = LanguageModel(halting(held, ["Long "], "ago."), says("Short."))
    async with answered_by(services, server) as answering, socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=start)
        async with working(answering, RUNS):
            long = (await say(gql, advisor, "Long", conversationId=conversation))["answer"]["id"]
            while not heard.text_of(long):
                heard.hear((await socket.next(20))["conversationEvents"])
            await say(gql, advisor, "Short", conversationId=conversation)
            await until_end(socket, heard=heard)
            short = heard.events[-1]
            of_others = f"{OLDER} where entity_id <> $2"
            await make.connection.execute(of_others, timedelta(days=31), decode(long, "message", "id"))
            await forget(services.doors.database, make.now)
            held.set()
            while len(heard.whole) < 2:
                heard.hear((await socket.next(20))["conversationEvents"])
    # The end of the long one stands for its own steps, which began before the short one's end was told.
    assert number(heard.events[-1]["since"], conversation) < number(short["cursor"], conversation)
    before = next(event["cursor"] for event in heard.events if event["__typename"] == "TextDelta")
    async with socket_to(live, advisor.token) as socket:
        assert (await fault_of(socket, conversation, before))["code"] == "CURSOR_EXPIRED"
        await socket.subscribe(FOLLOW, conversation=conversation, after=short["cursor"])
        assert list((await until_end(socket)).whole) == [long]


@pytest.mark.parametrize("after", ["", "x", "kqF4AQ", "\U0001f4b0"])
async def test_a_cursor_is_one_of_this_very_conversation(make: Make, gql: Gql, live: Served, after: str) -> None:
    advisor = await make.advisor()
    conversation, other = await talk(gql, advisor), await talk(gql, advisor)
    await say(gql, advisor, "Hello.", conversationId=other)
    cursors = [after, await cursor_of(gql, advisor, other), StreamCursor(stream_of(conversation), 99).encode()]
    async with socket_to(live, advisor.token) as socket:
        for cursor in cursors:
            told = await fault_of(socket, conversation, cursor)
            assert (told["code"], told["details"][0]["field"]) == ("VALIDATION_ERROR", "after")


async def test_whoever_may_not_follow_leaves_others_all_connections(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    conversation = await talk(gql, await make.advisor())
    async with socket_to(live, (await make.advisor()).token) as socket:
        for _ in range(services.doors.database.pooled.most):
            assert (await fault_of(socket, conversation, "x"))["code"] == "NOT_FOUND"
    assert services.doors.database.spare


async def test_an_answer_that_has_ended_is_read_as_it_was_told(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await meera(make)
    conversation = await talk(gql, advisor)
    heard = await told(gql, live, services, advisor, conversation)
    (answer,) = heard.whole
    assert await message(gql, advisor, answer) == heard.whole[answer]
