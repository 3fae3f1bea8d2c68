"""The headers of every answer: of the API, the page, its files, checks, redirects, refusals and failures."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from websockets.exceptions import InvalidStatus

from graph.graphiql import OUR_PAGE
from graph.http.headers import NO_PAGE, SAFETY, SafeAnswers
from tests.http.conftest import listening
from tests.support.probing import Target

POST: Final[Mapping[str, Any]] = {"method": "POST", "json": {"query": "{ __typename }"}}
BROWSER: Final = {"accept": "text/html,*/*;q=0.8"}
ALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "an operation": {**POST, "url": "/graphql"},
    "a request error": {**POST, "url": "/graphql", "json": {"query": "{"}},
    "no request": {**POST, "url": "/graphql", "json": []},
    "another content type": {"method": "POST", "url": "/graphql", "content": "x"},
    "another method": {"method": "DELETE", "url": "/graphql"},
    "its methods": {"method": "OPTIONS", "url": "/graphql"},
    "another site": {**POST, "url": "/graphql", "headers": {"origin": "https://evil.example"}},
    "a bad token": {**POST, "url": "/graphql", "headers": {"authorization": "Bearer x"}},
    "a stream": {**POST, "url": "/graphql", "headers": {"accept": "text/event-stream"}},
    "a head": {"method": "HEAD", "url": "/graphql", "params": {"query": "{ __typename }"}},
    "the page": {"method": "GET", "url": "/graphql", "headers": BROWSER},
    "a file": {"method": "GET", "url": "/graphiql/src/icon.svg"},
    "a missing file": {"method": "GET", "url": "/graphiql/nothing.js"},
    "a folder": {"method": "GET", "url": "/graphiql/"},
    "the way in": {"method": "GET", "url": "/"},
    "life": {"method": "GET", "url": "/healthz"},
    "readiness": {"method": "GET", "url": "/readyz"},
    "metrics": {"method": "GET", "url": "/metrics"},
    "nowhere": {"method": "GET", "url": "/nowhere"},
    "no method": {"method": "POST", "url": "/healthz"},
}


@pytest.fixture
async def http(target: Target) -> AsyncIterator[httpx.AsyncClient]:
    async with target.client() as client:
        yield client


def checked(headers: httpx.Headers) -> httpx.Headers:
    """The headers, which say what every answer says."""
    for name, value in SAFETY.items():
        if name != "Content-Security-Policy":
            assert headers.get_list(name) == [value], name
    assert len(headers.get_list("content-security-policy")) == 1
    assert "'unsafe-eval'" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    assert "x-powered-by" not in headers
    return headers


@pytest.mark.parametrize("asked", ALL.values(), ids=ALL)
async def test_every_answer_is_safe(http: httpx.AsyncClient, asked: Mapping[str, Any]) -> None:
    headers = checked((await http.request(**asked)).headers)
    # In clear, and through no proxy, nothing is said of encryption.
    assert "strict-transport-security" not in headers
    page = asked.get("headers") == BROWSER
    assert headers["content-security-policy"] == (OUR_PAGE if page else NO_PAGE)


async def test_a_socket_that_is_refused_is_safe_too(target: Target) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with target.socket(origin="https://evil.example"):
            pass
    checked(httpx.Headers([*refused.value.response.headers.raw_items()]))


async def test_what_is_no_http_is_safe_too(target: Target) -> None:
    async with target.raw() as (reader, writer):
        writer.write(b"\x00\x01\r\n\r\n")
        answer = (await reader.read()).decode("latin-1")
    head = answer.partition("\r\n\r\n")[0].split("\r\n")
    assert head[0] == "HTTP/1.1 400 Bad Request"
    checked(httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in head[1:])]))


async def broken(_request: Request) -> Response:
    raise RuntimeError("the driver said: password=hunter2")


async def own(_request: Request) -> Response:
    return PlainTextResponse("", headers={"referrer-policy": "origin", "x-frame-options": "SAMEORIGIN"})


@pytest.mark.parametrize("always", [False, True])
async def test_an_application_that_fails_is_safe(always: bool) -> None:  # noqa: FBT001 - a case, no flag
    app = Starlette(routes=[Route("/", broken), Route("/own", own)])
    transport = httpx.ASGITransport(SafeAnswers(app, always_tls=always), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as http:
        answer = await http.get("/")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert ("strict-transport-security" in checked(answer.headers)) is always
        kept = (await http.get("/own")).headers
    assert (kept["referrer-policy"], kept["x-frame-options"]) == ("origin", "SAMEORIGIN")


async def test_https_is_told_to_stay() -> None:
    app = SafeAnswers(Starlette(routes=[Route("/own", own)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://steward.test") as http:
        assert (await http.get("/own")).headers["strict-transport-security"] == "max-age=31536000"


async def test_sockets_and_lifespans_pass() -> None:
    async with listening(SafeAnswers(Starlette())) as (host, _), httpx.AsyncClient(base_url=f"http://{host}") as http:
        assert (await http.get("/")).status_code == 404


def test_the_page_takes_files_from_itself_alone() -> None:
    assert "http" not in OUR_PAGE
    assert OUR_PAGE.count("'unsafe-inline'") == 1
    assert "style-src 'self' 'unsafe-inline'" in OUR_PAGE
