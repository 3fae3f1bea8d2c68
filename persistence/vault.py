"""Encryption of personal fields: a key for each person, itself encrypted with the firm's.

Destroying a person's key erases all that was encrypted for it, wherever it stands, audit trail included. A backup from
before still holds the key.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, LargeBinary, any_, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import Uuid

from persistence.database import Lent
from persistence.metadata import UUIDS, table
from persistence.scope import common

NONCE_BYTES: Final = 12

person_keys = table(
    "person_keys",
    common(),
    Column("person_id", Uuid, primary_key=True),
    Column("sealed_key", LargeBinary, nullable=False),
)

KEYS = select(person_keys.c.person_id, person_keys.c.sealed_key).where(
    person_keys.c.person_id == any_(bindparam("keys", type_=UUIDS))
)
ADD = (
    insert(person_keys)
    .values(person_id=bindparam("person_id"), sealed_key=bindparam("sealed_key"))
    .on_conflict_do_nothing()
)


class Vault:
    """Seals and opens personal fields on a lent connection."""

    def __init__(self, lent: Lent, field_key: bytes) -> None:
        self._lent = lent
        self._firm = AESGCM(field_key)
        self._known: dict[UUID, AESGCM] = {}

    async def seal(self, person_id: UUID, text: str) -> bytes:
        """Encrypt for a person."""
        await self.prepare([person_id])
        return self.sealed(person_id, text.encode())

    async def open(self, person_id: UUID, sealed: bytes) -> str:
        """Decrypt what was sealed for a person."""
        await self.prepare([person_id])
        return _open(self._known[person_id], sealed, person_id).decode()

    async def prepare(self, person_ids: Iterable[UUID]) -> None:
        """Have these persons' keys at hand, made where there are none."""
        missing = set(person_ids) - self._known.keys()
        if not missing:
            return
        await self._read(missing)
        for person_id in sorted(missing - self._known.keys()):
            key = AESGCM.generate_key(bit_length=256)
            sealed = seal_with(self._firm, key, person_id)
            await self._lent.rows(ADD, {"person_id": person_id, "sealed_key": sealed})
        # Read again: where two transactions made a key at once, the first one's stands.
        await self._read(missing - self._known.keys())

    async def _read(self, person_ids: Iterable[UUID]) -> None:
        wanted = list(person_ids)
        if wanted:
            rows = await self._lent.rows(KEYS, {"keys": wanted})
            self._known |= {row[0]: AESGCM(_open(self._firm, row[1], row[0])) for row in rows}

    def sealed(self, person_id: UUID, data: bytes) -> bytes:
        """Encrypt for a person whose key is at hand."""
        return seal_with(self._known[person_id], data, person_id)


def seal_with(key: AESGCM, data: bytes, person_id: UUID) -> bytes:
    """Encrypt for a person with its key, or the firm's."""
    nonce = os.urandom(NONCE_BYTES)
    # The person's id is authenticated, so that one person's field cannot be passed off as another's.
    return nonce + key.encrypt(nonce, data, person_id.bytes)


def resealed(sealed_key: bytes, person_id: UUID, old: bytes, new: bytes) -> bytes:
    """A person's key under another key of the firm. Raises InvalidTag if the old one does not open it."""
    return seal_with(AESGCM(new), _open(AESGCM(old), sealed_key, person_id), person_id)


def _open(key: AESGCM, sealed: bytes, person_id: UUID) -> bytes:
    return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], person_id.bytes)


def sealed_keys(field_key: bytes, person_ids: Iterable[UUID]) -> Mapping[UUID, tuple[AESGCM, bytes]]:
    """New keys for many persons at once, each with its sealed form, for whoever loads in bulk."""
    firm = AESGCM(field_key)
    made = {person_id: AESGCM.generate_key(bit_length=256) for person_id in person_ids}
    return {person_id: (AESGCM(key), seal_with(firm, key, person_id)) for person_id, key in made.items()}
