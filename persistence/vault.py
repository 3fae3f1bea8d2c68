"""Encryption of personal fields: a key for each person, itself encrypted with the firm's.

Destroying a person's key erases all that was encrypted for it, wherever it stands, audit trail included. A backup from
before still holds the key.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import CheckConstraint, Column, LargeBinary, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import Uuid

from domain.errors import Refusal, RefusalCode
from persistence.database import Lent
from persistence.keyring import KeyRing, open_with, seal_with
from persistence.metadata import MOMENT, UUIDS, table
from persistence.scope import common

person_keys = table(
    "person_keys",
    common(),
    Column("person_id", Uuid, primary_key=True),
    Column("sealed_key", LargeBinary),
    # The fingerprint of the firm's key that has sealed it; none where that was before there were several.
    Column("key_id", Text),
    # The row of a destroyed key stays, so that none is ever made again for that person.
    Column("destroyed_at", MOMENT),
    CheckConstraint("(sealed_key is null) = (destroyed_at is not null)", name="destroyed"),
)

KEYS: Final = select(person_keys.c.person_id, person_keys.c.sealed_key, person_keys.c.key_id).where(
    person_keys.c.person_id == any_(bindparam("keys", type_=UUIDS)), person_keys.c.sealed_key.is_not(None)
)
ADD: Final = (
    insert(person_keys)
    .values({name: bindparam(name) for name in ("person_id", "sealed_key", "key_id")})
    .on_conflict_do_nothing()
)
# A vetted function of the migration, which tells whether there was a key, or none was ever made.
DESTROY: Final = select(func.destroy_key(bindparam("person_id", type_=Uuid), bindparam("at", type_=MOMENT)))


class Vault:
    """Seals and opens personal fields on a lent connection."""

    def __init__(self, lent: Lent, ring: KeyRing) -> None:
        self._lent = lent
        self._ring = ring
        self._known: dict[UUID, AESGCM] = {}

    async def seal(self, person_id: UUID, text: str) -> bytes:
        """Encrypt for a person, whose key is made if there is none. Refuses: ERASED."""
        await self.prepare([person_id])
        if not self.keeps(person_id):
            raise Refusal(RefusalCode.ERASED, "The personal data was erased, and nothing is kept of it any more.")
        return self.sealed(person_id, text.encode())

    async def open(self, person_id: UUID, sealed: bytes) -> str:
        """Decrypt what was sealed for a person.

        Raises InvalidTag for one whose key is gone: none is made, for what a destroyed key has sealed stays sealed.
        """
        await self.fetch([person_id])
        return self.opened(person_id, sealed).decode()

    async def prepare(self, person_ids: Iterable[UUID]) -> None:
        """Have these persons' keys at hand to seal with, made where there are none; none is for a destroyed one."""
        wanted = set(person_ids)
        await self.fetch(wanted)
        missing = wanted - self._known.keys()
        for person_id in sorted(missing):
            sealed = self._ring.seal(AESGCM.generate_key(bit_length=256), person_id)
            await self._lent.rows(ADD, {"person_id": person_id, "sealed_key": sealed, "key_id": self._ring.newest})
        # Read again: where two transactions made a key at once, the first one's stands.
        await self.fetch(missing)

    async def fetch(self, person_ids: Iterable[UUID]) -> None:
        """Have these persons' keys at hand to open with, as far as there are any."""
        wanted = list(set(person_ids) - self._known.keys())
        if wanted:
            rows = await self._lent.rows(KEYS, {"keys": wanted})
            self._known |= {row[0]: AESGCM(self._ring.open(row[1], row[0], row[2])) for row in rows}

    async def destroy(self, person_id: UUID, at: datetime) -> bool:
        """Destroy a person's key, for good and whether there was one or not; false if that was done before."""
        self._known.pop(person_id, None)
        return bool((await self._lent.rows(DESTROY, {"person_id": person_id, "at": at}))[0][0])

    def keeps(self, person_id: UUID) -> bool:
        """Whether a person's key is at hand; one that was prepared and is not was destroyed."""
        return person_id in self._known

    def sealed(self, person_id: UUID, data: bytes) -> bytes:
        """Encrypt for a person whose key is at hand."""
        return seal_with(self._known[person_id], data, person_id)

    def opened(self, person_id: UUID, sealed: bytes) -> bytes:
        """Decrypt what was sealed for a person; raises InvalidTag if its key is not at hand."""
        key = self._known.get(person_id)
        if key is None:
            raise InvalidTag
        return open_with(key, sealed, person_id)

    def opened_or_none(self, person_id: UUID | None, sealed: bytes) -> bytes | None:
        """As `opened`; nothing where there is no such person, or its key is gone."""
        try:
            return self.opened(person_id, sealed) if person_id is not None else None
        except (InvalidTag, ValueError):
            return None


def sealed_keys(ring: KeyRing, person_ids: Iterable[UUID]) -> Mapping[UUID, tuple[AESGCM, bytes]]:
    """New keys for many persons at once, each with its sealed form, for whoever loads in bulk."""
    made = {person_id: AESGCM.generate_key(bit_length=256) for person_id in person_ids}
    return {person_id: (AESGCM(key), ring.seal(key, person_id)) for person_id, key in made.items()}
