"""Placing, amending, approving and cancelling orders."""

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.clients import Client
from domain.errors import Refusal, RefusalCode
from domain.instruments import Instrument, InstrumentKind
from domain.markets import Calendar
from domain.notifications import Notice, NotificationKind
from domain.orders import execution
from domain.orders.entities import OPEN, WORKING, Order, OrderStatus, TimeInForce, moved, stepped
from domain.orders.terms import (
    CHECKS,
    FUND_SESSIONS,
    GTC_LIFE,
    OF_DRAFTS,
    ApprovalLimits,
    Estimate,
    Situation,
    Ticket,
    check,
    estimate,
)
from domain.portfolios import Portfolio, open_for_change, opened
from domain.receipts import claim
from domain.text import invalid, noted
from domain.work import Work

_ZERO: Final = Decimal(0)


class Terms(msgspec.Struct, frozen=True):
    """How a ticket stands: what it asks, what that comes to, and until when it can be filled."""

    seen: Situation
    estimate: Estimate
    trades_on: date
    expires_at: datetime


async def situation(work: Work, viewer: Viewer, portfolio: Portfolio, client: Client, ticket: Ticket) -> Situation:
    """What the checks of a ticket look at. Refuses: UNKNOWN_INSTRUMENT."""
    instrument = await known_instrument(work, viewer, ticket.instrument_id)
    today = viewer.today(work.now)
    prices = await work.quotes.last_prices(viewer, [instrument.id], today)
    cash, held = await work.positions.available(viewer, portfolio.id, instrument.currency, instrument.id)
    reserved_cash, reserved = await work.orders.reserved(viewer, portfolio.id, instrument.currency, instrument.id)
    return Situation(
        ticket=ticket,
        client=client,
        instrument=instrument,
        price=prices[0] if prices else None,
        cash=cash - reserved_cash,
        held=held - reserved,
        today=today,
    )


async def known_instrument(work: Work, viewer: Viewer, instrument_id: UUID) -> Instrument:
    """The instrument, which everybody may know of. Refuses: UNKNOWN_INSTRUMENT."""
    for instrument in await work.instruments.by_ids(viewer, [instrument_id]):
        return instrument
    raise Refusal(RefusalCode.UNKNOWN_INSTRUMENT, "There is no such instrument.", ("input", "instrumentId"))


async def _terms(work: Work, seen: Situation, checks: Collection[str] = frozenset(CHECKS)) -> Terms:
    """What a checked ticket comes to, and when it trades."""
    check(seen, checks)
    estimated = estimate(seen)
    if estimated is None:
        raise TypeError("a checked ticket has a price")
    calendar = await work.markets.calendar(seen.instrument.exchange)
    session = calendar.current_or_next(work.now)
    return Terms(seen, estimated, session.day, expiry(seen, calendar, work.now))


def expiry(seen: Situation, calendar: Calendar, now: datetime) -> datetime:
    """When an order placed now ends: at the close of its session, of the last within a year, or of a fund's fifth."""
    session = calendar.current_or_next(now)
    if seen.instrument.kind is InstrumentKind.FUND:
        last = calendar.session(calendar.add_sessions(session.day, FUND_SESSIONS))
        return last.closes_at if last else session.closes_at
    if seen.ticket.time_in_force is TimeInForce.DAY:
        return session.closes_at
    return calendar.current_or_next(now + GTC_LIFE).closes_at


def _order(work: Work, viewer: Viewer, order_id: UUID, portfolio: Portfolio, terms: Terms) -> Order:
    """The ticket as an order that reserves nothing yet."""
    ticket = terms.seen.ticket
    return Order(
        id=order_id,
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        instrument_id=ticket.instrument_id,
        side=ticket.side,
        kind=ticket.kind,
        time_in_force=ticket.time_in_force,
        quantity=ticket.quantity,
        amount=ticket.amount,
        limit_price=ticket.limit_price,
        currency=terms.seen.instrument.currency,
        status=OrderStatus.DRAFT,
        notional=terms.estimate.notional,
        filled_quantity=_ZERO,
        filled_value=_ZERO,
        reserved_cash=_ZERO,
        reserved_quantity=_ZERO,
        trades_on=terms.trades_on,
        expires_at=terms.expires_at,
        placed_by=viewer.user_id,
        terms_by=viewer.user_id,
        placed_at=work.now,
        approved_by=None,
        approved_at=None,
        closed_at=None,
        checked_at=None,
        ending=None,
        revision=1,
        sent_revision=0,
        attention=None,
        reason=None,
        version=1,
    )


async def _on_portfolio(work: Work, viewer: Viewer, ticket: Ticket) -> tuple[Portfolio, Situation]:
    """The portfolio with its locks, and how the ticket stands in it."""
    client, portfolio = await opened(work, viewer, ticket.portfolio_id)
    return portfolio, await situation(work, viewer, portfolio, client, ticket)


