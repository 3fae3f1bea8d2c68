"""What the assistant's tools find, on real data: all that the viewer sees and nothing else."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.access import Role, Viewer
from domain.assistant.models import Call
from domain.assistant.tools import Found, ToolFailed
from domain.assistant.tools.registry import TOOLS, line_of, look_up, spec_of
from domain.books import Book
from domain.clients import Client
from domain.conversations.blocks import CellKind, ChartBlock, ChartKind, TableBlock, read, stored
from domain.instruments import Instrument
from domain.orders import OrderKind, OrderStatus
from domain.portfolios import Portfolio
from domain.refs import Ref
from domain.text import fold
from tests.factories import ledger, people, trading
from tests.factories.firm import Make, SignedIn
from tests.support.stage import Stage

DAY = timedelta(days=1)
CLIENT_IDS = re.compile(r"client_([0-9a-f]{32})")


class Desk(msgspec.Struct, frozen=True):
    """An advisor with one client, called as nobody else, who has one portfolio."""

    stage: Stage
    advisor: SignedIn
    viewer: Viewer
    client: Client
    portfolio: Portfolio

    @property
    def make(self) -> Make:
        return self.stage.make

    @property
    def book(self) -> Book:
        assert self.advisor.book
        return self.advisor.book

    @property
    def today(self) -> date:
        return self.viewer.today(self.make.now)

    async def look(self, name: str, viewer: Viewer | None = None, **arguments: Any) -> Found:
        """What a tool finds, after the check that it names whose data it tells of."""
        found = await looked(self.stage, viewer or self.viewer, name, arguments)
        check_clients(found)
        return found

    async def failed(self, name: str, viewer: Viewer | None = None, **arguments: Any) -> ToolFailed:
        """How a tool fails."""
        with pytest.raises(ToolFailed) as failed:
            await self.look(name, viewer, **arguments)
        assert named_in(failed.value.message) == set(failed.value.clients)
        return failed.value

    async def share(self, price: str | None = "100", **given: Any) -> Instrument:
        """An instrument with a price of yesterday."""
        number = next(self.make.numbers)
        name = given.pop("name", f"Company {number}")
        made = await self.make.instrument(f"SHARE{number}", name=name, sort_name=fold(name), **given)
        if price is not None:
            await self.make.price(made, self.today - DAY, price)
        return made

    async def end_client(self, *, of: Client) -> Viewer:
        """An end client's own sign-in."""
        return await self.make.viewer(await self.make.user(Role.CLIENT, client_id=of.id))


async def looked(stage: Stage, viewer: Viewer, name: str, arguments: Any) -> Found:
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return await stage.services.doors.write(viewer, "request", look_up, viewer, Call("call_1", name, text))


def named_in(text: str) -> set[UUID]:
    return {UUID(hex=digits) for digits in CLIENT_IDS.findall(text)}


def check_clients(found: Found) -> None:
    """Everybody whose id is told, to the model or to readers, is named; and what is told can be stored and read."""
    told = msgspec.json.encode(found.facts).decode() + stored(found.blocks)
    assert named_in(told) <= found.clients
    assert read(stored(found.blocks)) == found.blocks
    for table in (block for block in found.blocks if isinstance(block, TableBlock)):
        assert all(len(row) == len(table.columns) for row in table.rows)


def table(found: Found) -> TableBlock:
    (block,) = (block for block in found.blocks if isinstance(block, TableBlock))
    return block


def column(found: Found, name: str) -> list[str | None]:
    place = [each.name for each in table(found).columns].index(name)
    return [row[place] for row in table(found).rows]


def charts(found: Found) -> Sequence[ChartBlock]:
    return [block for block in found.blocks if isinstance(block, ChartBlock)]


def points(chart: ChartBlock) -> list[tuple[str, Decimal]]:
    return [(point.x, point.y) for point in chart.series[0].points]


def ref(kind: str, row: Any) -> str:
    return str(Ref(kind, row.id))


