"""The end of a server, over real processes: nothing that it has taken is lost, and everybody is sent elsewhere."""

import asyncio
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import pytest

from graph.settings import DRAIN_SECONDS, Environment, Settings
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from tests.support.served import Served, socket_to
from tests.support.steward import Steward, sign_in

PASSWORD = "a password of some length"
FOLLOW = "subscription { notifications { cursor } }"
MARK = "mutation { markAllNotificationsRead(input: {}) { marked { id } userErrors { code } } }"
# As slow as whoever holds the lock wants it.
BOOK = """mutation ($input: OpenBookInput!) { openBook(input: $input) { book { id } userErrors { code } } }"""
UNITS = """
insert into units values ('01900000-0000-7000-8000-000000000001', 'West');
insert into teams values ('01900000-0000-7000-8000-000000000002', '01900000-0000-7000-8000-000000000001', 'Mumbai');
"""
INPUT = {"name": "Slow", "teamId": "team_01900000000070008000000000000002"}


@pytest.fixture(scope="module")
def peopled(migrated: Steward, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steward]:
    made = Steward(tmp_path_factory.mktemp("peopled") / "state", like=migrated)
    created = made.run("create-user", "a@steward.example", "Asha", "--password-stdin", stdin=PASSWORD + "\n")
    assert created.returncode == 0, created.stderr
    yield made
    made.end()