async def place(work: Work, viewer: Viewer, approval: ApprovalLimits, key: str, ticket: Ticket) -> Order:
    """Accept a ticket as an order, which goes to the broker or, from a set value on, first to an approver.

    A repeat of `key` with the same ticket gives the first result. Refuses: IDEMPOTENCY_CONFLICT, ARCHIVED,
    UNKNOWN_INSTRUMENT and what `check` refuses.
    """
    require(viewer, Action.PLACE_ORDER)
    new_id, repeated = await claim(work, viewer, "placeOrder", key, ticket)
    if repeated:
        return await work.orders.one(viewer, new_id)
    portfolio, seen = await _on_portfolio(work, viewer, ticket)
    order = _order(work, viewer, new_id, portfolio, await _terms(work, seen))
    accepted = await _accepted(work, viewer, approval, order, seen)
    await work.orders.add(accepted)
    execution.log(work, accepted)
    return accepted


async def draft(work: Work, viewer: Viewer, key: str, ticket: Ticket) -> Order:
    """Keep a ticket as a draft, which reserves nothing. Refuses what is wrong with its form, as `place` does."""
    require(viewer, Action.PLACE_ORDER)
    new_id, repeated = await claim(work, viewer, "draftOrder", key, ticket)
    if repeated:
        return await work.orders.one(viewer, new_id)
    portfolio, seen = await _on_portfolio(work, viewer, ticket)
    order = _order(work, viewer, new_id, portfolio, await _terms(work, seen, OF_DRAFTS))
    await work.orders.add(order)
    execution.log(work, order)
    return order


async def _accepted(work: Work, viewer: Viewer, approval: ApprovalLimits, order: Order, seen: Situation) -> Order:
    """The order as it reserves what it needs, on its way to an approver or to the broker."""
    estimated = estimate(seen)
    if estimated is None:
        raise TypeError("a checked ticket has a price")
    wanted = approval.reached(order.currency, order.notional)
    status = OrderStatus.PENDING_APPROVAL if wanted else OrderStatus.SUBMITTED
    stepped(order, status)
    accepted = msgspec.structs.replace(
        order,
        status=status,
        reserved_cash=estimated.reserved_cash,
        reserved_quantity=estimated.reserved_quantity,
        placed_at=work.now,
        placed_by=viewer.user_id,
        checked_at=work.now,
    )
    if wanted:
        await ask_for_approval(work, viewer, accepted)
    else:
        work.enqueue(execution.send, accepted.id)
    return accepted


async def ask_for_approval(work: Work, viewer: Viewer, order: Order) -> None:
    """Tell those who may approve an order, apart from whoever has placed it."""
    approvers = await work.books.approvers(viewer, order.book_id)
    recipients = frozenset(approvers) - {order.placed_by, order.terms_by}
    if recipients:
        work.tell(_notice(NotificationKind.APPROVAL_WANTED, order, recipients))


def _notice(kind: NotificationKind, order: Order, recipients: frozenset[UUID]) -> Notice:
    return Notice(
        kind,
        recipients,
        book_id=order.book_id,
        client_id=order.client_id,
        portfolio_id=order.portfolio_id,
        order_id=order.id,
        amount=order.notional,
        currency=order.currency,
    )


def ticket_of(order: Order) -> Ticket:
    """What an order asks for, or what is left of it to be filled."""
    return Ticket(
        portfolio_id=order.portfolio_id,
        instrument_id=order.instrument_id,
        side=order.side,
        kind=order.kind,
        time_in_force=order.time_in_force,
        quantity=order.remaining_quantity,
        amount=order.amount,
        limit_price=order.limit_price,
    )


async def locked(work: Work, viewer: Viewer, order_id: UUID) -> Order:
    """An order with the locks of its client, its portfolio and itself. Raises NotFound. Refuses: ARCHIVED."""
    seen = await work.orders.one(viewer, order_id)
    await open_for_change(work, viewer, seen.portfolio_id, "orderId")
    return await work.orders.locked(viewer, order_id)


async def rechecked(work: Work, viewer: Viewer, order: Order, checks: Collection[str] = frozenset(CHECKS)) -> Terms:
    """The order's terms as they stand now, its own reservation being free for it."""
    portfolio = await work.portfolios.one(viewer, order.portfolio_id)
    client = await work.clients.one(viewer, order.client_id)
    seen = await situation(work, viewer, portfolio, client, ticket_of(order))
    seen = msgspec.structs.replace(seen, filled=order.filled_quantity, filled_value=order.filled_value)
    if order.status in OPEN:
        free = {"cash": seen.cash + order.reserved_cash, "held": seen.held + order.reserved_quantity}
        seen = msgspec.structs.replace(seen, **free)
    return await _terms(work, seen, checks)


