import asyncio
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest

from domain.access import SYSTEM, Role
from domain.origin import COMMAND_LINE
from domain.valuation import AssetClass, days
from domain.work import Work
from graph.context import Context
from graph.dated import Batch
from graph.ids import id_of
from tests.factories import people
from tests.factories.firm import Make
from tests.support.desk import DAY, Desk, made
from tests.support.gql import Gql
from tests.support.statements import Statements
from tests.support.worker import drained

VALUATION = """
value { amount currency } cash { amount } invested { amount } unrealisedGain { amount } realisedGain { amount }
dividends { amount } asOf pricesAsOf ratesAsOf missingPrices { symbol } missingRates
positions {
    instrument { symbol } quantity averageCost { amount } totalCost { amount } price { amount currency } pricedOn
    marketValue { amount currency } unrealisedGain { amount } weight
    realisedGain { amount currency } dividends { amount currency }
    inBaseCurrency { marketValue { amount currency } totalCost { amount } unrealisedGain { amount } fxOn }
}
allocation {
    byAssetClass { assetClass value { amount currency } weight }
    bySector { sector weight }
    byInstrument { instrument { symbol } value { amount } weight }
}
drift { assetClass weight target drift }
"""
OF_PORTFOLIO = f"""
query ($id: ID!, $asOf: Date) {{ node(id: $id) {{ ... on Portfolio {{ valuation(asOf: $asOf) {{ {VALUATION} }} }} }} }}
"""
START = date(2024, 3, 1)


@pytest.fixture
async def desk(gql: Gql, make: Make) -> Desk:
    return await Desk.open(gql, make)


async def valued(desk: Desk, as_of: date | None = None) -> Any:
    data = await desk.gql.run(OF_PORTFOLIO, id=id_of(desk.portfolio), asOf=as_of and str(as_of))
    return data["node"]["valuation"]


async def in_two_currencies(desk: Desk) -> None:
    """100 HDFCBANK at 1,600 and 10 AAPL at 200 USD, where 1 USD is 80 INR; 30,000 INR and 25 USD in cash."""
    await desk.make.price(desk.shares["HDFCBANK"], desk.today - 2 * DAY, "1600")
    await desk.make.price(desk.shares["AAPL"], desk.today - DAY, "200")
    await desk.make.rate("INR", desk.today - 3 * DAY, "0.0125")
    made(await desk.record("DEPOSIT", START, amount="180000"))
    made(await desk.record("DEPOSIT", START, amount="1500", currency="USD"))
    made(await desk.record("BUY", START + 3 * DAY, "HDFCBANK", quantity="100", price="1500"))
    made(await desk.record("BUY", START + 3 * DAY, "AAPL", quantity="15", price="100"))
    made(await desk.record("SELL", START + 4 * DAY, "AAPL", quantity="5", price="104", brokerage="3"))
    made(await desk.record("DIVIDEND", START + 5 * DAY, "AAPL", amount="8"))
    made(await desk.record("WITHDRAWAL", START + 5 * DAY, amount="500", currency="USD"))


async def test_a_portfolio_in_two_currencies_by_hand(desk: Desk) -> None:
    await in_two_currencies(desk)
    seen = await valued(desk)
    assert seen["value"] == {"amount": "352000", "currency": "INR"}
    assert (seen["cash"]["amount"], seen["invested"]["amount"]) == ("32000", "230000")
    assert (seen["unrealisedGain"]["amount"], seen["realisedGain"]["amount"]) == ("90000", "1360")
    assert seen["dividends"]["amount"] == "640"
    days = (str(desk.today), str(desk.today - 2 * DAY), str(desk.today - 3 * DAY))
    assert (seen["asOf"], seen["pricesAsOf"], seen["ratesAsOf"]) == days
    assert (seen["missingPrices"], seen["missingRates"], seen["drift"]) == ([], [], [])
    apple = next(each for each in seen["positions"] if each["instrument"]["symbol"] == "AAPL")
    assert (apple["quantity"], apple["averageCost"]["amount"], apple["totalCost"]["amount"]) == ("10", "100", "1000")
    assert (apple["price"], apple["pricedOn"]) == ({"amount": "200", "currency": "USD"}, str(desk.today - DAY))
    assert apple["marketValue"] == {"amount": "2000", "currency": "USD"}
    assert apple["weight"] == "0.4545454545"
    earned = (apple["realisedGain"], apple["dividends"])
    assert earned == ({"amount": "17", "currency": "USD"}, {"amount": "8", "currency": "USD"})
    assert apple["inBaseCurrency"] == {
        "marketValue": {"amount": "160000", "currency": "INR"},
        "totalCost": {"amount": "80000"},
        "unrealisedGain": {"amount": "80000"},
        "fxOn": str(desk.today - 3 * DAY),
    }


