"""Whatever the broker does or leaves undone: an order is in a true state, says what is amiss, and comes right."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from domain.access import SYSTEM, Role
from domain.orders import OrderKind, Side, execution
from domain.orders.broker import BrokerStatus, Instruction, Report
from graph.context import Services
from graph.ids import decode, id_of
from tests.factories.firm import Make
from tests.factories.trading import Desk, desk
from tests.support.balance import as_the_broker_has_it, balanced
from tests.support.broker import (
    Scripted,
    Trouble,
    down,
    forgets,
    hurried,
    in_parts,
    lost,
    says,
    scripted,
    silent,
    silent_after,
    slow,
    twice,
    twists,
    well,
)
from tests.support.clock import moved
from tests.support.desk import made
from tests.support.gql import Gql
from tests.support.worker import drained

DEAD = "{ deadJobs(first: 50) { nodes { id name error } } }"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "ANSWER_SECONDS", 0.1)


@pytest.fixture
async def trading(make: Make, gql: Gql) -> Desk:
    return await desk(make, gql)


async def placed(trading: Desk, **given: Any) -> str:
    return str(made(await trading.place(**given), "order")["id"])


async def asked(services: Services, order_id: str) -> None:
    """Have the order be asked about, as the schedule would."""
    await services.doors.write(SYSTEM, "test", _ask, SYSTEM, decode(order_id, "order", "id"))


async def _ask(work: Any, _: Any, order_id: Any) -> None:
    work.enqueue(execution.reconcile, order_id)


async def sound(trading: Desk, services: Services, make: Make, order_id: str, status: str = "FILLED") -> Any:
    """The order, which has ended as it should: nothing reserved, nothing in doubt, each fill booked once."""
    order = await trading.order(order_id)
    assert (order["status"], order["attention"], order["reservedCash"]["amount"]) == (status, None, "0")
    free = await balanced(services, make.connection, trading.portfolio.id)
    assert free.idle
    await as_the_broker_has_it(make.connection, trading.portfolio.id)
    return order


async def told(trading: Desk) -> list[str]:
    """What the advisor was told of orders, the newest first."""
    answer = await trading.gql.as_(trading.advisor).run("{ notifications(first: 10) { nodes { kind } } }")
    kinds = [str(each["kind"]) for each in answer["notifications"]["nodes"]]
    return [kind for kind in kinds if kind.startswith("ORDER_")]


@pytest.mark.parametrize("trouble", [down, lost, silent, silent_after], ids=lambda trouble: trouble.__name__)
async def test_an_order_whose_broker_does_not_answer_says_so_and_comes_right(
    trading: Desk, services: Services, make: Make, trouble: Trouble
) -> None:
    services, broker = scripted(services)
    broker.then(trouble, trouble)
    order_id = await placed(trading)
    await drained(services)
    order = await trading.order(order_id)
    assert (order["status"], order["attention"]) == ("SUBMITTED", "NO_ANSWER")
    assert order["reason"] == "The broker has not answered; it is asked again."
    assert Decimal(order["reservedCash"]["amount"]) > 1000
    assert order["fills"] == []
    assert await told(trading) == ["ORDER_UNCERTAIN"]
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)
    # Once, though it went wrong twice.
    assert await told(trading) == ["ORDER_FILLED", "ORDER_UNCERTAIN"]
    assert broker.calls[:3] == ["submit"] * 3
    assert (await trading.holdings())[1] == {trading.share.symbol: 10}


async def test_a_broker_that_is_down_for_long_is_asked_by_schedule_and_leaves_one_dead_job(
    trading: Desk, services: Services, make: Make, gql: Gql
) -> None:
    clock = moved(services)
    services, broker = scripted(services)
    broker.always = down
    order_id = await placed(trading)
    await hurried(services, make.connection)
    for _ in range(5):
        clock.move(minutes=1)
        await services.doors.write(SYSTEM, "test", execution.ask_again, SYSTEM)
        await hurried(services, make.connection)
    assert (await trading.order(order_id))["attention"] == "NO_ANSWER"
    admin = await make.user(Role.ADMIN)
    dead = (await gql.as_(admin).run(DEAD))["deadJobs"]["nodes"]
    assert [(each["name"], each["error"]) for each in dead] == [("execution.send", "BrokerUnavailable")]
    broker.always = None
    clock.move(minutes=1)
    assert await services.doors.write(SYSTEM, "test", execution.ask_again, SYSTEM) == 1
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)
    # What the dead job was to do is done; tried again it does no harm.
    assert (await gql.as_(admin).change("retryJob", "retried { id }", jobId=dead[0]["id"]))["userErrors"] == []
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)
    assert (await gql.as_(admin).run(DEAD))["deadJobs"]["nodes"] == []


async def test_an_order_is_asked_about_once_in_a_while(trading: Desk, services: Services) -> None:
    clock = moved(services)
    services, broker = scripted(services)
    limit = {"kind": "LIMIT", "limitPrice": "90"}
    order_id = await placed(trading, **limit)
    await drained(services)
    ask = execution.ask_again
    assert await services.doors.write(SYSTEM, "test", ask, SYSTEM) == 0
    clock.move(seconds=46)
    # Two workers at once ask no more than one.
    both = await asyncio.gather(*(services.doors.write(SYSTEM, "test", ask, SYSTEM) for _ in range(2)))
    assert sorted(both) == [0, 1]
    await drained(services)
    assert broker.calls == ["submit", "report"]
    order = await trading.order(order_id)
    # That the broker has taken note changes nothing that anybody has seen.
    assert (order["status"], order["version"]) == ("SUBMITTED", 1)
    amended = await trading.do("amendOrder", orderId=order_id, version=1, quantity="9")
    assert (amended["userErrors"], amended["order"]["version"]) == ([], 2)


async def test_a_broker_that_answers_twice_is_booked_once(trading: Desk, services: Services, make: Make) -> None:
    services, broker = in_parts(services, 4)
    broker.always = twice
    order_id = await placed(trading)
    await hurried(services, make.connection)
    order = await sound(trading, services, make, order_id)
    assert [fill["quantity"] for fill in order["fills"]] == ["4", "4", "2"]


async def test_a_late_answer_takes_nothing_back(trading: Desk, services: Services, make: Make) -> None:
    services, broker = in_parts(services, 4)
    order_id = await placed(trading)
    await drained(services)
    assert (await trading.order(order_id))["filledQuantity"] == "4"
    first = broker.reports[0]
    broker.then(well, says(first), says(first))
    for expected in ("8", "8"):
        await asked(services, order_id)
        await drained(services)
        order = await trading.order(order_id)
        assert (order["status"], order["filledQuantity"]) == ("PARTIALLY_FILLED", expected)
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)
    # Later still, when it is filled: by a job that was under way all the time.
    await services.doors.write(SYSTEM, "test", execution.settle, SYSTEM, first.order_id, first)
    await sound(trading, services, make, order_id)


async def test_an_answer_that_comes_after_that_of_another_job(trading: Desk, services: Services, make: Make) -> None:
    services, broker = in_parts(services, 4)
    order_id = await placed(trading)
    begun, go_on = asyncio.Event(), asyncio.Event()
    broker.then(slow(begun, go_on))
    sending = asyncio.create_task(drained(services))
    await begun.wait()
    await asked(services, order_id)
    await hurried(services, make.connection, rounds=2)
    assert (await trading.order(order_id))["filledQuantity"] != "0"
    go_on.set()
    await sending
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)


def other_order(report: Report) -> Report:
    return msgspec.structs.replace(report, order_id=UUID(int=report.order_id.int ^ 1))


def each_fill(**given: Any) -> Callable[[Report], Report]:
    def change(report: Report) -> Report:
        fills = [msgspec.structs.replace(fill, **given) for fill in report.fills]
        return msgspec.structs.replace(report, fills=tuple(fills))

    return change


def one_more(report: Report) -> Report:
    more = msgspec.structs.replace(report.fills[-1], fill_id="MORE")
    return msgspec.structs.replace(report, fills=(*report.fills, more))


def doubled(report: Report) -> Report:
    return msgspec.structs.replace(report, fills=(*report.fills, *report.fills))


def without_fills(report: Report) -> Report:
    return msgspec.structs.replace(report, fills=())


def declined(report: Report) -> Report:
    return msgspec.structs.replace(report, status=BrokerStatus.REJECTED)


def of_a_later_revision(report: Report) -> Report:
    return msgspec.structs.replace(report, revision=7)


NONSENSE = {
    "another order": other_order,
    "a revision that there is not": of_a_later_revision,
    "less than nothing": each_fill(quantity=Decimal(-10)),
    "no number": each_fill(price=Decimal("NaN")),
    "more than ordered": each_fill(quantity=Decimal(11)),
    "another fill besides": one_more,
    "a fill twice": doubled,
    "filled without fills": without_fills,
    "filled and declined": declined,
    "a name that cannot be kept": each_fill(fill_id="a\x00b"),
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=list(NONSENSE))
async def test_nonsense_is_not_booked_and_the_order_says_so(
    trading: Desk, services: Services, make: Make, change: Callable[[Report], Report]
) -> None:
    services, broker = scripted(services)
    broker.then(twists(change))
    order_id = await placed(trading)
    await drained(services)
    order = await trading.order(order_id)
    assert (order["status"], order["attention"], order["fills"]) == ("SUBMITTED", "MISMATCH", [])
    assert order["reason"].startswith("The broker ")
    assert await trading.holdings() == (Decimal(1_000_000), {})
    await asked(services, order_id)
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)


async def test_a_fill_that_was_booked_is_not_changed(trading: Desk, services: Services, make: Make) -> None:
    services, broker = in_parts(services, 4)
    order_id = await placed(trading)
    await drained(services)
    broker.then(twists(each_fill(price=Decimal(1))))
    await asked(services, order_id)
    await drained(services)
    order = await trading.order(order_id)
    assert (order["status"], order["attention"], order["filledQuantity"]) == ("PARTIALLY_FILLED", "MISMATCH", "4")
    assert order["reason"] == "The broker has changed a fill that it had stated before."
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)


async def test_a_broker_that_forgets_an_order_gets_it_again(trading: Desk, services: Services, make: Make) -> None:
    services, broker = scripted(services)
    limit = {"kind": "LIMIT", "limitPrice": "90"}
    order_id = await placed(trading, **limit)
    await drained(services)
    await make.connection.execute("delete from paper_orders")
    await asked(services, order_id)
    await drained(services)
    assert broker.calls == ["submit", "report", "submit"]
    order = await trading.order(order_id)
    assert (order["status"], order["attention"]) == ("SUBMITTED", None)
    assert (await make.connection.fetchval("select count(*) from paper_orders")) == 1


async def test_an_order_that_was_filled_in_part_is_never_sent_anew(
    trading: Desk, services: Services, make: Make
) -> None:
    services, broker = in_parts(services, 4)
    order_id = await placed(trading)
    await drained(services)
    broker.then(forgets)
    await asked(services, order_id)
    await drained(services)
    assert broker.calls == ["submit", "report"]
    order = await trading.order(order_id)
    assert (order["status"], order["attention"], order["filledQuantity"]) == ("PARTIALLY_FILLED", "MISMATCH", "4")
    assert order["reason"] == "The broker does not know an order that it had filled."
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)


async def test_a_broker_declines(trading: Desk, services: Services, make: Make) -> None:
    services, _ = scripted(services, rejected=frozenset({trading.share.symbol}))
    order_id = await placed(trading)
    await drained(services)
    order = await sound(trading, services, make, order_id, "REJECTED")
    assert order["reason"] == f"The broker does not deal in {trading.share.symbol}."
    assert await told(trading) == ["ORDER_REJECTED"]


async def test_trading_is_suspended_when_half_is_filled(trading: Desk, services: Services, make: Make) -> None:
    services, _ = in_parts(services, 4)
    order_id = await placed(trading)
    await drained(services)
    await make.connection.execute("update instruments set status = 'SUSPENDED'")
    await hurried(services, make.connection)
    order = await sound(trading, services, make, order_id, "CANCELLED")
    assert (order["filledQuantity"], order["reason"]) == ("4", f"Trading in {trading.share.symbol} is suspended.")
    assert await told(trading) == ["ORDER_CANCELLED", "ORDER_PARTLY_FILLED"]


@pytest.mark.parametrize("trouble", [down, lost, silent_after], ids=lambda trouble: trouble.__name__)
async def test_a_cancellation_is_asked_for_until_it_is_confirmed(
    trading: Desk, services: Services, make: Make, trouble: Trouble
) -> None:
    services, broker = in_parts(services, 4)
    order_id = await placed(trading)
    await drained(services)
    broker.then(trouble, trouble)
    cancelled = made(await trading.do("cancelOrder", orderId=order_id), "order")
    assert (cancelled["status"], cancelled["cancelRequested"]) == ("PARTIALLY_FILLED", True)
    again = made(await trading.do("cancelOrder", orderId=order_id), "order")
    assert again["version"] == cancelled["version"]
    await drained(services)
    order = await trading.order(order_id)
    assert (order["status"], order["attention"], order["cancelRequested"]) == ("PARTIALLY_FILLED", "NO_ANSWER", True)
    await hurried(services, make.connection)
    order = await sound(trading, services, make, order_id, "CANCELLED")
    assert (order["filledQuantity"], order["remainingQuantity"]) == ("4", "0")


async def test_an_order_that_is_cancelled_before_it_is_sent_never_trades(
    trading: Desk, services: Services, make: Make
) -> None:
    services, broker = scripted(services)
    broker.then(down)
    order_id = await placed(trading)
    await drained(services)
    made(await trading.do("cancelOrder", orderId=order_id), "order")
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id, "CANCELLED")
    # An instruction that was under way all the time comes too late.
    instruction = Instruction(
        decode(order_id, "order", "id"),
        1,
        trading.share.id,
        Side.BUY,
        OrderKind.MARKET,
        Decimal(10),
        None,
        None,
        None,
        "INR",
        make.now.date(),
    )
    assert (await broker.submit(instruction)).status is BrokerStatus.CANCELLED
    await as_the_broker_has_it(make.connection, trading.portfolio.id)


async def test_an_amendment_that_comes_too_late_leaves_what_was_filled(
    trading: Desk, services: Services, make: Make
) -> None:
    services, broker = in_parts(services, 8)
    broker.then(lost)
    order = made(await trading.place(), "order")
    await drained(services)
    order = await trading.order(order["id"])
    assert order["filledQuantity"] == "0"
    reserved = order["reservedCash"]["amount"]
    # The broker has bought eight by now, of which nobody has heard.
    made(await trading.do("amendOrder", orderId=order["id"], version=order["version"], quantity="6"), "order")
    assert (await trading.order(order["id"]))["reservedCash"]["amount"] == reserved
    await hurried(services, make.connection)
    order = await sound(trading, services, make, order["id"])
    assert (order["filledQuantity"], order["quantity"]) == ("8", "8")


BROUGHT_IN: Final = {"kind": "TRANSFER_IN", "tradedOn": "2026-01-05", "acquiredOn": "2026-01-05", "cost": "900"}
# Corporate actions are facts, whatever is reserved: of ten units four are left.
REVERSE_SPLIT: Final = {"kind": "SPLIT", "tradedOn": "2026-02-02", "ratioNew": 4, "ratioOld": 10}


async def recorded(trading: Desk, **given: Any) -> str:
    """The id of an entry of the share's that a custodian reports."""
    given |= {"idempotencyKey": f"{given['kind']}", "portfolioId": id_of(trading.portfolio), "currency": "INR"}
    given |= {"instrumentId": id_of(trading.share)}
    advisor = trading.gql.as_(trading.advisor)
    return str(made(await advisor.change("recordTransaction", "transaction { id }", **given))["id"])


