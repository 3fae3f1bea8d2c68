"""What a provider publishes, kept for a time, so that it is not asked for each sign-in."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from domain.errors import Unavailable

T = TypeVar("T")

# For how long a provider that did not answer is not asked again: nobody waits for what has just failed for others.
AGAIN: Final = timedelta(seconds=5)


class Kept(Generic[T]):
    """A value that is read once for all who ask at a time, and again when it is too old for whoever asks."""

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._value: tuple[T, datetime] | None = None
        self._failed_at: datetime | None = None

    async def get(self, read: Callable[[], Awaitable[T]], now: datetime, life: timedelta) -> T:
        """The value, not older than a life; raises Unavailable."""
        if self._value and _within(self._value[1], now, life):
            return self._value[0]
        async with self._reading:
            if self._value and _within(self._value[1], now, life):
                return self._value[0]
            if self._failed_at and _within(self._failed_at, now, AGAIN):
                raise Unavailable
            self._value = await self._fresh(read, now), now
            return self._value[0]

    async def _fresh(self, read: Callable[[], Awaitable[T]], now: datetime) -> T:
        self._failed_at = now
        value = await read()
        self._failed_at = None
        return value


def _within(moment: datetime, now: datetime, life: timedelta) -> bool:
    return moment <= now < moment + life