@pytest.fixture
async def desk(stage: Stage) -> Desk:
    advisor = await stage.make.advisor()
    assert advisor.book
    client = await stage.make.client(advisor.book, name=f"Áshá Rao{next(stage.make.numbers)}")
    portfolio = await stage.make.portfolio(client)
    return Desk(stage, advisor, await stage.make.viewer(advisor), client, portfolio)


# Finding clients


async def test_a_client_is_found_by_the_beginnings_of_words(desk: Desk) -> None:
    found = await desk.look("find_client", text="  rao as ")
    (fact,) = found.facts["clients"]
    assert (fact["id"], fact["name"]) == (ref("client", desk.client), desk.client.name)
    assert (fact["segment"], fact["status"], fact["kyc_status"]) == ("AFFLUENT", "ACTIVE", "VERIFIED")
    assert (fact["kyc_expires_on"], fact["book"]) == ("2030-01-01", desk.book.name)
    assert (found.facts["total"], found.facts["left_out"]) == (1, 0)
    assert found.clients == {desk.client.id}
    assert [(str(each.ref), each.name) for each in found.focus] == [(fact["id"], fact["name"])]
    assert table(found).columns[0].cells is CellKind.REF
    assert table(found).rows == (
        (fact["id"], fact["name"], "AFFLUENT", "ACTIVE", "VERIFIED", "2030-01-01", desk.book.name),
    )


async def test_of_many_clients_ten_are_told_and_the_others_counted(desk: Desk) -> None:
    for number in range(12):
        await desk.make.client(desk.book, name=f"Zed {number:02}")
    found = await desk.look("find_client", text="zed")
    assert [each["name"] for each in found.facts["clients"]] == [f"Zed {number:02}" for number in range(10)]
    assert (found.facts["total"], found.facts["left_out"], len(found.clients)) == (12, 2, 10)
    assert found.focus == ()


async def test_nobody_found_is_no_failure(desk: Desk) -> None:
    found = await desk.look("find_client", text="Nobody")
    assert found.facts == {"text": "Nobody", "total": 0, "left_out": 0, "clients": []}
    assert (found.blocks, found.clients, found.focus) == ((), frozenset(), ())
    assert "word" in (await desk.failed("find_client", text="?!")).message


# Whose data


ABOUT_CLIENTS = ["holdings", "orders", "cash"]


@pytest.mark.parametrize("tool", ABOUT_CLIENTS)
async def test_a_client_is_meant_by_id_by_words_or_by_a_portfolio(desk: Desk, tool: str) -> None:
    by_id = await desk.look(tool, of=ref("client", desk.client))
    assert by_id.facts["whose"] == {
        "client": {"id": ref("client", desk.client), "name": desk.client.name},
        "portfolio": None,
    }
    assert (await desk.look(tool, of="asha rao")).facts == by_id.facts
    assert by_id.clients == {desk.client.id}
    assert [str(each.ref) for each in by_id.focus] == [ref("client", desk.client)]
    alone = await desk.look(tool, of=ref("portfolio", desk.portfolio))
    assert alone.facts["whose"]["portfolio"] == {"id": ref("portfolio", desk.portfolio), "name": desk.portfolio.name}
    assert [each.name for each in alone.focus] == [desk.portfolio.name, desk.client.name]
    assert alone.clients == {desk.client.id}


@pytest.mark.parametrize("tool", ABOUT_CLIENTS)
async def test_what_another_advisor_looks_after_does_not_exist(desk: Desk, tool: str) -> None:
    other = await desk.make.viewer(await desk.make.advisor(clients=1, portfolios=1))
    for of, kind in ((desk.client, "client"), (desk.portfolio, "portfolio")):
        hidden = await desk.failed(tool, other, of=ref(kind, of))
        unknown = await desk.failed(tool, other, of=f"{kind}_{'0' * 32}")
        assert hidden.message == unknown.message == f"There is no such {kind}."
    assert "no client called" in (await desk.failed(tool, other, of=desk.client.name)).message