async def sold_beyond(trading: Desk, services: Services, broker: Scripted) -> tuple[str, str]:
    """An order to sell ten units, of which the broker has sold ten while only four are left; and what took them."""
    await recorded(trading, **BROUGHT_IN, quantity="10")
    broker.then(down)
    order_id = await placed(trading, side="SELL")
    await drained(services)
    return order_id, await recorded(trading, **REVERSE_SPLIT)


async def taken_back(trading: Desk, entry_id: str) -> None:
    """An entry turns out to have been wrong."""
    given = {"transactionId": entry_id, "idempotencyKey": "wrong", "reason": "There was no split"}
    made(await trading.gql.as_(trading.advisor).change("reverseTransaction", "transaction { id }", **given))


async def test_a_fill_that_the_ledger_does_not_take_waits_for_a_person(
    trading: Desk, services: Services, make: Make, gql: Gql
) -> None:
    services, broker = scripted(services)
    order_id, split_id = await sold_beyond(trading, services, broker)
    before = await balanced(services, make.connection, trading.portfolio.id)
    await hurried(services, make.connection)
    order = await trading.order(order_id)
    assert (order["status"], order["attention"], order["fills"]) == ("SUBMITTED", "MISMATCH", [])
    assert "are held" in order["reason"]
    # Nothing of it is booked, and what is reserved stays reserved.
    assert await balanced(services, make.connection, trading.portfolio.id) == before
    for _ in range(3):
        await asked(services, order_id)
        await hurried(services, make.connection)
    admin = await make.user(Role.ADMIN)
    (dead,) = (await gql.as_(admin).run(DEAD))["deadJobs"]["nodes"]
    assert (dead["name"], dead["error"]) == ("execution.resolve", "Unbookable")
    # Somebody corrects the ledger, and has the job tried again.
    await taken_back(trading, split_id)
    assert (await gql.as_(admin).change("retryJob", "retried { id }", jobId=dead["id"]))["userErrors"] == []
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)
    assert (await gql.as_(admin).run(DEAD))["deadJobs"]["nodes"] == []
    assert (await trading.holdings())[1].get(trading.share.symbol, 0) == 0