async def test_an_allocation_divides_the_whole_in_three_ways(desk: Desk) -> None:
    await in_two_currencies(desk)
    allocation = (await valued(desk))["allocation"]
    assert allocation["byAssetClass"] == [
        {"assetClass": "EQUITY", "value": {"amount": "320000", "currency": "INR"}, "weight": "0.9090909091"},
        {"assetClass": "CASH", "value": {"amount": "32000", "currency": "INR"}, "weight": "0.0909090909"},
    ]
    sectors = {each["sector"]: each["weight"] for each in allocation["bySector"]}
    assert sectors == {"Financials": "0.4545454545", "Technology": "0.4545454545", "CASH": "0.0909090909"}
    shares = [each["instrument"] and each["instrument"]["symbol"] for each in allocation["byInstrument"]]
    assert (sorted(shares[:2]), shares[2]) == (["AAPL", "HDFCBANK"], None)


async def test_drift_is_measured_against_the_targets(desk: Desk) -> None:
    await in_two_currencies(desk)
    targets = [{"assetClass": "EQUITY", "weight": "0.7"}, {"assetClass": "GOLD", "weight": "0.3"}]
    await desk.gql.change("updatePortfolio", "", portfolioId=id_of(desk.portfolio), version=1, targets=targets)
    drift = {each.pop("assetClass"): each for each in (await valued(desk))["drift"]}
    assert drift == {
        "EQUITY": {"weight": "0.9090909091", "target": "0.7", "drift": "0.2090909091"},
        "GOLD": {"weight": "0", "target": "0.3", "drift": "-0.3"},
        "CASH": {"weight": "0.0909090909", "target": "0", "drift": "0.0909090909"},
    }


async def test_a_past_day_knows_only_what_was_known_then(desk: Desk) -> None:
    await in_two_currencies(desk)
    for on, price in ((START, "1450"), (START + 3 * DAY, "1400")):
        await desk.make.price(desk.shares["HDFCBANK"], on, price)
    await desk.make.price(desk.shares["AAPL"], START + 3 * DAY, "110")
    await desk.make.rate("INR", START + DAY, "0.01")
    first = await valued(desk, START)
    # There was no rate yet: the dollars cannot be counted, and are not counted as rupees.
    assert (first["value"], first["cash"], first["missingRates"]) == (None, None, ["INR"])
    bought = await valued(desk, START + 3 * DAY)
    assert (bought["value"]["amount"], bought["cash"]["amount"]) == (str(30_000 + 140_000 + 165_000), "30000")
    assert (bought["asOf"], bought["pricesAsOf"], bought["ratesAsOf"]) == ("2024-03-04", "2024-03-04", "2024-03-02")
    sold = await valued(desk, START + 4 * DAY)
    assert (sold["realisedGain"]["amount"], sold["dividends"]["amount"]) == ("1700", "0")
    for seen, gain in ((bought, "0"), (sold, "17")):
        apple = next(each for each in seen["positions"] if each["instrument"]["symbol"] == "AAPL")
        assert (apple["realisedGain"]["amount"], apple["dividends"]["amount"]) == (gain, "0")
    assert (await valued(desk, START - DAY))["value"]["amount"] == "0"


