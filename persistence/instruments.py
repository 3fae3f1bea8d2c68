"""Instruments, their daily prices, and daily FX rates."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Select,
    Text,
    any_,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.instruments import ClosingPrice, FxRate, Instrument, InstrumentKind, InstrumentStatus, RiskLevel
from domain.text import words
from domain.valuation import AssetClass
from persistence.listing import Filter, Listing, one_of
from persistence.metadata import QUANTITY, TEXTS, UUIDS, enum_column, table
from persistence.repository import Listed, Repository
from persistence.scope import EVERYTHING, shared

instruments = table(
    "instruments",
    shared(),
    Column("id", Uuid, primary_key=True),
    Column("symbol", Text, nullable=False, unique=True),
    Column("isin", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    *enum_column("asset_class", AssetClass),
    Column("sector", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("lot_size", QUANTITY, nullable=False),
    *enum_column("status", InstrumentStatus),
    *enum_column("kind", InstrumentKind),
    Column("tick_size", QUANTITY, nullable=False),
    *enum_column("risk", RiskLevel),
    Index(None, "sort_name", "id"),
    Index(None, "symbol", "id"),
)

prices = table(
    "prices",
    shared(add=EVERYTHING, change=EVERYTHING),
    Column("instrument_id", Uuid, ForeignKey("instruments.id"), primary_key=True),
    Column("priced_on", Date, primary_key=True),
    Column("close", QUANTITY, nullable=False),
)

fx_rates = table(
    "fx_rates",
    shared(add=EVERYTHING, change=EVERYTHING),
    Column("currency", Text, primary_key=True),
    Column("quoted_on", Date, primary_key=True),
    Column("usd", QUANTITY, nullable=False),
)


def _matches_text() -> ColumnElement[bool]:
    """Each word begins a word of the symbol, the name or the ISIN: a firm knows thousands of instruments, not more."""
    wanted = func.unnest(bindparam("word_starts", type_=TEXTS)).column_valued("wanted")
    text = func.concat(
        " ", func.lower(instruments.c.symbol), " ", instruments.c.sort_name, " ", func.lower(instruments.c.isin)
    )
    missed = select(wanted).where(or_(func.strpos(text, func.concat(" ", wanted)) == 0))
    return ~missed.exists()


def last_close(instrument: ColumnElement[Any], day: ColumnElement[Any]) -> Any:
    """The last close on or before a day, found by the primary key of prices read backwards."""
    return (
        select(prices.c.instrument_id, prices.c.priced_on, prices.c.close)
        .where(prices.c.instrument_id == instrument, prices.c.priced_on <= day)
        .order_by(prices.c.priced_on.desc())
        .limit(1)
        .lateral("last_close")
    )


def last_rate(currency: ColumnElement[Any], day: ColumnElement[Any]) -> Any:
    """The last rate on or before a day, found likewise."""
    return (
        select(fx_rates.c.currency, fx_rates.c.quoted_on, fx_rates.c.usd)
        .where(fx_rates.c.currency == currency, fx_rates.c.quoted_on <= day)
        .order_by(fx_rates.c.quoted_on.desc())
        .limit(1)
        .lateral("last_rate")
    )


def _last_prices() -> Select[Any]:
    close = last_close(instruments.c.id, bindparam("day", type_=Date))
    wanted = instruments.c.id == any_(bindparam("keys", type_=UUIDS))
    return select(*close.c, instruments.c.currency).select_from(instruments.join(close, true())).where(wanted)


def _latest_rates() -> Select[Any]:
    currency = select(fx_rates.c.currency).distinct().subquery("quoted")
    rate = last_rate(currency.c.currency, bindparam("day", type_=Date))
    return select(*rate.c).select_from(currency.join(rate, true())).order_by(rate.c.currency)


LAST_PRICES = _last_prices()
LATEST_RATES = _latest_rates()
PRICES = (
    select(prices.c.instrument_id, prices.c.priced_on, prices.c.close, instruments.c.currency)
    .where(
        instruments.c.id == prices.c.instrument_id,
        prices.c.instrument_id == any_(bindparam("keys", type_=UUIDS)),
        prices.c.priced_on.between(bindparam("first", type_=Date), bindparam("last", type_=Date)),
    )
    .order_by(prices.c.instrument_id, prices.c.priced_on)
)


class Quotes(Repository):
    """Prices and rates, the same for everybody."""

    async def last_prices(self, viewer: Viewer, instrument_ids: Sequence[UUID], day: date) -> list[ClosingPrice]:
        """The last closing price of each of these instruments on or before a day."""
        return [ClosingPrice(*row) for row in await self.rows(LAST_PRICES, viewer, keys=instrument_ids, day=day)]

    async def prices(
        self, viewer: Viewer, instrument_ids: Sequence[UUID], first: date, last: date
    ) -> list[ClosingPrice]:
        """The closing prices of these instruments from one day to another, in order of time."""
        rows = await self.rows(PRICES, viewer, keys=instrument_ids, first=first, last=last)
        return [ClosingPrice(*row) for row in rows]

    async def rates(self, viewer: Viewer, day: date) -> list[FxRate]:
        """The last rate of each currency on or before a day."""
        return await self.many(FxRate, LATEST_RATES, viewer, day=day)


class Instruments(Listed[Instrument]):
    """Instruments, the same for everybody."""

    entity = Instrument
    table = instruments
    listing = Listing(
        Instrument,
        instruments,
        orders={"SYMBOL": instruments.c.symbol, "NAME": instruments.c.sort_name},
        filters=dict(
            [
                ("text", Filter(_matches_text, lambda text: {"word_starts": sorted(words(text))})),
                one_of("asset_classes", instruments.c.asset_class, TEXTS),
                one_of("sectors", instruments.c.sector, TEXTS),
                one_of("exchanges", instruments.c.exchange, TEXTS),
                one_of("currencies", instruments.c.currency, TEXTS),
            ]
        ),
    )
