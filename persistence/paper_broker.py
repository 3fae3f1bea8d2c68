"""The embedded broker: it trades on paper, at the stored prices, with a book of its own.

It is a counterpart like any other, so what it does is committed apart from the firm's own transactions, and every
call may be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Record
from sqlalchemy import Column, Date, ForeignKey, Integer, Text, bindparam, select
from sqlalchemy.types import Uuid

from domain.access import SYSTEM
from domain.clock import Clock
from domain.entities import Entity, derived_id
from domain.errors import Unavailable
from domain.instruments import Instrument, InstrumentKind, InstrumentStatus
from domain.money import ZERO, arithmetic
from domain.orders.broker import BrokerFill, BrokerStatus, BrokerUnavailable, Instruction, Report
from domain.orders.entities import OrderKind, Side
from domain.orders.terms import units_for
from persistence.database import Database, Lent, faults
from persistence.instruments import Instruments, prices
from persistence.markets import Markets
from persistence.metadata import AMOUNT, MOMENT, QUANTITY, enum_column, table
from persistence.repository import Repository, by_id, by_ids
from persistence.scope import firm_only
from persistence.sql import columns

paper_orders = table(
    "paper_orders",
    firm_only(),
    Column("id", Uuid, primary_key=True),
    Column("revision", Integer, nullable=False),
    *enum_column("status", BrokerStatus),
    Column("instrument_id", Uuid, ForeignKey("instruments.id")),
    *enum_column("side", Side, nullable=True),
    Column("quantity", QUANTITY),
    Column("amount", AMOUNT),
    Column("most_units", QUANTITY),
    Column("limit_price", QUANTITY),
    Column("trades_on", Date),
    Column("reason", Text),
    Column("version", Integer, nullable=False),
)

paper_fills = table(
    "paper_fills",
    firm_only(),
    Column("id", Uuid, primary_key=True),
    Column("order_id", Uuid, ForeignKey("paper_orders.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("quantity", QUANTITY, nullable=False),
    Column("price", QUANTITY, nullable=False),
    Column("traded_on", Date, nullable=False),
    Column("filled_at", MOMENT, nullable=False),
)


class PaperOrder(Entity, frozen=True):
    """An order as the paper broker has it; one that was cancelled before it came has no terms."""

    id: UUID
    revision: int
    status: BrokerStatus
    instrument_id: UUID | None
    side: Side | None
    quantity: Decimal | None
    amount: Decimal | None
    most_units: Decimal | None
    limit_price: Decimal | None
    trades_on: date | None
    reason: str | None
    version: int


class PaperFill(Entity, frozen=True):
    """A fill that the paper broker has made."""

    id: UUID
    order_id: UUID
    number: int
    quantity: Decimal
    price: Decimal
    traded_on: date
    filled_at: datetime


class PaperRules(msgspec.Struct, frozen=True):
    """How the paper broker trades.

    `largest_fill` is how many units it fills at once, each time that it is asked: without one an order is filled as a
    whole. `rejected` are symbols that it declines. It trades around the clock unless `in_sessions`.
    """

    largest_fill: Decimal | None = None
    rejected: frozenset[str] = frozenset()
    in_sessions: bool = False


# What a later revision of an order changes.
_TERMS: Final = ("quantity", "amount", "most_units", "limit_price", "trades_on")
FILLS: Final = (
    select(*columns(PaperFill, paper_fills))
    .where(paper_fills.c.order_id == bindparam("order_id", type_=Uuid))
    .order_by(paper_fills.c.number)
)
LAST_PRICE: Final = (
    select(prices.c.priced_on, prices.c.close)
    .where(prices.c.instrument_id == bindparam("instrument_id", type_=Uuid))
    .where(prices.c.priced_on <= bindparam("day", type_=Date))
    .order_by(prices.c.priced_on.desc())
    .limit(1)
)
# A fund's order is filled at the first value that is stated for its day or after it.
NEXT_VALUE: Final = (
    select(prices.c.priced_on, prices.c.close)
    .where(prices.c.instrument_id == bindparam("instrument_id", type_=Uuid))
    .where(prices.c.priced_on >= bindparam("day", type_=Date))
    .order_by(prices.c.priced_on)
    .limit(1)
)


class _Book(Repository):
    """The paper broker's own book."""

    async def known(self, order_id: UUID) -> bool:
        """Whether an order ever came here, or was cancelled before it did."""
        return bool(await self.many(PaperOrder, by_ids(PaperOrder, paper_orders), SYSTEM, keys=[order_id]))

    async def locked(self, order_id: UUID) -> PaperOrder:
        """An order with its row lock."""
        return await self.first(PaperOrder, by_id(PaperOrder, paper_orders, locking=True), SYSTEM, id=order_id)

    async def store(self, before: PaperOrder, **changes: Any) -> PaperOrder:
        """Write a changed order."""
        after = msgspec.structs.replace(before, **changes, version=before.version + 1)
        return await self.replace_row(paper_orders, before, after)

    async def fills(self, order_id: UUID) -> list[PaperFill]:
        """What was filled of an order, in order."""
        return await self.lent.many(PaperFill, FILLS, {"order_id": order_id})

    async def fill(self, fill: PaperFill) -> None:
        """Make a fill."""
        await self.insert(paper_fills, fill)

    async def open(self, order: PaperOrder) -> PaperOrder:
        """The order with its row lock, stored if it was not known."""
        await self.insert_once(paper_orders, order)
        return await self.locked(order.id)

    async def price(self, instrument: Instrument, order: PaperOrder, today: date) -> Record | None:
        """The price that an order trades at, if there is one: its day and itself."""
        values: dict[str, Any] = {"instrument_id": instrument.id, "day": today}
        if instrument.kind is not InstrumentKind.FUND:
            found = await self.lent.rows(LAST_PRICE, values)
        else:
            found = await self.lent.rows(NEXT_VALUE, {**values, "day": order.trades_on})
        return found[0] if found else None


