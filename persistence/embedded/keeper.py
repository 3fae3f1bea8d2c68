"""The process that runs PostgreSQL as its child, and ends it when the last user is gone.

Run by path, with nothing but the standard library, so that it starts at once and stays small. Users hold a shared
lock on a file, which the kernel lets go of whatever kills them; the keeper has outlived them all when it gets the
exclusive one. Then it stops PostgreSQL and, still holding it, ends: whoever starts meanwhile waits for that.
"""

import argparse
import contextlib
import ctypes
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

TICK: Final = 0.1  # seconds between looks at the users and the child
GRACE: Final = 30.0  # seconds for a fast shutdown, with its checkpoint
LAST_GRACE: Final = 5.0  # seconds for an immediate one
STEADY: Final = 10.0  # seconds after which a start counts as having succeeded
MOST_FAILURES: Final = 6
FIRST_PAUSE: Final = 0.05  # seconds; doubled with each failure before a restart
MOST_LOG: Final = 4 * 1024 * 1024  # bytes
PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>

log = logging.getLogger("keeper")


class Keeper:
    """Runs one cluster for as long as it has users."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.cluster: Path = options.cluster
        self.sockets: Path = options.sockets
        self.log: Path = options.log
        self.users: Path = options.users
        self.program, *self.settings = options.command
        self.uid: int | None = options.uid
        self.gid: int | None = options.gid
        self._users = os.open(self.users, os.O_RDWR | os.O_CREAT, 0o600)
        self._asked_to_end = False

    def run(self) -> None:
        """Run PostgreSQL again and again until nobody needs it, or it fails too often in a row."""
        for asking in (signal.SIGTERM, signal.SIGINT):
            signal.signal(asking, self._end)
        failures = 0
        while failures < MOST_FAILURES and not self._wait(FIRST_PAUSE * 2**failures if failures else 0):
            began = time.monotonic()
            child = self._launch()
            self._attend(child)
            log.info("PostgreSQL ended with status %s", child.returncode)
            failures = failures + 1 if time.monotonic() - began < STEADY else 1
        self._tidy()

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked_to_end = True

    def _attend(self, child: subprocess.Popen[bytes]) -> None:
        """Return when the child has ended: by itself, or by us when it is no longer needed or we fail."""
        try:
            while child.poll() is None and not self._is_over():
                self._bound_log()
                time.sleep(TICK)
        finally:
            stop(child)

    def _wait(self, seconds: float) -> bool:
        """Let time pass. Returns whether PostgreSQL is no longer needed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._is_over():
                return True
            time.sleep(TICK)
        return self._is_over()

    def _is_over(self) -> bool:
        return self._asked_to_end or self._is_removed() or self._is_unused()

    def _is_unused(self) -> bool:
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_removed(self) -> bool:
        # A directory deleted under us has no data to keep, and its successor would wait for our socket.
        try:
            return not os.path.samestat(self.users.stat(), os.fstat(self._users))
        except FileNotFoundError:
            return True

    def _launch(self) -> subprocess.Popen[bytes]:
        self._clear_traces()
        return subprocess.Popen(  # noqa: S603 - the command line is the one that the starting process was given.
            [self.program, "-D", str(self.cluster), *self.settings],
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else (),
            preexec_fn=dying_with(os.getpid()),  # noqa: PLW1509 - this process has one thread.
            cwd="/",
            stdin=subprocess.DEVNULL,
        )

    def _clear_traces(self) -> None:
        # PostgreSQL believes in a dead server whose number another process of the same user has been given since.
        # A number that is free it judges better than we: it also looks for children that outlive their server.
        pid = recorded_pid(self.cluster)
        if not is_postmaster(pid, self.cluster) and (not pid or is_alive(pid)):
            for left in (self.cluster / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
                left.unlink(missing_ok=True)

    def _tidy(self) -> None:
        # Not empty when PostgreSQL was killed; the next one takes over what is there.
        with contextlib.suppress(OSError):
            self.sockets.rmdir()

    def _bound_log(self) -> None:
        # Everybody appends, so the file can be emptied under their hands; a few lines may be lost in between.
        # A full disk must not end the database.
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > MOST_LOG:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)


def dying_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes another program, to be shut down by the kernel when its parent dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        # Blocked until PostgreSQL can handle it, or a parent that dies right now would go unnoticed.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def stop(child: subprocess.Popen[bytes]) -> None:
    """End our PostgreSQL, if it runs: politely, then at once (the next start recovers), then by force."""
    for how, patience in ((signal.SIGINT, GRACE), (signal.SIGQUIT, LAST_GRACE), (signal.SIGKILL, None)):
        child.send_signal(how)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return


def end_postmaster(cluster: Path) -> None:
    """End a PostgreSQL that has lost its keeper. Only for who holds the keeper's lock."""
    pid = recorded_pid(cluster)
    for how, patience in ((signal.SIGINT, GRACE), (signal.SIGQUIT, LAST_GRACE), (signal.SIGKILL, LAST_GRACE)):
        until = time.monotonic() + patience
        if not is_postmaster(pid, cluster):
            return
        log.warning("PostgreSQL %s has lost its keeper, stopping it with %s", pid, how.name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        while is_postmaster(pid, cluster) and time.monotonic() < until:
            time.sleep(TICK / 5)


def recorded_pid(cluster: Path) -> int:
    """The process that the cluster says runs it, dead or alive; 0 for none."""
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return 0


def is_alive(pid: int) -> bool:
    """Whether a process has this number, be it whose it may."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether this process runs, and is the PostgreSQL of this cluster rather than a later owner of the number."""
    return pid > 0 and f"postgres -D {cluster} " in f"{_command_line(pid)} "


def _command_line(pid: int) -> str:
    if sys.platform != "linux":
        return _command_line_by_ps(pid)
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _command_line_by_ps(pid: int) -> str:
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S603, S607 - a number, to the system's own ps.
    return shown.stdout.decode(errors="surrogateescape")


def main() -> None:
    """Leave the starting process, then keep. Its exclusive lock arrives open, and is ours until we end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    for name in ("cluster", "sockets", "users", "log"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if os.fork():
        os._exit(0)
    os.set_inheritable(options.lock, False)  # noqa: FBT003 - the standard library's signature.
    logging.basicConfig(format="%(asctime)s keeper[%(process)d] %(message)s", level=logging.INFO)
    os.umask(0o077)
    Keeper(options).run()
    # Before the users' lock, which ends with the process: who gets that one must not find a keeper.
    os.close(options.lock)


if __name__ == "__main__":
    main()
