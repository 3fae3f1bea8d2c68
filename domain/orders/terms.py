"""What an order asks for, and the checks that it must pass: suitability, standing, form and cover.

Every check is a function of one situation and gives the refusal, or none: `place` raises the first, `previewOrder`
shows them all.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final
from uuid import UUID

import msgspec

from domain.clients import Client, ClientStatus, KycStatus, RiskProfile
from domain.errors import Refusal, RefusalCode
from domain.instruments import ClosingPrice, Instrument, InstrumentKind, InstrumentStatus, RiskLevel
from domain.money import (
    AMOUNT_LIMIT,
    ZERO,
    Money,
    amount_stored,
    arithmetic,
    as_currency,
    display,
    fits_amount,
    fits_number,
    money_rounded,
    places,
    units_rounded,
)
from domain.orders.charges import Charges, charges, stamp_duty_within
from domain.orders.entities import OrderKind, Side, TimeInForce

# A market order may fill above the last price, so that much more cash, as a fraction, is reserved for it.
MARGIN: Final = Decimal("0.02")
# A fund fills at a value that nobody knows yet, a session or more after the last one.
FUND_MARGIN: Final = Decimal("0.05")
UNIT_STEP: Final = Decimal("0.001")
GTC_LIFE: Final = timedelta(days=365)
# A fund states its next value after the close, so that an order for its units outlives the session.
FUND_SESSIONS: Final = 5


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to order: a quantity or, of a fund, an amount in its currency, charges included."""

    portfolio_id: UUID
    instrument_id: UUID
    side: Side
    kind: OrderKind = OrderKind.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    quantity: Decimal | None = None
    amount: Decimal | None = None
    limit_price: Decimal | None = None


class ApprovalLimits(msgspec.Struct, frozen=True):
    """From which value on, in each currency, an order needs an approval; in a currency without one, always."""

    limits: dict[str, Decimal]

    def reached(self, currency: str, value: Decimal) -> bool:
        """Whether an order of this value needs an approval."""
        limit = self.limits.get(currency)
        return limit is None or value >= limit


class Situation(msgspec.Struct, frozen=True):
    """All that the checks of a ticket look at; `cash` and `held` are free of what other open orders reserve.

    Where it is the rest of an order, `filled` and `filled_value` are what was filled of that before.
    """

    ticket: Ticket
    client: Client
    instrument: Instrument
    price: ClosingPrice | None
    cash: Decimal
    held: Decimal
    today: date
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO


class Estimate(msgspec.Struct, frozen=True):
    """What an order is worth and costs at the price that it is expected to fill at, in the instrument's currency.

    `cash` is its effect on cash, charges included: below zero for a purchase. What it reserves until it is filled is
    more than that, for a market order may fill at a higher price.
    """

    price: Decimal
    quantity: Decimal
    notional: Decimal
    charges: Charges
    cash: Decimal
    reserved_cash: Decimal
    reserved_quantity: Decimal


SUITABLE: Final[Mapping[RiskProfile, frozenset[RiskLevel]]] = {
    RiskProfile.CONSERVATIVE: frozenset({RiskLevel.LOW, RiskLevel.MODERATE}),
    RiskProfile.MODERATE: frozenset({RiskLevel.LOW, RiskLevel.MODERATE, RiskLevel.HIGH}),
    RiskProfile.AGGRESSIVE: frozenset(RiskLevel),
}


def _refused(code: RefusalCode, message: str, field: str) -> Refusal:
    return Refusal(code, message, ("input", field))


def _form(seen: Situation) -> Refusal | None:
    ticket = seen.ticket
    if (ticket.quantity is None) == (ticket.amount is None):
        return _refused(RefusalCode.INVALID_VALUE, "An order is for a quantity or for an amount.", "quantity")
    if ticket.amount is not None and seen.instrument.kind is not InstrumentKind.FUND:
        message = "Only funds are ordered by amount; state a quantity."
        return _refused(RefusalCode.INVALID_VALUE, message, "amount")
    if seen.instrument.kind is InstrumentKind.FUND and ticket.kind is OrderKind.LIMIT:
        message = "A fund trades at its next net asset value and has no limit."
        return _refused(RefusalCode.INVALID_VALUE, message, "kind")
    if (ticket.limit_price is not None) != (ticket.kind is OrderKind.LIMIT):
        message = "A limit order, and no other, has a limit price."
        return _refused(RefusalCode.INVALID_VALUE, message, "limitPrice")
    return None


def _size(seen: Situation) -> Refusal | None:
    for field, value, fits in (
        ("quantity", seen.ticket.quantity, fits_number),
        ("amount", seen.ticket.amount, fits_amount),
        ("limitPrice", seen.ticket.limit_price, fits_number),
    ):
        if value is not None and (not fits(value) or value <= 0):
            return _refused(
                RefusalCode.INVALID_VALUE,
                "The value must be above zero, and not larger or finer than can be kept.",
                field,
            )
    return None


