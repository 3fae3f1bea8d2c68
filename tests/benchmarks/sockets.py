"""WebSocket clients that cost next to nothing: a handshake by hand, and frames that are counted by their headers."""

import asyncio
import json
import time
from datetime import datetime
from typing import Any, Final

import msgspec

SAMPLED: Final = 20
# Where an event carries the moment at which it was due.
DUE: Final = b'"occurredAt":"'
PING: Final = 0x89
HANDSHAKE: Final = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


class Counted(msgspec.Struct):
    """What all sockets have heard: events, when the last came, and how late some of them were, in seconds."""

    events: int = 0
    last: float = 0.0
    lags: list[float] = msgspec.field(default_factory=list)

    def clear(self) -> None:
        """Begin anew."""
        self.events, self.last = 0, 0.0
        self.lags.clear()


class Client(asyncio.Protocol):
    """One socket with one subscription."""

    def __init__(self, counted: Counted, host: str, path: str, init: dict[str, Any], asked: dict[str, Any]) -> None:
        self._counted = counted
        self._opening = HANDSHAKE.format(path=path, host=host).encode()
        self._messages = [init, asked]
        self._rest = b""
        self._opened = False
        self._heard = 0
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Shake hands."""
        self.transport = transport
        transport.write(self._opening)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, if anybody still waits."""
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("the server has closed the socket"))

    def data_received(self, data: bytes) -> None:
        """Count the frames in it."""
        if self._rest:
            data = self._rest + data
        if not self._opened:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            if b" 101 " not in head[:20]:
                self.ready.set_exception(ConnectionError(head.decode()))
                return
            self._opened = True
            self._say(self._messages[0])
        self._rest = self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        at, end, counted = 0, len(data), self._counted
        events = 0
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start + length > end:
                break
            if data[at] == PING:
                self._frame(0x8A, data[start : start + length])
            elif not self.ready.done():
                self._answered(json.loads(data[start : start + length]))
            else:
                events += 1
                self._event(data, start, start + length)
            at = start + length
        if events:
            counted.events += events
            counted.last = time.time()
        return data[at:]

    def _event(self, data: bytes, start: int, end: int) -> None:
        """Take note of an event, which is a part of the data."""
        self._heard += 1
        if self._heard % SAMPLED == 0:
            self._sample(data, start, end)

    def _answered(self, message: Any) -> None:
        if message["type"] == "connection_ack":
            self._say(self._messages[1])
            # What subscribes answers nothing; the server has read it when it answers what comes after.
            self._say({"type": "ping"})
        elif message["type"] == "pong":
            self.ready.set_result(None)
        else:
            self.ready.set_exception(ConnectionError(str(message)))

    def _sample(self, data: bytes, start: int, end: int) -> None:
        at = data.find(DUE, start, end)
        if at < 0:
            raise ValueError(data[start:end])
        stamp = data[at + len(DUE) : data.index(b'"', at + len(DUE))]
        self._counted.lags.append(time.time() - datetime.fromisoformat(stamp.decode()).timestamp())

    def _say(self, message: dict[str, Any]) -> None:
        self._frame(0x81, json.dumps(message).encode())

    def _frame(self, kind: int, payload: bytes) -> None:
        length = len(payload)
        header = bytes((kind, 0x80 | length)) if length < 126 else bytes((kind, 0xFE)) + length.to_bytes(2)
        # Masked with nothing.
        self.transport.write(header + bytes(4) + payload)


async def connect(counted: Counted, port: int, path: str, token: str, asked: list[dict[str, Any]]) -> list[Client]:
    """A socket for each of these subscriptions."""
    loop = asyncio.get_running_loop()
    init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"} if token else {}}
    clients: list[Client] = []
    for at, payload in enumerate(asked):
        subscribe = {"type": "subscribe", "id": f"s{at}", "payload": payload}
        host = f"127.0.0.1:{port}"
        _, client = await loop.create_connection(
            lambda: Client(counted, host, path, init, subscribe),  # noqa: B023 - called at once
            "127.0.0.1",
            port,
        )
        clients.append(client)
        if at % 20 == 19:
            await asyncio.gather(*(each.ready for each in clients[-20:]))
    await asyncio.gather(*(each.ready for each in clients))
    return clients
