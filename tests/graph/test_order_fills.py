"""When orders are filled, at what price and for which cash, and when their time is over."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.access import SYSTEM
from domain.markets import NewMarketDay, set_market_day
from domain.orders import execution, redating
from domain.orders.charges import stamp_duty_within
from graph.app import open_services
from graph.context import Services
from graph.ids import decode
from graph.settings import Settings
from persistence.embedded import EmbeddedServer
from tests.conftest import quick
from tests.factories.firm import Make
from tests.factories.trading import Desk, desk
from tests.support.balance import as_the_broker_has_it, balanced
from tests.support.broker import hurried, in_parts
from tests.support.clock import MovedClock
from tests.support.desk import declined, made
from tests.support.gql import Gql
from tests.support.worker import drained

D = Decimal
DAY = timedelta(days=1)
TERMS = "order { tradesOn expiresAt notional { amount } reservedCash { amount } }"
FILLED = """query ($id: ID!) { node(id: $id) { ... on Order {
    status filledQuantity filledValue { amount } amount { amount } reservedCash { amount }
    fills { quantity price { amount } charges { amount }
            transaction { amount { amount } tradedOn settlesOn charges { stampDuty { amount } } } }
} } }"""


class At(msgspec.Struct):
    """A desk in whose services it is a moment of the test's own."""

    trading: Desk
    clock: MovedClock
    services: Services
    make: Make

    def be(self, moment: str) -> None:
        """Have it be that moment, in UTC; access tokens do not live as long."""
        self.clock.ahead = datetime.fromisoformat(moment).replace(tzinfo=UTC) - datetime.now(UTC)
        for name in ("advisor", "supervisor"):
            who = getattr(self.trading, name)
            token, _ = self.services.tokens.access(who.user.id, who.session.id, self.clock())
            setattr(self.trading, name, msgspec.structs.replace(who, token=token))

    async def price(self, instrument: Any, on: str, close: str) -> None:
        """A price is published, and every order is asked about that was not for a while."""
        await self.make.price(instrument, date.fromisoformat(on), close)
        await self.asked()

    async def asked(self) -> None:
        """The minute's schedules have run, and all that they ask for."""
        self.clock.move(minutes=1)
        await self.services.doors.write(SYSTEM, "test", execution.end_expired, SYSTEM)
        await self.services.doors.write(SYSTEM, "test", execution.ask_again, SYSTEM)
        await hurried(self.services, self.make.connection)

    async def order(self, order_id: str) -> Any:
        """An order with its fills."""
        return (await self.trading.gql.as_(self.trading.advisor).run(FILLED, id=order_id))["node"]

    async def placed(self, **given: Any) -> str:
        """The id of an order that was placed and has gone to the broker."""
        order_id = made(await self.trading.place(**given), "order")["id"]
        await drained(self.services)
        return str(order_id)

    async def status(self, order_id: str) -> str:
        """Where an order stands."""
        return str((await self.order(order_id))["status"])

    async def agrees(self) -> None:
        """All books agree, and nothing is reserved."""
        free = await balanced(self.services, self.make.connection, self.trading.portfolio.id)
        assert free.idle
        await as_the_broker_has_it(self.make.connection, self.trading.portfolio.id)


@pytest.fixture
async def services(settings: Settings, database_url: str, cluster: EmbeddedServer) -> AsyncIterator[Services]:
    """Services that go by a clock of the test's own from their start on, the broker's too."""
    async with open_services(settings, database_url, Path(cluster.home), clock=MovedClock()) as opened:
        yield quick(opened)


@pytest.fixture
async def at(services: Services, make: Make, gql: Gql) -> At:
    """A Tuesday in India, at half past eleven, on a desk."""
    clock = services.doors.clock
    assert isinstance(clock, MovedClock)
    opened = At(await desk(make, gql), clock, services, make)
    await make.connection.execute("delete from prices")
    for instrument, close in ((opened.trading.share, "100"), (opened.trading.fund, "50")):
        await make.price(instrument, date(2026, 1, 5), close)
    opened.be("2026-01-06 06:00")
    return opened


