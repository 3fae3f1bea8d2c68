"""A real server on a free port, and clients for it."""

import asyncio
import socket
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
from tests.http.schema import Sessions, make_schema

SUBPROTOCOL = "graphql-transport-ws"
LIMITS = HttpLimits(
    body_bytes=100_000,
    message_bytes=20_000,
    operations_per_socket=3,
    init_seconds=1,
    heartbeat_seconds=0.1,
    last_words_seconds=0.5,
)


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", lifespan="off", server_header=False))
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@dataclass
class Served:
    """An endpoint that answers, the sessions behind it, and an HTTP client."""

    host: str
    sessions: Sessions
    http: httpx.AsyncClient
    server: Server

    async def idle(self) -> None:
        """Wait until the server has nothing in hand, whatever connections there are."""
        while self.server.server_state.tasks:
            await asyncio.wait(self.server.server_state.tasks)

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
async def listening(app: ASGIApp) -> AsyncIterator[tuple[str, Server]]:
    """Serve an application; gives its host and port, and the server."""
    # Without the protocol asyncio does not switch Nagle off, and each answer waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        server = Server(app)
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        await server.ready.wait()
        try:
            yield f"127.0.0.1:{bound.getsockname()[1]}", server
        finally:
            server.should_exit = True
            server.force_exit = True
            await serving


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
