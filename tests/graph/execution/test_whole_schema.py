"""Planned execution answers as graphql-core does: any operation over the whole schema, as anybody in a firm."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries

from graph.app import make_app
from graph.disclosure import Disclosure, Introspection
from graph.limits import Limits
from graph.schema import make_schema, schema_text
from graph.settings import Settings
from tests.factories.house import House, Person, house
from tests.graph.execution.comparing import check_equal
from tests.strategies.documents import documents, in_full, nodes
from tests.support.clock import stopped
from tests.support.doors import ROOT, SHOWN
from tests.support.lists import Listing
from tests.support.stage import Stage

# What an auditor asks for is noted, so that the second answer would tell of the first.
ASKING: Final = ("admin", "manager A", "supervisor A1", "advisor A1x", "analyst", "end client", "idle")
# graphql-core leaves coroutines of the siblings of what failed unawaited.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine:pytest.PytestUnraisableExceptionWarning"),
]
MANY: Final = settings(
    max_examples=120,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Both(msgspec.Struct, frozen=True):
    """One firm behind both executions."""

    stage: Stage
    firm: House
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient]

    async def same(self, person: Person, document: str) -> Any:
        """The answer that both give to somebody."""
        headers = {"authorization": f"Bearer {person.user.token}"}
        planned, stock = [
            (await client.post("/graphql", json={"query": document}, headers=headers)).json() for client in self.clients
        ]
        check_equal(planned, stock)
        if "errors" not in planned:
            costs = [answer["extensions"]["cost"] for answer in (planned, stock)]
            assert costs[0]["requested"] == costs[1]["requested"]
            assert costs[0]["actual"] <= costs[1]["actual"]
        return planned


@pytest.fixture(scope="module")
async def both(stage: Stage, settings: Settings) -> AsyncIterator[Both]:
    firm = await house(stage.make)
    stopped(stage.services)
    schemas = [
        make_schema(Limits(cost=settings.max_cost), disclosure=Disclosure(Introspection.OPEN), planned=planned)
        for planned in (True, False)
    ]
    apps = [make_app(settings, stage.services, schema=schema) for schema in schemas]
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steward.test", timeout=60)
        for app in apps
    ]
    yield Both(stage, firm, (clients[0], clients[1]))
    for client in clients:
        await client.aclose()


@MANY
@given(data=st.data())
async def test_any_query(both: Both, data: st.DataObject) -> None:
    person = both.firm.people[data.draw(st.sampled_from(ASKING))]
    await both.same(person, data.draw(documents(both.firm.by_prefix)))


@MANY
@given(data=st.data())
async def test_any_objects_by_their_ids(both: Both, data: st.DataObject) -> None:
    person = both.firm.people[data.draw(st.sampled_from(ASKING))]
    await both.same(person, data.draw(nodes(both.firm.by_prefix, SHOWN)))


@pytest.mark.parametrize("listing", ROOT, ids=repr)
async def test_every_field_of_every_list(both: Both, listing: Listing) -> None:
    since = both.stage.make.now.date() - timedelta(days=3)
    rows = f"edges {{ cursor node {{ {in_full(listing.node, 2, since)} }} }}"
    query = f"{{ {listing.name}(first: 12) {{ totalCount {rows} }} }}"
    for name in ASKING:
        await both.same(both.firm.people[name], query)


@MANY
@given(
    document=queries(schema_text(), custom_scalars=dict.fromkeys(("Date", "DateTime", "Decimal", "JSON"), st.nothing()))
)
async def test_whatever_a_stranger_to_the_schema_would_write(both: Both, document: str) -> None:
    await both.same(both.firm.people["admin"], document)
