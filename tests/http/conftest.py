"""A real server on a free port, and clients for it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

from graph.http.bounds import HttpLimits
from graph.http.endpoint import Endpoint
from graph.wire import Wire
from tests.http.schema import Sessions, make_schema
from tests.support import served
from tests.support.served import Server

SUBPROTOCOL = "graphql-transport-ws"
LIMITS = HttpLimits(
    body_bytes=100_000,
    message_bytes=20_000,
    operations_per_socket=3,
    init_seconds=1,
    heartbeat_seconds=0.1,
    last_words_seconds=0.5,
)


@dataclass
class Served:
    """An endpoint that answers, the sessions behind it, and an HTTP client."""

    host: str
    sessions: Sessions
    http: httpx.AsyncClient
    server: Server

    async def idle(self) -> None:
        """Wait until the server has nothing in hand, whatever connections there are."""
        while self.server.server_state.tasks:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.001)

    async def post(
        self, query: str | None = None, *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        return await self.http.post("/", json={"query": query, **body}, headers=headers)

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[ClientConnection]:
        options = {"subprotocols": [SUBPROTOCOL], "close_timeout": 1, **options}
        async with connect(f"ws://{self.host}/", **options) as opened:
            yield opened


@asynccontextmanager
async def listening(app: ASGIApp, **options: Any) -> AsyncIterator[tuple[str, Server]]:
    """Serve an application; gives its host and port, and the server, which waits for nobody in the end."""
    config = uvicorn.Config(app, log_level="error", lifespan="off", server_header=False, **{"http": Wire, **options})
    async with served.listening(config) as (host, server):
        yield host, server
        server.force_exit = True


async def page(_request: Request) -> Response:
    return HTMLResponse("<title>the page</title>")


@dataclass
class Everyones:
    """What all tests share."""

    endpoint: Endpoint
    host: str
    server: Server
    http: httpx.AsyncClient


@pytest.fixture(scope="session")
async def everyones() -> AsyncGenerator[Everyones, None]:
    """One endpoint with small limits for all tests, and a client that keeps its connections."""
    endpoint = Endpoint(make_schema(), Sessions(), page, LIMITS, allowed_origins=["https://desk.example"])
    async with (
        listening(endpoint) as (host, server),
        httpx.AsyncClient(base_url=f"http://{host}", timeout=10) as http,
    ):
        yield Everyones(endpoint, host, server, http)


@pytest.fixture
def api(everyones: Everyones) -> Served:
    """The endpoint with sessions of the test's own."""
    everyones.endpoint.contexts = sessions = Sessions()
    return Served(everyones.host, sessions, everyones.http, everyones.server)
