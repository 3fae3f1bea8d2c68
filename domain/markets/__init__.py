"""Market calendars: when exchanges trade, and the special days that admins state."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

import msgspec

from domain.access import Action, Viewer, require
from domain.entities import derived_id
from domain.instruments import FxRate, Price
from domain.markets.calendar import Calendar, MarketDay, Session
from domain.markets.data import Quoted
from domain.markets.exchanges import EXCHANGES, Exchange
from domain.text import invalid, named
from domain.work import Work

__all__ = [
    "EXCHANGES",
    "Calendar",
    "Exchange",
    "MarketDay",
    "Markets",
    "NewMarketDay",
    "Session",
    "clear_market_day",
    "set_market_day",
]


class Markets(Protocol):
    """The storage of what exchanges announce, and of what was paid there."""

    async def calendar(self, exchange: str) -> Calendar:
        """The calendar of an exchange of EXCHANGES; raises NotFound for any other."""
        ...

    async def calendars(self, viewer: Viewer, exchanges: Sequence[str]) -> list[Calendar]:
        """The calendars of those of these exchanges that are in EXCHANGES."""
        ...

    async def day(self, viewer: Viewer, exchange: str, day: date) -> MarketDay | None:
        """A special day of an exchange, with its row lock."""
        ...

    async def add_once(self, day: MarketDay) -> bool:
        """Store a special day unless the exchange has one on that date; tells which."""
        ...

    async def replace(self, before: MarketDay, after: MarketDay) -> None: ...  # noqa: D102 - the name says it, here and below
    async def remove(self, day: MarketDay) -> None: ...  # noqa: D102

    async def quoted(self, viewer: Viewer) -> list[Quoted]:
        """The instruments that are traded, each with its last close."""
        ...

    async def rates(self, viewer: Viewer, day: date) -> list[FxRate]:
        """The last rate of each currency on or before a day."""
        ...

    async def add_closes(self, closes: Sequence[Price]) -> None:
        """Store the closes that are not there yet."""
        ...

    async def add_rates(self, rates: Sequence[FxRate]) -> None:
        """Store the rates that are not there yet."""
        ...


class NewMarketDay(msgspec.Struct, frozen=True):
    """What an exchange has announced of a day: its hours, or that it is closed, where there are none."""

    exchange: str
    day: date
    note: str
    opens_at: datetime | None = None
    closes_at: datetime | None = None


async def set_market_day(work: Work, viewer: Viewer, new: NewMarketDay) -> MarketDay:
    """State a special day of an exchange, in place of what was stated of it before. Refuses: INVALID_VALUE."""
    require(viewer, Action.MANAGE_MARKETS)
    exchange = _known(new.exchange)
    _check_hours(await work.markets.calendar(exchange.mic), new)
    stated = MarketDay(
        id=derived_id("market day", exchange.mic, new.day),
        exchange=exchange.mic,
        day=new.day,
        opens_at=new.opens_at,
        closes_at=new.closes_at,
        note=named(new.note, "note"),
        version=1,
    )
    while not await work.markets.add_once(stated):
        # Somebody may take it away in between.
        if before := await work.markets.day(viewer, exchange.mic, new.day):
            stated = msgspec.structs.replace(stated, version=before.version + 1)
            await work.markets.replace(before, stated)
            break
    return stated


async def clear_market_day(work: Work, viewer: Viewer, exchange: str, day: date) -> MarketDay:
    """Have an exchange keep its rules again on a day; gives what was stated of it. Refuses: INVALID_VALUE."""
    require(viewer, Action.MANAGE_MARKETS)
    stated = await work.markets.day(viewer, _known(exchange).mic, day)
    if stated is None:
        raise invalid("day", "Nothing special is stated of this day.")
    await work.markets.remove(stated)
    return stated


def _known(mic: str) -> Exchange:
    if mic not in EXCHANGES:
        raise invalid("exchange", f"The exchanges known here are {', '.join(EXCHANGES)}.")
    return EXCHANGES[mic]


def _check_hours(calendar: Calendar, new: NewMarketDay) -> None:
    for field, given, other in (
        ("opensAt", new.opens_at, new.closes_at),
        ("closesAt", new.closes_at, new.opens_at),
    ):
        if given is None and other is not None:
            raise invalid(field, "A session has an opening and a close; without both the exchange is closed.")
        if given is not None and not _within(calendar, given, new.day):
            raise invalid(field, f"This is not on that day in {calendar.time_zone}.")
    if new.opens_at and new.closes_at and new.closes_at <= new.opens_at:
        raise invalid("closesAt", "A session closes after it has opened.")


def _within(calendar: Calendar, moment: datetime, day: date) -> bool:
    try:
        return calendar.day_of(moment) == day
    except OverflowError:
        # At either end of time another zone's clocks show a year that there is not.
        return False
