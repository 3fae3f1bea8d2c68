"""Answers of models at endpoints: a real socket, OpenAI's wire format and its own SDK."""

import asyncio
from decimal import Decimal
from typing import Any, Final

import pytest

from domain.assistant.models.endpoints import Prices
from domain.office import RUNS
from graph.context import Services
from graph.ids import decode, id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import (
    End,
    LanguageModel,
    Reply,
    Want,
    breaks_off,
    fails,
    halting,
    says,
    wants,
    words,
)
from tests.support.served import Served, socket_to
from tests.support.talking import FOLLOW, Heard, answered_by, cursor_of, has_ended, message, say, talk, until, until_end
from tests.support.worker import drained, working

NAME: Final = "Meera Krishnamurthy"
WELL: Final = says("All ", "is ", "well.")


async def meera(make: Make) -> tuple[SignedIn, str]:
    """An advisor with a client of that name, and the client's id."""
    advisor = await make.advisor()
    assert advisor.book
    return advisor, id_of(await make.client(advisor.book, name=NAME))


async def answer_to(
    gql: Gql, who: SignedIn, services: Services, *servers: LanguageModel, content: str = "How is she?", **given: Any
) -> Any:
    """What is answered to a question, as it is read afterwards."""
    async with answered_by(services, *servers, **given) as answering:
        sent = await say(gql, who, content)
        await drained(answering, RUNS)
    return await message(gql, who, sent["answer"]["id"])


def texts(answer: Any) -> str:
    """What an answer says."""
    return "".join(block["text"] for block in answer["blocks"] if block["__typename"] == "TextBlock")


def error_of(answer: Any) -> tuple[str, bool]:
    """What an answer ends with: the code, and whether to try it again."""
    block = answer["blocks"][-1]
    assert block["__typename"] == "ErrorBlock", answer
    assert (answer["run"]["error"], answer["run"]["retryable"]) == (block["code"], block["retryable"])
    return block["code"], block["retryable"]


def asked_for(server: LanguageModel) -> list[dict[str, Any]]:
    """The lines of the last request but for the system's."""
    return [line for line in server.asked[-1].messages if line["role"] != "system"]


async def test_words_are_told_as_they_come(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    held, heard = asyncio.Event(), Heard()
    server = LanguageModel(halting(held, ["At ", "once."], " And ", "later."))
    async with (
        answered_by(services, server) as answering,
        working(answering, RUNS),
        socket_to(live, advisor.token) as socket,
    ):
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        answer = (await say(gql, advisor, "How is she?", conversationId=conversation))["answer"]["id"]
        while heard.text_of(answer) != "At once.":
            heard.hear((await socket.next(20))["conversationEvents"])
        held.set()
        await until_end(socket, heard=heard)
    assert texts(heard.whole[answer]) == "At once. And later."
    assert heard.agrees(answer)


async def test_what_was_said_before_is_told_to_the_model(make: Make, gql: Gql, services: Services) -> None:
    advisor, client = await meera(make)
    server = LanguageModel(WELL, says("Still."))
    async with answered_by(services, server) as answering:
        conversation = (await say(gql, advisor, "How is she?"))["conversation"]["id"]
        await drained(answering, RUNS)
        looked = {"nodeIds": [client], "page": "client/overview"}
        await say(gql, advisor, "And now?", conversationId=conversation, context=looked)
        await drained(answering, RUNS)
    assert [(line["role"], line["content"]) for line in asked_for(server)] == [
        ("user", "How is she?"),
        ("assistant", "All is well."),
        ("user", "And now?"),
    ]
    system = server.asked[-1].messages[0]["content"]
    assert all(part in system for part in (NAME, client, "client/overview", advisor.user.name))


async def test_tools_are_called_and_what_they_find_is_shown_and_noted(make: Make, gql: Gql, services: Services) -> None:
    advisor, client = await meera(make)
    server = LanguageModel(wants(Want("find_client", {"text": "Meera"}), text="Let me see."), WELL)
    answer = await answer_to(gql, advisor, services, server)
    assert [block["__typename"] for block in answer["blocks"]] == ["TextBlock", "TableBlock", "TextBlock"]
    (row,) = answer["blocks"][1]["rows"]
    assert row[:2] == [client, NAME]
    assert answer["toolsUsed"] == [{"name": "find_client", "line": answer["toolsUsed"][0]["line"], "failed": False}]
    # The model is told as the protocol has it: its own call, and what came of it.
    said, called, found = asked_for(server)
    assert (said["role"], called["role"], found["role"]) == ("user", "assistant", "tool")
    assert called["content"] == "Let me see."
    assert found["tool_call_id"] == called["tool_calls"][0]["id"]
    assert NAME in found["content"]
    # The client is noted with both, the question being about it: that decides who reads them.
    noted = await make.connection.fetch("select message_id, client_id from message_clients")
    both = {decode(answer[name], "message", "id") for name in ("id", "replyToId")}
    assert {tuple(row) for row in noted} == {(each, decode(client, "client", "id")) for each in both}


async def test_several_tools_at_once_are_called_in_order(make: Make, gql: Gql, services: Services) -> None:
    advisor, client = await meera(make)
    calls = [Want("find_client", {"text": "Meera"}, "a"), Want("holdings", {"of": client}, "b")]
    server = LanguageModel(wants(*calls), WELL)
    answer = await answer_to(gql, advisor, services, server)
    assert [tool["name"] for tool in answer["toolsUsed"]] == ["find_client", "holdings"]
    assert [line.get("tool_call_id") for line in asked_for(server)][2:] == ["a", "b"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("find_client", '{"text": "Mee'),
        ("find_client", '{"text": 7}'),
        ("find_client", '{"name": "Meera"}'),
        ("find_client", "[]"),
        ("find_client", ""),
        ("holdings", '{"of": "client_00000000000000000000000000000000"}'),
        ("delete_everything", "{}"),
    ],
)
async def test_what_cannot_be_called_is_told_to_the_model(
    make: Make, gql: Gql, services: Services, tool: str, arguments: str
) -> None:
    advisor, _ = await meera(make)
    server = LanguageModel(wants(Want(tool, arguments)), WELL)
    answer = await answer_to(gql, advisor, services, server)
    assert (texts(answer), answer["run"]["status"]) == ("All is well.", "COMPLETED")
    assert [(use["name"], use["failed"]) for use in answer["toolsUsed"]] == [(tool, True)]
    assert len(answer["blocks"]) == 1
    assert asked_for(server)[-1]["role"] == "tool"