def _places(seen: Situation) -> Refusal | None:
    amount, currency = seen.ticket.amount, seen.instrument.currency
    if amount is not None and money_rounded(amount, currency) != amount:
        return _refused(RefusalCode.INVALID_VALUE, f"An amount in {currency} has no such fraction.", "amount")
    return None


def _lot(seen: Situation) -> Refusal | None:
    lot, quantity = seen.instrument.lot_size, seen.ticket.quantity
    # What a split or a bonus has left beside whole lots is sold as a whole.
    whole_holding = seen.ticket.side is Side.SELL and quantity == seen.held
    with arithmetic():
        whole = (quantity or ZERO) + seen.filled
    # Parts are filled as they come, so that the rest need not be whole lots.
    if quantity is None or whole_holding or _multiple(whole, lot):
        return None
    message = f"{seen.instrument.symbol} is traded in multiples of {lot.normalize():f}."
    return _refused(RefusalCode.LOT_SIZE, message, "quantity")


def _tick(seen: Situation) -> Refusal | None:
    tick, limit = seen.instrument.tick_size, seen.ticket.limit_price
    if limit is None or _multiple(limit, tick):
        return None
    message = f"The price of {seen.instrument.symbol} moves in steps of {tick.normalize():f}."
    return _refused(RefusalCode.TICK_SIZE, message, "limitPrice")


def _multiple(value: Decimal, step: Decimal) -> bool:
    with arithmetic():
        return value % step == 0


def _traded(seen: Situation) -> Refusal | None:
    if seen.instrument.status is not InstrumentStatus.ACTIVE:
        message = f"{seen.instrument.symbol} is {seen.instrument.status.value.lower()} and takes no orders."
        return _refused(RefusalCode.NOT_TRADED, message, "instrumentId")
    if seen.price is None:
        return _refused(RefusalCode.NOT_TRADED, f"{seen.instrument.symbol} has no price yet.", "instrumentId")
    return None


def _value(seen: Situation) -> Refusal | None:
    price = seen.ticket.limit_price or (seen.price.price if seen.price else ZERO)
    with arithmetic():
        # Twice as much is within what can be stored too: charges and a margin come on top.
        if (seen.ticket.quantity or ZERO) * price * 2 < AMOUNT_LIMIT:
            return None
    return _refused(RefusalCode.INVALID_VALUE, "Quantity by price is beyond what can be kept.", "quantity")


def _standing(seen: Situation) -> Refusal | None:
    if seen.client.status is ClientStatus.ACTIVE:
        return None
    message = f"The client is {seen.client.status.value.lower()}; its status must be ACTIVE before it trades."
    return _refused(RefusalCode.CLIENT_NOT_ACTIVE, message, "portfolioId")


def _known(seen: Situation) -> Refusal | None:
    client = seen.client
    if client.kyc_status is not KycStatus.VERIFIED:
        message = f"The client's KYC is {client.kyc_status.value.lower()}; it must be verified before it trades."
        return _refused(RefusalCode.KYC_EXPIRED, message, "portfolioId")
    if client.kyc_expires_on is not None and client.kyc_expires_on < seen.today:
        message = f"The client's KYC ran out on {client.kyc_expires_on}; it must be renewed before it trades."
        return _refused(RefusalCode.KYC_EXPIRED, message, "portfolioId")
    return None


def _suitable(seen: Situation) -> Refusal | None:
    profile, risk = seen.client.risk_profile, seen.instrument.risk
    if seen.ticket.side is Side.SELL or (profile is not None and risk in SUITABLE[profile]):
        return None
    if profile is None:
        return _refused(RefusalCode.UNSUITABLE, "The client has no risk profile; one is needed first.", "instrumentId")
    message = (
        f"{seen.instrument.symbol} is of {risk.value.lower()} risk; a {profile.value.lower()} profile is below it."
    )
    return _refused(RefusalCode.UNSUITABLE, message.replace("_", " "), "instrumentId")


def _covered(seen: Situation) -> Refusal | None:
    if (estimated := estimate(seen)) is None:
        return None
    field = "amount" if seen.ticket.quantity is None else "quantity"
    with arithmetic():
        cash, units = estimated.reserved_cash - seen.cash, estimated.reserved_quantity - seen.held
    if cash > 0:
        missing = display(Money(cash, as_currency(seen.instrument.currency)))
        message = f"{missing} more is needed, with what open orders reserve."
        return Refusal(RefusalCode.INSUFFICIENT_CASH, message, ("input", field), missing=cash)
    if units > 0:
        message = f"{units.normalize():f} units more are needed, with what open orders reserve."
        return Refusal(RefusalCode.INSUFFICIENT_HOLDING, message, ("input", field), missing=units)
    return None