async def test_a_search_finds_nobody_of_another_book(desk: Desk) -> None:
    other = await desk.make.viewer(await desk.make.advisor())
    assert (await desk.look("find_client", other, text=desk.client.name)).facts["total"] == 0
    admin = await desk.make.viewer(await desk.make.user(Role.ADMIN))
    assert (await desk.look("find_client", admin, text=desk.client.name)).clients == {desk.client.id}
    for tool in ABOUT_CLIENTS:
        assert (await desk.look(tool, admin, of=desk.client.name)).clients == {desk.client.id}


async def test_an_end_client_sees_its_own_household_alone(desk: Desk) -> None:
    household = await people.household(desk.make, desk.book)
    own, spouse = [
        await desk.make.client(desk.book, name=name, household_id=household.id) for name in ("Meera Own", "Hari Own")
    ]
    viewer = await desk.end_client(of=own)
    assert (await desk.look("find_client", viewer, text="own")).clients == {own.id, spouse.id}
    found = await desk.look("find_client", viewer, text="Meera")
    # Books are the firm's affair.
    assert found.facts["clients"][0]["book"] is None
    assert (await desk.look("find_client", viewer, text=desk.client.name)).facts["total"] == 0
    for tool in ABOUT_CLIENTS:
        assert (await desk.look(tool, viewer, of=ref("client", spouse))).clients == {spouse.id}
        assert (await desk.failed(tool, viewer, of=ref("client", desk.client))).message == "There is no such client."
        assert "no client called" in (await desk.failed(tool, viewer, of=desk.client.name)).message


@pytest.mark.parametrize("tool", ["holdings", "cash"])
async def test_without_saying_whose_it_is_the_end_clients_own(desk: Desk, tool: str) -> None:
    alone = await desk.end_client(of=desk.client)
    assert (await desk.look(tool, alone)).clients == {desk.client.id}
    assert "Say whose" in (await desk.failed(tool)).message
    household = await people.household(desk.make, desk.book)
    several = [await desk.make.client(desk.book, household_id=household.id) for _ in range(2)]
    failed = await desk.failed(tool, await desk.end_client(of=several[0]))
    assert failed.clients == {each.id for each in several}


async def test_who_fits_several_is_asked_back_with_their_names(desk: Desk) -> None:
    prefix = f"Twin{next(desk.make.numbers)}"
    anna, annabel = [await desk.make.client(desk.book, name=f"{prefix} {name}") for name in ("Anna", "Annabel")]
    failed = await desk.failed("cash", of=prefix)
    assert failed.clients == {anna.id, annabel.id}
    assert f"{anna.name} ({ref('client', anna)}); {annabel.name}" in failed.message
    # Whose name begins that of another can be named all the same.
    assert (await desk.look("cash", of=f"{prefix} anna")).clients == {anna.id}
    for number in range(11):
        await desk.make.client(desk.book, name=f"{prefix} {number}")
    many = await desk.failed("cash", of=prefix)
    assert len(many.clients) == 10
    assert "and 3 more" in many.message


async def test_an_id_of_something_else_is_told_as_such(desk: Desk) -> None:
    share = await desk.share()
    assert "something else" in (await desk.failed("holdings", of=ref("instrument", share))).message
    assert "something else" in (await desk.failed("prices", instrument=ref("client", desk.client))).message


# Holdings


async def in_two_currencies(desk: Desk) -> tuple[Instrument, Instrument]:
    """100 shares at 1,600 rupees and 10 at 200 dollars, where 1 dollar is 80 rupees; 32,000 rupees in cash."""
    await desk.make.connection.execute("delete from fx_rates")
    await desk.make.rate("INR", desk.today - 3 * DAY, "0.0125")
    rupees, dollars = await desk.share("1600"), await desk.share("200", currency="USD")
    await ledger.position(desk.make, desk.portfolio, rupees, "100")
    await ledger.position(desk.make, desk.portfolio, dollars, "10")
    await ledger.cash(desk.make, desk.portfolio, "32000")
    return rupees, dollars


