"""Measuring a server process under a load: its CPU a request beside requests a second, and PostgreSQL's."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import msgspec

from tests.benchmarks import machine
from tests.benchmarks.load import load


class Server(msgspec.Struct, frozen=True):
    """A process that serves on a port of loopback."""

    name: str
    pid: int
    port: int


class Target(msgspec.Struct, frozen=True):
    """A server as it is asked for one of the answers; `check` raises LoadError for an answer that is none."""

    server: Server
    requests: Iterator[bytes]
    check: Callable[[bytes], object]


class Round(msgspec.Struct, frozen=True):
    """One round: requests a second, milliseconds of latency, of server CPU and PostgreSQL CPU a request, megabytes.

    What the machine does not tell is not there.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    cpu: float | None
    database: float | None
    memory: float | None


def _at(sorted_: Sequence[float], share: float) -> float:
    """A percentile, in milliseconds."""
    return sorted_[min(int(len(sorted_) * share), len(sorted_) - 1)] * 1000


async def measure(target: Target, postmaster: int | None, *, in_flight: int, seconds: float) -> Round:
    """Ask for some seconds, with so many requests in flight, once the server has warmed up. Raises LoadError."""
    server = target.server
    await load(server.port, target.requests, in_flight=in_flight, seconds=seconds / 4)
    machine.forget_peak(server.pid)
    backends, before = machine.of_children(postmaster), machine.cpu_seconds(server.pid)
    answered = await load(server.port, target.requests, in_flight=in_flight, seconds=seconds)
    after, worked = machine.cpu_seconds(server.pid), machine.of_children(postmaster)
    for body in answered.last:
        target.check(body)
    requests = len(answered.latencies)
    spent = sum(used - backends.get(pid, 0.0) for pid, used in worked.items())
    return Round(
        rate=requests / answered.took,
        p50=_at(answered.latencies, 0.5),
        p95=_at(answered.latencies, 0.95),
        p99=_at(answered.latencies, 0.99),
        cpu=None if before is None or after is None else (after - before) * 1000 / requests,
        database=spent * 1000 / requests if worked else None,
        memory=machine.peak(server.pid),
    )


def middle(rounds: Sequence[Round]) -> Round:
    """The medians of some rounds."""
    taken = ([getattr(each, name) for each in rounds] for name in Round.__struct_fields__)
    return Round(*(None if None in values else median(values) for values in taken))  # type: ignore[arg-type] # as above


def ratio(rounds: Sequence[Round], base: Sequence[Round], name: str) -> float | None:
    """How a figure compares with another server's of the same round, in the middle; none where it is not told.

    What else the machine does changes by the minute, and meets who measures at the same time alike.
    """
    pairs = [(getattr(each, name), getattr(other, name)) for each, other in zip(rounds, base, strict=True)]
    return median(one / other for one, other in pairs) if all(one and other for one, other in pairs) else None
