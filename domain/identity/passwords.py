"""Hashing and checking of passwords."""

import asyncio
import secrets
from base64 import b64encode
from uuid import UUID

import argon2

from domain.errors import Unauthenticated
from domain.identity.entities import Credential


class Passwords:
    """Hashes and checks passwords with Argon2id, off the event loop."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        # Checked for an unknown address, so that it takes the same time as a wrong password.
        self._decoy = _decoy(self._hasher)

    def hash(self, password: str) -> str:
        """The hash to store."""
        return self._hasher.hash(password)

    async def verified(self, known: Credential | None, password: str) -> UUID:
        """The user's id, if the password is right; raises Unauthenticated, the same for an unknown address."""
        stored = known.password_hash if known else self._decoy
        matches = await asyncio.to_thread(self._matches, stored, password)
        if known is None or not matches:
            raise Unauthenticated("The address or the password is wrong.", reason="INVALID")
        return known.id

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except argon2.exceptions.VerificationError:
            return False


def _decoy(hasher: argon2.PasswordHasher) -> str:
    """A hash that costs as much to check as the hasher's own, of no password at all."""
    salt, tag = [
        b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    ]
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={argon2.low_level.ARGON2_VERSION}${costs}${salt}${tag}"