async def test_holdings_are_valued_with_their_dates(desk: Desk) -> None:
    rupees, dollars = await in_two_currencies(desk)
    found = await desk.look("holdings", of=ref("client", desk.client))
    facts = found.facts
    assert (facts["value"], facts["cash"], facts["currency"]) == ("352000.00", "32000.00", "INR")
    assert (facts["invested"], facts["unrealised_gain"]) == ("90000.00", "230000.00")
    yesterday, rated = str(desk.today - DAY), str(desk.today - 3 * DAY)
    assert (facts["as_of"], facts["prices_as_of"], facts["rates_as_of"]) == (str(desk.today), yesterday, rated)
    positions = {each["symbol"]: each for each in facts["positions"]}
    held = positions[dollars.symbol]
    assert (held["quantity"], held["price"], held["priced_on"], held["currency"]) == ("10", "200", yesterday, "USD")
    assert (held["market_value"], held["market_value_base"], held["fx_on"]) == ("2000.00", "160000.00", rated)
    assert (held["average_cost"], held["unrealised_gain_base"]) == ("100", "80000.00")
    assert (held["weight"], held["name"], held["id"]) == ("0.4545454545", dollars.name, ref("instrument", dollars))
    assert positions[rupees.symbol]["fx_on"] is None
    classes = {each["asset_class"]: (each["value"], each["weight"]) for each in facts["by_asset_class"]}
    assert classes == {"EQUITY": ("320000.00", "0.9090909091"), "CASH": ("32000.00", "0.0909090909")}
    assert facts["portfolios"] == [{"id": ref("portfolio", desk.portfolio), "name": desk.portfolio.name}]


async def test_holdings_are_shown_as_a_table_and_a_pie(desk: Desk) -> None:
    rupees, dollars = await in_two_currencies(desk)
    found = await desk.look("holdings", of=ref("portfolio", desk.portfolio))
    value = next(each for each in table(found).columns if each.name == "Value")
    assert (value.cells, value.currency) == (CellKind.MONEY, "INR")
    assert set(column(found, "Symbol")) == {rupees.symbol, dollars.symbol}
    assert column(found, "Value") == ["160000.00", "160000.00"]
    assert desk.portfolio.name in table(found).title
    (pie,) = charts(found)
    assert (pie.chart, pie.y.values) == (ChartKind.PIE, CellKind.PERCENT)
    assert dict(points(pie)) == {
        rupees.symbol: Decimal("0.4545454545"),
        dollars.symbol: Decimal("0.4545454545"),
        "Cash": Decimal("0.0909090909"),
    }


async def test_a_client_holds_what_all_its_portfolios_hold(desk: Desk) -> None:
    second = await desk.make.portfolio(desk.client)
    both, one = await desk.share("100"), await desk.share("50")
    await ledger.position(desk.make, desk.portfolio, both, "10")
    await ledger.position(desk.make, second, both, "20")
    await ledger.position(desk.make, second, one, "20")
    facts = (await desk.look("holdings", of=ref("client", desk.client))).facts
    held = [(each["symbol"], each["quantity"], each["market_value"], each["weight"]) for each in facts["positions"]]
    assert held == [(both.symbol, "30", "3000.00", "0.75"), (one.symbol, "20", "1000.00", "0.25")]
    assert [each["average_cost"] for each in facts["positions"]] == ["100", "100"]
    assert {each["name"] for each in facts["portfolios"]} == {desk.portfolio.name, second.name}
    alone = (await desk.look("holdings", of=ref("portfolio", second))).facts
    assert [each["quantity"] for each in alone["positions"]] == ["20", "20"]
    assert [each["name"] for each in alone["portfolios"]] == [second.name]


