"""What all entities share: immutability, identity, and which of their fields are personal."""

import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID, uuid5

import msgspec

# Derived rows (positions, lots) take their id from their natural key, so that a refold changes no citation.
DERIVED = UUID("5f0d9a9e-6f5c-4a7e-9b0e-3c8f2a1d7b64")


class Entity(msgspec.Struct, frozen=True, gc=False):
    """A row of the business, immutable; its columns are selected by its fields' names and fill it by position.

    `personal` names the fields that identify a person: the audit trail encrypts them for that person,
    whose id is the field `person` names. `secret` names those that it must not hold at all. `of_client`, `of_book` and
    `of_user` name the fields, where there are such, that say whose the row is: by them its history is seen.
    """

    personal: ClassVar[frozenset[str]] = frozenset()
    secret: ClassVar[frozenset[str]] = frozenset()
    person: ClassVar[str] = "id"
    of_client: ClassVar[str] = "client_id"
    of_book: ClassVar[str] = "book_id"
    of_user: ClassVar[str] = "user_id"


class Described:
    """Enum values described in the docstring of their enum, from a line `NAME: Sentence.` on."""

    @staticmethod
    def values(enum: type) -> Mapping[str, str]:
        """Description of each value by its name."""
        texts: dict[str, str] = {}
        name = ""
        for line in (line.strip() for line in (enum.__doc__ or "").splitlines()):
            head, colon, rest = line.partition(": ")
            if colon and head.isupper():
                name, texts[head] = head, rest
            elif name and line:
                texts[name] += f" {line}"
        return texts


def derived_id(*natural_key: object) -> UUID:
    """Id of a derived row: the same for the same natural key, always."""
    return uuid5(DERIVED, ":".join(map(str, natural_key)))


class IdMaker:
    """UUIDv7 from a clock that is passed in, increasing within a process even within a millisecond (RFC 9562, 6.2)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def make(self, now: datetime) -> UUID:
        """A new id; `now` is any aware moment."""
        # 48 bits of milliseconds and 12 of sub-millisecond counter, so that ids sort by creation.
        ticks = int(now.timestamp() * 1000) << 12
        with self._lock:
            self._last = max(ticks, self._last + 1)
            stamp = self._last
        random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
        value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
        return UUID(int=value)


def made_at(made: UUID) -> datetime:
    """When an id was made, to the millisecond, in UTC."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)
