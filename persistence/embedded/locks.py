"""Locks on files, which the kernel lets go of whatever ends the process that holds them."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from persistence.embedded.places import EmbeddedError

SHARED: Final = fcntl.LOCK_SH
EXCLUSIVE: Final = fcntl.LOCK_EX
PAUSE: Final = 0.01  # seconds between two tries
PATIENCE: Final = 120.0  # seconds


def lock(path: Path, mode: int) -> int:
    """Lock a file, made when missing, until the returned descriptor is closed. Raises EmbeddedError in vain."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait(descriptor, path, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one in this block."""
    descriptor = lock(path, EXCLUSIVE)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def tried(path: Path, mode: int) -> Iterator[int | None]:
    """Hold the lock in this block if nobody stands in the way, as a descriptor; else None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor if _take(descriptor, mode) else None
    finally:
        os.close(descriptor)


def is_free(path: Path, mode: int) -> bool:
    """Whether nobody stands in the way of such a lock at this moment; so it is where the directory is gone."""
    try:
        with tried(path, mode) as descriptor:
            return descriptor is not None
    except FileNotFoundError:
        return True


def _wait(descriptor: int, path: Path, mode: int) -> None:
    until = time.monotonic() + PATIENCE
    while not _take(descriptor, mode):
        if time.monotonic() > until:
            raise EmbeddedError(f"Another process has held {path} for {PATIENCE:.0f} seconds.")
        time.sleep(PAUSE)


def _take(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
