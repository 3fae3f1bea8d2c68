"""The tool that tells the closing prices of an instrument."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from domain.access import Viewer
from domain.assistant.tools import Found, Tool
from domain.assistant.tools.facts import (
    MOST_ROWS,
    CloseFact,
    PricesFacts,
    focus_on,
    fraction,
    named,
    plain,
    price,
    told,
)
from domain.assistant.tools.subjects import LONGEST_TEXT, in_words, instrument
from domain.conversations.blocks import (
    AnyBlock,
    Axis,
    CellKind,
    ChartBlock,
    ChartKind,
    Point,
    Series,
    TableBlock,
    TableColumn,
)
from domain.instruments import ClosingPrice, Instrument
from domain.money import arithmetic, price_rounded
from domain.work import Work

MOST_DAYS: Final = 366


class PricesOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which prices are meant."""

    instrument: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=LONGEST_TEXT,
            description="The instrument: its id (instrument_...), its symbol, its ISIN, or words of its name.",
        ),
    ]
    days: Annotated[
        int, msgspec.Meta(ge=1, le=MOST_DAYS, description="How many calendar days the recent closes reach back.")
    ] = 30


async def _look(work: Work, viewer: Viewer, asked: PricesOf) -> Found:
    found = await instrument(work, viewer, asked.instrument)
    today = viewer.today(work.now)
    # The last one may be older than what is asked for.
    last = await work.quotes.last_prices(viewer, [found.id], today)
    recent = await work.quotes.prices(viewer, [found.id], today - timedelta(days=asked.days), today)
    closes = recent or last
    facts = _facts(found, closes)
    return Found(told(facts), tuple(_blocks(found, closes[-MOST_ROWS:])), focus=(focus_on("instrument", found),))


def _facts(found: Instrument, closes: Sequence[ClosingPrice]) -> PricesFacts:
    told_of = [_close(each) for each in closes[-MOST_ROWS:]]
    change, share = _change(closes)
    return PricesFacts(
        instrument=named("instrument", found),
        symbol=found.symbol,
        isin=found.isin,
        exchange=found.exchange,
        status=found.status,
        currency=found.currency,
        last=told_of[-1] if told_of else None,
        change=price(change),
        change_fraction=fraction(share),
        closes=tuple(told_of),
        left_out=len(closes) - len(told_of),
    )


def _close(close: ClosingPrice) -> CloseFact:
    return CloseFact(close.on, plain(price_rounded(close.price)))


def _change(closes: Sequence[ClosingPrice]) -> tuple[Decimal | None, Decimal | None]:
    """From the close before the last to the last, and as a fraction; unknown where there is but one."""
    if not closes[:-1]:
        return None, None
    before, last = closes[-2].price, closes[-1].price
    with arithmetic():
        return last - before, (last - before) / before if before else None


def _blocks(found: Instrument, closes: Sequence[ClosingPrice]) -> list[AnyBlock]:
    if not closes:
        return []
    title = f"Closing prices of {found.symbol}"
    columns = (TableColumn("Day", CellKind.DATE), TableColumn("Close", CellKind.MONEY, found.currency))
    rows = tuple((each.on.isoformat(), plain(price_rounded(each.price))) for each in reversed(closes))
    table = TableBlock(title=title, columns=columns, rows=rows)
    if len(closes) == 1:
        return [table]
    points = tuple(Point(each.on.isoformat(), price_rounded(each.price)) for each in closes)
    chart = ChartBlock(
        title=title,
        chart=ChartKind.LINE,
        x=Axis("Day", CellKind.DATE),
        y=Axis("Close", CellKind.MONEY, found.currency),
        series=(Series(found.symbol, points),),
    )
    return [table, chart]


PRICES: Final = Tool(
    name="prices",
    description="The last closing price of an instrument with its day, and its recent closes as the exchange has "
    "reported them: not adjusted for splits, bonuses or dividends. There are no live quotes.",
    arguments=PricesOf,
    line=lambda asked: f"Looking up the prices{in_words(asked.instrument)}",
    call=_look,
)
