"""Builds the typed clients and runs them against a server of their own, with a fresh demo firm: `make examples`.

Each runs three times: signing in, with a kept session whose access token has expired, and with one whose access token
ends while the order is being filled, part by part. All must see every fill once. Then one asks the assistant, and the
server is killed and started again while it answers: the answer must be heard whole, each word once.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import jwt

HERE: Final = Path(__file__).resolve().parent
TYPESCRIPT: Final = HERE / "typescript"
PYTHON: Final = HERE / "python"
TOOLS: Final = PYTHON / ".venv" / "bin"
STEWARD: Final = Path(sys.executable).with_name("steward")
KEPT: Final = {"PATH", "HOME", "LANG", "TMPDIR"}
ASHA: Final = {"email": "asha.mehta@steward.example", "password": "steward-demo-2026"}
# Five units, one by one.
FILLS: Final = ["PARTIALLY_FILLED"] * 4 + ["FILLED"]
# How long the access token of each round still lives; in the first, the clients sign in by themselves.
ROUNDS: Final = {
    "signing in": None,
    "with an access token that has expired": -60,
    "with an access token that ends on the way": 3,
}


class ExampleError(Exception):
    """What went wrong, in a sentence."""


def environment(**more: str) -> dict[str, str]:
    """The surroundings of whatever is run: what is given, and nothing that configures Steward."""
    return {name: value for name, value in os.environ.items() if name in KEPT} | more


def run(*command: str | Path, cwd: Path) -> None:
    """Run a step of a build; what it prints is shown when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExampleError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


def build_typescript() -> None:
    """Install, generate and compile."""
    lock, installed = TYPESCRIPT / "package-lock.json", TYPESCRIPT / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--loglevel=error", cwd=TYPESCRIPT)
    run("npm", "run", "build", cwd=TYPESCRIPT)


def build_python() -> None:
    """Generate and check types; make has installed what is needed."""
    run(TOOLS / "ariadne-codegen", cwd=PYTHON)
    run(TOOLS / "mypy", cwd=PYTHON)


def built() -> Mapping[str, Sequence[str | Path]]:
    """The commands that run the clients, by name."""
    build_python()
    commands: dict[str, Sequence[str | Path]] = {"Python": (TOOLS / "python", PYTHON / "place_order.py")}
    if not shutil.which("npm"):
        print("Apollo and urql are skipped, for there is no npm.")
        return commands
    build_typescript()
    return {name: ("node", TYPESCRIPT / "dist" / f"{name.lower()}.js") for name in ("Apollo", "urql")} | commands