async def test_an_amount_buys_a_fund_at_its_next_value(at: At) -> None:
    fund = at.trading.fund
    order_id = await at.placed(instrumentId=fund_id(at), amount="10000")
    assert (await at.order(order_id))["reservedCash"]["amount"] == "10000"
    # Asked again and again, it waits for a value of its own day.
    await at.asked()
    at.be("2026-01-06 09:59")
    await at.asked()
    assert await at.status(order_id) == "SUBMITTED"
    at.be("2026-01-06 12:00")
    await at.price(fund, "2026-01-06", "51.2345")
    order = await at.order(order_id)
    (fill,) = order["fills"]
    duty = stamp_duty_within(D(10_000), "INR")
    assert (order["status"], order["reservedCash"]["amount"]) == ("FILLED", "0")
    # (10,000 - 0.50) / 51.2345 = 195.1712…
    assert (fill["quantity"], fill["price"]["amount"], D(fill["charges"]["amount"])) == ("195.171", "51.2345", duty)
    entry = fill["transaction"]
    assert (entry["amount"]["amount"], entry["charges"]["stampDuty"]["amount"]) == ("-10000", "0.5")
    assert (entry["tradedOn"], entry["settlesOn"]) == ("2026-01-06", "2026-01-07")
    assert await at.trading.holdings() == (D(990_000), {fund.symbol: D("195.171")})
    await at.agrees()


def fund_id(at: At) -> str:
    return f"instrument_{at.trading.fund.id.hex}"


async def test_a_fund_after_the_close_gets_the_value_of_the_next_session(at: At) -> None:
    at.be("2026-01-09 18:00")
    order_id = await at.placed(instrumentId=fund_id(at), quantity="12.345")
    # The value of Friday, published late, is not the one that it was placed for; nor is there one on the weekend.
    await at.price(at.trading.fund, "2026-01-09", "52")
    assert await at.status(order_id) == "SUBMITTED"
    at.be("2026-01-12 12:00")
    await at.price(at.trading.fund, "2026-01-12", "53")
    order = await at.order(order_id)
    assert (order["status"], order["fills"][0]["price"]["amount"]) == ("FILLED", "53")
    assert order["fills"][0]["transaction"]["tradedOn"] == "2026-01-12"
    await at.agrees()


async def test_a_fund_is_sold_by_amount_for_no_more_units_than_were_held_back(at: At) -> None:
    fund = at.trading.fund
    bought = await at.placed(instrumentId=fund_id(at), quantity="100")
    at.be("2026-01-06 12:00")
    await at.price(fund, "2026-01-06", "50")
    assert await at.status(bought) == "FILLED"
    sold = await at.placed(instrumentId=fund_id(at), side="SELL", amount="2500")
    held = await at.make.connection.fetchval("select reserved_quantity from orders where side = 'SELL'")
    assert held == Decimal("52.5")
    at.be("2026-01-07 12:00")
    await at.price(fund, "2026-01-07", "47")
    order = await at.order(sold)
    # 2,500 at 47 would take 53.191 units.
    assert (order["status"], order["filledQuantity"], order["filledValue"]["amount"]) == ("FILLED", "52.5", "2467.5")
    rest = await at.placed(instrumentId=fund_id(at), side="SELL", quantity="47.5")
    at.be("2026-01-08 12:00")
    await at.price(fund, "2026-01-08", "49")
    assert await at.status(rest) == "FILLED"
    await at.agrees()


async def test_an_order_for_a_day_that_the_exchange_closes_is_for_the_next(at: At) -> None:
    order_id = await at.placed(kind="LIMIT", limitPrice="50")
    later = await at.placed(kind="LIMIT", limitPrice="50", timeInForce="GTC")
    key = decode(order_id, "order", "id")
    before = await at.make.connection.fetchrow("select trades_on, expires_at, version from orders where id = $1", key)
    assert before
    closed = NewMarketDay("XNSE", before["trades_on"], "A day of mourning")
    await at.services.doors.write(SYSTEM, "test", set_market_day, SYSTEM, closed)
    for _ in range(2):
        for each in await at.services.doors.write(SYSTEM, "test", redating.out_of_step, SYSTEM):
            await at.services.doors.write(SYSTEM, "test", redating.keep_in_step, SYSTEM, each)
    after = await at.make.connection.fetchrow("select trades_on, expires_at, version from orders where id = $1", key)
    assert after
    assert after["trades_on"] > before["trades_on"]
    assert after["expires_at"].date() == after["trades_on"]
    assert after["version"] == before["version"] + 1
    kept = await at.make.connection.fetchrow("select * from orders where id = $1", decode(later, "order", "id"))
    assert kept
    assert (kept["trades_on"], kept["expires_at"] > after["expires_at"]) == (after["trades_on"], True)


