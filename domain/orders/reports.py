"""What a broker's report says of an order: whether it can be true, and what it changes. Values in, values out."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec

from domain.books import EARTH
from domain.instruments import Instrument
from domain.money import AMOUNT, ZERO, amount_stored, arithmetic, fits_amount, fits_number
from domain.orders.broker import BrokerFill, BrokerStatus, Report
from domain.orders.charges import Charges, charges, stamp_duty_within
from domain.orders.entities import FINAL, Fill, Order, OrderStatus, Side
from domain.orders.terms import UNIT_STEP, cash_to_reserve, units_for

LONGEST_FILL_ID: Final = 100
LONGEST_REASON: Final = 500


class Costed(msgspec.Struct, frozen=True):
    """A fill that is new, with its value and charges; `taken` is its cash, where that is what was ordered."""

    fill: BrokerFill
    value: Decimal
    charges: Charges
    taken: Decimal | None

    @property
    def cash(self) -> Decimal:
        """What it takes of cash as a purchase, charges included."""
        with arithmetic():
            return self.value + self.charges.total if self.taken is None else self.taken


def wrong(order: Order, report: Report, known: Sequence[Fill], now: datetime) -> str | None:
    """Why a report of a working order cannot be true; none if it can."""
    if report.order_id != order.id or not 0 <= report.revision <= order.revision:
        return "The broker has answered about another order."
    if not all(_possible(order, fill, now) for fill in report.fills):
        return "The broker states a fill that cannot be."
    if len({fill.fill_id for fill in report.fills}) != len(report.fills):
        return "The broker states a fill twice."
    ours = {fill.broker_fill_id: (fill.quantity, fill.price) for fill in known}
    if any(ours.get(fill.fill_id, (fill.quantity, fill.price)) != (fill.quantity, fill.price) for fill in report.fills):
        return "The broker has changed a fill that it had stated before."
    return _wrong_sum(order, report, [fill for fill in report.fills if fill.fill_id not in ours])


def _possible(order: Order, fill: BrokerFill, now: datetime) -> bool:
    numbers = all(fits_number(value) and value > 0 for value in (fill.quantity, fill.price))
    # In whichever zone the market lies: neither before the order was placed nor in the future.
    in_time = (order.placed_at - EARTH).date() <= fill.traded_on <= (now + EARTH).date()
    named = 0 < len(fill.fill_id) <= LONGEST_FILL_ID and fill.fill_id.isprintable()
    return numbers and in_time and named and fill.filled_at.tzinfo is not None and _adds_up(order, fill)


def _adds_up(order: Order, fill: BrokerFill) -> bool:
    """Whether the units are those that the amount buys, where cash was what was ordered."""
    if order.amount is None or order.side is Side.SELL:
        return True
    if fill.amount is None or not fits_amount(fill.amount) or fill.amount <= 0:
        return False
    with arithmetic():
        units = units_for(order.side, fill.amount, fill.price, order.currency)
        return abs(units - fill.quantity) <= UNIT_STEP


def _wrong_sum(order: Order, report: Report, fresh: Sequence[BrokerFill]) -> str | None:
    with arithmetic():
        filled = order.filled_quantity + sum((fill.quantity for fill in fresh), ZERO)
    if _beyond(order, report, fresh, filled):
        return "The broker states more than was ordered."
    if report.status is BrokerStatus.REJECTED and filled:
        return "The broker has declined an order that it had filled."
    if report.status is not BrokerStatus.FILLED:
        return None
    short = order.quantity is not None and is_confirmed(order, report) and filled != order.quantity
    return "The broker states that the order is filled, and not all fills." if short or not filled else None


def _beyond(order: Order, report: Report, fresh: Sequence[BrokerFill], filled: Decimal) -> bool:
    """Whether more was filled than the order can be for, by its terms or by those that the broker may still have."""
    with arithmetic():
        if order.side is Side.SELL:
            return sum((fill.quantity for fill in fresh), ZERO) > order.reserved_quantity
        if order.quantity is None:
            return sum((fill.amount or ZERO for fill in fresh), ZERO) > order.reserved_cash
        return is_confirmed(order, report) and filled > order.quantity


def is_confirmed(order: Order, report: Report) -> bool:
    """Whether the broker, in this report or before, has confirmed the order as it stands."""
    return max(order.sent_revision, report.revision) == order.revision


def costed(order: Order, instrument: Instrument, fresh: Sequence[BrokerFill]) -> Iterator[Costed]:
    """New fills with their charges.

    They are what the order's whole value costs by then, less what it had cost before: rounded once, an order costs the
    same in one part as in a hundred, and never more than is reserved for it.
    """
    value = order.filled_value
    for fill in fresh:
        with arithmetic():
            worth = amount_stored(fill.quantity * fill.price)
            before, value = value, value + worth
        if fill.amount is not None and order.amount is not None and order.side is Side.BUY:
            duty = Charges(ZERO, ZERO, stamp_duty_within(fill.amount, order.currency), ZERO)
            yield Costed(fill, worth, duty, fill.amount)
        else:
            already = charges(instrument, order.side, before)
            yield Costed(fill, worth, charges(instrument, order.side, value).less(already), None)


def changed(order: Order, instrument: Instrument, report: Report, fresh: Sequence[Costed]) -> dict[str, Any]:
    """What a report that can be true changes of an order."""
    with arithmetic():
        filled = order.filled_quantity + sum((each.fill.quantity for each in fresh), ZERO)
        value = order.filled_value + sum((each.value for each in fresh), ZERO)
    status = _status(order, report, filled)
    return {
        "status": status,
        **_size(order, report, fresh, filled, status),
        "filled_quantity": filled,
        "filled_value": value,
        "sent_revision": max(order.sent_revision, report.revision),
        "attention": None,
        "reason": _said(report.reason) or (None if order.attention else order.reason),
        **_reserved(order, instrument, report, fresh),
    }


def _status(order: Order, report: Report, filled: Decimal) -> OrderStatus:
    # What was filled as a whole is filled, also if the broker calls it cancelled, or has not noticed.
    whole = order.quantity is not None and filled == order.quantity and is_confirmed(order, report)
    if report.status is BrokerStatus.FILLED or whole:
        return OrderStatus.FILLED
    if report.status is BrokerStatus.REJECTED:
        return OrderStatus.REJECTED
    if report.status is BrokerStatus.CANCELLED:
        return order.ending or OrderStatus.CANCELLED
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.SUBMITTED


def _size(
    order: Order, report: Report, fresh: Sequence[Costed], filled: Decimal, status: OrderStatus
) -> dict[str, Decimal]:
    """An order that was filled by terms that were amended too late is as large as it was filled."""
    if status is OrderStatus.FILLED and order.quantity is not None:
        return {"quantity": filled}
    if status in FINAL and order.quantity is not None:
        return {"quantity": max(order.quantity, filled)}
    taken = [each.taken for each in fresh if each.taken is not None]
    if status is OrderStatus.FILLED and taken and not order.filled_quantity and not is_confirmed(order, report):
        return {"amount": sum(taken, ZERO)}
    return {}


def _said(reason: str | None) -> str | None:
    """A broker's words, as far as they can be kept and shown."""
    words = "".join(mark if mark.isprintable() else " " for mark in reason or "")
    return " ".join(words.split())[:LONGEST_REASON] or None


