"""Time is passed in: moments in UTC, business days in a zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def today(now: datetime, zone: str) -> date:
    """The calendar day of a moment in an IANA time zone."""
    return now.astimezone(ZoneInfo(zone)).date()
