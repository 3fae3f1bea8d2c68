"""`python -m tests.benchmarks.events [SECONDS]`: events to many sockets, beside bare uvicorn and stock Strawberry.

Each server is one process on one core, the load and PostgreSQL on the other; rounds at each rate are interleaved. Lag
is counted from when an event was due, not from when a late publisher sent it.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from graph.settings import ROOT
from persistence.embedded import EmbeddedServer
from tests.benchmarks import machine
from tests.benchmarks.publishers import CORE
from tests.benchmarks.servers import end, free_port, listens
from tests.benchmarks.sockets import Client, Counted, connect
from tests.benchmarks.workloads import ADMIN, answer, signed_in
from tests.support.probing import SECRETS

SUBSCRIBERS: Final = 500
STREAMS: Final = 100
RATES: Final = (10_000, 30_000, 60_000, 80_000, 100_000)
TOKENS: Final = (20_000, 50_000, 70_000, 90_000, 110_000)
LOGGED: Final = (5_000, 20_000, 40_000, 60_000)
KINDS: Final = ("floor", "steward", "strawberry")
# What is offered beyond that only waits, for minutes.
MOST: Final = {"floor": 100_000, "steward": 200_000, "strawberry": 20_000}
# Not by -m, for the log calls a verb by its module.
START: Final = "import sys; from tests.benchmarks.publishers import main; main(*sys.argv[1:])"
EVENTS: Final = """subscription ($portfolio: ID!) { orderEvents(portfolioId: $portfolio) {
    cursor status version occurredAt order { id status filledQuantity }
} }"""
DELTAS: Final = "subscription ($portfolio: ID!) { orderEvents(portfolioId: $portfolio) { cursor status occurredAt } }"
FOUND: Final = """{ portfolios(first: 100) { nodes { id } } orders(first: 1) {
    nodes { id portfolio { id } }
} }"""


class Round(msgspec.Struct, frozen=True):
    """What came of one rate: events a second, how many of all came, lags in milliseconds, CPU in µs an event."""

    delivered: float
    share: float
    p50: float
    p95: float
    p99: float
    cpu: float

    def line(self, name: str, rate: int) -> str:
        """As a line of the table."""
        return (
            f"{name:<11} {rate:>8,} {self.delivered:>11,.0f} {self.share:>7.1%} {self.p50:>8.1f} {self.p95:>8.1f} "
            f"{self.p99:>8.1f} {self.cpu:>9.1f}"
        )


class Server(msgspec.Struct, frozen=True):
    """A server under load."""

    name: str
    port: int
    pid: int
    token: str = ""
    # Whose changes are appended to the log.
    order: str = ""

    async def measure(self, counted: Counted, *, sockets: int, rate: int, how: str, seconds: float) -> Round:
        """Have it publish for some seconds; `rate` is of events delivered to all sockets together."""
        streams = sockets if how == "tokens" else 1
        each = rate / streams if how == "tokens" else rate / sockets
        counted.clear()
        way = "log" if how == "log" else "live"
        before = machine.cpu_seconds(self.pid) or 0.0
        url = f"http://127.0.0.1:{self.port}/publish?rate={each}&seconds={seconds}&how={way}&order={self.order}"
        async with httpx.AsyncClient(timeout=120) as client:
            began = asyncio.get_running_loop().time()
            expected = int((await client.get(url)).text) * sockets
        await settled(counted, expected)
        took = max(seconds, asyncio.get_running_loop().time() - began)
        lags = sorted(each * 1000 for each in counted.lags) or [0.0]
        return Round(
            delivered=counted.events / took,
            share=counted.events / expected,
            p50=lags[len(lags) // 2],
            p95=lags[int(len(lags) * 0.95)],
            p99=lags[int(len(lags) * 0.99)],
            cpu=((machine.cpu_seconds(self.pid) or 0.0) - before) * 1e6 / max(1, counted.events),
        )


async def settled(counted: Counted, expected: int) -> None:
    """Wait until all has come, or nothing comes any more."""
    seen = -1
    while counted.events < expected and counted.events != seen:
        seen = counted.events
        for _ in range(100):
            if counted.events >= expected:
                return
            await asyncio.sleep(0.02)


async def measured(
    servers: Sequence[Server], asked: list[dict[str, Any]], rates: Sequence[int], *, how: str, seconds: float
) -> None:
    """A table: all servers at rising rates, in turn."""
    print(f"\n{how}: {len(asked)} sockets")  # noqa: T201 - the benchmark's answer, here and below
    counts, opened = {}, {}
    for server in servers:
        # What the first ones take is kept for all.
        leave(await connect(Counted(), server.port, "/graphql", server.token, asked[:50]))
        await asyncio.sleep(1)
        held = machine.resident(server.pid) or 0
        counts[server.name] = Counted()
        opened[server.name] = await connect(counts[server.name], server.port, "/graphql", server.token, asked)
        # Until the last of them has read where its stream stands.
        await asyncio.sleep(2)
        more = (machine.resident(server.pid) or 0) - held
        print(f"{server.name:<11} {more / len(asked):.0f} KiB a socket")  # noqa: T201
    heading = ("server", "offered", "delivered/s", "came", "p50 ms", "p95 ms", "p99 ms", "CPU µs")
    print("{:<11} {:>8} {:>11} {:>7} {:>8} {:>8} {:>8} {:>9}".format(*heading))  # noqa: T201
    for rate in rates:
        for server in (each for each in servers if rate <= MOST[each.name]):
            count = counts[server.name]
            made = await server.measure(count, sockets=len(asked), rate=rate, how=how, seconds=seconds)
            print(made.line(server.name, rate), flush=True)  # noqa: T201
    for clients in opened.values():
        leave(clients)
    await asyncio.sleep(1)


def leave(clients: Sequence[Client]) -> None:
    """Close the sockets."""
    for client in clients:
        client.transport.abort()


@contextmanager
def publisher(kind: str, *more: str, **env: str) -> Iterator[Server]:
    """A server process."""
    port = free_port()
    command = [sys.executable, "-c", START, kind, str(port), *more]
    process: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=ROOT, env=os.environ | env)
    try:
        if not listens(process, port):
            raise RuntimeError(f"{kind} did not start")
        yield Server(kind, port, process.pid)
    finally:
        end(process)


def of_portfolio(document: str, portfolio: str) -> dict[str, Any]:
    """What subscribes to the orders of a portfolio."""
    return {"query": document, "variables": {"portfolio": portfolio}}


def firm(state: Path) -> None:
    """Load the demo firm."""
    subprocess.run(
        [sys.executable, "-m", "graph.cli", "demo", "--clients", "60", "--yes"],
        cwd=ROOT,
        env=os.environ | {"STATE_DIRECTORY": str(state), **SECRETS},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main(seconds: float) -> None:
    """Make a firm, start the servers, and measure."""
    cores = os.sched_getaffinity(0)
    # PostgreSQL, which is started by this process, and the load share what the servers leave.
    os.sched_setaffinity(0, cores - {CORE} or cores)
    state = Path(tempfile.mkdtemp(prefix="steward-events-"))
    with ExitStack() as stack:
        database = stack.enter_context(EmbeddedServer.start(state))
        stack.callback(shutil.rmtree, state, ignore_errors=True)
        firm(state)
        server, portfolios = stack.enter_context(opened(database))
        others = [stack.enter_context(publisher(kind)) for kind in KINDS if kind != "steward"]
        servers = sorted([server, *others], key=lambda each: KINDS.index(each.name))
        asyncio.run(run(servers, portfolios, seconds))
    shutil.rmtree(database.home, ignore_errors=True)


@contextmanager
def opened(database: EmbeddedServer) -> Iterator[tuple[Server, list[str]]]:
    """Steward, signed in to, with the ids of some portfolios, the first of which has an order."""
    with publisher("steward", database.url(), str(database.home)) as server:
        token, found = asyncio.run(known(server.port))
        order = found["orders"]["nodes"][0]
        yield (
            msgspec.structs.replace(server, token=token, order=f"{order['portfolio']['id']}/{order['id']}"),
            [each["id"] for each in found["portfolios"]["nodes"]],
        )


async def known(port: int) -> tuple[str, Any]:
    """An admin's token, and what there is in the firm."""
    token = await signed_in(port, ADMIN)
    return token, await answer(port, token, FOUND)


async def run(servers: Sequence[Server], portfolios: list[str], seconds: float) -> None:
    """All tables."""
    steward = [each for each in servers if each.name == "steward"]
    fan = [of_portfolio(EVENTS, steward[0].order.partition("/")[0])] * SUBSCRIBERS
    await measured(servers, fan, RATES, how="events", seconds=seconds)
    await measured(
        servers, [of_portfolio(DELTAS, each) for each in portfolios[:STREAMS]], TOKENS, how="tokens", seconds=seconds
    )
    await measured(steward, fan, LOGGED, how="log", seconds=seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
