"""Which passwords are good enough, and how they are hashed and checked."""

import asyncio
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from math import prod
from typing import Final

import argon2

from domain.errors import Refusal, RefusalCode
from domain.identity.entities import Credential
from domain.text import fold, words

SHORTEST_PASSWORD: Final = 12
# Hashing and guessing cost more with length.
LONGEST_PASSWORD: Final = 256
# Guesses that a password must stand: by zxcvbn's measure the safe side of an attack on a slow hash.
FEWEST_GUESSES: Final = 10**10
# Of a long password any stretch of this length may be the strong one; the whole would cost seconds.
STRETCH: Final = 32
SHORTEST_WORD: Final = 3
# zxcvbn tries every combination of readings of such marks, which are seconds where there are many of them.
MOST_READINGS: Final = 16
PLAINEST: Final = str.maketrans("4@8({[<3691!|70$5+%2", "aabcccceggiiltosstxz")


def normalized(password: str) -> str:
    """A password as it is hashed and checked: the same, however a keyboard has composed its letters."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *about: str, field: str = "newPassword") -> None:
    """Whether a password may be had (NIST SP 800-63B: long enough, and not a guess). Refuses: WEAK_PASSWORD.

    `about` are texts on its user, such as name and address, whose words are the first guesses. It costs milliseconds:
    call it off the event loop.
    """

    def weak(message: str) -> Refusal:
        return Refusal(RefusalCode.WEAK_PASSWORD, message, ("input", field))

    # Bounded before it is normalised, too: one sign can become eighteen.
    text = password if len(password) > LONGEST_PASSWORD else normalized(password)
    if len(text) < SHORTEST_PASSWORD:
        raise weak(f"A password has at least {SHORTEST_PASSWORD} characters.")
    if len(text) > LONGEST_PASSWORD:
        raise weak(f"A password has at most {LONGEST_PASSWORD} characters.")
    known = _known(*about)
    if all(_guesses(stretch, known) < FEWEST_GUESSES for stretch in _stretches(text)):
        raise weak("This password is among the first that somebody would guess; some unrelated words are a good one.")


def _known(*about: str) -> list[str]:
    """What an attacker tries first: each text as it is, an address without its host, and the words of them all."""
    whole = {fold(each) for text in about for each in (text, text.partition("@")[0])}
    return sorted(word for word in whole | words("steward", *about) if len(word) >= SHORTEST_WORD)


def _stretches(text: str) -> Iterator[str]:
    """The parts of a text, overlapping, each as long as is looked at at once."""
    yield text[:STRETCH]
    for start in range(STRETCH // 2, len(text) - STRETCH // 2, STRETCH // 2):
        yield text[start : start + STRETCH]


def _guesses(text: str, known: list[str]) -> float:
    """After how many guesses an attacker finds a text who knows some words on its owner."""
    # Its lists are large, and only those who choose a password need them.
    from zxcvbn import matching, scoring  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types

    readings = matching.relevant_l33t_subtable(text, matching.L33T_TABLE).values()
    if prod(map(len, readings)) > MOST_READINGS:
        text = text.translate(PLAINEST)
    # Not by its own front, which keeps the words of the last user in a global for the next.
    ranked = {**matching.RANKED_DICTIONARIES, "user_inputs": matching.build_ranked_dict(known)}
    found = scoring.most_guessable_match_sequence(text, matching.omnimatch(text, ranked))
    return float(found["guesses"])


# Each hash takes 64 MB while it is made; whoever comes meanwhile waits, and takes none.
AT_ONCE: Final = 2


class Passwords:
    """Hashes and checks passwords with Argon2id, off the event loop."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        # Checked for an unknown address, so that it takes the same time as a wrong password.
        self._decoy = _decoy(self._hasher)
        self._turns = asyncio.Semaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """The hash to store."""
        return self._hasher.hash(normalized(password))

    async def chosen(self, password: str, *about: str, field: str = "newPassword") -> str:
        """The hash of a password that somebody chooses, off the event loop. Refuses: WEAK_PASSWORD."""
        await asyncio.to_thread(check_password, password, *about, field=field)
        async with self._turns:
            return await asyncio.to_thread(self.hash, password)

    async def matches(self, known: Credential | None, password: str) -> bool:
        """Whether the password is right; it takes as long where there is none to be right."""
        stored = known.password_hash if known else self._decoy
        async with self._turns:
            right = await asyncio.to_thread(self._matches, stored, password)
        return right and known is not None

    def _matches(self, stored: str, password: str) -> bool:
        # What no password can be still costs as much as one.
        text = normalized(password) if len(password) <= LONGEST_PASSWORD else ""
        try:
            return self._hasher.verify(stored, text)
        except argon2.exceptions.VerificationError:
            return False


def _decoy(hasher: argon2.PasswordHasher) -> str:
    """A hash that costs as much to check as the hasher's own, of no password at all."""
    salt, tag = [
        b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    ]
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={argon2.low_level.ARGON2_VERSION}${costs}${salt}${tag}"
