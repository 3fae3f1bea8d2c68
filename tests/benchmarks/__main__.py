"""`python -m tests.benchmarks [WORKLOAD …]`: the server beside a floor and beside others, in one run.

Everybody answers from the same tables of one firm, on the same core, in interleaved rounds, and equal answers are
checked first. Load generator and PostgreSQL have the other cores.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop

from tests.benchmarks import machine, node, servers
from tests.benchmarks.claims import CLAIMS, IN_FLIGHT
from tests.benchmarks.firm import Sizes
from tests.benchmarks.load import ask
from tests.benchmarks.measured import Round, Server, Target, measure, middle
from tests.benchmarks.workloads import (
    BARE,
    FLOOR,
    MERCURIUS,
    ORM,
    PLACERS,
    POSTGRAPHILE,
    READERS,
    STEWARD,
    STOCK,
    TITLES,
    TUNED,
    Known,
    known,
    same,
    target,
)

CONCURRENCY: Final = (1, IN_FLIGHT)
HEADING: Final = (
    f"{'':<25} {'in flight':>9} {'req/s':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'CPU ms':>8} {'PG ms':>8} "
    f"{'peak MB':>8}"
)


def say(text: str) -> None:
    """A line of the benchmark's answer."""
    print(text, flush=True)  # noqa: T201 - it is what the benchmark is run for


def line(name: str, in_flight: int, found: Round) -> str:
    """A line of the table."""
    latencies = f"{found.p50:>8.2f} {found.p95:>8.2f} {found.p99:>8.2f}"
    told = [f"{'-':>8}" if value is None else f"{value:>8.3f}" for value in (found.cpu, found.database)]
    memory = f"{'-':>8}" if found.memory is None else f"{found.memory:>8.0f}"
    return f"{name:<25} {in_flight:>9} {found.rate:>8.0f} {latencies} {' '.join(told)} {memory}"


async def check(workload: str, targets: Sequence[Target]) -> None:
    """All must answer the same before any is measured."""
    answers = {each.server.name: each.check(await ask(each.server.port, next(each.requests))) for each in targets}
    for name, theirs in answers.items():
        if not same(workload, answers[STEWARD], theirs, name):
            raise RuntimeError(f"{workload}: Steward and {name} answer differently")


class Bench:
    """The servers that are measured, and for how long each time."""

    def __init__(self, started: Iterable[Server], postmaster: int | None, *, seconds: float, rounds: int) -> None:
        self._started = {each.name: each for each in started}
        self._postmaster = postmaster
        self._seconds = seconds
        self._rounds = rounds

    async def run(self, workload: str, known_: Known) -> None:
        """Measure one workload, and say what came of it."""
        names = PLACERS if workload == "place" else READERS
        targets = [target(workload, self._started[name], known_) for name in names if name in self._started]
        await check(workload, targets)
        say(f"\n{workload}: {TITLES[workload]}\n{HEADING}")
        found: Mapping[str, Sequence[Round]] = {}
        for in_flight in CONCURRENCY:
            found = await self._interleaved(targets, in_flight)
            for name, rounds in found.items():
                say(line(name, in_flight, middle(rounds)))
        for claim in CLAIMS:
            if claim.workload == workload and (said := claim.said(found)):
                say(f"  Steward to {said}")

    async def _interleaved(self, targets: Sequence[Target], in_flight: int) -> Mapping[str, Sequence[Round]]:
        rounds: dict[str, list[Round]] = {each.server.name: [] for each in targets}
        for number in range(self._rounds):
            # Whoever comes first in one round comes last in the next.
            for each in targets if number % 2 else reversed(targets):
                taken = await measure(each, self._postmaster, in_flight=in_flight, seconds=self._seconds)
                rounds[each.server.name].append(taken)
        return rounds


def start(processes: servers.Processes, firm: servers.Firm, known_: Known, workloads: Sequence[str]) -> list[Server]:
    """The servers that Steward is measured beside."""
    found = [processes.python(STOCK, "tests.benchmarks.stock")]
    if "place" in workloads:
        bare = ("tests.benchmarks.bare", firm.url, str(firm.home), "PORT", known_.advisor)
        found.append(processes.python(BARE, *bare))
    if set(workloads) - {"place"}:
        found.append(processes.python(FLOOR, "tests.benchmarks.floor", firm.url, "PORT", known_.client_id))
        for name, how in {ORM: "as it comes", TUNED: "tuned"}.items():
            found.append(processes.python(name, "tests.benchmarks.rivals.orm", firm.url, "PORT", how))
        found += on_node(processes)
    return found


def on_node(processes: servers.Processes) -> Iterator[Server]:
    """The rivals on Node, as far as they can be had."""
    if reason := node.lacking():
        say(f"Without {MERCURIUS} and {POSTGRAPHILE}: {reason}.")
        return
    say(f"Node {node.version()}.")
    for name, program in {MERCURIUS: "mercurius.js", POSTGRAPHILE: "postgraphile.js"}.items():
        try:
            yield processes.node(name, program)
        except RuntimeError as error:
            say(f"Without {name}: {error}")


async def run(processes: servers.Processes, firm: servers.Firm, options: argparse.Namespace) -> None:
    """Start all servers, and measure each workload."""
    steward = processes.python(STEWARD, "graph.cli", "serve")
    known_ = await known(steward)
    found = [steward, *start(processes, firm, known_, options.workloads)]
    bench = Bench(found, await firm.postmaster(), seconds=options.seconds, rounds=options.rounds)
    for workload in options.workloads:
        await bench.run(workload, known_)


def wanted() -> argparse.Namespace:
    """What the command line asks for; workloads in the order in which they do not disturb each other."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(TITLES)} (default: all)")
    parser.add_argument("--clients", type=int, default=Sizes().clients, help="of the firm; all else follows from it")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=9, help="of which the medians are told")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(TITLES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    options.workloads = [name for name in TITLES if name in options.workloads or not options.workloads]
    return options


def say_where() -> None:
    """What the machine does not tell, and who runs where."""
    if machine.cores() is None:
        say("There is no core to pin the measured server to: load, server and PostgreSQL take each other's time.")
    if not machine.MEASURES:
        say("There is no /proc: nothing is told of CPU and memory, nor the ratios of them.")


def main() -> None:
    """Make the firm, and measure on it."""
    options, cores = wanted(), machine.cores()
    own, others = cores or (None, None)
    sizes = Sizes(clients=options.clients)
    say_where()
    with machine.on(others), servers.made(sizes) as firm, TemporaryDirectory() as logs, ExitStack() as stack:
        say(f"A firm of {sizes.described}.")
        uvloop.run(run(servers.Processes(stack, firm, own, Path(logs)), firm, options))


if __name__ == "__main__":
    main()