async def test_today_by_the_ledger_is_today_as_stored(desk: Desk) -> None:
    await in_two_currencies(desk)
    today = await valued(desk)
    assert await valued(desk, desk.today) == today
    later = await valued(desk, desk.today - DAY)
    changes = {"asOf", "positions"}
    assert {key: value for key, value in later.items() if key not in changes} == {
        key: value for key, value in today.items() if key not in changes
    }


async def test_what_is_missing_is_null_and_named(desk: Desk) -> None:
    await desk.make.price(desk.shares["HDFCBANK"], desk.today, "1600")
    made(await desk.record("DEPOSIT", amount="1000", currency="USD"))
    made(await desk.record("DEPOSIT", amount="200000"))
    made(await desk.record("BUY", "2024-03-04", "AAPL", quantity="3", price="100"))
    made(await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="100", price="1500"))
    seen = await valued(desk)
    assert (seen["value"], seen["cash"], seen["invested"]) == (None, None, None)
    assert (seen["missingPrices"], seen["missingRates"]) == ([{"symbol": "AAPL"}], ["INR"])
    bank = next(each for each in seen["positions"] if each["instrument"]["symbol"] == "HDFCBANK")
    assert (bank["marketValue"]["amount"], bank["weight"]) == ("160000", None)


async def test_the_old_price_counts_in_new_units_until_the_next_close(desk: Desk) -> None:
    await desk.make.price(desk.shares["HDFCBANK"], desk.today - DAY, "1500")
    made(await desk.record("DEPOSIT", amount="100000"))
    made(await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="10", price="1000"))
    other = await desk.make.portfolio(desk.client)
    made(await desk.record("DEPOSIT", amount="10000", portfolioId=id_of(other)))
    bought = {"quantity": "10", "price": "1000", "portfolioId": id_of(other)}
    made(await desk.record("BUY", "2024-03-04", "HDFCBANK", **bought))
    wrong = made(await desk.record("BONUS", "2024-03-05", "HDFCBANK", ratioNew=1, ratioOld=1))
    made(await desk.reverse(wrong["id"]))
    split = made(await desk.record("SPLIT", desk.today, "HDFCBANK", ratioNew=5, ratioOld=1))
    seen = await valued(desk)
    assert (seen["value"]["amount"], seen["positions"][0]["price"]["amount"]) == ("105000", "300")
    assert (await desk.position("HDFCBANK"))["quantity"] == "50"
    # The client's other portfolio has not recorded the split, and is not halved by it.
    wealth = (await desk.gql.run("{ clients { nodes { wealth { totalAssets { amount } } } } }"))["clients"]["nodes"]
    assert wealth[0]["wealth"]["totalAssets"]["amount"] == "120000"
    made(await desk.reverse(split["id"]))
    assert (await valued(desk))["positions"][0]["price"]["amount"] == "1500"


BEHIND = """
query ($portfolio: ID!, $household: ID!) {
    portfolio: node(id: $portfolio) { ... on Portfolio {
        cash { total { amount } } positions { nodes { marketValue { amount } } }
        valuation { asOf value { amount } cash { amount } positions { quantity price { amount } } }
        client { wealth { totalAssets { amount } } }
    } }
    household: node(id: $household) { ... on Household { wealth { totalAssets { amount } } } }
}
"""


