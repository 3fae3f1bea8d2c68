"""The firm's keys: the newest seals the keys of persons, and those before it still open what they have sealed."""

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32


class KeyRing:
    """The keys that a firm has at hand, each known by its fingerprint."""

    def __init__(self, newest: bytes, *older: bytes) -> None:
        self.keys = (newest, *older)
        # The fingerprint of the key that seals.
        self.newest = fingerprint(newest)
        self._ciphers: Mapping[str, AESGCM] = {fingerprint(key): AESGCM(key) for key in self.keys}

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._ciphers

    def seal(self, key: bytes, person_id: UUID) -> bytes:
        """A person's key under the newest of the firm."""
        return seal_with(self._ciphers[self.newest], key, person_id)

    def open(self, sealed_key: bytes, person_id: UUID, key_id: str | None = None) -> bytes:
        """A person's key. `key_id` is the fingerprint of what has sealed it; without one each key is tried.

        Raises InvalidTag where none opens it.
        """
        known = self._ciphers.get(key_id) if key_id else None
        for cipher in (known,) if known else self._ciphers.values():
            try:
                return open_with(cipher, sealed_key, person_id)
            except (InvalidTag, ValueError):
                continue
        raise InvalidTag


def fingerprint(key: bytes) -> str:
    """What tells two keys apart and gives neither away: they are random, so that nobody finds one by trying."""
    return sha256(b"steward field key\0" + key).hexdigest()[:32]


def seal_with(key: AESGCM, data: bytes, person_id: UUID) -> bytes:
    """Encrypt for a person with its key, or the firm's."""
    nonce = os.urandom(NONCE_BYTES)
    # The person's id is authenticated, so that one person's field cannot be passed off as another's.
    return nonce + key.encrypt(nonce, data, person_id.bytes)


def open_with(key: AESGCM, sealed: bytes, person_id: UUID) -> bytes:
    """Decrypt what was encrypted for a person; raises InvalidTag or ValueError where it was not, or not so."""
    return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], person_id.bytes)
