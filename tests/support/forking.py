"""Processes of `steward` that are forked from one that has imported it, which takes a second or two of each otherwise.

What runs is the command itself, in a process of its own, with arguments, environment, files and signals of its own:
only the interpreter and the modules are there already. Run as a program, this is where they come from.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import IO, Any, Final

from graph.settings import ROOT

NUMBER: Final = 8  # bytes
# What the commands import once they are known.
MODULES: Final = (
    *("alembic.command", "alembic.config", "graph.backup", "graph.cli", "graph.demo_firm", "graph.manifest"),
    *("graph.new_user", "graph.place", "graph.rotation", "graph.server", "graph.verification", "persistence.setup"),
)


class Forked:
    """A process, as `subprocess` has them."""

    def __init__(self, report: int) -> None:
        self._report = report
        self.returncode: int | None = None
        self.pid = self._told()

    def _told(self) -> int:
        return int.from_bytes(os.read(self._report, NUMBER), "big", signed=True)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], seconds)[0]:
            self.returncode = self._told()
            os.close(self._report)
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; raises TimeoutExpired."""
        if (code := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired("steward", timeout or 0)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it without giving it a say."""
        self.send_signal(signal.SIGKILL)


class Origin:
    """The process that the others are forked from."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        atexit.register(self._end)

    def _end(self) -> None:
        self._line.close()
        self._process.wait()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], *files: IO[Any]) -> Forked:
        """Start a command; `files` are its standard input, output and error."""
        content = json.dumps([arguments, dict(environment)]).encode()
        report, its_report = os.pipe()
        with self._lock:
            message = len(content).to_bytes(NUMBER, "big") + content
            socket.send_fds(self._line, [message[:1]], [*(file.fileno() for file in files), its_report])
            self._line.sendall(message[1:])
        os.close(its_report)
        return Forked(report)


@cache
def origin() -> Origin:
    """The one of this process."""
    return Origin()


def _asked(line: socket.socket) -> tuple[list[str], dict[str, str], list[int]] | None:
    """The arguments, environment and files of the next command; None after the last."""
    first, files, _, _ = socket.recv_fds(line, 1, 4)
    if not first:
        return None
    size = int.from_bytes(first + line.recv(NUMBER - 1, socket.MSG_WAITALL), "big")
    arguments, environment = json.loads(line.recv(size, socket.MSG_WAITALL))
    return arguments, environment, files


def _report_to(report: int) -> None:
    """Go on in a process of one's own, while this one waits for its end, and tells of it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        os.close(report)
        return
    # Nothing of the command's is held open by whoever waits.
    os.closerange(0, 3)
    _tell(report, pid)
    _, status = os.waitpid(pid, 0)
    _tell(report, os.waitstatus_to_exitcode(status))
    os._exit(0)


def _tell(report: int, number: int) -> None:
    os.write(report, number.to_bytes(NUMBER, "big", signed=True))


def _become(environment: Mapping[str, str], files: Sequence[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)


def command(line: socket.socket) -> list[str]:
    """The arguments of a command, in the process that is to carry it out; ends all others."""
    while asked := _asked(line):
        arguments, environment, (*files, report) = asked
        if not os.fork():
            line.close()
            _become(environment, files)
            _report_to(report)
            return arguments
        for file in (*files, report):
            os.close(file)
    sys.exit()


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    # Whoever waits for a command reports its end by itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    sys.argv[1:] = command(socket.socket(fileno=int(sys.argv[1])))
    importlib.import_module("graph.cli").main()
