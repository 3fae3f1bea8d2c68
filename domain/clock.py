"""Time is passed in: moments in UTC, business days in a zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]


# The present moment in UTC; a request asks for it many times.
system_clock: Final[Clock] = partial(datetime.now, UTC)


def today(now: datetime, zone: str) -> date:
    """The calendar day of a moment in an IANA time zone."""
    return now.astimezone(ZoneInfo(zone)).date()
