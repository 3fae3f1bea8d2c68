"""Measuring a server process: its CPU per request beside requests per second."""

import asyncio
import os
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import msgspec

TICKS: Final = os.sysconf("SC_CLK_TCK")


class Target(msgspec.Struct, frozen=True):
    """A server, and how it is asked for one of the answers."""

    name: str
    pid: int
    url: str
    headers: dict[str, str]
    body: dict[str, Any]


class Round(msgspec.Struct, frozen=True):
    """One round: server CPU in milliseconds a request, requests a second, and latencies in milliseconds."""

    cpu: float
    rate: float
    p50: float
    p99: float


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def measure(target: Target, *, in_flight: int, seconds: float) -> Round:
    """Ask for some seconds, with so many requests in flight."""
    latencies: list[float] = []
    limits = httpx.Limits(max_connections=in_flight)
    async with httpx.AsyncClient(headers=target.headers, limits=limits, timeout=30) as client:
        before, started = cpu_seconds(target.pid), time.perf_counter()

        async def ask() -> None:
            while time.perf_counter() - started < seconds:
                sent = time.perf_counter()
                (await client.post(target.url, json=target.body)).raise_for_status()
                latencies.append(time.perf_counter() - sent)

        await asyncio.gather(*(ask() for _ in range(in_flight)))
        used, took = cpu_seconds(target.pid) - before, time.perf_counter() - started
    latencies.sort()
    return Round(
        cpu=used * 1000 / len(latencies),
        rate=len(latencies) / took,
        p50=latencies[len(latencies) // 2] * 1000,
        p99=latencies[int(len(latencies) * 0.99)] * 1000,
    )


def middle(rounds: list[Round]) -> Round:
    """The medians of some rounds."""
    return Round(*(median(getattr(each, name) for each in rounds) for name in Round.__struct_fields__))
