"""The application on a real socket, and WebSocket clients for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from graph.wire import Wire
from graph.wire_sockets import SocketWire


class Served(msgspec.Struct, frozen=True):
    """Where the application listens."""

    url: str

    @property
    def socket_url(self) -> str:
        """The address of the API for WebSockets."""
        return self.url.replace("http", "ws", 1) + "/graphql"


class Server(uvicorn.Server):
    """uvicorn, which by itself looks every tenth of a second whether it is to end, and whether it may."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Have it end now."""
        self._ending.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Serve until the end."""
        await self.on_tick(0)
        await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing more, and let what is under way finish, for as long as the configuration allows."""
        for each in (*self.servers, *(sockets or ())):
            each.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while (state.connections or state.tasks) and not self.force_exit:  # noqa: ASYNC110 - uvicorn sets no event
                    await asyncio.sleep(0.002)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()


@asynccontextmanager
async def listening(config: uvicorn.Config) -> AsyncIterator[tuple[str, Server]]:
    """Serve on a free port of loopback until the end of the block; gives host and port, and the server."""
    # Without the protocol asyncio does not switch Nagle off, and each answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        server = Server(config)
        serving = asyncio.create_task(server.serve([bound]))
        await server.ready.wait()
        try:
            yield f"127.0.0.1:{bound.getsockname()[1]}", server
        finally:
            server.end()
            await serving


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[Served]:
    """Serve the application until the end of the block."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
        http=Wire,
        ws=SocketWire,
        ws_per_message_deflate=False,
    )
    async with listening(config) as (host, _):
        yield Served(f"http://{host}")


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
