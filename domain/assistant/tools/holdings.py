"""The tool that tells what a client or a portfolio holds, and what that is worth today."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.assistant.tools import Found, Tool
from domain.assistant.tools.facts import (
    MOST_ROWS,
    ClassFact,
    HoldingsFacts,
    PositionFact,
    fraction,
    money,
    named,
    plain,
    price,
    ref,
    told,
)
from domain.assistant.tools.subjects import OfWhom, Subject, in_words, subject
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
from domain.errors import NotFound
from domain.instruments import Instrument
from domain.ledger import average_cost
from domain.money import ZERO, Money, arithmetic, number_stored, quantity_rounded
from domain.portfolios import Portfolio
from domain.valuation import PortfolioValuation, PositionValuation
from domain.work import Work

# A pie of more slices cannot be read.
MOST_SLICES: Final = 10
_OTHER: Final = "Other"
_SUMMED: Final = (
    "quantity",
    "total_cost",
    "market_value",
    "market_value_base",
    "unrealised_gain_base",
    "weight",
)


class HoldingsOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose holdings are meant."""

    of: OfWhom = None


async def _look(work: Work, viewer: Viewer, asked: HoldingsOf) -> Found:
    whose = await subject(work, viewer, asked.of)
    valued = await _valuation(work, viewer, whose, viewer.today(work.now))
    held = _merged(valued.positions)
    portfolios = await whose.portfolios(work, viewer)
    instruments = await work.instruments.by_ids(viewer, list({each.instrument_id for each in held}))
    facts = _facts(whose, portfolios, valued, held, {each.id: each for each in instruments})
    blocks: tuple[AnyBlock, ...] = (_table(facts), *_pie(facts, valued)) if held else ()
    return Found(told(facts), blocks, whose.clients, whose.focus)


async def _valuation(work: Work, viewer: Viewer, whose: Subject, day: date) -> PortfolioValuation:
    """What it is all worth; raises NotFound where it has just left the viewer's sight."""
    basis = await work.valuations.of_today(viewer, whose.owner, [whose.key], day)
    for valued in basis.valuations():
        return valued
    raise NotFound


def _merged(positions: Iterable[PositionValuation]) -> list[PositionValuation]:
    """The holdings of several portfolios by instrument, the largest first, those of unknown worth last.

    Where one portfolio has recorded a split and another has not, a unit is not the same in both, nor is its price.
    """
    sums: dict[tuple[UUID, Decimal | None], PositionValuation] = {}
    with arithmetic():
        for each in positions:
            key = each.instrument_id, each.price
            sums[key] = _together(sums[key], each) if key in sums else each
    return sorted(sums.values(), key=_largest_first)


def _largest_first(position: PositionValuation) -> tuple[bool, Decimal, UUID]:
    worth = position.market_value_base
    return worth is None, -(worth or ZERO), position.instrument_id


def _together(one: PositionValuation, other: PositionValuation) -> PositionValuation:
    sums: dict[str, Any] = {name: _sum(getattr(one, name), getattr(other, name)) for name in _SUMMED}
    sums["average_cost"] = average_cost(sums["total_cost"], sums["quantity"])
    return msgspec.structs.replace(one, **sums)


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _facts(
    whose: Subject,
    portfolios: Sequence[Portfolio],
    valued: PortfolioValuation,
    held: Sequence[PositionValuation],
    instruments: Mapping[UUID, Instrument],
) -> HoldingsFacts:
    shown = held[:MOST_ROWS]
    classes = (
        ClassFact(each.key, money(each.value, each.currency), fraction(each.weight)) for each in valued.by_asset_class
    )
    return HoldingsFacts(
        whose=whose.whose,
        portfolios=tuple(named("portfolio", each) for each in portfolios[:MOST_ROWS]),
        as_of=valued.as_of,
        currency=valued.currency,
        value=_total(valued.value),
        cash=_total(valued.cash),
        invested=_total(valued.invested),
        unrealised_gain=_total(valued.unrealised_gain),
        prices_as_of=valued.prices_as_of,
        rates_as_of=valued.rates_as_of,
        missing_prices=tuple(instruments[each].symbol for each in valued.missing_prices[:MOST_ROWS]),
        missing_rates=valued.missing_rates,
        by_asset_class=tuple(classes),
        positions=tuple(_fact(each, instruments[each.instrument_id]) for each in shown),
        left_out=len(held) - len(shown),
    )


