"""Conversations: what is said, and how the answer grows; the same of the embedded model and of one at an endpoint."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.access import Role
from domain.office import RUNS
from graph.context import Services
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.interruptions import EMBEDDED, MODELS, QUESTION, TOOLS
from tests.support.language_model import Imitating
from tests.support.served import Served, socket_to
from tests.support.talking import ASK, FOLLOW, answered_by, message, say, until_end
from tests.support.worker import drained, working


@pytest.fixture(params=MODELS)
async def answering(services: Services, request: pytest.FixtureRequest) -> AsyncIterator[Services]:
    """The services, with either model."""
    if request.param == EMBEDDED:
        yield services
        return
    async with answered_by(services, Imitating()) as answering:
        yield answering


async def test_an_answer_grows_before_ones_eyes(make: Make, gql: Gql, live: Served, answering: Services) -> None:
    advisor = await make.advisor(clients=2)
    started = await gql.as_(advisor).change("startConversation", "conversation { id title eventsCursor }")
    conversation = started["conversation"]
    async with working(answering, RUNS), socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation["id"], after=conversation["eventsCursor"])
        sent = await say(gql, advisor, "What can you do?", conversationId=conversation["id"])
        assert sent["answer"]["blocks"] == []
        heard = await until_end(socket)
    assert heard.kinds[:2] == ["MessagePosted", "RunStarted"]
    assert heard.kinds[-1] == "RunCompleted"
    answer = sent["answer"]["id"]
    told = heard.whole[answer]
    assert told["blocks"] == [{"__typename": "TextBlock", "text": heard.text_of(answer)}]
    assert await message(gql, advisor, answer) == told
    assert told["run"]["status"] == "COMPLETED"


async def test_it_looks_things_up_and_tells_what_it_has_found(
    make: Make, gql: Gql, live: Served, answering: Services
) -> None:
    advisor = await make.advisor()
    assert advisor.book
    await make.portfolio(await make.client(advisor.book, name="Vikram Rao"), name="Growth")
    async with working(answering, RUNS), socket_to(live, advisor.token) as socket:
        await socket.subscribe(ASK, input={"content": QUESTION, "idempotencyKey": "once"})
        heard = await until_end(socket, "ask")
    (answer,) = heard.whole
    assert [tool["name"] for tool in heard.whole[answer]["toolsUsed"]] == list(TOOLS)
    assert heard.agrees(answer)
    assert "BlockAdded" in heard.kinds
    assert heard.text_of(answer) == "".join(block.get("text", "") for block in heard.whole[answer]["blocks"])
    assert "Vikram Rao" in heard.text_of(answer)
    assert await message(gql, advisor, answer) == heard.whole[answer]


async def test_asking_is_sending_and_following_in_one(make: Make, gql: Gql, live: Served, answering: Services) -> None:
    advisor = await make.advisor(clients=2)
    given = {"content": "What can you do?", "idempotencyKey": "once"}
    async with working(answering, RUNS), socket_to(live, advisor.token) as socket:
        await socket.subscribe(ASK, input=given)
        first = await until_end(socket, "ask")
        assert (await socket.receive())["type"] == "complete"
        # The same question follows the same answer, of which the log keeps its end.
        await socket.subscribe(ASK, input=given)
        again = await until_end(socket, "ask")
        assert (await socket.receive())["type"] == "complete"
    assert first.kinds[:2] == ["MessagePosted", "RunStarted"]
    (answer,) = first.whole
    assert again.whole == first.whole
    # Whoever asks without a conversation learns which one it has begun.
    begun = first.events[0]["message"]["conversation"]["id"]
    listed = await gql.as_(advisor).run("{ conversations { nodes { id messages { nodes { conversation { id } } } } } }")
    assert listed["conversations"]["nodes"] == [
        {"id": begun, "messages": {"nodes": [{"conversation": {"id": begun}}] * 2}}
    ]
    assert again.kinds == ["MessagePosted", "RunStarted", "RunCompleted"]
    assert first.text_of(answer) == first.whole[answer]["blocks"][0]["text"]


async def test_what_an_auditor_has_looked_up_is_in_the_trail(make: Make, gql: Gql, answering: Services) -> None:
    advisor, auditor = await make.advisor(clients=1), await make.user(Role.AUDITOR)
    (client,) = (await gql.as_(advisor).run("{ clients { nodes { id name } } }"))["clients"]["nodes"]
    await say(gql, auditor, f"How much cash has {client['name']}?", context={"nodeIds": [client["id"]]})
    await drained(answering, RUNS)
    rows = await make.connection.fetch("select after as facts from audit_events where object_type = 'Tool'")
    assert [row for row in rows if client["id"] in str(row["facts"])]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"content": " "}, "VALIDATION_ERROR", "input.content"),
        ({"content": "x" * 20_001}, "VALIDATION_ERROR", "input.content"),
        ({"conversationId": f"conversation_{'0' * 31}1"}, "NOT_FOUND", None),
        ({"conversationId": f"client_{'0' * 31}1"}, "VALIDATION_ERROR", "input.conversationId"),
        ({"context": {"nodeIds": [f"client_{'0' * 31}1"]}}, "NOT_FOUND", None),
        ({"context": {"nodeIds": [f"user_{'0' * 31}1"]}}, "VALIDATION_ERROR", "input.context.nodeIds.0"),
    ],
)
async def test_what_cannot_be_asked_is_told_with_a_code(
    make: Make, live: Served, given: dict[str, Any], code: str, field: str | None
) -> None:
    advisor = await make.advisor()
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(ASK, input={"content": "Hello", "idempotencyKey": "1", **given})
        told = await socket.receive()
        assert told["type"] == "error", told
        (error,) = told["payload"]
    assert error["extensions"]["code"] == code
    assert [each["field"] for each in error["extensions"]["details"]] == ([field] if field else [])
