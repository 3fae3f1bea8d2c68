"""Backup of the embedded database into one file, and its restore, which replaces all or nothing.

Both run as the cluster's superuser: the policies, which would cut a dump to what a viewer sees, do not hold for it.
"""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import asyncpg
import msgspec
from asyncpg import Connection, Record
from cryptography.exceptions import InvalidTag

from persistence.embedded import archive
from persistence.embedded.archive import DUMP, KEY, PIECE, BackupError, Manifest
from persistence.embedded.binaries import program
from persistence.embedded.cluster import environment
from persistence.embedded.server import DATABASE, EmbeddedServer
from persistence.keyring import KeyRing
from persistence.setup import ACTING, ROLES, connect, head, migrate

POSTGRES: Final = "postgres"
# What is being restored, until it is whole; then what it has replaced, until that is dropped.
FRESH: Final = "steward_fresh"
FORMER: Final = "steward_former"
TAIL: Final = 2000  # bytes of a program's words in an error

TABLES: Final = """
select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r' and nspname <> 'information_schema' and nspname not like 'pg\\_%' order by 1
"""
REVISION: Final = "select version_num from public.alembic_version"
VERSION: Final = "select split_part(current_setting('server_version'), ' ', 1)"
HAS_USERS: Final = "select exists (select from public.users)"
PERSON_KEYS: Final = "select person_id, sealed_key from public.person_keys where sealed_key is not null"
OTHERS: Final = f"{PERSON_KEYS} and key_id is distinct from $1"
RESEAL: Final = "update public.person_keys set sealed_key = $2, key_id = $3 where person_id = $1"


async def back_up(server: EmbeddedServer, path: Path, ring: KeyRing, now: datetime, *, with_key: bool) -> Manifest:
    """Write a backup of one moment, while others go on working; it has its name only when it is whole.

    `ring` holds the firm's keys, of which the newest is put into the file `with_key`. Raises BackupError or SetupError,
    and leaves nothing then.
    """
    async with _connected(server) as connection, connection.transaction(isolation="repeatable_read"):
        revision = await _revision(connection)
        if revision is None:
            raise BackupError("The embedded database has not been set up yet: there is nothing to back up.")
        await _check_keys(connection, ring)
        snapshot = await connection.fetchval("select pg_export_snapshot()")
        manifest = Manifest(
            format=archive.FORMAT,
            made_at=now,
            postgresql=await connection.fetchval(VERSION),
            revision=revision,
            key=ring.newest,
            rows=await _rows(connection),
            sums={},
        )
        kept = {KEY: ring.keys[0]} if with_key else {}
        return await asyncio.to_thread(_write, server, path, manifest, snapshot, kept)


async def _check_keys(connection: "Connection[Record]", ring: KeyRing) -> None:
    """Refuse keys that are not the firm's: the backup would name, or hold, one that opens nothing in it."""
    for person_id, sealed in await connection.fetch(PERSON_KEYS):
        try:
            ring.open(sealed, person_id)
        except InvalidTag as error:
            raise BackupError(
                "The personal fields are sealed with another key than this one: set FIELD_KEY, or unset it, as it is "
                "for the server."
            ) from error


def _write(
    server: EmbeddedServer, path: Path, manifest: Manifest, snapshot: str, kept: Mapping[str, bytes]
) -> Manifest:
    with archive.written(path) as file:
        sums = {DUMP: archive.add(file, DUMP, _dumped(server, snapshot))}
        sums |= {name: archive.add(file, name, [content]) for name, content in kept.items()}
        manifest = msgspec.structs.replace(manifest, sums=sums)
        archive.finish(file, manifest)
    return manifest


async def restore(server: EmbeddedServer, path: Path, manifest: Manifest, ring: KeyRing, *, replace: bool) -> None:
    """Put a checked backup in the place of the database, at the newest revision, its persons' keys under the newest.

    The server is one's own alone. All happens in a database beside it, which takes its name at the end, so that
    whatever fails or is killed before leaves the old one as it was. Raises BackupError or SetupError; refuses to
    replace a database with users unless it is told to.
    """
    _check(server, path, manifest, ring)
    async with _connected(server) as connection:
        if not replace and await _has_users(connection):
            raise BackupError("The embedded database is not empty: say --yes to replace it by the backup.")
        # Roles belong to the cluster. They are there unless this database is new.
        if not await connection.fetchval(ACTING):
            await connection.execute(ROLES)
    async with _connected(server, POSTGRES) as admin:
        await _drop(admin)
        try:
            await admin.execute(f"create database {FRESH} template template0")
            await _fill(server, path, manifest, ring)
            await _exchange(admin)
        finally:
            await _drop(admin)


def _check(server: EmbeddedServer, path: Path, manifest: Manifest, ring: KeyRing) -> None:
    if manifest.revision > head():
        raise BackupError(
            f"The backup {path} is at revision {manifest.revision}, newer than this version of Steward, which knows "
            f"{head()}: restore it with the version that made it, or a later one."
        )
    if manifest.major > server.major:
        raise BackupError(
            f"The backup {path} was made by PostgreSQL {manifest.postgresql}, and the embedded database is of "
            f"PostgreSQL {server.major}: move {server.home / 'cluster'} away, and restore into a new one."
        )
    if KEY not in manifest.sums and manifest.key not in ring:
        raise BackupError(
            f"The personal fields in {path} are sealed with another key, which is not in it: set FIELD_KEY to the one "
            "that was set when it was made."
        )