async def test_what_is_traded_in_a_zone_ahead_counts_when_that_day_has_come(gql: Gql, make: Make) -> None:
    """The two zones are 25 hours apart: wherever it is what day, one is a day behind the other, or two."""
    team = await make.team()
    book = await make.book(team)
    ahead = await make.user(Role.ADVISOR, team, book, time_zone="Pacific/Kiritimati")
    behind = await make.user(Role.ADVISOR, team, book, time_zone="Pacific/Pago_Pago")
    household = await people.household(make, book)
    client = await make.client(book, household_id=household.id)
    portfolio = await make.portfolio(client)
    today = (await make.viewer(ahead)).today(make.now)
    shares = {"HDFCBANK": await make.instrument("HDFCBANK")}
    desk = Desk(gql.as_(ahead), make, ahead, client, portfolio, today, shares, count(1))
    await make.price(shares["HDFCBANK"], START, "1500")
    made(await desk.record("DEPOSIT", START, amount="100000"))
    made(await desk.record("BUY", START, "HDFCBANK", quantity="10", price="1000"))

    async def seen(by: Any) -> tuple[Any, ...]:
        data = await gql.as_(by).run(BEHIND, portfolio=id_of(portfolio), household=id_of(household))
        found = data["portfolio"]
        whole, (position,) = found["valuation"], found["valuation"]["positions"]
        assert found["cash"] == [{"total": whole["cash"]}]
        wealth = [each["wealth"]["totalAssets"] for each in (found["client"], data["household"])]
        assert wealth == [whole["value"]] * 2
        worth = found["positions"]["nodes"][0]["marketValue"]["amount"]
        return position["quantity"], position["price"]["amount"], worth, whole["value"]["amount"]

    assert await seen(ahead) == await seen(behind) == ("10", "1500", "15000", "105000")
    made(await desk.record("SPLIT", today, "HDFCBANK", ratioNew=5, ratioOld=1))
    made(await desk.record("DEPOSIT", today, amount="7"))
    assert await seen(ahead) == ("50", "300", "15000", "105007")
    assert await seen(behind) == ("10", "1500", "15000", "105000")


class Row(msgspec.Struct, frozen=True):
    id: int
    argument: str


async def test_one_waiter_that_is_cancelled_leaves_the_batch_to_the_others(gql: Gql) -> None:
    reached, opened = asyncio.Event(), asyncio.Event()

    async def load(_: Context, keys: Any, argument: Any) -> list[Row]:
        reached.set()
        await opened.wait()
        return [Row(key, argument) for key in keys]

    batch, context = Batch(load, by="id"), Context(gql.services, COMMAND_LINE, None)
    first, second = (asyncio.create_task(batch.of(context, 7, "x")) for _ in range(2))
    await reached.wait()
    first.cancel()
    # As graphql-core does when a sibling has failed: the cancelled one is waited for.
    await asyncio.wait([first])
    opened.set()
    assert (await second).argument == "x"


async def test_whoever_recorded_an_entry_may_be_out_of_sight(gql: Gql) -> None:
    data = await gql.run('{ __type(name: "Transaction") { fields { name type { kind } } } }')
    kinds = {field["name"]: field["type"]["kind"] for field in data["__type"]["fields"]}
    assert (kinds["recordedBy"], kinds["portfolio"]) == ("OBJECT", "NON_NULL")


POSITIONS = """
query ($id: ID!) { node(id: $id) { ... on Portfolio { positions(filter: {closed: true}) { nodes {
    instrument { symbol lastPrice { on price { amount currency } } } marketValue { amount currency }
    unrealisedGain { amount } weight price { amount } pricedOn
    valuation { weight inBaseCurrency { marketValue { amount } } }
    earned: valuation { realisedGain { amount } dividends { amount } }
} } } } }
"""


async def test_positions_show_their_part_of_the_portfolio(desk: Desk) -> None:
    await in_two_currencies(desk)
    desk.shares["GONE"] = await desk.make.instrument("GONE")
    made(await desk.record("BUY", "2024-03-04", "GONE", quantity="1", price="9"))
    made(await desk.record("SELL", "2024-03-05", "GONE", quantity="1", price="11"))
    made(await desk.record("DIVIDEND", "2024-03-06", "GONE", amount="3"))
    made(await desk.record("WITHDRAWAL", "2024-03-06", amount="5"))
    nodes = (await desk.gql.run(POSITIONS, id=id_of(desk.portfolio)))["node"]["positions"]["nodes"]
    apple, gone, bank = nodes
    assert apple["marketValue"] == {"amount": "2000", "currency": "USD"}
    assert (apple["unrealisedGain"]["amount"], apple["weight"]) == ("1000", "0.4545454545")
    assert apple["price"] == {"amount": "200"}
    assert apple["valuation"] == {"weight": "0.4545454545", "inBaseCurrency": {"marketValue": {"amount": "160000"}}}
    assert apple["instrument"]["lastPrice"] == {
        "on": str(desk.today - DAY),
        "price": {"amount": "200", "currency": "USD"},
    }
    assert (bank["marketValue"], bank["pricedOn"]) == (
        {"amount": "160000", "currency": "INR"},
        str(desk.today - 2 * DAY),
    )
    # Sold out: worth nothing, which is known without a price.
    assert (gone["marketValue"], gone["weight"], gone["price"]) == ({"amount": "0", "currency": "INR"}, "0", None)
    assert gone["instrument"]["lastPrice"] is None
    assert gone["earned"] == {"realisedGain": {"amount": "2"}, "dividends": {"amount": "3"}}
    assert apple["earned"] == {"realisedGain": {"amount": "17"}, "dividends": {"amount": "8"}}