async def test_an_amount_that_is_raised_after_it_was_taken_costs_what_was_taken(at: At) -> None:
    fund = at.trading.fund
    order_id = await at.placed(instrumentId=fund_id(at), amount="10000")
    await at.make.price(fund, date(2026, 1, 6), "50")
    # The broker fills it, and before anybody hears of that the amount is doubled.
    key = await at.make.connection.fetchval("select id from orders")
    await at.services.gateways.broker.report(key)
    version = await at.make.connection.fetchval("select version from orders")
    made(await at.trading.do("amendOrder", orderId=order_id, version=version, amount="20000"), "order")
    assert (await at.order(order_id))["reservedCash"]["amount"] == "20000"
    await hurried(at.services, at.make.connection)
    order = await at.order(order_id)
    assert (order["status"], order["amount"]["amount"], order["filledQuantity"]) == ("FILLED", "10000", "199.99")
    assert (await at.trading.holdings())[0] == 990_000
    await at.agrees()


async def test_a_funds_order_that_is_changed_after_the_close_gets_the_next_value(at: At) -> None:
    order_id = await at.placed(instrumentId=fund_id(at), amount="10000")
    at.be("2026-01-06 10:30")
    version = await at.make.connection.fetchval("select version from orders")
    made(await at.trading.do("amendOrder", orderId=order_id, version=version, amount="20000"), "order")
    await drained(at.services)
    await at.price(at.trading.fund, "2026-01-06", "40")
    assert await at.status(order_id) == "SUBMITTED"
    at.be("2026-01-07 12:00")
    await at.price(at.trading.fund, "2026-01-07", "60")
    order = await at.order(order_id)
    assert (order["status"], order["fills"][0]["price"]["amount"]) == ("FILLED", "60")
    await at.agrees()


async def test_a_fund_without_a_value_expires_after_five_sessions(at: At) -> None:
    order_id = await at.placed(instrumentId=fund_id(at), amount="10000")
    for moment, expected in (("2026-01-13 09:58", "SUBMITTED"), ("2026-01-13 10:01", "EXPIRED")):
        at.be(moment)
        await at.asked()
        assert await at.status(order_id) == expected
    await at.agrees()


async def test_a_limit_is_filled_when_the_price_is_reached_and_not_before(at: At) -> None:
    given = {"kind": "LIMIT", "timeInForce": "GTC"}
    await at.placed(quantity="10")
    buying = await at.placed(**given, limitPrice="95", quantity="10")
    selling = await at.placed(**given, limitPrice="105", quantity="10", side="SELL")
    assert [await at.status(each) for each in (buying, selling)] == ["SUBMITTED"] * 2
    at.be("2026-01-06 12:00")
    await at.price(at.trading.share, "2026-01-06", "95.05")
    assert [await at.status(each) for each in (buying, selling)] == ["SUBMITTED"] * 2
    at.be("2026-01-07 12:00")
    await at.price(at.trading.share, "2026-01-07", "94.95")
    assert [await at.status(each) for each in (buying, selling)] == ["FILLED", "SUBMITTED"]
    assert (await at.order(buying))["fills"][0]["price"]["amount"] == "94.95"
    # Weeks later it still lives.
    at.be("2026-02-17 12:00")
    await at.price(at.trading.share, "2026-02-17", "105")
    order = await at.order(selling)
    assert (order["status"], order["fills"][0]["transaction"]["tradedOn"]) == ("FILLED", "2026-02-17")
    await at.agrees()


async def test_a_limit_that_is_moved_to_the_price_is_filled(at: At) -> None:
    given = {"kind": "LIMIT", "limitPrice": "95"}
    order_id = await at.placed(**given)
    version = await at.make.connection.fetchval("select version from orders")
    amend = {"orderId": order_id, "version": version}
    assert declined(await at.trading.do("amendOrder", **amend, limitPrice="99.99")) == [
        ("TICK_SIZE", "input.limitPrice")
    ]
    made(await at.trading.do("amendOrder", **amend, limitPrice="100"), "order")
    await drained(at.services)
    assert await at.status(order_id) == "FILLED"
    await at.agrees()


async def test_a_day_order_expires_at_the_close_and_one_that_stands_longer_does_not(at: At) -> None:
    limit = {"kind": "LIMIT", "limitPrice": "90"}
    day, lasting = await at.placed(**limit), await at.placed(**limit, timeInForce="GTC")
    at.be("2026-01-06 09:58")
    await at.asked()
    assert [await at.status(each) for each in (day, lasting)] == ["SUBMITTED"] * 2
    at.be("2026-01-06 09:59:01")
    await at.asked()
    assert [await at.status(each) for each in (day, lasting)] == ["EXPIRED", "SUBMITTED"]
    # A price that is published after the close fills nothing that is over.
    await at.price(at.trading.share, "2026-01-06", "89")
    assert [await at.status(each) for each in (day, lasting)] == ["EXPIRED", "FILLED"]
    notices = await at.trading.gql.as_(at.trading.advisor).run("{ notifications { nodes { kind } } }")
    assert {"ORDER_EXPIRED", "ORDER_FILLED"} < {each["kind"] for each in notices["notifications"]["nodes"]}
    await at.agrees()


