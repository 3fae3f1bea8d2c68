"""Lists of orders: what they hold, what they cost, the blotter, the approvals, and what people are told."""

from datetime import timedelta
from typing import Final

import pytest

from domain.access import Role
from domain.orders import OrderStatus, Side
from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make
from tests.factories.trading import Desk, desk, order
from tests.support.gql import Gql
from tests.support.statements import Statements
from tests.support.worker import drained

FULL: Final = """nodes {
    id side status quantity instrument { symbol } client { name } portfolio { name }
    placedBy { name } approvedBy { name }
    fills { quantity transaction { id } } viewerCanChange viewerCanApprove notional { amount }
} totalCount"""
LISTS: Final = {
    "orders": f"{{ orders(first: 50) {{ {FULL} }} }}",
    "awaiting": f"{{ ordersAwaitingApproval(first: 50) {{ {FULL} }} }}",
    "of clients": f"{{ clients(first: 50) {{ nodes {{ orders(first: 10) {{ {FULL} }} }} }} }}",
    "of portfolios": f"{{ portfolios(first: 50) {{ nodes {{ orders(first: 10) {{ {FULL} }} }} }} }}",
    "blotter": "{ blotter { day count totals { currency side status count notional { amount } } } }",
}


async def trading(make: Make, gql: Gql, orders: int) -> Desk:
    """A desk with so many orders of so many clients, some waiting for an approval, some filled."""
    made = await desk(make, gql)
    for number in range(orders):
        client = await make.client(made.book)
        portfolio = await make.portfolio(client)
        status = [OrderStatus.PENDING_APPROVAL, OrderStatus.SUBMITTED][number % 2]
        await order(make, portfolio, made.share, made.advisor.user, status=status)
    return made


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_costs_the_same_whatever_its_size(
    make: Make, gql: Gql, services: Services, statements: Statements, name: str
) -> None:
    counts = []
    for orders in (2, 12):
        made = await trading(make, gql, orders)
        await made.place(quantity="1")
        await drained(services)
        # What is read once in a process is read before.
        await gql.as_(made.supervisor).run(LISTS[name])
        with statements.counted() as seen:
            await gql.as_(made.supervisor).run(LISTS[name])
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 14


async def test_placing_costs_the_same_whatever_there_is(make: Make, gql: Gql, statements: Statements) -> None:
    made = await desk(make, gql)
    counts = []
    for orders in (1, 12):
        for _ in range(orders):
            await order(make, made.portfolio, made.share, made.advisor.user)
        await made.place(quantity="1")
        with statements.counted() as seen:
            assert (await made.place(quantity="1"))["userErrors"] == []
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 17, counts


async def test_orders_are_found_by_their_terms(make: Make, gql: Gql, services: Services) -> None:
    made = await desk(make, gql, cash="9000000")
    bought = (await made.place(quantity="10"))["order"]
    await drained(services)
    sold = (await made.place(side="SELL", quantity="4", kind="LIMIT", limitPrice="200"))["order"]
    large = (await made.place(quantity="30000"))["order"]
    ask = gql.as_(made.advisor)
    for cut, expected in (
        ({"sides": ["SELL"]}, {sold["id"]}),
        ({"statuses": ["FILLED"]}, {bought["id"]}),
        ({"openOnly": True}, {sold["id"], large["id"]}),
        ({"placedByMe": True}, {bought["id"], sold["id"], large["id"]}),
        ({"instrumentIds": [id_of(made.fund)]}, set()),
        (
            {"portfolioIds": [id_of(made.portfolio)], "clientIds": [id_of(made.client)]},
            {bought["id"], sold["id"], large["id"]},
        ),
        ({"tradesTo": "2020-01-01"}, set()),
    ):
        document = "query ($cut: OrderFilter) { orders(filter: $cut) { totalCount nodes { id } } }"
        found = (await ask.run(document, cut=cut))["orders"]
        assert {node["id"] for node in found["nodes"]} == expected, cut
        assert found["totalCount"] == len(expected)
    assert (await gql.as_(made.supervisor).run("{ orders(filter: {placedByMe: true}) { totalCount } }"))["orders"] == {
        "totalCount": 0
    }