SERIES = """
query ($id: ID!, $from: Date!, $to: Date, $interval: Interval!) {
    node(id: $id) {
        ... on Portfolio { valueSeries(from: $from, to: $to, interval: $interval) { on value { amount } } }
    }
}
"""


async def series(desk: Desk, interval: str, first: str, last: str | None = None) -> list[tuple[str, str | None]]:
    data = await desk.gql.run(SERIES, id=id_of(desk.portfolio), **{"from": first, "to": last, "interval": interval})
    return [(each["on"], each["value"] and each["value"]["amount"]) for each in data["node"]["valueSeries"]]


async def test_a_series_is_the_value_on_each_of_its_days(desk: Desk) -> None:
    await desk.record("DEPOSIT", "2024-03-01", amount="1000")
    await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="10", price="50")
    for on, price in (("2024-02-01", "40"), ("2024-03-05", "60"), ("2024-03-09", "70")):
        await desk.make.price(desk.shares["HDFCBANK"], date.fromisoformat(on), price)
    daily = await series(desk, "DAY", "2024-02-29", "2024-03-05")
    assert [amount for _, amount in daily] == ["0", "1000", "1000", "1000", "900", "1100"]
    weekly = [("2024-02-28", "0"), ("2024-03-01", "1000"), ("2024-03-08", "1100"), ("2024-03-10", "1200")]
    assert await series(desk, "WEEK", "2024-02-28", "2024-03-10") == weekly
    monthly = await series(desk, "MONTH", "2024-02-28", "2024-04-30")
    assert monthly == [("2024-02-28", "0"), ("2024-02-29", "0"), ("2024-03-31", "1200"), ("2024-04-30", "1200")]
    assert (await series(desk, "MONTH", "2024-02-28"))[-1] == (str(desk.today), "1200")
    for day, amount in await series(desk, "DAY", "2024-03-01", "2024-03-12"):
        seen = await valued(desk, date.fromisoformat(day))
        assert (seen["value"] and seen["value"]["amount"]) == amount


async def test_a_series_of_past_days_is_what_the_night_has_stored(desk: Desk, statements: Statements) -> None:
    first, last = desk.today - 30 * DAY, desk.today - 3 * DAY
    for ago, price in ((40, "40"), (20, "60"), (12, "70")):
        await desk.make.price(desk.shares["HDFCBANK"], desk.today - ago * DAY, price)
    made(await desk.record("DEPOSIT", first, amount="1000"))
    made(await desk.record("BUY", first + 2 * DAY, "HDFCBANK", quantity="10", price="50"))
    for interval in ("DAY", "WEEK", "MONTH"):
        await desk.gql.services.doors.write(SYSTEM, "test", _enqueue_fill)
        calculated = await series(desk, interval, str(first), str(last))
        await drained(desk.gql.services)
        with statements.counted() as seen:
            assert await series(desk, interval, str(first), str(last)) == calculated
        # The portfolio and its stored days: neither its ledger nor any price.
        assert len(seen) == 2
        wrong = made(await desk.record("DEPOSIT", first + 9 * DAY, amount="5"))
        later = [(on, str(int(value or 0) + 5 * (on >= str(first + 9 * DAY)))) for on, value in calculated]
        assert await series(desk, interval, str(first), str(last)) == later
        await drained(desk.gql.services)
        assert await series(desk, interval, str(first), str(last)) == later
        made(await desk.reverse(wrong["id"]))
        assert await series(desk, interval, str(first), str(last)) == calculated


