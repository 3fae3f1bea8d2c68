"""`python -m tests.benchmarks.policies [CLIENTS]`: what row-level security costs the benchmark's queries.

First the very statements that the queries run, with their values, as the application role under the policies and as
the owner of the tables past them, in interleaved rounds of one run: the time from asking to the last row, and
PostgreSQL's own CPU; the plans should be the same but for the policies' filters. Then the whole queries, asked of two
applications in this process, of which one is lent connections of the owner's.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
import httpx
import msgspec
import pytest
from asyncpg import Connection, Record

from domain.access import Viewer
from graph.app import make_app, open_services
from graph.context import Services
from graph.demo_firm import DEMO_PASSWORD
from graph.settings import ROOT, Environment, Settings
from persistence import database
from persistence.database import APPLICATION, LEND, OWNER, Lent, driver_arguments, words_for
from persistence.embedded import EmbeddedServer
from persistence.identity import Identities
from tests.benchmarks.queries import QUERIES
from tests.support.gql import Gql
from tests.support.probing import GENEROUS

ROUNDS: Final = 30
PARAMETER: Final = re.compile(r"\$([0-9]+)")
SECONDS: Final = 0.1
VIEWERS: Final = {"admin": "admin", "manager": "sanjay.kulkarni", "advisor": "asha.mehta"}
SIGN_IN: Final = """mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken } }
}"""
# The steps of a plan; what the policies add to it are filters and their subplans.
STEP: Final = re.compile(
    r"^\s*(?:-> )?\s*((?:Index|Seq|Bitmap|Sort|Limit|Nested|Hash|Merge|Aggregate|Unique|Append)[^:(]*)"
)
# As PostgreSQL chooses for a prepared statement, and with its plan made once, so that planning is not measured.
MODES: Final = ("auto", "force_generic_plan")


class Asked(msgspec.Struct, frozen=True):
    """A statement with its values, as the driver takes them."""

    text: str
    values: tuple[Any, ...]


class Capture:
    """Remembers the statements that are run as a viewer, without what tells the viewer."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def fetched(self, connection: Any, text: str, arguments: Sequence[Any], shown: str) -> Sequence[Record]:
        """As `Lent.fetched`."""
        if not any(name in shown for name in ("viewer_of", "note_use", "enter_as")):
            own = max((int(number) for number in PARAMETER.findall(shown)), default=0)
            self.asked.append(Asked(shown, tuple(arguments[:own])))
        found: Sequence[Record] = await connection.fetch(text, *arguments)
        return found


async def statements(gql: Gql, query: str, variables: Mapping[str, Any]) -> list[Asked]:
    """What a query asks the database."""
    capture, kept = Capture(), Lent.fetched

    async def fetched(_: Lent, *asked: Any) -> Sequence[Record]:
        return await capture.fetched(*asked)

    Lent.fetched = fetched  # type: ignore[method-assign, assignment] # only while one query runs
    try:
        await gql.run(query, **variables)
    finally:
        Lent.fetched = kept  # type: ignore[method-assign]
    return capture.asked


def on_cpu(pid: int) -> float:
    """For how many milliseconds a process was running so far; to the nanosecond, unlike its ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e6


class Side:
    """One role on one connection, and what it took."""

    def __init__(self, connection: "Connection[Record]") -> None:
        self.connection = connection
        self.elapsed: list[float] = []
        self.cpu: list[float] = []

    async def measure(self, asked: Sequence[Asked]) -> None:
        """Run the statements for a while; notes milliseconds for each run of all of them."""
        pid = self.connection.get_server_pid()
        before, started, runs = on_cpu(pid), time.perf_counter(), 0
        while time.perf_counter() - started < SECONDS:
            for each in asked:
                await self.connection.fetch(each.text, *each.values)
            runs += 1
        self.elapsed.append((time.perf_counter() - started) * 1000 / runs)
        self.cpu.append((on_cpu(pid) - before) / runs)

    async def plans(self, asked: Sequence[Asked]) -> list[str]:
        """The steps by which PostgreSQL runs the statements."""
        lines: list[str] = []
        for each in asked:
            rows = await self.connection.fetch(f"explain (costs off) {each.text}", *each.values)
            lines += [found[1].strip() for row in rows if ":" not in row[0] and (found := STEP.match(row[0]))]
        return lines


async def sides(stack: AsyncExitStack, url: str, viewer: Viewer, mode: str) -> tuple[Side, Side]:
    """The application under the policies, told who asks, and the owner past them."""
    opened = []
    for role in (APPLICATION, OWNER):
        told = {"role": role, "plan_cache_mode": mode}
        connection = await asyncpg.connect(**driver_arguments(url), server_settings=told)
        stack.push_async_callback(connection.close)
        await connection.fetchrow(LEND, *words_for(viewer))
        opened.append(Side(connection))
    return opened[0], opened[1]


class Result(msgspec.Struct, frozen=True):
    """Milliseconds under the policies and past them, by how much more that is by the clock and by PostgreSQL's CPU."""

    under: float
    past: float
    elapsed: float
    cpu: float
    same: bool


def more(under: Sequence[float], past: Sequence[float]) -> float:
    """By which part the rounds of one took longer than those of the other."""
    return median(a / b for a, b in zip(under, past, strict=True)) - 1


