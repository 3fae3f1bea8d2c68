import asyncio
from datetime import date
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from graph.ids import encode, id_of
from tests.factories.firm import Make
from tests.support.desk import DAY, RECORDED, Desk, declined, made
from tests.support.gql import Gql
from tests.support.statements import Statements

FIRST = date(2024, 3, 1)


@pytest.fixture
async def desk(gql: Gql, make: Make) -> Desk:
    return await Desk.open(gql, make)


async def test_a_trade_moves_cash_and_securities_with_its_charges(desk: Desk) -> None:
    await desk.record("DEPOSIT", amount="200000")
    bought = made(
        await desk.record(
            "BUY", "2024-03-01", "HDFCBANK", quantity="100", price="1500.25", brokerage="30", transactionTax="150.03",
            stampDuty="22.5", otherCharges="5.47", reference="CUST-7", note="first",
        )
    )  # fmt: skip
    assert bought["amount"] == {"amount": "-150233", "currency": "INR"}
    assert bought["price"] == {"amount": "1500.25"}
    assert bought["charges"]["transactionTax"] == {"amount": "150.03"}
    # A Friday's trade settles on Monday.
    assert (bought["tradedOn"], bought["settlesOn"]) == ("2024-03-01", "2024-03-04")
    assert (bought["reference"], bought["note"], bought["kind"], bought["reverses"]) == ("CUST-7", "first", "BUY", None)
    assert (bought["instrument"], bought["recordedBy"]) == ({"symbol": "HDFCBANK"}, {"name": desk.advisor.user.name})
    sold = made(await desk.record("SELL", "2024-03-05", "HDFCBANK", quantity="40", price="1600", brokerage="10"))
    assert sold["amount"]["amount"] == "63990"
    position = await desk.position("HDFCBANK")
    # 40 of 100 cost 60,093.20: sold for 63,990 after charges.
    assert position["realisedGain"]["amount"] == "3896.8"
    assert (position["quantity"], position["totalCost"]["amount"]) == ("60", "90139.8")
    assert (position["averageCost"]["amount"], position["version"]) == ("1502.33", 2)
    assert position["lots"] == [
        {"openedOn": "2024-03-01", "quantity": "60", "cost": {"amount": "90139.8", "currency": "INR"}}
    ]


async def test_cash_settles_on_its_own_day(desk: Desk) -> None:
    await desk.record("DEPOSIT", FIRST, amount="1000")
    await desk.record("DEPOSIT", FIRST, amount="70", currency="USD")
    await desk.record("BUY", "2024-03-05", "HDFCBANK", quantity="4", price="100", settlesOn="2024-03-07")
    assert await desk.cash("2024-02-29") == {}
    assert await desk.cash("2024-03-01") == {"INR": ("1000", "0"), "USD": ("70", "0")}
    assert await desk.cash("2024-03-05") == {"INR": ("1000", "-400"), "USD": ("70", "0")}
    assert await desk.cash("2024-03-06") == {"INR": ("1000", "-400"), "USD": ("70", "0")}
    assert await desk.cash("2024-03-07") == {"INR": ("600", "0"), "USD": ("70", "0")}
    assert await desk.cash() == {"INR": ("600", "0"), "USD": ("70", "0")}
    assert (await desk.holdings())["cash"][0]["total"] == {"amount": "600"}


async def test_every_kind_of_entry_is_folded(desk: Desk) -> None:
    made(await desk.record("DEPOSIT", amount="100000"))
    made(await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="30", price="1000"))
    made(await desk.record("DIVIDEND", "2024-03-05", "HDFCBANK", amount="570"))
    made(await desk.record("INTEREST", "2024-03-05", amount="12.5"))
    made(await desk.record("FEE", "2024-03-05", amount="100"))
    made(await desk.record("TAX", "2024-03-05", "HDFCBANK", amount="57"))
    made(await desk.record("SPLIT", "2024-03-06", "HDFCBANK", ratioNew=2, ratioOld=1))
    made(await desk.record("BONUS", "2024-03-07", "HDFCBANK", ratioNew=1, ratioOld=4))
    moved = {"cost": "900", "acquiredOn": "2019-05-06", "quantity": "5"}
    made(await desk.record("TRANSFER_IN", "2024-03-08", "HDFCBANK", **moved))
    made(await desk.record("TRANSFER_OUT", "2024-03-08", "HDFCBANK", quantity="10"))
    made(await desk.record("WITHDRAWAL", "2024-03-08", amount="425.5"))
    position = await desk.position("HDFCBANK")
    # The five that came in are the oldest and left first, then five of the sixty.
    assert [(lot["openedOn"], lot["quantity"], lot["cost"]["amount"]) for lot in position["lots"]] == [
        ("2024-03-04", "55", "27500"),
        ("2024-03-07", "15", "0"),
    ]
    assert (position["quantity"], position["dividends"]["amount"], position["realisedGain"]["amount"]) == (
        "70",
        "570",
        "0",
    )
    assert await desk.cash() == {"INR": ("70000", "0")}


