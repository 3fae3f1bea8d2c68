"""graphql-transport-ws, as its document has it, and what breaks it for one client alone."""

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from domain.errors import Unavailable
from tests.http.conftest import LIMITS, Served
from tests.http.talk import PATIENCE, code, talk

INIT = {"type": "connection_init"}


def subscribe(name: Any = "1", **payload: Any) -> dict[str, Any]:
    return {"type": "subscribe", "id": name, "payload": payload or {"query": "{ hello }"}}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "null",
        "1",
        '"connection_init"',
        "[]",
        "[" * 10_000,
        '{"type": NaN}',
        "9" * 5_000,
        json.dumps({}),
        json.dumps({"type": None}),
        json.dumps({"type": ["ping"]}),
        json.dumps({"type": "unknown"}),
        json.dumps({"type": "start", "id": "1", "payload": {}}),
        json.dumps({"type": "ping", "payload": "text"}),
        json.dumps({"type": "pong", "payload": [1]}),
        json.dumps({"type": "connection_init", "payload": "text"}),
        json.dumps({"type": "subscribe"}),
        json.dumps({"type": "subscribe", "id": "1"}),
        json.dumps({"type": "subscribe", "id": "1", "payload": None}),
        json.dumps({"type": "subscribe", "id": "1", "payload": "text"}),
        json.dumps(subscribe(name={})),
        json.dumps(subscribe(name=1)),
        json.dumps(subscribe(name="")),
        json.dumps(subscribe(name=None)),
        json.dumps(subscribe(query=None)),
        json.dumps(subscribe(query=1)),
        json.dumps(subscribe(query="{ hello }", variables="text")),
        json.dumps(subscribe(query="{ hello }", variables=[1])),
        json.dumps(subscribe(query="{ hello }", operationName=1)),
        json.dumps(subscribe(query="{ hello }", extensions=1)),
        json.dumps({"type": "complete"}),
        json.dumps({"type": "complete", "id": 1}),
        b'{"type": "ping"}',
        b"\xff\x00",
    ],
    ids=lambda frame: repr(frame[:50]),
)
async def test_a_frame_that_is_no_message_closes_with_4400(api: Served, frame: str | bytes) -> None:
    async with talk(api) as socket:
        await socket.init()
        await socket.socket.send(frame)
        assert (await socket.closed())[0] == 4400
    assert (await api.post("{ hello }")).status_code == 200


async def test_a_long_message_closes_with_1009(api: Served) -> None:
    async with talk(api) as socket:
        await socket.init()
        message = json.dumps(subscribe(query="{ hello }", variables={"a": "é" * (LIMITS.message_bytes // 2)}))
        await socket.socket.send(message.encode().decode("unicode_escape"))
        assert (await socket.closed())[0] == 1009


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"token": None}}])
async def test_the_anonymous_may_open_a_socket(api: Served, payload: dict[str, Any]) -> None:
    async with talk(api) as socket:
        await socket.send(INIT | payload)
        assert await socket.next() == {"type": "connection_ack"}
        assert (await socket.run("{ who }"))["payload"] == {"data": {"who": "nobody"}}


@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        ({"Authorization": "Bearer good"}, {}),
        ({"authorization": "bearer good"}, {}),
        ({"token": "good"}, {}),
        ({"token": "Bearer good"}, {}),
        ({}, {"Authorization": "Bearer good"}),
        ({"token": "good"}, {"Authorization": "Bearer expired"}),
    ],
)
async def test_the_token_comes_with_the_init(api: Served, payload: dict[str, str], headers: dict[str, str]) -> None:
    async with talk(api, additional_headers=headers) as socket:
        await socket.send(INIT | {"payload": payload})
        assert await socket.next() == {"type": "connection_ack"}
        assert (await socket.run("{ who }"))["payload"] == {"data": {"who": "good"}}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"Authorization": "Bearer expired"}, "EXPIRED"),
        ({"token": "revoked"}, "REVOKED"),
        ({"token": "invalid"}, "INVALID"),
        ({"Authorization": "Basic good"}, "INVALID"),
        ({"Authorization": 1}, "INVALID"),
        ({"token": {"a": 1}}, "INVALID"),
    ],
)
async def test_bad_credentials_close_with_4401(api: Served, payload: dict[str, Any], reason: str) -> None:
    async with talk(api) as socket:
        await socket.send(INIT | {"payload": payload})
        assert await socket.closed() == (4401, f"Unauthenticated: {reason}")


async def test_an_outage_at_init_closes_with_a_code_that_clients_retry(api: Served) -> None:
    api.sessions.down = True
    async with talk(api) as socket:
        await socket.send(INIT)
        assert (await socket.closed())[0] == 1013


