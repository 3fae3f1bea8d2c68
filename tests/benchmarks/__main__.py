"""`python -m tests.benchmarks [CLIENTS]`: the tree, a page and a point read, against the floor, in one run."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from graph.server import DEMO_PASSWORD
from persistence.embedded import EmbeddedServer
from tests.benchmarks.measured import Round, Target, measure, middle
from tests.benchmarks.queries import QUERIES
from tests.support.probing import GENEROUS

ROOT: Final = Path(__file__).parents[2]
ROUNDS: Final = 3
SECONDS: Final = 3.0
IN_FLIGHT: Final = (1, 16)
SIGN_IN: Final = """mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken } }
}"""


@contextmanager
def running(*arguments: str, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process of the project's, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=os.environ | env, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.terminate()
    process.wait(timeout=30)
    if process.stdout:
        process.stdout.close()


def address_of(process: "subprocess.Popen[str]") -> str:
    """Where a server says that it serves."""
    for line in process.stdout or ():
        if found := re.search(r"serving at (http://\S+/graphql)", line):
            return found[1]
    raise RuntimeError("the server did not start")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until somebody listens on a port of loopback."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the floor did not start")


def ask(url: str, query: str, headers: dict[str, str], **variables: Any) -> Any:
    """The data of an answer."""
    body = {"query": query, "variables": variables}
    answer = httpx.post(url, json=body, headers=headers, timeout=60).raise_for_status().json()
    if "errors" in answer:
        raise RuntimeError(answer["errors"])
    return answer["data"]


async def compared(steward: Target, floor: Target, in_flight: int) -> tuple[Round, Round]:
    """Both, in interleaved rounds."""
    rounds: dict[str, list[Round]] = {steward.name: [], floor.name: []}
    for _ in range(ROUNDS):
        for target in (floor, steward):
            rounds[target.name].append(await measure(target, in_flight=in_flight, seconds=SECONDS))
    return middle(rounds[steward.name]), middle(rounds[floor.name])


def check_equal(steward: Target, floor: Target) -> None:
    """Both must answer the same before either is measured."""
    answers = [
        httpx.post(target.url, json=target.body, headers=target.headers, timeout=60).json()
        for target in (steward, floor)
    ]
    # What an answer says of its cost is no part of what was asked.
    if answers[0]["data"] != answers[1]["data"]:
        raise RuntimeError(f"{steward.name}: Steward and the floor answer differently")


def report(name: str, in_flight: int, steward: Round, floor: Round) -> None:
    """One line of the table."""
    print(  # noqa: T201 - the benchmark's answer
        f"{name:<6} {in_flight:>9} {steward.cpu:>12.3f} {floor.cpu:>10.3f} {floor.cpu / steward.cpu:>9.3f} "
        f"{steward.rate:>9.0f} {floor.rate:>9.0f} {steward.p50:>8.2f} {steward.p99:>8.2f}"
    )


def targets(url: str, pids: tuple[int, int], port: int, token: str, client_id: str) -> Iterator[tuple[Target, Target]]:
    """Steward and the floor for each query."""
    for name, query in QUERIES.items():
        body = {"query": query, "variables": {"id": client_id} if name == "point" else {}}
        yield (
            Target(name, pids[0], url, {"authorization": f"Bearer {token}"}, body),
            Target("floor", pids[1], f"http://127.0.0.1:{port}/{name}", {}, {}),
        )


async def run(pairs: Iterator[tuple[Target, Target]]) -> None:
    """Measure every query."""
    heading = ("query", "in flight", "steward ms", "floor ms", "of floor", "req/s", "floor r/s", "p50 ms", "p99 ms")
    print("{:<6} {:>9} {:>12} {:>10} {:>9} {:>9} {:>9} {:>8} {:>8}".format(*heading))  # noqa: T201 - as above
    for steward, floor in pairs:
        check_equal(steward, floor)
        for in_flight in IN_FLIGHT:
            report(steward.name, in_flight, *await compared(steward, floor, in_flight))


def main(clients: int) -> None:
    """Make a firm, start both servers on it, and measure."""
    state = Path(tempfile.mkdtemp(prefix="steward-bench-"))
    env = {"STATE_DIRECTORY": str(state), "PORT": "0", **GENEROUS}
    with ExitStack() as stack:
        database = stack.enter_context(EmbeddedServer.start(state))
        stack.callback(shutil.rmtree, state, ignore_errors=True)
        subprocess.run(
            [sys.executable, "-m", "graph.cli", "demo", "--clients", str(clients)],
            cwd=ROOT,
            env=os.environ | env,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        server = stack.enter_context(running("graph.cli", "serve", env=env))
        url = address_of(server)
        signed_in = ask(url, SIGN_IN, {}, email="admin@steward.example", password=DEMO_PASSWORD)
        token = signed_in["signIn"]["session"]["accessToken"]
        first = ask(url, "{ clients(first: 1) { nodes { id } } }", {"authorization": f"Bearer {token}"})
        client_id = first["clients"]["nodes"][0]["id"]
        port = free_port()
        floor = stack.enter_context(running("tests.benchmarks.floor", database.url(), str(port), client_id, env={}))
        wait_for(port)
        asyncio.run(run(targets(url, (server.pid, floor.pid), port, token, client_id)))
    shutil.rmtree(database.home, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
