"""Orders under random verbs of several people at once, held against a small model of one order after the other."""

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count, permutations
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain import orders, transactions
from domain.access import SYSTEM, Role, Viewer
from domain.clients import RiskProfile
from domain.errors import Forbidden, Refusal
from domain.ledger import Entry, TransactionKind
from domain.markets import EXCHANGES, Calendar
from domain.markets.ordinary import ordinary
from domain.orders import FINAL, WORKING, Amendment, OrderKind, OrderStatus, Side, Ticket, TimeInForce, execution
from domain.portfolios import Portfolio
from domain.transactions import LargeAmounts
from graph.app import open_services
from graph.context import Services
from graph.settings import Settings
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.paper_broker import PaperBroker, PaperRules
from tests.conftest import Databases, quick
from tests.factories.firm import Make
from tests.strategies import STEADY
from tests.support.balance import as_the_broker_has_it, balanced
from tests.support.broker import Scripted, hurried
from tests.support.order_model import (
    AMOUNTS,
    BEGINNING,
    CASH,
    HELD,
    LABOURS,
    LIMITS,
    MOVES,
    PRICE,
    SCRIPTS,
    TROUBLES,
    ZERO,
    Declined,
    Labour,
    Model,
    Move,
    aimed,
    changes,
    told,
)

D = Decimal
PART: Final = D(4)
MORNING: Final = datetime(2026, 1, 6, 6, 0, tzinfo=UTC)
BOMBAY: Final = EXCHANGES["XNSE"]
KEYS = count(1)
UNSET: Final = msgspec.UNSET


