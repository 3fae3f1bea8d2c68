"""Asks a starting PostgreSQL, in its own protocol, whether it lets us into a database."""

import io
import socket
import struct
from enum import Enum, auto
from pathlib import Path
from typing import Final

from persistence.embedded.places import EmbeddedError

PROTOCOL: Final = 3 << 16
PATIENCE: Final = 5.0  # seconds for one answer
UNKNOWN_DATABASE: Final = "3D000"
TOO_MANY_CONNECTIONS: Final = "53300"
INTERVENTION: Final = "57"  # the class of "is starting up", "is shutting down", "crashed"


class Answer(Enum):
    """What a knock at the door tells."""

    READY = auto()
    NOT_YET = auto()
    NO_DATABASE = auto()


def knock(path: Path, user: str, database: str) -> Answer:
    """Try to connect through the socket at this path. Raises EmbeddedError when we are refused for good."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(path))
            connection.sendall(_hello(user, database))
            with connection.makefile("rb") as stream:
                return _listen(stream)
        except (FileNotFoundError, ConnectionError, TimeoutError, EOFError):
            return Answer.NOT_YET


def _hello(user: str, database: str) -> bytes:
    body = struct.pack("!i", PROTOCOL) + b"\0".join((b"user", user.encode(), b"database", database.encode(), b"\0"))
    return struct.pack("!i", len(body) + 4) + body


def _listen(stream: io.BufferedReader) -> Answer:
    while True:
        kind, size = struct.unpack("!ci", _exactly(stream, 5))
        body = _exactly(stream, size - 4)
        if kind == b"Z":
            return Answer.READY
        if kind == b"E":
            return _meaning(body)


def _exactly(stream: io.BufferedReader, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _meaning(error: bytes) -> Answer:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in error.split(b"\0") if field}
    code = fields[b"C"]
    if code == UNKNOWN_DATABASE:
        return Answer.NO_DATABASE
    if code.startswith(INTERVENTION):
        return Answer.NOT_YET
    if code == TOO_MANY_CONNECTIONS:
        return Answer.READY
    raise EmbeddedError(f"The embedded database refuses us: {fields[b'M']} ({code}).")
