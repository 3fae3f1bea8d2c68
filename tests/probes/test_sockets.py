"""Sockets that say nothing, say nonsense, say it twice, or do not listen."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from domain.access import Role
from graph.http.bounds import HttpLimits
from tests.probes.test_documents import doubling, sized
from tests.support.probing import PATIENCE, Target, clean, codes

INIT = {"type": "connection_init"}
QUIET = "subscription { notifications { cursor } }"
MEGABYTE = 1_000_000

# Where the client is still sending, the end of the connection can overtake the close frame.
TOO_LONG = {1009, 1006}


async def say(socket: ClientConnection, message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> Any:
    text = await asyncio.wait_for(socket.recv(), PATIENCE)
    return json.loads(clean(str(text)))


async def subscribe(socket: ClientConnection, query: str, name: str = "1", **more: Any) -> None:
    await say(socket, {"type": "subscribe", "id": name, "payload": {"query": query, **more}})


async def closed(socket: ClientConnection, seconds: float = PATIENCE) -> int:
    """The code that the server closes with, whatever it says before."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(seconds):
            while True:
                clean(str(await socket.recv()))
    return socket.close_code or 0


@asynccontextmanager
async def greeted(target: Target, token: str | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
    async with target.socket(**options) as socket:
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await say(socket, INIT | {"payload": payload})
        assert await hear(socket) == {"type": "connection_ack"}
        yield socket


@pytest.mark.soak
async def test_sockets_that_never_begin(target: Target) -> None:
    """One of them, and less patience, is in tests/http."""
    async with target.watched(), AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(target.socket(close_timeout=1)) for _ in range(500)]
        patience = HttpLimits().init_seconds + PATIENCE
        ends = await asyncio.gather(*(closed(socket, patience) for socket in sockets))
        assert set(ends) == {4408}


GARBAGE = [
    *("", "{", "null", "0", '"connection_init"', "[]", "{}", "[" * 100_000, '{"a":' * 50_000, "9" * 100_000),
    *('{"type": "subscribe", "id": "1", "payload": {"query": NaN}}', '{"type": "stop", "id": "1"}', "\x00", "\ufeff{}"),
    *('{"type": "connection_init", "payload": []}', '{"type": "subscribe", "id": {}, "payload": {}}'),
    *(b"\xff\xfe", b'{"type": "ping"}', b"\x00" * 1_000),
]


@pytest.mark.parametrize("frame", GARBAGE, ids=lambda frame: repr(frame)[:40])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
async def test_garbage(target: Target, frame: str | bytes, first: bool) -> None:  # noqa: FBT001 - a case, no flag
    async with target.watched(), target.socket(close_timeout=1) as socket:
        if not first:
            await say(socket, INIT)
            await hear(socket)
        await socket.send(frame)
        assert await closed(socket) == 4400


async def test_two_inits(target: Target) -> None:
    async with target.watched(), greeted(target) as socket:
        await say(socket, INIT)
        assert await closed(socket) == 4429


async def test_two_inits_at_once(target: Target) -> None:
    async with target.watched(), target.socket(close_timeout=1) as socket:
        for _ in range(50):
            with suppress(ConnectionClosed):
                await say(socket, INIT)
        assert await closed(socket) == 4429


async def test_an_id_in_use(target: Target) -> None:
    user = await target.make.advisor()
    async with target.watched(), greeted(target, user.token) as socket:
        for _ in range(2):
            await subscribe(socket, QUIET)
        assert await closed(socket) == 4409


async def test_an_operation_before_the_init(target: Target) -> None:
    async with target.watched(), target.socket(close_timeout=1) as socket:
        await subscribe(socket, "{ __typename }")
        assert await closed(socket) == 4401


async def test_a_token_that_is_none(target: Target) -> None:
    async with target.watched(), target.socket(close_timeout=1) as socket:
        await say(socket, INIT | {"payload": {"authorization": "Bearer " + "a" * 100_000}})
        assert await closed(socket) == 4401


