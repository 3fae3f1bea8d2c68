"""The stored values of days: written by night, forgotten with what they rest on, and written again.

A stored value is that of the present ledger, closes and rates, always: whatever changes one of these for a day
removes, in its own transaction, what is stored from that day on, and whatever is not stored is calculated at reading.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from domain.access import Viewer
from domain.entities import Entity
from domain.money import amount_stored
from domain.rounds import go_round
from domain.valuation.basis import Charted, Ledgers, Owner, Stored
from domain.work import Work

if TYPE_CHECKING:
    from domain.jobs import Office

# A chart of a year, and a month to look back from it. Earlier days are calculated as ever.
KEPT_DAYS: Final = 400
# As many as are written in a moment: as long as that lasts, nothing is recorded in their ledgers.
AT_ONCE: Final = 10
_DAY: Final = timedelta(days=1)


class DayValue(Entity, frozen=True):
    """What a portfolio was worth at the close of a day, in its base currency; null for want of a price or a rate."""

    portfolio_id: UUID
    day: date
    value: Decimal | None


class DayValues(Protocol):
    """The storage of the values of days."""

    async def forget(self, portfolio_id: UUID, since: date) -> bool: ...  # noqa: D102 - the signature says it, here and below
    async def forget_holders(self, instrument_ids: Sequence[UUID], since: date) -> bool: ...  # noqa: D102
    async def forget_all(self, since: date) -> bool: ...  # noqa: D102
    async def lacking(self, viewer: Viewer, day: date) -> list[UUID]: ...  # noqa: D102
    async def hold(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> None: ...  # noqa: D102
    async def reached(self, portfolio_ids: Sequence[UUID]) -> Mapping[UUID, date | None]: ...  # noqa: D102
    async def add(self, values: Sequence[DayValue]) -> None: ...  # noqa: D102


class Valuations(Protocol):
    """What values are calculated from."""

    async def of_today(self, viewer: Viewer, owner: Owner, keys: Sequence[UUID], as_of: date) -> Stored | Ledgers:
        """What the valuations of these owners on the viewer's today rest on."""
        ...

    async def charted(self, viewer: Viewer, keys: Sequence[UUID], days: Sequence[date]) -> Charted:
        """The values of these portfolios on days, in order, as far as they are stored, and what leads to the rest."""
        ...


def last_day(now: datetime) -> date:
    """The last day that is stored: in UTC it is over, and so is the trading of all markets."""
    return now.astimezone(UTC).date() - _DAY


async def ledger_changed(work: Work, portfolio_id: UUID, since: date) -> None:
    """Forget what rests on a portfolio's entries of a day and later ones, and have it written again.

    Whoever calls it holds the portfolio's lock.
    """
    if await work.day_values.forget(portfolio_id, since):
        work.enqueue(rewrite, portfolio_id)


async def closes_changed(work: Work, instrument_ids: Sequence[UUID], since: date) -> None:
    """Forget what rests on the closes of instruments on a day and later ones, and have it written again.

    Called after the closes are stored, in their transaction.
    """
    if await work.day_values.forget_holders(instrument_ids, since):
        work.enqueue(fill)


async def rates_changed(work: Work, since: date) -> None:
    """The same where rates have changed: whose values rest on them is whoever has money in two currencies."""
    if await work.day_values.forget_all(since):
        work.enqueue(fill)


async def rewrite(office: "Office", portfolio_id: UUID) -> None:
    """Write again what a change of the ledger has removed."""
    await office.write(write, (portfolio_id,))


async def fill(office: "Office") -> None:
    """Value the last day of every portfolio, and with it whatever is lacking of the days before."""
    lacking = await office.write(unwritten)
    await go_round(office, write, (lacking[at : at + AT_ONCE] for at in range(0, len(lacking), AT_ONCE)))


async def unwritten(work: Work, viewer: Viewer) -> list[UUID]:
    """The portfolios that lack the last day: what is forgotten is always forgotten up to it."""
    return await work.day_values.lacking(viewer, last_day(work.now))


async def write(work: Work, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> None:
    """Store what is lacking of some portfolios, while nothing that it rests on can change."""
    await work.day_values.hold(viewer, portfolio_ids)
    days = _days(last_day(work.now), (await work.day_values.reached(portfolio_ids)).values())
    if not days:
        return
    charted = await work.valuations.charted(viewer, portfolio_ids, days)
    found: list[DayValue] = []
    for portfolio_id in charted.currencies:
        values = charted.calculated(portfolio_id)
        found += (DayValue(portfolio_id, day, None if value is None else amount_stored(value)) for day, value in values)
        # A ledger is walked in the server: others have their turn after each.
        await asyncio.sleep(0)
    await work.day_values.add(found)


def _days(last: date, reached: Iterable[date | None]) -> list[date]:
    """The days to be stored of portfolios that are stored up to these days."""
    oldest = last - (KEPT_DAYS - 1) * _DAY
    first = min((max(oldest, day + _DAY) if day else oldest for day in reached), default=oldest)
    return [first + number * _DAY for number in range((last - first).days + 1)]