async def test_what_the_ledger_takes_by_then_is_booked_by_schedule_too(
    trading: Desk, services: Services, make: Make
) -> None:
    services, broker = scripted(services)
    order_id, split_id = await sold_beyond(trading, services, broker)
    await hurried(services, make.connection)
    await taken_back(trading, split_id)
    await asked(services, order_id)
    await hurried(services, make.connection)
    await sound(trading, services, make, order_id)


async def test_an_order_whose_time_is_over_is_not_sent_after_it(trading: Desk, services: Services, make: Make) -> None:
    clock = moved(services)
    services, broker = scripted(services)
    broker.then(down)
    order_id = await placed(trading)
    await drained(services)
    expires = await make.connection.fetchval("select expires_at from orders")
    clock.ahead = expires - make.now + timedelta(seconds=1)
    # The job that was to send it comes first.
    await hurried(services, make.connection)
    assert broker.calls == ["submit"]
    await services.doors.write(SYSTEM, "test", execution.end_expired, SYSTEM)
    await hurried(services, make.connection)
    clock.ahead = timedelta()
    order = await sound(trading, services, make, order_id, "EXPIRED")
    assert (broker.calls, order["fills"]) == (["submit", "cancel"], [])


async def test_the_end_of_a_session_is_confirmed_by_the_broker_when_it_is_back(
    trading: Desk, services: Services, make: Make
) -> None:
    clock = moved(services)
    services, broker = in_parts(services, 4)
    order_id = await placed(trading)
    await drained(services)
    broker.then(lost, down)
    clock.ahead = await make.connection.fetchval("select expires_at from orders") - make.now + timedelta(minutes=1)
    await services.doors.write(SYSTEM, "test", execution.end_expired, SYSTEM)
    # Asked about by schedule meanwhile, it is not merely asked about: it would be filled after its time.
    await asked(services, order_id)
    await hurried(services, make.connection)
    clock.ahead = timedelta()
    order = await sound(trading, services, make, order_id, "EXPIRED")
    assert order["filledQuantity"] == "4"
    assert set(broker.calls[1:]) == {"cancel"}
