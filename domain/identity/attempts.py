"""Attempts at proving who one is: each is counted before its proof is looked at, and many of them have to wait.

Counted first, and under a row lock, a hundred guesses at once are no more than a hundred in a row. The wait is the same
for accounts that there are and those that there are not.
"""

import math
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from domain.entities import Entity
from domain.errors import RateLimited
from domain.origin import Origin, network_of
from domain.work import Work

SHORTEST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(minutes=15)
# A failure is forgotten for each hour without another, so that an office behind one address never piles them up.
FORGOTTEN_IN: Final = timedelta(hours=1)
QUIET: Final = timedelta(days=1)
# Beyond, the wait no longer grows.
MOST_DOUBLINGS: Final = 10


class Attempts(Entity, frozen=True):
    """The failed attempts under a key, and until when there may be no further one, if that is after the last."""

    key: str
    failures: int
    last_failed_at: datetime
    blocked_until: datetime

    def left(self, now: datetime) -> timedelta:
        """How long nobody may try yet."""
        # A transaction that began before the one that has written this must not take its moment for a wait.
        blocked = self.blocked_until > self.last_failed_at
        return max(self.blocked_until - now, timedelta(0)) if blocked else timedelta(0)


class Key(msgspec.Struct, frozen=True):
    """What attempts are counted by, and how many of them have no wait."""

    text: str
    free: int


class Limits(msgspec.Struct, frozen=True):
    """How many attempts on an account, and how many from an address, have no wait."""

    account: int = 5
    address: int = 30


class AttemptRows(Protocol):
    """The storage of attempts."""

    async def locked(self, key: str, now: datetime) -> Attempts: ...  # noqa: D102 - the signature says it, here and below
    async def save(self, attempts: Attempts) -> None: ...  # noqa: D102
    async def forgive(self, key: str, failures: int) -> None: ...  # noqa: D102


def of_account(account: str, limits: Limits, *, proof: str = "account") -> Key:
    """The key of an account, by what stands for it; each kind of proof is counted apart."""
    return Key(f"{proof}:{account}", limits.account)


def of_address(origin: Origin, limits: Limits) -> Key:
    """The key of the address that attempts come from; of an IPv6 address, its network's."""
    return Key(f"address:{network_of(origin.address)}", limits.address)


def wait_after(failures: int, free: int) -> timedelta:
    """How long nobody may try after so many failures."""
    if failures < free:
        return timedelta(0)
    doubled = 1 << min(failures - free, MOST_DOUBLINGS)
    return min(SHORTEST_WAIT * doubled, LONGEST_WAIT)


def failed(before: Attempts, free: int, now: datetime) -> Attempts:
    """The attempts with one more."""
    quiet = now - before.last_failed_at
    kept = 0 if quiet >= QUIET else max(0, before.failures - int(quiet / FORGOTTEN_IN))
    failures = min(kept + 1, free + MOST_DOUBLINGS)
    return Attempts(before.key, failures, now, now + wait_after(failures, free))


async def count(work: Work, *keys: Key) -> RateLimited | None:
    """Count an attempt under each key, or under none and say how long to wait, if one of them is blocked.

    The refusal is returned and not raised, for what a verb has written before it must be committed. Keys are locked in
    the order given, which is the address before the account.
    """
    known = [await work.attempts.locked(key.text, work.now) for key in keys]
    if left := max(each.left(work.now) for each in known):
        seconds = math.ceil(left.total_seconds())
        return RateLimited("Too many attempts; wait a while.", retry_after=seconds)
    for key, before in zip(keys, known, strict=True):
        await work.attempts.save(failed(before, key.free, work.now))
    return None


async def succeeded(work: Work, account: Key, address: Key | None = None) -> None:
    """Forget the failures of an account after a good proof, and of its address this one attempt, which was none.

    An address keeps the others, or whoever has an account could guess at others' for ever.
    """
    if address:
        await work.attempts.forgive(address.text, 1)
    await work.attempts.forgive(account.text, account.free + MOST_DOUBLINGS)