async def test_what_lacks_a_price_or_a_rate_is_unknown_and_named(desk: Desk) -> None:
    unpriced, foreign, known = await desk.share(None), await desk.share("7", currency="CHF"), await desk.share("100")
    for share in (unpriced, foreign, known):
        await ledger.position(desk.make, desk.portfolio, share)
    found = await desk.look("holdings", of=ref("portfolio", desk.portfolio))
    facts = found.facts
    assert (facts["value"], facts["invested"], facts["unrealised_gain"]) == (None, None, None)
    assert facts["missing_prices"] == [unpriced.symbol]
    assert "CHF" in facts["missing_rates"]
    positions = {each["symbol"]: each for each in facts["positions"]}
    lacking = ("price", "priced_on", "market_value", "market_value_base", "weight")
    assert [positions[unpriced.symbol][name] for name in lacking] == [None] * 5
    assert (positions[foreign.symbol]["market_value"], positions[foreign.symbol]["market_value_base"]) == (
        "70.00",
        None,
    )
    assert positions[known.symbol]["market_value_base"] == "1000.00"
    # What is known comes first, and no pie is drawn of weights that are not.
    assert facts["positions"][0]["symbol"] == known.symbol
    assert charts(found) == []
    assert sorted(column(found, "Value"), key=str) == ["1000.00", None, None]


async def test_many_holdings_are_cut_to_the_largest_and_the_others_counted(desk: Desk) -> None:
    for number in range(52):
        await ledger.position(desk.make, desk.portfolio, await desk.share(str(100 + number)))
    found = await desk.look("holdings", of=ref("client", desk.client))
    assert (len(found.facts["positions"]), found.facts["left_out"]) == (50, 2)
    assert len(table(found).rows) == 50
    assert column(found, "Price")[0] == "151"
    assert column(found, "Price")[-1] == "102"
    (pie,) = charts(found)
    assert len(points(pie)) == 10
    assert points(pie)[-1][0] == "Other"
    assert abs(sum((weight for _, weight in points(pie)), Decimal(0)) - 1) < Decimal("0.00000001")


async def test_who_holds_nothing_gets_no_table(desk: Desk) -> None:
    found = await desk.look("holdings", of=ref("client", desk.client))
    assert (found.facts["positions"], found.facts["value"], found.blocks) == ([], "0.00", ())
    assert found.clients == {desk.client.id}


# Orders


async def test_orders_are_told_the_latest_first(desk: Desk) -> None:
    share = await desk.share()
    user = desk.advisor.user
    moment = datetime(2026, 3, 31, 20, 0, tzinfo=UTC)
    old = await trading.order(
        desk.make,
        desk.portfolio,
        share,
        user,
        placed_at=moment,
        trades_on=date(2026, 4, 1),
        limit_price=Decimal("99.5"),
    )
    new = await trading.order(
        desk.make,
        desk.portfolio,
        share,
        user,
        placed_at=moment + DAY,
        kind=OrderKind.MARKET,
        limit_price=None,
        quantity=Decimal(4),
        filled_quantity=Decimal(2),
        filled_value=Decimal(201),
        status=OrderStatus.PARTIALLY_FILLED,
    )
    found = await desk.look("orders", of=ref("client", desk.client))
    assert [each["id"] for each in found.facts["orders"]] == [ref("order", new), ref("order", old)]
    latest, first = found.facts["orders"]
    assert (latest["status"], latest["filled_quantity"], latest["average_price"]) == ("PARTIALLY_FILLED", "2", "100.5")
    assert (first["limit_price"], first["placed_at"], first["trades_on"]) == (
        "99.5",
        "2026-03-31T20:00:00Z",
        "2026-04-01",
    )
    assert (first["side"], first["symbol"], first["quantity"]) == ("BUY", share.symbol, "1")
    assert first["client"] == {"id": ref("client", desk.client), "name": desk.client.name}
    assert first["portfolio"]["name"] == desk.portfolio.name
    assert (found.facts["total"], found.facts["left_out"]) == (2, 0)
    # Days are those of the viewer, in India.
    assert column(found, "Placed") == ["2026-04-02", "2026-04-01"]
    assert column(found, "Order") == [ref("order", new), ref("order", old)]