def check_version(order: Order, version: int) -> None:
    """Refuse what was decided by an earlier version. Refuses: STALE_VERSION."""
    if order.version != version:
        message = "The order has changed since this version; read it again."
        raise Refusal(RefusalCode.STALE_VERSION, message, ("input", "version"))


async def submit(work: Work, viewer: Viewer, approval: ApprovalLimits, order_id: UUID, version: int) -> Order:
    """Place a draft. Refuses: ILLEGAL_STEP, STALE_VERSION, and as `place` does."""
    require(viewer, Action.PLACE_ORDER)
    before = await locked(work, viewer, order_id)
    stepped(before, OrderStatus.SUBMITTED)
    if before.status is not OrderStatus.DRAFT:
        raise illegal("Only a draft is submitted.")
    check_version(before, version)
    terms = await rechecked(work, viewer, before)
    anew = msgspec.structs.replace(
        before,
        notional=terms.estimate.notional,
        trades_on=terms.trades_on,
        expires_at=terms.expires_at,
        version=before.version + 1,
    )
    return await stored(work, before, await _accepted(work, viewer, approval, anew, terms.seen))


def illegal(message: str) -> Refusal:
    """The refusal of a step that the order cannot take as it stands."""
    return Refusal(RefusalCode.ILLEGAL_STEP, message, ("input", "orderId"))


async def stored(work: Work, before: Order, after: Order) -> Order:
    """Store a changed order, and tell those who watch its portfolio."""
    kept = await work.orders.replace(before, after)
    execution.log(work, kept)
    return kept


async def cancel(work: Work, viewer: Viewer, order_id: UUID) -> Order:
    """Cancel an order: at once, or, once it is with the broker, as soon as the broker confirms what was filled.

    A repeat changes nothing. Refuses: ILLEGAL_STEP.
    """
    require(viewer, Action.PLACE_ORDER)
    before = await locked(work, viewer, order_id)
    if before.ending is OrderStatus.CANCELLED or before.status is OrderStatus.CANCELLED:
        return before
    stepped(before, OrderStatus.CANCELLED)
    if before.status not in WORKING:
        return await stored(work, before, moved(before, OrderStatus.CANCELLED, work.now))
    work.enqueue(execution.end, before.id)
    after = msgspec.structs.replace(before, ending=OrderStatus.CANCELLED, version=before.version + 1)
    return await stored(work, before, after)


async def approve(work: Work, viewer: Viewer, order_id: UUID, version: int) -> Order:
    """Approve an order that somebody else has placed, so that it goes to the broker.

    Refuses: OWN_ORDER, ILLEGAL_STEP, STALE_VERSION, and what `check` refuses by now.
    """
    require(viewer, Action.APPROVE_ORDER)
    before = await _for_approval(work, viewer, order_id)
    check_version(before, version)
    if before.expires_at <= work.now:
        raise illegal("The order's time is over.")
    terms = await rechecked(work, viewer, before)
    after = moved(
        before,
        OrderStatus.SUBMITTED,
        work.now,
        approved_by=viewer.user_id,
        approved_at=work.now,
        checked_at=work.now,
        # As of now: prices have moved since it was placed, and a fund's value of that day may be known.
        notional=terms.estimate.notional,
        reserved_cash=terms.estimate.reserved_cash,
        reserved_quantity=terms.estimate.reserved_quantity,
        trades_on=terms.trades_on,
    )
    work.enqueue(execution.send, after.id)
    work.tell(_notice(NotificationKind.ORDER_APPROVED, after, frozenset({after.placed_by})))
    return await stored(work, before, after)


async def decline(work: Work, viewer: Viewer, order_id: UUID, reason: str) -> Order:
    """Decline an order that somebody else has placed. Refuses: OWN_ORDER, ILLEGAL_STEP, INVALID_VALUE."""
    require(viewer, Action.APPROVE_ORDER)
    before = await _for_approval(work, viewer, order_id)
    if not (because := noted(reason, "reason")):
        raise invalid("reason", "A reason is needed.")
    after = moved(before, OrderStatus.REJECTED, work.now, reason=because)
    work.tell(_notice(NotificationKind.ORDER_REJECTED, after, frozenset({after.placed_by})))
    return await stored(work, before, after)


async def _for_approval(work: Work, viewer: Viewer, order_id: UUID) -> Order:
    order = await locked(work, viewer, order_id)
    if order.status is not OrderStatus.PENDING_APPROVAL:
        raise illegal(f"The order is {order.status.value.lower().replace('_', ' ')} and waits for no approval.")
    # Whoever has led a client's book and another's team alike still decides nothing of one's own.
    if viewer.user_id in {order.placed_by, order.terms_by}:
        message = (
            "An order is approved by somebody else than who has placed it or set its terms; ask another supervisor."
        )
        raise Refusal(RefusalCode.OWN_ORDER, message, ("input", "orderId"))
    return order
