"""Documents that are named instead of sent: automatic persisted queries, and trusted documents."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest

from graph.execution import digest_of
from graph.http.endpoint import Endpoint
from tests.http.conftest import LIMITS, Served, listening
from tests.http.schema import Sessions, make_schema
from tests.http.talk import code, talk

HELLO: Final = "query Hello { hello }"
GREETING: Final = {"hello": "Hello, world."}
OTHER: Final = "{ __typename }"


def named(text: str, version: Any = 1) -> dict[str, Any]:
    return {"persistedQuery": {"version": version, "sha256Hash": digest_of(text)}}


async def asked(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await http.post("/", json=body)


async def test_a_client_sends_the_hash_then_both_then_the_hash(api: Served) -> None:
    document = "query Persisted { hello }"
    first = await asked(api.http, extensions=named(document))
    assert (first.status_code, code(first.json())) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert first.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert "data" not in first.json()
    both = await asked(api.http, query=document, extensions=named(document))
    assert both.json()["data"] == GREETING
    for _ in range(2):
        assert (await asked(api.http, extensions=named(document))).json()["data"] == GREETING
    # As GraphQL's own specification is to have it.
    for name in (digest_of(document), f"sha256:{digest_of(document)}"):
        assert (await asked(api.http, documentId=name)).json()["data"] == GREETING


async def test_it_may_be_asked_by_get(api: Served) -> None:
    await asked(api.http, query=HELLO)
    parameters = {"extensions": json.dumps(named(HELLO)), "operationName": "Hello"}
    assert (await api.http.get("/", params=parameters)).json()["data"] == GREETING
    unknown = {"extensions": json.dumps(named("{ hello hello }"))}
    assert code((await api.http.get("/", params=unknown)).json()) == "PERSISTED_QUERY_NOT_FOUND"


async def test_it_may_be_asked_on_a_socket_which_goes_on(api: Served) -> None:
    await asked(api.http, query=HELLO)
    subscribe = {"id": "1", "type": "subscribe", "payload": {"extensions": named("{ hello hello hello }")}}
    again = {"id": "2", "type": "subscribe", "payload": {"extensions": named(HELLO)}}
    async with talk(api) as socket:
        await socket.init()
        for message in (subscribe, again):
            await socket.send(message)
        said = [await socket.next() for _ in range(3)]
    assert [message["type"] for message in said] == ["error", "next", "complete"]
    assert said[0]["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert said[1]["payload"]["data"] == GREETING


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": HELLO, "extensions": named(OTHER)}, "extensions.persistedQuery.sha256Hash"),
        ({"extensions": named(HELLO, version=2)}, "extensions.persistedQuery"),
        ({"extensions": {"persistedQuery": "x"}}, "extensions.persistedQuery"),
        ({"extensions": {"persistedQuery": {"version": 1}}}, "extensions.persistedQuery.sha256Hash"),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 5}}}, "extensions.persistedQuery.sha256Hash"),
        ({"documentId": 5}, "documentId"),
        ({"documentId": ""}, "documentId"),
        ({"query": HELLO, "documentId": digest_of(OTHER)}, "documentId"),
    ],
)
async def test_what_names_no_document_is_said_where(api: Served, body: dict[str, Any], field: str) -> None:
    answer = await asked(api.http, **body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["details"][0]["field"] == field


async def test_what_is_not_valid_is_not_kept(api: Served) -> None:
    for text in ("{ nothing }", "{ hello", "{ __schema { queryType { name } } }"):
        await asked(api.http, query=text, extensions=named(text))
        assert code((await asked(api.http, extensions=named(text))).json()) == "PERSISTED_QUERY_NOT_FOUND"


@asynccontextmanager
async def trusting(**options: Any) -> AsyncIterator[Served]:
    endpoint = Endpoint(make_schema(), sessions := Sessions(), None, LIMITS, **options)
    async with listening(endpoint) as (host, server), httpx.AsyncClient(base_url=f"http://{host}") as http:
        yield Served(host, sessions, http, server)


async def test_trusted_documents_have_ids_of_their_own() -> None:
    async with trusting(trusted={"hello.v1": HELLO, "sha256:mine": HELLO}) as api:
        for body in (
            {"documentId": "sha256:mine"},
            {"query": HELLO, "documentId": "sha256:mine"},
            {"documentId": "hello.v1"},
            {"documentId": digest_of(HELLO)},
            {"extensions": named(HELLO)},
        ):
            assert (await asked(api.http, **body)).json()["data"] == GREETING
        assert (await asked(api.http, query=HELLO, documentId="hello.v1")).json()["data"] == GREETING
        assert (await asked(api.http, query=OTHER)).json()["data"] == {"__typename": "Query"}


async def test_where_only_trusted_documents_are_taken_all_others_are_refused() -> None:
    async with trusting(trusted={"hello": HELLO}, trusted_only=True) as api:
        assert (await asked(api.http, query=HELLO)).json()["data"] == GREETING
        assert (await asked(api.http, documentId="hello")).json()["data"] == GREETING
        for body in ({"query": OTHER}, {"query": OTHER, "extensions": named(OTHER)}, {"query": HELLO + " "}):
            answer = await asked(api.http, **body)
            assert (answer.status_code, code(answer.json())) == (403, "FORBIDDEN")
        assert code((await asked(api.http, extensions=named(OTHER))).json()) == "PERSISTED_QUERY_NOT_FOUND"
        async with talk(api) as socket:
            await socket.init()
            said = await socket.run(OTHER)
        assert said["payload"][0]["extensions"]["code"] == "FORBIDDEN"
