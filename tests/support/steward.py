"""The `steward` command as its users run it: processes, signals, sockets and files."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from graph.settings import ROOT
from persistence.embedded.places import Places
from tests.support.forking import Forked, origin
from tests.support.memory import place_for

Process = Forked | subprocess.Popen[str]
KEPT = {"HOME", "LANG", "TMPDIR"}
KEYS = ("field-key", "jwt-secret")


class Steward:
    """`steward` in a state directory of its own, which begins with nothing, or as another's is that is at rest.

    Its processes are forked from one that knows all modules; `anew` they are begun as a shell does it.
    """

    def __init__(self, state: Path, like: "Steward | None" = None, *, anew: bool = False) -> None:
        self.state = state
        self.anew = anew
        self.running: list[Process] = []
        self.logs: dict[int, Path] = {}
        if like:
            self._copy(like)

    def _copy(self, other: "Steward") -> None:
        """Begin with another's database, in memory where there is room, and its keys."""
        assert other.gone()
        places, model = Places.of(self.state), Places.of(other.state)
        memory = place_for(places.runner.uid, places.runner.gid)
        if memory:
            places.cluster.symlink_to(memory / "cluster")
        # With the owners, who are not always ourselves.
        target = memory / "cluster" if memory else places.cluster
        subprocess.run(["cp", "-Rp", model.cluster.resolve(), target], check=True)
        for key in (model.home / name for name in KEYS):
            if key.exists():
                shutil.copy2(key, places.home)

    def environment(self, **more: str) -> dict[str, str]:
        """The settings: no demo firm, any free port, and what is given."""
        kept = {name: value for name, value in os.environ.items() if name in KEPT}
        own = {"STATE_DIRECTORY": str(self.state), "PORT": "0", "DEMO": "false", "PATH": str(self._programs())}
        return kept | own | more

    def _programs(self) -> Path:
        """Where those programs are that a server needs: if it found npm, it would bundle GraphiQL beside each test."""
        path = self.state.parent / "bin"
        path.mkdir(parents=True, exist_ok=True)
        shown = path / "ps"
        if not shown.exists():
            shown.symlink_to(str(shutil.which("ps")))
        return path

    def run(self, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with TemporaryFile("w+") as given, TemporaryFile("w+") as said, TemporaryFile("w+") as complained:
            given.write(stdin)
            given.seek(0)
            process = self._begun(arguments, self.environment(**more), given, said, complained)
            try:
                code = process.wait(180)
            finally:
                process.kill()
                process.wait()
            for file in (said, complained):
                file.seek(0)
            return subprocess.CompletedProcess(arguments, code, said.read(), complained.read())

    def serve(self, **more: str) -> tuple["Process", str]:
        """Start a server; gives it and its address, once it says that it serves."""
        return self.begin(r"serving at (https?://\S+)/graphql", "serve", **more)

    def begin(self, sign: str, *arguments: str, **more: str) -> tuple["Process", str]:
        """Start a command that goes on; gives it and what it says, once it says what the sign looks for.

        It writes to a file: a pipe that nobody reads would stop it when it is full.
        """
        self.state.parent.mkdir(parents=True, exist_ok=True)
        log = self.state.parent / f"served-{len(self.running)}.log"
        with log.open("w") as stream, Path(os.devnull).open() as nothing:
            process = self._begun(arguments, self.environment(**more), nothing, stream, stream)
        self.running.append(process)
        self.logs[process.pid] = log
        while not (found := re.search(sign, self.printed(process))):
            if process.poll() is not None:
                raise AssertionError(self.printed(process))
            time.sleep(0.05)
        return process, found[found.re.groups]

    def _begun(self, arguments: Sequence[str], environment: Mapping[str, str], *files: IO[str]) -> "Process":
        if not self.anew:
            return origin().start(arguments, environment, *files)
        stdin, stdout, stderr = files
        return subprocess.Popen(
            [sys.executable, "-m", "graph.cli", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def printed(self, server: "Process") -> str:
        """What a server has written by now."""
        return self.logs[server.pid].read_text()

    def postgres(self) -> list[str]:
        """The command lines of this state directory's PostgreSQL, if it runs."""
        cluster = str(self._cluster())
        listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if cluster in line and "postgres" in line]

    def _cluster(self) -> Path:
        """Where PostgreSQL is told that its data lie; root's lie elsewhere than the state."""
        cluster = self.state / "cluster"
        home = cluster.readlink().parent if os.geteuid() == 0 and cluster.is_symlink() else self.state.resolve()
        return home / "cluster"

    def gone(self, seconds: float = 15) -> bool:
        """Whether PostgreSQL ends within some seconds."""
        until = time.monotonic() + seconds
        while self.postgres() and time.monotonic() < until:
            time.sleep(0.1)
        return not self.postgres()

    def end(self) -> None:
        """Kill what still runs, see the database end, and remove its data."""
        for process in self.running:
            process.kill()
            process.wait()
        assert self.gone()
        cluster = self._cluster()
        for place in (cluster.resolve().parent, cluster.parent):
            shutil.rmtree(place, ignore_errors=True)


def ask(address: str, query: str, token: str = "", **variables: Any) -> Any:
    """The body of an answer, an error's too."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)


def sign_in(address: str, email: str, password: str) -> str:
    """An access token."""
    query = """mutation ($email: String!, $password: String!) {
        signIn(input: {email: $email, password: $password}) { session { accessToken } }
    }"""
    answer = ask(address, query, email=email, password=password)
    return str(answer["data"]["signIn"]["session"]["accessToken"])
