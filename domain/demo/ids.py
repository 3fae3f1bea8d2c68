"""Ids of the demo firm: the same in every database, whenever it is made, and UUIDv7 like all others."""

from hashlib import sha256
from typing import Final
from uuid import UUID

# The demo's own calendar starts on Monday, 4 January 2021 and lasts three years, whatever day it is made on: ids
# sort by creation among themselves, and before all ids that the server makes afterwards.
START: Final = 1_609_718_400_000
DAY: Final = 86_400_000  # milliseconds
RANDOM_BITS: Final = 74
_TAIL: Final = (1 << 62) - 1


def stamped(day: int, millis: int, bits: int) -> UUID:
    """The id of what is made so many milliseconds into a day of the history, from 74 random bits."""
    stamp = START + day * DAY + millis
    return UUID(int=stamp << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & _TAIL)


def named_id(kind: str, key: object, day: int = 0, millis: int = 0) -> UUID:
    """The id of what has a name of its own; `kind` and `key` are its natural key."""
    digest = int.from_bytes(sha256(f"{kind}:{key}".encode()).digest(), "big")
    return stamped(day, millis, digest >> (256 - RANDOM_BITS))
