import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.instruments import FxRate, Instrument, InstrumentKind, InstrumentStatus, RiskLevel
from domain.markets import EXCHANGES, Calendar, MarketDay
from domain.markets.data import Quoted, SimulatedMarket
from domain.markets.ordinary import FIRST, ordinary
from domain.money import fits_number
from domain.valuation import AssetClass

D = Decimal
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def calendar(mic: str, *special: MarketDay) -> Calendar:
    exchange = EXCHANGES[mic]
    return Calendar(exchange, asyncio.run(ordinary(exchange.calendar)), special)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def special(day: str, opens: str | None = None, closes: str | None = None, note: str = "Special") -> MarketDay:
    """A special day, its hours in UTC."""
    hours = [at(f"{day} {hour}") if hour else None for hour in (opens, closes)]
    return MarketDay(UUID(int=1), "XNSE", date.fromisoformat(day), hours[0], hours[1], note, 1)


SATURDAY = special("2026-01-31", "03:45", "07:00", "Test of the other site")


@pytest.mark.parametrize(
    ("mic", "day", "opens", "closes"),
    [
        ("XNSE", "2026-01-05", "03:45", "10:00"),
        ("XBOM", "2026-01-05", "03:45", "10:00"),
        ("XNAS", "2026-03-06", "14:30", "21:00"),
        # Three days later the clocks of New York have been put forward.
        ("XNAS", "2026-03-09", "13:30", "20:00"),
        ("ARCX", "2025-11-28", "14:30", "18:00"),
        ("XLON", "2026-07-01", "07:00", "15:30"),
        ("XLON", "2025-12-24", "08:00", "12:30"),
        ("XETR", "2026-07-01", "07:00", "15:30"),
        ("XSES", "2026-07-01", "01:00", "09:00"),
    ],
)
def test_a_session_has_the_hours_of_its_exchange_in_utc(mic: str, day: str, opens: str, closes: str) -> None:
    session = calendar(mic).session(date.fromisoformat(day))
    assert session
    assert (session.opens_at, session.closes_at) == (at(f"{day} {opens}"), at(f"{day} {closes}"))
    assert session.opens_at.tzinfo is UTC
    assert (session.special, session.provisional, session.note) == (False, False, None)


@pytest.mark.parametrize(
    ("mic", "day"),
    [
        ("XNSE", "2026-01-26"),
        ("XNSE", "2024-05-20"),
        ("XNYS", "2026-07-03"),
        ("XNYS", "2025-01-09"),
        ("XLON", "2026-04-06"),
        ("XETR", "2026-05-01"),
        ("XSES", "2026-02-17"),
        *((mic, "2026-01-10") for mic in EXCHANGES),
        *((mic, "2026-01-11") for mic in EXCHANGES),
    ],
)
def test_holidays_and_weekends_are_no_sessions(mic: str, day: str) -> None:
    assert calendar(mic).session(date.fromisoformat(day)) is None


def test_a_session_begins_with_its_opening_and_is_over_at_its_close() -> None:
    bombay = calendar("XNSE")
    for moment, is_open in (
        ("2026-01-05 03:44:59", False),
        ("2026-01-05 03:45", True),
        ("2026-01-05 09:59:59", True),
        ("2026-01-05 10:00", False),
        ("2026-01-26 05:00", False),
    ):
        assert bombay.is_open(at(moment)) is is_open, moment


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-01-05 00:00", "2026-01-05"),
        ("2026-01-05 09:59", "2026-01-05"),
        ("2026-01-05 10:00", "2026-01-06"),
        # Still Sunday in UTC, already Monday in Mumbai.
        ("2026-01-04 19:00", "2026-01-05"),
        ("2026-01-23 11:00", "2026-01-27"),
        ("2026-01-30 11:00", "2026-01-31"),
        ("2026-01-31 07:00", "2026-02-02"),
    ],
)
def test_an_order_is_for_the_session_that_has_not_closed(moment: str, day: str) -> None:
    assert calendar("XNSE", SATURDAY).current_or_next(at(moment)).day == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("mic", "traded_on", "settles_on"),
    [
        ("XNSE", "2026-01-05", "2026-01-06"),
        # Over a weekend and Republic Day.
        ("XNSE", "2026-01-23", "2026-01-27"),
        # The special session on Saturday settles nothing.
        ("XNSE", "2026-01-30", "2026-02-02"),
        ("XNSE", "2026-01-31", "2026-02-02"),
        ("XNSE", "2023-01-25", "2023-01-30"),
        ("XNSE", "2023-01-27", "2023-01-30"),
        # The last trades of two days, over Memorial Day, and the first of one.
        ("XNAS", "2024-05-24", "2024-05-29"),
        ("XNYS", "2024-05-28", "2024-05-29"),
        # Over Easter.
        ("XLON", "2026-04-02", "2026-04-08"),
        ("XETR", "2026-04-02", "2026-04-08"),
        ("XETR", "2027-10-08", "2027-10-12"),
        ("XETR", "2027-10-11", "2027-10-12"),
        ("XSES", "2026-01-05", "2026-01-07"),
        # Custodians report facts, on whatever day.
        ("XSES", "2026-01-04", "2026-01-06"),
        ("XNSE", "2019-03-01", "2019-03-05"),
    ],
)
def test_settlement_counts_the_business_days_of_the_market(mic: str, traded_on: str, settles_on: str) -> None:
    days = [date.fromisoformat(day) for day in (traded_on, settles_on)]
    assert calendar(mic, SATURDAY).settles_on(days[0]) == days[1]


