"""A load generator that costs less than what it measures: prepared requests over connections that are kept."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from typing import Final, cast

import msgspec

LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
OK: Final = re.compile(rb"HTTP/1\.1 200 ")
END_OF_HEAD: Final = b"\r\n\r\n"


class LoadError(Exception):
    """A server has answered otherwise than it was measured for."""


def request(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes over the wire."""
    told = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + body


class Reader:
    """Puts the answers of one connection together, whose length is told or that come in chunks."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._body = 0
        # How many bytes the whole answer has; none while its head has not come, or where it comes in chunks.
        self._whole: int | None = None
        self._chunks: list[bytes] | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Take what has come; gives the body once it is whole. Raises LoadError for another status than 200."""
        self._held += data
        if not self._body and not self._begin():
            return None
        if self._chunks is not None:
            return self._chunked(self._chunks)
        if self._whole is None or len(self._held) < self._whole:
            return None
        return self._ended(bytes(self._held[self._body : self._whole]))

    def _begin(self) -> bool:
        end = self._held.find(END_OF_HEAD)
        if end < 0:
            return False
        head, self._body = bytes(self._held[: end + 2]), end + len(END_OF_HEAD)
        if not OK.match(head):
            raise LoadError(self._held.decode("utf-8", "replace"))
        if length := LENGTH.search(head):
            self._whole = self._body + int(length[1])
        elif CHUNKED.search(head):
            self._chunks = []
        else:
            raise LoadError("An answer does not tell its length.")
        return True

    def _chunked(self, chunks: list[bytes]) -> bytes | None:
        while (line := self._held.find(b"\r\n", self._body)) >= 0:
            size, begin = int(self._held[self._body : line].split(b";")[0], 16), line + 2
            if len(self._held) < begin + size + 2:
                return None
            if not size:
                return self._ended(b"".join(chunks))
            chunks.append(bytes(self._held[begin : begin + size]))
            self._body = begin + size + 2
        return None

    def _ended(self, body: bytes) -> bytes:
        self._held.clear()
        self._body, self._whole, self._chunks = 0, None, None
        return body


class _Connection(asyncio.Protocol):
    """Asks, reads the answer, and asks again until the time is over."""

    def __init__(self, requests: Iterator[bytes], until: float, latencies: list[float]) -> None:
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._until = until
        self._latencies = latencies
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none of asyncio's by class.
        self._transport = cast("asyncio.Transport", transport)
        self._ask(self._transport)

    def _ask(self, transport: asyncio.Transport) -> None:
        asked = next(self._requests)
        self._sent = time.perf_counter()
        transport.write(asked)

    def data_received(self, data: bytes) -> None:
        try:
            body = self._reader.feed(data)
        except LoadError as error:
            self._end(error)
            return
        if body is None or self._transport is None:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._until:
            self._ask(self._transport)
        else:
            self._end(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LoadError(f"The connection was closed: {exc}"))

    def _end(self, result: bytes | LoadError) -> None:
        if self.ended.done():
            return
        if isinstance(result, LoadError):
            self.ended.set_exception(result)
        else:
            self.ended.set_result(result)
        if self._transport is not None:
            self._transport.close()


class Answered(msgspec.Struct, frozen=True):
    """What became of a load: the latencies in seconds, how long it took, and the last answer of each connection."""

    latencies: list[float]
    took: float
    last: list[bytes]


async def load(port: int, requests: Iterator[bytes], *, in_flight: int, seconds: float) -> Answered:
    """Ask a server on loopback for some seconds, with so many requests in flight. Raises LoadError."""
    loop, latencies, started = asyncio.get_running_loop(), list[float](), time.perf_counter()
    connections = [_Connection(requests, started + seconds, latencies) for _ in range(in_flight)]
    for each in connections:
        await loop.create_connection(lambda made=each: made, "127.0.0.1", port)  # type: ignore[misc] # mypy knows no default
    last = await asyncio.gather(*(each.ended for each in connections))
    return Answered(sorted(latencies), time.perf_counter() - started, last)


async def ask(port: int, asked: bytes) -> bytes:
    """One answer. Raises LoadError."""
    return (await load(port, iter([asked]), in_flight=1, seconds=0)).last[0]
