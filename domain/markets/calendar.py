"""When an exchange trades: the sessions that it holds by its rules, and the special days that it announces."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from itertools import islice
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from domain.entities import Entity
from domain.markets.exchanges import Exchange
from domain.markets.ordinary import Ordinary

_SATURDAY: Final = 5
# No exchange stays closed for as long.
_LONGEST_BREAK: Final = 366


class Session(msgspec.Struct, frozen=True, gc=False):
    """The trading of one day of the exchange's own calendar; the moments are in UTC.

    `special` tells that it is held, or its hours are as they are, by announcement; `provisional` that the exchange
    has not said yet which days it trades on, so that it is taken for any weekday.
    """

    day: date
    opens_at: datetime
    closes_at: datetime
    special: bool = False
    provisional: bool = False
    note: str | None = None


class MarketDay(Entity, frozen=True):
    """A day on which an exchange does not keep its rules: its hours on that day, or none where it is closed."""

    id: UUID
    exchange: str
    day: date
    opens_at: datetime | None
    closes_at: datetime | None
    note: str
    version: int


class Calendar:
    """The sessions of one exchange, as they are known at the moment of reading."""

    def __init__(self, exchange: Exchange, ordinary: Ordinary, special: Iterable[MarketDay] = ()) -> None:
        self.exchange = exchange
        self.special_days = {each.day: each for each in special}
        self._ordinary = ordinary
        self._zone = ZoneInfo(exchange.time_zone)

    @property
    def mic(self) -> str:
        """The exchange's market identifier code."""
        return self.exchange.mic

    @property
    def name(self) -> str:
        """What the exchange is called."""
        return self.exchange.name

    @property
    def currency(self) -> str:
        """The currency that most of it is traded in."""
        return self.exchange.currency

    @property
    def time_zone(self) -> str:
        """The zone of the exchange's clocks."""
        return self.exchange.time_zone

    def day_of(self, moment: datetime) -> date:
        """The day that the exchange's own calendar shows at a moment."""
        return moment.astimezone(self._zone).date()

    def session(self, day: date) -> Session | None:
        """The session of a day, if there is one."""
        special = self.special_days.get(day)
        if special is None:
            return self._by_rule(day)
        if special.opens_at is None or special.closes_at is None:
            return None
        return Session(day, special.opens_at, special.closes_at, special=True, note=special.note)

    def is_open(self, moment: datetime) -> bool:
        """Whether a session goes on at a moment; at its close it goes on no more."""
        session = self.session(self.day_of(moment))
        return session is not None and session.opens_at <= moment < session.closes_at

    def current_or_next(self, moment: datetime) -> Session:
        """The session in which an order placed at a moment is traded: today's until its close, then the next one."""
        day = self.day_of(moment)
        today = self.session(day)
        return today if today and moment < today.closes_at else self.next_session(day)

    def next_session(self, day: date) -> Session:
        """The first session after a day."""
        return next(self._after(day))

    def add_sessions(self, day: date, count: int) -> date:
        """The day of so many sessions after a day, at least one, whether or not the day itself is a session."""
        return next(islice(self._after(day), count - 1, None)).day

    def settles_on(self, traded_on: date) -> date:
        """The day on which a trade of this market settles.

        Only days that are sessions by the exchange's rules count: a special session on a holiday, such as Muhurat
        trading, finds the banks closed.
        """
        days = (session.day for session in self._after(traded_on) if self._by_rule(session.day))
        return next(islice(days, self.exchange.settlement_days(traded_on) - 1, None))

    def last_closed(self, moment: datetime) -> Session | None:
        """The last session that has closed at a moment; none if there was none within a year."""
        return next(self.closed(moment), None)

    def closed(self, moment: datetime) -> Iterator[Session]:
        """The sessions of the last year that have closed at a moment, the latest one first."""
        today = self.day_of(moment).toordinal()
        for ordinal in range(today, max(today - _LONGEST_BREAK, 0), -1):
            session = self.session(date.fromordinal(ordinal))
            if session is not None and session.closes_at <= moment:
                yield session

    def sessions(self, first: date, last: date) -> list[Session]:
        """The sessions from one day to another, both included."""
        days = map(date.fromordinal, range(first.toordinal(), last.toordinal() + 1))
        return [session for session in map(self.session, days) if session]

    def _after(self, day: date) -> Iterator[Session]:
        following = map(date.fromordinal, range(day.toordinal() + 1, date.max.toordinal() + 1))
        return (session for session in map(self.session, following) if session)

    def _by_rule(self, day: date) -> Session | None:
        if self._ordinary.knows(day):
            hours = self._ordinary.sessions.get(day)
            return Session(day, *hours) if hours else None
        if day.weekday() >= _SATURDAY:
            return None
        opens, closes = (self._at(day, hour) for hour in (self._ordinary.opens, self._ordinary.closes))
        return Session(day, opens, closes, provisional=True)

    def _at(self, day: date, hour: time) -> datetime:
        return datetime.combine(day, hour, self._zone).astimezone(UTC)
