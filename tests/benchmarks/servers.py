"""The processes that are measured: each on the core that is theirs, with a log of its own."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from graph.settings import ROOT
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from tests.benchmarks import firm, machine, node
from tests.benchmarks.measured import Server
from tests.support.probing import GENEROUS, SECRETS

STARTING: Final = 60.0  # seconds
# As in production, where what is done in the background is done by another process, and for longer than a run takes.
OWN: Final[Mapping[str, str]] = {
    **GENEROUS,
    **SECRETS,
    "ENVIRONMENT": "production",
    "JOBS": "apart",
    "ACCESS_MINUTES": "1440",
}


class Firm(msgspec.Struct, frozen=True):
    """The database with the firm, and with what settings our processes find it."""

    url: str
    home: Path
    environment: dict[str, str]

    @property
    def dsn(self) -> dict[str, str]:
        """Where other programs' drivers find the database, as the owner of all."""
        told = driver_arguments(self.url)
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "database": "PGDATABASE"}
        return {names[name]: str(told[name]) for name in names}

    async def postmaster(self) -> int | None:
        """The process that all of PostgreSQL's are children of; none where the machine does not tell."""
        connection = await asyncpg.connect(**driver_arguments(self.url))
        try:
            return machine.parent_of(await connection.fetchval("select pg_backend_pid()"))
        finally:
            await connection.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Processes:
    """Starts servers, which end with the block that this was made for."""

    def __init__(self, stack: ExitStack, firm_: Firm, core: set[int] | None, logs: Path) -> None:
        self._stack = stack
        self._firm = firm_
        self._core = core
        self._logs = logs

    def python(self, name: str, *arguments: str) -> Server:
        """A module of the project's, that finds the port it is to serve at in PORT, or among its arguments."""
        return self._start(name, free_port(), [sys.executable, "-m", *arguments])

    def node(self, name: str, program: str) -> Server:
        """A program of the rivals on Node."""
        return self._start(name, free_port(), ["node", str(node.HOME / program)])

    def _start(self, name: str, port: int, command: Sequence[str]) -> Server:
        told = {"PORT": str(port), "DATABASE": self._firm.url, **self._firm.dsn}
        log = self._logs / f"{name}.log"
        with log.open("wb") as file, machine.on(self._core):
            process = subprocess.Popen(
                [part.replace("PORT", str(port)) for part in command],
                cwd=ROOT,
                env=os.environ | self._firm.environment | told,
                stdout=file,
                stderr=file,
            )
        self._stack.callback(end, process)
        if not listens(process, port):
            raise RuntimeError(f"It did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
        return Server(name, process.pid, port)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Have a process end, one way or the other."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until a process listens on a port of loopback; false if it ends before, or takes too long."""
    until = time.monotonic() + STARTING
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


@contextmanager
def made(sizes: firm.Sizes) -> Iterator[Firm]:
    """A database with the firm, in a place of its own, until the end of the block."""
    state = Path(tempfile.mkdtemp(prefix="steward-bench-"))
    environment = {**OWN, "STATE_DIRECTORY": str(state)}
    home = None
    try:
        with EmbeddedServer.start(state) as database:
            home = database.home
            demo = [sys.executable, "-m", "graph.cli", "demo", "--yes", "--clients", str(firm.DEMO_CLIENTS)]
            subprocess.run(demo, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
            firm.run(database.url(), sizes, SECRETS["FIELD_KEY"])
            yield Firm(database.url(), home, environment)
            database.close(wait=True)
    finally:
        for place in (home, state):
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
