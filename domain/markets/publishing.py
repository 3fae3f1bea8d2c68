"""Adding closing prices and FX rates, once for each session: the rows themselves say what is still missing."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.access import Viewer
from domain.instruments import FxRate, Price
from domain.jobs import Office
from domain.markets.calendar import Calendar
from domain.markets.data import Quoted
from domain.money import fits_number
from domain.valuation import days as stored_days
from domain.work import Work

# A firm that was away for longer has no closes of the days before.
MOST_SESSIONS: Final = 10
# Currencies are traded around the clock; by custom their day ends on weekdays at this hour in New York.
_FX_ZONE: Final = ZoneInfo("America/New_York")
_FX_CLOSE: Final = time(17)
_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5


async def publish(office: Office) -> None:
    """Ask the vendor for every close and rate that is missing, the oldest first, and store each once.

    The vendor is asked outside of any transaction, and each day is stored by itself: whatever is killed in between
    has lost nothing, and two that run at once add the same rows once.
    """
    last: dict[UUID, Price] = {}
    for day, quoted in await office.write(due_closes):
        asked = [_since(each, last) for each in quoted]
        closes = _sound_closes(await office.market_data.closes(asked, day), asked, day)
        await office.write(store_closes, closes)
        last |= {close.instrument_id: close for close in closes}
    for day in await office.write(due_rate_days):
        known = await office.write(last_rates, day)
        await office.write(store_rates, _sound_rates(await office.market_data.rates(known, day), known, day))


def _since(quoted: Quoted, last: Mapping[UUID, Price]) -> Quoted:
    """The instrument with the close that this run has added, if it has."""
    close = last.get(quoted.instrument.id)
    return Quoted(quoted.instrument, close.priced_on, close.close) if close else quoted


def _sound_closes(closes: Sequence[Price], asked: Sequence[Quoted], day: date) -> list[Price]:
    """Those of a vendor's closes that were asked for and can be prices; the others are asked for again."""
    ids = {quoted.instrument.id for quoted in asked}
    return [each for each in closes if each.instrument_id in ids and each.priced_on == day and _is_price(each.close)]


def _sound_rates(rates: Sequence[FxRate], asked: Sequence[FxRate], day: date) -> list[FxRate]:
    currencies = {rate.currency for rate in asked}
    return [each for each in rates if each.currency in currencies and each.quoted_on == day and _is_price(each.usd)]


def _is_price(value: Decimal) -> bool:
    return fits_number(value) and value > 0


async def due_closes(work: Work, viewer: Viewer) -> list[tuple[date, list[Quoted]]]:
    """The sessions that have closed, the oldest first, each with the instruments that lack its close.

    A session before an instrument's last close is not missed: there was no trade on it. An instrument that never had
    a close begins with the last session.
    """
    due: defaultdict[date, list[Quoted]] = defaultdict(list)
    for calendar, quoted in await _by_market(work, viewer):
        closed = [session.day for session in islice(calendar.closed(work.now), MOST_SESSIONS)]
        for each in quoted:
            days = closed[:1] if each.priced_on is None else closed
            for day in days:
                if each.priced_on is None or day > each.priced_on:
                    due[day].append(each)
    return sorted(due.items())


async def _by_market(work: Work, viewer: Viewer) -> list[tuple[Calendar, list[Quoted]]]:
    by_exchange: defaultdict[str, list[Quoted]] = defaultdict(list)
    for quoted in await work.markets.quoted(viewer):
        by_exchange[quoted.instrument.exchange].append(quoted)
    calendars = await work.markets.calendars(viewer, sorted(by_exchange))
    return [(calendar, by_exchange[calendar.mic]) for calendar in calendars]


async def store_closes(work: Work, _: Viewer, closes: Sequence[Price]) -> None:
    """Store the closes that are not there yet."""
    await work.markets.add_closes(closes)
    if closes:
        first = min(close.priced_on for close in closes)
        await stored_days.closes_changed(work, [close.instrument_id for close in closes], first)


async def due_rate_days(work: Work, viewer: Viewer) -> list[date]:
    """The days since the last rates whose trading is over, the oldest first; at most as many as of sessions."""
    known = await work.markets.rates(viewer, work.now.date() + _DAY)
    if not known:
        return []
    # The currency that lags decides; what the others have already is not stored twice.
    since = min(rate.quoted_on for rate in known)
    return sorted(day for day in islice(_rate_days(work.now), MOST_SESSIONS) if day > since)


async def last_rates(work: Work, viewer: Viewer, day: date) -> list[FxRate]:
    """The last rate of each currency before a day, of those that have none on it."""
    known = await work.markets.rates(viewer, day)
    return [rate for rate in known if rate.quoted_on < day]


async def store_rates(work: Work, _: Viewer, rates: Sequence[FxRate]) -> None:
    """Store the rates that are not there yet."""
    await work.markets.add_rates(rates)
    if rates:
        await stored_days.rates_changed(work, min(rate.quoted_on for rate in rates))


def _rate_days(now: datetime) -> Iterator[date]:
    """The weekdays whose trading of currencies is over, the latest one first."""
    day = now.astimezone(_FX_ZONE).date()
    while True:
        over = datetime.combine(day, _FX_CLOSE, _FX_ZONE).astimezone(UTC) <= now
        if over and day.weekday() < _SATURDAY:
            yield day
        day -= _DAY
