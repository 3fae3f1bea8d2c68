"""What the tools tell of holdings, orders, cash and prices, by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.access import Role
from domain.conversations.blocks import CellKind, ChartKind
from domain.instruments import Instrument
from domain.orders import OrderKind, OrderStatus
from tests.factories import ledger, trading
from tests.support.inquiry import DAY, Inquiry, charts, column, points, ref, table
from tests.support.stage import Stage


@pytest.fixture
async def desk(stage: Stage) -> Inquiry:
    return await Inquiry.open(stage)


async def in_two_currencies(desk: Inquiry) -> tuple[Instrument, Instrument]:
    """100 shares at 1,600 rupees and 10 at 200 dollars, where 1 dollar is 80 rupees; 32,000 rupees in cash."""
    await desk.make.connection.execute("delete from fx_rates")
    await desk.make.rate("INR", desk.today - 3 * DAY, "0.0125")
    rupees, dollars = await desk.share("1600"), await desk.share("200", currency="USD")
    await ledger.position(desk.make, desk.portfolio, rupees, "100")
    await ledger.position(desk.make, desk.portfolio, dollars, "10")
    await ledger.cash(desk.make, desk.portfolio, "32000")
    return rupees, dollars


async def test_holdings_are_valued_with_their_dates(desk: Inquiry) -> None:
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


async def test_holdings_are_shown_as_a_table_and_a_pie(desk: Inquiry) -> None:
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


async def test_a_client_holds_what_all_its_portfolios_hold(desk: Inquiry) -> None:
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


async def test_what_lacks_a_price_or_a_rate_is_unknown_and_named(desk: Inquiry) -> None:
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


async def test_many_holdings_are_cut_to_the_largest_and_the_others_counted(desk: Inquiry) -> None:
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


async def test_no_pie_is_drawn_of_what_is_overdrawn(desk: Inquiry) -> None:
    await ledger.position(desk.make, desk.portfolio, await desk.share("100"))
    await ledger.cash(desk.make, desk.portfolio, "-250")
    found = await desk.look("holdings", of=ref("portfolio", desk.portfolio))
    assert (found.facts["cash"], found.facts["value"]) == ("-250.00", "750.00")
    assert found.facts["positions"][0]["weight"] == "1.3333333333"
    assert charts(found) == []


async def test_who_holds_nothing_gets_no_table(desk: Inquiry) -> None:
    found = await desk.look("holdings", of=ref("client", desk.client))
    assert (found.facts["positions"], found.facts["value"], found.blocks) == ([], "0.00", ())
    assert found.clients == {desk.client.id}


async def test_orders_are_told_the_latest_first(desk: Inquiry) -> None:
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


async def test_orders_are_those_of_a_portfolio_a_status_or_open(desk: Inquiry) -> None:
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


async def test_ones_own_orders_are_those_that_one_has_placed(desk: Inquiry) -> None:
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


async def test_whose_orders_are_only_counted_is_named_too(desk: Inquiry) -> None:
    share = await desk.share()
    neighbour = await desk.make.client(desk.book)
    for client, ago in ((neighbour, 2), (desk.client, 1)):
        portfolio = await desk.make.portfolio(client)
        placed_at = desk.make.now - ago * DAY
        await trading.order(desk.make, portfolio, share, desk.advisor.user, placed_at=placed_at)
    found = await desk.look("orders", most=1)
    assert [each["client"]["name"] for each in found.facts["orders"]] == [desk.client.name]
    assert (found.facts["total"], found.facts["left_out"]) == (2, 1)
    assert found.clients == {neighbour.id, desk.client.id}


async def test_an_end_client_reads_its_orders_and_no_drafts(desk: Inquiry) -> None:
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


async def test_not_all_orders_are_counted(desk: Inquiry) -> None:
    share = await desk.share()
    for _ in range(201):
        await trading.order(desk.make, desk.portfolio, share, desk.advisor.user)
    facts = (await desk.look("orders", of=ref("client", desk.client))).facts
    assert (facts["total"], facts["left_out"], facts["more"]) == (200, 180, True)


async def test_many_orders_are_cut_to_the_latest_and_the_others_counted(desk: Inquiry) -> None:
    share = await desk.share()
    for _ in range(53):
        await trading.order(desk.make, desk.portfolio, share, desk.advisor.user)
    found = await desk.look("orders", of=ref("client", desk.client), most=50)
    assert (len(found.facts["orders"]), found.facts["total"], found.facts["left_out"]) == (50, 53, 3)
    few = await desk.look("orders", of=ref("client", desk.client))
    assert (len(few.facts["orders"]), few.facts["left_out"], len(table(few).rows)) == (20, 33, 20)


async def test_cash_is_what_has_settled_what_is_to_come_and_what_is_free(desk: Inquiry) -> None:
    user = desk.advisor.user
    second = await desk.make.portfolio(desk.client)
    await ledger.deposit(desk.make, desk.portfolio, user, "1000")
    await ledger.deposit(desk.make, desk.portfolio, user, "50", settles_on=desk.today + 2 * DAY)
    await ledger.deposit(desk.make, second, user, "500.25")
    await ledger.deposit(desk.make, second, user, "7", currency="USD")
    share = await desk.share()
    for status, reserved in ((OrderStatus.SUBMITTED, "300"), (OrderStatus.PENDING_APPROVAL, "100")):
        await trading.order(desk.make, desk.portfolio, share, user, status=status, reserved_cash=Decimal(reserved))
    await trading.order(desk.make, second, share, user, reserved_cash=Decimal("0.25"))
    found = await desk.look("cash", of=ref("client", desk.client))
    names = ("currency", "settled", "unsettled", "total", "reserved", "available")
    totals = [tuple(each[name] for name in names) for each in found.facts["totals"]]
    assert totals == [
        ("INR", "1500.25", "50.00", "1550.25", "400.25", "1150.00"),
        ("USD", "7.00", "0.00", "7.00", "0.00", "7.00"),
    ]
    balances = [(each["portfolio"]["name"], *(each[name] for name in names)) for each in found.facts["balances"]]
    assert balances == [
        (desk.portfolio.name, "INR", "1000.00", "50.00", "1050.00", "400.00", "650.00"),
        (second.name, "INR", "500.25", "0.00", "500.25", "0.25", "500.00"),
        (second.name, "USD", "7.00", "0.00", "7.00", "0.00", "7.00"),
    ]
    assert found.facts["as_of"] == str(desk.today)
    assert column(found, "Available") == ["650.00", "500.00", "7.00"]
    assert found.clients == {desk.client.id}
    assert found.facts["left_out"] == 0
    alone = await desk.look("cash", of=ref("portfolio", second))
    assert [each["total"] for each in alone.facts["totals"]] == ["500.25", "7.00"]


async def test_many_balances_are_cut_and_the_totals_are_of_all(desk: Inquiry) -> None:
    for _ in range(52):
        await ledger.deposit(desk.make, await desk.make.portfolio(desk.client), desk.advisor.user, "10")
    found = await desk.look("cash", of=ref("client", desk.client))
    assert (len(found.facts["balances"]), found.facts["left_out"], len(table(found).rows)) == (50, 2, 50)
    assert found.facts["totals"][0]["total"] == "520.00"


async def test_who_has_no_cash_gets_no_table(desk: Inquiry) -> None:
    found = await desk.look("cash", of=ref("client", desk.client))
    assert (found.facts["totals"], found.facts["balances"], found.blocks) == ([], [], ())


async def test_prices_are_found_by_id_symbol_isin_or_name(desk: Inquiry) -> None:
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


async def test_recent_closes_reach_back_as_far_as_is_asked(desk: Inquiry) -> None:
    share = await desk.share(None)
    for ago in range(70):
        await desk.make.price(share, desk.today - ago * DAY, str(1000 - ago))
    near = await desk.look("prices", instrument=share.symbol, days=3)
    assert [each["close"] for each in near.facts["closes"]] == ["997", "998", "999", "1000"]
    far = await desk.look("prices", instrument=share.symbol, days=366)
    assert (len(far.facts["closes"]), far.facts["left_out"], len(table(far).rows)) == (50, 20, 50)
    assert far.facts["closes"][-1] == {"on": str(desk.today), "close": "1000"}


async def test_an_old_price_is_told_with_its_day_and_none_as_none(desk: Inquiry) -> None:
    old = await desk.share(None)
    await desk.make.price(old, date(2020, 1, 1), "12.3456789")
    # Of tomorrow, which has begun elsewhere.
    await desk.make.price(old, desk.today + DAY, "99")
    facts = (found := await desk.look("prices", instrument=old.symbol)).facts
    assert (facts["last"], facts["change"]) == ({"on": "2020-01-01", "close": "12.3457"}, None)
    assert charts(found) == []
    never = await desk.look("prices", instrument=(await desk.share(None)).symbol)
    assert (never.facts["last"], never.facts["closes"], never.blocks) == (None, [], ())


async def test_which_instrument_is_meant_is_asked_back(desk: Inquiry) -> None:
    word = f"Harbour{next(desk.make.numbers)}"
    first, _ = [await desk.share(name=f"{word} {name}") for name in ("One", "Two")]
    failed = await desk.failed("prices", instrument=word)
    assert f"{first.symbol} ({first.name})" in failed.message
    assert "no instrument called" in (await desk.failed("prices", instrument="Nothing of the kind")).message
    assert (await desk.failed("prices", instrument=f"instrument_{'0' * 32}")).message == "There is no such instrument."
    assert "symbol" in (await desk.failed("prices", instrument="--")).message