Check = Callable[[Situation], Refusal | None]
# In the order in which a person would want to hear of them; each may rest on those before it.
CHECKS: Final[Mapping[str, Check]] = {
    "FORM": _form,
    "SIZE": _size,
    "PLACES": _places,
    "TRADED": _traded,
    "VALUE": _value,
    "LOT": _lot,
    "TICK": _tick,
    "STANDING": _standing,
    "KYC": _known,
    "SUITABILITY": _suitable,
    "COVER": _covered,
}
# Without these a ticket comes to nothing that could be worked out.
UNREADABLE: Final = frozenset({"FORM", "SIZE", "PLACES"})
FORMAL: Final = UNREADABLE | {"TRADED", "VALUE"}
# A draft may lack what can still be brought: cash, a renewed KYC.
OF_DRAFTS: Final = FORMAL | {"LOT", "TICK"}


def check(seen: Situation, names: Collection[str] = frozenset(CHECKS)) -> None:
    """Refuse a ticket that fails a check, of all or of those named.

    Refuses: INVALID_VALUE, NOT_TRADED, LOT_SIZE, TICK_SIZE, CLIENT_NOT_ACTIVE, KYC_EXPIRED, UNSUITABLE,
    INSUFFICIENT_CASH, INSUFFICIENT_HOLDING.
    """
    for name, each in CHECKS.items():
        if name in names and (refusal := each(seen)) is not None:
            raise refusal


def results(seen: Situation) -> list[tuple[str, Refusal | None]]:
    """The result of each check; the rest says nothing where the form itself is wrong."""
    found: list[tuple[str, Refusal | None]] = []
    for name, each in CHECKS.items():
        found.append((name, each(seen)))
        if found[-1][1] is not None and name in FORMAL:
            break
    return found


def estimate(seen: Situation) -> Estimate | None:
    """What the order is worth and reserves; none without a price, which the checks refuse."""
    if seen.price is None:
        return None
    ticket, instrument = seen.ticket, seen.instrument
    price = ticket.limit_price or seen.price.price
    with arithmetic():
        quantity = ticket.quantity or units_for(ticket.side, ticket.amount or ZERO, price, instrument.currency)
        notional = ticket.amount or amount_stored(quantity * price)
        costs = _costs(ticket, instrument, notional)
        if ticket.side is Side.SELL:
            return Estimate(price, quantity, notional, costs, notional - costs.total, ZERO, _units_held_back(seen))
        if ticket.amount is not None:
            # An amount includes its charges, and is what is reserved.
            return Estimate(price, quantity, notional, costs, -notional, notional, ZERO)
        reserved = cash_to_reserve(instrument, ticket.kind, notional, seen.filled_value)
        return Estimate(price, quantity, notional, costs, -(notional + costs.total), reserved, ZERO)


def margin(instrument: Instrument) -> Decimal:
    """How much further than the last price a market order is expected to go at most, as a fraction."""
    return FUND_MARGIN if instrument.kind is InstrumentKind.FUND else MARGIN


def cash_to_reserve(instrument: Instrument, kind: OrderKind, left: Decimal, filled: Decimal = ZERO) -> Decimal:
    """What a purchase by quantity, of which so much in value is left, may still take at the dearest.

    That is what it will have come to as a whole, charges included and rounded up, less what its fills came to.
    """
    with arithmetic():
        dearest = filled + left * (1 + (ZERO if kind is OrderKind.LIMIT else margin(instrument)))
        smallest = Decimal(1).scaleb(-places(instrument.currency))
        whole = (dearest + charges(instrument, Side.BUY, dearest).total).quantize(smallest, rounding=ROUND_CEILING)
        spent = filled + charges(instrument, Side.BUY, filled).total
        return max(whole - spent, ZERO) if left else ZERO


def _costs(ticket: Ticket, instrument: Instrument, notional: Decimal) -> Charges:
    if ticket.amount is not None and ticket.side is Side.BUY:
        return Charges(ZERO, ZERO, stamp_duty_within(ticket.amount, instrument.currency), ZERO)
    return charges(instrument, ticket.side, notional)


def units_for(side: Side, amount: Decimal, price: Decimal, currency: str) -> Decimal:
    """The units of a fund that an amount buys after stamp duty, or that bring it: 3 places, half up."""
    with arithmetic():
        net = amount - stamp_duty_within(amount, currency) if side is Side.BUY else amount
        return units_rounded(net / price)


def _units_held_back(seen: Situation) -> Decimal:
    """The units that a sale reserves: by amount those at a lower value, up to the holding if that is enough today."""
    if seen.ticket.quantity is not None or seen.price is None:
        return seen.ticket.quantity or ZERO
    with arithmetic():
        wanted = ((seen.ticket.amount or ZERO) / seen.price.price).quantize(UNIT_STEP, rounding=ROUND_CEILING)
        lower = (wanted * (1 + margin(seen.instrument))).quantize(UNIT_STEP, rounding=ROUND_CEILING)
        return min(lower, seen.held) if wanted <= seen.held else wanted
