"""The file of a backup: PostgreSQL's dump, the firm's key unless a setting holds it, and what to check both against.

A zip without compression (the dump has its own), so that any machine opens it: a dump can be written into it as it
comes, and a file that was cut short is no zip.
"""

import fcntl
import os
import struct
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated, Final
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import msgspec

from persistence.embedded.locks import EXCLUSIVE, tried
from persistence.embedded.places import EmbeddedError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DUMP: Final = "database.dump"
KEY: Final = "field-key"
PIECE: Final = 1 << 20  # bytes read at once
UNFINISHED: Final = (".steward-backup-", ".part")  # how the name begins and ends
# What reading a zip raises where its bytes make no sense.
NONSENSE: Final = (BadZipFile, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError, struct.error)


class BackupError(EmbeddedError):
    """A backup cannot be made or restored, in one sentence for whoever asked for it."""


class Head(msgspec.Struct, frozen=True):
    """What every format of the manifest says."""

    format: int


class Manifest(Head, frozen=True, kw_only=True):
    """What a backup holds.

    made_at: when its snapshot was taken.
    postgresql: the version of the server that it was taken from.
    revision: of the schema.
    key: the fingerprint of the key that sealed the personal fields.
    rows: how many each table has.
    sums: the SHA-256 of the other files.
    """

    made_at: datetime
    postgresql: Annotated[str, msgspec.Meta(pattern=r"^\d+(\.|$)")]
    revision: str
    key: str
    rows: Mapping[str, int]
    sums: Mapping[str, str]

    @property
    def major(self) -> int:
        """The major version of PostgreSQL."""
        return int(self.postgresql.partition(".")[0])


@contextmanager
def written(path: Path) -> Iterator[ZipFile]:
    """A new archive, private, which gets its name when it is whole; one that fails leaves nothing.

    Raises BackupError if there is such a file already, or it cannot be written.
    """
    try:
        _make_directory(path.parent)
        if path.exists():
            raise BackupError(f"There is a file {path} already.")
        _clear(path.parent)
        with _unfinished(path.parent) as (half, file):
            with ZipFile(file, "w", ZIP_STORED) as archive:
                yield archive
            file.flush()
            os.fsync(file.fileno())
            half.rename(path)
        _sync(path.parent)
    except OSError as problem:
        raise BackupError(f"The backup {path} cannot be written: {problem}.") from problem


def add(archive: ZipFile, name: str, pieces: Iterable[bytes]) -> str:
    """Write a file as it comes. Returns its SHA-256."""
    digest = sha256()
    with archive.open(ZipInfo(name, time.localtime()[:6]), "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def finish(archive: ZipFile, manifest: Manifest) -> None:
    """Write the manifest, which is the last."""
    archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest, order="sorted")))


def checked(path: Path) -> Manifest:
    """Read a backup from end to end. Raises BackupError if a byte is not as it was written, or there is none."""
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        if sorted(archive.namelist()) != sorted({*manifest.sums, MANIFEST}) or DUMP not in manifest.sums:
            raise BadZipFile("its files are not those that it lists")
    for name in manifest.sums:
        for _ in pieces(path, manifest, name):
            pass
    return manifest


def pieces(path: Path, manifest: Manifest, name: str) -> Iterator[bytes]:
    """A file of a backup, piece by piece. Raises BackupError, at the latest after the last, if it has changed."""
    digest = sha256()
    with _opened(path) as archive, archive.open(name) as member:
        while piece := member.read(PIECE):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != manifest.sums[name]:
            raise BadZipFile(f"{name} has another sum")


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        with path.open("rb") as file, ZipFile(file) as archive:
            # Nothing that we write is compressed: what says so is damage, and need not be tried.
            if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
                raise BadZipFile("a file in it is compressed")
            yield archive
    except OSError as problem:
        raise BackupError(f"The backup {path} cannot be read: {problem.strerror or problem}.") from problem
    except (*NONSENSE, msgspec.MsgspecError) as problem:
        raise BackupError(f"{path} is no backup, or is damaged: {str(problem) or type(problem).__name__}.") from problem


def _manifest(archive: ZipFile, path: Path) -> Manifest:
    text = archive.read(MANIFEST)
    if msgspec.json.decode(text, type=Head).format > FORMAT:
        raise BackupError(f"{path} was made by a newer version of Steward.")
    return msgspec.json.decode(text, type=Manifest)


def _make_directory(directory: Path) -> None:
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)


def _clear(directory: Path) -> None:
    """Remove what killed writers have left: nobody holds its lock."""
    for left in directory.glob("*".join(UNFINISHED)):
        with tried(left, EXCLUSIVE) as free:
            if free is not None:
                left.unlink(missing_ok=True)


@contextmanager
def _unfinished(directory: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A private, empty file, gone at the end unless it was renamed."""
    prefix, suffix = UNFINISHED
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, EXCLUSIVE)
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
