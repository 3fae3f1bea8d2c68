from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest

from domain.access import Role
from domain.clients import ClientStatus, KycStatus, RiskProfile
from graph.context import Services
from graph.ids import encode, id_of
from tests.factories.firm import Make
from tests.factories.trading import desk
from tests.support.gql import Gql
from tests.support.worker import drained


async def test_a_market_order_is_filled_and_booked_once(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    placed = await trading.place()
    assert placed["userErrors"] == []
    assert placed["order"]["status"] == "SUBMITTED"
    await drained(services)
    order = await trading.order(placed["order"]["id"])
    assert (order["status"], order["filledQuantity"], order["reservedCash"]["amount"]) == ("FILLED", "10", "0")
    cash, units = await trading.holdings()
    (fill,) = order["fills"]
    assert fill["price"]["amount"] == "100"
    assert Decimal(fill["transaction"]["amount"]["amount"]) == -(1000 + Decimal(fill["charges"]["amount"]))
    assert cash == 1_000_000 + Decimal(fill["transaction"]["amount"]["amount"])
    assert units[trading.share.symbol] == 10


async def test_a_large_order_waits_for_somebody_elses_approval(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql, cash="9000000")
    placed = (await trading.place(quantity="30000"))["order"]
    assert placed["status"] == "PENDING_APPROVAL"
    approved = await trading.do("approveOrder", trading.supervisor, orderId=placed["id"], version=placed["version"])
    assert approved["order"]["status"] == "SUBMITTED"
    await drained(services)
    assert (await trading.order(placed["id"]))["status"] == "FILLED"


async def test_a_sale_beyond_the_holding_is_refused(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    await trading.place(quantity="10")
    await drained(services)
    refused = await trading.place(side="SELL", quantity="11")
    assert [error["code"] for error in refused["userErrors"]] == ["INSUFFICIENT_HOLDING"]
    assert refused["userErrors"][0]["field"] == ["input", "quantity"]
    assert id_of(trading.portfolio)


def refused(payload: Any) -> list[tuple[str, str]]:
    """The codes of the user errors, each with the field that it names."""
    assert payload["order"] is None
    return [(error["code"], error["field"][-1]) for error in payload["userErrors"]]


WRONG: Final = [
    ({"quantity": "0"}, "INVALID_VALUE", "quantity"),
    ({"quantity": "-1"}, "INVALID_VALUE", "quantity"),
    ({"quantity": "1.5"}, "LOT_SIZE", "quantity"),
    ({"amount": "1000"}, "INVALID_VALUE", "amount"),
    ({"quantity": "1", "amount": "1000"}, "INVALID_VALUE", "quantity"),
    ({"quantity": "1", "limitPrice": "100"}, "INVALID_VALUE", "limitPrice"),
    ({"quantity": "1", "kind": "LIMIT"}, "INVALID_VALUE", "limitPrice"),
    ({"quantity": "1", "kind": "LIMIT", "limitPrice": "0"}, "INVALID_VALUE", "limitPrice"),
    ({"quantity": "1", "kind": "LIMIT", "limitPrice": "100.03"}, "TICK_SIZE", "limitPrice"),
    ({"quantity": "1", "instrumentId": encode("instrument", UUID(int=3))}, "UNKNOWN_INSTRUMENT", "instrumentId"),
    ({"quantity": "99999999999999"}, "INVALID_VALUE", "quantity"),
    ({"quantity": "10001"}, "INSUFFICIENT_CASH", "quantity"),
    ({"quantity": "1", "side": "SELL"}, "INSUFFICIENT_HOLDING", "quantity"),
]


@pytest.mark.parametrize("mutation", ["placeOrder", "draftOrder"])
async def test_what_is_wrong_with_a_ticket_is_said_with_its_field(make: Make, gql: Gql, mutation: str) -> None:
    trading = await desk(make, gql)
    for given, code, field in WRONG:
        if mutation == "draftOrder" and code.startswith("INSUFFICIENT"):
            continue
        assert refused(await trading.ticket(mutation, **given)) == [(code, field)], given


async def test_funds_are_ordered_by_amount_and_have_no_limit(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql)
    fund = {"instrumentId": id_of(trading.fund)}
    assert refused(await trading.place(**fund, amount="0")) == [("INVALID_VALUE", "amount")]
    assert refused(await trading.place(**fund, amount="1000.001")) == [("INVALID_VALUE", "amount")]
    limited = {"kind": "LIMIT", "limitPrice": "50", "quantity": "1"}
    assert refused(await trading.place(**fund, **limited)) == [("INVALID_VALUE", "kind")]
    assert (await trading.place(**fund, amount="5000"))["order"]["status"] == "SUBMITTED"
    assert (await trading.place(**fund, quantity="1.234"))["order"]["status"] == "SUBMITTED"
    assert refused(await trading.place(**fund, quantity="1.2345")) == [("LOT_SIZE", "quantity")]


@pytest.mark.parametrize(
    ("client", "code"),
    [
        ({"status": ClientStatus.DORMANT}, "CLIENT_NOT_ACTIVE"),
        ({"kyc_status": KycStatus.PENDING}, "KYC_EXPIRED"),
        ({"kyc_expires_on": date(2026, 1, 5)}, "KYC_EXPIRED"),
        ({"risk_profile": RiskProfile.CONSERVATIVE}, "UNSUITABLE"),
        ({"risk_profile": None}, "UNSUITABLE"),
    ],
)
async def test_a_client_that_may_not_trade_does_not(make: Make, gql: Gql, client: dict[str, Any], code: str) -> None:
    trading = await desk(make, gql, **client)
    payload = await trading.place(quantity="1")
    assert [error[0] for error in refused(payload)] == [code]
    # What is needed is said.
    assert len(payload["userErrors"][0]["message"]) > 20


async def test_a_suspended_instrument_takes_no_orders(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql)
    await make.connection.execute("update instruments set status = 'SUSPENDED' where id = $1", trading.share.id)
    assert refused(await trading.place()) == [("NOT_TRADED", "instrumentId")]


async def test_nobody_approves_an_order_of_ones_own(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql, cash="9000000")
    trading.advisor, trading.supervisor = trading.supervisor, trading.advisor
    placed = (await trading.place(quantity="30000"))["order"]
    answer = await trading.do("approveOrder", trading.advisor, orderId=placed["id"], version=placed["version"])
    assert refused(answer) == [("OWN_ORDER", "orderId")]


async def test_neither_who_placed_nor_who_amended_approves(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql, cash="9000000")
    manager = await make.user(Role.SUPERVISOR, trading.team)
    placer, trading.advisor = trading.advisor, trading.supervisor
    placed = (await trading.place(quantity="30000"))["order"]
    # Another's smallest change does not make it another's order.
    amended = await trading.do("amendOrder", placer, orderId=placed["id"], version=1, timeInForce="GTC")
    assert amended["order"]["status"] == "PENDING_APPROVAL"
    approval = {"orderId": placed["id"], "version": amended["order"]["version"]}
    assert refused(await trading.do("approveOrder", trading.supervisor, **approval)) == [("OWN_ORDER", "orderId")]
    drafted = (await trading.ticket("draftOrder", quantity="30000"))["order"]
    submitted = await trading.do("submitOrder", placer, orderId=drafted["id"], version=1)
    given = {"orderId": drafted["id"], "version": submitted["order"]["version"]}
    assert refused(await trading.do("approveOrder", trading.supervisor, **given)) == [("OWN_ORDER", "orderId")]
    for wanted in (approval, given):
        assert (await trading.do("approveOrder", manager, **wanted))["order"]["status"] == "SUBMITTED"


async def test_what_open_orders_rely_on_is_not_taken_back(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql, cash="1500")
    entry = await make.connection.fetchval("select id from transactions")
    given = {"transactionId": encode("transaction", entry), "idempotencyKey": "wrong", "reason": "Another's deposit"}
    placed = (await trading.place(quantity="10"))["order"]
    ask = gql.as_(trading.advisor)
    answer = await ask.change("reverseTransaction", "transaction { id }", **given)
    assert [error["code"] for error in answer["userErrors"]] == ["INSUFFICIENT_CASH"]
    await make.connection.execute("update orders set status = 'CANCELLED', reserved_cash = 0")
    assert placed["status"] == "SUBMITTED"
    answer = await ask.change("reverseTransaction", "transaction { id }", **given)
    assert answer["userErrors"] == []


async def test_a_purchase_that_open_sales_rely_on_is_not_taken_back(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    await trading.place(quantity="10")
    await drained(services)
    bought = await make.connection.fetchval("select id from transactions where kind = 'BUY'")
    await trading.place(side="SELL", quantity="4", kind="LIMIT", limitPrice="500")
    given = {"transactionId": encode("transaction", bought), "idempotencyKey": "wrong", "reason": "Another's purchase"}
    answer = await gql.as_(trading.advisor).change("reverseTransaction", "transaction { id }", **given)
    assert [error["code"] for error in answer["userErrors"]] == ["INSUFFICIENT_HOLDING"]


async def test_a_declined_order_is_rejected_and_says_why(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql, cash="9000000")
    placed = (await trading.place(quantity="30000"))["order"]
    assert refused(await trading.do("declineOrder", trading.supervisor, orderId=placed["id"], reason=" ")) == [
        ("INVALID_VALUE", "reason")
    ]
    declined = await trading.do("declineOrder", trading.supervisor, orderId=placed["id"], reason="Too much of one.")
    assert (declined["order"]["status"], declined["order"]["reason"]) == ("REJECTED", "Too much of one.")
    assert (await trading.order(placed["id"]))["reservedCash"]["amount"] == "0"
    again = await trading.do("approveOrder", trading.supervisor, orderId=placed["id"], version=placed["version"])
    assert refused(again) == [("ILLEGAL_STEP", "orderId")]


async def test_a_draft_reserves_nothing_until_it_is_submitted(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    drafted = (await trading.ticket("draftOrder", quantity="10"))["order"]
    assert drafted["status"] == "DRAFT"
    assert (await trading.order(drafted["id"]))["reservedCash"]["amount"] == "0"
    await drained(services)
    assert (await trading.order(drafted["id"]))["status"] == "DRAFT"
    stale = await trading.do("submitOrder", orderId=drafted["id"], version=9)
    assert [error[0] for error in refused(stale)] == ["STALE_VERSION"]
    placed = (await trading.do("submitOrder", orderId=drafted["id"], version=drafted["version"]))["order"]
    assert placed["status"] == "SUBMITTED"
    await drained(services)
    assert (await trading.order(drafted["id"]))["status"] == "FILLED"


async def test_an_archived_client_has_no_open_orders(make: Make, gql: Gql, services: Services) -> None:
    trading = await desk(make, gql)
    placed = (await trading.place(kind="LIMIT", limitPrice="50", quantity="1"))["order"]
    archive = {"clientId": id_of(trading.client), "version": 1}
    answer = await gql.as_(trading.advisor).change("archiveClient", "client { id }", **archive)
    assert [error["code"] for error in answer["userErrors"]] == ["OPEN_ORDERS"]
    await drained(services)
    await trading.do("cancelOrder", orderId=placed["id"])
    await drained(services)
    assert (await trading.order(placed["id"]))["status"] == "CANCELLED"
    answer = await gql.as_(trading.advisor).change("archiveClient", "client { id }", **archive)
    assert answer["userErrors"] == []


PREVIEW: Final = """query ($input: PreviewOrderInput!) { previewOrder(input: $input) {
    accepted needsApproval quantity tradesOn settlesOn weightBefore weightAfter
    notional { amount } charges { amount } cashEffect { amount } reserved { amount } cashAvailable { amount }
    checks { check passed error { code field } } allocation { assetClass before after }
} }"""


async def test_a_preview_shows_cost_checks_and_the_effect_and_places_nothing(make: Make, gql: Gql) -> None:
    trading = await desk(make, gql, cash="1000")
    given = {"portfolioId": id_of(trading.portfolio), "instrumentId": id_of(trading.share), "side": "BUY"}
    ask = gql.as_(trading.advisor)
    seen = (await ask.run(PREVIEW, input={**given, "quantity": "5"}))["previewOrder"]
    assert (seen["accepted"], seen["notional"]["amount"], seen["cashAvailable"]["amount"]) == (True, "500", "1000")
    # Brokerage 0.50, transaction tax 0.50, stamp duty 0.08, and 0.11 to the exchange with service tax, half up.
    assert seen["charges"]["amount"] == "1.19"
    assert seen["cashEffect"]["amount"] == "-501.19"
    shifts = {each["assetClass"]: (each["before"], each["after"]) for each in seen["allocation"]}
    assert shifts["CASH"][0] == "1"
    assert Decimal(shifts["EQUITY"][1]).quantize(Decimal("0.001")) == Decimal("0.501")
    assert seen["weightAfter"] == shifts["EQUITY"][1]
    short = (await ask.run(PREVIEW, input={**given, "quantity": "50"}))["previewOrder"]
    failed = [each for each in short["checks"] if not each["passed"]]
    assert [each["check"] for each in failed] == ["COVER"]
    assert failed[0]["error"] == {"code": "INSUFFICIENT_CASH", "field": ["input", "quantity"]}
    beyond = (await ask.run(PREVIEW, input={**given, "side": "SELL", "quantity": "50"}))["previewOrder"]
    # What is not held brings no cash.
    assert [each["after"] for each in beyond["allocation"]] == ["1"]
    wrong = (await ask.run(PREVIEW, input={**given, "quantity": "0"}))["previewOrder"]
    assert (wrong["accepted"], wrong["notional"]) == (False, None)
    answer = await ask.ask(PREVIEW, input={**given, "instrumentId": encode("instrument", UUID(int=3)), "quantity": "1"})
    assert answer.codes == ["NOT_FOUND"]
    assert (await ask.run("{ orders { totalCount } }"))["orders"]["totalCount"] == 0


async def test_a_preview_of_anothers_portfolio_is_not_found(make: Make, gql: Gql) -> None:
    mine, others = await desk(make, gql), await desk(make, gql)
    given = {"portfolioId": id_of(others.portfolio), "instrumentId": id_of(mine.share), "side": "BUY", "quantity": "1"}
    assert (await gql.as_(mine.advisor).ask(PREVIEW, input=given)).codes == ["NOT_FOUND"]
    viewer = await make.user(Role.VIEWER)
    assert (await gql.as_(viewer).ask(PREVIEW, input=given)).codes == ["FORBIDDEN"]