async def test_a_late_entry_refolds_from_its_date(desk: Desk) -> None:
    await desk.record("DEPOSIT", amount="10000")
    await desk.record("BUY", "2024-03-05", "HDFCBANK", quantity="10", price="100")
    await desk.record("SELL", "2024-03-07", "HDFCBANK", quantity="10", price="150")
    made(await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="10", price="90"))
    position = await desk.position("HDFCBANK")
    # The sale now takes the lot that is older.
    assert (position["realisedGain"]["amount"], position["totalCost"]["amount"]) == ("600", "1000")
    late = await desk.record("SELL", "2024-03-06", "HDFCBANK", quantity="11", price="150")
    assert declined(late) == [("INSUFFICIENT_HOLDING", "input.quantity")]
    assert (await desk.position("HDFCBANK"))["version"] == position["version"]


DECLINED: list[tuple[str, str | None, dict[str, Any], tuple[str, str]]] = [
    ("BUY", "HDFCBANK", {"quantity": "0", "price": "1"}, ("INVALID_VALUE", "input.quantity")),
    ("BUY", "HDFCBANK", {"quantity": "-5", "price": "1"}, ("INVALID_VALUE", "input.quantity")),
    ("SELL", "HDFCBANK", {"quantity": "-1", "price": "1"}, ("INVALID_VALUE", "input.quantity")),
    ("BUY", "HDFCBANK", {"quantity": "1", "price": "0"}, ("INVALID_VALUE", "input.price")),
    ("BUY", "HDFCBANK", {"quantity": "1", "price": "1", "brokerage": "-1"}, ("INVALID_VALUE", "input.brokerage")),
    ("BUY", "HDFCBANK", {"quantity": "1", "price": "1", "currency": "USD"}, ("INVALID_VALUE", "input.currency")),
    ("BUY", "HDFCBANK", {"quantity": "1"}, ("INVALID_VALUE", "input.price")),
    ("BUY", None, {"quantity": "1", "price": "1"}, ("INVALID_VALUE", "input.instrumentId")),
    ("BUY", "HDFCBANK", {"quantity": "9", "price": "112"}, ("INSUFFICIENT_CASH", "input.quantity")),
    ("SELL", "HDFCBANK", {"quantity": "10.0000000001", "price": "1"}, ("INSUFFICIENT_HOLDING", "input.quantity")),
    ("SELL", "AAPL", {"quantity": "1", "price": "1"}, ("INSUFFICIENT_HOLDING", "input.quantity")),
    ("TRANSFER_OUT", "HDFCBANK", {"quantity": "11"}, ("INSUFFICIENT_HOLDING", "input.quantity")),
    ("DEPOSIT", None, {"amount": "0"}, ("INVALID_VALUE", "input.amount")),
    ("DEPOSIT", None, {"amount": "-1"}, ("INVALID_VALUE", "input.amount")),
    ("DEPOSIT", None, {"amount": "1.00001"}, ("INVALID_VALUE", "input.amount")),
    ("DEPOSIT", None, {"amount": "10000000000000000"}, ("INVALID_VALUE", "input.amount")),
    ("DEPOSIT", None, {"amount": "1", "currency": "XYZ"}, ("INVALID_VALUE", "input.currency")),
    ("DEPOSIT", None, {"amount": "1", "brokerage": "1"}, ("INVALID_VALUE", "input.brokerage")),
    ("DEPOSIT", "HDFCBANK", {"amount": "1"}, ("INVALID_VALUE", "input.instrumentId")),
    ("DEPOSIT", None, {"amount": "1", "on": "2023-12-31"}, ("ENTRY_BEFORE_OPENING", "input.tradedOn")),
    ("DEPOSIT", None, {"amount": "1", "on": "2999-01-01"}, ("FUTURE_DATE", "input.tradedOn")),
    ("DEPOSIT", None, {"amount": "1", "settlesOn": "2024-02-29"}, ("INVALID_VALUE", "input.settlesOn")),
    ("DEPOSIT", None, {"amount": "1", "note": "x" * 10_001}, ("INVALID_VALUE", "input.note")),
    ("WITHDRAWAL", None, {"amount": "1000.01"}, ("INSUFFICIENT_CASH", "input.amount")),
    ("SPLIT", "HDFCBANK", {"ratioNew": 0, "ratioOld": 1}, ("INVALID_VALUE", "input.ratioNew")),
    ("REVERSAL", None, {"amount": "1"}, ("INVALID_VALUE", "input.kind")),
    ("DEPOSIT", None, {"amount": "1", "idempotencyKey": ""}, ("INVALID_VALUE", "input.idempotencyKey")),
    ("DEPOSIT", None, {"amount": "1", "idempotencyKey": "k" * 101}, ("INVALID_VALUE", "input.idempotencyKey")),
]


