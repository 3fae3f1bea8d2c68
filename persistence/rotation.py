"""Exchange of the firm's key: every person's key is sealed anew, some at a time, beside servers that go on working.

Each batch is a transaction of its own, so that whoever is killed leaves nothing half done, and the next goes on where
it was. The personal fields themselves, and the audit trail, stay as they are: it is the persons' keys that they need.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from cryptography.exceptions import InvalidTag

from domain.entities import IdMaker
from persistence.database import OWNER
from persistence.keyring import KeyRing
from persistence.setup import TRACE, connect

BATCH: Final = 500
FIRST: Final = UUID(int=0)
DUE: Final = """
select person_id, sealed_key, key_id from person_keys
where key_id is distinct from $1 and sealed_key is not null and person_id > $2 order by person_id limit $3 for update
"""
RESEAL: Final = """
update person_keys set sealed_key = renewed.sealed_key, key_id = $3
from unnest($1::uuid[], $2::bytea[]) as renewed (person_id, sealed_key)
where person_keys.person_id = renewed.person_id
"""
ALL: Final = """
select person_id, sealed_key from person_keys
where sealed_key is not null and person_id > $1 order by person_id limit $2
"""


class Rotation(msgspec.Struct, frozen=True):
    """How many persons' keys were sealed anew, and how many none of the keys at hand opens."""

    resealed: int = 0
    lost: int = 0


class Check(msgspec.Struct, frozen=True):
    """How many persons' keys there are, and how many of them the newest key alone does not open."""

    keys: int = 0
    others: int = 0


async def rotate(url: str, ring: KeyRing, now: datetime, *, batch: int = BATCH) -> Rotation:
    """Seal every person's key with the newest of the ring. Raises SetupError if the database is out of reach."""
    done = Rotation()
    async with _owner(url) as connection:
        while True:
            turn = await _turn(connection, ring, batch)
            done = Rotation(done.resealed + turn.resealed, turn.lost)
            # Servers that still had the old key may have sealed behind it; then there is something to do once more.
            if not turn.resealed:
                break
        after = msgspec.json.encode({"key_id": ring.newest, "resealed": done.resealed, "lost": done.lost}).decode()
        what = ("command.rotate_field_key", "FieldKey", None, after)
        await connection.execute(TRACE, IdMaker().make(now), now, *what)
    return done


async def _turn(connection: "Connection[Record]", ring: KeyRing, batch: int) -> Rotation:
    """Go once through all that is due."""
    resealed, lost, last = 0, 0, FIRST
    while True:
        async with connection.transaction():
            rows = await connection.fetch(DUE, ring.newest, last, batch)
            renewed = {row["person_id"]: sealed for row in rows if (sealed := _renewed(ring, row))}
            await connection.execute(RESEAL, list(renewed), list(renewed.values()), ring.newest)
        resealed += len(renewed)
        lost += len(rows) - len(renewed)
        if len(rows) < batch:
            return Rotation(resealed, lost)
        last = rows[-1]["person_id"]


def _renewed(ring: KeyRing, row: Record) -> bytes | None:
    """A row's key sealed anew, or none where it cannot be opened."""
    person_id, sealed_key, key_id = row
    try:
        return ring.seal(ring.open(sealed_key, person_id, key_id), person_id)
    except InvalidTag:
        return None


async def check(url: str, ring: KeyRing, *, batch: int = BATCH) -> Check:
    """Whether the newest key alone opens all; each is tried. Raises SetupError if the database is out of reach."""
    alone = KeyRing(ring.keys[0])
    keys, others, last = 0, 0, FIRST
    async with _owner(url) as connection:
        while rows := await connection.fetch(ALL, last, batch):
            keys += len(rows)
            others += sum(not _opens(alone, row) for row in rows)
            last = rows[-1]["person_id"]
    return Check(keys, others)


def _opens(ring: KeyRing, row: Record) -> bool:
    try:
        ring.open(row["sealed_key"], row["person_id"])
    except InvalidTag:
        return False
    return True


@asynccontextmanager
async def _owner(url: str) -> AsyncIterator["Connection[Record]"]:
    """A connection as the owner of the tables: the server itself may change no person's key."""
    connection = await connect(url)
    try:
        await connection.execute(f"set role {OWNER}")
        yield connection
    finally:
        await connection.close()