async def test_orders_are_those_of_a_portfolio_a_status_or_open(desk: Desk) -> None:
    share = await desk.share()
    second = await desk.make.portfolio(desk.client)
    filled, open_one = [
        await trading.order(desk.make, portfolio, share, desk.advisor.user, status=status)
        for portfolio, status in ((desk.portfolio, OrderStatus.FILLED), (second, OrderStatus.SUBMITTED))
    ]

    async def ids(**arguments: Any) -> set[str]:
        return {each["id"] for each in (await desk.look("orders", **arguments)).facts["orders"]}

    assert await ids(of=ref("client", desk.client)) == {ref("order", filled), ref("order", open_one)}
    assert await ids(of=ref("portfolio", second)) == {ref("order", open_one)}
    assert await ids(of=ref("client", desk.client), open_only=True) == {ref("order", open_one)}
    assert await ids(of=ref("client", desk.client), statuses=["FILLED", "EXPIRED"]) == {ref("order", filled)}
    none = await desk.look("orders", of=ref("client", desk.client), statuses=["REJECTED"])
    assert (none.facts["orders"], none.blocks) == ([], ())
    assert none.clients == {desk.client.id}


async def test_ones_own_orders_are_those_that_one_has_placed(desk: Desk) -> None:
    share = await desk.share()
    team = await desk.make.team()
    colleague = await desk.make.user(Role.ADVISOR, team, desk.book)
    neighbour = await desk.make.client(desk.book)
    mine = await trading.order(desk.make, await desk.make.portfolio(neighbour), share, desk.advisor.user)
    await trading.order(desk.make, desk.portfolio, share, colleague.user)
    found = await desk.look("orders")
    assert [each["id"] for each in found.facts["orders"]] == [ref("order", mine)]
    assert found.facts["whose"] is None
    # Whoever reads of them learns of their clients.
    assert found.clients == {neighbour.id}
    assert found.focus == ()


async def test_an_end_client_reads_its_orders_and_no_drafts(desk: Desk) -> None:
    share = await desk.share()
    other = await desk.make.client(desk.book)
    await trading.order(desk.make, await desk.make.portfolio(other), share, desk.advisor.user)
    await trading.order(desk.make, desk.portfolio, share, desk.advisor.user, status=OrderStatus.DRAFT)
    placed = await trading.order(desk.make, desk.portfolio, share, desk.advisor.user)
    viewer = await desk.end_client(of=desk.client)
    for arguments in ({}, {"of": ref("client", desk.client)}):
        found = await desk.look("orders", viewer, **arguments)
        assert [each["id"] for each in found.facts["orders"]] == [ref("order", placed)]
        assert found.facts["total"] == 1
        assert found.clients == {desk.client.id}


async def test_many_orders_are_cut_to_the_latest_and_the_others_counted(desk: Desk) -> None:
    share = await desk.share()
    for _ in range(53):
        await trading.order(desk.make, desk.portfolio, share, desk.advisor.user)
    found = await desk.look("orders", of=ref("client", desk.client), most=50)
    assert (len(found.facts["orders"]), found.facts["total"], found.facts["left_out"]) == (50, 53, 3)
    few = await desk.look("orders", of=ref("client", desk.client))
    assert (len(few.facts["orders"]), few.facts["left_out"], len(table(few).rows)) == (20, 33, 20)


# Cash


