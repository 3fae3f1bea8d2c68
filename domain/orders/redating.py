"""Keeping open orders in step with the markets: an exchange may announce that a day is none, or a shorter one."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.instruments import Instrument, InstrumentKind
from domain.markets import Calendar
from domain.orders.entities import OPEN, Order, TimeInForce
from domain.orders.execution import Desk, held, log
from domain.rounds import go_round
from domain.work import Work


async def redate(desk: Desk) -> None:
    """By schedule: bring open orders to the sessions that there are by now."""
    await go_round(desk, keep_in_step, await desk.write(out_of_step))


async def out_of_step(work: Work, viewer: Viewer) -> Sequence[UUID]:
    """The open orders whose session is not, or no longer, what they say."""
    ahead = await work.orders.ahead(viewer, viewer.today(work.now))
    found = await work.instruments.by_ids(viewer, list({order.instrument_id for order in ahead}))
    instruments = {instrument.id: instrument for instrument in found}
    calendars = {mic: await work.markets.calendar(mic) for mic in {each.exchange for each in found}}

    def current(order: Order) -> Order:
        instrument = instruments[order.instrument_id]
        return in_step(order, instrument, calendars[instrument.exchange])

    return [order.id for order in ahead if current(order) != order]


async def keep_in_step(work: Work, viewer: Viewer, order_id: UUID) -> None:
    """Bring one order to its session, unless it has ended meanwhile."""
    _, before = await held(work, viewer, order_id)
    if before.status not in OPEN or before.ending is not None:
        return
    instrument = await work.instruments.one(viewer, before.instrument_id)
    after = in_step(before, instrument, await work.markets.calendar(instrument.exchange))
    if after != before:
        after = msgspec.structs.replace(after, version=before.version + 1)
        log(work, await work.orders.replace(before, after))


def in_step(order: Order, instrument: Instrument, calendar: Calendar) -> Order:
    """The order with the session that its day has, or the next one; a day order ends with it, as it is held now."""
    session = calendar.session(order.trades_on) or calendar.session(calendar.add_sessions(order.trades_on, 1))
    if session is None:
        return order
    ends = order.time_in_force is TimeInForce.DAY and instrument.kind is not InstrumentKind.FUND
    expires_at = session.closes_at if ends else order.expires_at
    return msgspec.structs.replace(order, trades_on=session.day, expires_at=expires_at)