class PaperBroker:
    """A broker that needs no account: it fills at the last stored price, and limits when the price is there."""

    def __init__(self, database: Database, clock: Clock, rules: PaperRules) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules
        # Many orders at once must not keep the pool's connections from requests.
        self._turns = asyncio.Semaphore(2)

    async def submit(self, instruction: Instruction) -> Report:
        """Accept an order, or a later revision of it instead of the earlier one."""
        async with self._booked() as lent:
            book = _Book(lent, [])
            order = await book.open(_accepted(instruction))
            if order.status is BrokerStatus.WORKING and order.revision < instruction.revision:
                order = await self._amended(book, order, instruction)
            return await self._traded(lent, book, order)

    async def report(self, order_id: UUID) -> Report | None:
        """What has become of an order; none if it never came here."""
        async with self._booked() as lent:
            book = _Book(lent, [])
            if not await book.known(order_id):
                return None
            return await self._traded(lent, book, await book.locked(order_id))

    async def cancel(self, order_id: UUID) -> Report:
        """End an order as far as it is not filled, and one that never came for all time."""
        async with self._booked() as lent:
            book = _Book(lent, [])
            order = await book.open(_never(order_id))
            if order.status is BrokerStatus.WORKING:
                order = await book.store(order, status=BrokerStatus.CANCELLED)
            return await _report(book, order)

    @asynccontextmanager
    async def _booked(self) -> AsyncIterator[Lent]:
        """The broker's own transaction; raises BrokerUnavailable if its book cannot be reached."""
        try:
            async with self._turns, self._database.lend(SYSTEM) as lent:
                with faults():
                    async with lent.connection.transaction():
                        yield lent
        except Unavailable as error:
            raise BrokerUnavailable from error

    async def _amended(self, book: _Book, order: PaperOrder, instruction: Instruction) -> PaperOrder:
        filled = _sum(await book.fills(order.id))
        if instruction.quantity is not None and instruction.quantity <= filled:
            # Too late: so much is filled already that nothing is left of the new terms.
            return await book.store(order, status=BrokerStatus.FILLED)
        terms = {name: getattr(instruction, name) for name in _TERMS}
        return await book.store(order, revision=instruction.revision, **terms)

    async def _traded(self, lent: Lent, book: _Book, order: PaperOrder) -> Report:
        """Trade what can be traded of a working order now, and say how it stands."""
        if order.status is BrokerStatus.WORKING and order.instrument_id is not None:
            instrument = await Instruments(lent).one(SYSTEM, order.instrument_id)
            if reason := self._declined(instrument):
                ended = BrokerStatus.CANCELLED if await book.fills(order.id) else BrokerStatus.REJECTED
                order = await book.store(order, status=ended, reason=reason)
            else:
                order = await self._filled(lent, book, order, instrument)
        return await _report(book, order)

    def _declined(self, instrument: Instrument) -> str | None:
        if instrument.symbol in self._rules.rejected:
            return f"The broker does not deal in {instrument.symbol}."
        if instrument.status is not InstrumentStatus.ACTIVE:
            return f"Trading in {instrument.symbol} is suspended."
        return None

    async def _filled(self, lent: Lent, book: _Book, order: PaperOrder, instrument: Instrument) -> PaperOrder:
        now = self._clock()
        calendar = await Markets(lent).calendar(instrument.exchange)
        is_fund = instrument.kind is InstrumentKind.FUND
        if self._rules.in_sessions and not is_fund and not calendar.is_open(now):
            return order
        today = calendar.day_of(now)
        priced = await book.price(instrument, order, today)
        if priced is None or not _reached(order, priced["close"]):
            return order
        done = await book.fills(order.id)
        units = self._units(order, priced["close"], instrument, done)
        if units <= 0:
            return await book.store(order, status=BrokerStatus.REJECTED, reason="The amount buys no unit.")
        fill = PaperFill(
            id=derived_id("paper fill", order.id, len(done) + 1),
            order_id=order.id,
            number=len(done) + 1,
            quantity=units,
            price=priced["close"],
            traded_on=priced["priced_on"] if is_fund else today,
            filled_at=now,
        )
        await book.fill(fill)
        if order.quantity is None or _sum([*done, fill]) >= order.quantity:
            return await book.store(order, status=BrokerStatus.FILLED)
        return order

    def _units(self, order: PaperOrder, price: Decimal, instrument: Instrument, done: Sequence[PaperFill]) -> Decimal:
        if order.quantity is None:
            units = units_for(order.side or Side.BUY, order.amount or ZERO, price, instrument.currency)
            return min(units, order.most_units) if order.most_units is not None else units
        with arithmetic():
            left = order.quantity - _sum(done)
        return min(left, self._rules.largest_fill) if self._rules.largest_fill else left


