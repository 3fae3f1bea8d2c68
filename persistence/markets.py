"""Special days of the exchanges, and what the market-data gateway adds: closing prices and FX rates."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Integer,
    Select,
    Text,
    UniqueConstraint,
    any_,
    bindparam,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.types import TypeEngine, Uuid

from domain.access import Viewer
from domain.errors import NotFound
from domain.instruments import FxRate, Instrument, InstrumentStatus, Price
from domain.markets import EXCHANGES, Calendar, MarketDay
from domain.markets.data import Quoted
from domain.markets.ordinary import ordinary
from persistence.instruments import LATEST_RATES, fx_rates, instruments, prices
from persistence.metadata import MOMENT, QUANTITY, TEXTS, table
from persistence.repository import Repository
from persistence.scope import EVERYTHING, shared
from persistence.sql import columns, read_all

market_days = table(
    "market_days",
    shared(add=EVERYTHING, change=EVERYTHING),
    Column("id", Uuid, primary_key=True),
    Column("exchange", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("opens_at", MOMENT),
    Column("closes_at", MOMENT),
    Column("note", Text, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("exchange", "day"),
    CheckConstraint("(opens_at is null) = (closes_at is null) and closes_at > opens_at", name="hours"),
)

DAYS = (
    select(*columns(MarketDay, market_days))
    .where(market_days.c.exchange == any_(bindparam("keys", type_=TEXTS)))
    .order_by(market_days.c.exchange, market_days.c.day)
)
DAY = (
    select(*columns(MarketDay, market_days))
    .where(market_days.c.exchange == bindparam("exchange"), market_days.c.day == bindparam("day", type_=Date))
    .with_for_update(of=market_days)
)


def _quoted() -> Select[Any]:
    """What is traded, with its last close of all, found by the primary key of prices read backwards."""
    last = (
        select(prices.c.priced_on, prices.c.close)
        .where(prices.c.instrument_id == instruments.c.id)
        .order_by(prices.c.priced_on.desc())
        .limit(1)
        .lateral("last")
    )
    return (
        select(*columns(Instrument, instruments), last.c.priced_on, last.c.close)
        .select_from(instruments.outerjoin(last, true()))
        .where(instruments.c.status == InstrumentStatus.ACTIVE.value)
        .order_by(instruments.c.id)
    )


def _additions(target: Any, **types: TypeEngine[Any]) -> Insert:
    """Rows out of one array for each column, but for those that are there already."""
    given = func.unnest(*(bindparam(name, type_=ARRAY(kind)) for name, kind in types.items()))
    rows = given.table_valued(*types).render_derived()
    return insert(target).from_select(list(types), select(*rows.c)).on_conflict_do_nothing()


QUOTED = _quoted()
ADD_CLOSES = _additions(prices, instrument_id=Uuid(), priced_on=Date(), close=QUANTITY)
ADD_RATES = _additions(fx_rates, currency=Text(), quoted_on=Date(), usd=QUANTITY)


class Markets(Repository):
    """Markets, the same for everybody."""

    async def calendar(self, exchange: str) -> Calendar:
        """The calendar of a known exchange; raises NotFound for any other."""
        for calendar in await self._calendars([exchange]):
            return calendar
        raise NotFound

    async def calendars(self, _: Viewer, exchanges: Sequence[str]) -> list[Calendar]:
        """The calendars of those of these exchanges that are known."""
        return await self._calendars(exchanges)

    async def _calendars(self, exchanges: Sequence[str]) -> list[Calendar]:
        known = [EXCHANGES[mic] for mic in exchanges if mic in EXCHANGES]
        special = await self.lent.many(MarketDay, DAYS, {"keys": [exchange.mic for exchange in known]})
        return [
            Calendar(
                exchange, await ordinary(exchange.calendar), [day for day in special if day.exchange == exchange.mic]
            )
            for exchange in known
        ]

    async def day(self, viewer: Viewer, exchange: str, day: date) -> MarketDay | None:
        """A special day of an exchange, with its row lock."""
        return next(iter(await self.many(MarketDay, DAY, viewer, exchange=exchange, day=day)), None)

    async def add_once(self, day: MarketDay) -> bool:
        """Store a special day unless the exchange has one on that date; tells which."""
        return await self.insert_once(market_days, day)

    async def replace(self, before: MarketDay, after: MarketDay) -> None:
        """Store what is stated anew of a special day."""
        await self.replace_row(market_days, before, after)

    async def remove(self, day: MarketDay) -> None:
        """Forget a special day."""
        await self.delete(market_days, day)

    async def quoted(self, viewer: Viewer) -> list[Quoted]:
        """The instruments that are traded, each with its last close."""
        rows = await self.rows(QUOTED, viewer)
        traded = read_all(Instrument, rows)
        return [
            Quoted(instrument, row["priced_on"], row["close"]) for instrument, row in zip(traded, rows, strict=True)
        ]

    async def rates(self, viewer: Viewer, day: date) -> list[FxRate]:
        """The last rate of each currency on or before a day."""
        return await self.many(FxRate, LATEST_RATES, viewer, day=day)

    async def add_closes(self, closes: Sequence[Price]) -> None:
        """Store the closes that are not there yet."""
        # Not audited, as nothing that is derived or reported is: nobody has changed anything.
        await self._add(ADD_CLOSES, Price, closes)

    async def add_rates(self, rates: Sequence[FxRate]) -> None:
        """Store the rates that are not there yet."""
        await self._add(ADD_RATES, FxRate, rates)

    async def _add(self, statement: Insert, entity: type[Price | FxRate], rows: Sequence[Price | FxRate]) -> None:
        if rows:
            values = {name: [getattr(row, name) for row in rows] for name in entity.__struct_fields__}
            await self.lent.rows(statement, values)
