from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain.access import Role
from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make
from tests.support.desk import Desk, declined, made
from tests.support.gql import Gql
from tests.support.statements import Statements

NOW = """
query ($exchange: String!) { market(exchange: $exchange) {
    exchange isOpen settlementDays
    session { day opensAt closesAt special provisional note } nextSession { day }
} }
"""
SESSIONS = """
query ($exchange: String!, $from: Date!, $to: Date) { market(exchange: $exchange) {
    sessions(from: $from, to: $to) { day opensAt closesAt special provisional note }
    specialDays(from: $from, to: $to) { day opensAt closesAt note }
} }
"""
STATED = """
specialDay { day opensAt closesAt note }
market { exchange sessions(from: "2026-01-03", to: "2026-01-05") { day special note } }
"""


@pytest.fixture
async def admin(gql: Gql, make: Make) -> Gql:
    return gql.as_(await make.user(Role.ADMIN))


@pytest.fixture
async def client(gql: Gql, make: Make) -> Gql:
    """An end client: markets are the same for everybody."""
    return gql.as_(await make.user(Role.CLIENT))


def clock(services: Services, moment: str) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    services.doors.clock = lambda: now


async def test_the_exchanges_are_listed(client: Gql) -> None:
    found = (await client.run("{ markets { exchange name timeZone currency } }"))["markets"]
    assert [market["exchange"] for market in found] == ["XNSE", "XBOM", "XNYS", "XNAS", "ARCX", "XLON", "XETR", "XSES"]
    assert found[0] == {
        "exchange": "XNSE",
        "name": "National Stock Exchange of India",
        "timeZone": "Asia/Kolkata",
        "currency": "INR",
    }


async def test_an_exchange_that_is_not_known_is_none(client: Gql) -> None:
    assert await client.run('{ market(exchange: "XXXX") { name } }') == {"market": None}


async def test_markets_are_for_those_who_have_signed_in(gql: Gql) -> None:
    for query in ("{ markets { name } }", '{ market(exchange: "XNSE") { name } }'):
        assert (await gql.ask(query)).codes == ["UNAUTHENTICATED"]


@pytest.mark.parametrize(
    ("moment", "trades", "session", "following"),
    [
        ("2026-01-26 05:00", False, None, "2026-01-27"),
        ("2026-01-27 05:00", True, "2026-01-27", "2026-01-28"),
        ("2026-01-27 10:00", False, "2026-01-27", "2026-01-28"),
        # Still Republic Day in UTC, already Tuesday in Mumbai.
        ("2026-01-26 20:00", False, "2026-01-27", "2026-01-28"),
        # Before the Sunday of the Union Budget.
        ("2026-01-31 05:00", False, None, "2026-02-01"),
    ],
)
async def test_a_market_says_whether_it_trades_now(
    client: Gql, services: Services, moment: str, trades: object, session: str | None, following: str
) -> None:
    clock(services, moment)
    market = (await client.run(NOW, exchange="XNSE"))["market"]
    assert (market["isOpen"], market["settlementDays"]) == (trades, 1)
    assert (market["session"] and market["session"]["day"]) == session
    assert market["nextSession"] == {"day": following}