async def compared(url: str, viewer: Viewer, asked: Sequence[Asked], mode: str) -> Result:
    """Both sides in interleaved rounds."""
    async with AsyncExitStack() as stack:
        under, past = await sides(stack, url, viewer, mode)
        same = await under.plans(asked) == await past.plans(asked)
        for at in range(ROUNDS):
            for side in (under, past) if at % 2 else (past, under):
                await side.measure(asked)
    elapsed, cpu = more(under.elapsed, past.elapsed), more(under.cpu, past.cpu)
    return Result(median(under.elapsed), median(past.elapsed), elapsed, cpu, same)


def report(name: str, who: str, number: int, results: Sequence[Result]) -> None:
    """One line of the first table."""
    columns = [
        f"{each.under:>8.3f} {each.past:>8.3f} {each.elapsed:>8.1%} {each.cpu:>8.1%} "
        f"{'same' if each.same else 'differ':>7}"
        for each in results
    ]
    print(f"{name:<6} {who:<8} {number:>10}", *columns)  # noqa: T201 - the benchmark's answer


async def signed_in(gql: Gql, services: Services, address: str) -> tuple[Gql, Viewer]:
    """Somebody of the demo firm."""
    email = f"{address}@steward.example"
    answer = await gql.run(SIGN_IN, email=email, password=DEMO_PASSWORD)
    token = answer["signIn"]["session"]["accessToken"]
    claims = services.tokens.read(token, datetime.now(UTC))
    viewer = await services.doors.read(None, Identities.viewer, claims.session_id, datetime.now(UTC))
    return Gql(gql.client, services, token), viewer


@asynccontextmanager
async def application(settings: Settings, url: str, home: Path, role: str) -> AsyncIterator[tuple[Gql, Services]]:
    """The application in this process, whose connections act as a role."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "APPLICATION", role)
        async with open_services(settings, url, home) as services:
            transport = httpx.ASGITransport(make_app(settings, services))
            async with httpx.AsyncClient(transport=transport, base_url="http://steward.test", timeout=60) as client:
                yield Gql(client, services), services


class Case(msgspec.Struct, frozen=True):
    """A query as somebody asks it."""

    name: str
    who: str
    query: str
    variables: Mapping[str, Any]
    gql: Gql
    viewer: Viewer


async def cases(gql: Gql, services: Services) -> list[Case]:
    """Every query as every viewer."""
    found = []
    for who, address in VIEWERS.items():
        mine, viewer = await signed_in(gql, services, address)
        first = (await mine.run("{ clients(first: 1) { nodes { id } } }"))["clients"]["nodes"][0]
        for name, query in QUERIES.items():
            found.append(Case(name, who, query, {"id": first["id"]} if name == "point" else {}, mine, viewer))
    return found


async def run(settings: Settings, url: str, home: Path) -> None:
    """Measure the statements of every query, and every query as a whole."""
    async with (
        application(settings, url, home, APPLICATION) as (under, services),
        application(settings, url, home, OWNER) as (past, others),
    ):
        asked = await cases(under, services)
        print("The statements under the policies and past them: as PostgreSQL plans them, and with plans made once.")  # noqa: T201 - as above
        heading = ("with, ms", "past, ms", "elapsed", "CPU", "plans")
        print("query  as       statements", *[" {:>7} {:>8} {:>8} {:>8} {:>7}".format(*heading)] * len(MODES))  # noqa: T201 - as above
        for case in asked:
            told = await statements(case.gql, case.query, case.variables)
            results = [await compared(url, case.viewer, told, mode) for mode in MODES]
            report(case.name, case.who, len(told), results)
        print("The whole queries, one at a time.\nquery  as       with, ms  past, ms   elapsed")  # noqa: T201 - as above
        for case, other in zip(asked, await cases(past, others), strict=True):
            await whole(case, other)


async def whole(case: Case, other: Case) -> None:
    """Measure a query of both applications, and say what came of it."""
    took: tuple[list[float], list[float]] = ([], [])
    for at in range(ROUNDS):
        for side in (0, 1) if at % 2 else (1, 0):
            asking, started, runs = (case, other)[side], time.perf_counter(), 0
            while time.perf_counter() - started < SECONDS:
                await asking.gql.run(asking.query, **asking.variables)
                runs += 1
            took[side].append((time.perf_counter() - started) * 1000 / runs)
    line = f"{case.name:<6} {case.who:<8} {median(took[0]):>8.2f} {median(took[1]):>9.2f} {more(*took):>9.1%}"
    print(line)  # noqa: T201 - as above


async def settled(url: str) -> None:
    """Have PostgreSQL know what there is, before it plans anything."""
    connection = await asyncpg.connect(**driver_arguments(url))
    await connection.execute("vacuum analyze")
    await connection.close()


def main(clients: int) -> None:
    """Make a firm on a database of its own, and measure."""
    state = Path(tempfile.mkdtemp(prefix="steward-policies-"))
    env = os.environ | {"STATE_DIRECTORY": str(state)}
    with EmbeddedServer.start(state) as server:
        command = [sys.executable, "-m", "graph.cli", "demo", "--clients", str(clients)]
        subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
        # What is measured is the database, and not how many requests a minute are answered.
        os.environ.update(GENEROUS)
        settings = Settings(environment=Environment.DEVELOPMENT, state_directory=state)
        asyncio.run(settled(server.url()))
        asyncio.run(run(settings, server.url(), Path(server.home)))
    shutil.rmtree(server.home, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
