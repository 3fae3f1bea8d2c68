"""A connection's requests with the head of the one before are what they would be if each were parsed."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from graph.running import running
from graph.wire import Wire, come
from graph.wire_sockets import SocketWire
from tests.http.conftest import listening

PATIENCE = 5
# What one request's scope has that another server's, or another port's, has not.
OWN = {"client", "server", "state", "asgi"}


async def body_of(receive: Receive) -> bytes:
    whole, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"gone"
        whole, more = whole + message.get("body", b""), message.get("more_body", False)
    return whole


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the request as the application got it."""
    body = await body_of(receive)
    told = {name: value for name, value in scope.items() if name not in OWN}
    await say(send, json.dumps([told, body], default=lambda value: value.decode("latin-1"), sort_keys=True).encode())


async def say(send: Send, said: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


class Client:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self, patience: float = PATIENCE) -> tuple[int, bytes]:
        """The next answer: its status and body; 0 if the connection has ended."""
        try:
            head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), patience)).lower()
        except asyncio.IncompleteReadError:
            return 0, b""
        lines = head.split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
        if head.startswith(b"http/1.1 100 "):
            return 100, b""
        body = await (self.reader.read() if length is None else self.reader.readexactly(length))
        return int(head[9:12]), body

    async def ask(self, *parts: bytes, patience: float = PATIENCE) -> tuple[int, bytes]:
        """Send a request in pieces, and wait for its answer."""
        await self.send(*parts)
        return await self.answer(patience)

    async def send(self, *parts: bytes) -> None:
        for at, part in enumerate(parts):
            if at:
                # So that the server has read what came before.
                await asyncio.sleep(0.002)
            self.writer.write(part)
            await self.writer.drain()


@asynccontextmanager
async def connected(host: str) -> AsyncIterator[Client]:
    address, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


def post(body: bytes, *lines: str, length: str = "content-length: {}", path: str = "/graphql") -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: steward.test", *lines, length.format(len(body)), "x-last: 1", "", ""]
    return "\r\n".join(head).encode() + body


class Counting(Wire):
    """Counts how often the parser is asked."""

    parsed = 0

    def on_message_begin(self) -> None:
        type(self).parsed += 1
        super().on_message_begin()


@pytest.fixture(autouse=True)
def _begin_to_count() -> None:
    Counting.parsed = 0