def test_what_the_exchange_has_not_said_yet_is_taken_from_the_weekday() -> None:
    bombay = calendar("XNSE")
    thursday = bombay.session(date(2026, 12, 31))
    friday = bombay.session(date(2027, 1, 1))
    assert thursday
    assert friday
    assert (thursday.provisional, friday.provisional) == (False, True)
    assert (friday.opens_at, friday.closes_at) == (at("2027-01-01 03:45"), at("2027-01-01 10:00"))
    assert bombay.session(date(2027, 1, 2)) is None
    before = bombay.session(FIRST - DAY)
    assert before
    assert before.provisional
    assert calendar("XSES").session(date(2027, 6, 1)) is not None


def test_what_is_not_known_has_the_hours_of_its_season() -> None:
    for day, opens in ((date(2041, 1, 7), 14), (date(2041, 7, 8), 13)):
        session = calendar("XNYS").session(day)
        assert session
        assert session.opens_at == datetime(day.year, day.month, day.day, opens, 30, tzinfo=UTC)


def test_an_announced_day_goes_before_the_rules() -> None:
    bombay = calendar(
        "XNSE",
        special("2026-01-05", note="Mourning"),
        special("2026-01-06", "03:45", "06:00", "Early close"),
        special("2026-01-26", "12:45", "13:45", "An evening"),
    )
    assert bombay.session(date(2026, 1, 5)) is None
    assert bombay.settles_on(date(2026, 1, 2)) == date(2026, 1, 6)
    early, evening = bombay.session(date(2026, 1, 6)), bombay.session(date(2026, 1, 26))
    assert early
    assert evening
    assert (early.special, early.note, early.closes_at) == (True, "Early close", at("2026-01-06 06:00"))
    assert (evening.special, evening.note) == (True, "An evening")
    assert [session.day.day for session in bombay.sessions(date(2026, 1, 1), date(2026, 1, 9))] == [1, 2, 6, 7, 8, 9]


def test_the_last_close_is_behind_the_moment() -> None:
    bombay = calendar("XNSE")
    for moment, day in (
        ("2026-01-05 09:59", "2026-01-02"),
        ("2026-01-05 10:00", "2026-01-05"),
        ("2026-01-26 12:00", "2026-01-23"),
    ):
        last = bombay.last_closed(at(moment))
        assert last
        assert last.day == date.fromisoformat(day)
    closed_for_good = [special(str(date(2025, 1, 1) + each * DAY)) for each in range(400)]
    assert calendar("XNSE", *closed_for_good).last_closed(at("2026-01-05 12:00")) is None