class Clock:
    """A clock that moves a little whenever it is read, so that what comes later is later."""

    def __init__(self) -> None:
        self.moment = MORNING

    def __call__(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment


class Broker:
    """The paper broker, which makes so many parts more and then finds no counterpart."""

    def __init__(self, services: Services) -> None:
        database, clock = services.doors.database, services.doors.clock
        self._trading = PaperBroker(database, clock, PaperRules(largest_fill=PART))
        self._quiet = PaperBroker(database, lambda: MORNING - timedelta(hours=9), PaperRules(in_sessions=True))
        self.parts = 0

    def _asked(self) -> PaperBroker:
        if self.parts <= 0:
            return self._quiet
        self.parts -= 1
        return self._trading

    async def submit(self, instruction: Any) -> Any:
        return await self._asked().submit(instruction)

    async def report(self, order_id: UUID) -> Any:
        return await self._asked().report(order_id)

    async def cancel(self, order_id: UUID) -> Any:
        return await self._quiet.cancel(order_id)


@dataclass
class Table:
    """Where orders are placed: the services, whoever is at it, and one portfolio of its own."""

    services: Services
    make: Make
    paper: Broker
    broker: Scripted
    people: list[Viewer]
    calendar: Calendar
    portfolio: Portfolio
    model: Model
    ids: dict[int, UUID] = field(default_factory=dict)

    async def write(self, verb: Any, *given: Any, who: int | None = None) -> Any:
        viewer = SYSTEM if who is None else self.people[who]
        return await self.services.doors.write(viewer, "test", verb, viewer, *given)

    async def attempt(self, number: int, move: Move, target: int | None, version: int) -> str:
        """Try a move; gives its refusal's code, or nothing."""
        try:
            made = await self._do(move, self.ids.get(target) if target is not None else None, version)
        except Refusal as refusal:
            return refusal.code.value
        except Forbidden as forbidden:
            return forbidden.code.value
        if move.name in {"place", "draft"}:
            self.ids[number] = made.id
        return ""

    async def _do(self, move: Move, order_id: UUID | None, version: int) -> Any:
        if move.name in {"place", "draft"}:
            limits = (LIMITS,) if move.name == "place" else ()
            return await self.write(getattr(orders, move.name), *limits, self._key(), self._ticket(move), who=move.who)
        if move.name in {"deposit", "withdraw", "sell", "fee"}:
            return await self.write(transactions.record, LargeAmounts({}), self._key(), self._entry(move), who=move.who)
        if order_id is None:
            return None
        if move.name == "trade":
            self.paper.parts = 1
            return await self.paper.report(order_id)
        return await self._change(move, order_id, version)

    async def _change(self, move: Move, order_id: UUID, version: int) -> Any:
        size, limit = changes(move)
        given: dict[str, tuple[Any, ...]] = {
            "submit": (LIMITS, order_id, version),
            "amend": (LIMITS, Amendment(order_id, version, quantity=size or UNSET, limit_price=limit or UNSET)),
            "cancel": (order_id,),
            "approve": (order_id, version),
            "decline": (order_id, "no"),
        }
        return await self.write(getattr(orders, move.name), *given[move.name], who=move.who)

    def _key(self) -> str:
        return f"key {next(KEYS)}"

    def _ticket(self, move: Move) -> Ticket:
        return Ticket(
            portfolio_id=self.portfolio.id,
            instrument_id=self.model.share.id,
            side=move.side,
            kind=OrderKind.LIMIT if move.limit else OrderKind.MARKET,
            time_in_force=TimeInForce.GTC if move.lasting else TimeInForce.DAY,
            quantity=D(move.size),
            limit_price=move.limit,
        )

    def _entry(self, move: Move) -> Entry:
        kinds = {"deposit": "DEPOSIT", "withdraw": "WITHDRAWAL", "sell": "SELL", "fee": "FEE"}
        details: dict[str, Any] = {"amount": D(move.size * AMOUNTS.get(move.name, 0))}
        if move.name == "sell":
            details = {"instrument_id": self.model.share.id, "quantity": D(move.size), "price": PRICE}
        on = self.people[0].today(self.services.doors.clock())
        return Entry(
            portfolio_id=self.portfolio.id,
            kind=TransactionKind(kinds[move.name]),
            currency="INR",
            traded_on=on,
            **details,
        )

    async def stored(self) -> dict[int, tuple[Any, ...]]:
        """The orders as they are stored, by number."""
        rows = {row["id"]: row for row in await self.make.connection.fetch("select * from orders")}
        people = {viewer.user_id: number for number, viewer in enumerate(self.people)}
        return {
            number: _row(OrderStatus(row["status"]), row, people)
            for number, order_id in self.ids.items()
            if (row := rows.get(order_id))
        }

    async def labour(self, labour: Labour) -> None:
        """Run all jobs, until the firm has heard of all that the broker has done."""
        clock = self.services.doors.clock
        assert isinstance(clock, Clock)
        if labour.night:
            # To the evening: everything that lives a day is over by then.
            clock.moment = clock.moment.replace(hour=16) if clock.moment.hour < 16 else clock.moment
            await self.write(execution.end_expired)
            self.model.night()
        self.paper.parts = labour.parts
        self.broker.then(*(TROUBLES[name] for name in labour.troubles))
        await hurried(self.services, self.make.connection)
        self.broker.troubles.clear()
        clock.moment += timedelta(minutes=1)
        await self.write(execution.ask_again)
        await hurried(self.services, self.make.connection)
        if labour.night:
            # Over weekends and holidays: what lives a day would outlive that evening.
            following = self.calendar.next_session(clock.moment.date()).day
            clock.moment = datetime.combine(following, MORNING.timetz())
        await self.hear()

    async def hear(self) -> None:
        """Tell the model of what the broker has done, which is the broker's to decide."""
        book = {row["id"]: row for row in await self.make.connection.fetch("select * from paper_orders")}
        fills = await self.make.connection.fetch("select order_id, quantity, price from paper_fills")
        for number, order in self.model.orders.items():
            if order.status in WORKING:
                theirs = book[self.ids[number]]
                mine = [(row["quantity"], row["price"]) for row in fills if row["order_id"] == theirs["id"]]
                self.model.hear(number, theirs["status"], theirs["revision"], mine)
        rows = await self.make.connection.fetch("select id, version, attention from orders")
        versions = {row["id"]: row["version"] for row in rows}
        assert {row["attention"] for row in rows} <= {None}
        for number, order in self.model.orders.items():
            # How often the broker was asked until it had answered is not the model's to know.
            order.version = versions[self.ids[number]]


def _row(status: OrderStatus, row: Any, people: dict[UUID, int]) -> tuple[Any, ...]:
    ending = OrderStatus(row["ending"]) if row["ending"] else None
    reserved = (row["reserved_cash"], row["reserved_quantity"])
    by = tuple(people.get(row[name]) for name in ("placed_by", "terms_by", "approved_by"))
    filled = (row["filled_quantity"], row["filled_value"])
    return (status, row["quantity"], row["limit_price"], filled, reserved, ending, by, row["revision"], row["version"])


@pytest.fixture(scope="module")
async def office(settings: Settings, databases: Databases, cluster: EmbeddedServer) -> AsyncIterator[tuple[Any, Any]]:
    """Services that go by a clock of the test's own, on a database of the module's own."""
    async with databases.clone() as url, open_services(settings, url, Path(cluster.home), clock=Clock()) as opened:
        owner = await asyncpg.connect(**driver_arguments(url), server_settings={"role": "steward_owner"})
        yield quick(opened), owner
        await owner.close()


async def laid(office: tuple[Any, Any]) -> Table:
    """A table with an advisor and two supervisors, and a portfolio with some cash and some shares."""
    services, owner = office
    services.doors.clock.moment = MORNING
    make = Make(owner, services)
    make.numbers = KEYS
    team = await make.team()
    book = await make.book(team)
    people = [await make.user(Role.ADVISOR, team, book), *[await make.user(Role.SUPERVISOR, team) for _ in range(2)]]
    portfolio = await make.portfolio(await make.client(book, risk_profile=RiskProfile.AGGRESSIVE))
    share = await make.instrument(f"S{next(KEYS)}", tick_size=D(1))
    await make.price(share, date(2026, 1, 5), str(PRICE))
    paper = Broker(services)
    broker = Scripted(paper)
    services = msgspec.structs.replace(services, gateways=msgspec.structs.replace(services.gateways, broker=broker))
    viewers = [await make.viewer(each) for each in people]
    calendar = Calendar(BOMBAY, await ordinary(BOMBAY.calendar))
    table = Table(services, make, paper, broker, viewers, calendar, portfolio, Model(share))
    begin = Entry(portfolio_id=portfolio.id, kind=TransactionKind.DEPOSIT, currency="INR", traded_on=date(2026, 1, 5))
    shares = {"kind": TransactionKind.TRANSFER_IN, "instrument_id": share.id, "quantity": HELD, "cost": D(1800)}
    for details in ({"amount": CASH}, {**shares, "acquired_on": date(2026, 1, 5)}):
        entry = msgspec.structs.replace(begin, **details)
        await table.write(transactions.record, LargeAmounts({}), f"key {next(KEYS)}", entry, who=0)
    return table


async def at_once(table: Table, batch: Sequence[tuple[int, Move, int | None, int]]) -> None:
    """Try all moves of a batch at once: they come out as though one had been tried after the other."""
    seen = list(await asyncio.gather(*(table.attempt(*each) for each in batch)))
    stored = await table.stored()
    wanted = []
    for order in permutations(range(len(batch))):
        model = copy.deepcopy(table.model)
        codes = [""] * len(batch)
        for at in order:
            try:
                model.apply(*batch[at])
            except Declined as declined:
                codes[at] = str(declined)
        if codes == seen and told(model) == stored:
            table.model = model
            return
        wanted.append((codes, told(model)))
    raise AssertionError(f"{[each[1] for each in batch]} gave {seen} and {stored}, none of {wanted}")


async def check(table: Table) -> None:
    """All books agree with each other and with the model, and no order was accepted for what was not there."""
    free = await balanced(table.services, table.make.connection, table.portfolio.id)
    cash, units = table.model.reserved()
    assert (free.reserved_cash, free.reserved_units) == (cash, units)
    assert free.cash["INR"] == table.model.cash - cash
    assert free.units[table.model.share.id] == table.model.held - units
    # Only what the custodian takes, which is a fact, may take what is reserved.
    assert free.cash["INR"] >= -table.model.fees
    assert free.units[table.model.share.id] >= 0


async def play(office: tuple[Any, Any], script: Sequence[tuple[Sequence[Move], Labour | None]]) -> None:
    table = await laid(office)
    number = count()
    for moves, labour in ((BEGINNING, None), *script):
        batch = []
        for move in moves:
            target = aimed(table.model, move)
            version = table.model.orders[target].version - move.stale if target is not None else 0
            batch.append((next(number), move, target, version))
        await at_once(table, batch)
        await check(table)
        if labour is not None:
            await table.labour(labour)
            assert told(table.model) == await table.stored()
            await check(table)
    await _ended(table)


async def _ended(table: Table) -> None:
    """Cancel what is open, and see that nothing is reserved, in doubt or left to be done."""
    for number, order in table.model.orders.items():
        if order.status not in FINAL:
            assert await table.attempt(number, _cancelling(), number, 0) == ""
            table.model.apply(number, _cancelling(), number, 0)
    await table.labour(Labour(0, (), night=False))
    assert told(table.model) == await table.stored()
    await check(table)
    assert {order.status for order in table.model.orders.values()} <= FINAL
    assert table.model.reserved() == (ZERO, ZERO)
    await as_the_broker_has_it(table.make.connection, table.portfolio.id)
    assert await table.make.connection.fetchval("select count(*) from queue.pgqueuer") == 0


def _cancelling() -> Move:
    return Move("cancel", 0, 0, Side.BUY, None, lasting=False, size=1)


# Not shrunk by hundreds of further runs: a script is short as it is.
MANY: Final = settings(
    STEADY,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@MANY
@given(SCRIPTS)
async def test_orders_come_out_as_one_after_the_other(office: tuple[Any, Any], script: list[Any]) -> None:
    await play(office, script)


LONG: Final = st.lists(st.tuples(st.lists(MOVES, min_size=1, max_size=4), st.none() | LABOURS), min_size=5, max_size=25)


@pytest.mark.soak
@settings(MANY, max_examples=250)
@given(LONG)
async def test_any_orders_come_out_as_one_after_the_other(office: tuple[Any, Any], script: list[Any]) -> None:
    await play(office, script)