def _total(amount: Money | None) -> str | None:
    return None if amount is None else money(amount.amount, amount.currency)


def _fact(held: PositionValuation, instrument: Instrument) -> PositionFact:
    return PositionFact(
        id=ref("instrument", instrument.id),
        symbol=instrument.symbol,
        name=instrument.name,
        quantity=plain(quantity_rounded(held.quantity)),
        currency=held.currency,
        average_cost=price(held.average_cost),
        price=price(held.price),
        priced_on=held.priced_on,
        market_value=money(held.market_value, held.currency),
        market_value_base=money(held.market_value_base, held.base_currency),
        fx_on=held.fx_on,
        unrealised_gain_base=money(held.unrealised_gain_base, held.base_currency),
        weight=fraction(held.weight),
    )


def _table(facts: HoldingsFacts) -> TableBlock:
    """The holdings as they are told to the model."""
    columns = (
        TableColumn("Instrument", CellKind.REF),
        TableColumn("Symbol"),
        TableColumn("Name"),
        TableColumn("Quantity", CellKind.NUMBER),
        TableColumn("Price", CellKind.NUMBER),
        TableColumn("Price in"),
        TableColumn("Price of", CellKind.DATE),
        TableColumn("Value", CellKind.MONEY, facts.currency),
        TableColumn("Rate of", CellKind.DATE),
        TableColumn("Weight", CellKind.PERCENT),
        TableColumn("Unrealised gain", CellKind.MONEY, facts.currency),
    )
    return TableBlock(title=f"Holdings of {facts.whose.name}", columns=columns, rows=tuple(map(_row, facts.positions)))


def _row(fact: PositionFact) -> tuple[str | None, ...]:
    return (
        fact.id,
        fact.symbol,
        fact.name,
        fact.quantity,
        fact.price,
        fact.currency,
        fact.priced_on.isoformat() if fact.priced_on else None,
        fact.market_value_base,
        fact.fx_on.isoformat() if fact.fx_on else None,
        fact.weight,
        fact.unrealised_gain_base,
    )


def _pie(facts: HoldingsFacts, valued: PortfolioValuation) -> tuple[ChartBlock, ...]:
    """The weights, the cash among them; none where one is unknown or below zero, which no slice can show."""
    symbols = {fact.id: fact.symbol for fact in facts.positions} | {None: "Cash"}
    slices = [(symbols.get(_id(each.instrument_id), _OTHER), each.weight) for each in valued.by_instrument]
    known = [(name, weight) for name, weight in slices if weight is not None and weight >= 0]
    if len(known) < len(slices) or not known:
        return ()
    return (
        ChartBlock(
            title=f"Weights of {facts.whose.name}",
            chart=ChartKind.PIE,
            x=Axis("Instrument"),
            y=Axis("Weight", CellKind.PERCENT),
            series=(Series("Weight", _points(known)),),
        ),
    )


def _id(instrument_id: UUID | None) -> str | None:
    return None if instrument_id is None else ref("instrument", instrument_id)


def _points(slices: Sequence[tuple[str, Decimal]]) -> tuple[Point, ...]:
    """The largest slices, and all others as one."""
    shown = [each for each in slices if each[0] != _OTHER][: MOST_SLICES - 1]
    with arithmetic():
        rest = sum((weight for _, weight in slices), ZERO) - sum((weight for _, weight in shown), ZERO)
    points = [Point(name, number_stored(weight)) for name, weight in shown]
    return (*points, Point(_OTHER, number_stored(rest))) if rest else tuple(points)


HOLDINGS: Final = Tool(
    name="holdings",
    description="What a client, over all its portfolios, or one portfolio holds today: the total value, cash and gain, "
    "and each position with its quantity, price, value and weight. What is null is not known.",
    arguments=HoldingsOf,
    line=lambda asked: f"Looking up the holdings{in_words(asked.of)}",
    call=_look,
)
