"""What becomes of an order at the broker: sending it, booking its fills, ending it, and asking again when in doubt.

The broker is called by jobs, between two transactions and never inside one. Whatever is repeated, killed or answered
twice, each fill is booked once, by the broker's own name of it, and an order says only what the broker has confirmed.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol, TypeVar
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import derived_id
from domain.errors import Refusal
from domain.instruments import Instrument
from domain.jobs import Office
from domain.ledger import Entry, TransactionKind
from domain.notifications import Notice, NotificationKind
from domain.orders.broker import Broker, BrokerUnavailable, Instruction, Report
from domain.orders.entities import FINAL, WORKING, Attention, Fill, Order, OrderStatus, Side, moved
from domain.orders.reports import Costed, changed, costed, wrong
from domain.portfolios import Portfolio
from domain.transactions import Settling, book_fill
from domain.work import Work

T = TypeVar("T")

# The broker is expected to answer in milliseconds; a call that takes so long is treated as lost, and repeated.
ANSWER_SECONDS: Final = 10.0
# After a part was filled, the rest is asked for so soon; else an order is asked about once in so long.
NEXT_PART: Final = timedelta(seconds=1)
ASK_AGAIN: Final = timedelta(seconds=45)
MOST_AT_ONCE: Final = 500


class Desk(Office, Protocol):
    """What a job of orders works with."""

    @property
    def broker(self) -> Broker: ...  # noqa: D102 - the name says it


def stream_of(portfolio_id: UUID) -> str:
    """The event stream of a portfolio's orders."""
    return f"orders:{portfolio_id}"


def log(work: Work, order: Order) -> None:
    """Tell those who watch the portfolio that an order has changed."""
    work.append(stream_of(order.portfolio_id), order.status.value, order.id, order.version)


async def send(desk: Desk, order_id: UUID) -> None:
    """Have the broker work an order as it stands; repeats do no harm, for the broker knows it by id and revision."""
    with suppress(Unbookable):
        await _sent(desk, order_id)


async def _sent(desk: Desk, order_id: UUID) -> None:
    instruction = await desk.write(instruct, order_id)
    if instruction is not None:
        await _settled(desk, order_id, await _answer(desk, order_id, desk.broker.submit(instruction)))


async def end(desk: Desk, order_id: UUID) -> None:
    """Have the broker end an order, as far as it is not filled."""
    with suppress(Unbookable):
        await _ended(desk, order_id)


async def _ended(desk: Desk, order_id: UUID) -> None:
    if (await desk.write(current, order_id)).status in WORKING:
        await _settled(desk, order_id, await _answer(desk, order_id, desk.broker.cancel(order_id)))


async def reconcile(desk: Desk, order_id: UUID) -> None:
    """Ask the broker what has become of an order, and tell it what it should know and does not.

    Where it does not answer, the order says so, and is asked about again by schedule: that is no failed job.
    """
    with suppress(BrokerUnavailable, Unbookable):
        await _reconciled(desk, order_id)


async def resolve(desk: Desk, order_id: UUID) -> None:
    """Book what the ledger did not take, as soon as it does: until then it fails, and is listed when it is dead."""
    await _reconciled(desk, order_id)


async def _reconciled(desk: Desk, order_id: UUID) -> None:
    order = await desk.write(current, order_id)
    if order.status not in WORKING:
        return
    if order.ending is not None or order.expires_at <= desk.now:
        # Not merely asked about: asking may find a price that came after its time.
        await _expired(desk, order_id)
        return
    report = await _answer(desk, order_id, desk.broker.report(order_id))
    order = await (_settled(desk, order_id, report) if report else desk.write(forgotten, order_id))
    if order.sent_revision < order.revision and (report or not order.filled_quantity):
        await _sent(desk, order_id)


async def _settled(desk: Desk, order_id: UUID, report: Report) -> Order:
    try:
        return await desk.write(settle, order_id, report)
    except Unbookable as error:
        await desk.write(mismatched, order_id, str(error))
        raise


