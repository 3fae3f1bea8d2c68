"""Instruments, their daily prices, and daily FX rates."""

from sqlalchemy import Column, ColumnElement, Date, ForeignKey, Index, Text, bindparam, func, or_, select
from sqlalchemy.types import Uuid

from domain.instruments import Instrument, InstrumentStatus
from domain.text import words
from domain.valuation import AssetClass
from persistence.listing import Filter, Listing, one_of
from persistence.metadata import QUANTITY, TEXTS, enum_column, table
from persistence.repository import Listed
from persistence.scope import shared

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
    Index(None, "sort_name", "id"),
    Index(None, "symbol", "id"),
)

prices = table(
    "prices",
    shared(),
    Column("instrument_id", Uuid, ForeignKey("instruments.id"), primary_key=True),
    Column("priced_on", Date, primary_key=True),
    Column("close", QUANTITY, nullable=False),
)

fx_rates = table(
    "fx_rates",
    shared(),
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
