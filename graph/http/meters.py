"""What the endpoint asks of whoever counts: budgets by the minute, and what answers say of them."""

import math
from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from domain.clock import Clock
from domain.errors import RateLimited
from domain.origin import Origin

STATE: Final = "rates"
# Browsers show a page of another site only the headers that are named to them.
EXPOSED: Final = ("retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


class Standing(msgspec.Struct, frozen=True):
    """What a caller has left of a budget, and when it is whole again: as a moment, and in seconds from now."""

    limit: int
    remaining: int
    resets_at: datetime
    clock: Clock

    @property
    def seconds(self) -> int:
        """Whole seconds, rounded up: whoever waits that long is not too early."""
        return max(0, math.ceil((self.resets_at - self.clock()).total_seconds()))

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """As the usual headers say it, in ASGI's form."""
        return (
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.seconds),
        )

    @property
    def lines(self) -> bytes:
        """The same as they go over the wire."""
        told = self.limit, self.remaining, self.seconds
        return b"ratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d\r\n" % told


class OverLimit(RateLimited):
    """A budget is used up."""

    def __init__(self, message: str, standing: Standing) -> None:
        super().__init__(message, retry_after=max(1, standing.seconds))
        self.standing = standing


# Charges points, and tells what is left and when it is whole again; None, and nothing is charged, if too little is left
# or it cannot be told without waiting.
AtOnce = Callable[[int], tuple[int, datetime] | None]


class Bill(Protocol):
    """What an operation was charged, until it is settled."""

    @property
    def points(self) -> int:
        """What it was charged."""

    @property
    def standing(self) -> Standing:
        """What the caller has left now that it is charged, or that it is settled."""

    async def settle(self, actual: int) -> None:
        """Give back what was not needed."""


class Meter(Protocol):
    """Charges the operations of one caller."""

    async def request(self) -> None:
        """Count an operation on a socket as a request. Raises RateLimited."""

    async def charge(self, points: int, by_address: int = 0) -> Bill:
        """Charge points, some to the address as well. Raises RateLimited, or TooComplex if a minute never has them."""

    def at_once(self) -> AtOnce:
        """What charges points without waiting."""


class Admitted(NamedTuple):
    """A request that was counted: what is left, and what was found of its token, for who makes its context."""

    standing: Standing
    found: object = None


class Gate(Protocol):
    """Counts requests before anything is read of them."""

    def admit_at_once(self, found: object) -> Standing | None:
        """Count a request of whom was `found` before; none, and nothing is counted, if that is not as simple."""

    async def admit(self, token: str | None, origin: Origin) -> Admitted:
        """Count a request to whom its token names, else to its address. Raises RateLimited."""

    async def failed(self, origin: Origin) -> None:
        """Count a token that was none to the address."""


def note(scope: MutableMapping[str, Any], standing: Standing) -> None:
    """Keep for the answer what its headers are to say."""
    scope.setdefault("state", {})[STATE] = standing


def noted(scope: MutableMapping[str, Any]) -> Standing | None:
    """What was noted of the budget, if anything was."""
    standing: Standing | None = scope.get("state", {}).get(STATE)
    return standing