async def test_cash_is_what_has_settled_what_is_to_come_and_what_is_free(desk: Desk) -> None:
    user = desk.advisor.user
    second = await desk.make.portfolio(desk.client)
    await ledger.deposit(desk.make, desk.portfolio, user, "1000")
    await ledger.deposit(desk.make, desk.portfolio, user, "50", settles_on=desk.today + 2 * DAY)
    await ledger.deposit(desk.make, second, user, "500.25")
    await ledger.deposit(desk.make, second, user, "7", currency="USD")
    share = await desk.share()
    for status, reserved in ((OrderStatus.SUBMITTED, "300"), (OrderStatus.PENDING_APPROVAL, "100")):
        await trading.order(desk.make, desk.portfolio, share, user, status=status, reserved_cash=Decimal(reserved))
    found = await desk.look("cash", of=ref("client", desk.client))
    names = ("currency", "settled", "unsettled", "total", "reserved", "available")
    totals = [tuple(each[name] for name in names) for each in found.facts["totals"]]
    assert totals == [
        ("INR", "1500.25", "50.00", "1550.25", "400.00", "1150.25"),
        ("USD", "7.00", "0.00", "7.00", "0.00", "7.00"),
    ]
    balances = [(each["portfolio"]["name"], *(each[name] for name in names)) for each in found.facts["balances"]]
    assert balances == [
        (desk.portfolio.name, "INR", "1000.00", "50.00", "1050.00", "400.00", "650.00"),
        (second.name, "INR", "500.25", "0.00", "500.25", "0.00", "500.25"),
        (second.name, "USD", "7.00", "0.00", "7.00", "0.00", "7.00"),
    ]
    assert found.facts["as_of"] == str(desk.today)
    assert column(found, "Available") == ["650.00", "500.25", "7.00"]
    assert found.clients == {desk.client.id}
    assert found.facts["left_out"] == 0
    alone = await desk.look("cash", of=ref("portfolio", second))
    assert [each["total"] for each in alone.facts["totals"]] == ["500.25", "7.00"]


async def test_many_balances_are_cut_and_the_totals_are_of_all(desk: Desk) -> None:
    for _ in range(52):
        await ledger.deposit(desk.make, await desk.make.portfolio(desk.client), desk.advisor.user, "10")
    found = await desk.look("cash", of=ref("client", desk.client))
    assert (len(found.facts["balances"]), found.facts["left_out"], len(table(found).rows)) == (50, 2, 50)
    assert found.facts["totals"][0]["total"] == "520.00"


async def test_who_has_no_cash_gets_no_table(desk: Desk) -> None:
    found = await desk.look("cash", of=ref("client", desk.client))
    assert (found.facts["totals"], found.facts["balances"], found.blocks) == ([], [], ())


# Prices


async def test_prices_are_found_by_id_symbol_isin_or_name(desk: Desk) -> None:
    share = await desk.share("110.5")
    await desk.make.price(share, desk.today - 4 * DAY, "100")
    found = await desk.look("prices", instrument=ref("instrument", share))
    facts = found.facts
    assert (facts["symbol"], facts["isin"], facts["currency"]) == (share.symbol, share.isin, "INR")
    assert facts["last"] == {"on": str(desk.today - DAY), "close": "110.5"}
    assert (facts["change"], facts["change_fraction"]) == ("10.5", "0.105")
    assert [each["close"] for each in facts["closes"]] == ["100", "110.5"]
    for text in (share.symbol.lower(), share.isin, share.name):
        assert (await desk.look("prices", instrument=text)).facts == facts
    assert (found.clients, [str(each.ref) for each in found.focus]) == (frozenset(), [ref("instrument", share)])
    assert table(found).rows == ((str(desk.today - DAY), "110.5"), (str(desk.today - 4 * DAY), "100"))
    (line,) = charts(found)
    assert (line.chart, line.x.values, line.y.currency) == (ChartKind.LINE, CellKind.DATE, "INR")
    assert points(line) == [(str(desk.today - 4 * DAY), Decimal(100)), (str(desk.today - DAY), Decimal("110.5"))]


async def test_recent_closes_reach_back_as_far_as_is_asked(desk: Desk) -> None:
    share = await desk.share(None)
    for ago in range(70):
        await desk.make.price(share, desk.today - ago * DAY, str(1000 - ago))
    near = await desk.look("prices", instrument=share.symbol, days=3)
    assert [each["close"] for each in near.facts["closes"]] == ["997", "998", "999", "1000"]
    far = await desk.look("prices", instrument=share.symbol, days=366)
    assert (len(far.facts["closes"]), far.facts["left_out"], len(table(far).rows)) == (50, 20, 50)
    assert far.facts["closes"][-1] == {"on": str(desk.today), "close": "1000"}


