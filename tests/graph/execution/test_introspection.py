"""What is asked of the schema alone is answered by graphql-core once, and from memory afterwards; equally."""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query, print_schema

from graph.app import make_app
from graph.context import Services
from graph.disclosure import Disclosure, Introspection
from graph.execution import documents, introspection
from graph.schema import make_schema
from graph.settings import Settings
from tests.factories.firm import Make
from tests.support.gql import Gql

WHOLE: Final = get_introspection_query()
ALONE: Final = [
    WHOLE,
    '{ __typename t: __type(name: "Client") { name fields { name ...F } } } fragment F on __Field { isDeprecated }',
    '{ __type(name: "Nobody") { name } }',
    "query A { __schema { queryType { name } } } query B { __typename }",
    "{ __schema { types { name @skip(if: true) kind } } }",
]
# Variables, conditions and fragments at the root are graphql-core's, and so is what asks for more.
MORE: Final = [
    ("query ($n: String!) { __type(name: $n) { name } }", {"n": "Client"}),
    ("{ __schema @skip(if: true) { queryType { name } } __typename }", {}),
    ("{ ...R } fragment R on Query { __schema { queryType { name } } }", {}),
    ("{ __schema { queryType { name } } viewer { __typename } }", {}),
]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that graphql-core was asked for, to be kept."""
    seen: list[str] = []
    ask = introspection.introspected

    def asked(subject: Any, *given: Any) -> Any:
        seen.append(subject.operation.name.value if subject.operation.name else "")
        return ask(subject, *given)

    monkeypatch.setattr("graph.execution.documents.introspected", asked)
    return seen


@pytest.fixture
async def stock(settings: Settings, services: Services) -> AsyncIterator[Gql]:
    """The application with a schema that graphql-core executes."""
    schema = make_schema(disclosure=Disclosure(Introspection.OPEN), planned=False)
    transport = httpx.ASGITransport(make_app(settings, services, schema=schema))
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        yield Gql(client, services)


def anew(document: str) -> str:
    """The document as nobody has asked it before: the schema's memory is all tests'."""
    return f"{document} # {uuid4()}"


async def asked(gql: Gql, document: str, operation: str | None) -> Any:
    body = {"query": document} | ({"operationName": operation} if operation else {})
    return (await gql.client.post("/graphql", json=body)).json()


@pytest.mark.parametrize("document", ALONE)
async def test_what_is_asked_of_the_schema_alone_is_kept(gql: Gql, stock: Gql, made: list[str], document: str) -> None:
    operation = "A" if "query A" in document else None
    document = anew(document)
    once, twice = await asked(gql, document, operation), await asked(gql, document, operation)
    assert len(made) == 1
    alone = await asked(stock, document, operation)
    assert once["data"] == twice["data"] == alone["data"]
    costs = [each["extensions"]["cost"]["actual"] for each in (once, twice, alone)]
    assert len(set(costs)) == 1


async def test_each_operation_of_a_document_has_an_answer_of_its_own(gql: Gql, made: list[str]) -> None:
    document = anew(ALONE[3])
    told = [(await asked(gql, document, name))["data"] for name in ("A", "B", "A")]
    assert told == [{"__schema": {"queryType": {"name": "Query"}}}, {"__typename": "Query"}, told[0]]
    assert made == ["A", "B"]


@pytest.mark.parametrize(("document", "variables"), MORE)
async def test_what_else_is_asked_is_not_kept(
    gql: Gql, make: Make, made: list[str], document: str, variables: Any
) -> None:
    advisor = gql.as_(await make.advisor())
    assert (await advisor.ask(anew(document), **variables)).data
    assert made == []


@pytest.mark.parametrize(("document", "times"), [("{ __schema { queryType { name } } }", 1), (ALONE[1], 2)])
async def test_what_is_too_large_is_not_kept(
    gql: Gql, made: list[str], monkeypatch: pytest.MonkeyPatch, document: str, times: int
) -> None:
    monkeypatch.setattr(documents, "LARGEST_INTROSPECTED", 100)
    text = anew(document)
    once, twice = [await asked(gql, text, None) for _ in range(2)]
    assert once["data"] == twice["data"]
    assert len(made) == times


async def test_a_client_makes_the_schema_of_it(gql: Gql) -> None:
    kept = build_client_schema([await gql.run(WHOLE) for _ in range(2)][-1])
    assert "type Client implements" in print_schema(kept)


async def test_who_may_not_see_the_schema_is_not_shown_what_is_kept(
    settings: Settings, services: Services, make: Make
) -> None:
    app = make_app(settings, services, schema=make_schema(disclosure=Disclosure(Introspection.SIGNED_IN)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steward.test") as client:
        gql = Gql(client, services)
        assert (await gql.as_(await make.advisor()).run(WHOLE))["__schema"]
        assert (await gql.ask(WHOLE)).codes == ["UNAUTHENTICATED"]