async def test_a_bug_at_init_closes_with_4500(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    api.sessions.broken = True
    async with talk(api) as socket:
        await socket.send(INIT)
        assert await socket.closed() == (4500, "Internal server error")
    assert len(caplog.records) == 1


async def test_a_second_init_closes_with_4429(api: Served) -> None:
    async with talk(api) as socket:
        await socket.init()
        await socket.send(INIT)
        assert (await socket.closed())[0] == 4429


async def test_no_init_closes_with_4408(api: Served) -> None:
    async with talk(api) as socket:
        await socket.send({"type": "ping"})
        assert await socket.next() == {"type": "pong"}
        assert (await socket.closed())[0] == 4408


async def test_after_the_init_there_is_no_timeout(api: Served) -> None:
    async with talk(api) as socket:
        await socket.init()
        await asyncio.sleep(LIMITS.init_seconds * 1.2)
        assert (await socket.run("{ hello }"))["type"] == "next"


async def test_an_operation_before_the_init_closes_with_4401(api: Served) -> None:
    async with talk(api) as socket:
        await socket.send(subscribe(query="mutation { change }"))
        assert await socket.closed() == (4401, "Unauthorized")
    assert api.sessions.seen.ran == []


@pytest.mark.parametrize("name", ["1", "é" * 200])
async def test_a_name_in_use_closes_with_4409(api: Served, name: str) -> None:
    async with talk(api) as socket:
        await socket.init()
        await socket.run("subscription { ticks }", name)
        await socket.subscribe("{ hello }", name)
        assert (await socket.closed())[0] == 4409
    await asyncio.wait_for(api.sessions.seen.closed.wait(), PATIENCE)


@pytest.mark.parametrize("payload", [None, {"a": [1, {"b": None}]}])
async def test_pings_are_answered_with_their_payload(api: Served, payload: Any) -> None:
    async with talk(api) as socket:
        ping = {"type": "ping"} | ({} if payload is None else {"payload": payload})
        for _ in range(3):
            await socket.send(ping)
            assert await socket.next() == ping | {"type": "pong"}
        await socket.send({"type": "pong"})
        await socket.init()


@pytest.mark.parametrize("query", ["{ hello }", "mutation { change }"])
async def test_queries_and_mutations_run_on_sockets(api: Served, query: str) -> None:
    async with talk(api) as socket:
        await socket.init()
        message = await socket.run(query, "a")
        assert (message["type"], message["id"], list(message["payload"])) == ("next", "a", ["data"])
        assert await socket.next() == {"type": "complete", "id": "a"}
        # The name is free again.
        assert (await socket.run(query, "a"))["type"] == "next"


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("", {}),
        ("{", {}),
        ("{ nope }", {}),
        ("query A { hello }", {"operationName": "B"}),
        ("query A { hello } mutation B { change }", {}),
        ("fragment F on Query { hello }", {}),
        ("query ($n: Int!) { count(number: $n) }", {"variables": {"n": "many"}}),
        ("subscription ($n: Int!) { ticks(most: $n) }", {"variables": {"n": "many"}}),
        ("query ($a: String!) { hello(name: $a) }", {"variables": {"a": "\x00"}}),
        ("query ($a: String!) { hello(name: $a) }", {"variables": {"a": "\ud800"}}),
        ('{ hello(name: "\\u0000") }', {}),
    ],
)
async def test_a_bad_operation_ends_alone(api: Served, query: str, more: dict[str, Any]) -> None:
    async with talk(api) as socket:
        await socket.init()
        await socket.run("subscription { ticks(pause: 0.01) }", "ticks")
        await socket.subscribe(query, "bad", **more)
        received = [await socket.next() for _ in range(10)]
        (error,) = [message for message in received if message["id"] == "bad"]
        assert (error["type"], code(error["payload"])) == ("error", "VALIDATION_ERROR")
        assert received[-1]["type"] == "next"
    assert api.sessions.seen.ran == []


async def test_too_many_operations_are_refused_one_by_one(api: Served) -> None:
    async with talk(api) as socket:
        await socket.init()
        for number in range(LIMITS.operations_per_socket):
            await socket.subscribe("subscription { quiet }", str(number))
        message = await socket.run("{ hello }", "more")
        assert (message["type"], message["id"], code(message["payload"])) == ("error", "more", "RATE_LIMITED")
        await socket.send({"type": "complete", "id": "0"})
        assert (await socket.run("{ hello }", "more"))["type"] == "next"


@pytest.mark.parametrize("field", ["ticks", "quiet"])
@pytest.mark.parametrize("how", ["complete", "close", "cut"])
async def test_a_subscription_ends_with_its_reader(api: Served, field: str, how: str) -> None:
    seen = api.sessions.seen
    async with talk(api) as socket:
        await socket.init()
        await socket.subscribe(f"subscription {{ {field} }}")
        await asyncio.wait_for(seen.opened.wait(), PATIENCE)
        if how == "complete":
            await socket.send({"type": "complete", "id": "1"})
        elif how == "close":
            await socket.socket.close()
        else:
            socket.socket.transport.abort()
        await asyncio.wait_for(seen.closed.wait(), PATIENCE)
        assert seen.open_streams == 0
        if how == "complete":
            await socket.send({"type": "complete", "id": "unknown"})
            while (message := await socket.run("{ hello }", "2"))["id"] == "1":
                assert message["type"] == "next"