async def test_a_model_that_calls_for_ever_is_asked_for_an_answer(make: Make, gql: Gql, services: Services) -> None:
    advisor, _ = await meera(make)
    server = LanguageModel(*[wants(Want("find_client", {"text": "Meera"}))] * 8, WELL)
    answer = await answer_to(gql, advisor, services, server)
    assert (texts(answer), answer["run"]["status"]) == ("All is well.", "COMPLETED")
    assert len(server.asked) == 9
    # Those that were called are named to the last, for some endpoints take no lines of others.
    assert "find_client" in server.asked[-1].tools
    assert [asked.body.get("tool_choice") for asked in server.asked] == [*[None] * 8, "none"]
    assert len(answer["toolsUsed"]) == 8


async def test_no_tool_shows_what_the_user_does_not_see(make: Make, gql: Gql, services: Services) -> None:
    _, client = await meera(make)
    stranger = await make.advisor()
    server = LanguageModel(wants(Want("find_client", {"text": "Meera"}), Want("holdings", {"of": client}, "b")), WELL)
    answer = await answer_to(gql, stranger, services, server)
    assert len(answer["blocks"]) == 1
    assert NAME not in str(server.asked[-1].messages)
    assert await make.connection.fetchval("select count(*) from message_clients") == 0


@pytest.mark.parametrize(
    "trouble",
    [
        [fails(429, after="1")],
        [fails(500)],
        [fails(503), fails(500)],
        [breaks_off(end=End.CUT)],
        [breaks_off(end=End.NEATLY)],
    ],
    ids=["429", "500", "503 and 500", "cut", "ended"],
)
async def test_trouble_that_passes_is_not_seen(make: Make, gql: Gql, services: Services, trouble: list[Reply]) -> None:
    advisor = await make.advisor()
    server = LanguageModel(*trouble, WELL)
    answer = await answer_to(gql, advisor, services, server)
    assert (texts(answer), answer["run"]["status"]) == ("All is well.", "COMPLETED")
    assert len(server.asked) == len(trouble) + 1


@pytest.mark.parametrize("end", [End.CUT, End.NEATLY, End.SILENT, End.PINGING])
async def test_a_stream_that_is_cut_in_the_middle_is_one_whole_answer(
    make: Make, gql: Gql, live: Served, services: Services, end: End
) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    begun = "The portfolio has grown by a tenth "
    # Asked to go on, a model may well repeat all that it has said.
    server = LanguageModel(breaks_off(*words(begun), end=end), says(begun, "since the spring."))
    async with (
        answered_by(services, server, chunk_seconds=0.3) as answering,
        working(answering, RUNS),
        socket_to(live, advisor.token) as socket,
    ):
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        answer = (await say(gql, advisor, "How is she?", conversationId=conversation))["answer"]["id"]
        heard = await until_end(socket)
    assert texts(heard.whole[answer]) == begun + "since the spring."
    assert heard.text_of(answer) == begun + "since the spring."
    assert len(server.asked) == 2


