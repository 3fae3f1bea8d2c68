"""What it costs to follow a conversation, and what those are told from whom an answer turns out to be hidden."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, cast

import msgspec
import pytest

from domain.access import SYSTEM
from domain.assistant.answering import ModelAssistant
from domain.assistant.telling import Nib, Telling
from domain.clients import Client
from domain.conversations import runs
from domain.conversations.entities import Run, stream_of
from domain.office import RUNS
from graph.context import Services
from graph.conversations.sight import ConversationCursor
from graph.ids import decode, id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Want, says, wants
from tests.support.served import Served, Socket, socket_to
from tests.support.talking import (
    ASK,
    FOLLOW,
    Heard,
    answered_by,
    cursor_of,
    group,
    message,
    say,
    talk,
    until_end,
)
from tests.support.worker import working

# In statements: who looks, and what there is.
LOOK: Final = 2
# Of one batch of words.
WRITE: Final = 1
BATCHES: Final = 5


class Talk(msgspec.Struct):
    """An answer that grows by hand, and those who follow it."""

    nib: Nib
    services: Services

    async def joined(self, members: int) -> None:
        """Wait until so many follow in groups."""
        async with asyncio.timeout(10):
            while self.members != members:  # noqa: ASYNC110 - groups set no event
                await asyncio.sleep(0.01)
        # By then the group has read that there is nothing new.
        await asyncio.sleep(0.2)

    @property
    def members(self) -> int:
        return sum(len(group.members) for group in self.services.fanout.groups.values())

    async def costs(self, sockets: Sequence[Socket]) -> int:
        """In statements, what a batch of words costs until all have heard it."""
        counts = []
        for number in range(BATCHES):
            seen: list[str] = []
            with self.services.doors.database.observed(seen.append):
                await written(self.nib, "word ", 5 * number)
                for socket in sockets:
                    ((_, told),) = (await socket.next()).items()
                    assert (told["__typename"], told["text"]) == ("TextDelta", "word ")
            counts.append(len(seen))
        # With the first words whose they are is read, and whoever was rung once more has looked once more.
        return min(counts) - WRITE


def cursor_in(text: str, conversation: str) -> ConversationCursor:
    """What a cursor of a conversation means."""
    return ConversationCursor.decode(text, stream_of(decode(conversation, "conversation", "id")))


def place(cursor: str, conversation: str) -> int:
    """The place in the stream that a cursor means."""
    return cursor_in(cursor, conversation).seq


async def nib_of(services: Services, run_id: str) -> Nib:
    """What writes the steps of a run that nobody has taken up."""
    run: Run | None = await services.doors.write(SYSTEM, "test", runs.take, SYSTEM, decode(run_id, "run", "id"))
    assert run
    return cast("ModelAssistant", services.gateways.assistant).pen.of(run)


async def written(nib: Nib, text: str, start: int = 0) -> None:
    """Have an answer go on with some words."""
    nib.write(Telling(0, text, start))
    await nib.written()


async def concerns(make: Make, conversation: str, answer: str, client: Client) -> None:
    """Have an answer be about a client as well."""
    note = "insert into message_clients (conversation_id, message_id, client_id) values ($1, $2, $3)"
    ids = decode(conversation, "conversation", "id"), decode(answer, "message", "id")
    await make.connection.execute(note, *ids, client.id)


@asynccontextmanager
async def following(
    live: Served, watchers: Sequence[SignedIn], document: str, **given: Any
) -> AsyncIterator[list[Socket]]:
    """A socket for each."""
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(socket_to(live, each.token)) for each in watchers]
        for socket in sockets:
            await socket.subscribe(document, **given)
        yield sockets


@pytest.mark.parametrize(("tabs", "sessions"), [(1, 1), (4, 1), (4, 2)])
async def test_the_tabs_of_a_session_look_together(
    make: Make, gql: Gql, live: Served, services: Services, tabs: int, sessions: int
) -> None:
    advisor = await make.advisor()
    assert advisor.book
    sent = await say(gql, advisor, "Tell me.", context={"nodeIds": [id_of(await make.client(advisor.book))]})
    others = [await make.session(advisor.user, advisor.book) for _ in range(sessions - 1)]
    watchers = ([advisor, *others] * tabs)[:tabs]
    held = Talk(await nib_of(services, sent["run"]["id"]), services)
    async with following(live, watchers, FOLLOW, conversation=sent["conversation"]["id"]) as sockets:
        await held.joined(tabs)
        assert len(services.fanout.groups) == sessions
        assert await held.costs(sockets) == sessions * LOOK


async def test_who_asks_looks_likewise(make: Make, live: Served, services: Services) -> None:
    advisor = await make.advisor()
    given = {"content": "Tell me.", "idempotencyKey": "once"}
    async with following(live, [advisor, advisor], ASK, input=given) as sockets:
        for socket in sockets:
            assert (await socket.next())["ask"]["__typename"] == "MessagePosted"
        run_id = await make.connection.fetchval("select id from runs")
        held = Talk(await nib_of(services, f"run_{run_id.hex}"), services)
        await held.joined(2)
        assert len(services.fanout.groups) == 1
        assert await held.costs(sockets) == LOOK


async def test_who_asks_again_behind_the_end_is_told_that_it_is_over(
    make: Make, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    given = {"content": "What can you do?", "idempotencyKey": "once"}
    async with working(services, RUNS), socket_to(live, advisor.token) as socket:
        await socket.subscribe(ASK, input=given)
        heard = await until_end(socket, "ask")
        assert (await socket.receive())["type"] == "complete"
        await socket.subscribe(ASK, input=given, after=heard.cursor)
        assert (await socket.receive())["type"] == "complete"


async def test_of_two_who_ask_at_once_each_hears_its_own(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    async with socket_to(live, advisor.token) as one, socket_to(live, advisor.token) as other:
        for number, socket in enumerate((one, other)):
            given = {"content": f"Question {number}", "idempotencyKey": f"{number}", "conversationId": conversation}
            await socket.subscribe(ASK, input=given)
        async with working(services, RUNS):
            heard = [await until_end(socket, "ask") for socket in (one, other)]
        for socket in (one, other):
            assert (await socket.receive())["type"] == "complete"
    for number, each in enumerate(heard):
        ((answer, whole),) = each.whole.items()
        assert each.events[0]["message"]["blocks"] == [{"text": f"Question {number}"}]
        assert {event.get("messageId", answer) for event in each.events} == {answer}
        assert whole["replyToId"] == each.events[0]["message"]["id"]


def names_somebody(held: asyncio.Event) -> LanguageModel:
    """Says some words, and then, when it is let go, finds out about a client, and says more."""
    find = wants(Want("find_client", {"text": "Meera"}), text="One moment. ")
    return LanguageModel(msgspec.structs.replace(find, held=held, before=2), says("Meera ", "is rich."), says("Well."))


async def test_whoever_was_told_some_of_an_answer_that_is_hidden_is_told_to_drop_it(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    owner, colleague, client, conversation = await group(make, gql)
    cursor, held = await cursor_of(gql, owner, conversation), asyncio.Event()
    async with (
        answered_by(services, names_somebody(held)) as answering,
        socket_to(live, colleague.token) as first,
        socket_to(live, colleague.token) as second,
    ):
        await first.subscribe(FOLLOW, conversation=conversation, after=cursor)
        async with working(answering, RUNS):
            hidden = (await say(gql, owner, "Find her", conversationId=conversation))["answer"]["id"]
            heard = Heard()
            while not heard.text_of(hidden):
                heard.hear((await first.next(20))["conversationEvents"])
            # Whoever comes in the middle knows the answer by its words alone.
            middle = next(event["cursor"] for event in heard.events if event["__typename"] == "AgentStatus")
            await second.subscribe(FOLLOW, conversation=conversation, after=middle)
            late = Heard()
            while not late.text_of(hidden):
                late.hear((await second.next(20))["conversationEvents"])
            held.set()
            await until_end(first, heard=heard)
            await until_end(second, heard=late)
            plain = (await say(gql, colleague, "And what else?", conversationId=conversation))["answer"]["id"]
            for socket, each in ((first, heard), (second, late)):
                while plain not in each.whole:
                    each.hear((await socket.next(20))["conversationEvents"])
    for each in (heard, late):
        (end,) = [event for event in each.events if event["__typename"] == "RunFailed"]
        assert (end["code"], end["retryable"], end["message"]["id"]) == ("OUT_OF_SIGHT", False, hidden)
        # Nothing of the answer is left, and nothing is said of the client.
        assert [block["__typename"] for block in end["message"]["blocks"]] == ["ErrorBlock"]
        assert end["message"]["run"] is None
        assert not any(word in str(each.events) for word in ("rich", "Krishnamurthy", id_of(client)))
        # As of any other answer, that is the last word on it.
        after = each.events[each.events.index(end) + 1 :]
        assert hidden not in str(after)
        assert list(each.whole) == [hidden, plain]
    assert await message(gql, colleague, hidden) is None
    assert "rich" in str(await message(gql, owner, hidden))


async def until_told_some(socket: Socket, nib: Nib, answer: str, heard: Heard) -> None:
    """Write some words of an answer, and hear them."""
    await written(nib, "One moment. ")
    while not heard.text_of(answer):
        heard.hear((await socket.next(20))["conversationEvents"])


async def test_what_else_happens_does_not_make_the_end_of_a_hidden_answer_be_forgotten(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    owner, colleague, client, conversation = await group(make, gql)
    cursor = await cursor_of(gql, owner, conversation)
    sent = await say(gql, owner, "Find her", conversationId=conversation)
    hidden, nib, heard = sent["answer"]["id"], await nib_of(services, sent["run"]["id"]), Heard()
    async with socket_to(live, colleague.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        await until_told_some(socket, nib, hidden, heard)
        # As when a tool has found her: that alone is no event.
        await concerns(make, conversation, hidden, client)
        other = await say(gql, colleague, "Me too", conversationId=conversation)
        heard.hear((await socket.next(20))["conversationEvents"])
        assert heard.events[-1]["message"]["id"] == other["message"]["id"]
        await written(nib, "She is rich. ", 12)
        heard.hear((await socket.next(20))["conversationEvents"])
    assert (heard.events[-1]["code"], heard.events[-1]["message"]["id"]) == ("OUT_OF_SIGHT", hidden)


@pytest.mark.parametrize("ends", [False, True])
async def test_whoever_was_away_when_an_answer_was_hidden_is_told_so_when_it_comes_back(
    make: Make, gql: Gql, live: Served, services: Services, *, ends: bool
) -> None:
    owner, colleague, client, conversation = await group(make, gql)
    cursor = await cursor_of(gql, owner, conversation)
    sent = await say(gql, owner, "Find her", conversationId=conversation)
    hidden, nib, heard = sent["answer"]["id"], await nib_of(services, sent["run"]["id"]), Heard()
    async with socket_to(live, colleague.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        await until_told_some(socket, nib, hidden, heard)
    await concerns(make, conversation, hidden, client)
    await written(nib, "She is rich. ", 12)
    if ends:
        await gql.as_(owner).change("cancelRun", "run { status }", runId=sent["run"]["id"])
    async with socket_to(live, colleague.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=heard.cursor)
        heard.hear((await socket.next(20))["conversationEvents"])
        end = heard.events[-1]
        assert (end["code"], end["message"]["id"], "rich" in str(end)) == ("OUT_OF_SIGHT", hidden, False)
        first = next(event for event in heard.events if event.get("messageId") == hidden)
        assert place(end["since"], conversation) == place(first["cursor"], conversation) - 1
        assert (end["message"]["version"], cursor_in(end["cursor"], conversation).answer_id) == (3 if ends else 2, None)
        # That was the last of it, also for whoever comes back behind it.
        if not ends:
            await written(nib, "Very rich. ", 25)
        await say(gql, colleague, "Me too", conversationId=conversation)
        assert (await socket.next(20))["conversationEvents"]["__typename"] == "MessagePosted"
    async with socket_to(live, colleague.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation, after=end["cursor"])
        assert (await socket.next(20))["conversationEvents"]["__typename"] == "MessagePosted"


async def test_a_cursor_tells_of_an_answer_while_it_grows(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation)
        sent = await say(gql, advisor, "Hello?", conversationId=conversation)
        async with working(services, RUNS):
            heard = await until_end(socket)
    answers = [cursor_in(event["cursor"], conversation).answer_id for event in heard.events]
    assert (answers[0], answers[-1]) == (None, None)
    assert set(answers[1:-1]) == {decode(sent["answer"]["id"], "message", "id")}
