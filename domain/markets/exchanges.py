"""The exchanges that the firm knows, by their market identifier codes of ISO 10383."""

from collections.abc import Mapping
from datetime import date
from typing import Final

import msgspec


class Exchange(msgspec.Struct, frozen=True):
    """A place where instruments are traded.

    `calendar` is the calendar of `exchange_calendars` that it follows, which names its time zone too. `settlement`
    says how many business days a trade takes to settle, by the first trade date for which that holds.
    """

    mic: str
    name: str
    currency: str
    time_zone: str
    calendar: str
    settlement: tuple[tuple[date, int], ...]

    def settlement_days(self, traded_on: date) -> int:
        """How many business days after the trade date cash and securities change hands."""
        return [days for first, days in self.settlement if first <= traded_on][-1]


# India shortened its cycle share by share until this day, the United States all at once; Britain and the European
# Union have set the day on which they follow.
_INDIA: Final = ((date.min, 2), (date(2023, 1, 27), 1))
_AMERICA: Final = ((date.min, 2), (date(2024, 5, 28), 1))
_EUROPE: Final = ((date.min, 2), (date(2027, 10, 11), 1))
_SINGAPORE: Final = ((date.min, 2),)

_ALL: Final = (
    # The National Stock Exchange keeps the hours and holidays of the Bombay Stock Exchange, whose calendar there is.
    Exchange("XNSE", "National Stock Exchange of India", "INR", "Asia/Kolkata", "XBOM", _INDIA),
    Exchange("XBOM", "Bombay Stock Exchange", "INR", "Asia/Kolkata", "XBOM", _INDIA),
    Exchange("XNYS", "New York Stock Exchange", "USD", "America/New_York", "XNYS", _AMERICA),
    Exchange("XNAS", "Nasdaq", "USD", "America/New_York", "XNYS", _AMERICA),
    Exchange("ARCX", "NYSE Arca", "USD", "America/New_York", "XNYS", _AMERICA),
    Exchange("XLON", "London Stock Exchange", "GBP", "Europe/London", "XLON", _EUROPE),
    Exchange("XETR", "Xetra", "EUR", "Europe/Berlin", "XETR", _EUROPE),
    Exchange("XSES", "Singapore Exchange", "SGD", "Asia/Singapore", "XSES", _SINGAPORE),
)
EXCHANGES: Final[Mapping[str, Exchange]] = {exchange.mic: exchange for exchange in _ALL}