async def test_what_a_rule_declines_names_the_field_and_changes_nothing(desk: Desk) -> None:
    await desk.record("DEPOSIT", amount="2000")
    await desk.record("BUY", "2024-03-01", "HDFCBANK", quantity="10", price="100")
    before = await desk.holdings()
    for kind, share, given, expected in DECLINED:
        payload = await desk.record(kind, share=share, **given)
        assert declined(payload) == [expected], (kind, given)
    assert await desk.holdings() == before


UNREADABLE: list[tuple[str, Any]] = [
    ("amount", "NaN"),
    ("amount", "1e3"),
    ("amount", "9" * 21),
    ("amount", 5.5),
    ("tradedOn", "2024-02-30"),
    ("tradedOn", "2024-2-3"),
    ("kind", "GIFT"),
    ("reference", "a\x00b"),
    ("portfolioId", "portfolio_1"),
    ("ratioNew", 2**31),
]


async def test_what_cannot_be_read_is_no_refusal(desk: Desk) -> None:
    document = "mutation ($input: RecordTransactionInput!) { recordTransaction(input: $input) { userErrors { code } } }"
    good = {"idempotencyKey": "k", "portfolioId": id_of(desk.portfolio), "kind": "DEPOSIT", "currency": "INR"}
    good |= {"tradedOn": "2024-03-01", "amount": "1"}
    for field, value in UNREADABLE:
        answer = await desk.gql.ask(document, input=good | {field: value})
        assert answer.codes == ["VALIDATION_ERROR"], field
        assert field in str(answer["errors"][0])
    assert (await desk.holdings())["transactions"]["totalCount"] == 0


async def test_what_lies_outside_the_scope_is_not_there(desk: Desk, gql: Gql, make: Make) -> None:
    other = await make.advisor(clients=1, portfolios=1)
    entry = made(await desk.record("DEPOSIT", amount="5"))
    stranger = gql.as_(other)
    record = f"mutation ($input: RecordTransactionInput!) {{ recordTransaction(input: $input) {{ {RECORDED} }} }}"
    reverse = f"mutation ($input: ReverseTransactionInput!) {{ reverseTransaction(input: $input) {{ {RECORDED} }} }}"
    messages = set()
    for portfolio in (id_of(desk.portfolio), encode("portfolio", uuid4())):
        given = {"idempotencyKey": "k", "portfolioId": portfolio, "kind": "DEPOSIT", "currency": "INR", "amount": "1"}
        answer = await stranger.ask(record, input=given | {"tradedOn": "2024-03-01"})
        assert answer.codes == ["NOT_FOUND"]
        messages.add(answer["errors"][0]["message"])
    for transaction in (entry["id"], encode("transaction", uuid4())):
        given = {"idempotencyKey": "k", "transactionId": transaction, "reason": "mine now"}
        answer = await stranger.ask(reverse, input=given)
        assert answer.codes == ["NOT_FOUND"]
        messages.add(answer["errors"][0]["message"])
    assert len(messages) == 1
    given = {"instrumentId": encode("instrument", uuid4()), "quantity": "1", "price": "1", "kind": "BUY"}
    given |= {"idempotencyKey": "x", "portfolioId": id_of(desk.portfolio), "currency": "INR", "tradedOn": "2024-03-01"}
    assert (await desk.gql.ask(record, input=given)).codes == ["NOT_FOUND"]
    assert (await desk.holdings())["transactions"]["totalCount"] == 1


