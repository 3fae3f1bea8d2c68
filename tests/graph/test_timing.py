"""In development an answer tells how its operation was executed, and what that took."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from graph.app import make_app
from graph.context import Services
from graph.disclosure import FRANK
from graph.schema import make_schema
from graph.settings import Settings
from tests.factories.firm import Make
from tests.support.gql import Gql


@pytest.fixture
async def frank(settings: Settings, services: Services) -> AsyncIterator[Gql]:
    """The application as it is in development."""
    app = make_app(settings, services, schema=make_schema(disclosure=FRANK))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        yield Gql(client, services)


async def timing(gql: Gql, document: str, **variables: Any) -> Any:
    return (await gql.ask(document, **variables))["extensions"]["timing"]


async def test_queries_and_mutations_are_planned(frank: Gql, make: Make) -> None:
    advisor = frank.as_(await make.advisor(clients=2))
    told = await timing(advisor, "{ clients { nodes { name book { name } } } }")
    # The viewer, the clients and their books.
    assert (told["execution"], told["statements"]) == ("planned", 3)
    assert 0 < told["milliseconds"] < 60_000
    made = await timing(advisor, "mutation { signOut(input: {}) { __typename } }")
    assert made["execution"] == "planned"


async def test_what_is_not_planned_says_why(frank: Gql, make: Make) -> None:
    advisor = frank.as_(await make.advisor())
    told = await timing(advisor, "{ __schema { queryType { name } } }")
    assert (told["execution"], told["because"]) == ("stock", "introspection")
    condition = "query ($c: Boolean = true) { viewer { name @include(if: $c) } }"
    told = await timing(advisor, condition, c=None)
    assert (told["execution"], told["because"]) == ("stock", "a condition")


async def test_what_did_not_run_and_production_tell_nothing(frank: Gql, gql: Gql) -> None:
    assert "timing" not in (await frank.ask("{ nothing }")).get("extensions", {})
    assert "timing" not in (await gql.ask("{ __typename }"))["extensions"]
