import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.clients import ClientStatus
from graph.ids import encode, id_of
from tests.factories.firm import Make
from tests.support.desk import DAY, Desk, declined, made
from tests.support.gql import Gql
from tests.support.statements import Statements

PORTFOLIO = """
portfolio {
    id name accountNumber baseCurrency benchmark openedOn status version client { id }
    targets { assetClass weight }
}
"""


@pytest.fixture
async def desk(gql: Gql, make: Make) -> Desk:
    return await Desk.open(gql, make)


async def opened(desk: Desk, **given: Any) -> Any:
    given = {"clientId": id_of(desk.client), "name": "Core"} | given
    return await desk.gql.change("openPortfolio", PORTFOLIO, **given)


async def updated(desk: Desk, version: int, **given: Any) -> Any:
    given = {"portfolioId": id_of(desk.portfolio), "version": version} | given
    return await desk.gql.change("updatePortfolio", PORTFOLIO, **given)


def targets(**weights: str) -> list[dict[str, str]]:
    return [{"assetClass": asset_class, "weight": weight} for asset_class, weight in weights.items()]


async def test_a_portfolio_is_opened_empty(desk: Desk) -> None:
    aimed = targets(EQUITY="0.6", DEBT="0.4")
    first = made(await opened(desk, name="  Core   holdings ", benchmark=" NIFTY 50 ", targets=aimed), "portfolio")
    assert first["client"] == {"id": id_of(desk.client)}
    assert (first["name"], first["benchmark"], first["baseCurrency"]) == ("Core holdings", "NIFTY 50", "INR")
    assert (first["status"], first["version"], first["openedOn"]) == ("OPEN", 1, str(desk.today))
    assert sorted(first["targets"], key=str) == sorted(aimed, key=str)
    second = made(await opened(desk, baseCurrency="USD", openedOn="2020-02-29"), "portfolio")
    assert (second["baseCurrency"], second["openedOn"], second["targets"]) == ("USD", "2020-02-29", [])
    numbers = {first["accountNumber"], second["accountNumber"]}
    assert len(numbers) == 2
    assert all(number.removeprefix("ACC-").isdigit() for number in numbers)


IMPOSSIBLE: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"name": "  "}, ("INVALID_VALUE", "input.name")),
    ({"baseCurrency": "RUPEE"}, ("INVALID_VALUE", "input.baseCurrency")),
    ({"accountNumber": "ACC-12x4"}, ("INVALID_VALUE", "input.accountNumber")),
    ({"benchmark": "x" * 101}, ("INVALID_VALUE", "input.benchmark")),
    ({"openedOn": "2999-01-01"}, ("FUTURE_DATE", "input.openedOn")),
    ({"targets": targets(GOLD="0.5")}, ("INVALID_VALUE", "input.targets")),
    ({"targets": targets(GOLD="0.5") * 2}, ("INVALID_VALUE", "input.targets")),
    ({"targets": targets(GOLD="1.5", DEBT="-0.5")}, ("INVALID_VALUE", "input.targets")),
    ({"targets": targets(GOLD="0.0000001", DEBT="0.9999999")}, ("INVALID_VALUE", "input.targets")),
]


async def test_what_no_portfolio_can_be(desk: Desk) -> None:
    for given, expected in IMPOSSIBLE:
        assert declined(await opened(desk, **given)) == [expected], given
    assert (await desk.gql.run("{ portfolios { totalCount } }"))["portfolios"]["totalCount"] == 1


async def test_an_account_number_is_one_portfolios(desk: Desk) -> None:
    payloads = await asyncio.gather(*(opened(desk, accountNumber="ACC-4711") for _ in range(3)))
    assert [payload["portfolio"] is None for payload in payloads].count(False) == 1
    errors = [error for payload in payloads for error in payload["userErrors"]]
    assert [(error["code"], error["field"]) for error in errors] == [("DUPLICATE", ["input", "accountNumber"])] * 2


async def test_an_archived_client_opens_nothing(desk: Desk) -> None:
    assert desk.advisor.book
    gone = await desk.make.client(desk.advisor.book, status=ClientStatus.ARCHIVED)
    assert declined(await opened(desk, clientId=id_of(gone))) == [("ARCHIVED", "input.clientId")]