async def test_another_model_goes_on_where_one_was_cut(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    first = LanguageModel(breaks_off(*words("The portfolio ")), *[fails(500)] * 9)
    second = LanguageModel(says("has grown."))
    answer = await answer_to(gql, advisor, services, first, second)
    assert texts(answer) == "The portfolio has grown."


async def test_no_tool_is_called_again_where_another_model_goes_on(make: Make, gql: Gql, services: Services) -> None:
    advisor, _ = await meera(make)
    first = LanguageModel(wants(Want("find_client", {"text": "Meera"})), *[fails(500)] * 9)
    second = LanguageModel(says("She is there."))
    answer = await answer_to(gql, advisor, services, first, second)
    assert texts(answer) == "She is there."
    assert len(answer["toolsUsed"]) == 1
    assert asked_for(second)[-1]["role"] == "tool"


@pytest.mark.parametrize("reply", [fails(500), fails(401), Reply(end=End.SILENT)], ids=["500", "401", "silent"])
async def test_a_model_that_is_down_fails_the_run_to_be_tried_again(
    make: Make, gql: Gql, services: Services, reply: Reply
) -> None:
    advisor = await make.advisor()
    server = LanguageModel(*[reply] * 9)
    answer = await answer_to(gql, advisor, services, server, chunk_seconds=0.2)
    assert error_of(answer) == ("MODEL_DOWN", True)
    # What the vendor says is nobody's business, least of all the key in it.
    assert "sk-" not in str(answer)
    stored = "select count(*) from messages where blocks like '%sk-%' or insight like '%sk-%'"
    assert await make.connection.fetchval(stored) == 0


async def test_what_was_said_before_a_failure_stays(make: Make, gql: Gql, live: Served, services: Services) -> None:
    advisor, client = await meera(make)
    conversation = await talk(gql, advisor)
    cursor = await cursor_of(gql, advisor, conversation)
    calls = wants(Want("find_client", {"text": "Meera"}), text="Let me see.")
    server = LanguageModel(calls, breaks_off(*words("She ")), *[fails(500)] * 9)
    async with (
        answered_by(services, server) as answering,
        working(answering, RUNS),
        socket_to(live, advisor.token) as socket,
    ):
        await socket.subscribe(FOLLOW, conversation=conversation, after=cursor)
        sent = await say(gql, advisor, "How is she?", conversationId=conversation)
        heard = await until_end(socket)
    end, answer = heard.events[-1], sent["answer"]["id"]
    assert (end["__typename"], end["code"], end["retryable"]) == ("RunFailed", "MODEL_DOWN", True)
    kinds = [block["__typename"] for block in heard.whole[answer]["blocks"]]
    assert kinds == ["TextBlock", "TableBlock", "TextBlock", "ErrorBlock"]
    assert heard.text_of(answer) == texts(heard.whole[answer]) == "Let me see.She "
    assert heard.whole[answer]["blocks"][1]["rows"][0][0] == client
    assert await message(gql, advisor, answer) == heard.whole[answer]


async def test_the_embedded_model_answers_where_the_setting_allows(make: Make, gql: Gql, services: Services) -> None:
    advisor, client = await meera(make)
    server = LanguageModel(*[fails(500)] * 9)
    answer = await answer_to(gql, advisor, services, server, fallback=True, content="Find client Meera")
    assert answer["run"]["status"] == "COMPLETED"
    assert [block["__typename"] for block in answer["blocks"]] == ["TableBlock", "TextBlock"]
    assert answer["blocks"][0]["rows"][0][0] == client
    assert answer["usage"]["models"] == ["embedded"]


async def test_what_a_model_declines_is_not_tried_again(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    server = LanguageModel(*[fails(400, "content_filter")] * 9)
    async with answered_by(services, server) as answering:
        sent = await say(gql, advisor, "How is she?")
        async with working(answering, RUNS):
            await until(lambda: has_ended(gql, advisor, sent["run"]["id"]))
    answer = await message(gql, advisor, sent["answer"]["id"])
    assert error_of(answer) == ("MODEL_REFUSED", False)
    declined = await gql.as_(advisor).change("retryRun", "run { id }", runId=sent["run"]["id"])
    assert [each["code"] for each in declined["userErrors"]] == ["RUN_NOT_FAILED"]
    assert len(server.asked) == 1


async def test_what_an_answer_has_cost_is_kept(make: Make, gql: Gql, services: Services) -> None:
    advisor, _ = await meera(make)
    find = wants(Want("find_client", {"text": "Meera"}))
    prices = Prices(Decimal("2.5"), Decimal(10))
    server = LanguageModel(find, says("Well.", used=(100, 20)))
    answer = await answer_to(gql, advisor, services, server, prices=prices)
    # Both requests count: 11 and 7 tokens, then 100 and 20.
    assert answer["usage"]["models"] == ["tests"]
    assert (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]) == (111, 27)
    assert Decimal(answer["usage"]["cost"]) == prices.cost(111, 27)
    unknown = await answer_to(gql, advisor, services, LanguageModel(WELL), content="And what is the price?")
    assert (unknown["usage"]["inputTokens"], unknown["usage"]["cost"]) == (11, None)


async def test_a_long_conversation_is_shown_as_far_as_it_fits(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    server = LanguageModel(*[WELL] * 5)
    async with answered_by(services, server) as answering:
        for number in range(5):
            await say(gql, advisor, f"{number} " + "so much to say " * 1_300, conversationId=conversation)
            await drained(answering, RUNS)
    # The default is 32,000 tokens, each of them a letter at least.
    assert sum(len(line["content"]) for line in server.asked[-1].messages) <= 200_000
    assert asked_for(server)[-1]["content"].startswith("4 so much")