BODIES = st.sampled_from([b"", b"{}", b'{"query":"{ a }"}', b"x" * 300, post(b"{}")])
LENGTHS = st.sampled_from(["content-length: {}", "Content-Length:{}", "content-length:   {}  ", "content-length: 00{}"])
LINES = st.sampled_from([(), ("x-a: 1",), ("x-a: content-length: 7",), ("accept: a", "accept: b")])
PATHS = st.sampled_from(["/graphql", "/graphql?a=content-length:%201"])
# What stands in a head but once or never, and what is no head.
ODD = [
    b"GET /graphql HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"\r\n" + post(b"{}"),
    post(b"{}", "transfer-encoding: chunked"),
    post(b"{}", "content-length: 2"),
    post(b"{}", "connection: close"),
    post(b"{}", "connection: keep-alive"),
    post(b"{}", "connection: upgrade", "upgrade: h2c"),
    post(b"{}", "expect: 100-continue"),
    post(b"{}", length="content-length: {}x"),
    post(b"{}", length="content-length: +{}"),
    post(b"{}", length="content-length: {0},{0}"),
    post(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"),
    post(b"{}") + post(b"[]"),
    post(b"{}") + b"POST /gr",
    post(b"{}") + b"junk\r\n\r\n",
]


@st.composite
def talks(draw: st.DrawFn) -> list[list[bytes]]:
    """What is said on one connection, in pieces: requests with one head, and others that are nearly like them."""
    lines, length, path = draw(LINES), draw(LENGTHS), draw(PATHS)
    said: list[list[bytes]] = [[post(draw(BODIES), *lines, length=length, path=path)]]
    for _ in range(draw(st.integers(1, 5))):
        request = post(draw(BODIES), *lines, length=length, path=path)
        at = draw(st.integers(1, request.index(b"\r\n\r\n")))
        match draw(st.sampled_from(["again", "again", "changed", "cut", "odd", "twice", "two"])):
            case "again":
                said.append([request])
            case "changed":
                said.append([request[:at] + draw(st.sampled_from([b"x", b" ", b""])) + request[at + 1 :]])
            case "cut":
                said.append([request[:at], request[at:]])
            case "twice":
                said.append([request, request])
            case "two":
                said += [[request + post(b"{}", path="/other")], [request]]
            case _:
                said += [[draw(st.sampled_from(ODD))]] * 2
    return said


async def heard(host: str, talk: Sequence[Sequence[bytes]], patience: float = 0.3) -> list[tuple[int, bytes]]:
    """All that a server answers to what is said on one connection, until it waits for more, or ends it."""
    answers: list[tuple[int, bytes]] = []
    async with connected(host) as client:
        with suppress(OSError):
            for parts in talk:
                answers.append(await client.ask(*parts, patience=patience))
                if not answers[-1][0]:
                    break
            client.writer.write_eof()
            while (late := await client.answer(patience))[0]:
                answers.append(late)
    return [answer for answer in answers if answer[0]]


async def check(hosts: tuple[str, str], talk: Sequence[Sequence[bytes]]) -> None:
    """Compare both servers, once more with much patience if one seems to have been slow."""
    ours, theirs = [await heard(host, talk) for host in hosts]
    if ours != theirs:
        ours, theirs = [await heard(host, talk, PATIENCE) for host in hosts]
    assert ours == theirs


@pytest.fixture
async def hosts() -> AsyncIterator[tuple[str, str]]:
    """Where the same application is served by our protocol, and by uvicorn's."""
    async with listening(echo, http=Wire) as (ours, _), listening(echo, http=HttpToolsProtocol) as (theirs, _):
        yield ours, theirs


@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(talk=talks())
async def test_whatever_comes_is_served_as_by_uvicorn(hosts: tuple[str, str], talk: list[list[bytes]]) -> None:
    await check(hosts, talk)


TAIL = post(b"{}")[30:]


@pytest.mark.parametrize(
    "talk",
    [
        *([[post(b"{}")], [post(b"{}", length=f"content-length: {odd}")]] for odd in ("+2", "2 ", "\t2", "0_2", "-2")),
        # No head, though it was the end of one.
        [[post(b"{}")[:30], TAIL], [TAIL]],
    ],
)
async def test_what_is_nearly_the_same_head_is_parsed(hosts: tuple[str, str], talk: list[list[bytes]]) -> None:
    await check(hosts, talk)


async def test_the_head_of_the_request_before_is_not_parsed_again() -> None:
    async with listening(echo, http=Counting) as (host, _), connected(host) as client:
        for body in (b"{}", b"[1, 2, 3]", b"x" * 3_000):
            status, told = await client.ask(post(body))
            scope, came = json.loads(told)
            assert (status, came) == (200, body.decode())
            assert ["content-length", str(len(body))] in scope["headers"]
            assert Counting.parsed == 1
        for at, other in enumerate([post(b"{}", "x-a: 1"), post(b"{}", path="/other"), post(b"")], 2):
            assert (await client.ask(other))[0] == 200
            assert Counting.parsed == at


async def test_a_request_that_has_not_come_as_a_whole_is_parsed() -> None:
    request = post(b"x" * 100)
    async with listening(echo, http=Counting) as (host, _), connected(host) as client:
        assert (await client.ask(request))[0] == 200
        assert (await client.ask(request[:-9], request[-9:]))[1] == (await client.ask(request))[1]
        assert Counting.parsed == 2
        # What lies behind it is the next one's.
        await client.send(request + request)
        assert await client.answer() == await client.answer()


async def test_all_of_a_connection_is_served_by_one_task() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        assert running() is None
        tasks.append(asyncio.current_task())
        await echo(scope, receive, send)

    async with listening(noting, http=Wire) as (host, server):
        async with connected(host) as client:
            for _ in range(3):
                assert (await client.ask(post(b"{}")))[0] == 200
                # It is counted among the tasks for as long as it serves.
                while server.server_state.tasks:  # noqa: ASYNC110 - uvicorn sets no event
                    await asyncio.sleep(0)
        assert len(set(tasks)) == 1
        assert tasks[0] is not None
        await asyncio.wait_for(tasks[0], PATIENCE)


@pytest.mark.parametrize("swallowed", [True, False])
async def test_a_request_that_was_cancelled_does_not_end_the_next(*, swallowed: bool) -> None:
    async def cancelling(_: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        if await body_of(receive) == b"end":
            task.cancel()
            try:
                await asyncio.sleep(PATIENCE)
            except asyncio.CancelledError:
                if not swallowed:
                    raise
        await say(send, b"")

    async with listening(cancelling, http=Wire) as (host, _), connected(host) as client:
        assert [(await client.ask(post(body)))[0] for body in (b"{}", b"end")] == [200, 200 if swallowed else 500]
        async with connected(host) as other:
            assert (await (client if swallowed else other).ask(post(b"{}")))[0] == 200


async def test_what_comes_before_the_answer_is_answered_after_it() -> None:
    may = asyncio.Event()

    async def slow(_: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        if body == b"slow":
            await may.wait()
        await say(send, body)

    async with listening(slow, http=Wire) as (host, server), connected(host) as client:
        assert await client.ask(post(b"{}")) == (200, b"{}")
        await client.send(post(b"slow"), post(b"next"))
        (connection,) = server.server_state.connections
        assert isinstance(connection, Wire)
        while not connection.pipeline:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        may.set()
        assert [await client.answer() for _ in range(2)] == [(200, b"slow"), (200, b"next")]


async def test_the_rest_of_a_body_is_no_request() -> None:
    asked: list[bytes] = []

    async def hasty(_: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        asked.append(message.get("body", b""))
        await say(send, b"")

    hidden = post(b"hidden")
    head, _, _ = post(b"x" + hidden).partition(b"x" + hidden)
    async with listening(hasty, http=Wire) as (host, _), connected(host) as client:
        assert await client.ask(post(b"{}")) == (200, b"")
        assert await client.ask(head + b"x") == (200, b"")
        assert await client.ask(hidden, post(b"[]")) == (200, b"")
    assert asked == [b"{}", b"x", b"[]"]


@pytest.mark.parametrize("when", ["before", "as the request comes", "with the request under way"])
async def test_a_task_that_was_cancelled_while_nothing_came_takes_no_request_along(when: str) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def noting(_: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await say(send, await body_of(receive))

    class Late(Wire):
        """Cancels the task when it has been handed a request, and before it begins."""

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            super()._start_asgi_task(cycle, app)
            if tasks:
                tasks[0].cancel()

    class Early(Wire):
        """Cancels the task in the very moment that a request comes."""

        def data_received(self, data: bytes) -> None:
            if tasks:
                tasks[0].cancel()
            super().data_received(data)

    protocol = {"as the request comes": Early, "with the request under way": Late}.get(when, Wire)
    async with listening(noting, http=protocol) as (host, server), connected(host) as client:
        assert await client.ask(post(b"{}")) == (200, b"{}")
        while server.server_state.tasks:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        if protocol is Wire:
            tasks[0].cancel()
            await asyncio.wait(tasks)
        assert await client.ask(post(b"[]")) == (200, b"[]")
        assert tasks[0].cancelled()
        assert len(set(tasks)) == 2


async def test_whoever_goes_on_by_websocket_leaves_no_task_behind() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            tasks.append(asyncio.current_task())
            await say(send, await body_of(receive))
        else:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})

    upgrade = (
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with (
        listening(both, http=Wire, ws=SocketWire, timeout_keep_alive=0.2) as (host, _),
        connected(host) as client,
    ):
        assert await client.ask(post(b"{}")) == (200, b"{}")
        await client.send(upgrade)
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 101 ")
        (task,) = tasks
        assert task is not None
        await asyncio.wait_for(task, PATIENCE)


@pytest.mark.parametrize(("missing", "last"), [(0, b""), (0, b"\r\n"), (20, b"more of it")])
async def test_a_connection_ends_when_nothing_is_asked_for_so_long(missing: int, last: bytes) -> None:
    async def hasty(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await say(send, b"")

    clock = asyncio.get_running_loop().time
    async with listening(hasty, http=Wire, timeout_keep_alive=0.4) as (host, _), connected(host) as client:
        for _ in range(4):
            assert await client.ask(post(b"{}")) == (200, b"")
            await asyncio.sleep(0.15)
        request = post(b"{}" * 50)
        assert (await client.ask(request[: len(request) - missing]))[0] == 200
        began = clock()
        if last:
            await client.send(last)
        assert await asyncio.wait_for(client.reader.read(), PATIENCE) == b""
        assert clock() - began > 0.3


async def test_a_request_is_not_cut_by_the_time_between_requests() -> None:
    async def slow(_: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        await asyncio.sleep(0.3)
        await say(send, b"")

    # In whole seconds uvicorn's own; one that ends while it is served would have cut it.
    async with listening(slow, http=Wire, timeout_keep_alive=0.2) as (host, _), connected(host) as client:
        assert [(await client.ask(post(b"{}")))[0] for _ in range(3)] == [200, 200, 200]


async def test_whoever_waits_for_more_learns_that_the_client_has_left() -> None:
    came: asyncio.Queue[Any] = asyncio.Queue()

    async def waiting(_: Scope, receive: Receive, send: Send) -> None:
        if await body_of(receive) == b"wait":
            came.put_nowait("the body")
            came.put_nowait((await receive())["type"])
        await say(send, b"")

    async with listening(waiting, http=Wire) as (host, _):
        async with connected(host) as client:
            assert (await client.ask(post(b"")))[0] == 200
            assert (await client.ask(post(b"{}")))[0] == 200
            await client.send(post(b"wait"))
            assert await asyncio.wait_for(came.get(), PATIENCE) == "the body"
        assert await asyncio.wait_for(came.get(), PATIENCE) == "http.disconnect"


async def test_who_is_one_too_many_is_told_so_whatever_its_head() -> None:
    async with listening(echo, http=Wire, limit_concurrency=2) as (host, server), connected(host) as client:
        assert [(await client.ask(post(b"{}")))[0] for _ in range(2)] == [200, 200]
        async with connected(host):
            while len(server.server_state.connections) < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
            assert (await client.ask(post(b"{}")))[0] == 503


async def test_what_has_come_with_its_head_is_nobodys_afterwards() -> None:
    found: list[bytes | None] = []

    async def taking(scope: Scope, receive: Receive, send: Send) -> None:
        found.extend([come(receive), come(receive)])
        await echo(scope, receive, send)

    async with listening(taking, http=Wire) as (host, _), connected(host) as client:
        for _ in range(2):
            assert json.loads((await client.ask(post(b"{}")))[1])[1] == ""
    assert found == [b"{}", b""] * 2
