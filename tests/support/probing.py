"""A server process to probe: in production, on a database of its own, watched while it is being bothered."""

import asyncio
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from graph.settings import ROOT
from tests.factories.firm import Make
from tests.support.steward import Steward

# Secrets of the tests' own, for production asks for some.
SECRETS: Final = {
    "JWT_SECRET": "vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e",
    "FIELD_KEY": "c3Rld2FyZC1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk=",
}
# What is probed is how a single request, or socket, is borne: budgets would answer most of them first.
GENEROUS: Final = {
    "ANONYMOUS_COST_PER_MINUTE": "100000000",
    "ANONYMOUS_REQUESTS_PER_MINUTE": "1000000",
    "CONNECTIONS_PER_ADDRESS": "5000",
    "COST_PER_MINUTE": "100000000",
    "OPERATIONS_PER_USER": "5000",
    "REQUESTS_PER_MINUTE": "1000000",
}
# Whose word on where a request comes from is believed; all of 127.0.0.0/8 is loopback on Linux.
PROXY: Final = "127.0.0.2"
# What no answer may hold, whatever was sent: traces, places in our code, and the words of what lies beneath.
LEAKS: Final = re.compile(
    r"Traceback|File \\?\"/|site-packages|\.py\b|asyncpg|sqlalchemy|psycopg|PostgresError|pg_catalog|pgserver|"
    r"msgspec|starlette|uvicorn|relation \\?\"|column \\?\"|syntax error at or near|current transaction is aborted",
    re.IGNORECASE,
)
PATIENCE: Final = 20  # seconds; what is meant to be quick is, but the machine may be busy with other tests
MOST_GROWTH: Final = 96  # megabytes
STARTING: Final = 60  # seconds
MOST_FILES: Final = 10_000


class Target(msgspec.Struct, frozen=True):
    """A server process by its address, and factories for its database."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    make: Make

    @property
    def pid(self) -> int:
        """The process by its number."""
        return self.process.pid

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]

    @property
    def memory(self) -> float:
        """What the process holds of the machine's memory, in megabytes."""
        listed = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return int(listed.stdout) / 1024

    def logged(self) -> str:
        """All that the server has said."""
        return self.log.read_text("utf-8", "replace")

    @asynccontextmanager
    async def client(self, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client, of a user or of nobody."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE) as http:
            yield http

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection on which a test writes bytes by itself."""
        host, port = self.host.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """A WebSocket on which nothing has been said yet."""
        options = {"subprotocols": [Subprotocol("graphql-transport-ws")], "open_timeout": PATIENCE, **options}
        async with connect(f"ws://{self.host}/graphql", **options) as opened:
            yield opened

    @asynccontextmanager
    async def watched(self, *, growth: float = MOST_GROWTH) -> AsyncIterator[None]:
        """See that the server goes on answering others meanwhile, and takes no more memory than `growth` for it."""
        before = self.memory
        others = _Others(self)
        watching = asyncio.create_task(others.watch())
        try:
            yield
            await others.round()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        assert not others.failures, others.failures
        assert others.most - before <= growth, f"{others.most - before:.0f} MB more than before"


class _Others:
    """Somebody who only wants to be answered, now and then, while a probe goes on."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.failures: list[str] = []
        self.most = 0.0

    async def watch(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(0.2)

    async def round(self) -> None:
        """Ask once, and look at the memory."""
        begun = time.monotonic()
        try:
            async with self.target.client() as http:
                answer = await http.post("/graphql", json={"query": "{ __typename }"})
            if answer.json().get("data") != {"__typename": "Query"}:
                self.failures.append(answer.text)
        except httpx.HTTPError as error:
            self.failures.append(f"{error!r} after {time.monotonic() - begun:.1f} s")
        self.most = max(self.most, await asyncio.to_thread(lambda: self.target.memory))


def clean(text: str) -> str:
    """The text of an answer; fails the test if it tells what lies beneath."""
    found = LEAKS.search(text)
    assert found is None, text[max(0, found.start() - 200) : found.end() + 200]
    return text


def codes(text: str) -> list[str]:
    """The codes of an answer's errors, which tells nothing that it should not."""
    return [error["extensions"]["code"] for error in json.loads(clean(text)).get("errors", ())]


@asynccontextmanager
async def started(directory: Path, make: Make, database_url: str, **more: str) -> AsyncIterator[Target]:
    """A server process on a migrated database, until the end of the block."""
    own = {"DATABASE_URL": database_url, "JOBS": "apart", "DRAIN_SECONDS": "0", "TRUSTED_PROXIES": PROXY}
    environment = Steward(directory).environment(**(own | SECRETS | GENEROUS | more))
    log = directory / "server.log"
    process = _process(environment, log)
    try:
        yield Target(await asyncio.to_thread(_address, process, log), process, log, make)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def _process(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    # Into a file: a pipe that nobody empties would stop the server as soon as it is full.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Of this process and of the one that it starts: thousands of sockets are two files each.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES) if hard > 0 else MOST_FILES, hard))
    with log.open("wb") as file:
        command = [sys.executable, "-m", "graph.cli", "serve"]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + STARTING
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"serving at (https?://\S+)/graphql", log.read_text("utf-8")):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text("utf-8"))
