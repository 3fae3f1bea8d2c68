"""The orders of a portfolio's last year: how each came about, and what it reserves if it is still open."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.clients import Client, ClientStatus, KycStatus
from domain.demo.accounts import Plan
from domain.demo.chance import chance
from domain.demo.days import LAST, OPENING, Days
from domain.demo.ids import named_id
from domain.demo.market import DAYS_A_YEAR, Market
from domain.demo.organisation import Staff
from domain.demo.sessions import CALENDARS, moment_on
from domain.entities import derived_id
from domain.instruments import ClosingPrice, Instrument
from domain.ledger import Transaction
from domain.money import ZERO, amount_stored, arithmetic
from domain.orders.broker import BrokerFill, BrokerStatus, Report
from domain.orders.charges import Charges
from domain.orders.entities import OPEN, Fill, Order, OrderStatus, Side, moved
from domain.orders.reports import Costed, changed
from domain.orders.terms import SUITABLE, ApprovalLimits, Estimate, Situation, Ticket, estimate
from domain.orders.verbs import expiry
from domain.portfolios import PortfolioStatus

SINCE: Final = LAST - DAYS_A_YEAR + 1
SECOND: Final = timedelta(seconds=1)
# What the server asks for too, unless it is told otherwise.
APPROVAL: Final = ApprovalLimits(
    {
        "INR": Decimal(2_500_000),
        "USD": Decimal(30_000),
        "EUR": Decimal(30_000),
        "GBP": Decimal(25_000),
        "SGD": Decimal(40_000),
    }
)
_KNOWN_FOR: Final = 45  # days for which the KYC of whoever has an open order still holds


class Step(msgspec.Struct, frozen=True):
    """What those who watch a portfolio were told of an order: its state at a moment, and its version by then.

    `filled_value` is what was filled by then.
    """

    status: OrderStatus
    at: datetime
    version: int
    filled_value: Decimal


class OrderStory(msgspec.Struct, frozen=True):
    """An order with its fills and its steps, and who looked after the book when it was placed."""

    order: Order
    fills: tuple[Fill, ...]
    steps: tuple[Step, ...]
    staff: Staff


class File(msgspec.Struct, frozen=True):
    """What the orders of a portfolio are told from: its ledger, what that leaves, and who looks after it on a day."""

    plan: Plan
    client: Client
    entries: Sequence[Transaction]
    cash: Mapping[str, Decimal]
    held: Mapping[UUID, Decimal]
    staff: Callable[[int], Staff]


class Trail:
    """An order on its way: each step makes its next version.

    One that is open to this day has what it `wanted` reserved.
    """

    def __init__(self, order: Order, instrument: Instrument, staff: Staff, wanted: Estimate | None) -> None:
        self.order = order
        self.staff = staff
        self._instrument = instrument
        self._wanted = wanted
        self.fills: list[Fill] = []
        self._steps: list[Step] = []

    def go(self, status: OrderStatus, at: datetime, *, told: bool = True, **changes: Any) -> None:
        """Bring the order to a state, which may be the one that it has, with what else changes."""
        self.order = moved(self.order, status, at, **changes)
        if told:
            self._steps.append(Step(status, at, self.order.version, self.order.filled_value))

    def accept(self, status: OrderStatus) -> None:
        """The order was placed, and reserves what it needs."""
        placed, wanted = self.order.placed_at, self._wanted
        self.go(
            status,
            placed,
            checked_at=placed,
            reserved_cash=wanted.reserved_cash if wanted else ZERO,
            reserved_quantity=wanted.reserved_quantity if wanted else ZERO,
        )

    def confirm(self, at: datetime) -> None:
        """The broker has the order, and nothing of it is filled yet."""
        self.go(self.order.status, at, told=False, sent_revision=1)

    def fill(self, entry: Transaction, at: datetime, **changes: Any) -> None:
        """The broker fills what an entry of the ledger tells of, and reports it a second later."""
        order, fill = self.order, _at_broker(self.order, len(self.fills) + 1, entry, at)
        with arithmetic():
            new = Costed(fill, amount_stored(fill.quantity * fill.price), _charges(entry), None)
        report = Report(order.id, order.revision, BrokerStatus.WORKING)
        reported = changed(order, self._instrument, report, [new])
        self.fills.append(_fill(order, new, entry))
        self.go(at=at + SECOND, **{**reported, **changes})

    def story(self) -> OrderStory:
        """The order as it stands, and how it came to that."""
        return OrderStory(self.order, tuple(self.fills), tuple(self._steps), self.staff)


def _at_broker(order: Order, number: int, entry: Transaction, at: datetime) -> BrokerFill:
    """A fill as the paper broker names it, for an entry that the ledger has."""
    if entry.quantity is None or entry.price is None:
        raise TypeError("a trade has a quantity and a price")
    return BrokerFill(f"PAPER-{order.id.hex}-{number}", entry.quantity, entry.price, entry.traded_on, at)


def _charges(entry: Transaction) -> Charges:
    return Charges(entry.brokerage, entry.transaction_tax, entry.stamp_duty, entry.other_charges)


def _fill(order: Order, new: Costed, entry: Transaction) -> Fill:
    return Fill(
        id=derived_id("fill", order.id, new.fill.fill_id),
        order_id=order.id,
        broker_fill_id=new.fill.fill_id,
        quantity=new.fill.quantity,
        price=new.fill.price,
        charges=new.charges.total,
        currency=order.currency,
        filled_at=new.fill.filled_at,
        transaction_id=entry.id,
    )


class Pad:
    """Where the orders of one portfolio are written, with what they leave of its cash and holdings."""

    def __init__(self, file: File, market: Market, days: Days) -> None:
        self.file = file
        self.market = market
        self.days = days
        self.draws = chance("orders", file.plan.number)
        self.cash = dict(file.cash)
        self.held = dict(file.held)
        self.stories: list[OrderStory] = []
        self._first: dict[UUID | None, int] = {}
        for entry in file.entries:
            self._first.setdefault(entry.instrument_id, days.number_of[entry.traded_on])

    @property
    def number(self) -> int:
        """The number of the portfolio."""
        return self.file.plan.number

    @property
    def in_standing(self) -> bool:
        """Whether the client may have open orders."""
        client, portfolio = self.file.client, self.file.plan.portfolio
        return (
            portfolio.status is PortfolioStatus.OPEN
            and client.status is ClientStatus.ACTIVE
            and client.kyc_status is KycStatus.VERIFIED
            and client.kyc_expires_on is not None
            and client.kyc_expires_on >= self.days.from_today(_KNOWN_FOR)
        )

    def suits(self, instrument: Instrument) -> bool:
        """Whether the client's risk profile lets it buy the instrument."""
        profile = self.file.client.risk_profile
        return profile is not None and instrument.risk in SUITABLE[profile]

    def held_since(self, instrument_id: UUID) -> int:
        """The day of the first entry of an instrument; none is later than all days."""
        return self._first.get(instrument_id, LAST + 1)

    def moments(self, instrument: Instrument, day: int, count: int) -> list[datetime]:
        """So many moments of a day's trading, in order."""
        parts = sorted(self.draws.random() for _ in range(count))
        return [moment_on(self.days, day, instrument.exchange, part) for part in parts]

    def ticket(self, instrument: Instrument, side: Side, **given: Any) -> Ticket:
        """What is to be ordered for the portfolio."""
        return Ticket(portfolio_id=self.file.plan.portfolio.id, instrument_id=instrument.id, side=side, **given)

    def seen(self, ticket: Ticket, day: int) -> Situation:
        """What a ticket's checks would look at on a day, by the price of the day before."""
        instrument = self.market.by_id[ticket.instrument_id]
        price = self.market.price(instrument.symbol, day - 1)
        return Situation(
            ticket=ticket,
            client=self.file.client,
            instrument=instrument,
            price=ClosingPrice(instrument.id, self.days.dates[day - 1], price, instrument.currency),
            cash=self.cash.get(instrument.currency, ZERO),
            held=self.held.get(instrument.id, ZERO),
            today=self.days.today,
        )

    def trail(self, ticket: Ticket, day: int, at: datetime, *, is_open: bool = False) -> Trail:
        """The ticket as an order that was written down at a moment, which counts to a day of the history."""
        seen = self.seen(ticket, day)
        staff = self.file.staff(day)
        key = f"{self.number}:{len(self.stories)}"
        # What was placed since the history's end has an id of its own day, at whatever hour the demo is made.
        millis = (at - self.days.moment(day, 0)) // timedelta(milliseconds=1) if day <= LAST else OPENING
        order_id = named_id("order", key, day, millis)
        wanted = estimate(seen) if is_open else None
        return Trail(_drafted(seen, order_id, at, staff.advisor), seen.instrument, staff, wanted)

    def accepted(
        self, ticket: Ticket, day: int, placed: datetime, approved: datetime, *, is_open: bool = False
    ) -> Trail:
        """The same on its way to the broker: a large one is approved first."""
        trail = self.trail(ticket, day, placed, is_open=is_open)
        if APPROVAL.reached(trail.order.currency, trail.order.notional):
            trail.accept(OrderStatus.PENDING_APPROVAL)
            trail.go(OrderStatus.SUBMITTED, approved, approved_by=trail.staff.supervisor, approved_at=approved)
        else:
            trail.accept(OrderStatus.SUBMITTED)
        return trail

    def covers(self, order: Order) -> bool:
        """Whether the portfolio has what an order reserves."""
        return (
            self.cash.get(order.currency, ZERO) >= order.reserved_cash
            and self.held.get(order.instrument_id, ZERO) >= order.reserved_quantity
        )

    def keep(self, trail: Trail) -> bool:
        """Take an order in; one that reserves more than there is is left out, which it tells."""
        order = trail.order
        if not self.covers(order):
            return False
        if order.status in OPEN:
            with arithmetic():
                self.cash[order.currency] = self.cash.get(order.currency, ZERO) - order.reserved_cash
                self.held[order.instrument_id] = self.held.get(order.instrument_id, ZERO) - order.reserved_quantity
        self.stories.append(trail.story())
        return True


