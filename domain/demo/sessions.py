"""When the markets of the demo firm trade: on every weekday, as its ledger does, at the exchanges' usual hours."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Final

from domain.demo.days import Days
from domain.markets import EXCHANGES, Calendar
from domain.markets.ordinary import Ordinary

_AMERICAN: Final = (time(9, 30), time(16))
_HOURS: Final[Mapping[str, tuple[time, time]]] = {
    "XNSE": (time(9, 15), time(15, 30)),
    "XNYS": _AMERICAN,
    "XNAS": _AMERICAN,
    "ARCX": _AMERICAN,
    "XLON": (time(8), time(16, 30)),
    "XETR": (time(9), time(17, 30)),
    "XSES": (time(9), time(17)),
}
# No session is known by its date, so that each weekday is one.
CALENDARS: Final[Mapping[str, Calendar]] = {
    mic: Calendar(EXCHANGES[mic], Ordinary({}, date.min, *hours)) for mic, hours in _HOURS.items()
}

# When orders for an exchange are placed and filled, in minutes of the day in UTC: always before the custodian reports.
_AT_WORK: Final[Mapping[str, tuple[int, int]]] = {
    "XNSE": (240, 570),
    "XLON": (495, 735),
    "XETR": (495, 735),
    "XSES": (90, 510),
}
_ABROAD: Final = (600, 735)
_MINUTE: Final = 60_000  # milliseconds


def moment_on(days: Days, day: int, exchange: str, part: float) -> datetime:
    """A moment of a day's trading, by the part of it that is over."""
    first, last = _AT_WORK.get(exchange, _ABROAD)
    return days.moment(day, int((first + (last - first) * part) * _MINUTE))
