"""The tool that tells the latest orders of a client, of a portfolio, or of whoever asks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec

from domain.access import Sight, Viewer
from domain.assistant.tools import Found, Tool
from domain.assistant.tools.facts import (
    MOST_COUNTED,
    MOST_ROWS,
    OrderFact,
    OrdersFacts,
    money,
    named,
    plain,
    price,
    quantity,
    ref,
    sum_of,
    told,
)
from domain.assistant.tools.subjects import OfWhom, Subject, in_words, subject
from domain.clients import Client
from domain.clock import today
from domain.conversations.blocks import CellKind, TableBlock, TableColumn
from domain.instruments import Instrument
from domain.money import quantity_rounded
from domain.orders import Order, OrderFilter, OrderStatus
from domain.paging import Direction, PageRequest
from domain.paging import Order as Ordering
from domain.portfolios import Portfolio
from domain.work import Work

R = TypeVar("R", Client, Portfolio, Instrument)


class OrdersOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which orders are meant."""

    of: OfWhom = None
    statuses: Annotated[
        tuple[OrderStatus, ...],
        msgspec.Meta(max_length=len(OrderStatus), description="Only orders with one of these statuses; all if empty."),
    ] = ()
    open_only: Annotated[
        bool, msgspec.Meta(description="Only orders that are not final: waiting for approval, or at the broker.")
    ] = False
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS, description="How many of the latest orders at most.")] = 20


class _Around(msgspec.Struct, frozen=True):
    """What orders refer to."""

    clients: Mapping[UUID, Client]
    portfolios: Mapping[UUID, Portfolio]
    instruments: Mapping[UUID, Instrument]


COLUMNS: Final = (
    TableColumn("Order", CellKind.REF),
    TableColumn("Placed", CellKind.DATE),
    TableColumn("Client"),
    TableColumn("Portfolio"),
    TableColumn("Side"),
    TableColumn("Instrument"),
    TableColumn("Quantity", CellKind.NUMBER),
    TableColumn("Amount", CellKind.NUMBER),
    TableColumn("Limit", CellKind.NUMBER),
    TableColumn("Currency"),
    TableColumn("Status"),
    TableColumn("Filled", CellKind.NUMBER),
)


async def _look(work: Work, viewer: Viewer, asked: OrdersOf) -> Found:
    whose = await _subject(work, viewer, asked.of)
    request = PageRequest(Ordering("PLACED_AT", Direction.DESC), _filter(viewer, asked, whose), first=MOST_COUNTED)
    page = await work.orders.page(viewer, request)
    found = page.rows[: asked.most]
    around = await _around(work, viewer, found)
    facts = [_fact(order, around) for order in found]
    told_of = OrdersFacts(
        whose=whose.whose if whose else None,
        statuses=asked.statuses,
        open_only=asked.open_only,
        total=len(page.rows),
        left_out=len(page.rows) - len(found),
        more=page.has_next,
        orders=tuple(facts),
    )
    title = f"Orders of {whose.whose.name}" if whose else "Your orders"
    block = TableBlock(title=title, columns=COLUMNS, rows=tuple(_row(fact, viewer) for fact in facts))
    clients = frozenset(order.client_id for order in page.rows) | (whose.clients if whose else frozenset())
    return Found(told(told_of), (block,) if facts else (), clients, whose.focus if whose else ())


async def _subject(work: Work, viewer: Viewer, of: str | None) -> Subject | None:
    return None if of is None else await subject(work, viewer, of)


def _filter(viewer: Viewer, asked: OrdersOf, whose: Subject | None) -> OrderFilter:
    if whose is None:
        # An end client places none itself: its own are those of its household.
        chosen = OrderFilter(placed_by_me=viewer.sight is not Sight.CLIENTS)
    elif whose.portfolio:
        chosen = OrderFilter(portfolio_ids=(whose.portfolio.id,))
    else:
        chosen = OrderFilter(client_ids=(whose.client.id,))
    return msgspec.structs.replace(chosen, statuses=asked.statuses or None, open_only=asked.open_only)


async def _around(work: Work, viewer: Viewer, found: Sequence[Order]) -> _Around:
    return _Around(
        _by_id(await work.clients.by_ids(viewer, list({order.client_id for order in found}))),
        _by_id(await work.portfolios.by_ids(viewer, list({order.portfolio_id for order in found}))),
        _by_id(await work.instruments.by_ids(viewer, list({order.instrument_id for order in found}))),
    )


def _by_id(rows: Iterable[R]) -> dict[UUID, R]:
    return {row.id: row for row in rows}


def _fact(order: Order, around: _Around) -> OrderFact:
    traded = around.instruments[order.instrument_id]
    return OrderFact(
        id=ref("order", order.id),
        client=named("client", around.clients[order.client_id]),
        portfolio=named("portfolio", around.portfolios[order.portfolio_id]),
        side=order.side,
        symbol=traded.symbol,
        instrument=traded.name,
        kind=order.kind,
        quantity=quantity(order.quantity),
        amount=money(order.amount, order.currency),
        limit_price=price(order.limit_price),
        currency=order.currency,
        notional=sum_of(order.notional, order.currency),
        status=order.status,
        filled_quantity=plain(quantity_rounded(order.filled_quantity)),
        average_price=price(order.average_price),
        placed_at=order.placed_at,
        trades_on=order.trades_on,
    )


def _row(fact: OrderFact, viewer: Viewer) -> tuple[str | None, ...]:
    return (
        fact.id,
        today(fact.placed_at, viewer.time_zone).isoformat(),
        fact.client.name,
        fact.portfolio.name,
        fact.side,
        fact.symbol,
        fact.quantity,
        fact.amount,
        fact.limit_price,
        fact.currency,
        fact.status,
        fact.filled_quantity,
    )


ORDERS: Final = Tool(
    name="orders",
    description="The latest orders of a client or of one portfolio or, without either, those that the user has placed; "
    "all of them, the open ones, or those of some statuses.",
    arguments=OrdersOf,
    line=lambda asked: f"Looking up the orders{in_words(asked.of)}",
    call=_look,
)