async def _enqueue_fill(work: Work) -> None:
    work.enqueue(days.fill)


async def test_a_series_has_a_beginning_an_end_and_not_too_many_points(desk: Desk) -> None:
    for given, field in (
        ({"from": "2019-01-01", "interval": "DAY"}, "from"),
        ({"from": "0001-01-01", "interval": "MONTH"}, "from"),
        ({"from": "2024-03-02", "to": "2024-03-01", "interval": "DAY"}, "from"),
        ({"from": "2024-03-01", "to": "2999-01-01", "interval": "DAY"}, "to"),
    ):
        answer = await desk.gql.ask(SERIES, id=id_of(desk.portfolio), **given)
        assert (answer.codes, answer["errors"][0]["extensions"]["details"][0]["field"]) == (["VALIDATION_ERROR"], field)


async def test_a_level_has_not_too_many_points_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.valuation.MOST_POINTS_OF_A_LEVEL", 5)
    monkeypatch.setattr("graph.instruments.MOST_PRICES_OF_A_LEVEL", 5)
    await desk.make.portfolio(desk.client)
    days = 'from: "2024-03-01", to: "2024-03-03"'
    for field in ("portfolios { nodes { valueSeries(%s) { on } } }", "instruments { nodes { prices(%s) { on } } }"):
        answer = await desk.gql.ask(f"{{ {field % days} }}")
        assert set(answer.codes) == {"QUERY_TOO_COMPLEX"}


async def test_the_future_is_not_known(desk: Desk) -> None:
    for field in ("cash(asOf: $day) { currency }", "valuation(asOf: $day) { asOf }"):
        document = f"query ($day: Date!) {{ portfolios {{ nodes {{ {field} }} }} }}"
        answer = await desk.gql.ask(document, day=str(desk.today + DAY))
        assert answer.codes == ["VALIDATION_ERROR"]
        assert answer["errors"][0]["extensions"]["details"][0]["field"] == "asOf"
    document = "query ($day: Date!) { clients { nodes { wealth(asOf: $day) { asOf } } } }"
    assert (await desk.gql.ask(document, day=str(desk.today + DAY))).codes == ["VALIDATION_ERROR"]


WEALTH = """
query ($id: ID!, $asOf: Date) { node(id: $id) {
    ... on Client { wealth(asOf: $asOf) { ...all } portfolios { valuation(asOf: $asOf) { value { amount currency } } } }
    ... on Household { wealth(asOf: $asOf) { ...all } clients { nodes { name } } }
} }
fragment all on Wealth {
    totalAssets { amount currency } cash { amount } asOf missingPrices { symbol }
    allocation { byAssetClass { assetClass weight } byInstrument { instrument { symbol } value { amount } } }
}
"""


async def test_a_clients_wealth_is_all_of_its_portfolios(desk: Desk) -> None:
    await in_two_currencies(desk)
    second = await desk.make.portfolio(desk.client, base_currency="USD")
    made(await desk.record("DEPOSIT", START, amount="160000", portfolioId=id_of(second)))
    bought = {"quantity": "50", "price": "1500", "portfolioId": id_of(second)}
    made(await desk.record("BUY", START + 3 * DAY, "HDFCBANK", **bought))
    for day, whole, parts in (
        (None, "517000", ["352000", "2062.5"]),
        (desk.today - DAY, "517000", ["352000", "2062.5"]),
    ):
        node = (await desk.gql.run(WEALTH, id=id_of(desk.client), asOf=day and str(day)))["node"]
        assert node["wealth"]["totalAssets"] == {"amount": whole, "currency": "INR"}
        assert [each["valuation"]["value"]["amount"] for each in node["portfolios"]] == parts
        # One instrument in two portfolios is one slice.
        amounts = {
            each["instrument"]["symbol"] if each["instrument"] else None: each["value"]["amount"]
            for each in node["wealth"]["allocation"]["byInstrument"]
        }
        assert amounts == {"HDFCBANK": "240000", "AAPL": "160000", None: "117000"}