async def test_an_order_that_nobody_ended_in_time_is_not_filled_after_it(at: At) -> None:
    order_id = await at.placed(kind="LIMIT", limitPrice="90")
    # No worker ran over the close; by then the price is there, and nobody has marked the order as over.
    at.be("2026-01-06 14:00")
    await at.make.price(at.trading.share, date(2026, 1, 6), "89")
    await at.services.doors.write(SYSTEM, "test", execution.ask_again, SYSTEM)
    await hurried(at.services, at.make.connection)
    assert await at.status(order_id) == "EXPIRED"
    await at.agrees()


async def test_what_was_filled_before_the_close_stays_filled(at: At) -> None:
    services, _ = in_parts(at.services, 4)
    at.services = services
    order_id = await at.placed()
    at.be("2026-01-06 10:01")
    await at.asked()
    order = await at.order(order_id)
    assert (order["status"], order["filledQuantity"]) == ("EXPIRED", "4")
    await at.agrees()


async def test_an_approval_that_nobody_gives_in_time_is_not_given_later(at: At) -> None:
    await at.make.connection.execute("update cash_balances set amount = 9000000")
    order = made(await at.trading.place(quantity="30000"), "order")
    given = {"orderId": order["id"], "version": order["version"]}
    at.be("2026-01-06 10:00:01")
    late = await at.trading.do("approveOrder", at.trading.supervisor, **given)
    assert declined(late) == [("ILLEGAL_STEP", "input.orderId")]
    assert declined(await at.trading.do("amendOrder", **given, quantity="10")) == [("ILLEGAL_STEP", "input.orderId")]
    await at.services.doors.write(SYSTEM, "test", execution.end_expired, SYSTEM)
    await hurried(at.services, at.make.connection)
    found = await at.make.connection.fetchrow("select status, reason, reserved_cash from orders")
    assert tuple(found or ()) == ("EXPIRED", "It was not approved in its time.", 0)


async def test_an_approval_after_the_close_gets_a_fund_the_next_value(at: At) -> None:
    await at.make.connection.execute("update cash_balances set amount = 9000000")
    order = made(await at.trading.place(instrumentId=fund_id(at), quantity="60000"), "order")
    at.be("2026-01-06 11:00")
    await at.price(at.trading.fund, "2026-01-06", "40")
    given = {"orderId": order["id"], "version": order["version"]}
    made(await at.trading.do("approveOrder", at.trading.supervisor, **given), "order")
    await hurried(at.services, at.make.connection)
    assert await at.status(order["id"]) == "SUBMITTED"
    at.be("2026-01-07 11:00")
    await at.price(at.trading.fund, "2026-01-07", "55")
    found = await at.order(order["id"])
    assert (found["status"], found["fills"][0]["price"]["amount"]) == ("FILLED", "55")


async def test_an_order_is_placed_for_the_session_in_which_it_trades(at: At) -> None:
    async def terms(moment: str, **given: Any) -> tuple[str, str]:
        at.be(moment)
        values = {"portfolioId": f"portfolio_{at.trading.portfolio.id.hex}", "side": "BUY", "quantity": "1"}
        values |= {"instrumentId": f"instrument_{at.trading.share.id.hex}", "idempotencyKey": f"{moment} {given}"}
        gql = at.trading.gql.as_(at.trading.advisor)
        order = made(await gql.change("placeOrder", TERMS, **values, **given), "order")
        return order["tradesOn"], order["expiresAt"]

    assert await terms("2026-01-06 06:00") == ("2026-01-06", "2026-01-06T10:00:00Z")
    assert await terms("2026-01-06 10:00") == ("2026-01-07", "2026-01-07T10:00:00Z")
    # After Friday's close comes Monday, and Republic Day is a holiday.
    assert await terms("2026-01-23 10:01") == ("2026-01-27", "2026-01-27T10:00:00Z")
    day, ends = await terms("2026-01-06 07:00", timeInForce="GTC")
    assert (day, ends[:7]) == ("2026-01-06", "2027-01")