def _notional(seen: Situation) -> Decimal:
    ticket, price = seen.ticket, seen.ticket.limit_price or (seen.price.price if seen.price else ZERO)
    with arithmetic():
        return ticket.amount or amount_stored((ticket.quantity or ZERO) * price)


def _drafted(seen: Situation, order_id: UUID, at: datetime, placed_by: UUID) -> Order:
    """The ticket as an order before its first step."""
    ticket, calendar = seen.ticket, CALENDARS[seen.instrument.exchange]
    return Order(
        id=order_id,
        portfolio_id=ticket.portfolio_id,
        client_id=seen.client.id,
        book_id=seen.client.book_id,
        instrument_id=ticket.instrument_id,
        side=ticket.side,
        kind=ticket.kind,
        time_in_force=ticket.time_in_force,
        quantity=ticket.quantity,
        amount=ticket.amount,
        limit_price=ticket.limit_price,
        currency=seen.instrument.currency,
        status=OrderStatus.DRAFT,
        notional=_notional(seen),
        filled_quantity=ZERO,
        filled_value=ZERO,
        reserved_cash=ZERO,
        reserved_quantity=ZERO,
        trades_on=calendar.current_or_next(at).day,
        expires_at=expiry(seen, calendar, at),
        placed_by=placed_by,
        terms_by=placed_by,
        placed_at=at,
        approved_by=None,
        approved_at=None,
        closed_at=None,
        checked_at=None,
        ending=None,
        revision=1,
        sent_revision=0,
        attention=None,
        reason=None,
        version=0,
    )