def _accepted(instruction: Instruction) -> PaperOrder:
    return PaperOrder(
        id=instruction.order_id,
        revision=instruction.revision,
        status=BrokerStatus.WORKING,
        instrument_id=instruction.instrument_id,
        side=instruction.side,
        quantity=instruction.quantity,
        amount=instruction.amount,
        most_units=instruction.most_units,
        limit_price=instruction.limit_price if instruction.kind is OrderKind.LIMIT else None,
        trades_on=instruction.trades_on,
        reason=None,
        version=1,
    )


def _never(order_id: UUID) -> PaperOrder:
    nothing = dict.fromkeys(PaperOrder.__struct_fields__)
    return PaperOrder(**{**nothing, "id": order_id, "revision": 0, "status": BrokerStatus.CANCELLED, "version": 1})  # type: ignore[arg-type] # none but those given


def _sum(fills: Sequence[PaperFill]) -> Decimal:
    with arithmetic():
        return sum((fill.quantity for fill in fills), ZERO)


def _reached(order: PaperOrder, price: Decimal) -> bool:
    """Whether the price is within the limit, if there is one."""
    if order.limit_price is None:
        return True
    return price <= order.limit_price if order.side is Side.BUY else price >= order.limit_price


async def _report(book: _Book, order: PaperOrder) -> Report:
    # An order by amount is filled at once, for all of it.
    amount = order.amount if order.side is Side.BUY and order.quantity is None else None
    fills = [
        BrokerFill(
            f"PAPER-{order.id.hex}-{fill.number}", fill.quantity, fill.price, fill.traded_on, fill.filled_at, amount
        )
        for fill in await book.fills(order.id)
    ]
    return Report(order.id, order.revision, order.status, tuple(fills), order.reason)
