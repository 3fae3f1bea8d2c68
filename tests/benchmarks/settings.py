"""`python -m tests.benchmarks.settings [CLIENTS]`: what pool, driver's cache and collector cost.

Servers of the same demo firm that differ in one thing are asked the same in interleaved rounds of one run, so that the
machine's moods are shared; ratios are to the server as it is. What is no setting is put in its place by
`tests.benchmarks.varied`, which starts the server.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from graph.server import DEMO_PASSWORD
from persistence.embedded import EmbeddedServer
from tests.benchmarks.__main__ import ROOT, SIGN_IN, address_of, ask, running
from tests.benchmarks.measured import Round, Target, measure, middle
from tests.benchmarks.queries import QUERIES
from tests.support.probing import GENEROUS

ROUNDS: Final = 7
SECONDS: Final = 1.5
IN_FLIGHT: Final = (16, 64)
ASKED: Final = ("tree", "point")
AS_IT_IS: Final = "as it is"


class Variant(msgspec.Struct, frozen=True):
    """A server that differs from the others in one thing."""

    name: str
    env: Mapping[str, str] = {}


POOLS: Final = [Variant(f"pool of {size}", {"DATABASE_POOL": str(size)}) for size in (4, 8, 16, 24)]
CACHES: Final = [Variant(f"{size} statements kept", {"VARIED_CACHE": str(size)}) for size in (0, 50, 500)]
COLLECTORS: Final = [
    Variant("collector at 700", {"VARIED_COLLECTION": "700"}),
    Variant("collector at 50,000", {"VARIED_COLLECTION": "50000"}),
    Variant("collector off", {"VARIED_COLLECTION": "0"}),
]
GROUPS: Final = {"pool": POOLS, "cache": CACHES, "collector": COLLECTORS}


async def compared(targets: list[Target], in_flight: int) -> dict[str, list[Round]]:
    """The rounds of all of them, each begun by another."""
    rounds: dict[str, list[Round]] = {each.name: [] for each in targets}
    for number in range(ROUNDS):
        for target in targets[number % len(targets) :] + targets[: number % len(targets)]:
            rounds[target.name].append(await measure(target, in_flight=in_flight, seconds=SECONDS))
    return rounds


def ratio(rounds: list[Round], base: list[Round], name: str) -> float:
    """How a figure compares with another server's of the same round, in the middle."""
    return median(
        float(getattr(each, name)) / float(getattr(other, name)) for each, other in zip(rounds, base, strict=True)
    )


def report(query: str, in_flight: int, found: Mapping[str, list[Round]]) -> None:
    """A line for each server: its figures, and beside them how they compare with the server as it is."""
    for name, rounds in found.items():
        figures = middle(rounds)
        compared_with = [ratio(rounds, found[AS_IT_IS], each) for each in ("rate", "p99", "cpu")]
        print(  # noqa: T201 - the benchmark's answer
            f"{query:<6} {in_flight:>9}  {name:<20} {figures.rate:>7.0f} {compared_with[0]:>6.2f} "
            f"{figures.p99:>8.1f} {compared_with[1]:>6.2f} {figures.cpu:>8.2f} {compared_with[2]:>6.2f}"
        )


def served(stack: ExitStack, variants: list[Variant], env: Mapping[str, str]) -> Iterator[tuple[str, int, str]]:
    """A server of each kind: its name, its process, and where it listens."""
    for each in variants:
        process = stack.enter_context(running("tests.benchmarks.varied", env={**env, **each.env}))
        yield each.name, process.pid, address_of(process)


def asked(url: str) -> tuple[str, str]:
    """An admin's token, and the id of a client."""
    signed_in: Any = ask(url, SIGN_IN, {}, email="admin@steward.example", password=DEMO_PASSWORD)
    token = signed_in["signIn"]["session"]["accessToken"]
    first = ask(url, "{ clients(first: 1) { nodes { id } } }", {"authorization": f"Bearer {token}"})
    return token, first["clients"]["nodes"][0]["id"]


def compare(variants: list[Variant], env: Mapping[str, str]) -> None:
    """Start servers, and measure them side by side."""
    with ExitStack() as stack:
        servers = list(served(stack, [Variant(AS_IT_IS), *variants], env))
        token, client_id = asked(servers[0][2])
        for query in ASKED:
            body = {"query": QUERIES[query], "variables": {"id": client_id} if query == "point" else {}}
            headers = {"authorization": f"Bearer {token}"}
            targets = [Target(name, pid, url, headers, body) for name, pid, url in servers]
            for in_flight in IN_FLIGHT:
                report(query, in_flight, asyncio.run(compared(targets, in_flight)))


def main(clients: int) -> None:
    """Make a firm, and compare one group after the other."""
    state = Path(tempfile.mkdtemp(prefix="steward-bench-"))
    env = {"STATE_DIRECTORY": str(state), "PORT": "0", "JOBS": "apart", "LOG_LEVEL": "warning", **GENEROUS}
    heading = ("query", "in flight", "server", "req/s", "", "p99 ms", "", "cpu ms", "")
    with EmbeddedServer.start(state) as database:
        made = [sys.executable, "-m", "graph.cli", "demo", "--clients", str(clients)]
        subprocess.run(made, cwd=ROOT, env=os.environ | env, check=True, stdout=subprocess.DEVNULL)
        print("{:<6} {:>9}  {:<20} {:>7} {:>6} {:>8} {:>6} {:>8} {:>6}".format(*heading))  # noqa: T201 - as above
        for variants in GROUPS.values():
            compare(variants, env)
    shutil.rmtree(database.home, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
