"""A small model of one portfolio's orders, one step after the other, and the steps that are tried on it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from domain.instruments import Instrument
from domain.money import AMOUNT, arithmetic
from domain.orders import FINAL, OPEN, WORKING, OrderKind, OrderStatus, Side
from domain.orders.charges import charges
from domain.orders.terms import ApprovalLimits, cash_to_reserve
from tests.support.broker import down, lost, twice

D = Decimal
ZERO: Final = D(0)
PRICE: Final = D(100)
# From 1,500 rupees on an order waits for approval; there is cash for two of those.
LIMITS: Final = ApprovalLimits({"INR": D(1500)})
CASH, HELD = D(4000), D(20)
TROUBLES: Final = {"down": down, "lost": lost, "twice": twice}
Status = OrderStatus
FITTING: Final = {
    "submit": {Status.DRAFT},
    "approve": {Status.PENDING_APPROVAL},
    "decline": {Status.PENDING_APPROVAL},
    "trade": WORKING,
}


class Move(msgspec.Struct, frozen=True):
    """What somebody tries, and what with; what does not belong to it is not looked at."""

    name: str
    who: int
    place: int
    side: Side
    limit: Decimal | None
    lasting: bool
    size: int
    stale: bool = False


MOVES: Final = st.builds(
    Move,
    name=st.sampled_from(
        ["place"] * 5
        + ["draft", "submit", "amend", "amend", "amend", "cancel", "cancel", "approve", "approve", "decline"]
        + ["deposit", "withdraw", "withdraw", "sell", "fee", "trade"]
    ),
    who=st.integers(0, 2),
    place=st.integers(0, 9),
    side=st.sampled_from(Side),
    limit=st.sampled_from([None, None, D(95), D(105)]),
    lasting=st.booleans(),
    size=st.integers(1, 25),
    stale=st.integers(0, 19).map(lambda number: number == 0),
)


def changes(move: Move) -> tuple[Decimal | None, Decimal | None]:
    """To which quantity and to which limit a move amends an order: to another one of either, or of both."""
    limit = move.limit if move.place % 3 else None
    return (None if limit is not None and move.lasting else D(move.size)), limit


class Labour(msgspec.Struct, frozen=True):
    """The jobs run: the broker makes so many parts at most, and is in trouble at first; or a session ends before."""

    parts: int
    troubles: tuple[str, ...]
    night: bool


LABOURS: Final = st.builds(
    Labour,
    parts=st.integers(0, 6),
    troubles=st.lists(st.sampled_from([*TROUBLES]), max_size=2).map(tuple),
    night=st.integers(0, 5).map(lambda number: number == 0),
)
AMOUNTS: Final = {"deposit": 20, "withdraw": 200, "fee": 1}  # rupees for each unit of a move's size
# Those of one batch are tried at once.
BATCHES: Final = st.lists(MOVES, min_size=1, max_size=3)
SCRIPTS: Final = st.lists(st.tuples(BATCHES, st.none() | LABOURS), min_size=3, max_size=6)
# Something is reserved from the beginning, and for long.
BEGINNING: Final = [
    Move("place", 0, 0, Side.BUY, D(95), lasting=True, size=13),
    Move("place", 1, 0, Side.SELL, D(105), lasting=True, size=11),
]


class Declined(Exception):  # noqa: N818 - what has happened
    """The model refuses, with a code."""


@dataclass
class Held:
    """An order as the model has it."""

    side: Side
    limit: Decimal | None
    lasting: bool
    quantity: Decimal
    by: int
    terms_by: int
    status: Status = Status.DRAFT
    filled: Decimal = ZERO
    value: Decimal = ZERO
    cash: Decimal = ZERO
    units: Decimal = ZERO
    ending: Status | None = None
    approved_by: int | None = None
    revision: int = 1
    version: int = 1

    @property
    def left(self) -> Decimal:
        return max(self.quantity - self.filled, ZERO)

    def worth(self) -> Decimal:
        with arithmetic():
            return self.quantity * (self.limit or PRICE)


@dataclass
class Model:
    """What one portfolio has, and its orders by name."""

    share: Instrument
    cash: Decimal = CASH
    held: Decimal = HELD
    fees: Decimal = ZERO
    orders: dict[int, Held] = field(default_factory=dict)

    def reserved(self) -> tuple[Decimal, Decimal]:
        """The cash and the units that all open orders reserve."""
        everything = self.orders.values()
        return sum((each.cash for each in everything), ZERO), sum((each.units for each in everything), ZERO)

    def needs(self, order: Held) -> tuple[Decimal, Decimal]:
        """The cash and the units that an order's rest reserves."""
        if order.side is Side.SELL:
            return ZERO, order.left
        kind = OrderKind.LIMIT if order.limit else OrderKind.MARKET
        with arithmetic():
            worth = order.left * (order.limit or PRICE)
        return cash_to_reserve(self.share, kind, worth, order.value), ZERO

    def covered(self, order: Held) -> tuple[Decimal, Decimal]:
        """What it needs, where that is free; what the order itself reserves is."""
        cash, units = self.needs(order)
        taken = self.reserved()
        if cash > self.cash - taken[0] + order.cash:
            raise Declined("INSUFFICIENT_CASH")
        if units > self.held - taken[1] + order.units:
            raise Declined("INSUFFICIENT_HOLDING")
        return cash, units

    def accept(self, order: Held) -> None:
        order.cash, order.units = self.covered(order)
        order.status = Status.PENDING_APPROVAL if order.worth() >= LIMITS.limits["INR"] else Status.SUBMITTED

    def apply(self, number: int, move: Move, target: int | None, version: int) -> None:
        """Try a move; an order that it makes is called by its number."""
        order = self.orders.get(target) if target is not None else None
        if move.name in {"place", "draft"}:
            new = Held(move.side, move.limit, move.lasting, D(move.size), move.who, move.who)
            if move.name == "place":
                self.accept(new)
            self.orders[number] = new
        elif move.name in {"deposit", "withdraw", "sell", "fee"}:
            self._record(move)
        elif order is not None and move.name != "trade":
            changed = copy.copy(order)
            getattr(self, f"_{move.name}")(order, changed, move, version)
            if changed != order:
                changed.version += 1
                self.orders[target or 0] = changed

    def _record(self, move: Move) -> None:
        taken, amount = self.reserved(), D(move.size * AMOUNTS.get(move.name, 100))
        if move.name == "withdraw" and self.cash - taken[0] < amount:
            raise Declined("INSUFFICIENT_CASH")
        if move.name == "sell":
            if self.held - taken[1] < move.size:
                raise Declined("INSUFFICIENT_HOLDING")
            self.held -= move.size
        if move.name == "fee":
            self.fees += amount
        self.cash += amount if move.name in {"deposit", "sell"} else -amount

    def _submit(self, order: Held, changed: Held, move: Move, version: int) -> None:
        if order.status is not Status.DRAFT:
            raise Declined("ILLEGAL_STEP")
        if version != order.version:
            raise Declined("STALE_VERSION")
        changed.by = move.who
        self.accept(changed)

    def _cancel(self, order: Held, changed: Held, _: Move, __: int) -> None:
        if order.ending is Status.CANCELLED or order.status is Status.CANCELLED:
            return
        if order.status in FINAL:
            raise Declined("ILLEGAL_STEP")
        if order.status in WORKING:
            changed.ending = Status.CANCELLED
        else:
            self._end(changed, Status.CANCELLED)

    def _end(self, order: Held, status: Status) -> None:
        order.status, order.cash, order.units, order.ending = status, ZERO, ZERO, None

    def _approve(self, order: Held, changed: Held, move: Move, version: int) -> None:
        self._check_approver(order, move)
        if version != order.version:
            raise Declined("STALE_VERSION")
        changed.cash, changed.units = self.covered(order)
        changed.status, changed.approved_by = Status.SUBMITTED, move.who

    def _decline(self, order: Held, changed: Held, move: Move, _: int) -> None:
        self._check_approver(order, move)
        self._end(changed, Status.REJECTED)

    def _check_approver(self, order: Held, move: Move) -> None:
        if move.who == 0:
            raise Declined("FORBIDDEN")
        if order.status is not Status.PENDING_APPROVAL:
            raise Declined("ILLEGAL_STEP")
        if move.who in {order.by, order.terms_by}:
            raise Declined("OWN_ORDER")

    def _amend(self, order: Held, changed: Held, move: Move, version: int) -> None:
        size, limit = changes(move)
        changed.quantity, changed.limit = size or order.quantity, limit or order.limit
        fits = limit is None or order.limit is not None
        fits = fits and (size is None or not order.filled or size > order.filled)
        self._amended(order, changed, move, version, fits=fits)

    def _amended(self, order: Held, changed: Held, move: Move, version: int, *, fits: bool) -> None:
        if order.status in FINAL or order.ending is not None:
            raise Declined("ILLEGAL_STEP")
        if version != order.version:
            raise Declined("STALE_VERSION")
        if not fits:
            raise Declined("INVALID_VALUE")
        changed.revision += 1
        if order.status not in WORKING:
            changed.terms_by = move.who
        if order.status is Status.DRAFT:
            return
        cash, units = self.covered(changed)
        if order.status in WORKING:
            self._check_growth(order, changed)
            changed.cash, changed.units = self._either(order, changed, cash, units)
            return
        changed.cash, changed.units = cash, units
        if changed.worth() < LIMITS.limits["INR"]:
            changed.status = Status.SUBMITTED

    def _check_growth(self, order: Held, changed: Held) -> None:
        with arithmetic():
            value = order.value + changed.left * (changed.limit or PRICE)
        if value >= LIMITS.limits["INR"] and changed.worth() > order.worth():
            raise Declined("NEEDS_APPROVAL")

    def _either(self, order: Held, changed: Held, cash: Decimal, units: Decimal) -> tuple[Decimal, Decimal]:
        """What both terms, and any mixture of them, may take."""
        worst = max(cash, order.cash)
        if changed.left > order.left:
            with arithmetic():
                beyond = (cash * (changed.left - order.left) / changed.left).quantize(AMOUNT, rounding=ROUND_CEILING)
                worst = max(worst, order.cash + beyond)
        if worst > max(self.cash - self.reserved()[0] + order.cash, order.cash):
            raise Declined("INSUFFICIENT_CASH")
        return worst, max(units, order.units)

    def night(self) -> None:
        """A session has ended: what lives a day is over."""
        for order in self.orders.values():
            if order.status in OPEN and not order.lasting:
                if order.status is Status.PENDING_APPROVAL:
                    self._end(order, Status.EXPIRED)
                else:
                    order.ending = order.ending or Status.EXPIRED

    def hear(self, number: int, status: str, revision: int, fills: Sequence[tuple[Decimal, Decimal]]) -> None:
        """All is known of an order that the broker knows."""
        order = self.orders[number]
        with arithmetic():
            value = sum((quantity * price for quantity, price in fills), ZERO)
            cost = charges(self.share, order.side, value).total - charges(self.share, order.side, order.value).total
            self.cash += (order.value - value if order.side is Side.BUY else value - order.value) - cost
        filled = sum((quantity for quantity, _ in fills), ZERO)
        self.held += filled - order.filled if order.side is Side.BUY else order.filled - filled
        order.filled, order.value = filled, value
        if status == "FILLED":
            order.quantity = filled
            self._end(order, Status.FILLED)
        elif status == "CANCELLED":
            order.quantity = max(order.quantity, filled)
            self._end(order, order.ending or Status.CANCELLED)
        else:
            assert revision == order.revision
            order.status = Status.PARTIALLY_FILLED if filled else Status.SUBMITTED
            order.cash, order.units = self.needs(order)


def told(model: Model) -> dict[int, tuple[Any, ...]]:
    """The model's orders, in the same words."""
    return {
        number: (
            each.status,
            each.quantity,
            each.limit,
            (each.filled, each.value),
            (each.cash, each.units),
            each.ending,
            (each.by, each.terms_by, each.approved_by),
            each.revision,
            each.version,
        )
        for number, each in model.orders.items()
    }


def aimed(model: Model, move: Move) -> int | None:
    """The order that a move is tried on: mostly one that it fits."""
    fits = [number for number, order in model.orders.items() if order.status in FITTING.get(move.name, OPEN)]
    there = fits if fits and move.place % 4 else [*model.orders]
    return there[move.place % len(there)] if there else None
