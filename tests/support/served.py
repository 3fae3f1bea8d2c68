"""The application on a real socket, and WebSocket clients for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from graph.wire_sockets import SocketWire


class Served(msgspec.Struct, frozen=True):
    """Where the application listens."""

    url: str

    @property
    def socket_url(self) -> str:
        """The address of the API for WebSockets."""
        return self.url.replace("http", "ws", 1) + "/graphql"


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[Served]:
    """Serve on a free port of loopback until the end of the block."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
        ws=SocketWire,
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.01)
    yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    await task


class Socket:
    """A client of graphql-transport-ws."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        """Send a message of the protocol."""
        await self.connection.send(msgspec.json.encode(message).decode())

    async def receive(self, seconds: float = 10) -> Any:
        """The next message; fails the test after some seconds."""
        return msgspec.json.decode(await asyncio.wait_for(self.connection.recv(), seconds))

    async def subscribe(self, document: str, id: str = "1", **variables: Any) -> None:
        """Start an operation."""
        await self.send(type="subscribe", id=id, payload={"query": document, "variables": variables})

    async def next(self, seconds: float = 10) -> Any:
        """The data of the next event; fails the test if it is anything else."""
        message = await self.receive(seconds)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def closed(self, seconds: float = 10) -> int:
        """The code that the server closes the socket with."""
        await asyncio.wait_for(self.connection.wait_closed(), seconds)
        return self.connection.close_code or 0


@asynccontextmanager
async def socket_to(address: Served, token: str | None = None) -> AsyncIterator[Socket]:
    """An acknowledged socket."""
    # A client that has not read all waits so long to hear its close answered.
    options: Any = {"subprotocols": [Subprotocol("graphql-transport-ws")], "close_timeout": 0.5}
    async with connect(address.socket_url, **options) as connection:
        client = Socket(connection)
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await client.send(type="connection_init", payload=payload)
        assert (await client.receive())["type"] == "connection_ack"
        yield client