async def test_a_repeated_key_gives_the_first_result(desk: Desk, gql: Gql) -> None:
    first = made(await desk.record("DEPOSIT", amount="5", idempotencyKey="K"))
    again = made(await desk.record("DEPOSIT", amount="5", idempotencyKey="K"))
    assert again == first
    clash = await desk.record("DEPOSIT", amount="6", idempotencyKey="K")
    assert declined(clash) == [("IDEMPOTENCY_CONFLICT", "input.idempotencyKey")]
    # Keys are each user's own, and each mutation's.
    colleague = await desk.make.user(desk.advisor.user.role, book=desk.advisor.book)
    theirs = msgspec.structs.replace(desk, gql=gql.as_(colleague))
    assert made(await theirs.record("DEPOSIT", amount="6", idempotencyKey="K"))["id"] != first["id"]
    undone = made(await desk.reverse(first["id"], idempotencyKey="K"))
    assert made(await desk.reverse(first["id"], idempotencyKey="K"))["id"] == undone["id"]
    assert (await desk.holdings())["transactions"]["totalCount"] == 3


async def test_a_declined_entry_leaves_its_key_unused(desk: Desk) -> None:
    assert declined(await desk.record("WITHDRAWAL", amount="5", idempotencyKey="K"))
    await desk.record("DEPOSIT", amount="5")
    made(await desk.record("WITHDRAWAL", amount="5", idempotencyKey="K"))


async def test_two_entries_race_for_one_holding(desk: Desk) -> None:
    await desk.record("DEPOSIT", amount="1000")
    await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="10", price="100")
    sale = {"on": "2024-03-05", "share": "HDFCBANK", "quantity": "10", "price": "110"}
    payloads = await asyncio.gather(*(desk.record("SELL", **sale) for _ in range(4)))
    errors = [error["code"] for payload in payloads for error in payload["userErrors"]]
    assert errors == ["INSUFFICIENT_HOLDING"] * 3
    holdings = await desk.holdings()
    assert (holdings["transactions"]["totalCount"], await desk.cash()) == (3, {"INR": ("1100", "0")})
    assert holdings["positions"]["nodes"][0]["quantity"] == "0"


async def test_two_entries_race_for_the_same_cash(desk: Desk) -> None:
    await desk.record("DEPOSIT", amount="1000")
    payloads = await asyncio.gather(*(desk.record("WITHDRAWAL", amount="600") for _ in range(3)))
    errors = [error["code"] for payload in payloads for error in payload["userErrors"]]
    assert errors == ["INSUFFICIENT_CASH"] * 2
    assert await desk.cash() == {"INR": ("400", "0")}


async def test_one_key_used_at_once_records_once(desk: Desk) -> None:
    payloads = await asyncio.gather(*(desk.record("DEPOSIT", amount="7", idempotencyKey="K") for _ in range(4)))
    assert len({made(payload)["id"] for payload in payloads}) == 1
    assert await desk.cash() == {"INR": ("7", "0")}


async def test_a_reversed_entry_is_as_though_it_had_never_been(desk: Desk) -> None:
    await desk.record("DEPOSIT", amount="10000")
    await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="10", price="100")
    before = await desk.position("HDFCBANK")
    wrong = made(await desk.record("BUY", "2024-03-05", "HDFCBANK", quantity="5", price="200"))
    undone = made(await desk.reverse(wrong["id"], reason="  booked twice "))
    assert (undone["kind"], undone["amount"]["amount"], undone["note"]) == ("REVERSAL", "1000", "booked twice")
    assert (undone["tradedOn"], undone["settlesOn"]) == (wrong["tradedOn"], wrong["settlesOn"])
    assert undone["reverses"] == {"id": wrong["id"]}
    after = await desk.position("HDFCBANK")
    assert after | {"version": 0} == before | {"version": 0}
    assert await desk.cash("2024-03-04") == {"INR": ("10000", "-1000")}
    for day in (None, "2024-03-05", "2024-03-06"):
        assert await desk.cash(day) == {"INR": ("9000", "0")}
    document = "query ($id: ID!) { node(id: $id) { ... on Transaction { reversedBy { id } } } }"
    assert (await desk.gql.run(document, id=wrong["id"]))["node"] == {"reversedBy": {"id": undone["id"]}}


async def test_what_cannot_be_reversed(desk: Desk) -> None:
    deposit = made(await desk.record("DEPOSIT", amount="1000"))
    bought = made(await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="10", price="100"))
    await desk.record("SELL", "2024-03-05", "HDFCBANK", quantity="1", price="100")
    assert declined(await desk.reverse(bought["id"])) == [("INSUFFICIENT_HOLDING", "input.transactionId")]
    assert declined(await desk.reverse(deposit["id"], reason=" ")) == [("INVALID_VALUE", "input.reason")]
    # What has happened is taken back even if that overdraws: the custodian's word counts.
    undone = made(await desk.reverse(deposit["id"]))
    assert declined(await desk.reverse(deposit["id"])) == [("ALREADY_REVERSED", "input.transactionId")]
    assert declined(await desk.reverse(undone["id"])) == [("NOT_REVERSIBLE", "input.transactionId")]


