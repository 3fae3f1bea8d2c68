"""What callers have used of their budgets: windows of time, in memory or in a table that several processes share.

They are storages of the `limits` library, with two steps more that a budget with refunds needs: to take an amount only
if it fits, and to give back in the very window that it was taken from. The library's own storage in memory looks at
every key at every hit, which costs the more the more callers there are.
"""

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import BigInteger, Column, Index, Text, bindparam, func, select
from sqlalchemy.types import Float

from domain.clock import Clock
from persistence.database import Database
from persistence.metadata import MOMENT, table
from persistence.scope import nobody

# Only the functions of the migration touch it. Unlogged: what a crash forgets is a minute's counts.
rate_windows = table(
    "rate_windows",
    nobody(),
    Column("key", Text, primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("ends_at", MOMENT, nullable=False),
    Index(None, "ends_at"),
    prefixes=["UNLOGGED"],
)

_ANY: Final = 2**62
# In memory; a caller's window is forgotten some time after its end, or when there are more than this.
MOST_WINDOWS: Final = 100_000
SWEEP: Final = timedelta(seconds=10)


class Window(msgspec.Struct, frozen=True, gc=False):
    """What is used of a key's window, when that ends, and whether the amount that was asked for has been taken."""

    used: int
    ends_at: datetime
    taken: bool = False


class Windows(Storage):
    """Fixed windows, each begun by the first use of its key."""

    STORAGE_SCHEME = None

    @abstractmethod
    async def take(self, key: str, most: int, seconds: float, amount: int) -> Window:
        """Take the amount, unless the window would then hold more than `most`; all or nothing."""

    def take_at_once(self, key: str, most: int, seconds: float, amount: int) -> Window | None:  # noqa: ARG002 - for who can
        """As `take`, without waiting; None, and nothing is taken, where that cannot be."""
        return None

    @abstractmethod
    async def give_back(self, key: str, ends_at: datetime, amount: int) -> Window:
        """Give back to the window with this end, if it has not ended; an amount below zero takes whatever is left."""

    @abstractmethod
    async def window(self, key: str) -> Window | None:
        """The window of a key, if it has one that has not ended."""

    @property
    def base_exceptions(self) -> type[Exception]:
        """None of the library's business: faults go through as they are."""
        return ValueError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count without a limit."""
        return (await self.take(key, _ANY, expiry, amount)).used

    async def get(self, key: str) -> int:
        """What is used."""
        window = await self.window(key)
        return window.used if window else 0

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970; 0 if there is none."""
        window = await self.window(key)
        return window.ends_at.timestamp() if window else 0

    async def check(self) -> bool:
        """Whether it works; what does not raises when it is used."""
        return True

    async def clear(self, key: str) -> None:
        """Begin anew."""
        if window := await self.window(key):
            await self.give_back(key, window.ends_at, window.used)


class MemoryWindows(Windows):
    """The windows of one process: nothing awaits, so that each step is one."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, most: int = MOST_WINDOWS) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._windows: dict[str, Window] = {}
        self._sweeps_at = clock() + SWEEP

    async def take(self, key: str, most: int, seconds: float, amount: int) -> Window:
        """As declared above."""
        return self.take_at_once(key, most, seconds, amount)

    def take_at_once(self, key: str, most: int, seconds: float, amount: int) -> Window:
        """As declared above."""
        now = self._clock()
        if now >= self._sweeps_at or len(self._windows) >= self._most:
            self._sweep(now)
        window = self._windows.get(key)
        if window is None or window.ends_at <= now:
            window = Window(0, now + timedelta(seconds=seconds))
        taken = window.used + amount <= most
        window = Window(window.used + amount * taken, window.ends_at, taken)
        self._windows[key] = window
        return window

    async def give_back(self, key: str, ends_at: datetime, amount: int) -> Window:
        """As declared above."""
        now = self._clock()
        window = self._standing(key, now)
        if window is None or window.ends_at != ends_at:
            return window or Window(0, now)
        self._windows[key] = window = Window(max(0, window.used - amount), ends_at)
        return window

    async def window(self, key: str) -> Window | None:
        """As declared above."""
        return self._standing(key, self._clock())

    async def reset(self) -> int | None:
        """Forget all windows, and say how many there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def _standing(self, key: str, now: datetime) -> Window | None:
        window = self._windows.get(key)
        return window if window and window.ends_at > now else None

    def _sweep(self, now: datetime) -> None:
        self._sweeps_at = now + SWEEP
        self._windows = {key: window for key, window in self._windows.items() if window.ends_at > now}
        # Whoever brings that many addresses loses the oldest counts, not the server's memory.
        for key in list(self._windows)[: max(0, len(self._windows) - self._most // 2)]:
            del self._windows[key]


_KEY: Final = bindparam("key", type_=Text)
_ENDS: Final = bindparam("ends_at", type_=MOMENT)
_AMOUNT: Final = bindparam("amount", type_=BigInteger)
_FIELDS: Final = ("used", "ends_at", "taken")


def _rows(function: Any) -> Any:
    rows = function.table_valued(*_FIELDS)
    return select(*(rows.c[name] for name in _FIELDS))


TAKE: Final = _rows(
    func.take_from_window(_KEY, bindparam("most", type_=BigInteger), bindparam("seconds", type_=Float), _AMOUNT)
)
GIVE_BACK: Final = _rows(func.give_back_to_window(_KEY, _ENDS, _AMOUNT))
WINDOW: Final = _rows(func.window_of(_KEY))
FORGET: Final = select(func.forget_windows(bindparam("moment", type_=MOMENT)))


class DatabaseWindows(Windows):
    """The windows of all processes on one database, by its clock; raises Unavailable."""

    STORAGE_SCHEME = None

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def take(self, key: str, most: int, seconds: float, amount: int) -> Window:
        """As declared above."""
        return await self._one(TAKE, key=key, most=most, seconds=seconds, amount=amount)

    async def give_back(self, key: str, ends_at: datetime, amount: int) -> Window:
        """As declared above."""
        return await self._one(GIVE_BACK, key=key, ends_at=ends_at, amount=amount)

    async def window(self, key: str) -> Window | None:
        """As declared above."""
        async with self._database.lend(None) as lent:
            rows = await lent.rows(WINDOW, {"key": key})
        return Window(*rows[0]) if rows else None

    async def reset(self) -> int | None:
        """Forget all windows, and say how many there were."""
        async with self._database.lend(None) as lent:
            (row,) = await lent.rows(FORGET, {"moment": datetime.max.replace(tzinfo=UTC)})
        return int(row[0])

    async def _one(self, statement: Any, **values: Any) -> Window:
        async with self._database.lend(None) as lent:
            (row,) = await lent.rows(statement, values)
        return Window(*row)


class Limiter(FixedWindowRateLimiter):
    """The library's strategy of fixed windows; what does not fit takes nothing."""

    def __init__(self, windows: Windows) -> None:
        super().__init__(windows)
        self.windows = windows

    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Whether the amount fitted and was taken."""
        window = await self.windows.take(item.key_for(*identifiers), item.amount, item.get_expiry(), cost)
        return window.taken