# Hours of India, which lie on another day elsewhere.
INDIAN = {"XNSE", "XBOM"}
CALENDARS = st.sampled_from(sorted(EXCHANGES)).map(
    lambda mic: calendar(mic, SATURDAY) if mic in INDIAN else calendar(mic)
)
DAYS = st.dates(date(2020, 6, 1), date(2028, 12, 31))
MOMENTS = st.datetimes(datetime(2020, 6, 1), datetime(2028, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the zone comes with it


@given(CALENDARS, DAYS, st.integers(1, 30))
def test_sessions_are_counted_as_they_are_listed(market: Calendar, day: date, count: int) -> None:
    following = market.sessions(day + DAY, day + 90 * DAY)
    assert market.add_sessions(day, count) == following[count - 1].day
    assert market.next_session(day) == following[0]
    settled = market.settles_on(day)
    assert day < settled <= following[3].day
    assert market.session(settled) is not None


@given(CALENDARS, MOMENTS)
def test_at_every_moment_a_session_is_ahead_and_another_behind(market: Calendar, moment: datetime) -> None:
    ahead, behind = market.current_or_next(moment), market.last_closed(moment)
    assert behind
    assert behind.closes_at <= moment < ahead.closes_at
    assert market.is_open(moment) == (ahead.opens_at <= moment)
    assert market.sessions(behind.day, ahead.day) == [behind, ahead]
    for session in (ahead, behind):
        assert {market.day_of(session.opens_at), market.day_of(session.closes_at)} == {session.day}


def test_every_exchange_is_in_the_zone_of_its_calendar() -> None:
    for mic, exchange in EXCHANGES.items():
        day = calendar(mic).session(date(2026, 7, 1))
        assert day
        assert 8 <= day.opens_at.astimezone(ZoneInfo(exchange.time_zone)).hour <= 9


def instrument(**given: object) -> Instrument:
    values: dict[str, object] = {
        "id": UUID(int=7),
        "symbol": "INFY",
        "isin": "INE009A01021",
        "name": "Infosys",
        "sort_name": "infosys",
        "asset_class": AssetClass.EQUITY,
        "sector": "Technology",
        "exchange": "XNSE",
        "currency": "INR",
        "lot_size": D(1),
        "status": InstrumentStatus.ACTIVE,
        "kind": InstrumentKind.SHARE,
        "tick_size": D("0.05"),
        "risk": RiskLevel.HIGH,
    }
    return Instrument(**(values | given))  # type: ignore[arg-type] # the values above are of their fields' types


def closes(*quoted: Quoted, on: date = date(2026, 1, 5)) -> list[Decimal]:
    return [close.close for close in asyncio.run(SimulatedMarket().closes(quoted, on))]


def path(share: Instrument, last: str, days: int) -> Iterator[Decimal]:
    close = D(last)
    for day in range(days):
        (close,) = closes(Quoted(share, None, close), on=date(2026, 1, 1) + day * DAY)
        yield close


def test_a_close_is_the_same_whenever_it_is_asked_for() -> None:
    one, other = (Quoted(instrument(id=UUID(int=number)), date(2026, 1, 2), D(1500)) for number in (1, 2))
    assert closes(one, other) == [*closes(one), *closes(other)]
    assert closes(one) != closes(other)
    assert closes(one) != closes(one, on=date(2026, 1, 6))


def test_what_never_had_a_price_has_none() -> None:
    assert closes(Quoted(instrument(), None, None)) == []


def test_a_fund_has_a_net_asset_value_of_four_places() -> None:
    fund = instrument(kind=InstrumentKind.FUND, tick_size=D("0.01"))
    values = list(path(fund, "45.1234", 30))
    assert all(value == value.quantize(D("0.0001")) for value in values)
    assert any(value != value.quantize(D("0.01")) for value in values)


@given(
    st.sampled_from(AssetClass),
    st.sampled_from([D("0.05"), D("0.01"), D("0.0001")]),
    st.decimals(D("0.0001"), D(10) ** 7, places=4),
    DAYS,
)
def test_a_close_is_a_possible_price_near_the_last(kind: AssetClass, tick: Decimal, last: Decimal, day: date) -> None:
    (close,) = closes(Quoted(instrument(asset_class=kind, tick_size=tick), None, last), on=day)
    assert close > 0
    assert close % tick == 0
    assert fits_number(close)
    # No class moves by more than six of its usual days.
    assert abs(close - last) <= last / 10 + tick


def test_prices_wander_by_their_class() -> None:
    def moves(kind: AssetClass) -> Decimal:
        values = list(path(instrument(asset_class=kind), "1000", 250))
        return sum(abs(after / before - 1) for before, after in pairwise(values)) / D(249)

    calm, wild = moves(AssetClass.DEBT), moves(AssetClass.EQUITY)
    assert D("0.001") < calm < D("0.004")
    assert D("0.008") < wild < D("0.018")


def test_rates_wander_around_the_dollar() -> None:
    last = [FxRate("USD", date(2026, 1, 2), D(1)), FxRate("INR", date(2026, 1, 2), D("0.01124"))]
    dollar, rupee = asyncio.run(SimulatedMarket().rates(last, date(2026, 1, 5)))
    assert (dollar.usd, dollar.quoted_on) == (D(1), date(2026, 1, 5))
    assert rupee.usd != last[1].usd
    assert abs(rupee.usd / last[1].usd - 1) < D("0.02")
    assert fits_number(rupee.usd)