class Server:
    """A server with a firm of its own, which may be killed and started again."""

    def __init__(self, place: Path, secret: str) -> None:
        self.address = ""
        self._place = place
        self._log = place / "log"
        self._settings = {"STATE_DIRECTORY": str(place / "state"), "JWT_SECRET": secret, "PAPER_LARGEST_FILL": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it: on a free port, and from then on on that."""
        settings = environment(**self._settings, PORT=self.address.rpartition(":")[2] or "0")
        with self._log.open("w") as output:
            # In a directory of its own, so that no .env is read.
            self._process = subprocess.Popen(
                [STEWARD, "serve"], cwd=self._place, env=settings, stdout=output, stderr=subprocess.STDOUT
            )
        self.address = ready(self._process, self._log)

    def kill(self) -> None:
        """Have it end in the middle of whatever it does."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it, and its database with it."""
        if self._process:
            stop(self._process)


@contextmanager
def serving(secret: str) -> Iterator[Server]:
    """A server whose firm is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="steward-examples-") as place:
        server = Server(Path(place), secret)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            # Run by root, the database lies elsewhere, and the state directory has a link to it.
            shutil.rmtree((Path(place) / "state" / "cluster").resolve().parent, ignore_errors=True)


def ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address of a server, as soon as it is ready."""
    until = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < until:
        if found := re.search(r"serving at (http://\S+)/graphql", log.read_text()):
            with urllib.request.urlopen(f"{found[1]}/readyz", timeout=20):
                return found[1]
        time.sleep(0.1)
    raise ExampleError(f"The server did not start:\n{log.read_text()}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server, and its database with it."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kept_session(address: str, secret: str, life: int) -> dict[str, str]:
    """A session as a client would have kept it, its access token with this many seconds to live."""
    query = "mutation ($i: SignInInput!) { signIn(input: $i) { session { accessToken refreshToken } } }"
    body = json.dumps({"query": query, "variables": {"i": ASHA}}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        tokens = json.load(response)["data"]["signIn"]["session"]
    claims: dict[str, Any] = jwt.decode(tokens["accessToken"], options={"verify_signature": False})
    access = jwt.encode(claims | {"exp": int(time.time()) + life}, secret, algorithm="HS256")
    return {"STEWARD_ACCESS_TOKEN": access, "STEWARD_REFRESH_TOKEN": tokens["refreshToken"]}


def play(commands: Mapping[str, Sequence[str | Path]], address: str, secret: str, life: int | None) -> Iterator[str]:
    """Run all clients at once, and show what each has printed; gives the names of those that failed."""
    running = {}
    for name, command in commands.items():
        kept = {} if life is None else kept_session(address, secret, life)
        surroundings = environment(STEWARD_URL=f"{address}/graphql", PYTHONUNBUFFERED="1", **kept)
        running[name] = subprocess.Popen(
            command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    try:
        for name, process in running.items():
            output, _ = process.communicate(timeout=120)
            print(f"--- {name}\n{output}")
            if process.returncode or not as_told(output, renewed=life is not None):
                yield name
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def as_told(output: str, *, renewed: bool) -> bool:
    """Whether every fill was seen once, and the session renewed where it had to be."""
    fills = re.findall(r"^\S+ (PARTIALLY_FILLED|FILLED):", output, re.MULTILINE)
    return fills == FILLS and ("The access token had expired" in output) is renewed


def ask(server: Server) -> bool:
    """Ask, kill the server in mid-answer and start it again; tells whether the answer was heard whole all the same."""
    with tempfile.TemporaryFile("w+") as heard:
        command = [TOOLS / "python", PYTHON / "follow_answer.py"]
        surroundings = environment(STEWARD_URL=f"{server.address}/graphql")
        process = subprocess.Popen(command, env=surroundings, stdout=heard, stderr=subprocess.STDOUT)
        try:
            until_says(process, heard, "positions in")
            server.kill()
            server.start()
            process.wait(timeout=120)
        finally:
            process.kill()
            process.wait()
        heard.seek(0)
        output = heard.read()
    print(f"--- Python\n{output}")
    return process.returncode == 0 and "Coming back with the last cursor" in output


def until_says(process: "subprocess.Popen[bytes]", heard: IO[str], words: str) -> None:
    """Wait for some words of a client that writes to a file."""
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        # By its descriptor, for the client writes where it stands in the file.
        if words in os.pread(heard.fileno(), 1 << 20, 0).decode(errors="ignore"):
            return
        time.sleep(0.02)
    raise ExampleError(f"The assistant did not answer:\n{os.pread(heard.fileno(), 1 << 20, 0).decode()}")


def main() -> int:
    """Build and run everything; gives the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    secret, failed = secrets.token_urlsafe(48), []
    commands = built()
    with serving(secret) as server:
        for name, life in ROUNDS.items():
            print(f"=== {name[0].upper()}{name[1:]}")
            failed += [f"{client} {name}" for client in play(commands, server.address, secret, life)]
        print("=== With a server that is killed in mid-answer")
        failed += [] if ask(server) else ["Python with a server that is killed in mid-answer"]
    seen = f"Every fill was seen once by {', '.join(commands)}, and every word of the answer once."
    print(f"Failed: {'; '.join(failed)}." if failed else seen)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ExampleError as error:
        sys.exit(f"make examples: {error}")
