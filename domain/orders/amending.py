"""Changing the terms of an order, wherever it stands, and what it reserves while the broker may have either terms."""

from decimal import ROUND_CEILING, Decimal
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.errors import Refusal, RefusalCode
from domain.instruments import InstrumentKind
from domain.money import AMOUNT, ZERO, amount_stored, arithmetic
from domain.orders import execution
from domain.orders.entities import FINAL, OPEN, WORKING, Order, OrderStatus, TimeInForce
from domain.orders.terms import CHECKS, OF_DRAFTS, ApprovalLimits
from domain.orders.verbs import Terms, ask_for_approval, check_version, illegal, locked, rechecked, stored
from domain.text import invalid
from domain.work import Work


class Amendment(msgspec.Struct, frozen=True):
    """What changes an order, as it stood at `version`; UNSET leaves a term as it is."""

    order_id: UUID
    version: int
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    amount: Decimal | msgspec.UnsetType = msgspec.UNSET
    limit_price: Decimal | msgspec.UnsetType = msgspec.UNSET
    time_in_force: TimeInForce | msgspec.UnsetType = msgspec.UNSET


async def amend(work: Work, viewer: Viewer, approval: ApprovalLimits, change: Amendment) -> Order:
    """Change the terms of an order that is not final. What is with the broker is replaced there.

    Refuses: ILLEGAL_STEP, STALE_VERSION, NEEDS_APPROVAL (cancel it and place another), and what `check` refuses.
    """
    require(viewer, Action.PLACE_ORDER)
    before = await locked(work, viewer, change.order_id)
    _check_changeable(work, before)
    check_version(before, change.version)
    wanted = _amended(before, change)
    if before.status not in WORKING:
        # Whoever has set the terms does not approve them, and neither does whoever has placed the order. What is at the
        # broker needs none any more: it does not grow beyond what was approved, whoever reduces it.
        wanted = msgspec.structs.replace(wanted, terms_by=viewer.user_id)
    terms = await rechecked(
        work, viewer, wanted, OF_DRAFTS if before.status is OrderStatus.DRAFT else frozenset(CHECKS)
    )
    if before.status in WORKING:
        _check_growth(approval, before, wanted, terms)
    after = await _sent_on(work, viewer, approval, _replaced(before, wanted, terms))
    return await stored(work, before, after)


def _check_changeable(work: Work, order: Order) -> None:
    if order.status in FINAL or order.ending is not None:
        raise illegal(f"The order is {order.status.value.lower()} and takes no changes.")
    if order.status in OPEN and order.expires_at <= work.now:
        raise illegal("The order's time is over.")


def _check_growth(approval: ApprovalLimits, before: Order, wanted: Order, terms: Terms) -> None:
    """What an approval has not seen is not added at the broker's, however much was approved."""
    price = terms.estimate.price
    if not approval.reached(before.currency, before.filled_value + terms.estimate.notional):
        return
    if _worth(wanted, price) > _worth(before, price):
        message = "Of this value an order needs an approval: cancel it and place another."
        raise Refusal(RefusalCode.NEEDS_APPROVAL, message, ("input", "quantity"))


def _worth(order: Order, price: Decimal) -> Decimal:
    """What the whole of an order is worth at its limit or, without one, at a price."""
    with arithmetic():
        return order.amount or amount_stored((order.quantity or ZERO) * (order.limit_price or price))


def _amended(order: Order, change: Amendment) -> Order:
    given = {
        name: getattr(change, name)
        for name in ("quantity", "amount", "limit_price", "time_in_force")
        if not isinstance(getattr(change, name), msgspec.UnsetType)
    }
    if not given:
        raise invalid("quantity", "Nothing is to be changed.")
    quantity = given.get("quantity")
    if quantity is not None and order.filled_quantity and quantity <= order.filled_quantity:
        raise invalid("quantity", f"{order.filled_quantity.normalize():f} units are filled already; cancel the rest.")
    return msgspec.structs.replace(order, **given)


def _replaced(before: Order, wanted: Order, terms: Terms) -> Order:
    """The order with its new terms, and what they come to."""
    # An order of a fund that is changed after the close, when its value may be known already, gets the next value.
    anew = wanted.status not in WORKING or terms.seen.instrument.kind is InstrumentKind.FUND
    return msgspec.structs.replace(
        wanted,
        notional=_worth(wanted, terms.estimate.price),
        trades_on=terms.trades_on if anew else wanted.trades_on,
        expires_at=terms.expires_at,
        **_reserving(before, wanted, terms),
        revision=wanted.revision + 1,
        version=wanted.version + 1,
    )


async def _sent_on(work: Work, viewer: Viewer, approval: ApprovalLimits, order: Order) -> Order:
    """The order on its way to the broker or, once more, to an approver; a draft goes nowhere."""
    if order.status is OrderStatus.DRAFT:
        return order
    if order.status is OrderStatus.PENDING_APPROVAL:
        if approval.reached(order.currency, order.notional):
            await ask_for_approval(work, viewer, order)
            return order
        order = msgspec.structs.replace(order, status=OrderStatus.SUBMITTED)
    work.enqueue(execution.send, order.id)
    return order


def _reserving(before: Order, wanted: Order, terms: Terms) -> dict[str, Decimal]:
    """What an amended order reserves: until the broker confirms, it may still fill the former terms, or part of them.

    Refuses: INSUFFICIENT_CASH.
    """
    if wanted.status not in OPEN:
        return {}
    cash, units = terms.estimate.reserved_cash, terms.estimate.reserved_quantity
    if wanted.status in WORKING:
        cash = max(cash, before.reserved_cash, _at_worst(before, wanted, cash))
        units = max(units, before.reserved_quantity)
    if cash > max(terms.seen.cash, before.reserved_cash):
        message = f"{cash - terms.seen.cash:f} {wanted.currency} are missing until the broker has replaced the order."
        raise Refusal(RefusalCode.INSUFFICIENT_CASH, message, ("input", "quantity"), missing=cash - terms.seen.cash)
    return {"reserved_cash": cash, "reserved_quantity": units}


def _at_worst(before: Order, wanted: Order, cash: Decimal) -> Decimal:
    """The cash for all that the former terms may fill, and then for what cheaper new ones ask beyond it."""
    former, latter = before.remaining_quantity, wanted.remaining_quantity
    if former is None or latter is None or latter <= former:
        return cash
    with arithmetic():
        beyond = cash * (latter - former) / latter
        return before.reserved_cash + beyond.quantize(AMOUNT, rounding=ROUND_CEILING)