async def test_an_update_changes_what_it_names(desk: Desk) -> None:
    gold = targets(GOLD="1")
    named = made(await updated(desk, 1, name="Other", benchmark="NIFTY", targets=gold), "portfolio")
    assert (named["name"], named["benchmark"], named["targets"], named["version"]) == ("Other", "NIFTY", gold, 2)
    kept = made(await updated(desk, 2), "portfolio")
    assert kept | {"version": 2} == named
    cleared = made(await updated(desk, 3, benchmark=None, targets=[]), "portfolio")
    assert (cleared["name"], cleared["benchmark"], cleared["targets"]) == ("Other", None, [])
    assert declined(await updated(desk, 3, name="Late")) == [("STALE_VERSION", "input.version")]
    assert declined(await updated(desk, 5, name="Early")) == [("STALE_VERSION", "input.version")]


async def test_two_edits_of_one_version(desk: Desk) -> None:
    payloads = await asyncio.gather(*(updated(desk, 1, name=name) for name in ("A", "B", "C")))
    won = [payload["portfolio"]["name"] for payload in payloads if payload["portfolio"]]
    errors = [error["code"] for payload in payloads for error in payload["userErrors"]]
    assert (len(won), errors) == (1, ["STALE_VERSION"] * 2)


async def test_what_lies_outside_the_scope_is_not_there(desk: Desk, gql: Gql, make: Make) -> None:
    stranger = gql.as_(await make.advisor(clients=1))
    document = "mutation ($input: UpdatePortfolioInput!) { updatePortfolio(input: $input) { portfolio { id } } }"
    answers = [
        await stranger.ask(document, input={"portfolioId": each, "version": 1, "name": "Mine"})
        for each in (id_of(desk.portfolio), encode("portfolio", uuid4()))
    ]
    assert [answer.codes for answer in answers] == [["NOT_FOUND"]] * 2
    assert answers[0]["errors"][0]["message"] == answers[1]["errors"][0]["message"]
    document = "mutation ($input: OpenPortfolioInput!) { openPortfolio(input: $input) { portfolio { id } } }"
    answer = await stranger.ask(document, input={"clientId": id_of(desk.client), "name": "Mine"})
    assert answer.codes == ["NOT_FOUND"]
    wrong = await stranger.ask(document, input={"clientId": id_of(desk.portfolio), "name": "Mine"})
    assert (wrong.codes, wrong["errors"][0]["extensions"]["details"][0]["field"]) == (
        ["VALIDATION_ERROR"],
        "input.clientId",
    )
    assert (await stranger.run("{ portfolios { totalCount } }"))["portfolios"]["totalCount"] == 0


PORTFOLIOS = """
query ($filter: PortfolioFilter, $orderBy: PortfolioOrder) {
    portfolios(filter: $filter, orderBy: $orderBy) { totalCount nodes { name } }
}
"""


async def test_portfolios_are_listed_by_filter_and_order(desk: Desk) -> None:
    assert desk.advisor.book
    other = await desk.make.client(desk.advisor.book)
    opened_on = desk.portfolio.opened_on
    await desk.make.portfolio(other, name="émile", account_number="ACC-9999", opened_on=opened_on - DAY)
    await desk.make.portfolio(other, name="Zoe", base_currency="USD", opened_on=opened_on + DAY)

    async def names(**given: Any) -> list[str]:
        found = (await desk.gql.run(PORTFOLIOS, **given))["portfolios"]
        assert found["totalCount"] == len(found["nodes"])
        return [node["name"] for node in found["nodes"]]

    mine = desk.portfolio.name
    assert await names() == ["émile", mine, "Zoe"]
    assert await names(orderBy={"field": "OPENED_ON", "direction": "DESC"}) == ["Zoe", mine, "émile"]
    assert await names(filter={"clientIds": [id_of(other)]}) == ["émile", "Zoe"]
    assert await names(filter={"accountNumber": "ACC-9999"}) == ["émile"]
    assert await names(filter={"baseCurrencies": ["USD", "EUR"]}) == ["Zoe"]
    assert await names(filter={"statuses": ["CLOSED"]}) == []
    assert await names(filter={"bookIds": [id_of(desk.advisor.book)], "baseCurrencies": ["INR"]}) == ["émile", mine]


POSITIONS = """
query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String, $filter: PositionFilter,
       $orderBy: PositionOrder) {
    node(id: $id) {
        ... on Portfolio {
            positions(first: $first, last: $last, after: $after, before: $before, filter: $filter, orderBy: $orderBy) {
                totalCount nodes { quantity instrument { symbol } portfolio { id } }
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            }
        }
    }
}
"""


