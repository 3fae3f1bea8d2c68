"""What an order is, the states that it passes through, and its fills."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from domain.entities import Entity
from domain.errors import Refusal, RefusalCode
from domain.money import arithmetic


class Side(StrEnum):
    """Which way an order trades.

    BUY: Units are bought for cash.
    SELL: Units that are held are sold.
    """

    BUY = "BUY"
    SELL = "SELL"


class OrderKind(StrEnum):
    """At which price an order trades.

    MARKET: At the market's price; for funds, at the next net asset value.
    LIMIT: At the limit price or a better one.
    """

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order stands. Orders of funds stand for five sessions, whatever they say: a value is stated late.

    DAY: Until the close of the session in which it trades.
    GTC: Good till cancelled, for a year at most.
    """

    DAY = "DAY"
    GTC = "GTC"


class OrderStatus(StrEnum):
    """Where an order stands.

    DRAFT: Prepared, and not yet placed.
    PENDING_APPROVAL: Placed, and waiting for somebody else's approval.
    SUBMITTED: On its way to the broker, or working there.
    PARTIALLY_FILLED: Filled in part, and working for the rest.
    FILLED: Filled as a whole.
    CANCELLED: Cancelled; what was filled before stays filled.
    REJECTED: Declined by an approver or by the broker.
    EXPIRED: Not, or not wholly, filled in its time.
    """

    DRAFT = "DRAFT"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    SUBMITTED = "SUBMITTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Attention(StrEnum):
    """Why an order's state at the broker is not certain.

    NO_ANSWER: The broker has not answered; it is asked again.
    MISMATCH: What the broker says cannot be true; nothing of it was booked, and it is asked again.
    """

    NO_ANSWER = "NO_ANSWER"
    MISMATCH = "MISMATCH"


_ENDS: Final = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED})

NEXT: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.DRAFT: frozenset({OrderStatus.PENDING_APPROVAL, OrderStatus.SUBMITTED, OrderStatus.CANCELLED}),
    OrderStatus.PENDING_APPROVAL: _ENDS | {OrderStatus.SUBMITTED},
    OrderStatus.SUBMITTED: _ENDS | {OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED},
    OrderStatus.PARTIALLY_FILLED: _ENDS - {OrderStatus.REJECTED} | {OrderStatus.FILLED},
    OrderStatus.FILLED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
}
# With the broker, which alone can say what has become of them.
WORKING: Final = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED})
# Those that reserve cash or a holding.
OPEN: Final = WORKING | {OrderStatus.PENDING_APPROVAL}
FINAL: Final = frozenset(status for status, following in NEXT.items() if not following)


class Order(Entity, frozen=True):
    """An order; amounts are in `currency`, the instrument's.

    It is for a `quantity` or, for a fund, for an `amount`. `notional` is what the whole of it was worth when it was
    placed, approved or last amended, charges apart; `filled_value` is what its fills were worth. What is open reserves
    cash, charges and a margin for the market included, or units. `terms_by` is whoever had set its terms, by placing,
    drafting or amending it, when it went to the broker. `trades_on` is the day of the market's session that it was
    placed for; `ending` is what the broker has been asked to end it as; `revision` rises with each change of its
    terms, and `sent_revision` is the last one that the broker has confirmed.
    """

    id: UUID
    portfolio_id: UUID
    client_id: UUID
    book_id: UUID
    instrument_id: UUID
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    quantity: Decimal | None
    amount: Decimal | None
    limit_price: Decimal | None
    currency: str
    status: OrderStatus
    notional: Decimal
    filled_quantity: Decimal
    filled_value: Decimal
    reserved_cash: Decimal
    reserved_quantity: Decimal
    trades_on: date
    expires_at: datetime
    placed_by: UUID
    terms_by: UUID
    placed_at: datetime
    approved_by: UUID | None
    approved_at: datetime | None
    closed_at: datetime | None
    checked_at: datetime | None
    ending: OrderStatus | None
    revision: int
    sent_revision: int
    attention: Attention | None
    reason: str | None
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"reason"})
    person: ClassVar[str] = "client_id"

    @property
    def average_price(self) -> Decimal | None:
        """What a unit has cost or brought on average, charges apart and unrounded; none before the first fill."""
        with arithmetic():
            return self.filled_value / self.filled_quantity if self.filled_quantity else None

    @property
    def remaining_quantity(self) -> Decimal | None:
        """The units that are still to be filled; none for an order by amount, and nothing once it is final."""
        if self.quantity is None:
            return None
        with arithmetic():
            return Decimal(0) if self.status in FINAL else max(self.quantity - self.filled_quantity, Decimal(0))


class Fill(Entity, frozen=True):
    """What the broker has filled of an order at one price, and the ledger's entry for it.

    `broker_fill_id` is the broker's own name of it, by which it is booked once. Amounts are in `currency`.
    """

    id: UUID
    order_id: UUID
    broker_fill_id: str
    quantity: Decimal
    price: Decimal
    charges: Decimal
    currency: str
    filled_at: datetime
    transaction_id: UUID


class OrderFilter(msgspec.Struct, frozen=True):
    """Which orders a list holds; days are those of the market's session, both included."""

    client_ids: tuple[UUID, ...] | None = None
    portfolio_ids: tuple[UUID, ...] | None = None
    instrument_ids: tuple[UUID, ...] | None = None
    statuses: tuple[OrderStatus, ...] | None = None
    sides: tuple[Side, ...] | None = None
    trades_from: date | None = None
    trades_to: date | None = None
    placed_by_me: bool = False
    open_only: bool = False
    uncertain_only: bool = False
    awaiting_me: bool = False


class AwaitingFilter(OrderFilter, frozen=True):
    """Which of the orders that wait for the viewer's approval a list holds."""

    awaiting_me: bool = True


class BlotterTotal(msgspec.Struct, frozen=True):
    """What the orders of a day with one currency, side and status come to."""

    currency: str
    side: Side
    status: OrderStatus
    count: int
    notional: Decimal
    filled_value: Decimal


class Executed(msgspec.Struct, frozen=True):
    """What the fills of a trade day with one currency and side come to."""

    currency: str
    side: Side
    count: int
    value: Decimal
    charges: Decimal


class Blotter(msgspec.Struct, frozen=True):
    """The orders for the markets' sessions of a day, and what was executed on it, summed up."""

    day: date
    totals: tuple[BlotterTotal, ...]
    executions: tuple[Executed, ...]

    @property
    def count(self) -> int:
        """How many orders there are."""
        return sum(total.count for total in self.totals)


def stepped(order: Order, status: OrderStatus, field: str = "orderId") -> None:
    """Refuse a step that the order cannot take. Refuses: ILLEGAL_STEP."""
    if status not in NEXT[order.status]:
        now, wanted = (each.value.lower().replace("_", " ") for each in (order.status, status))
        raise Refusal(RefusalCode.ILLEGAL_STEP, f"The order is {now} and cannot become {wanted}.", ("input", field))


def moved(order: Order, status: OrderStatus, moment: datetime, **changes: object) -> Order:
    """The order in its next state; a final one reserves nothing and wants nothing. Refuses: ILLEGAL_STEP."""
    if status is not order.status:
        stepped(order, status)
    if status in FINAL:
        zero = Decimal(0)
        changes |= {"closed_at": moment, "ending": None, "reserved_cash": zero, "reserved_quantity": zero}
    return msgspec.structs.replace(order, **{**changes, "status": status, "version": order.version + 1})
