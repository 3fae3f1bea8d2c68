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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = {"PATH", "HOME", "LANG", "TMPDIR"}


class Steward:
    """`steward` in a state directory of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.running: list[subprocess.Popen[str]] = []
        self.logs: dict[int, Path] = {}

    def environment(self, **more: str) -> dict[str, str]:
        """The settings: no demo firm, any free port, and what is given."""
        kept = {name: value for name, value in os.environ.items() if name in KEPT}
        return kept | {"STATE_DIRECTORY": str(self.state), "PORT": "0", "DEMO": "false"} | more

    def run(self, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "graph.cli", *arguments],
            cwd=ROOT,
            env=self.environment(**more),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def serve(self, **more: str) -> tuple["subprocess.Popen[str]", str]:
        """Start a server; gives it and its address, once it says that it serves.

        It writes to a file: a pipe that nobody reads would stop it when it is full.
        """
        self.state.parent.mkdir(parents=True, exist_ok=True)
        log = self.state.parent / f"served-{len(self.running)}.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "graph.cli", "serve"],
                cwd=ROOT,
                env=self.environment(**more),
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.running.append(process)
        self.logs[process.pid] = log
        while not (found := re.search(r"serving at (https?://\S+)/graphql", self.printed(process))):
            if process.poll() is not None:
                raise AssertionError(self.printed(process))
            time.sleep(0.05)
        return process, found[1]

    def printed(self, server: "subprocess.Popen[str]") -> str:
        """What a server has written by now."""
        return self.logs[server.pid].read_text()

    def postgres(self) -> list[str]:
        """The command lines of this state directory's PostgreSQL, if it runs."""
        cluster = (self.state / "cluster").resolve()
        listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if str(cluster) in line and "postgres" in line]

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
            if process.stdout:
                process.stdout.close()
        assert self.gone()
        shutil.rmtree((self.state / "cluster").resolve().parent, ignore_errors=True)


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