async def test_approvals_are_told_to_who_leads_and_listed_but_for_ones_own(
    make: Make, gql: Gql, services: Services
) -> None:
    made = await desk(make, gql, cash="9000000")
    stranger = await make.user(Role.SUPERVISOR, await make.team())
    placed = (await made.place(quantity="30000"))["order"]
    document = "{ ordersAwaitingApproval { nodes { id viewerCanApprove } } }"
    seen = (await gql.as_(made.supervisor).run(document))["ordersAwaitingApproval"]["nodes"]
    assert seen == [{"id": placed["id"], "viewerCanApprove": True}]
    assert (await gql.as_(stranger).run(document))["ordersAwaitingApproval"]["nodes"] == []
    assert (await gql.as_(made.advisor).ask(document)).codes == ["FORBIDDEN"]
    kinds = "kinds: [APPROVAL_WANTED, ORDER_APPROVED, ORDER_FILLED]"
    told = f"{{ notifications(filter: {{ {kinds} }}) {{ nodes {{ kind order {{ id }} actor {{ name }} }} }} }}"
    (notice,) = (await gql.as_(made.supervisor).run(told))["notifications"]["nodes"]
    assert (notice["kind"], notice["order"], notice["actor"]["name"]) == (
        "APPROVAL_WANTED",
        {"id": placed["id"]},
        made.advisor.user.name,
    )
    await made.do("approveOrder", made.supervisor, orderId=placed["id"], version=placed["version"])
    await drained(services)
    seen = [each["kind"] for each in (await gql.as_(made.advisor).run(told))["notifications"]["nodes"]]
    assert seen == ["ORDER_FILLED", "ORDER_APPROVED"]
    seen = [each["kind"] for each in (await gql.as_(made.supervisor).run(told))["notifications"]["nodes"]]
    assert seen == ["ORDER_FILLED", "APPROVAL_WANTED"]
    assert (await gql.as_(stranger).run(told))["notifications"]["nodes"] == []


async def test_an_end_client_sees_neither_drafts_nor_what_the_staff_say_of_orders(make: Make, gql: Gql) -> None:
    made = await desk(make, gql)
    person = await make.user(Role.CLIENT, client_id=made.client.id)
    drafted = (await made.ticket("draftOrder"))["order"]
    told = {"status": OrderStatus.REJECTED, "reason": "Too much for this client."}
    rejected = await order(make, made.portfolio, made.share, made.advisor.user, **told)
    document = "{ orders { totalCount nodes { id reason } } }"
    seen = (await gql.as_(person).run(document))["orders"]
    assert seen == {"totalCount": 1, "nodes": [{"id": id_of(rejected), "reason": None}]}
    seen = (await gql.as_(made.advisor).run(document))["orders"]
    assert {node["id"]: node["reason"] for node in seen["nodes"]} == {
        drafted["id"]: None,
        id_of(rejected): "Too much for this client.",
    }
    answer = await gql.as_(person).ask("query ($id: ID!) { node(id: $id) { id } }", id=drafted["id"])
    assert answer.codes == ["NOT_FOUND"]


async def test_the_blotter_sums_up_a_day_by_currency_side_and_state(make: Make, gql: Gql) -> None:
    made = await desk(make, gql)
    day = make.now.date()
    for side, notional in ((Side.BUY, 100), (Side.BUY, 250), (Side.SELL, 40)):
        await order(make, made.portfolio, made.share, made.advisor.user, side=side, notional=notional, trades_on=day)
    yesterday = {"trades_on": day - timedelta(days=1)}
    await order(make, made.portfolio, made.share, made.advisor.user, **yesterday)
    document = """query ($day: Date) { blotter(day: $day) {
        day count totals { side status currency count notional { amount } filledValue { amount } }
    } }"""
    seen = (await gql.as_(made.advisor).run(document, day=day.isoformat()))["blotter"]
    assert (seen["day"], seen["count"]) == (day.isoformat(), 3)
    totals = {each["side"]: (each["count"], each["notional"]["amount"]) for each in seen["totals"]}
    assert totals == {"BUY": (2, "350"), "SELL": (1, "40")}
    stranger = await make.advisor()
    assert (await gql.as_(stranger).run(document, day=day.isoformat()))["blotter"]["totals"] == []


async def test_the_blotter_shows_what_was_executed_on_its_day(make: Make, gql: Gql, services: Services) -> None:
    made = await desk(make, gql)
    for _ in range(2):
        await made.place(quantity="3")
    await drained(services)
    traded_on = await make.connection.fetchval("select max(traded_on) from transactions")
    document = (
        "query ($day: Date) { blotter(day: $day) { executions { side count value { amount } charges { amount } } } }"
    )
    seen = (await gql.as_(made.advisor).run(document, day=traded_on.isoformat()))["blotter"]["executions"]
    assert [(each["side"], each["count"], each["value"]["amount"]) for each in seen] == [("BUY", 2, "600")]
    before = (traded_on - timedelta(days=1)).isoformat()
    assert (await gql.as_(made.advisor).run(document, day=before))["blotter"]["executions"] == []
    stranger = await make.advisor()
    assert (await gql.as_(stranger).run(document, day=traded_on.isoformat()))["blotter"]["executions"] == []
