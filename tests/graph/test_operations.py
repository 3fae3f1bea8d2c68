"""The sample operations, which are GraphiQL's tabs, run as they stand on the demo firm."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import parse
from graphql.language import OperationDefinitionNode, OperationType

from graph.app import OPERATIONS, make_app, open_services
from graph.demo_firm import DEMO_PASSWORD
from graph.graphiql import Operation, operations
from graph.http.schema import Schema
from graph.settings import Settings
from persistence import demo
from persistence.embedded import EmbeddedServer
from tests.conftest import Databases, quick
from tests.support.gql import Gql
from tests.support.served import served, socket_to

SAMPLES = operations(OPERATIONS)
SIGN_IN = """mutation ($input: SignInInput!) {
    signIn(input: $input) { session { accessToken } userErrors { code } }
}"""
# What a sample is there to show, where it is not an answer without errors.
REFUSED = {"12-sell-too-much": ["INSUFFICIENT_HOLDING"]}
# Who runs a sample that is not for supervisors.
FOR = {"29-invite-user": "admin"}


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
    data = await user.run(sample.query, **sample.variables)
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
