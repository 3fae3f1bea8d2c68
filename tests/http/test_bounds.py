"""How much one connection, one address and one user may have at once, how fast, and for how long."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from graph.http.bounds import HttpLimits
from graph.http.crowd import Crowd, Crowded
from graph.http.endpoint import Endpoint
from graph.http.pace import Pace
from tests.http.conftest import Served, listening
from tests.http.schema import Sessions, make_schema
from tests.http.talk import PATIENCE, Talk, code, events, talk

QUIET = "subscription { quiet }"
IDLE_CODE, SESSION_CODE, FLOOD_CODE = 1000, 4403, 4429


@asynccontextmanager
async def bounded(**limits: Any) -> AsyncIterator[Served]:
    """An endpoint with limits of the test's own."""
    sessions = Sessions()
    endpoint = Endpoint(make_schema(), sessions, limits=HttpLimits(**limits))
    async with listening(endpoint) as (host, server), httpx.AsyncClient(base_url=f"http://{host}", timeout=10) as http:
        yield Served(host, sessions, http, server)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds; fails the test after a while."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - what goes on in the server sets no event
            await asyncio.sleep(0.01)


async def answers(api: Served) -> bool:
    return (await api.post("{ hello }")).status_code == 200


async def running(api: Served, count: int) -> bool:
    return api.sessions.seen.open_streams == count


async def test_an_address_has_so_many_connections() -> None:
    async with bounded(connections_per_address=3) as api, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(talk(api)) for _ in range(2)]
        for socket in sockets:
            await socket.init()
        stream = await stack.enter_async_context(events(api, QUIET, token="good"))
        assert stream.response.status_code == 200
        with pytest.raises(InvalidStatus) as refused:
            async with talk(api):
                pass
        answer = refused.value.response
        assert answer.status_code == 429
        assert json.loads(answer.body or b"")["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        post = await api.post("{ hello }")
        assert (post.status_code, code(post.json())) == (429, "RATE_LIMITED")
        assert post.headers["retry-after"] == "5"
        await sockets[0].socket.close()
        await eventually(lambda: answers(api))


async def test_a_user_has_so_many_operations_over_all_its_sockets() -> None:
    async with bounded(operations_per_user=3) as api, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(talk(api)) for _ in range(2)]
        for socket in (first, second):
            await socket.init()
        await first.subscribe(QUIET, "a")
        await first.subscribe(QUIET, "b")
        stream = await stack.enter_async_context(events(api, QUIET, token="good"))
        assert stream.response.status_code == 200
        await eventually(lambda: running(api, 3))
        refused = await second.run(QUIET, "c")
        assert (refused["type"], refused["id"], code(refused["payload"])) == ("error", "c", "RATE_LIMITED")
        answer = await api.http.post(
            "/", json={"query": QUIET}, headers={"accept": "text/event-stream", "authorization": "Bearer good"}
        )
        assert (answer.status_code, code(answer.json())) == (429, "RATE_LIMITED")
        await first.send({"type": "complete", "id": "a"})
        await eventually(lambda: running(api, 2))
        assert (await second.run("{ hello }", "d"))["type"] == "next"


async def test_messages_that_come_too_fast_end_the_socket() -> None:
    async with bounded(messages_per_second=1, messages_at_once=10) as api, talk(api) as socket:
        await socket.init()
        for _ in range(20):
            await socket.send({"type": "ping"})
        assert await socket.closed() == (FLOOD_CODE, "Too many messages")
        assert (await api.post("{ hello }")).status_code == 200


async def test_a_client_that_comes_back_may_ask_for_all_it_had_at_once() -> None:
    limits = HttpLimits()
    assert limits.messages_at_once >= limits.operations_per_socket + 2


async def test_a_socket_that_lies_idle_is_closed() -> None:
    async with bounded(idle_seconds=0.3) as api, talk(api) as socket:
        await socket.init()
        assert await socket.closed() == (IDLE_CODE, "Idle")


async def test_a_socket_on_which_something_runs_is_not_idle() -> None:
    async with bounded(idle_seconds=0.3) as api, talk(api) as socket:
        await socket.init()
        await socket.subscribe(QUIET)
        await asyncio.sleep(0.7)
        assert (await socket.run("{ hello }", "2"))["payload"] == {"data": {"hello": "Hello, world."}}
        assert (await socket.next())["type"] == "complete"
        await socket.send({"type": "complete", "id": "1"})
        assert await socket.closed() == (IDLE_CODE, "Idle")


async def test_a_socket_that_says_something_is_not_idle() -> None:
    async with bounded(idle_seconds=0.4) as api, talk(api) as socket:
        await socket.init()
        for _ in range(4):
            await asyncio.sleep(0.2)
            await socket.send({"type": "ping"})
            assert await socket.next() == {"type": "pong"}


async def test_no_socket_is_open_for_ever() -> None:
    async with bounded(socket_seconds=0.5) as api, talk(api) as socket:
        await socket.init()
        await socket.subscribe(QUIET)
        began = asyncio.get_running_loop().time()
        assert await socket.closed() == (SESSION_CODE, "Connect again")
        assert asyncio.get_running_loop().time() - began > 0.4
        await asyncio.wait_for(api.sessions.seen.closed.wait(), PATIENCE)


async def test_sockets_that_came_at_once_do_not_end_at_once() -> None:
    async with bounded(socket_seconds=1) as api, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(talk(api)) for _ in range(8)]

        async def ends(socket: Talk) -> float:
            await socket.closed()
            return asyncio.get_running_loop().time()

        ended = await asyncio.gather(*map(ends, sockets))
        assert max(ended) - min(ended) > 0.02


async def test_a_body_that_drips_is_given_up() -> None:
    async with bounded(body_seconds=0.3) as api:
        reader, writer = await asyncio.open_connection(*api.host.split(":"))
        head = f"POST / HTTP/1.1\r\nhost: {api.host}\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n"
        writer.write(head.encode() + b'{"query": ')
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()
        assert code(json.loads(answer.partition(b"\r\n\r\n")[2])) == "VALIDATION_ERROR"
        assert await answers(api)


def test_a_crowd_forgets_those_who_left() -> None:
    crowd = Crowd("guests", 1)
    with crowd.one("a"):
        with pytest.raises(Crowded, match="There are 1 guests"), crowd.one("a"):
            pass
        with crowd.one("b"):
            pass
    with crowd.one("a"):
        pass


def test_a_pace_fills_with_time() -> None:
    now = 0.0
    pace = Pace(2, 3, lambda: now)
    assert [pace.allows() for _ in range(4)] == [True, True, True, False]
    now = 0.5
    assert [pace.allows() for _ in range(2)] == [True, False]
    now = 100
    assert [pace.allows() for _ in range(4)] == [True, True, True, False]