@pytest.mark.parametrize("reason", ["EXPIRED", "REVOKED"])
@pytest.mark.parametrize("field", ["ticks", "quiet", "floods"])
async def test_the_end_of_the_session_closes_with_4403(api: Served, reason: str, field: str) -> None:
    async with talk(api) as socket:
        await socket.init()
        await socket.subscribe(f"subscription {{ {field} }}")
        await asyncio.wait_for(api.sessions.seen.opened.wait(), PATIENCE)
        api.sessions.session.end(reason)
        assert await socket.closed() == (4403, f"Session ended: {reason}")
    await asyncio.wait_for(api.sessions.seen.closed.wait(), PATIENCE)
    assert api.sessions.seen.open_streams == 0


@pytest.mark.parametrize(("failure", "closing"), [(Unavailable(), 1013), (RuntimeError("a bug"), 4500)])
async def test_a_session_that_nobody_can_vouch_for_is_over(api: Served, failure: Exception, closing: int) -> None:
    async with talk(api) as socket:
        await socket.init()
        await socket.subscribe("subscription { quiet }")
        api.sessions.session.fail(failure)
        assert (await socket.closed())[0] == closing


async def test_the_end_of_a_session_reaches_a_reader_that_sleeps(api: Served) -> None:
    """One who does not read holds up neither the end of its session nor anybody else."""
    async with talk(api, max_queue=1, compression=None) as socket:
        await socket.init()
        await socket.subscribe("subscription { floods }")
        produced = await settled(api)
        api.sessions.session.end("REVOKED")
        await asyncio.wait_for(api.sessions.seen.closed.wait(), PATIENCE)
        # What was under way, not what could have been made.
        assert len(api.sessions.seen.ran) - produced <= 1
        await asyncio.wait_for(api.idle(), LIMITS.last_words_seconds * 4)
        socket.socket.transport.abort()


async def settled(api: Served) -> int:
    """How many events a flood made until its reader's buffers were full."""
    produced = -1
    async with asyncio.timeout(PATIENCE):
        while produced != len(api.sessions.seen.ran) or produced == 0:
            produced = len(api.sessions.seen.ran)
            await asyncio.sleep(0.1)
    return produced


async def test_a_slow_reader_slows_its_own_subscription_alone(api: Served) -> None:
    async with talk(api, max_queue=1, compression=None) as slow:
        await slow.init()
        await slow.subscribe("subscription { floods }")
        await settled(api)
        async with talk(api) as quick:
            await quick.init()
            assert (await quick.run("{ hello }"))["payload"] == {"data": {"hello": "Hello, world."}}
        assert len(api.sessions.seen.ran) < 1_000
        slow.socket.transport.abort()


async def test_each_operation_and_each_event_has_a_context_of_its_own(api: Served) -> None:
    async with talk(api) as socket:
        await socket.init()
        for name in ("a", "b"):
            message = await socket.run("{ thing { visits again: visits } }", name)
            assert message["payload"]["data"]["thing"] == {"visits": 1, "again": 2}
            await socket.next()
        await socket.subscribe("subscription { things(most: 3) { visits again: visits } }")
        received = [await socket.next() for _ in range(3)]
        assert [message["payload"]["data"]["things"] for message in received] == [{"visits": 1, "again": 2}] * 3


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["other"], None])
async def test_other_protocols_are_refused(api: Served, protocols: list[str] | None) -> None:
    async with api.socket(subprotocols=protocols) as socket:
        await socket.wait_closed()
        assert socket.close_code == 4406


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://desk.example.evil.example", "http://["])
async def test_pages_of_other_sites_open_no_socket(api: Served, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with api.socket(origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_our_pages_and_programs_open_sockets(api: Served) -> None:
    for origin in ("https://desk.example", f"http://{api.host}", None):
        async with talk(api, origin=origin) as socket:
            await socket.init()


async def test_errors_carry_the_request_id_of_the_handshake(api: Served) -> None:
    async with talk(api, additional_headers={"X-Request-Id": "socket-7"}) as socket:
        await socket.init()
        message = await socket.run("{ missing }")
        assert message["payload"]["errors"][0]["extensions"]["requestId"] == "socket-7"


async def test_garbage_never_takes_the_server_down(api: Served) -> None:
    reader, writer = await asyncio.open_connection(*api.host.split(":"))
    async with talk(api) as socket:
        await socket.init()
        writer.write(b"\x00\xff" * 1_000 + b"\r\n\r\n")
        await writer.drain()
        await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        assert (await socket.run("{ hello }"))["type"] == "next"
