"""Starting, sharing and leaving the embedded PostgreSQL."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self
from urllib.parse import quote

from persistence.embedded import cluster, keeper
from persistence.embedded.binaries import program
from persistence.embedded.locks import EXCLUSIVE, SHARED, is_free, lock, locked, tried
from persistence.embedded.places import PORT, EmbeddedError, Places
from persistence.embedded.probe import Answer, knock

DATABASE: Final = "steward"
PATIENCE: Final = 120.0  # seconds: a recovery after a crash replays up to a gigabyte of log
PAUSE: Final = 0.01  # seconds between two looks
# Two who look at once see each other's lock for a moment; nobody does that ten times in a row.
LOOKS_TO_BE_SURE: Final = 10
TAIL: Final = 2000  # bytes of the log in an error
NONE: Final[Mapping[str, str]] = MappingProxyType({})


class EmbeddedServer:
    """A use of the PostgreSQL that lives in a directory. It runs as long as any process uses it.

    The kernel ends the use when the process dies, however it dies. Processes that are forked from this one, and do not
    become another program, are part of the use.
    """

    port: int = PORT
    user: str = cluster.SUPERUSER

    def __init__(self, places: Places, use: int, door: int | None = None) -> None:
        self._places = places
        self._use: int | None = use
        self._door = door

    @classmethod
    def start(cls, directory: Path, *, settings: Mapping[str, str] = NONE) -> Self:
        """Make the database on first use, start it unless it runs, and return when it accepts connections.

        Blocks. `settings` are PostgreSQL's own; who joins a running server gets it as it is.
        Raises EmbeddedError.
        """
        try:
            places = Places.of(directory)
            with locked(_door(places)):
                return cls(places, _used(places, settings))
        except OSError as problem:
            raise EmbeddedError(f"The embedded database in {directory} cannot be used: {problem}.") from problem

    @classmethod
    def start_alone(cls, directory: Path, *, settings: Mapping[str, str] = NONE) -> Self:
        """As start, as the only one: whoever starts it until this use is closed waits.

        Raises EmbeddedError, also when it is in use.
        """
        try:
            places = Places.of(directory)
            door = lock(_door(places), EXCLUSIVE)
            try:
                _refuse_company(places)
                return cls(places, _used(places, settings), door)
            except BaseException:
                os.close(door)
                raise
        except OSError as problem:
            raise EmbeddedError(f"The embedded database in {directory} cannot be used: {problem}.") from problem

    @property
    def host(self) -> str:
        """The directory of the socket, which clients give as the host."""
        return str(self._places.sockets)

    @property
    def home(self) -> Path:
        """Where the data lie: the server's directory, but elsewhere when root runs it."""
        return self._places.home

    @property
    def major(self) -> int:
        """The major version of its PostgreSQL, whose client programs fit best."""
        return cluster.major_of(self._places.cluster)

    def url(self, database: str = DATABASE) -> str:
        """The address for SQLAlchemy, as the superuser."""
        return f"postgresql+asyncpg://{self.user}@/{quote(database)}?host={quote(self.host)}&port={self.port}"

    def close(self, *, wait: bool = False) -> None:
        """End this use; the last one's end stops the server soon after.

        With `wait`, return only when it has stopped, or at once if others use it.
        Raises EmbeddedError when it does not stop within two minutes.
        """
        if self._use is not None:
            # Not unlocked but closed: a forked child that closes must not end its parent's use.
            os.close(self._use)
            self._use = None
        if self._door is not None:
            os.close(self._door)
            self._door = None
        if wait:
            _wait_for_end(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _door(places: Places) -> Path:
    return places.directory / "start.lock"


def _users(places: Places) -> Path:
    return places.directory / "users.lock"


def _keeper(places: Places) -> Path:
    return places.directory / "keeper.lock"


def _used(places: Places, settings: Mapping[str, str]) -> int:
    """Bring the server up under a use of ours, which is returned."""
    # Waits for a keeper that is just stopping; while we hold it, none stops.
    use = lock(_users(places), SHARED)
    try:
        _bring_up(places, settings)
    except BaseException:
        os.close(use)
        raise
    return use


def _refuse_company(places: Places) -> None:
    """Return when nobody uses the server, and none that is stopping is left. Nobody new comes: the door is ours."""
    until = time.monotonic() + PATIENCE
    looks = 0
    while not is_free(_users(places), EXCLUSIVE):
        # A shared lock is refused only by the keeper's, which means that it is stopping.
        looks = looks + 1 if is_free(_users(places), SHARED) else 0
        if looks == LOOKS_TO_BE_SURE or time.monotonic() > until:
            raise EmbeddedError(
                f"The embedded database in {places.directory} is in use: stop the server, or the command, that uses it."
            )
        time.sleep(PAUSE)


def _bring_up(places: Places, settings: Mapping[str, str]) -> None:
    """Start a keeper unless there is one, and wait until PostgreSQL lets us in."""
    until = time.monotonic() + PATIENCE
    while True:
        spoken = places.log.stat().st_size if places.log.exists() else 0
        started = _start_keeper(places, settings)
        if _opens(places, until):
            return
        # One that was there and is gone was killed, or gave up: ours may do better.
        if started:
            raise EmbeddedError(f"The embedded database did not start.\n{_tail(places.log, spoken)}")


def _start_keeper(places: Places, settings: Mapping[str, str]) -> bool:
    """Start the keeper. Returns False when one is alive already."""
    with tried(_keeper(places), EXCLUSIVE) as lock_of_keeper:
        if lock_of_keeper is None:
            return False
        cluster.ensure(places, settings)
        places.make_sockets()
        keeper.end_postmaster(places.cluster)
        _spawn(places, lock_of_keeper, cluster.command(places, settings))
    return True


def _spawn(places: Places, lock_of_keeper: int, command: list[str]) -> None:
    # The keeper is given our lock, so there is no moment without an owner. Its first process forks and ends at once:
    # the keeper is nobody's child here, and leaves no dead process to be collected.
    options = [f"--lock={lock_of_keeper}", f"--users={_users(places)}", f"--log={places.log}"]
    options += [f"--cluster={places.cluster}", f"--sockets={places.sockets}"]
    if places.borrowed:
        options += [f"--uid={places.borrowed.uid}", f"--gid={places.borrowed.gid}"]
    log = os.open(places.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter with our own file.
            [sys.executable, "-I", "-S", keeper.__file__, *options, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock_of_keeper,),
            cwd="/",
            env=cluster.environment(),
            check=False,
        )
    finally:
        os.close(log)
    if done.returncode:
        raise EmbeddedError(f"The keeper of the embedded database did not start.\n{_tail(places.log, 0)}")


def _opens(places: Places, until: float) -> bool:
    """Whether PostgreSQL accepts connections in time, rather than losing its keeper."""
    while time.monotonic() < until:
        if _says_ready(places.cluster):
            answer = knock(places.socket, cluster.SUPERUSER, DATABASE)
            if answer is Answer.READY:
                return True
            if answer is Answer.NO_DATABASE:
                _create_database(places)
        if is_free(_keeper(places), SHARED):
            return False
        time.sleep(PAUSE)
    raise EmbeddedError(f"The embedded database was not ready in {PATIENCE:.0f} seconds.\n{_tail(places.log, 0)}")


def _says_ready(data: Path) -> bool:
    # Asked first, for every knock before that is a line in the log.
    try:
        status = (data / "postmaster.pid").read_text().splitlines()[7:]
    except FileNotFoundError:
        return False
    return status != [] and status[0].strip() == "ready"


def _create_database(places: Places) -> None:
    address = [f"--host={places.sockets}", f"--port={PORT}", f"--username={cluster.SUPERUSER}", "--dbname=postgres"]
    done = subprocess.run(  # noqa: S603 - our own program with our own arguments.
        [program("psql"), "--no-psqlrc", *address, f"--command=create database {DATABASE}"],
        env=cluster.environment(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise EmbeddedError(f"The database {DATABASE} could not be made: {done.stderr.decode(errors='replace')}")


def _wait_for_end(places: Places) -> None:
    until = time.monotonic() + PATIENCE
    looks = 0
    while looks < LOOKS_TO_BE_SURE and _runs(places):
        looks = looks + 1 if _is_used(places) else 0
        if time.monotonic() > until:
            raise EmbeddedError(f"The embedded database did not stop in {PATIENCE:.0f} seconds, see {places.log}.")
        time.sleep(PAUSE)


def _runs(places: Places) -> bool:
    kept = not is_free(_keeper(places), SHARED)
    return kept or keeper.is_postmaster(keeper.recorded_pid(places.cluster), places.cluster)


def _is_used(places: Places) -> bool:
    """Whether others use the server. If none does, and it has lost its keeper, end it."""
    try:
        with tried(_users(places), EXCLUSIVE) as alone, tried(_keeper(places), EXCLUSIVE) as orphaned:
            if alone is not None and orphaned is not None:
                keeper.end_postmaster(places.cluster)
    except FileNotFoundError:
        return False  # The directory is gone, and the keeper ends for that.
    # A shared lock is refused only by the keeper's, which means that it is stopping.
    return alone is None and is_free(_users(places), SHARED)


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as stream:
        stream.seek(max(start, log.stat().st_size - TAIL))
        return stream.read().decode(errors="replace").strip()
