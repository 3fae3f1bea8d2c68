"""Budgets on sockets and event streams."""

import asyncio
from typing import Any, Final

import pytest

from graph.context import Services
from graph.http.schema import Schema
from graph.settings import Settings
from tests.factories.firm import Make
from tests.graph.test_notifications import change_kyc, one_client
from tests.support.budgets import Budgets
from tests.support.gql import Gql
from tests.support.served import served, socket_to

LIVE: Final = "subscription ($after: String) { notifications(after: $after) { cursor notification { id kind } } }"
CHEAP: Final = "{ __typename }"


def told(message: Any) -> Any:
    """The cost that a `next` message tells."""
    assert message["type"] == "next", message
    return message["payload"]["extensions"]["cost"]


def refusal(message: Any) -> Any:
    """What an `error` message says."""
    assert message["type"] == "error", message
    return message["payload"][0]["extensions"]


async def test_an_operation_on_a_socket_is_a_request_with_its_cost(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, requests=3, cost=100), await make.advisor(clients=2)
    async with served(budgets.app) as address, socket_to(address, advisor.token) as socket:
        await socket.subscribe("{ clients(first: 10) { nodes { id } } }", "a")
        assert told(await socket.receive())["actual"] == 13
        assert (await socket.receive())["type"] == "complete"
        await socket.subscribe("{ clients(first: 99) { nodes { id } } }", "b")
        refused = refusal(await socket.receive())
        assert refused["code"] == "QUERY_TOO_COMPLEX", "more than there is in a minute"
        await socket.subscribe(CHEAP, "c")
        refused = refusal(await socket.receive())
        assert (refused["code"], 0 < refused["retryAfter"] <= 60) == ("RATE_LIMITED", True)
        budgets.clock.move(minutes=1)
        await socket.subscribe(CHEAP, "d")
        assert told(await socket.receive())["remaining"] == 100


async def test_whoever_has_no_request_left_opens_no_socket(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, requests=1), await make.advisor()
    async with served(budgets.app) as address, socket_to(address, advisor.token):
        with pytest.raises(Exception, match="1013"):
            async with socket_to(address, advisor.token):
                pass


async def test_each_event_is_charged_and_the_last_one_is_resumed_at(
    settings: Settings, services: Services, schema: Schema, make: Make, gql: Gql
) -> None:
    budgets, advisor = Budgets(settings, services, schema, cost=7), await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    async with served(budgets.app) as address, socket_to(address, advisor.token) as socket:
        await socket.subscribe(LIVE, "live")
        await asyncio.sleep(0.3)
        for version in range(1, 5):
            await change_kyc(gql, advisor, client_id, version)
        messages = [await socket.receive() for _ in range(3)]
        assert [(told(each)["requested"], told(each)["actual"], told(each)["remaining"]) for each in messages] == [
            (2, 2, 4),
            (2, 2, 2),
            (2, 2, 0),
        ]
        assert refusal(await socket.receive())["code"] == "RATE_LIMITED"
        cursor = messages[-1]["payload"]["data"]["notifications"]["cursor"]
        budgets.clock.move(minutes=1)
        await socket.subscribe(LIVE, "again", after=cursor)
        resumed = await socket.receive()
        assert told(resumed)["remaining"] == 4
        assert resumed["payload"]["data"]["notifications"]["cursor"] != cursor
