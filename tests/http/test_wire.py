"""Heads of requests that do not come, or do not end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from graph.http.endpoint import Endpoint
from graph.wire import Wire
from tests.http.conftest import listening
from tests.http.schema import Sessions, make_schema

PATIENCE = 5
ASKED = b"GET /?query=%7Bhello%7D HTTP/1.1\r\nhost: steward.test\r\n\r\n"


class Impatient(Wire):
    """The same, which waits for as long as a test does."""

    head_seconds = 0.3
    head_bytes = 2_000


@pytest.fixture
async def place() -> AsyncIterator[tuple[str, int]]:
    """Where an impatient server listens."""
    app: Any = Endpoint(make_schema(), Sessions())
    async with listening(app, http=Impatient) as (address, _):
        host, _, port = address.partition(":")
        yield host, int(port)


async def said(place: tuple[str, int], *parts: bytes, pause: float = 0.0) -> bytes:
    """All that a server answers until it closes the connection."""
    reader, writer = await asyncio.open_connection(*place)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(pause)
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


@pytest.mark.parametrize("head", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nhost: x\r\nx-slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(place: tuple[str, int], head: bytes) -> None:
    assert (await said(place, head)).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_is_not_waited_for(place: tuple[str, int]) -> None:
    drops = [b"POST / HTTP/1.1\r\n", b"x: y\r\n", b"x: y\r\n"]
    assert (await said(place, *drops, pause=0.08)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 1_000,
        b"POST / HTTP/1.1\r\nx: " + b"y" * 5_000 + b"\r\n",
        b"GET /?query=" + b"y" * 5_000 + b" HTTP/1.1\r\n",
    ],
    ids=["many", "long", "address"],
)
async def test_a_head_that_does_not_end_is_refused(place: tuple[str, int], head: bytes) -> None:
    assert (await said(place, head)).startswith(b"HTTP/1.1 400 ")


async def test_others_are_answered_as_ever(place: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*place)
    for _ in range(3):
        writer.write(ASKED)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 200 ")
        length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        assert b"Hello, world." in await reader.readexactly(length)
        # Between two requests it is uvicorn that waits, and for longer.
        await asyncio.sleep(0.4)
    writer.close()
