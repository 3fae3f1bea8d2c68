"""A program's request goes straight to the API, and what it gets is what all get, byte for byte."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from graph.api import is_program
from graph.app import make_app
from graph.context import Services
from graph.http.headers import SAFETY
from graph.http.schema import Schema
from graph.settings import Settings
from tests.factories.firm import Make, SignedIn
from tests.support.budgets import Budgets
from tests.support.clock import moved
from tests.support.gql import Answer, Gql
from tests.support.served import Served, served

READ = "{ clients(first: 10) { nodes { name } } }"
TYPE = "{ __typename }"
PATIENCE = 10
# Of each answer its own.
VARYING = {"date", "x-request-id", "ratelimit-reset", "ratelimit-remaining"}


@pytest.fixture
def app(settings: Settings, services: Services, schema: Schema) -> Starlette:
    return make_app(settings, services, schema=schema)


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor(clients=2)


def request(document: str, user: SignedIn | None = None, *, version: str = "1.1", **headers: str) -> bytes:
    body = msgspec.json.encode({"query": document})
    told = {"host": "steward.test", "content-type": "application/json", "content-length": str(len(body)), **headers}
    if user:
        told["authorization"] = f"Bearer {user.token}"
    lines = [f"POST /graphql HTTP/{version}", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + body


class Wired:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next answer: its status, headers and body."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode("latin-1")
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines), "no header stands there twice"
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, msgspec.json.decode(body)

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), PATIENCE) == b""


class Place:
    """Where an application listens; connections to it end with the test."""

    def __init__(self, address: Served) -> None:
        self._url = httpx.URL(address.url)
        self._writers: list[asyncio.StreamWriter] = []

    async def wired(self, *parts: bytes, pause: float = 0.0) -> Wired:
        """A connection on which this has been sent."""
        reader, writer = await asyncio.open_connection(self._url.host, self._url.port)
        self._writers.append(writer)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return Wired(reader, writer)

    async def leave(self) -> None:
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def listening(app: Starlette) -> AsyncIterator[Place]:
    async with served(app) as address:
        place = Place(address)
        try:
            yield place
        finally:
            await place.leave()


@pytest.fixture
async def place(app: Starlette) -> AsyncIterator[Place]:
    async with listening(app) as found:
        yield found


def steady(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in VARYING}


@pytest.mark.parametrize("document", [READ, TYPE, "{ nothing }", "{ node(id: 7) { id } }", "{ clients {"])
async def test_what_is_written_at_once_is_what_all_get(
    app: Starlette, place: Place, advisor: SignedIn, document: str
) -> None:
    """On the wire, by ASGI as a program, and as a page of our own, which goes past nothing."""
    headers = {"authorization": f"Bearer {advisor.token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steward.test") as client:
        for _ in range(2):
            asgi = await client.post("/graphql", json={"query": document}, headers=headers)
            own = {**headers, "origin": "http://steward.test"}
            page = await client.post("/graphql", json={"query": document}, headers=own)
            status, told, body = await (await place.wired(request(document, advisor))).answer()
            assert status == asgi.status_code == page.status_code
            assert steady(told) == steady(asgi.headers) == steady(page.headers)
            assert told.keys() - {"date"} == asgi.headers.keys() == page.headers.keys()
            assert Answer(body).steady == Answer(asgi.json()).steady == Answer(page.json()).steady
            assert body.keys() == asgi.json().keys() == page.json().keys()


async def test_every_answer_on_the_wire_is_safe_and_counted(place: Place, advisor: SignedIn) -> None:
    status, headers, body = await (await place.wired(request(READ, advisor, **{"x-request-id": "abc-1"}))).answer()
    assert (status, len(body["data"]["clients"]["nodes"])) == (200, 2)
    assert {name.lower(): value for name, value in SAFETY.items()}.items() <= headers.items()
    assert (headers["cache-control"], headers["x-request-id"]) == ("no-store", "abc-1")
    assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "date"} <= headers.keys()
    assert "strict-transport-security" not in headers


async def test_who_is_served_encrypted_is_told_to_come_back_so(
    settings: Settings, services: Services, schema: Schema
) -> None:
    public = settings.model_copy(update={"public_url": "https://steward.example"})
    async with listening(make_app(public, services, schema=schema)) as place:
        _, headers, _ = await (await place.wired(request(TYPE))).answer()
    assert headers["strict-transport-security"] == "max-age=31536000"


async def test_a_connection_goes_on_and_answers_in_order(place: Place, advisor: SignedIn) -> None:
    names = [f"q{at}" for at in range(20)]
    asked = [
        request(f"query {name} {{ {name}: __typename }}", advisor if at % 2 else None) for at, name in enumerate(names)
    ]
    one = await place.wired(b"".join(asked))
    assert [[*(await one.answer())[2]["data"]] for _ in names] == [[name] for name in names]
    one.writer.write(request(READ, advisor))
    assert (await one.answer())[0] == 200


@pytest.mark.parametrize(("version", "headers"), [("1.0", {}), ("1.1", {"connection": "close"})])
async def test_a_connection_ends_where_its_client_says_so(
    place: Place, advisor: SignedIn, version: str, headers: dict[str, str]
) -> None:
    one = await place.wired(request(READ, advisor, version=version, **headers))
    status, told, body = await one.answer()
    assert (status, told["connection"], len(body["data"]["clients"]["nodes"])) == (200, "close", 2)
    assert await one.ended()


async def test_a_body_may_come_late_in_pieces_or_be_waited_for(place: Place, advisor: SignedIn) -> None:
    whole = request(READ, advisor)
    head, _, body = whole.partition(b"\r\n\r\n")
    late = await place.wired(head + b"\r\n\r\n", body[:9], body[9:], pause=0.05)
    assert len((await late.answer())[2]["data"]["clients"]["nodes"]) == 2
    expecting = await place.wired(head + b"\r\nexpect: 100-continue\r\n\r\n")
    assert await asyncio.wait_for(expecting.reader.readuntil(b"\r\n\r\n"), PATIENCE) == b"HTTP/1.1 100 Continue\r\n\r\n"
    expecting.writer.write(body)
    assert len((await expecting.answer())[2]["data"]["clients"]["nodes"]) == 2


async def test_whoever_leaves_before_the_answer_takes_nothing_along(
    place: Place, advisor: SignedIn, services: Services
) -> None:
    for _ in range(10):
        one = await place.wired(request(READ, advisor))
        one.writer.transport.abort()
    assert (await (await place.wired(request(READ, advisor))).answer())[0] == 200
    for _ in range(PATIENCE * 100):
        if not services.doors.database.pooled.in_use:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(services.doors.database.pooled)


async def test_a_bug_past_the_endpoint_is_a_safe_500(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("graph.http.endpoint.Endpoint.answer", broken)
    one = await place.wired(request(TYPE))
    head = (await asyncio.wait_for(one.reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
    assert head.startswith("HTTP/1.1 500 ")
    assert {name.lower() for name in SAFETY} <= set(re.findall(r"^([\w-]+): ", head, re.MULTILINE))


@pytest.mark.parametrize(
    ("scope", "is_one"),
    [
        ({}, True),
        ({"method": "GET"}, False),
        ({"path": "/readyz"}, False),
        ({"type": "websocket"}, False),
        ({"headers": [(b"origin", b"http://elsewhere.example")]}, False),
    ],
)
def test_programs_are_told_from_pages(scope: dict[str, Any], *, is_one: bool) -> None:
    assert is_program({"type": "http", "method": "POST", "path": "/graphql", "headers": [], **scope}) is is_one


async def test_a_program_that_asks_for_a_stream_gets_one(gql: Gql, advisor: SignedIn) -> None:
    headers = {"authorization": f"Bearer {advisor.token}", "accept": "text/event-stream"}
    answer = await gql.client.post("/graphql", json={"query": READ}, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert {name.lower() for name in SAFETY} <= answer.headers.keys()
    assert "event: next" in answer.text


@pytest.fixture
async def strict(settings: Settings, services: Services, schema: Schema) -> AsyncIterator[tuple[Place, Budgets]]:
    """Where ten requests are answered in a minute."""
    budgets = Budgets(settings, services, schema, requests=10, anonymous_requests=5)
    async with listening(budgets.app) as found:
        yield found, budgets


async def test_a_kept_connection_is_counted_request_by_request(
    strict: tuple[Place, Budgets], advisor: SignedIn
) -> None:
    place, budgets = strict
    one = await place.wired()
    left: list[str] = []
    for at in range(13):
        one.writer.write(request(READ, advisor))
        status, headers, _ = await one.answer()
        assert status == (200 if at < 10 else 429)
        left.append(headers["ratelimit-remaining"])
    assert left == [str(max(0, 9 - at)) for at in range(13)]
    budgets.clock.move(seconds=61)
    one.writer.write(request(READ, advisor))
    status, headers, body = await one.answer()
    assert (status, headers["ratelimit-remaining"], len(body["data"]["clients"]["nodes"])) == (200, "9", 2)


async def test_a_kept_connection_is_whoever_each_head_names(place: Place, make: Make, advisor: SignedIn) -> None:
    other = await make.advisor(clients=1)
    assert len(other.token) == len(advisor.token)
    one = await place.wired()
    for user, count in [(advisor, 2), (advisor, 2), (other, 1), (other, 1), (advisor, 2), (None, None), (other, 1)]:
        one.writer.write(request(READ, user))
        status, _, body = await one.answer()
        assert status == 200
        found = body["data"]["clients"]["nodes"] if count else body["errors"][0]["extensions"]["code"]
        assert (len(found) if count else found) == (count or "UNAUTHENTICATED")


async def test_a_kept_connection_ends_with_the_session(place: Place, make: Make, advisor: SignedIn) -> None:
    one = await place.wired()
    for _ in range(2):
        one.writer.write(request(READ, advisor))
        assert "errors" not in (await one.answer())[2]
    await make.connection.execute("update sessions set revoked_at = now() where id = $1", advisor.session.id)
    for _ in range(2):
        one.writer.write(request(READ, advisor))
        body = (await one.answer())[2]
        assert body["errors"][0]["extensions"]["reason"] == "REVOKED"
        assert "data" not in body


async def test_a_kept_connection_ends_with_the_token_and_is_the_addresss_then(
    strict: tuple[Place, Budgets], services: Services, advisor: SignedIn
) -> None:
    place, _ = strict
    clock = moved(services)
    one = await place.wired()
    for _ in range(2):
        one.writer.write(request(READ, advisor))
        assert (await one.answer())[1]["ratelimit-limit"] == "10"
    clock.move(hours=1)
    for _ in range(2):
        one.writer.write(request(READ, advisor))
        _, headers, body = await one.answer()
        assert body["errors"][0]["extensions"]["reason"] == "EXPIRED"
        assert headers["ratelimit-limit"] == "5"
