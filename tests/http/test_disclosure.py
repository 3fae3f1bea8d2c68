"""What the API tells of itself, by setting: its schema, names that are like a mistaken one, and what went wrong."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from graphql import get_introspection_query

from graph.disclosure import DISCREET, FRANK, Disclosure, Introspection
from graph.http.endpoint import Endpoint
from graph.settings import Environment, Settings
from tests.http.conftest import LIMITS, Everyones, Served
from tests.http.schema import make_schema
from tests.http.talk import code, events, talk

GRAPHQL = {"Accept": "application/graphql-response+json"}
SIGNED_IN = {**GRAPHQL, "Authorization": "Bearer good"}
FIELD_KEY = "c3Rld2FyZC1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk="
MISTAKES = [
    "{ helo }",
    "{ hello(nam: 1) }",
    "query ($n: Itn) { hello }",
    "{ thing }",
    '{ day(input: {dya: "2026-01-01"}) }',
    "{ hello @includ(if: true) }",
]


@contextmanager
def disclosing(api: Served, everyones: Everyones, disclosure: Disclosure) -> Iterator[None]:
    """The shared endpoint with another schema, for as long as a test needs it."""
    before = everyones.endpoint
    other = Endpoint(make_schema(disclosure=disclosure), api.sessions, before.page, LIMITS)
    kept = before.schema, before.disclosure
    before.schema, before.disclosure = other.schema, other.disclosure
    yield
    before.schema, before.disclosure = kept


@pytest.fixture
async def off(api: Served, everyones: Everyones) -> AsyncIterator[Served]:
    with disclosing(api, everyones, Disclosure(Introspection.OFF)):
        yield api


@pytest.fixture
async def frank(api: Served, everyones: Everyones) -> AsyncIterator[Served]:
    with disclosing(api, everyones, FRANK):
        yield api


@pytest.mark.parametrize("headers", [GRAPHQL, SIGNED_IN])
@pytest.mark.parametrize(
    "query",
    [get_introspection_query(), "{ ...F } fragment F on Query { ... { s: __schema { __typename } } }"],
    ids=["whole", "hidden"],
)
async def test_a_schema_that_is_off_is_nobodys(off: Served, headers: dict[str, str], query: str) -> None:
    answer = await off.post(query, headers=headers)
    assert (answer.status_code, code(answer.json())) == (403, "FORBIDDEN")


async def test_what_one_type_is_stays_legal_when_the_schema_is_off(off: Served) -> None:
    answer = (await off.post('{ __typename __type(name: "Thing") { name } thing { __typename } }')).json()
    assert answer == {"data": {"__typename": "Query", "__type": {"name": "Thing"}, "thing": {"__typename": "Thing"}}}


async def test_the_schema_is_off_on_sockets_too(off: Served) -> None:
    async with talk(off) as socket:
        await socket.init()
        message = await socket.run("{ __schema { __typename } }")
        assert (message["type"], code(message["payload"])) == ("error", "FORBIDDEN")


@pytest.mark.parametrize("query", MISTAKES)
async def test_mistakes_teach_nothing_of_the_schema(api: Served, query: str) -> None:
    answer = await api.post(query)
    assert code(answer.json()) == "VALIDATION_ERROR"
    assert "Did you mean" not in answer.text


@pytest.mark.parametrize("query", MISTAKES[:2])
async def test_mistakes_are_explained_where_that_is_wanted(frank: Served, query: str) -> None:
    assert "Did you mean" in (await frank.post(query)).text


async def test_a_text_of_the_clients_own_is_not_cut(api: Served) -> None:
    answer = (await api.post('{ hello(name: "Did you mean Ravi?") }')).json()
    assert answer == {"data": {"hello": "Hello, Did you mean Ravi?."}}


async def test_a_bug_is_named_in_development(frank: Served) -> None:
    error = (await frank.post("{ boom }")).json()["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["debug"] == {"exception": "RuntimeError", "message": "the driver said: password=hunter2"}
    assert "hunter2" not in error["message"]
    assert "Traceback" not in str(error)
    assert "schema.py" not in str(error)


async def test_a_bug_outside_of_any_operation_is_named_in_development(frank: Served) -> None:
    frank.sessions.broken = True
    answer = await frank.post("{ hello }")
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["extensions"]["debug"]["exception"] == "RuntimeError"


async def test_a_bug_in_a_stream_is_named_in_development(frank: Served) -> None:
    async with events(frank, "subscription { breaks }") as stream:
        told = [data for kind, data in await stream.rest() if kind == "next"][-1]
        assert told["errors"][0]["extensions"]["debug"]["exception"] == "RuntimeError"
    async with talk(frank) as socket:
        await socket.init()
        message = await socket.run("subscription { breaks(after: 0) }")
        assert message["payload"][0]["extensions"]["debug"]["exception"] == "RuntimeError"


async def test_expected_errors_are_alike_everywhere(frank: Served) -> None:
    assert "debug" not in (await frank.post("{ missing }")).json()["errors"][0]["extensions"]


async def test_a_bug_says_nothing_in_production(api: Served) -> None:
    error = (await api.post("{ boom }")).json()["errors"][0]
    assert set(error["extensions"]) == {"code", "details", "timestamp", "requestId"}


def in_production(**more: str) -> Settings:
    settings = {"jwt_secret": "0123456789abcdefghijklmnopqrstuv", "field_key": FIELD_KEY, **more}
    return Settings.model_validate({"environment": Environment.PRODUCTION, **settings})


def test_production_is_discreet_and_development_frank() -> None:
    assert in_production().disclosure == DISCREET == Disclosure(Introspection.SIGNED_IN, suggestions=False, debug=False)
    assert Settings(environment=Environment.DEVELOPMENT).disclosure == FRANK


def test_settings_choose_what_is_told() -> None:
    assert in_production(introspection="off", suggestions="true").disclosure == Disclosure(
        Introspection.OFF, suggestions=True
    )
    assert Settings(environment=Environment.DEVELOPMENT, introspection=Introspection.OFF).disclosure == Disclosure(
        Introspection.OFF, suggestions=True, debug=True
    )