@pytest.fixture
def steward(peopled: Steward, tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state", like=peopled)
    yield made
    made.end()


def status(address: str, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Slow:
    """A lock on books, so that whoever opens one waits until it is given up."""

    def __init__(self, steward: Steward) -> None:
        self.state = steward.state

    async def __aenter__(self) -> Self:
        # Joins the running database of the state directory.
        self.server = await asyncio.to_thread(EmbeddedServer.start, self.state)
        self.connection = await asyncpg.connect(**driver_arguments(self.server.url()))
        await self.connection.execute(UNITS)
        self.transaction = self.connection.transaction()
        await self.transaction.start()
        await self.connection.execute("lock table books in share mode")
        return self

    async def waiting(self, count: int) -> None:
        for _ in range(200):
            if await self.connection.fetchval("select count(*) from pg_locks where not granted") >= count:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("nobody waits")

    async def give_up(self) -> None:
        await self.transaction.rollback()

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()
        await asyncio.to_thread(self.server.close, wait=True)


async def test_what_is_under_way_is_answered_and_streams_go_on_elsewhere(steward: Steward) -> None:
    process, address = await asyncio.to_thread(lambda: steward.serve(DRAIN_SECONDS="2", GRACE_SECONDS="10"))
    token = await asyncio.to_thread(sign_in, address, "a@steward.example", PASSWORD)
    headers = {"authorization": f"Bearer {token}"}
    events = headers | {"accept": "text/event-stream"}
    async with (
        Slow(steward) as lock,
        httpx.AsyncClient(base_url=address, timeout=30) as client,
        socket_to(Served(address), token) as following,
        socket_to(Served(address), token) as asking,
        client.stream("POST", "/graphql", json={"query": FOLLOW}, headers=events) as stream,
    ):
        told = stream.aiter_lines()
        await following.subscribe(FOLLOW)
        await asking.subscribe(BOOK, input=INPUT)
        slow = asyncio.create_task(
            client.post("/graphql", json={"query": BOOK, "variables": {"input": INPUT}}, headers=headers)
        )
        await lock.waiting(2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)

        # Balancers learn of it, and those that have not yet are still answered.
        ready: tuple[int, Any] = (200, None)
        while ready[0] == 200:
            ready = await asyncio.to_thread(status, address, "/readyz")
        assert ready == (503, {"status": "unavailable", "reason": "draining"})
        async with httpx.AsyncClient(base_url=address) as late:
            answer = await late.post("/graphql", json={"query": MARK}, headers=headers)
            assert answer.json()["data"]["markAllNotificationsRead"]["userErrors"] == []
        assert await asyncio.to_thread(status, address, "/healthz") == (200, {"status": "ok"})

        # Then streams are sent elsewhere, with codes that clients come back after.
        assert await following.closed(seconds=60) in {1012, 1013}
        said = [json.loads(line[5:]) async for line in told if line.startswith("data:") and line[5:].strip()]
        assert said[-1]["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert time.monotonic() - began > 1.9

        # And what is under way is let finish, on sockets too.
        await lock.give_up()
        assert (await slow).json()["data"]["openBook"]["userErrors"] == []
        assert (await asking.next())["openBook"]["userErrors"] == []
        assert await asking.closed(seconds=60) in {1012, 1013}
        assert await asyncio.to_thread(process.wait, 60) == 0
        assert await lock.connection.fetchval("select count(*) from books") == 2
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=2).close()


async def test_a_request_that_never_ends_holds_the_end_up_for_a_bounded_time(steward: Steward) -> None:
    process, address = await asyncio.to_thread(lambda: steward.serve(GRACE_SECONDS="1"))
    token = await asyncio.to_thread(sign_in, address, "a@steward.example", PASSWORD)
    headers = {"authorization": f"Bearer {token}"}
    async with Slow(steward) as lock, httpx.AsyncClient(base_url=address, timeout=30) as client:
        body = {"query": BOOK, "variables": {"input": INPUT}}
        slow = asyncio.create_task(client.post("/graphql", json=body, headers=headers))
        await lock.waiting(1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
        await asyncio.gather(slow, return_exceptions=True)
        await lock.give_up()
        # Nothing was left half done.
        assert await lock.connection.fetchval("select count(*) from books") == 0


def test_only_production_waits_for_balancers(settings: Settings) -> None:
    assert settings.drain == 0
    production = settings.model_copy(update={"environment": Environment.PRODUCTION})
    assert production.drain == DRAIN_SECONDS > 0
    assert production.model_copy(update={"drain_seconds": 1.5}).drain == 1.5


def test_the_log_of_a_server_is_json_where_it_is_asked_for_and_holds_no_token(steward: Steward) -> None:
    process, address = steward.serve(LOG_FORMAT="json", METRICS_TOKEN="vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e")
    token = sign_in(address, "a@steward.example", PASSWORD)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{address}/metrics", timeout=5)
    request = urllib.request.Request(
        f"{address}/metrics", headers={"authorization": "Bearer vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e"}
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        assert b"process_resident_memory_bytes" in response.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    printed = steward.printed(process)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["message"] == "operation"]
    assert (line["logger"], line["type"], line["status"]) == ("steward.access", "mutation", 200)
    assert token not in printed
    assert PASSWORD not in printed
    assert "a@steward.example" not in re.sub(r"^[^{].*$", "", printed, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"LOG_FORMAT": "xml"}, "steward: LOG_FORMAT: "),
        ({"LOG_LEVEL": "loud"}, "steward: LOG_LEVEL: "),
        ({"METRICS_TOKEN": "short"}, "steward: METRICS_TOKEN: must be a random text of at least 32 characters"),
        ({"METRICS_PORT": "0"}, "steward: METRICS_PORT: "),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere"}, "steward: OTEL_EXPORTER_OTLP_ENDPOINT: "),
        ({"TRACE_SHARE": "2"}, "steward: TRACE_SHARE: "),
        ({"TRACE_CALLERS": "everybody"}, "steward: TRACE_CALLERS: "),
        ({"DRAIN_SECONDS": "-1"}, "steward: DRAIN_SECONDS: "),
        ({"GRACE_SECONDS": "0"}, "steward: GRACE_SECONDS: "),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    refused = Steward(tmp_path / "state").run("serve", **settings)
    assert refused.returncode == 2
    assert refused.stderr.startswith(sentence)
    assert refused.stderr.count("\n") == 1


def test_a_worker_tells_its_metrics_on_a_port_of_loopback(steward: Steward) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process, _ = steward.serve(METRICS_PORT=str(port))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        assert b"steward_jobs_total" in response.read()
    taken = steward.run("serve", METRICS_PORT=str(port))
    assert taken.returncode == 2
    assert f"steward: METRICS_PORT: 127.0.0.1:{port} cannot be listened on" in taken.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
