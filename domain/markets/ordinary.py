"""The sessions that an exchange holds by its own rules, from the library that keeps them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final

import msgspec

FIRST: Final = date(2021, 1, 1)
# What a library says of a calendar is the same as long as the process lives, so it is read once.
_READ: Final[dict[str, "Ordinary"]] = {}


class Ordinary(msgspec.Struct, frozen=True):
    """Opening and closing of each session from FIRST to `last`, in UTC; `opens` and `closes` are the usual hours.

    The hours are those of the exchange's own clocks.
    """

    sessions: Mapping[date, tuple[datetime, datetime]]
    last: date
    opens: time
    closes: time

    def knows(self, day: date) -> bool:
        """Whether the exchange has said which of the days around it are sessions."""
        return FIRST <= day <= self.last


async def ordinary(calendar: str) -> Ordinary:
    """The sessions of a calendar of `exchange_calendars`."""
    if calendar not in _READ:
        # In a thread: what the library stands on takes half a second to import, and the sessions some more.
        _READ[calendar] = await asyncio.to_thread(_read, calendar)
    return _READ[calendar]


def _read(name: str) -> Ordinary:
    from exchange_calendars import get_calendar  # type: ignore[import-untyped] # noqa: PLC0415 - see above

    found = get_calendar(name, start=FIRST.isoformat())
    schedule = found.schedule
    days = [moment.date() for moment in schedule.index]
    hours = zip(map(_moment, schedule["open"]), map(_moment, schedule["close"]), strict=True)
    return Ordinary(
        sessions=dict(zip(days, hours, strict=True)),
        last=days[-1],
        # The newest of what the hours have been over time.
        opens=found.open_times[-1][1],
        closes=found.close_times[-1][1],
    )


def _moment(stamp: Any) -> datetime:
    moment: datetime = stamp.to_pydatetime()
    return moment.astimezone(UTC)
