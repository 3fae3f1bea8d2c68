"""The tool that tells the cash of a client or a portfolio."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.assistant.tools import Found, Tool
from domain.assistant.tools.facts import MOST_ROWS, BalanceFact, CashFacts, Named, named, sum_of, told
from domain.assistant.tools.subjects import OfWhom, in_words, subject
from domain.conversations.blocks import CellKind, TableBlock, TableColumn
from domain.money import ZERO, arithmetic
from domain.portfolios import Portfolio
from domain.positions import Settled
from domain.work import Work


class CashOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose cash is meant."""

    of: OfWhom = None


class _Balance(msgspec.Struct, frozen=True):
    """Cash in a currency, and what is reserved of it."""

    portfolio_id: UUID
    currency: str
    settled: Decimal
    unsettled: Decimal
    reserved: Decimal


COLUMNS: Final = (
    TableColumn("Portfolio", CellKind.REF),
    TableColumn("Name"),
    TableColumn("Currency"),
    TableColumn("Settled", CellKind.NUMBER),
    TableColumn("Unsettled", CellKind.NUMBER),
    TableColumn("Total", CellKind.NUMBER),
    TableColumn("Reserved", CellKind.NUMBER),
    TableColumn("Available", CellKind.NUMBER),
)


async def _look(work: Work, viewer: Viewer, asked: CashOf) -> Found:
    whose = await subject(work, viewer, asked.of)
    today = viewer.today(work.now)
    portfolios = {each.id: each for each in await whose.portfolios(work, viewer)}
    settled = await work.cash.settled(viewer, list(portfolios), today)
    balances = _balances(settled, await work.orders.reserved_cash(viewer, list(portfolios)))
    facts = [_fact(each, _named(portfolios[each.portfolio_id])) for each in balances[:MOST_ROWS]]
    block = TableBlock(title=f"Cash of {whose.whose.name}", columns=COLUMNS, rows=tuple(map(_row, facts)))
    told_of = CashFacts(
        whose=whose.whose,
        as_of=today,
        totals=tuple(_fact(total, None) for total in _totals(balances)),
        balances=tuple(facts),
        left_out=len(balances) - len(facts),
    )
    return Found(told(told_of), (block,) if facts else (), whose.clients, whose.focus)


def _balances(settled: Iterable[Settled], reserved: Mapping[tuple[UUID, str], Decimal]) -> list[_Balance]:
    """By currency, the largest first in each."""
    found = [
        _Balance(
            each.portfolio_id,
            each.currency,
            each.settled,
            each.unsettled,
            reserved.get((each.portfolio_id, each.currency), ZERO),
        )
        for each in settled
    ]
    return sorted(found, key=lambda each: (each.currency, -each.settled, each.portfolio_id))


def _totals(balances: Sequence[_Balance]) -> list[_Balance]:
    """All portfolios together, in each currency."""
    sums: dict[str, _Balance] = {}
    with arithmetic():
        for each in balances:
            so_far = sums.get(each.currency)
            sums[each.currency] = _together(so_far, each) if so_far else each
    return list(sums.values())


def _together(one: _Balance, other: _Balance) -> _Balance:
    return msgspec.structs.replace(
        one,
        settled=one.settled + other.settled,
        unsettled=one.unsettled + other.unsettled,
        reserved=one.reserved + other.reserved,
    )


def _named(portfolio: Portfolio) -> Named:
    return named("portfolio", portfolio)


def _fact(balance: _Balance, portfolio: Named | None) -> BalanceFact:
    with arithmetic():
        total = balance.settled + balance.unsettled
        available = total - balance.reserved
    amounts = {
        "settled": balance.settled,
        "unsettled": balance.unsettled,
        "total": total,
        "reserved": balance.reserved,
        "available": available,
    }
    texts = {name: sum_of(amount, balance.currency) for name, amount in amounts.items()}
    return BalanceFact(portfolio=portfolio, currency=balance.currency, **texts)


def _row(fact: BalanceFact) -> tuple[str | None, ...]:
    portfolio = (fact.portfolio.id, fact.portfolio.name) if fact.portfolio else (None, None)
    return *portfolio, fact.currency, fact.settled, fact.unsettled, fact.total, fact.reserved, fact.available


CASH: Final = Tool(
    name="cash",
    description="The cash of a client or of one portfolio, by currency and portfolio: settled, unsettled, reserved by "
    "open orders, and available for new ones.",
    arguments=CashOf,
    line=lambda asked: f"Looking up the cash{in_words(asked.of)}",
    call=_look,
)