async def test_a_household_is_worth_those_members_that_the_viewer_sees(desk: Desk, gql: Gql, make: Make) -> None:
    assert desk.advisor.book
    household = await people.household(make, desk.advisor.book)
    foreign = await make.advisor()
    assert foreign.book
    members = [
        await make.client(book, household_id=household.id, name=name)
        for book, name in ((desk.advisor.book, "Asha"), (desk.advisor.book, "Ravi"), (foreign.book, "Zara"))
    ]
    for member, amount in zip(members, ("100", "30", "7"), strict=True):
        by = msgspec.structs.replace(desk, gql=gql.as_(foreign if member is members[2] else desk.advisor))
        made(await by.record("DEPOSIT", amount=amount, portfolioId=id_of(await make.portfolio(member))))
    node = (await desk.gql.run(WEALTH, id=id_of(household)))["node"]
    assert [each["name"] for each in node["clients"]["nodes"]] == ["Asha", "Ravi"]
    assert node["wealth"]["totalAssets"] == {"amount": "130", "currency": "INR"}
    assert (await gql.as_(foreign).ask(WEALTH, id=id_of(household))).codes == ["NOT_FOUND"]
    own = await make.user(Role.CLIENT, client_id=members[2].id)
    node = (await gql.as_(own).run(WEALTH, id=id_of(household)))["node"]
    assert (node["wealth"]["totalAssets"]["amount"], len(node["clients"]["nodes"])) == ("137", 3)
    past = (await gql.as_(own).run(WEALTH, id=id_of(household), asOf="2024-03-02"))["node"]
    assert past["wealth"]["totalAssets"]["amount"] == "137"


async def test_an_empty_client_is_worth_nothing(desk: Desk) -> None:
    assert desk.advisor.book
    nobody = await desk.make.client(desk.advisor.book, currency="EUR")
    wealth = (await desk.gql.run(WEALTH, id=id_of(nobody)))["node"]["wealth"]
    assert wealth["totalAssets"] == {"amount": "0", "currency": "EUR"}
    assert wealth["allocation"]["byAssetClass"] == []


MANY = """
query ($asOf: Date) {
    clients(first: 30) {
        nodes {
            wealth(asOf: $asOf) { totalAssets { amount } allocation { byInstrument { instrument { symbol } } } }
            household { wealth(asOf: $asOf) { totalAssets { amount } } }
            portfolios {
                cash(asOf: $asOf) { currency }
                valuation(asOf: $asOf) { value { amount } drift { drift } positions { instrument { symbol } } }
                valueSeries(from: "2024-01-01", to: "2024-03-31", interval: WEEK) { value { amount } }
            }
        }
    }
}
"""


@pytest.mark.parametrize("clients", [1, 6])
@pytest.mark.parametrize("as_of", [None, "2024-06-01"])
async def test_valuations_cost_the_same_for_one_and_for_many(
    desk: Desk, statements: Statements, clients: int, as_of: str | None
) -> None:
    assert desk.advisor.book
    await desk.make.price(desk.shares["HDFCBANK"], START, "10")
    for _ in range(clients):
        household = await people.household(desk.make, desk.advisor.book)
        client = await desk.make.client(desk.advisor.book, household_id=household.id)
        portfolio = id_of(await desk.make.portfolio(client))
        await desk.record("DEPOSIT", amount="100", portfolioId=portfolio)
        await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="1", price="9", portfolioId=portfolio)
    with statements.counted() as seen:
        data = await desk.gql.run(MANY, asOf=as_of)
    worth = [node["wealth"]["totalAssets"]["amount"] for node in data["clients"]["nodes"] if node["household"]]
    assert worth == ["101"] * clients
    # Clients, households, portfolios, cash, targets, instruments; and four times the five of valuations.
    assert len(seen) == 26