async def test_two_race_to_reverse_one_entry(desk: Desk) -> None:
    deposit = made(await desk.record("DEPOSIT", amount="1000"))
    payloads = await asyncio.gather(*(desk.reverse(deposit["id"]) for _ in range(3)))
    errors = [error["code"] for payload in payloads for error in payload["userErrors"]]
    assert errors == ["ALREADY_REVERSED"] * 2
    assert await desk.cash() == {"INR": ("0", "0")}


LEDGER = """
query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String, $filter: TransactionFilter,
       $orderBy: TransactionOrder) {
    node(id: $id) {
        ... on Portfolio {
            transactions(first: $first, last: $last, after: $after, before: $before, filter: $filter, orderBy: $orderBy)
            { totalCount nodes { kind tradedOn } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }
        }
    }
}
"""


async def ledger(desk: Desk, **given: Any) -> Any:
    return (await desk.gql.run(LEDGER, id=id_of(desk.portfolio), **given))["node"]["transactions"]


async def test_the_ledger_is_listed_by_filter_and_order(desk: Desk) -> None:
    await desk.record("DEPOSIT", FIRST, amount="1000")
    await desk.record("BUY", FIRST + 4 * DAY, "HDFCBANK", quantity="2", price="100")
    await desk.record("DIVIDEND", FIRST + 3 * DAY, "HDFCBANK", amount="5")
    await desk.record("DEPOSIT", FIRST + DAY, amount="10", currency="USD")

    async def kinds(**given: Any) -> list[str]:
        found = await ledger(desk, **given)
        assert found["totalCount"] == len(found["nodes"])
        return [f"{node['kind']} {node['tradedOn'][-2:]}" for node in found["nodes"]]

    assert await kinds() == ["BUY 05", "DIVIDEND 04", "DEPOSIT 02", "DEPOSIT 01"]
    oldest_first = {"field": "TRADED_ON", "direction": "ASC"}
    assert await kinds(orderBy=oldest_first) == ["DEPOSIT 01", "DEPOSIT 02", "DIVIDEND 04", "BUY 05"]
    as_recorded = {"field": "RECORDED_AT", "direction": "ASC"}
    assert await kinds(orderBy=as_recorded) == ["DEPOSIT 01", "BUY 05", "DIVIDEND 04", "DEPOSIT 02"]
    assert await kinds(filter={"kinds": ["BUY", "DIVIDEND"]}) == ["BUY 05", "DIVIDEND 04"]
    assert await kinds(filter={"instrumentId": id_of(desk.shares["HDFCBANK"])}) == ["BUY 05", "DIVIDEND 04"]
    assert await kinds(filter={"currency": "USD"}) == ["DEPOSIT 02"]
    assert await kinds(filter={"tradedFrom": "2024-03-02", "tradedTo": "2024-03-04"}) == ["DIVIDEND 04", "DEPOSIT 02"]
    page = await ledger(desk, first=3)
    rest = await ledger(desk, first=3, after=page["pageInfo"]["endCursor"])
    assert [node["tradedOn"][-2:] for node in page["nodes"] + rest["nodes"]] == ["05", "04", "02", "01"]
    back = await ledger(desk, last=2, before=rest["pageInfo"]["startCursor"])
    assert [node["tradedOn"][-2:] for node in back["nodes"]] == ["04", "02"]
    assert (back["pageInfo"]["hasNextPage"], back["pageInfo"]["hasPreviousPage"]) == (True, True)


@pytest.mark.parametrize("entries", [3, 20])
async def test_a_ledger_costs_the_same_however_long(desk: Desk, statements: Statements, entries: int) -> None:
    for number in range(entries):
        await desk.record("DEPOSIT", FIRST + number * DAY, amount="1")
    document = """query ($id: ID!) { node(id: $id) { ... on Portfolio { transactions(first: 50) {
        totalCount
        nodes { instrument { symbol } recordedBy { name } reverses { id } reversedBy { id } portfolio { id } }
    } } } }"""
    with statements.counted() as seen:
        await desk.gql.run(document, id=id_of(desk.portfolio))
    # The portfolio, its page, the count; then users, reversals and the portfolio: no entry names more.
    assert len(seen) == 6
