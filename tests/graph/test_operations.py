"""The sample operations, which are GraphiQL's tabs, run as they stand on the demo firm."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from graphql import parse
from graphql.language import OperationDefinitionNode, OperationType

from domain.office import RUNS
from graph.app import OPERATIONS, make_app, open_services
from graph.demo_firm import DEMO_PASSWORD
from graph.graphiql import Operation, operations
from graph.http.schema import Schema
from graph.settings import Settings
from persistence import demo
from persistence.embedded import EmbeddedServer
from tests.conftest import Databases, quick
from tests.support.gql import Gql
from tests.support.served import Socket, served, socket_to
from tests.support.worker import drained, working

SAMPLES = operations(OPERATIONS)
SIGN_IN = """mutation ($input: SignInInput!) {
    signIn(input: $input) { session { accessToken } userErrors { code } }
}"""
# What a sample is there to show, where it is not an answer without errors.
REFUSED = {"12-sell-too-much": ["INSUFFICIENT_HOLDING"]}
# Who runs a sample that is not for supervisors.
FOR = {"29-invite-user": "admin", "37-share-conversation": "asha.mehta"}
START = """mutation { startConversation(input: {}) { conversation { id eventsCursor } } }"""
SEND = """mutation { sendMessage(input: {content: "What can you do?", idempotencyKey: "any"}) { run { id } } }"""


@pytest.fixture(scope="module")
async def gql(databases: Databases, settings: Settings, cluster: EmbeddedServer, schema: Schema) -> AsyncIterator[Gql]:
    """The demo firm, seen by a supervisor."""
    async with databases.clone() as url, open_services(settings, url, Path(cluster.home)) as opened:
        services = quick(opened)
        await demo.load(
            url,
            clients=600,
            field_key=settings.field_key_bytes(Path(cluster.home)),
            passwords=services.passwords,
            now=datetime.now(UTC),
            password=DEMO_PASSWORD,
        )
        transport = httpx.ASGITransport(make_app(settings, services, schema=schema))
        async with httpx.AsyncClient(transport=transport, base_url="http://steward.test", timeout=30) as client:
            anonymous = Gql(client, services)
            given = {"email": "meera.joshi@steward.example", "password": DEMO_PASSWORD}
            answer = await anonymous.run(SIGN_IN, input=given)
            yield Gql(client, services, answer["signIn"]["session"]["accessToken"])


async def signed_in(gql: Gql, name: str) -> Gql:
    """The same as somebody of the demo firm."""
    given = {"email": f"{name}@steward.example", "password": DEMO_PASSWORD}
    answer = await gql.run(SIGN_IN, input=given)
    return Gql(gql.client, gql.services, answer["signIn"]["session"]["accessToken"])


async def with_ids(user: Gql, variables: Any) -> Any:
    """Variables with ids of the user's own where a sample leaves them open, as the page fills them in."""
    text = msgspec.json.encode(variables).decode()
    if "conversation_…" in text:
        conversation = (await user.run(START))["startConversation"]["conversation"]
        text = text.replace("conversation_…", conversation["id"]).replace("eventsCursor…", conversation["eventsCursor"])
    if "run_…" in text:
        text = text.replace("run_…", (await user.run(SEND))["sendMessage"]["run"]["id"])
    return msgspec.json.decode(text)


def kind_of(sample: Operation) -> OperationType:
    (definition,) = parse(sample.query).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition.operation


def test_there_are_enough_samples_and_each_says_what_it_shows() -> None:
    assert len(SAMPLES) >= 15
    assert all(sample.description.endswith(".") for sample in SAMPLES)
    assert {kind_of(sample) for sample in SAMPLES} == set(OperationType)


@pytest.mark.parametrize(
    "sample", [each for each in SAMPLES if kind_of(each) is not OperationType.SUBSCRIPTION], ids=lambda each: each.name
)
async def test_a_sample_runs_as_it_stands(gql: Gql, sample: Operation) -> None:
    user = await signed_in(gql, FOR[sample.name]) if sample.name in FOR else gql
    data = await user.run(sample.query, **await with_ids(user, sample.variables))
    assert [error["code"] for error in user_errors(data)] == REFUSED.get(sample.name, [])
    assert not empty(data), "a sample that shows nothing shows nothing"


