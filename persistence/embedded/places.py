"""Where the embedded database keeps its files, and as whom it runs."""

import hashlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

STATE_OF_ROOT: Final = Path("/var/lib/steward")
ACCOUNTS: Final = ("steward", "postgres", "nobody")
PORT: Final = 5432
# What macOS takes; Linux takes four bytes more.
LONGEST_SOCKET_PATH: Final = 103


class EmbeddedError(Exception):
    """The embedded database cannot be had: one sentence, with the end of its log where that tells more."""


@dataclass(frozen=True)
class Account:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    @classmethod
    def current(cls) -> "Account":
        """Whoever runs this process. Raises EmbeddedError without a name, for PostgreSQL knows people by name."""
        uid = os.geteuid()
        try:
            return cls(pwd.getpwuid(uid).pw_name, uid, os.getegid())
        except KeyError:
            raise EmbeddedError(
                f"User id {uid} has no entry in the system's list of users, which PostgreSQL needs: "
                "run as a listed user, or set DATABASE_URL to a PostgreSQL elsewhere."
            ) from None


@dataclass(frozen=True)
class Places:
    """The files of one embedded database.

    directory: locks, the log, and the cluster or a link to it.
    home: the cluster and its access files; `directory` itself except for root.
    sockets: what clients give as the host.
    user: who started it and may connect.
    runner: as whom PostgreSQL runs; another than `user` only for root.
    """

    directory: Path
    home: Path
    sockets: Path
    user: Account
    runner: Account

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "cluster"

    @property
    def socket(self) -> Path:
        """Where PostgreSQL listens."""
        return self.sockets / f".s.PGSQL.{PORT}"

    @property
    def log(self) -> Path:
        """What PostgreSQL and its keeper have to say."""
        return self.directory / "postgres.log"

    @property
    def borrowed(self) -> Account | None:
        """The account to change to before running PostgreSQL, or None to run it as ourselves."""
        return None if self.runner == self.user else self.runner

    @classmethod
    def of(cls, directory: Path) -> "Places":
        """The places of this directory, made where they are missing. Raises EmbeddedError or OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = directory.resolve()
        user = Account.current()
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        home, runner = (directory, user) if user.uid else _places_of_root(directory, digest)
        return cls(directory, home, _short_base() / f"steward-{user.uid}-{digest}", user, runner)

    def make_sockets(self) -> None:
        """Make the directory of the sockets. Raises EmbeddedError when it is there and not ours alone."""
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise EmbeddedError(f"{self.socket} is too long for a socket: set TMPDIR to a shorter directory.")
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        _distrust(self.sockets, owners={self.user.uid, self.runner.uid}, forbidden=stat.S_IRWXG | stat.S_IRWXO)
        if self.borrowed:
            os.chown(self.sockets, self.runner.uid, self.runner.gid, follow_symlinks=False)


def open_directory(path: Path) -> None:
    """Make a directory that everybody may enter and only we may change; one that exists stays as it is."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return
    path.chmod(0o755)


def _places_of_root(directory: Path, digest: str) -> tuple[Path, Account]:
    # PostgreSQL refuses to run as root, and whoever it runs as cannot enter a checkout below /root.
    open_directory(STATE_OF_ROOT)
    _distrust(STATE_OF_ROOT, owners={0}, forbidden=stat.S_IWGRP | stat.S_IWOTH)
    home = STATE_OF_ROOT / digest
    _link_cluster(directory / "cluster", home / "cluster")
    open_directory(home)
    return home, _runner_for_root(home / "cluster")


def _link_cluster(link: Path, cluster: Path) -> None:
    if link.is_dir() and not link.is_symlink():
        raise EmbeddedError(
            f"The database in {link} is that of user {link.stat().st_uid}: start it as that user, not root."
        )
    if link.is_symlink() and link.readlink() != cluster and link.exists():
        raise EmbeddedError(
            f"{link.parent} was moved or copied, its database is still {link.readlink()}: to keep the data, stop it "
            f"and move it to {cluster}; to begin with none, delete the link {link}."
        )
    if link.is_symlink() and link.readlink() == cluster:
        return
    # At one stroke: another process may start here for the first time as well.
    made = link.with_name(f"{link.name}-{uuid4().hex}")
    made.symlink_to(cluster)
    made.replace(link)


def _runner_for_root(cluster: Path) -> Account:
    try:
        entry = pwd.getpwuid(cluster.stat().st_uid)
    except FileNotFoundError:
        entry = _first_account()
    except KeyError:
        raise EmbeddedError(f"The user that owns the database in {cluster} no longer exists.") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _first_account() -> pwd.struct_passwd:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(f"PostgreSQL does not run as root, and this system has none of the users {ACCOUNTS}.")


def _short_base() -> Path:
    # Not TMPDIR first: all users of one server must arrive at the same path, whatever their environments.
    common = Path("/tmp")  # noqa: S108 - what is made there is private, and checked to be ours.
    usable = common.is_dir() and os.access(common, os.W_OK | os.X_OK)
    return common if usable else Path(tempfile.gettempdir())


def _distrust(path: Path, owners: set[int], forbidden: int) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & forbidden:
        raise EmbeddedError(f"{path} is no directory of ours, or is open to others: remove it.")