async def test_sessions_are_listed_with_their_hours(client: Gql) -> None:
    given = {"exchange": "XNSE", "from": "2026-01-30", "to": "2026-02-02"}
    found = (await client.run(SESSIONS, **given))["market"]
    plain = {"special": False, "provisional": False, "note": None}
    budget = {"day": "2026-02-01", "opensAt": "2026-02-01T03:45:00Z", "closesAt": "2026-02-01T10:00:00Z"}
    assert found["sessions"] == [
        {"day": "2026-01-30", "opensAt": "2026-01-30T03:45:00Z", "closesAt": "2026-01-30T10:00:00Z", **plain},
        {**budget, "special": True, "provisional": False, "note": "Union Budget"},
        {"day": "2026-02-02", "opensAt": "2026-02-02T03:45:00Z", "closesAt": "2026-02-02T10:00:00Z", **plain},
    ]
    assert found["specialDays"] == [{**budget, "note": "Union Budget"}]


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2021-11-04", "12:45", "13:45"),
        ("2022-10-24", "12:45", "13:45"),
        ("2023-11-12", "12:45", "13:45"),
        ("2024-01-20", "03:45", "10:00"),
        ("2024-03-02", "03:45", "07:00"),
        ("2024-05-18", "03:45", "07:00"),
        ("2024-11-01", "12:30", "13:30"),
        ("2025-02-01", "03:45", "10:00"),
        ("2025-10-21", "08:15", "09:15"),
        ("2026-11-08", "12:30", "13:30"),
    ],
)
@pytest.mark.parametrize("exchange", ["XNSE", "XBOM"])
async def test_what_india_has_announced_is_known(client: Gql, exchange: str, day: str, opens: str, closes: str) -> None:
    (session,) = (await client.run(SESSIONS, **{"exchange": exchange, "from": day, "to": day}))["market"]["sessions"]
    assert (session["opensAt"], session["closesAt"]) == (f"{day}T{opens}:00Z", f"{day}T{closes}:00Z")
    assert session["special"]


async def test_what_is_not_announced_yet_is_said_to_be_provisional(client: Gql) -> None:
    given = {"exchange": "XNSE", "from": "2030-01-04", "to": "2030-01-08"}
    found = (await client.run(SESSIONS, **given))["market"]["sessions"]
    assert [(each["day"], each["provisional"]) for each in found] == [
        ("2030-01-04", True),
        ("2030-01-07", True),
        ("2030-01-08", True),
    ]


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"from": "2026-01-01", "to": "2027-02-04"}, []),
        ({"from": "2026-01-01", "to": "2027-02-05"}, ["VALIDATION_ERROR"]),
        ({"from": "2026-01-02", "to": "2026-01-01"}, ["VALIDATION_ERROR"]),
        ({"from": "9999-12-31"}, []),
        ({"from": "0001-01-01"}, []),
    ],
)
async def test_the_days_of_a_market_are_bounded(client: Gql, given: dict[str, str], codes: list[str]) -> None:
    for exchange in ("XNSE", "XNYS", "XSES"):
        answer = await client.ask(SESSIONS, exchange=exchange, **given)
        assert set(answer.codes) == set(codes)
        for error in answer.get("errors", []):
            assert error["extensions"]["details"][0]["field"] == "from"


async def test_a_month_is_given_where_no_last_day_is_named(client: Gql) -> None:
    found = (await client.run(SESSIONS, **{"exchange": "XNSE", "from": "2026-06-01"}))["market"]["sessions"]
    assert (found[0]["day"], found[-1]["day"]) == ("2026-06-01", "2026-06-30")


async def test_the_days_of_all_markets_of_a_level_are_bounded_together(client: Gql, make: Make) -> None:
    query = """query ($first: Int) { instruments(first: $first) { nodes { market {
        sessions(from: "2025-01-01", to: "2026-02-04") { day } } } } }"""
    for number in range(76):
        await make.instrument(f"S{number}")
    assert (await client.ask(query, first=75)).codes == []
    assert set((await client.ask(query, first=76)).codes) == {"QUERY_TOO_COMPLEX"}


@pytest.mark.parametrize("instruments", [2, 20])
async def test_markets_of_instruments_cost_one_statement(
    client: Gql, make: Make, statements: Statements, instruments: int
) -> None:
    for number in range(instruments):
        await make.instrument(f"S{number}", exchange=("XNSE", "XNAS", "XXXX")[number % 3])
    query = "{ instruments { nodes { symbol market { exchange isOpen session { day } } } } }"
    await client.run(query)
    with statements.counted() as seen:
        nodes = (await client.run(query))["instruments"]["nodes"]
    # The instruments and the special days.
    assert len(seen) == 2
    shown = {node["market"] and node["market"]["exchange"] for node in nodes}
    assert shown == ({"XNSE", "XNAS"} if instruments == 2 else {"XNSE", "XNAS", None})