async def _answer(desk: Desk, order_id: UUID, asked: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asked
    except (BrokerUnavailable, TimeoutError) as error:
        await desk.write(unanswered, order_id)
        raise BrokerUnavailable from error


async def follow_up(desk: Desk) -> None:
    """By schedule: ask about the orders at the broker that nobody has asked about for a while."""
    await desk.write(ask_again)


async def expire(desk: Desk) -> None:
    """By schedule: end the orders whose time is over."""
    await desk.write(end_expired)


async def ask_again(work: Work, _: Viewer) -> int:
    """Enqueue a question for each order that is due; gives how many."""
    ids = await work.orders.take_due(work.now - ASK_AGAIN, work.now, MOST_AT_ONCE)
    for order_id in ids:
        work.enqueue(reconcile, order_id)
    return len(ids)


async def end_expired(work: Work, viewer: Viewer) -> int:
    """End open orders whose time is over: at once those that are not with the broker; gives how many."""
    ids = await work.orders.expired(viewer, work.now, MOST_AT_ONCE)
    for order_id in ids:
        work.enqueue(expire_order, order_id)
    return len(ids)


async def expire_order(desk: Desk, order_id: UUID) -> None:
    """End an order whose time is over."""
    with suppress(Unbookable):
        await _expired(desk, order_id)


async def _expired(desk: Desk, order_id: UUID) -> None:
    if await desk.write(begin_expiry, order_id):
        await _ended(desk, order_id)


async def begin_expiry(work: Work, viewer: Viewer, order_id: UUID) -> bool:
    """Mark an order as over, if it is; tells whether the broker has to confirm that it ends."""
    _, before = await held(work, viewer, order_id)
    if before.status in WORKING and before.ending is not None:
        return True
    if before.status in FINAL or before.status is OrderStatus.DRAFT or before.expires_at > work.now:
        return False
    if before.status not in WORKING:
        after = moved(before, OrderStatus.EXPIRED, work.now, reason="It was not approved in its time.")
        await _store(work, viewer, before, after)
        return False
    await work.orders.replace(before, msgspec.structs.replace(before, ending=OrderStatus.EXPIRED))
    return True


async def held(work: Work, viewer: Viewer, order_id: UUID) -> tuple[Portfolio, Order]:
    """An order and its portfolio with the locks of client, portfolio and order, whatever state they are in.

    What the broker has filled is a fact, also where the client was archived since.
    """
    seen = await work.orders.one(viewer, order_id)
    await work.clients.locked(viewer, seen.client_id)
    portfolio = await work.portfolios.locked(viewer, seen.portfolio_id)
    return portfolio, await work.orders.locked(viewer, order_id)


async def current(work: Work, viewer: Viewer, order_id: UUID) -> Order:
    """The order as it stands."""
    return await work.orders.one(viewer, order_id)


async def forgotten(work: Work, viewer: Viewer, order_id: UUID) -> Order:
    """The order, which the broker says that it does not know: to be sent again, unless it had filled some of it."""
    _, before = await held(work, viewer, order_id)
    if before.status not in WORKING:
        return before
    if before.filled_quantity:
        # Sent again, it would be filled again.
        return await _mark_uncertain(
            work, viewer, before, Attention.MISMATCH, "The broker does not know an order that it had filled."
        )
    unsent = msgspec.structs.replace(before, sent_revision=0)
    return await work.orders.replace(before, unsent) if before.sent_revision else before


async def instruct(work: Work, viewer: Viewer, order_id: UUID) -> Instruction | None:
    """What the broker is to do for an order; nothing for one that is not to be worked."""
    order = await work.orders.one(viewer, order_id)
    if order.status not in WORKING or order.ending is not None or order.expires_at <= work.now:
        return None
    return Instruction(
        order_id=order.id,
        revision=order.revision,
        instrument_id=order.instrument_id,
        side=order.side,
        kind=order.kind,
        quantity=order.quantity,
        amount=order.amount,
        most_units=order.reserved_quantity if order.side is Side.SELL and order.quantity is None else None,
        limit_price=order.limit_price,
        currency=order.currency,
        trades_on=order.trades_on,
    )


async def unanswered(work: Work, viewer: Viewer, order_id: UUID) -> None:
    """Say that the broker has not answered about an order."""
    _, before = await held(work, viewer, order_id)
    if before.status in WORKING:
        await _mark_uncertain(
            work, viewer, before, Attention.NO_ANSWER, "The broker has not answered; it is asked again."
        )


async def mismatched(work: Work, viewer: Viewer, order_id: UUID, reason: str) -> None:
    """Say that what the broker states of an order cannot be booked, and have it tried again, once for each reason."""
    _, before = await held(work, viewer, order_id)
    if (
        before.status in WORKING
        and await _mark_uncertain(work, viewer, before, Attention.MISMATCH, reason) is not before
    ):
        work.enqueue(resolve, order_id, after=NEXT_PART)


async def _mark_uncertain(work: Work, viewer: Viewer, before: Order, attention: Attention, reason: str) -> Order:
    """Say what is wrong with the broker's word on an order, and tell of it; once, until there is another reason."""
    if before.attention is attention and before.reason == reason:
        return before
    after = msgspec.structs.replace(before, attention=attention, reason=reason, version=before.version + 1)
    stored = await work.orders.replace(before, after)
    log(work, stored)
    await _tell(work, viewer, NotificationKind.ORDER_UNCERTAIN, stored)
    return stored


async def settle(work: Work, viewer: Viewer, order_id: UUID, report: Report) -> Order:
    """Book what a report has that is new, and bring the order to the state that it states.

    A report that cannot be true books nothing, and the order says so. One that is late or repeated changes nothing.
    """
    portfolio, order = await held(work, viewer, order_id)
    if order.status not in WORKING:
        return order
    known = await work.orders.fills_of(viewer, [order.id])
    if (reason := wrong(order, report, known, work.now)) is not None:
        return await _mark_uncertain(work, viewer, order, Attention.MISMATCH, reason)
    names = {fill.broker_fill_id for fill in known}
    instrument = await work.instruments.one(viewer, order.instrument_id)
    fresh = list(costed(order, instrument, [fill for fill in report.fills if fill.fill_id not in names]))
    for fill in fresh:
        try:
            await _book(work, viewer, Booking(portfolio, order, instrument), fill)
        except Refusal as refusal:
            # Nothing of this transaction may stay: the caller's next one says what is wrong.
            raise Unbookable(refusal.message) from refusal
    changes = changed(order, instrument, report, fresh)
    after = moved(order, moment=work.now, **changes)
    if fresh and after.status in WORKING:
        work.enqueue(reconcile, order.id, after=NEXT_PART)
    if all(getattr(order, name) == getattr(after, name) for name in changes):
        return order
    if not fresh and after.status is order.status and order.attention is None:
        # The broker has taken note: nothing that anybody has seen of the order has changed, and so has no version.
        return await work.orders.replace(order, msgspec.structs.replace(after, version=order.version))
    return await _store(work, viewer, order, after)


class Unbookable(Exception):  # noqa: N818 - what has happened, for whoever looks at dead jobs
    """The ledger does not take a fill that the broker has made; a person has to look at the portfolio."""


class Booking(msgspec.Struct, frozen=True):
    """What a fill is booked for."""

    portfolio: Portfolio
    order: Order
    instrument: Instrument


async def _book(work: Work, viewer: Viewer, booking: Booking, new: Costed) -> None:
    """Book one fill: its own row, the ledger's entry, and what that folds to."""
    portfolio, order, instrument = booking.portfolio, booking.order, booking.instrument
    fill, cost = new.fill, new.charges
    calendar = await work.markets.calendar(instrument.exchange)
    row = Fill(
        id=derived_id("fill", order.id, fill.fill_id),
        order_id=order.id,
        broker_fill_id=fill.fill_id,
        quantity=fill.quantity,
        price=fill.price,
        charges=cost.total,
        currency=order.currency,
        filled_at=fill.filled_at,
        transaction_id=derived_id("fill entry", order.id, fill.fill_id),
    )
    entry = Entry(
        portfolio_id=order.portfolio_id,
        kind=TransactionKind.BUY if order.side is Side.BUY else TransactionKind.SELL,
        currency=order.currency,
        traded_on=max(fill.traded_on, portfolio.opened_on),
        # What is filled on paper before its session opens settles as that session does.
        settles_on=calendar.settles_on(max(fill.traded_on, order.trades_on)),
        instrument_id=order.instrument_id,
        quantity=fill.quantity,
        price=fill.price,
        brokerage=cost.brokerage,
        transaction_tax=cost.transaction_tax,
        stamp_duty=cost.stamp_duty,
        other_charges=cost.other_charges,
        reference=fill.fill_id,
    )
    # A purchase by amount takes the amount itself, though units are rounded to three places.
    exactly = None if new.taken is None else -new.taken
    settling = Settling(portfolio, instrument, row.transaction_id, order.placed_by, exactly)
    await book_fill(work, viewer, entry, settling)
    await work.orders.add_fill_once(row)


NOTICED: Final = {
    OrderStatus.FILLED: NotificationKind.ORDER_FILLED,
    OrderStatus.PARTIALLY_FILLED: NotificationKind.ORDER_PARTLY_FILLED,
    OrderStatus.REJECTED: NotificationKind.ORDER_REJECTED,
    OrderStatus.EXPIRED: NotificationKind.ORDER_EXPIRED,
    OrderStatus.CANCELLED: NotificationKind.ORDER_CANCELLED,
}


async def _store(work: Work, viewer: Viewer, before: Order, after: Order) -> Order:
    stored = await work.orders.replace(before, after)
    log(work, stored)
    # A cancellation that was asked for is news to nobody.
    asked_for = stored.status is OrderStatus.CANCELLED and before.ending is OrderStatus.CANCELLED
    if stored.status in NOTICED and not asked_for:
        await _tell(work, viewer, NOTICED[stored.status], stored)
    return stored


async def _tell(work: Work, viewer: Viewer, kind: NotificationKind, order: Order) -> None:
    """Tell whoever has placed an order, and those who look after its client."""
    audience = await work.books.audience(viewer, order.book_id, work.now)
    notice = Notice(
        kind,
        frozenset(audience) | {order.placed_by},
        book_id=order.book_id,
        client_id=order.client_id,
        portfolio_id=order.portfolio_id,
        order_id=order.id,
        amount=order.filled_value or order.notional,
        currency=order.currency,
    )
    work.tell(notice)
