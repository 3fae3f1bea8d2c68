"""`python -m tests.benchmarks.settings [CLIENTS]`: what pool, driver's cache and collector cost.

Servers of the same firm that differ in one thing are asked the same in interleaved rounds of one run, so that the
machine's moods are shared; ratios are to the server as it is. What is no setting is put in its place by
`tests.benchmarks.varied`, which starts the server.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import uvloop

from tests.benchmarks import machine, servers
from tests.benchmarks.firm import Sizes
from tests.benchmarks.measured import Round, Server, Target, measure, middle, ratio
from tests.benchmarks.workloads import STEWARD, known, target

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


async def compared(targets: Mapping[str, Target], in_flight: int) -> dict[str, list[Round]]:
    """The rounds of all of them, each begun by another."""
    rounds: dict[str, list[Round]] = {name: [] for name in targets}
    names = list(targets)
    for number in range(ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            rounds[name].append(await measure(targets[name], None, in_flight=in_flight, seconds=SECONDS))
    return rounds


def said(value: float | None, form: str) -> str:
    """A figure of the table."""
    return "-" if value is None else format(value, form)


def report(query: str, in_flight: int, found: Mapping[str, list[Round]]) -> None:
    """A line for each server: its figures, and beside them how they compare with the server as it is."""
    for name, rounds in found.items():
        figures = middle(rounds)
        rate, p99, cpu = (said(ratio(rounds, found[AS_IT_IS], each), ".2f") for each in ("rate", "p99", "cpu"))
        print(  # noqa: T201 - the benchmark's answer
            f"{query:<6} {in_flight:>9}  {name:<20} {figures.rate:>7.0f} {rate:>6} {figures.p99:>8.1f} {p99:>6} "
            f"{said(figures.cpu, '.2f'):>8} {cpu:>6}",
            flush=True,
        )


async def compare(variants: list[Variant], start: "Start") -> None:
    """Start servers, and measure them side by side."""
    with ExitStack() as stack:
        started = {each.name: start(stack, each) for each in (Variant(AS_IT_IS), *variants)}
        known_ = await known(started[AS_IT_IS])
        for query in ASKED:
            targets = {name: target(query, server, known_) for name, server in started.items()}
            for in_flight in IN_FLIGHT:
                report(query, in_flight, await compared(targets, in_flight))


class Start:
    """Starts servers on the firm, each with what it differs in."""

    def __init__(self, firm: servers.Firm, core: set[int] | None, logs: Path) -> None:
        self._firm = firm
        self._core = core
        self._logs = logs

    def __call__(self, stack: ExitStack, variant: Variant) -> Server:
        """One of them, until the end of the block that the stack is of."""
        firm = msgspec.structs.replace(self._firm, environment={**self._firm.environment, **variant.env})
        processes = servers.Processes(stack, firm, self._core, self._logs)
        return processes.python(STEWARD, "tests.benchmarks.varied")


def main(clients: int) -> None:
    """Make a firm, and compare one group after the other."""
    own, others = machine.cores() or (None, None)
    heading = ("query", "in flight", "server", "req/s", "", "p99 ms", "", "cpu ms", "")
    with machine.on(others), servers.made(Sizes(clients=clients)) as firm, TemporaryDirectory() as logs:
        print("{:<6} {:>9}  {:<20} {:>7} {:>6} {:>8} {:>6} {:>8} {:>6}".format(*heading))  # noqa: T201 - as above
        for variants in GROUPS.values():
            uvloop.run(compare(variants, Start(firm, own, Path(logs))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
