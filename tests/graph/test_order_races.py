"""What many do at once has one effect: nothing is bought twice, and nothing is sold that is not there."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import pytest

from domain.access import SYSTEM, Role
from domain.orders import OrderKind, execution
from domain.orders.terms import cash_to_reserve
from graph.context import Services
from graph.ids import decode, id_of
from tests.factories.firm import Make
from tests.factories.trading import ORDER, Desk, desk
from tests.support.balance import as_the_broker_has_it, balanced
from tests.support.broker import down, hurried, in_parts, scripted
from tests.support.desk import made
from tests.support.gql import Gql
from tests.support.worker import drained, working

LARGE = {"quantity": "30000"}
MANY = 100


def codes(payloads: list[Any]) -> Counter[str]:
    """How many were done, and how many refused for what."""
    return Counter(payload["userErrors"][0]["code"] if payload["userErrors"] else "done" for payload in payloads)


async def at_once(*asked: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*asked))


def needed(trading: Desk, quantity: int = 10) -> Decimal:
    """What a purchase reserves at the price of a hundred."""
    return cash_to_reserve(trading.share, OrderKind.MARKET, Decimal(100 * quantity))


async def entry(trading: Desk, kind: str, key: str, **given: Any) -> Any:
    """The payload of recording an entry, as a custodian reports it."""
    values = {"kind": kind, "idempotencyKey": key, "portfolioId": id_of(trading.portfolio), "currency": "INR"}
    values |= {"tradedOn": "2026-01-06", **given}
    return await trading.gql.as_(trading.advisor).change("recordTransaction", "transaction { id }", **values)


async def holding(make: Make, gql: Gql, units: int = 10) -> Desk:
    """A desk whose portfolio holds units of the share, and has no cash besides."""
    trading = await desk(make, gql, cash="0")
    given = {"quantity": str(units), "cost": str(90 * units), "instrumentId": id_of(trading.share)}
    made(await entry(trading, "TRANSFER_IN", "in", tradedOn="2026-01-05", acquiredOn="2026-01-05", **given))
    return trading


async def finished(trading: Desk, services: Services, make: Make) -> None:
    """All jobs have run, nothing is reserved any more, and all books agree."""
    await hurried(services, make.connection)
    free = await balanced(services, make.connection, trading.portfolio.id)
    assert free.idle
    await as_the_broker_has_it(make.connection, trading.portfolio.id)


async def test_cash_for_ten_takes_exactly_ten_of_a_hundred(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql, cash="0")
    cash = needed(trading) * 10
    made(await entry(trading, "DEPOSIT", "cash", amount=str(cash)))
    answers = await at_once(*(trading.place() for _ in range(MANY)))
    assert codes(answers) == {"done": 10, "INSUFFICIENT_CASH": 90}
    assert {tuple(a["userErrors"][0]["field"]) for a in answers if a["userErrors"]} == {("input", "quantity")}
    free = await balanced(services, make.connection, trading.portfolio.id)
    assert (free.cash["INR"], free.reserved_cash) == (Decimal(0), cash)
    await finished(trading, services, make)
    cash, units = await trading.holdings()
    assert units == {trading.share.symbol: 100}
    # What a market's move was allowed for is there again.
    assert 0 < cash < needed(trading)


async def test_a_holding_of_fifty_is_sold_by_exactly_five_of_twenty(make: Make, gql: Gql, services: Services) -> None:
    trading = await holding(make, gql, 50)
    answers = await at_once(*(trading.place(side="SELL") for _ in range(20)))
    assert codes(answers) == {"done": 5, "INSUFFICIENT_HOLDING": 15}
    assert (await balanced(services, make.connection, trading.portfolio.id)).units == {trading.share.id: 0}
    await finished(trading, services, make)
    assert (await trading.holdings())[1].get(trading.share.symbol, 0) == 0


async def test_two_orders_of_two_people_race_for_the_same_cash(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql, cash="1500")
    given = {"portfolioId": id_of(trading.portfolio), "instrumentId": id_of(trading.share), "side": "BUY"}
    # A limit that the price does not reach, so that each ends as it is cancelled.
    given |= {"kind": "LIMIT", "limitPrice": "90", "quantity": "10"}
    for number in range(5):
        answers = await at_once(
            *(
                gql.as_(who).change("placeOrder", ORDER, idempotencyKey=f"race {number}", **given)
                for who in (trading.advisor, trading.supervisor)
            )
        )
        assert codes(answers) == {"done": 1, "INSUFFICIENT_CASH": 1}
        (order,) = [answer["order"] for answer in answers if answer["order"]]
        made(await trading.do("cancelOrder", orderId=order["id"]), "order")
        await drained(services)
        assert (await trading.order(order["id"]))["status"] == "CANCELLED"
    await finished(trading, services, make)
    assert await trading.holdings() == (Decimal(1500), {})


async def test_a_hundred_identical_retries_place_one_order(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    answers = await at_once(*(trading.place(idempotencyKey="again") for _ in range(MANY)))
    assert codes(answers) == {"done": MANY}
    assert len({answer["order"]["id"] for answer in answers}) == 1
    assert await make.connection.fetchval("select count(*) from orders") == 1
    other = await trading.place(idempotencyKey="again", quantity="11")
    assert [(e["code"], e["field"]) for e in other["userErrors"]] == [
        ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])
    ]
    # The same number, written otherwise, is the same input; another's key is another key.
    assert (await trading.place(idempotencyKey="again", quantity="10.0"))["order"]["id"] == answers[0]["order"]["id"]
    await finished(trading, services, make)
    # Long after it was filled a repeat still gives the same order.
    late = made(await trading.place(idempotencyKey="again"), "order")
    assert (late["id"], late["status"]) == (answers[0]["order"]["id"], "FILLED")
    assert (await trading.holdings())[1] == {trading.share.symbol: 10}


async def test_retries_with_different_input_at_once_place_one_order(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    asked = [trading.place(idempotencyKey="mixed", quantity=str(1 + number % 2)) for number in range(20)]
    answers = await at_once(*asked)
    assert codes(answers) == {"done": 10, "IDEMPOTENCY_CONFLICT": 10}
    assert len({answer["order"]["id"] for answer in answers if answer["order"]}) == 1
    await finished(trading, services, make)


async def test_a_refused_key_is_free_again(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql, cash="0")
    assert codes([await trading.place(idempotencyKey="early")]) == {"INSUFFICIENT_CASH": 1}
    made(await entry(trading, "DEPOSIT", "cash", amount="5000"))
    made(await trading.place(idempotencyKey="early"), "order")
    await finished(trading, services, make)


async def ask(work: Any, _: Any, order_id: Any) -> None:
    work.enqueue(execution.reconcile, order_id)


async def test_a_fill_that_several_workers_hear_of_is_booked_once(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    services, broker = scripted(services)
    broker.then(down)
    order_id = made(await trading.place(), "order")["id"]
    await drained(services)
    key = decode(order_id, "order", "id")
    async with working(services), working(services):
        await at_once(*(services.doors.write(SYSTEM, "test", ask, SYSTEM, key) for _ in range(10)))
        for _ in range(100):
            if not await make.connection.fetchval("select count(*) from queue.pgqueuer"):
                break
            await asyncio.sleep(0.05)
    order = await trading.order(order_id)
    assert (order["status"], len(order["fills"])) == ("FILLED", 1)
    await finished(trading, services, make)


async def test_one_report_that_is_settled_many_times_at_once_is_booked_once(
    make: Make, gql: Gql, services: Services
) -> None:
    trading = await desk(make, gql)
    services, broker = scripted(services)
    order_id = made(await trading.place(), "order")["id"]
    instruction = await services.doors.write(
        SYSTEM, "test", execution.instruct, SYSTEM, decode(order_id, "order", "id")
    )
    assert instruction
    report = await broker.submit(instruction)
    settled = await at_once(
        *(services.doors.write(SYSTEM, "test", execution.settle, SYSTEM, report.order_id, report) for _ in range(12))
    )
    assert {order.version for order in settled} == {2}
    order = await trading.order(order_id)
    assert (order["status"], len(order["fills"])) == ("FILLED", 1)
    kinds = await gql.as_(trading.advisor).run("{ notifications { nodes { kind } } }")
    assert [each["kind"] for each in kinds["notifications"]["nodes"]].count("ORDER_FILLED") == 1
    await finished(trading, services, make)


@pytest.fixture
async def pending(make: Make, gql: Gql) -> tuple[Desk, dict[str, Any]]:
    """A desk, and a large order that waits for approval."""
    trading = await desk(make, gql, cash="9000000")
    order = made(await trading.place(**LARGE), "order")
    assert order["status"] == "PENDING_APPROVAL"
    return trading, order


async def test_an_order_is_approved_once(pending: tuple[Desk, Any], make: Make, services: Services) -> None:
    trading, order = pending
    others = [await make.user(Role.SUPERVISOR, trading.team) for _ in range(3)]
    given = {"orderId": order["id"], "version": order["version"]}
    answers = await at_once(*(trading.do("approveOrder", who, **given) for who in (trading.supervisor, *others)))
    assert codes(answers) == {"done": 1, "ILLEGAL_STEP": 3}
    assert (
        await make.connection.fetchval("select count(*) from queue.pgqueuer where entrypoint = 'execution.send'") == 1
    )
    await finished(trading, services, make)
    assert (await trading.order(order["id"]))["status"] == "FILLED"


@pytest.mark.parametrize("other", ["cancelOrder", "declineOrder"])
async def test_what_is_approved_and_ended_at_once_has_one_end(
    pending: tuple[Desk, Any], make: Make, services: Services, other: str
) -> None:
    trading, order = pending
    second = await make.user(Role.SUPERVISOR, trading.team)
    by, more = (trading.advisor, {}) if other == "cancelOrder" else (second, {"reason": "Too much"})
    approved, ended = await at_once(
        trading.do("approveOrder", trading.supervisor, orderId=order["id"], version=order["version"]),
        trading.do(other, by, orderId=order["id"], **more),
    )
    await finished(trading, services, make)
    status = (await trading.order(order["id"]))["status"]
    if approved["userErrors"]:
        assert codes([approved]) == {"ILLEGAL_STEP": 1}
        assert ended["order"]["status"] == status == ("CANCELLED" if other == "cancelOrder" else "REJECTED")
    elif other == "declineOrder":
        assert (codes([ended]), status) == ({"ILLEGAL_STEP": 1}, "FILLED")
    else:
        # Approved first, it was cancelled on its way to the broker, or too late.
        assert (ended["order"]["cancelRequested"], status in {"CANCELLED", "FILLED"}) == (True, True)
    cash, units = await trading.holdings()
    assert (cash < 9_000_000) == (units.get(trading.share.symbol, 0) == 30_000) == (status == "FILLED")


async def test_a_cancellation_and_a_fill_at_once(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    services, _ = in_parts(services, 1)
    ids = [made(await trading.place(quantity="3"), "order")["id"] for _ in range(8)]
    cancels = [trading.do("cancelOrder", orderId=order_id) for order_id in ids]
    async with working(services):
        answers = await at_once(*cancels)
    assert set(codes(answers)) <= {"done", "ILLEGAL_STEP"}
    await finished(trading, services, make)
    for order_id, answer in zip(ids, answers, strict=True):
        order = await trading.order(order_id)
        # Only one that was filled already cannot be cancelled any more.
        assert order["status"] == "FILLED" or (order["status"], answer["userErrors"]) == ("CANCELLED", [])
        assert sum(Decimal(fill["quantity"]) for fill in order["fills"]) == Decimal(order["filledQuantity"])


async def test_amendments_race_with_fills(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    services, _ = in_parts(services, 1)
    for quantity in ("3", "6", "9"):
        order = made(await trading.place(quantity="5"), "order")
        given = {"orderId": order["id"], "version": order["version"], "quantity": quantity}
        async with working(services):
            await asyncio.sleep(0.02)
            answer = await trading.do("amendOrder", **given)
        assert set(codes([answer])) <= {"done", "STALE_VERSION"}
        await finished(trading, services, make)
        order = await trading.order(order["id"])
        assert order["status"] == "FILLED"
        expected = {quantity} if not answer["userErrors"] else {"5"}
        assert order["filledQuantity"] == order["quantity"]
        # Reduced too late, it is as large as it was filled by then.
        assert order["quantity"] in expected | ({"4", "5"} if quantity == "3" else set())


async def test_an_order_is_not_reduced_below_what_is_filled_nor_raised_past_an_approval(
    make: Make, gql: Gql, services: Services
) -> None:
    trading = await desk(make, gql, cash="9000000")
    services, _ = in_parts(services, 4)
    order = made(await trading.place(), "order")
    await drained(services)
    order = await trading.order(order["id"])
    given = {"orderId": order["id"], "version": order["version"]}
    assert codes([await trading.do("amendOrder", **given, quantity="4")]) == {"INVALID_VALUE": 1}
    assert codes([await trading.do("amendOrder", **given, quantity="3")]) == {"INVALID_VALUE": 1}
    assert codes([await trading.do("amendOrder", **given, quantity="25000")]) == {"NEEDS_APPROVAL": 1}
    assert codes([await trading.do("amendOrder", **given, quantity="100000")]) == {"INSUFFICIENT_CASH": 1}
    assert codes([await trading.do("amendOrder", **given, amount="100")]) == {"INVALID_VALUE": 1}
    assert codes([await trading.do("amendOrder", **given, limitPrice="100")]) == {"INVALID_VALUE": 1}
    assert codes([await trading.do("amendOrder", orderId=order["id"], version=1, quantity="6")]) == {"STALE_VERSION": 1}
    assert (await trading.order(order["id"]))["version"] == order["version"]
    made(await trading.do("amendOrder", **given, quantity="6"), "order")
    await finished(trading, services, make)


async def test_more_at_a_lower_price_is_covered_for_what_may_be_filled_before(
    make: Make, gql: Gql, services: Services
) -> None:
    trading = await desk(make, gql, cash="0")
    former, latter = (cash_to_reserve(trading.share, OrderKind.LIMIT, Decimal(value)) for value in (1000, 1200))
    # The broker may buy nearly all of ten at 100, and then ten more at 60: that is more than twenty at 60.
    worst = former + latter / 2
    made(await entry(trading, "DEPOSIT", "cash", amount=str(worst - Decimal("0.01"))))
    services, broker = scripted(services)
    broker.always = down
    order = made(await trading.place(kind="LIMIT", limitPrice="100", quantity="10"), "order")
    given = {"orderId": order["id"], "version": order["version"], "quantity": "20", "limitPrice": "60"}
    assert codes([await trading.do("amendOrder", **given)]) == {"INSUFFICIENT_CASH": 1}
    made(await entry(trading, "DEPOSIT", "more", amount="0.01"))
    made(await trading.do("amendOrder", **given), "order")
    assert Decimal((await trading.order(order["id"]))["reservedCash"]["amount"]) == worst
    # Once the broker has confirmed it, so much is needed no more.
    broker.always = None
    await drained(services)
    await hurried(services, make.connection)
    assert Decimal((await trading.order(order["id"]))["reservedCash"]["amount"]) == latter
    made(await trading.do("cancelOrder", orderId=order["id"]), "order")
    await finished(trading, services, make)


async def test_what_was_approved_is_not_raised_afterwards(
    pending: tuple[Desk, Any], make: Make, services: Services
) -> None:
    trading, order = pending
    services, broker = scripted(services)
    broker.always = down
    approve = {"orderId": order["id"], "version": order["version"]}
    order = made(await trading.do("approveOrder", trading.supervisor, **approve), "order")
    given = {"orderId": order["id"], "version": order["version"]}
    assert codes([await trading.do("amendOrder", **given, quantity="30001")]) == {"NEEDS_APPROVAL": 1}
    # Less of it needs no approval, also where it is the approver who reduces it.
    less = made(await trading.do("amendOrder", trading.supervisor, **given, quantity="29999"), "order")
    assert (less["status"], less["quantity"]) == ("SUBMITTED", "29999")
    broker.always = None
    await finished(trading, services, make)
    assert (await trading.holdings())[1] == {trading.share.symbol: 29_999}


async def test_whoever_changes_an_order_does_not_approve_it(pending: tuple[Desk, Any]) -> None:
    trading, order = pending
    amended = made(
        await trading.do(
            "amendOrder", trading.supervisor, orderId=order["id"], version=order["version"], quantity="60000"
        ),
        "order",
    )
    given = {"orderId": order["id"], "version": amended["version"]}
    assert codes([await trading.do("approveOrder", trading.supervisor, **given)]) == {"OWN_ORDER": 1}
    assert codes([await trading.do("declineOrder", trading.supervisor, orderId=order["id"], reason="x")]) == {
        "OWN_ORDER": 1
    }


async def test_an_approval_reserves_what_is_needed_by_then(
    pending: tuple[Desk, Any], make: Make, services: Services
) -> None:
    trading, order = pending
    before = Decimal((await trading.order(order["id"]))["reservedCash"]["amount"])
    await make.connection.execute("update prices set close = close * 2 where instrument_id = $1", trading.share.id)
    approve = {"orderId": order["id"], "version": order["version"]}
    made(await trading.do("approveOrder", trading.supervisor, **approve), "order")
    after = Decimal((await trading.order(order["id"]))["reservedCash"]["amount"])
    assert abs(after - 2 * before) < 1
    assert (await balanced(services, make.connection, trading.portfolio.id)).cash["INR"] == 9_000_000 - after
    assert codes([await trading.place(quantity="20000")]) == {"INSUFFICIENT_CASH": 1}
    await finished(trading, services, make)


async def test_a_client_moves_to_another_book_while_its_orders_fill(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    services, _ = in_parts(services, 1)
    admin = await make.user(Role.ADMIN)
    books = [await make.book(trading.team) for _ in range(4)]
    for _ in range(4):
        made(await trading.place(quantity="3"), "order")
    async with working(services):
        for version, book in enumerate(books, trading.client.version):
            moved = {"clientId": id_of(trading.client), "bookId": id_of(book), "version": version}
            answer = await gql.as_(admin).change("moveClient", "client { id }", **moved)
            assert answer["userErrors"] == []
    await finished(trading, services, make)
    for table in ("orders", "transactions", "positions", "cash_balances"):
        rows = await make.connection.fetch(f"select distinct book_id from {table}")  # noqa: S608 - the names above
        assert [row[0] for row in rows] == [books[-1].id], table
    assert await make.connection.fetchval("select count(*) from order_fills") == 12
    # The former advisor sees nothing of it any more.
    assert (await gql.as_(trading.advisor).run("{ orders { totalCount } }"))["orders"]["totalCount"] == 0


async def test_a_withdrawal_and_an_order_race_for_the_same_cash(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql, cash="1500")
    for number in range(4):
        taken, placed = await at_once(
            entry(trading, "WITHDRAWAL", f"out {number}", amount="1500"), trading.place(quantity="10")
        )
        assert codes([taken, placed]) == {"done": 1, "INSUFFICIENT_CASH": 1}
        if placed["order"]:
            break
        made(await entry(trading, "DEPOSIT", f"in {number}", amount="1500"))
    else:
        made(await trading.place(), "order")
    left = Decimal(1500) - needed(trading)
    refused = await entry(trading, "WITHDRAWAL", "more", amount=str(left + Decimal("0.01")))
    assert codes([refused]) == {"INSUFFICIENT_CASH": 1}
    made(await entry(trading, "WITHDRAWAL", "all", amount=str(left)))
    await finished(trading, services, make)
    cash, units = await trading.holdings()
    assert cash >= 0
    assert units == {trading.share.symbol: 10}


@pytest.mark.parametrize("kind", ["SELL", "TRANSFER_OUT"])
async def test_a_custodians_sale_and_an_order_race_for_the_same_units(
    make: Make, gql: Gql, services: Services, kind: str
) -> None:
    trading = await holding(make, gql)
    given = {"quantity": "6", "instrumentId": id_of(trading.share)} | ({"price": "100"} if kind == "SELL" else {})
    taken, placed = await at_once(entry(trading, kind, "out", **given), trading.place(side="SELL", quantity="6"))
    assert codes([taken, placed]) == {"done": 1, "INSUFFICIENT_HOLDING": 1}
    await finished(trading, services, make)
    assert (await trading.holdings())[1] == {trading.share.symbol: 4}


async def test_what_an_order_buys_is_not_sold_before_it_is_there(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    made(await trading.place(), "order")
    assert codes([await trading.place(side="SELL")]) == {"INSUFFICIENT_HOLDING": 1}
    await finished(trading, services, make)
    made(await trading.place(side="SELL"), "order")
    await finished(trading, services, make)


async def test_a_client_with_open_orders_is_not_archived(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    archive = {"clientId": id_of(trading.client), "version": trading.client.version}
    placed, archived = await at_once(
        trading.place(), gql.as_(trading.advisor).change("archiveClient", "client { id }", **archive)
    )
    assert codes([placed, archived]) in ({"done": 1, "OPEN_ORDERS": 1}, {"done": 1, "ARCHIVED": 1})
    await finished(trading, services, make)


async def test_drafts_are_submitted_once(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    draft = made(await trading.ticket("draftOrder"), "order")
    assert (await balanced(services, make.connection, trading.portfolio.id)).reserved_cash == 0
    submit = {"orderId": draft["id"], "version": draft["version"]}
    answers = await at_once(*(trading.do("submitOrder", **submit) for _ in range(10)))
    assert codes(answers) == {"done": 1, "ILLEGAL_STEP": 9}
    await finished(trading, services, make)
    assert (await trading.holdings())[1] == {trading.share.symbol: 10}