def _reserved(order: Order, instrument: Instrument, report: Report, fresh: Sequence[Costed]) -> dict[str, Decimal]:
    """What is still reserved: what was, less what its fills have taken, and no more than confirmed terms can take.

    So it never rises, and what an order has taken and may still take is never more than was found for it.
    """
    with arithmetic():
        units = order.reserved_quantity - sum((each.fill.quantity for each in fresh), ZERO)
        cash = order.reserved_cash - sum((each.cash for each in fresh), ZERO)
    if order.side is Side.SELL:
        cash = ZERO
        units = min(units, _units_to_go(order, fresh)) if is_confirmed(order, report) else units
    else:
        units = ZERO
        cash = min(cash, _cash_to_go(order, instrument, fresh)) if is_confirmed(order, report) else cash
    return {"reserved_cash": max(cash, ZERO), "reserved_quantity": max(units, ZERO)}


def _units_to_go(order: Order, fresh: Sequence[Costed]) -> Decimal:
    """The units that confirmed terms may still fill."""
    with arithmetic():
        filled = order.filled_quantity + sum((each.fill.quantity for each in fresh), ZERO)
        return order.reserved_quantity if order.quantity is None else max(order.quantity - filled, ZERO)


def _cash_to_go(order: Order, instrument: Instrument, fresh: Sequence[Costed]) -> Decimal:
    """The cash that confirmed terms may still take."""
    with arithmetic():
        if order.quantity is None:
            before = order.reserved_cash if order.filled_quantity else order.amount or ZERO
            return before - sum((each.cash for each in fresh), ZERO)
        value = order.filled_value + sum((each.value for each in fresh), ZERO)
        left = _units_to_go(order, fresh)
        worth = left * (order.limit_price or order.notional / order.quantity)
        return cash_to_reserve(instrument, order.kind, worth.quantize(AMOUNT, rounding=ROUND_CEILING), value)
