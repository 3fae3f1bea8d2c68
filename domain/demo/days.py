"""The three years of the demo firm, as business days counted from the first one.

Whatever happens, happens on a numbered day. Only here do days become dates, so that the firm is the same on whatever
day it is made, and its history always ends yesterday.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

HISTORY: Final = 783
LAST: Final = HISTORY - 1
OPENING: Final = 32_400_000  # 9:00 in UTC, as milliseconds of the day
_SATURDAY: Final = 5


class Days:
    """The dates of the history: Mondays to Fridays, the last of them before the day of `now` in UTC."""

    def __init__(self, now: datetime) -> None:
        self.now = now.astimezone(UTC)
        self.today = self.now.date()
        dates: list[date] = []
        day = self.today
        while len(dates) < HISTORY:
            day -= timedelta(days=1)
            if day.weekday() < _SATURDAY:
                dates.append(day)
        self.dates = tuple(reversed(dates))
        self.number_of = {day: number for number, day in enumerate(self.dates)}
        self._midnights = [datetime.combine(day, time(), UTC) for day in self.dates]

    def moment(self, day: int, millis: int = OPENING) -> datetime:
        """The moment so many milliseconds into a day, in UTC."""
        return self._midnights[day] + timedelta(milliseconds=millis)

    def from_today(self, days: int) -> date:
        """A calendar day before or after today."""
        return self.today + timedelta(days=days)