async def test_a_large_deposit_reaches_an_open_subscription(gql: Gql, settings: Settings, schema: Schema) -> None:
    by_name = {sample.name: sample for sample in SAMPLES}
    deposit = by_name["10-record-large-deposit"]
    given = {**deposit.variables["input"], "idempotencyKey": "seen live"}
    async with (
        served(make_app(settings, gql.services, schema=schema)) as address,
        socket_to(address, gql.token) as socket,
    ):
        await socket.subscribe(by_name["03-notifications-live"].query)
        await asyncio.sleep(0.5)
        await gql.run(deposit.query, input=given)
        arrived = (await socket.next())["notifications"]["notification"]
    assert (arrived["kind"], arrived["client"]["name"]) == ("LARGE_DEPOSIT", "Rajesh Kumar")
    assert arrived["amount"]["display"] == "₹15,00,000.00"


async def test_a_question_is_answered_before_ones_eyes(gql: Gql, settings: Settings, schema: Schema) -> None:
    by_name = {sample.name: sample for sample in SAMPLES}
    asha = await signed_in(gql, "asha.mehta")
    ask, follow = by_name["31-ask"], by_name["34-conversation-live"]
    given = await with_ids(asha, follow.variables)
    async with (
        working(gql.services, RUNS),
        served(make_app(settings, gql.services, schema=schema)) as address,
        socket_to(address, asha.token) as socket,
    ):
        await socket.subscribe(follow.query, id="follow", **given)
        await asyncio.sleep(0.5)
        await socket.subscribe(
            ask.query, id="ask", input={**ask.variables["input"], "conversationId": given["conversationId"]}
        )
        asked = await until_whole(socket, ask="ask", follow="conversationEvents")
    for events in asked.values():
        kinds = [event["__typename"] for event in events]
        assert kinds[0] == "MessagePosted"
        assert kinds[-1] == "RunCompleted"
        assert "TextDelta" in kinds
    found = [event["block"] for event in asked["ask"] if event["__typename"] == "BlockAdded"]
    assert any(len(block.get("rows", ())) > 1 for block in found)
    assert "Rajesh Kumar" in "".join(event["text"] for event in asked["ask"] if event["__typename"] == "TextDelta")
    await drained(gql.services, RUNS)
    # It is found again, by the beginnings of its words, and read as a document, which is called by the exchange.
    search, export = by_name["36-search-messages"], by_name["38-export-conversation"]
    assert (await asha.run(search.query, **search.variables))["messages"]["totalCount"] >= 1
    (exported,) = (await asha.run(export.query))["conversations"]["nodes"]
    assert exported["title"] == "Holdings of Rajesh Kumar"
    assert all(name in exported["markdown"] for name in ("Asha Mehta", "Assistant", "| --- |"))


async def until_whole(socket: Socket, **fields: str) -> dict[str, list[Any]]:
    """The events of several subscriptions, each until its answer is whole, by their ids."""
    told: dict[str, list[Any]] = {name: [] for name in fields}
    while any(not events or events[-1]["__typename"] != "RunCompleted" for events in told.values()):
        message = await socket.receive(20)
        assert message["type"] != "error", message
        if message["type"] == "next":
            assert "errors" not in message["payload"], message
            told[message["id"]].append(message["payload"]["data"][fields[message["id"]]])
    return told


async def test_three_sign_ins_see_different_rows(gql: Gql) -> None:
    counts = {}
    for email in ("admin", "meera.joshi", "asha.mehta"):
        user = await signed_in(gql, email)
        counts[email] = (await user.run("{ clients { totalCount } }"))["clients"]["totalCount"]
    assert counts["admin"] > counts["meera.joshi"] > counts["asha.mehta"] > 0
    assert counts["admin"] >= 600


def user_errors(data: dict[str, Any]) -> list[Any]:
    return [error for field in data.values() if isinstance(field, dict) for error in field.get("userErrors", [])]


def empty(value: Any) -> bool:
    """Whether nothing in an answer says anything."""
    if isinstance(value, dict):
        return all(empty(each) for name, each in value.items() if name != "pageInfo")
    if isinstance(value, list):
        return all(empty(each) for each in value)
    return value is None
