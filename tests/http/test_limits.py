"""Documents beyond the limits cost nothing, and the schema is not for the anonymous."""

from typing import Any

import pytest
from graphql import get_introspection_query, parse

from domain.origin import Origin
from graph import limits
from graph.disclosure import FRANK
from graph.http.endpoint import Endpoint
from graph.limits import Limits, Size, outline, sizes
from tests.http.conftest import Served
from tests.http.schema import Sessions, make_schema
from tests.http.talk import code, talk

GRAPHQL = {"Accept": "application/graphql-response+json"}
SIGNED_IN = {"Authorization": "Bearer good"}


def doubling(fragments: int) -> str:
    """A small document whose fragments, spread twice each, hold two to that power of fields."""
    last = f"fragment F{fragments} on Thing {{ name }}"
    links = (f"fragment F{n} on Thing {{ ...F{n + 1} ...F{n + 1} }}" for n in range(fragments))
    return " ".join(["{ thing { ...F0 } }", *links, last])


def size_of(query: str) -> Size:
    ((_, size),) = sizes(parse(query))
    return size


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("{ a }", Size(1, 1, 1, 0, 0)),
        ("{ a { b { c } } d }", Size(3, 4, 2, 0, 0)),
        ("{ x: a { y: b } }", Size(2, 2, 1, 2, 0)),
        ("{ ... on Query { a { ... { b } } } }", Size(2, 2, 1, 0, 0)),
        ("query @d { a @d @e ... @d { b } ...F @d } fragment F on Query @d { c }", Size(1, 3, 3, 0, 6)),
        ("{ a { ...F } b { c { ...F } } } fragment F on A { d { x: e } }", Size(4, 7, 2, 2, 0)),
        ("{ ...F ...F } fragment F on Query { a b }", Size(1, 4, 4, 0, 0)),
        ("{ a ...Nowhere }", Size(1, 1, 1, 0, 0)),
        ("{ a ...F } fragment F on Query { b ...G } fragment G on Query { c ...F }", Size(1, 1, 1, 0, 0)),
    ],
)
def test_fragments_count_wherever_they_are_spread(query: str, size: Size) -> None:
    assert size_of(query) == size


def test_each_definition_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Any] = []

    def counting(definition: Any) -> limits.Outline:
        walked.append(definition)
        return outline(definition)

    monkeypatch.setattr(limits, "outline", counting)
    document = parse(doubling(40))
    ((_, size),) = sizes(document)
    assert size == Size(depth=2, fields=2**40 + 1, root_fields=1)
    assert len(walked) == len(document.definitions) == 42


async def test_the_doubling_document_is_refused(api: Served) -> None:
    query = doubling(40)
    assert len(query) < 2_000
    answer = await api.post(query, headers=GRAPHQL)
    assert (answer.status_code, code(answer.json())) == (400, "QUERY_TOO_COMPLEX")
    assert "more than 1000 fields" in answer.text


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("{ " + "thing { " * 15 + "name" + " }" * 16, "depth"),
        ("{ thing { " + "name " * 1_000 + "} }", "fields"),
        (
            "{ "
            + " ".join(f"...F{n}" for n in range(21))
            + " }"
            + "".join(f" fragment F{n} on Query {{ hello }}" for n in range(21)),
            "root_fields",
        ),
        ("{ thing { " + " ".join(f"a{n}: name" for n in range(51)) + " } }", "aliases"),
        ("{ thing { name " + "@include(if: true) " * 101 + "} }", "directives"),
    ],
    ids=["depth", "fields", "root_fields", "aliases", "directives"],
)
async def test_what_is_beyond_a_limit_is_told(api: Served, query: str, name: str) -> None:
    answer = (await api.post(query)).json()
    assert code(answer) == "QUERY_TOO_COMPLEX"
    assert [detail["field"] for detail in answer["errors"][0]["extensions"]["details"]] == [name]


@pytest.mark.parametrize(
    "query",
    [
        "{ thing { " + "name " * 4_999 + "} }",
        "{ hello }" + "#\n" * 5_001,
        "{ " + "thing { " * 400 + "name" + " }" * 401,
        "{ hello(name: " + "[" * 400 + "]" * 400 + ") }",
    ],
    ids=["tokens", "comments", "selections", "lists"],
)
async def test_what_is_too_long_to_parse_is_told(api: Served, query: str) -> None:
    assert code((await api.post(query)).json()) == "QUERY_TOO_COMPLEX"


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "thing { " * 14 + "name" + " }" * 15,
        "{ thing { " + " ".join(f"a{n}: name" for n in range(50)) + " } }",
        " ".join(f"query Q{n} {{ thing {{ name }} }}" for n in range(50)),
    ],
    ids=["depth", "aliases", "operations"],
)
async def test_what_is_within_the_limits_runs(api: Served, query: str) -> None:
    name = "Q7" if "Q7" in query else None
    assert "errors" not in (await api.post(query, operationName=name)).json()


@pytest.mark.parametrize("spreads", ["...F", "thing { ...F }"])
async def test_fragments_in_a_circle_are_refused(api: Served, spreads: str) -> None:
    query = f"{{ thing {{ ...F }} }} fragment F on Thing {{ name {spreads} ...G }} fragment G on Thing {{ ...F }}"
    assert code((await api.post(query)).json()) == "VALIDATION_ERROR"


async def test_limits_hold_on_sockets(api: Served) -> None:
    async with talk(api) as socket:
        await socket.init()
        message = await socket.run(doubling(30))
        assert (message["type"], code(message["payload"])) == ("error", "QUERY_TOO_COMPLEX")


def test_the_full_introspection_query_fits_the_defaults() -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    assert list(size_of(query).beyond(Limits())) == []


@pytest.mark.parametrize(
    "query",
    ["{ __schema { queryType { name } } }", "{ ...F } fragment F on Query { ... { s: __schema { __typename } } }"],
)
async def test_the_schema_is_for_those_who_signed_in(api: Served, query: str) -> None:
    answer = await api.post(query, headers=GRAPHQL)
    assert (answer.status_code, code(answer.json())) == (401, "UNAUTHENTICATED")
    assert "errors" not in (await api.post(query, headers=SIGNED_IN)).json()


async def test_the_anonymous_may_ask_for_one_type(api: Served) -> None:
    assert (await api.post('{ __type(name: "Thing") { name } __typename }')).json()["data"]["__type"]["name"] == "Thing"


async def test_an_open_schema_is_open() -> None:
    endpoint = Endpoint(make_schema(disclosure=FRANK), Sessions())
    result = await endpoint.schema.execute(
        get_introspection_query(), context_value=await Sessions().of_request(None, Origin("id"))
    )
    assert result.errors is None
