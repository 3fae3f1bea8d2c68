"""The days of a chart."""

from collections.abc import Iterator
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

_DAY: Final = timedelta(days=1)
_FRIDAY: Final = 4


class Interval(StrEnum):
    """How far apart the points of a chart are.

    DAY: A point for each day of the calendar.
    WEEK: A point for each Friday.
    MONTH: A point for the last day of each month.
    """

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


def chart_days(first: date, last: date, interval: Interval) -> Iterator[date]:
    """The days of a chart in order: both ends, whatever the interval, and the interval's days between them."""
    day = first
    while day < last:
        if day == first or _is_point(day, interval):
            yield day
        day += _DAY
    yield last


def _is_point(day: date, interval: Interval) -> bool:
    if interval is Interval.WEEK:
        return day.weekday() == _FRIDAY
    return interval is Interval.DAY or (day + _DAY).day == 1
