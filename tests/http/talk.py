"""The client's side of graphql-transport-ws, and of an event stream, in the words of a test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.http.conftest import Served

PATIENCE = 5


class Talk:
    """A socket that speaks the protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def init(self) -> None:
        await self.send({"type": "connection_init", "payload": {"Authorization": "Bearer good"}})
        assert await self.next() == {"type": "connection_ack"}

    async def subscribe(self, query: str, name: str = "1", **payload: Any) -> None:
        await self.send({"type": "subscribe", "id": name, "payload": {"query": query, **payload}})

    async def next(self) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))

    async def run(self, query: str, name: str = "1", **payload: Any) -> Any:
        """The first answer to an operation."""
        await self.subscribe(query, name, **payload)
        return await self.next()

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the close, whatever comes before it."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self.socket.recv()
        assert self.socket.close_code is not None
        return self.socket.close_code, self.socket.close_reason or ""


@asynccontextmanager
async def talk(api: Served, **options: Any) -> AsyncIterator[Talk]:
    async with api.socket(**options) as socket:
        yield Talk(socket)


class Events:
    """An open event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_text()
        self._text = ""

    async def next(self) -> tuple[str, Any]:
        """The next event, its kind and its data; comments are the kind ":"."""
        while "\n\n" not in self._text:
            self._text += await asyncio.wait_for(anext(self._chunks), PATIENCE)
        block, self._text = self._text.split("\n\n", 1)
        if block.startswith(":"):
            return ":", block
        kind, data = (line.partition(":")[2].strip() for line in block.split("\n"))
        return kind, json.loads(data) if data else None

    async def rest(self) -> list[tuple[str, Any]]:
        """All events until the server ends the stream."""
        events = []
        try:
            # Comments go on for ever, events must not take that long.
            async with asyncio.timeout(PATIENCE):
                while True:
                    events.append(await self.next())
        except StopAsyncIteration:
            assert not self._text
            return [event for event in events if event[0] != ":"]


@asynccontextmanager
async def events(api: Served, query: str, token: str | None = None, **body: Any) -> AsyncIterator[Events]:
    headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with api.http.stream("POST", "/", json={"query": query, **body}, headers=headers) as response:
        yield Events(response)


def code(answer: Any) -> str:
    """Code of the first error of an answer, or of a list of errors."""
    errors = answer if isinstance(answer, list) else answer["errors"]
    return str(errors[0]["extensions"]["code"])