@pytest.mark.parametrize("megabytes", sized(5, 100))
@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_message_of_megabytes(target: Target, megabytes: int, compression: str | None) -> None:
    """Packed, it is a few kilobytes on the way, and must not be unpacked whole."""
    async with target.watched(), greeted(target, compression=compression, close_timeout=1) as socket:
        with suppress(ConnectionClosed):
            await socket.send(" " * (megabytes * MEGABYTE))
        assert await closed(socket) in TOO_LONG


@pytest.mark.parametrize("count", sized(300, 20_000))
async def test_a_message_in_fragments(target: Target, count: int) -> None:
    async def pieces() -> AsyncIterator[str]:
        for _ in range(count):
            yield " " * 10_000

    async with target.watched(), greeted(target, compression=None, close_timeout=1) as socket:
        with suppress(ConnectionClosed):
            await socket.send(pieces())
        assert await closed(socket) in TOO_LONG


@pytest.mark.parametrize("count", sized(300, 20_000))
async def test_more_operations_than_a_socket_may_hold(target: Target, count: int) -> None:
    user = await target.make.advisor()
    async with target.watched(), greeted(target, user.token, close_timeout=1) as socket:
        told: list[str] = []

        async def listen() -> None:
            with suppress(ConnectionClosed):
                while True:
                    message = await hear(socket)
                    assert message["type"] in {"error", "next"}
                    told.append(message["type"])

        listening = asyncio.create_task(listen())
        with suppress(ConnectionClosed):
            for number in range(count):
                await subscribe(socket, QUIET, str(number))
        await asyncio.sleep(1)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        # Either each one too many is refused, or so many at once are: never more than the socket may hold.
        assert "error" in told or socket.close_code


async def test_a_large_document_on_a_socket(target: Target) -> None:
    async with target.watched(), greeted(target) as socket:
        await subscribe(socket, doubling(40))
        message = await hear(socket)
        assert (message["type"], codes(json.dumps({"errors": message["payload"]}))) == ("error", ["QUERY_TOO_COMPLEX"])


@pytest.mark.parametrize("count", sized(300, 5_000))
async def test_a_reader_that_never_reads(target: Target, count: int) -> None:
    """What it asked for fills its own buffers, and nobody else waits for it."""
    user = await target.make.user(Role.ADMIN)
    query = '{ __type(name: "Query") { fields { name description args { name description } } } }'
    async with target.watched(), greeted(target, user.token, compression=None, max_queue=1, close_timeout=1) as socket:
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for number in range(count):
                    await subscribe(socket, query, str(number))
        await asyncio.sleep(1)
        socket.transport.abort()


@pytest.mark.parametrize("count", sized(50, 2_000))
async def test_idle_sockets(target: Target, count: int) -> None:
    """Sockets that only follow cost little, and all are still there when something is said."""
    user = await target.make.advisor()
    growth = 60 + count * 0.2
    async with target.watched(growth=growth), AsyncExitStack() as stack:
        sockets: list[ClientConnection] = []
        for _ in range(0, count, 50):
            opening = (stack.enter_async_context(greeted(target, user.token)) for _ in range(min(50, count)))
            sockets += await asyncio.gather(*opening)
        for socket in sockets:
            await subscribe(socket, QUIET)
        await asyncio.sleep(2)
        for socket in sockets:
            await say(socket, {"type": "ping"})
        assert await asyncio.gather(*(hear(socket) for socket in sockets)) == [{"type": "pong"}] * len(sockets)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
async def test_a_page_of_another_site(target: Target, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with target.socket(origin=origin):
            pass
    assert refused.value.response.status_code == 403
    clean((refused.value.response.body or b"").decode())


async def test_a_page_of_our_own_and_a_program(target: Target) -> None:
    for origin in (target.url, None):
        async with greeted(target, origin=origin) as socket:
            await subscribe(socket, "{ __typename }")
            assert (await hear(socket))["payload"]["data"] == {"__typename": "Query"}