async def test_an_admin_opens_a_saturday_and_everybody_sees_it(admin: Gql, client: Gql) -> None:
    payload = await admin.change(
        "setMarketDay",
        STATED,
        exchange="XNSE",
        day="2026-01-03",
        note="  Test of  the other site ",
        opensAt="2026-01-03T09:15:00+05:30",
        closesAt="2026-01-03T12:30:00+05:30",
    )
    stated = {"day": "2026-01-03", "opensAt": "2026-01-03T03:45:00Z", "closesAt": "2026-01-03T07:00:00Z"}
    assert made(payload, "specialDay") == {**stated, "note": "Test of the other site"}
    assert payload["market"]["sessions"][0] == {"day": "2026-01-03", "special": True, "note": "Test of the other site"}
    given = {"exchange": "XNSE", "from": "2026-01-03", "to": "2026-01-03"}
    assert (await client.run(SESSIONS, **given))["market"]["sessions"][0]["note"] == "Test of the other site"
    # The Bombay Stock Exchange has announced nothing.
    assert (await client.run(SESSIONS, **{**given, "exchange": "XBOM"}))["market"]["sessions"] == []


async def test_an_admin_closes_a_day_states_it_anew_and_takes_it_back(admin: Gql, make: Make) -> None:
    day = {"exchange": "XNSE", "day": "2026-01-05"}
    closed = await admin.change("setMarketDay", STATED, **day, note="Mourning")
    assert made(closed, "specialDay") == {"day": "2026-01-05", "opensAt": None, "closesAt": None, "note": "Mourning"}
    assert closed["market"]["sessions"] == []
    hours = {"opensAt": "2026-01-05T03:45:00Z", "closesAt": "2026-01-05T06:00:00Z"}
    short = await admin.change("setMarketDay", STATED, **day, note="Half a day", **hours)
    assert short["market"]["sessions"] == [{"day": "2026-01-05", "special": True, "note": "Half a day"}]
    cleared = await admin.change("clearMarketDay", STATED, **day)
    assert made(cleared, "specialDay")["note"] == "Half a day"
    assert cleared["market"]["sessions"] == [{"day": "2026-01-05", "special": False, "note": None}]
    assert declined(await admin.change("clearMarketDay", STATED, **day)) == [("INVALID_VALUE", "input.day")]
    trail = await make.connection.fetch("select action from audit_events order by id")
    assert [row["action"].partition(".")[2] for row in trail] == ["set_market_day"] * 2 + ["clear_market_day"]


EARLY, LATE = "2026-01-05T03:45:00Z", "2026-01-05T10:00:00Z"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"exchange": "XXXX"}, "exchange"),
        ({"exchange": ""}, "exchange"),
        ({"opensAt": EARLY}, "closesAt"),
        ({"closesAt": LATE}, "opensAt"),
        ({"opensAt": LATE, "closesAt": EARLY}, "closesAt"),
        ({"opensAt": EARLY, "closesAt": EARLY}, "closesAt"),
        # Half past midnight in Mumbai, and on another day in UTC: of the day before, and of the day after.
        ({"opensAt": "2026-01-04T18:29:59Z", "closesAt": LATE}, "opensAt"),
        ({"opensAt": EARLY, "closesAt": "2026-01-05T18:30:00Z"}, "closesAt"),
        ({"opensAt": "9999-12-31T23:59:59Z", "closesAt": LATE}, "opensAt"),
        ({"note": "  "}, "note"),
        ({"note": "x" * 201}, "note"),
    ],
)
async def test_what_no_exchange_would_announce_is_declined(admin: Gql, make: Make, given: Any, field: str) -> None:
    before = await make.connection.fetchval("select count(*) from market_days")
    wanted = {"exchange": "XNSE", "day": "2026-01-05", "note": "Special", **given}
    payload = await admin.change("setMarketDay", STATED, **wanted)
    assert declined(payload) == [("INVALID_VALUE", f"input.{field}")]
    assert await make.connection.fetchval("select count(*) from market_days") == before