async def test_prices_and_rates_are_the_last_on_or_before_a_day(desk: Desk) -> None:
    bank = desk.shares["HDFCBANK"]
    for on, price in (("2024-03-01", "1400.05"), ("2024-03-04", "1410"), ("2024-03-05", "1420")):
        await desk.make.price(bank, date.fromisoformat(on), price)
    await desk.make.rate("INR", START, "0.012")
    await desk.make.rate("INR", START + 3 * DAY, "0.013")
    await desk.make.rate("EUR", START + 3 * DAY, "1.1")
    document = """query ($day: Date) {
        instruments(filter: {text: "hdfc"}) { totalCount nodes {
            lastPrice(asOf: $day) { on price { amount currency } } prices(from: "2024-03-01", to: "2024-03-04") { on }
        } }
        fxRates(on: $day) { currency on usd }
    }"""
    data = await desk.gql.run(document, day="2024-03-03")
    (found,) = data["instruments"]["nodes"]
    assert found["lastPrice"] == {"on": "2024-03-01", "price": {"amount": "1400.05", "currency": "INR"}}
    assert [each["on"] for each in found["prices"]] == ["2024-03-01", "2024-03-04"]
    assert data["fxRates"] == [{"currency": "INR", "on": "2024-03-01", "usd": "0.012"}]
    data = await desk.gql.run(document, day=None)
    assert [(each["currency"], each["usd"]) for each in data["fxRates"]] == [("EUR", "1.1"), ("INR", "0.013")]
    assert data["instruments"]["nodes"][0]["lastPrice"]["on"] == "2024-03-05"
    assert (await desk.gql.run(document, day="2024-02-01"))["instruments"]["nodes"][0]["lastPrice"] is None


async def test_prices_are_not_read_without_bounds(desk: Desk) -> None:
    document = "query ($from: Date!) { instruments { nodes { prices(from: $from) { on } } } }"
    answer = await desk.gql.ask(document, **{"from": "2001-01-01"})
    assert (answer.codes[0], answer["errors"][0]["extensions"]["details"][0]["field"]) == ("VALIDATION_ERROR", "from")


async def test_instruments_are_found_by_words_and_kinds(desk: Desk) -> None:
    named = {"name": "Nippon Gold ETF", "sort_name": "nippon gold etf"}
    await desk.make.instrument("GOLDBEES", asset_class=AssetClass.GOLD, **named)
    document = """query ($filter: InstrumentFilter, $orderBy: InstrumentOrder) {
        instruments(filter: $filter, orderBy: $orderBy) { totalCount nodes { symbol } }
    }"""

    async def found(**given: Any) -> list[str]:
        data = (await desk.gql.run(document, **given))["instruments"]
        assert data["totalCount"] == len(data["nodes"])
        return [node["symbol"] for node in data["nodes"]]

    assert await found() == ["AAPL", "GOLDBEES", "HDFCBANK"]
    assert await found(orderBy={"field": "NAME", "direction": "DESC"}) == ["GOLDBEES", "HDFCBANK", "AAPL"]
    assert await found(filter={"text": "GOL nip"}) == ["GOLDBEES"]
    assert await found(filter={"text": "old"}) == []
    assert await found(filter={"text": "ine0"}) == ["AAPL", "GOLDBEES", "HDFCBANK"]
    assert await found(filter={"assetClasses": ["GOLD", "DEBT"]}) == ["GOLDBEES"]
    assert await found(filter={"sectors": ["Technology"], "currencies": ["USD"], "exchanges": ["XNAS"]}) == ["AAPL"]


async def test_numbers_have_the_places_of_storage(desk: Desk) -> None:
    made(await desk.record("DEPOSIT", amount="1000"))
    made(await desk.record("BUY", "2024-03-04", "HDFCBANK", quantity="3", price="33.3333333333", brokerage="0.01"))
    position = await desk.position("HDFCBANK")
    assert (position["totalCost"]["amount"], position["averageCost"]["amount"]) == ("100.01", "33.3367")
    assert Decimal(position["lots"][0]["cost"]["amount"]) == Decimal("100.01")
