import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from graph.app import make_app, open_services
from graph.http.schema import Schema
from graph.settings import Environment, Settings
from persistence.embedded import EmbeddedServer
from persistence.setup import migrate
from tests.persistence.test_embedded import forget

VIEWER = {"query": 'mutation { signIn(input: {email: "a@b.example", password: "x"}) { userErrors { code } } }'}


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A PostgreSQL of the test's own, which it may kill."""
    server = EmbeddedServer.start(tmp_path / "steward", settings={"fsync": "off"})
    await migrate(server.url())
    yield server
    forget([server])


async def code_of(client: httpx.AsyncClient) -> tuple[str, object]:
    answer = (await client.post("/graphql", json=VIEWER)).json()
    extensions = answer["errors"][0]["extensions"]
    return extensions["code"], extensions.get("retryAfter")


async def test_a_database_that_is_gone_for_a_while(alone: EmbeddedServer, schema: Schema) -> None:
    settings = Settings(environment=Environment.DEVELOPMENT, state_directory=Path(alone.home), database_pool=3)
    async with open_services(settings, alone.url(), Path(alone.home)) as services:
        transport = httpx.ASGITransport(make_app(settings, services, schema=schema))
        async with httpx.AsyncClient(transport=transport, base_url="http://steward.test", timeout=30) as client:
            assert await code_of(client) == ("UNAUTHENTICATED", None)
            assert (await client.get("/readyz")).status_code == 200

            postmaster = int((Path(alone.home) / "cluster" / "postmaster.pid").read_text("ascii").split()[0])
            os.kill(postmaster, signal.SIGSTOP)
            for child in _children(postmaster):
                os.kill(child, signal.SIGKILL)
            assert (await code_of(client))[0] == "UNAVAILABLE"
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.headers["retry-after"]) == (503, "5")
            assert (await client.get("/healthz")).status_code == 200

            os.kill(postmaster, signal.SIGCONT)
            for _ in range(100):
                if (await client.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.1)
            assert await code_of(client) == ("UNAUTHENTICATED", None)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(child) for child in text.split()]
