"""The public suites and clients against a server: graphql-http, graphql-ws, graphql-sse, and graphql-eslint."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from graph.ids import id_of
from tests.support.probing import Target

pytestmark = pytest.mark.conformance

HERE = Path(__file__).parent
NEEDED = (20, 19)
LONGEST = 300  # seconds


@pytest.fixture(scope="module")
def node() -> str:
    """The program that runs the suites; skips with a reason where something is missing."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("There is no Node on this machine.")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(part) for part in re.findall(r"\d+", said)[:2]) < NEEDED:
        pytest.skip(f"Node {said.strip()} is too old for the suites.")
    if not (HERE / "node_modules").exists():
        pytest.skip("The suites are not installed; `make conformance` does it.")
    return path


def run(node: str, script: str, **more: str) -> list[str]:
    """The lines that a script says; fails the test, with all of them, if it ends badly."""
    environment = {**os.environ, "NODE_NO_WARNINGS": "1", **more}
    done = subprocess.run(
        [node, script], cwd=HERE, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


async def signed_in(target: Target) -> dict[str, str]:
    """An advisor for a script: its token, and a client that it may change."""
    advisor = await target.make.advisor()
    assert advisor.book
    client = await target.make.client(advisor.book)
    change = {"clientId": id_of(client), "version": client.version}
    url = f"{target.url}/graphql"
    return {"STEWARD_URL": url, "STEWARD_TOKEN": advisor.token, "STEWARD_CHANGE": json.dumps(change)}


async def test_every_audit_of_graphql_http_passes(node: str, target: Target) -> None:
    said = run(node, "http.js", STEWARD_URL=f"{target.url}/graphql")
    # As many as this version of the suite has: none is left out.
    assert Counter(line.split()[2] for line in said) == {"MUST": 13, "SHOULD": 23, "MAY": 25}
    assert [line for line in said if not line.startswith("ok: ")] == []


@pytest.mark.parametrize(("script", "least"), [("ws.js", 10), ("sse.js", 7)])
async def test_the_client_finds_what_its_users_rely_on(node: str, target: Target, script: str, least: int) -> None:
    said = run(node, script, **await signed_in(target))
    assert [line for line in said if not line.startswith("ok: ")] == []
    assert len(said) >= least


def test_the_schema_is_as_the_linters_want_it(node: str) -> None:
    assert run(node, "lint.js") == []