async def test_a_moment_that_utc_does_not_have_is_no_moment(admin: Gql) -> None:
    document = "mutation ($i: SetMarketDayInput!) { setMarketDay(input: $i) { userErrors { code } } }"
    given = {"exchange": "XNSE", "day": "0001-01-01", "note": "x", "opensAt": "0001-01-01T00:00:00+05:30"}
    assert (await admin.ask(document, i=given)).codes == ["VALIDATION_ERROR"]


async def test_the_edges_of_the_day_are_the_exchanges_own(admin: Gql) -> None:
    wanted = {"exchange": "XNSE", "day": "2026-01-05", "note": "All day"}
    hours = {"opensAt": "2026-01-04T18:30:00Z", "closesAt": "2026-01-05T18:29:59Z"}
    assert made(await admin.change("setMarketDay", STATED, **wanted, **hours), "specialDay")["note"] == "All day"


@pytest.fixture
async def desk(gql: Gql, make: Make) -> Desk:
    return await Desk.open(gql, make)


@pytest.mark.parametrize(
    ("share", "traded_on", "settles_on"),
    [
        ("HDFCBANK", "2024-03-01", "2024-03-04"),
        # Over Republic Day and a weekend.
        ("HDFCBANK", "2024-01-25", "2024-01-29"),
        ("AAPL", "2024-03-01", "2024-03-05"),
        # Over Independence Day.
        ("AAPL", "2024-07-03", "2024-07-05"),
        ("ELSEWHERE", "2024-07-05", "2024-07-08"),
    ],
)
async def test_a_trade_settles_by_the_calendar_of_its_market(
    desk: Desk, share: str, traded_on: str, settles_on: str
) -> None:
    desk.shares["ELSEWHERE"] = await desk.make.instrument("ELSEWHERE", exchange="XXXX")
    await desk.record("DEPOSIT", "2024-01-01", amount="1000")
    await desk.record("DEPOSIT", "2024-01-01", amount="1000", currency="USD")
    bought = made(await desk.record("BUY", traded_on, share, quantity="1", price="100"))
    assert (bought["tradedOn"], bought["settlesOn"]) == (traded_on, settles_on)
    sold = made(await desk.record("SELL", traded_on, share, quantity="1", price="100", settlesOn="2024-12-31"))
    assert sold["settlesOn"] == "2024-12-31"


async def test_an_announced_holiday_puts_settlement_off(desk: Desk, admin: Gql) -> None:
    await desk.record("DEPOSIT", "2024-01-01", amount="1000")
    made(await admin.change("setMarketDay", STATED, exchange="XNSE", day="2024-03-04", note="Closed"), "specialDay")
    given = {"quantity": "1", "price": "100", "idempotencyKey": "once"}
    bought = made(await desk.record("BUY", "2024-03-01", "HDFCBANK", **given))
    assert bought["settlesOn"] == "2024-03-05"
    # A repeat gives the first result, whatever has become of the calendar since.
    await admin.change("clearMarketDay", STATED, exchange="XNSE", day="2024-03-04")
    again = made(await desk.record("BUY", "2024-03-01", "HDFCBANK", **given))
    assert (again["id"], again["settlesOn"]) == (bought["id"], "2024-03-05")


async def test_a_trade_on_a_holiday_is_a_fact_too(desk: Desk) -> None:
    await desk.record("DEPOSIT", "2024-01-01", amount="1000")
    bought = made(await desk.record("BUY", date(2024, 1, 26), "HDFCBANK", quantity="1", price="100"))
    assert (bought["tradedOn"], bought["settlesOn"]) == ("2024-01-26", "2024-01-29")


async def test_an_instrument_leads_to_its_market(client: Gql, make: Make) -> None:
    share = await make.instrument("AAPL", exchange="XNAS")
    query = "query ($id: ID!) { node(id: $id) { ... on Instrument { market { name timeZone } } } }"
    found = await client.run(query, id=id_of(share))
    assert found["node"]["market"] == {"name": "Nasdaq", "timeZone": "America/New_York"}
