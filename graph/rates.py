"""Budgets by the minute: requests, and cost points, of users, of service keys and of addresses."""

import math
from datetime import datetime
from enum import StrEnum
from typing import Self

import msgspec
from limits import RateLimitItemPerMinute

from domain.clock import Clock
from domain.errors import TooComplex
from domain.origin import network_of
from graph.http.meters import AtOnce, OverLimit, Standing
from persistence.rates import Limiter, Window, Windows


class Kind(StrEnum):
    """What a caller is known by."""

    USER = "user"
    KEY = "key"
    ADDRESS = "address"


class Caller(msgspec.Struct, frozen=True):
    """Whoever is charged: all sessions of a user are one, and so are all that have not signed in at an address."""

    kind: Kind
    name: str

    @classmethod
    def at(cls, address: str) -> Self:
        """Whoever is at an address; at any of the same network, for IPv6."""
        return cls(Kind.ADDRESS, network_of(address))

    @property
    def key(self) -> str:
        """What its budgets are kept under."""
        return f"{self.kind}:{self.name}"


class Allowance(msgspec.Struct, frozen=True):
    """What callers may use in a minute: requests, and points of cost, after signing in and before."""

    requests: int = 100
    cost: int = 20_000
    anonymous_requests: int = 120
    anonymous_cost: int = 6_000

    def request_item(self, kind: Kind) -> RateLimitItemPerMinute:
        """The budget of requests."""
        most = self.anonymous_requests if kind is Kind.ADDRESS else self.requests
        return RateLimitItemPerMinute(most, namespace="requests")

    def cost_item(self, kind: Kind) -> RateLimitItemPerMinute:
        """The budget of points."""
        return RateLimitItemPerMinute(self.anonymous_cost if kind is Kind.ADDRESS else self.cost, namespace="cost")

    @property
    def failure_item(self) -> RateLimitItemPerMinute:
        """How many tokens that are none an address may try."""
        return RateLimitItemPerMinute(self.anonymous_requests, namespace="failures")


class Rates:
    """The budgets of all callers."""

    def __init__(self, windows: Windows, allowance: Allowance, clock: Clock) -> None:
        self._limiter = Limiter(windows)
        self._clock = clock
        self._requests = {kind: allowance.request_item(kind) for kind in Kind}
        self._costs = {kind: allowance.cost_item(kind) for kind in Kind}
        self._failures = allowance.failure_item

    async def request(self, caller: Caller) -> Standing:
        """Count a request; raises RateLimited, which says how long to wait."""
        item = self._requests[caller.kind]
        window = await self._limiter.take(item, caller.key)
        standing = self._standing(item, window)
        if not window.taken:
            raise OverLimit(f"Too many requests: {item.amount} a minute are answered.", standing)
        return standing

    async def failed(self, caller: Caller) -> None:
        """Count a token that was none."""
        await self._limiter.take(self._failures, caller.key)

    async def check_failures(self, caller: Caller) -> None:
        """Refuse an address that tries token after token, before the database is asked of another."""
        if not await self._limiter.test(self._failures, caller.key):
            window = await self._limiter.windows.window(self._failures.key_for(caller.key))
            raise OverLimit("Too many tokens that are none.", self._standing(self._failures, window))

    async def take(self, caller: Caller, points: int) -> Window:
        """Charge points; raises RateLimited if they are not left, TooComplex if they are more than a whole minute's."""
        item = self._costs[caller.kind]
        if points > item.amount:
            issue = f"requested {points} points, limit {item.amount} a minute"
            raise TooComplex(f"The operation costs too much: {issue}.", (("cost", issue),))
        window = await self._limiter.take(item, caller.key, points)
        if not window.taken:
            standing = self._standing(item, window)
            raise OverLimit(
                f"The operation costs {points} points, of which {standing.remaining} are left in this minute.", standing
            )
        return window

    def at_once(self, caller: Caller) -> AtOnce:
        """What charges points without waiting."""
        item, take = self._costs[caller.kind], self._limiter.windows.take_at_once
        key, most, seconds = item.key_for(caller.key), item.amount, item.get_expiry()

        def charge(points: int) -> tuple[int, datetime] | None:
            window = take(key, most, seconds, points)
            return (most - window.used, window.ends_at) if window is not None and window.taken else None

        return charge

    async def give_back(self, caller: Caller, window: Window, points: int) -> Standing:
        """Give back to the window that was taken from; less than nothing is taken whatever is left."""
        item = self._costs[caller.kind]
        if points:
            window = await self._limiter.give_back(item, caller.key, window, points)
        return self._standing(item, window)

    def standing_of(self, caller: Caller, window: Window) -> Standing:
        """What is left of the points."""
        return self._standing(self._costs[caller.kind], window)

    def _standing(self, item: RateLimitItemPerMinute, window: Window | None) -> Standing:
        now = self._clock()
        used, ends_at = (window.used, window.ends_at) if window else (0, now)
        return Standing(item.amount, max(0, item.amount - used), ends_at, seconds_until(ends_at, now))


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds, rounded up: whoever waits that long is not too early."""
    return max(0, math.ceil((moment - now).total_seconds()))


class Bill:
    """What a caller was charged for an operation, until it is settled."""

    def __init__(self, rates: Rates, caller: Caller, window: Window, points: int) -> None:
        self._rates = rates
        self._caller = caller
        self._window = window
        self._points = points

    @property
    def standing(self) -> Standing:
        """What the caller has left now that it is charged."""
        return self._rates.standing_of(self._caller, self._window)

    async def settle(self, actual: int) -> Standing:
        """Give back what was not needed, and say what the caller has left."""
        return await self._rates.give_back(self._caller, self._window, self._points - actual)


class Meter:
    """Charges the operations of one caller."""

    def __init__(self, rates: Rates, caller: Caller, address: str) -> None:
        self._rates = rates
        self._caller = caller
        self._address = address

    async def request(self) -> None:
        """Count an operation on a socket as a request; raises RateLimited."""
        await self._rates.request(self._caller)

    async def charge(self, points: int, by_address: int = 0) -> Bill:
        """Charge points before they are used, `by_address` to the address as well; raises RateLimited."""
        if by_address and self._caller.kind is not Kind.ADDRESS:
            await self._rates.take(Caller.at(self._address), by_address)
        return Bill(self._rates, self._caller, await self._rates.take(self._caller, points), points)

    def at_once(self) -> AtOnce:
        """What charges points without waiting."""
        return self._rates.at_once(self._caller)