async def test_an_old_price_is_told_with_its_day_and_none_as_none(desk: Desk) -> None:
    old = await desk.share(None)
    await desk.make.price(old, date(2020, 1, 1), "12.3456789")
    # Of tomorrow, which has begun elsewhere.
    await desk.make.price(old, desk.today + DAY, "99")
    facts = (found := await desk.look("prices", instrument=old.symbol)).facts
    assert (facts["last"], facts["change"]) == ({"on": "2020-01-01", "close": "12.3457"}, None)
    assert charts(found) == []
    never = await desk.look("prices", instrument=(await desk.share(None)).symbol)
    assert (never.facts["last"], never.facts["closes"], never.blocks) == (None, [], ())


async def test_which_instrument_is_meant_is_asked_back(desk: Desk) -> None:
    word = f"Harbour{next(desk.make.numbers)}"
    first, _ = [await desk.share(name=f"{word} {name}") for name in ("One", "Two")]
    failed = await desk.failed("prices", instrument=word)
    assert f"{first.symbol} ({first.name})" in failed.message
    assert "no instrument called" in (await desk.failed("prices", instrument="Nothing of the kind")).message
    assert (await desk.failed("prices", instrument=f"instrument_{'0' * 32}")).message == "There is no such instrument."
    assert "symbol" in (await desk.failed("prices", instrument="--")).message


# Calls


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("no_tool", "{}", "find_client, holdings"),
        ("find_client", "{}", "missing required field `text`"),
        ("find_client", '{"text": ""}', "length"),
        ("find_client", '{"text": 5}', "Expected `str`"),
        ("find_client", '{"text": "x", "limit": 3}', "unknown field `limit`"),
        ("find_client", '{"text": "x"', "not valid JSON"),
        ("find_client", "text = x", "not valid JSON"),
        ("find_client", '{"text": "\\ud800"}', "not valid JSON"),
        ("find_client", "[" * 100_000, "schema"),
        ("holdings", '["client_1"]', "Expected `object`"),
        ("holdings", f'{{"of": "{"x" * 201}"}}', "length"),
        ("orders", '{"statuses": ["OPEN"]}', "Invalid enum value 'OPEN'"),
        ("orders", '{"most": 51}', "<= 50"),
        ("orders", '{"most": 1e400}', "$.most"),
        ("prices", '{"instrument": "x", "days": 0}', ">= 1"),
    ],
)
async def test_what_a_model_gets_wrong_is_told_to_it(desk: Desk, name: str, arguments: str, said: str) -> None:
    with pytest.raises(ToolFailed) as failed:
        await looked(desk.stage, desk.viewer, name, arguments)
    assert said in failed.value.message
    with pytest.raises(ToolFailed):
        line_of(Call("call_1", name, arguments))


async def test_no_arguments_may_be_no_text(desk: Desk) -> None:
    assert (await looked(desk.stage, desk.viewer, "orders", "")).facts["total"] == 0


def test_a_tool_is_described_by_one_schema_that_stands_alone() -> None:
    for tool in TOOLS:
        spec = spec_of(tool)
        assert (spec.name, spec.description) == (tool.name, tool.description)
        assert "$ref" not in str(spec.schema)
        assert "$defs" not in spec.schema
        assert (spec.schema["type"], spec.schema["additionalProperties"]) == ("object", False)
        assert all(each["description"] for each in spec.schema["properties"].values())
    statuses = spec_of(TOOLS[2]).schema["properties"]["statuses"]
    assert set(statuses["items"]["enum"]) == {status.value for status in OrderStatus}


def test_what_is_looked_up_is_said_in_words_and_without_ids() -> None:
    def said(name: str, arguments: str) -> str:
        return line_of(Call("call_1", name, arguments))

    assert said("find_client", '{"text": "Rao"}') == "Looking for the client Rao"
    assert said("holdings", '{"of": "Asha Rao"}') == "Looking up the holdings of Asha Rao"
    assert said("cash", f'{{"of": "client_{"0" * 32}"}}') == "Looking up the cash"
    assert said("orders", "{}") == "Looking up the orders"
    assert said("prices", '{"instrument": "TCS"}') == "Looking up the prices of TCS"
