"""Budgets by the minute: requests, and cost points, of users, of service keys and of addresses."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final, NamedTuple, Self

import msgspec
from limits import RateLimitItemPerMinute

from domain.clock import Clock
from domain.errors import TooComplex
from domain.identity import Claims
from domain.origin import network_of
from graph.http.meters import AtOnce, OverLimit, Standing
from persistence.rates import Limiter, Window, Windows

# Of callers that came last.
MOST_KEYS: Final = 4096


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
    def of(cls, claims: Claims) -> Self:
        """The user who has signed in."""
        return cls(Kind.USER, str(claims.user_id))

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
        """The budget of requests; users and keys have the same."""
        most = self.anonymous_requests if kind is Kind.ADDRESS else self.requests
        return RateLimitItemPerMinute(most, namespace="requests")

    def cost_item(self, kind: Kind) -> RateLimitItemPerMinute:
        """The budget of points."""
        return RateLimitItemPerMinute(self.anonymous_cost if kind is Kind.ADDRESS else self.cost, namespace="cost")

    @property
    def failure_item(self) -> RateLimitItemPerMinute:
        """How many tokens that are none an address may try."""
        return RateLimitItemPerMinute(self.anonymous_requests, namespace="failures")


class Budget(NamedTuple):
    """What a caller may use in so many seconds, and the key that its use of it is kept under."""

    key: str
    most: int
    seconds: int

    @classmethod
    def of(cls, caller: Caller, item: RateLimitItemPerMinute) -> Self:
        """As the library has it, which puts its keys together anew at each use."""
        return cls(item.key_for(caller.key), item.amount, item.get_expiry())


class Budgets(NamedTuple):
    """What a caller may use."""

    requests: Budget
    cost: Budget

    @classmethod
    def of(cls, allowance: Allowance, caller: Caller) -> Self:
        """As callers of its kind are allowed to."""
        kind = caller.kind
        return cls(Budget.of(caller, allowance.request_item(kind)), Budget.of(caller, allowance.cost_item(kind)))


class Rates:
    """The budgets of all callers."""

    def __init__(self, windows: Windows, allowance: Allowance, clock: Clock) -> None:
        self._windows = windows
        self._limiter = Limiter(windows)
        self._clock = clock
        self._budgets = lru_cache(MOST_KEYS)(partial(Budgets.of, allowance))
        self._failures = allowance.failure_item

    async def request(self, caller: Caller) -> Standing:
        """Count a request; raises RateLimited, which says how long to wait."""
        if (counted := self.request_at_once(caller)) is not None:
            return counted
        budget = self._budgets(caller).requests
        window = await self._windows.take(*budget, 1)
        standing = self._standing(budget.most, window)
        if not window.taken:
            raise OverLimit(f"Too many requests: {budget.most} a minute are answered.", standing)
        return standing

    def request_at_once(self, caller: Caller) -> Standing | None:
        """As `request`; none, and nothing is counted, if nothing is left or it has to be waited for."""
        budget = self._budgets(caller).requests
        window = self._windows.take_at_once(*budget, 1)
        return self._standing(budget.most, window) if window is not None and window.taken else None

    async def failed(self, caller: Caller) -> None:
        """Count a token that was none."""
        await self._limiter.hit(self._failures, caller.key)

    async def check_failures(self, caller: Caller) -> None:
        """Refuse an address that tries token after token, before the database is asked of another."""
        failures = self._failures
        if not await self._limiter.test(failures, caller.key):
            window = await self._windows.window(failures.key_for(caller.key)) or Window(0, self._clock())
            raise OverLimit("Too many tokens that are none.", self._standing(failures.amount, window))

    async def take(self, caller: Caller, points: int) -> Window:
        """Charge points; raises RateLimited if they are not left, TooComplex if they are more than a whole minute's."""
        budget = self._budgets(caller).cost
        if points > budget.most:
            issue = f"requested {points} points, limit {budget.most} a minute"
            raise TooComplex(f"The operation costs too much: {issue}.", (("cost", issue),))
        window = self._windows.take_at_once(*budget, points) or await self._windows.take(*budget, points)
        if not window.taken:
            standing = self._standing(budget.most, window)
            raise OverLimit(
                f"The operation costs {points} points, of which {standing.remaining} are left in this minute.", standing
            )
        return window

    def at_once(self, caller: Caller) -> AtOnce:
        """What charges points without waiting."""
        (key, most, seconds), take = self._budgets(caller).cost, self._windows.take_at_once

        def charge(points: int) -> tuple[int, datetime] | None:
            window = take(key, most, seconds, points)
            return (most - window.used, window.ends_at) if window is not None and window.taken else None

        return charge

    async def give_back(self, caller: Caller, window: Window, points: int) -> Window:
        """Give back to the window that was taken from; less than nothing is taken whatever is left."""
        return await self._windows.give_back(self._budgets(caller).cost.key, window.ends_at, points)

    def standing_of(self, caller: Caller, window: Window) -> Standing:
        """What is left of the points."""
        return self._standing(self._budgets(caller).cost.most, window)

    def _standing(self, most: int, window: Window) -> Standing:
        return Standing(most, max(0, most - window.used), window.ends_at, self._clock)


class Bill:
    """What a caller was charged for an operation, until it is settled."""

    def __init__(self, rates: Rates, caller: Caller, window: Window, points: int) -> None:
        self.points = points
        self._rates = rates
        self._caller = caller
        self._window = window

    @property
    def standing(self) -> Standing:
        """What the caller has left now that it is charged, or that it is settled."""
        return self._rates.standing_of(self._caller, self._window)

    async def settle(self, actual: int) -> None:
        """Give back what was not needed."""
        if actual != self.points:
            self._window = await self._rates.give_back(self._caller, self._window, self.points - actual)


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