async def _fill(server: EmbeddedServer, path: Path, manifest: Manifest, ring: KeyRing) -> None:
    """Make the fresh database what the backup holds, see that it is, and bring it up to date."""
    await asyncio.to_thread(_load, server, path, manifest)
    async with _connected(server, FRESH) as connection:
        if await _revision(connection) != manifest.revision or await _rows(connection) != manifest.rows:
            raise BackupError(f"{path} does not hold the rows that it lists.")
    await migrate(server.url(FRESH))
    async with _connected(server, FRESH) as connection:
        in_it = [b"".join(archive.pieces(path, manifest, KEY))] if KEY in manifest.sums else []
        await _reseal(connection, KeyRing(*ring.keys, *in_it))
        await connection.execute("analyze")


async def _reseal(connection: "Connection[Record]", ring: KeyRing) -> None:
    """Seal the persons' keys with this installation's key, so that no file has to change with the database."""
    rows = await connection.fetch(OTHERS, ring.newest)
    try:
        again = [
            (person_id, ring.seal(ring.open(sealed, person_id), person_id), ring.newest) for person_id, sealed in rows
        ]
    except InvalidTag as error:
        raise BackupError(
            "The personal fields in the backup are sealed with keys that are neither in it nor set: name them in "
            "FIELD_KEYS_OLD."
        ) from error
    await connection.executemany(RESEAL, again)


async def _exchange(admin: "Connection[Record]") -> None:
    try:
        async with admin.transaction():
            await admin.execute(f"alter database {DATABASE} rename to {FORMER}")
            await admin.execute(f"alter database {FRESH} rename to {DATABASE}")
    except asyncpg.ObjectInUseError as error:
        raise BackupError("Another program is connected to the embedded database: end it first.") from error


async def _drop(admin: "Connection[Record]") -> None:
    for name in (FRESH, FORMER):
        await admin.execute(f"drop database if exists {name} with (force)")


@asynccontextmanager
async def _connected(server: EmbeddedServer, database: str = DATABASE) -> AsyncIterator["Connection[Record]"]:
    connection = await connect(server.url(database))
    try:
        yield connection
    finally:
        await connection.close()


async def _revision(connection: "Connection[Record]") -> str | None:
    if await connection.fetchval("select to_regclass('public.alembic_version')") is None:
        return None
    found = await connection.fetchval(REVISION)
    return str(found) if found is not None else None


async def _has_users(connection: "Connection[Record]") -> bool:
    there = await connection.fetchval("select to_regclass('public.users')") is not None
    return there and bool(await connection.fetchval(HAS_USERS))


async def _rows(connection: "Connection[Record]") -> dict[str, int]:
    """How many rows each table has."""
    tables = [row[0] for row in await connection.fetch(TABLES)]
    return {name: await connection.fetchval(f"select count(*) from {name}") for name in tables}  # noqa: S608 - quoted by PostgreSQL


def _command(server: EmbeddedServer, name: str, database: str, *options: str) -> list[str]:
    # Those of the server's own version: what a newer one writes, an older one's may not read.
    address = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}", f"--dbname={database}"]
    return [str(program(name, server.major)), "--no-password", *address, *options]


def _dumped(server: EmbeddedServer, snapshot: str) -> Iterator[bytes]:
    """PostgreSQL's dump of a snapshot, piece by piece. Raises BackupError, at the latest at the end."""
    command = _command(server, "pg_dump", DATABASE, "--format=custom", f"--snapshot={snapshot}")
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(  # noqa: S603 - our own program with our own arguments.
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, env=environment()
        ) as process:
            while process.stdout and (piece := process.stdout.read(PIECE)):
                yield piece
        _expect(process, words, "The database cannot be backed up")


def _load(server: EmbeddedServer, path: Path, manifest: Manifest) -> None:
    command = _command(server, "pg_restore", FRESH, "--single-transaction", "--exit-on-error")
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(  # noqa: S603 - our own program with our own arguments.
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words, env=environment()
        ) as process:
            _feed(process, archive.pieces(path, manifest, DUMP))
        _expect(process, words, f"PostgreSQL declines {path}")


def _feed(process: "subprocess.Popen[bytes]", pieces: Iterable[bytes]) -> None:
    if process.stdin is None:
        return
    # Its own words say why a program has stopped reading.
    with suppress(BrokenPipeError), process.stdin:
        for piece in pieces:
            process.stdin.write(piece)


def _expect(process: "subprocess.Popen[bytes]", words: IO[bytes], sentence: str) -> None:
    if process.returncode:
        words.seek(0)
        said = words.read(TAIL).decode(errors="replace").strip()
        raise BackupError(f"{sentence}: {said or f'status {process.returncode}'}")