async def positions(desk: Desk, **given: Any) -> Any:
    return (await desk.gql.run(POSITIONS, id=id_of(desk.portfolio), **given))["node"]["positions"]


def symbols(page: Any) -> list[str]:
    return [node["instrument"]["symbol"] for node in page["nodes"]]


async def test_positions_are_listed_by_filter_and_order(desk: Desk) -> None:
    for symbol in ("INFY", "TCS", "WIPRO"):
        desk.shares[symbol] = await desk.make.instrument(symbol)
    await desk.record("DEPOSIT", amount="100000")
    for symbol, price in (("TCS", "30"), ("INFY", "30"), ("WIPRO", "7.5"), ("HDFCBANK", "90")):
        made(await desk.record("BUY", "2024-03-01", symbol, quantity="10", price=price))
    made(await desk.record("SELL", "2024-03-04", "HDFCBANK", quantity="10", price="1"))
    page = await positions(desk)
    assert (symbols(page), page["totalCount"]) == (["INFY", "TCS", "WIPRO"], 3)
    assert page["nodes"][0]["portfolio"] == {"id": id_of(desk.portfolio)}
    assert symbols(await positions(desk, filter={"closed": True})) == ["HDFCBANK", "INFY", "TCS", "WIPRO"]
    assert symbols(await positions(desk, filter={"instrumentIds": [id_of(desk.shares["TCS"])]})) == ["TCS"]
    by_cost = {"field": "COST", "direction": "DESC"}
    first = await positions(desk, first=2, orderBy=by_cost)
    rest = await positions(desk, first=2, after=first["pageInfo"]["endCursor"], orderBy=by_cost)
    # Two of them have cost the same: neither is left out nor repeated.
    assert sorted(symbols(first)) + symbols(rest) == ["INFY", "TCS", "WIPRO"]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    back = await positions(desk, last=2, before=rest["pageInfo"]["startCursor"], orderBy=by_cost)
    assert back["nodes"] == first["nodes"]


async def test_a_page_beneath_a_list_is_at_most_fifty(desk: Desk) -> None:
    answer = await desk.gql.ask("{ portfolios { nodes { positions(first: 51) { totalCount } } } }")
    assert (answer.codes, answer["errors"][0]["extensions"]["details"][0]["field"]) == (["VALIDATION_ERROR"], "first")


DEEP = """
{
    clients(first: 40) {
        nodes {
            portfolios {
                targets { weight }
                cash { currency }
                positions(first: 10) {
                    totalCount
                    nodes { instrument { symbol } marketValue { amount } weight lots { quantity } }
                }
            }
        }
    }
}
"""


async def held_by_clients(desk: Desk, clients: int, held: int) -> None:
    """Clients with a portfolio each, the desk's among them, and so many positions in each."""
    assert desk.advisor.book
    symbols = [f"S{number}" for number in range(held)]
    for symbol in symbols:
        desk.shares[symbol] = await desk.make.instrument(symbol)
    others = [await desk.make.portfolio(await desk.make.client(desk.advisor.book)) for _ in range(clients - 1)]
    for portfolio in (desk.portfolio, *others):
        await desk.record("DEPOSIT", amount="1000000", portfolioId=id_of(portfolio))
        for symbol in symbols:
            bought = {"quantity": "1", "price": "10", "portfolioId": id_of(portfolio)}
            made(await desk.record("BUY", "2024-03-04", symbol, **bought))


@pytest.mark.parametrize(("clients", "held"), [(1, 1), (8, 4)])
async def test_the_tree_of_clients_costs_a_fixed_number_of_statements(
    desk: Desk, statements: Statements, clients: int, held: int
) -> None:
    await held_by_clients(desk, clients, held)
    with statements.counted() as seen:
        data = await desk.gql.run(DEEP)
    found = [portfolio for client in data["clients"]["nodes"] for portfolio in client["portfolios"]]
    assert [portfolio["positions"]["totalCount"] for portfolio in found] == [held] * clients
    # Clients, portfolios, targets, cash, positions, their count, instruments, lots; and a valuation of five.
    assert len(seen) == 13


async def test_an_entry_of_tomorrow_is_refused_in_the_viewers_zone(desk: Desk) -> None:
    tomorrow = desk.today + timedelta(days=1)
    assert declined(await desk.record("DEPOSIT", tomorrow, amount="1")) == [("FUTURE_DATE", "input.tradedOn")]
    made(await desk.record("DEPOSIT", desk.today, amount="1"))
