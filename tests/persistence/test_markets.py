import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.access import SYSTEM, Role, Viewer
from domain.instruments import FxRate, Instrument, InstrumentStatus, Price
from domain.jobs import Office as AnyOffice
from domain.markets import NewMarketDay, set_market_day
from domain.markets.data import MarketData, Quoted, SimulatedMarket
from domain.markets.publishing import MOST_SESSIONS, publish
from domain.office import JOBS, SCHEDULES
from domain.work import Work
from graph.context import Services
from graph.office import Office
from persistence.database import Database
from tests.factories.firm import Make
from tests.support.statements import Statements
from tests.support.worker import drained

D = Decimal
# A Friday before a week without holidays, in India and in the United States.
FRIDAY = date(2026, 1, 2)


def office(services: Services, moment: str, vendor: MarketData | None = None) -> AnyOffice:
    """What the job gets, at a moment of UTC."""
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    services.doors.clock = lambda: now
    gateways = msgspec.structs.replace(services.gateways, market_data=vendor or SimulatedMarket())
    return Office(services.doors, gateways, asyncio.Semaphore(4), 1)


@pytest.fixture
async def infy(make: Make) -> Instrument:
    """A share in Mumbai, priced on Friday."""
    share = await make.instrument("INFY")
    await make.price(share, FRIDAY, "1500")
    return share


@pytest.fixture
async def aapl(make: Make) -> Instrument:
    """A share in New York, priced on Friday."""
    share = await make.instrument("AAPL", exchange="XNAS", currency="USD", tick_size=D("0.01"))
    await make.price(share, FRIDAY, "250")
    return share


async def priced(make: Make, share: Instrument) -> dict[str, Decimal]:
    """The closes since Friday, by day."""
    statement = "select priced_on, close from prices where instrument_id = $1 and priced_on > $2 order by priced_on"
    return {str(row[0]): row[1] for row in await make.connection.fetch(statement, share.id, FRIDAY)}


async def rated(make: Make, currency: str) -> list[str]:
    statement = "select quoted_on from fx_rates where currency = $1 and quoted_on > $2 order by quoted_on"
    return [str(row[0]) for row in await make.connection.fetch(statement, currency, FRIDAY)]


async def test_a_close_is_added_after_the_close_and_not_before(
    services: Services, make: Make, infy: Instrument
) -> None:
    await publish(office(services, "2026-01-05 09:59"))
    assert await priced(make, infy) == {}
    await publish(office(services, "2026-01-05 10:00"))
    after = await priced(make, infy)
    assert list(after) == ["2026-01-05"]
    assert D(1300) < after["2026-01-05"] < D(1700)
    assert after["2026-01-05"] % infy.tick_size == 0


async def test_publishing_twice_is_publishing_once(services: Services, make: Make, infy: Instrument) -> None:
    await publish(office(services, "2026-01-06 12:00"))
    first = await priced(make, infy)
    await publish(office(services, "2026-01-06 12:10"))
    await publish(office(services, "2026-01-07 02:00"))
    assert await priced(make, infy) == first
    assert len(first) == 2


async def test_missing_days_are_filled_each_by_the_sessions_of_its_market(
    services: Services, make: Make, infy: Instrument, aapl: Instrument
) -> None:
    await publish(office(services, "2026-01-09 12:00"))
    assert list(await priced(make, infy)) == [f"2026-01-{day:02}" for day in (5, 6, 7, 8, 9)]
    assert list(await priced(make, aapl)) == [f"2026-01-{day:02}" for day in (5, 6, 7, 8)]
    assert len(set((await priced(make, infy)).values())) > 1


async def test_holidays_have_no_close_and_announced_sessions_have_one(
    services: Services, make: Make, infy: Instrument, aapl: Instrument
) -> None:
    for share in (infy, aapl):
        await make.price(share, date(2026, 1, 16), "1000")
    await publish(office(services, "2026-02-02 23:00"))
    mumbai, new_york = [{day for day in await priced(make, share) if day > "2026-01-16"} for share in (infy, aapl)]
    # Republic Day in India; Martin Luther King's Day in the United States, which is more than ten sessions back there.
    assert "2026-01-26" not in mumbai
    assert "2026-01-26" in new_york
    assert "2026-01-19" not in new_york
    # The Union Budget on a Sunday, which the migration knows of.
    assert "2026-02-01" in mumbai
    assert "2026-02-01" not in new_york


async def test_a_firm_that_was_away_has_the_last_sessions(services: Services, make: Make, infy: Instrument) -> None:
    await publish(office(services, "2026-06-30 12:00"))
    days = list(await priced(make, infy))
    assert len(days) == MOST_SESSIONS
    # Muharram is on a Friday.
    assert (days[0], days[-1]) == ("2026-06-16", "2026-06-30")


class Fragile(SimulatedMarket):
    """A vendor that is gone after so many answers."""

    def __init__(self, answers: int) -> None:
        self.answers = answers

    async def closes(self, instruments: Sequence[Quoted], day: date) -> Sequence[Price]:
        if not self.answers:
            raise ConnectionError
        self.answers -= 1
        return await super().closes(instruments, day)


@pytest.mark.parametrize("answers", [0, 1, 3])
async def test_a_run_that_was_cut_short_is_gone_on_with(
    services: Services, make: Make, infy: Instrument, answers: int
) -> None:
    with pytest.raises(ConnectionError):
        await publish(office(services, "2026-01-09 12:00", Fragile(answers)))
    assert len(await priced(make, infy)) == answers
    await publish(office(services, "2026-01-09 12:10"))
    last, expected = D(1500), {}
    for day in range(5, 10):
        (close,) = await SimulatedMarket().closes([Quoted(infy, None, last)], date(2026, 1, day))
        expected[f"2026-01-{day:02}"] = last = close.close
    assert await priced(make, infy) == expected


async def test_two_that_publish_at_once_add_each_close_once(
    services: Services, make: Make, infy: Instrument, aapl: Instrument
) -> None:
    await make.rate("INR", FRIDAY, "0.011")
    run = office(services, "2026-01-09 23:00")
    await asyncio.gather(*(publish(run) for _ in range(4)))
    for share in (infy, aapl):
        assert len(await priced(make, share)) == 5
    assert len(await rated(make, "INR")) == 5


@pytest.mark.parametrize("status", [InstrumentStatus.SUSPENDED, InstrumentStatus.DELISTED])
async def test_what_is_not_traded_has_no_close(services: Services, make: Make, status: InstrumentStatus) -> None:
    share = await make.instrument("GONE", status=status)
    await make.price(share, FRIDAY, "10")
    await publish(office(services, "2026-01-09 12:00"))
    assert await priced(make, share) == {}


async def test_an_exchange_that_is_not_known_stops_nothing(services: Services, make: Make, infy: Instrument) -> None:
    share = await make.instrument("ELSEWHERE", exchange="XXXX")
    await make.price(share, FRIDAY, "10")
    await publish(office(services, "2026-01-05 12:00"))
    assert await priced(make, share) == {}
    assert len(await priced(make, infy)) == 1


class Said(SimulatedMarket):
    """A vendor that says what it is told, by day."""

    def __init__(self, closes: dict[str, Sequence[Price]], rates: Sequence[FxRate] = ()) -> None:
        self.said = closes
        self.said_rates = rates
        self.asked: list[tuple[str, list[UUID]]] = []

    async def closes(self, instruments: Sequence[Quoted], day: date) -> Sequence[Price]:
        self.asked.append((str(day), [quoted.instrument.id for quoted in instruments]))
        return self.said.get(str(day), ())

    async def rates(self, last: Sequence[FxRate], day: date) -> Sequence[FxRate]:  # noqa: ARG002 - the Protocol's
        return self.said_rates


async def test_a_vendors_nonsense_is_left_out(services: Services, make: Make, infy: Instrument) -> None:
    other = await make.instrument("OTHER")
    await make.price(other, FRIDAY, "10")
    await make.rate("INR", FRIDAY, "0.011")
    monday, unknown = date(2026, 1, 5), UUID(int=9)
    nonsense = [
        *(Price(infy.id, monday, D(close)) for close in ("NaN", "-Infinity", "0", "-1", "1e15", "0.00000000001")),
        Price(infy.id, date(2026, 1, 6), D(1)),
        Price(unknown, monday, D(1)),
    ]
    rates = [FxRate("INR", monday, D("NaN")), FxRate("XXX", monday, D(1)), FxRate("INR", date(2026, 1, 6), D(1))]
    await publish(
        office(services, "2026-01-06 04:00", Said({"2026-01-05": [*nonsense, Price(other.id, monday, D(11))]}, rates))
    )
    assert await priced(make, infy) == {}
    assert await priced(make, other) == {"2026-01-05": D(11)}
    assert await rated(make, "INR") == []
    # What is still missing is asked for again.
    await publish(office(services, "2026-01-06 04:10"))
    assert list(await priced(make, infy)) == ["2026-01-05"]
    assert await rated(make, "INR") == ["2026-01-05"]


async def test_a_day_without_a_trade_does_not_hold_up_the_next(
    services: Services, make: Make, infy: Instrument
) -> None:
    tuesday = Price(infy.id, date(2026, 1, 6), D(1510))
    vendor = Said({"2026-01-06": [tuesday]})
    await publish(office(services, "2026-01-06 12:00", vendor))
    assert await priced(make, infy) == {"2026-01-06": D(1510)}
    await publish(office(services, "2026-01-06 12:10", vendor))
    assert [day for day, _ in vendor.asked] == ["2026-01-05", "2026-01-06"]


async def test_a_new_instrument_begins_with_the_last_session(services: Services, make: Make) -> None:
    share = await make.instrument("NEW")
    vendor = Said({"2026-01-06": [Price(share.id, date(2026, 1, 6), D(20))]})
    await publish(office(services, "2026-01-06 12:00", vendor))
    assert vendor.asked == [("2026-01-06", [share.id])]
    assert await priced(make, share) == {"2026-01-06": D(20)}


class Watching(SimulatedMarket):
    """A vendor that looks at what the database does while it is asked."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.seen: list[int] = []

    async def closes(self, instruments: Sequence[Quoted], day: date) -> Sequence[Price]:
        open_ones = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
        self.seen.append(await self.make.connection.fetchval(open_ones))
        return await super().closes(instruments, day)


async def test_the_vendor_is_asked_outside_of_any_transaction(services: Services, make: Make, infy: Instrument) -> None:
    vendor = Watching(make)
    await publish(office(services, "2026-01-06 12:00", vendor))
    assert vendor.seen == [0, 0]
    assert len(await priced(make, infy)) == 2


async def test_rates_are_added_on_weekdays_after_five_in_new_york(services: Services, make: Make) -> None:
    for currency, usd in (("INR", "0.011"), ("USD", "1"), ("EUR", "1.16")):
        await make.rate(currency, FRIDAY, usd)
    await publish(office(services, "2026-01-05 21:59"))
    assert await rated(make, "INR") == []
    await publish(office(services, "2026-01-12 12:00"))
    for currency in ("INR", "USD", "EUR"):
        assert await rated(make, currency) == [f"2026-01-{day:02}" for day in (5, 6, 7, 8, 9)]
    before = await make.connection.fetch("select * from fx_rates order by 1, 2")
    await publish(office(services, "2026-01-12 13:00"))
    assert await make.connection.fetch("select * from fx_rates order by 1, 2") == before
    assert {row["usd"] for row in before if row["currency"] == "USD"} == {D(1)}
    assert len({row["usd"] for row in before if row["currency"] == "INR"}) == 6


async def test_a_currency_that_lags_catches_up(services: Services, make: Make) -> None:
    await make.rate("INR", FRIDAY, "0.011")
    await make.rate("EUR", date(2026, 1, 7), "1.16")
    await publish(office(services, "2026-01-08 23:00"))
    assert len(await rated(make, "INR")) == 4
    assert await rated(make, "EUR") == ["2026-01-07", "2026-01-08"]


async def test_a_run_that_finds_nothing_due_costs_three_statements(
    services: Services, make: Make, infy: Instrument, aapl: Instrument, statements: Statements
) -> None:
    await make.rate("INR", date(2026, 1, 5), "0.011")
    await publish(office(services, "2026-01-05 23:00"))
    with statements.counted() as seen:
        await publish(office(services, "2026-01-05 23:10"))
    # The instruments, the special days of their markets, the rates.
    assert len(seen) == 3
    assert [len(await priced(make, share)) for share in (infy, aapl)] == [1, 1]


async def test_publishing_is_a_job_with_a_schedule(services: Services, make: Make, infy: Instrument) -> None:
    assert publish in JOBS
    assert publish in {schedule.job for schedule in SCHEDULES}

    async def enqueue(work: Work, _: Viewer) -> None:
        work.enqueue(publish)

    await services.doors.write(SYSTEM, "test", enqueue, SYSTEM)
    assert await drained(services) == 1
    assert len(await priced(make, infy)) > 0


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.ADVISOR, Role.ANALYST, Role.CLIENT, Role.SERVICE])
async def test_nobody_but_the_firm_itself_writes_prices(
    services: Services, make: Make, infy: Instrument, role: Role
) -> None:
    viewer = await make.viewer(await make.user(role, await make.team()))
    for statement, arguments in (
        ("insert into prices values ($1, $2, 1)", (infy.id, date(2026, 1, 5))),
        ("insert into fx_rates values ('INR', $1, 1)", (date(2026, 1, 5),)),
        ("insert into market_days values ($1, 'XNSE', $2, null, null, 'x', 1)", (infy.id, date(2026, 1, 5))),
    ):
        assert await _refused(services.doors.database, viewer, statement, arguments)
    changed = await services.doors.write(SYSTEM, "test", _states, NewMarketDay("XNSE", date(2026, 1, 5), "Closed"))
    assert changed == date(2026, 1, 5)


async def _states(work: Work, new: NewMarketDay) -> date:
    return (await set_market_day(work, SYSTEM, new)).day


async def _refused(database: Database, viewer: Viewer, statement: str, arguments: tuple[Any, ...]) -> bool:
    async with database.lend(viewer) as lent:
        try:
            await lent.connection.execute(statement, *arguments)
        except Exception as error:  # noqa: BLE001 - which one it was is what is asked
            return "row-level security" in str(error)
    return False


async def test_a_day_that_many_state_at_once_is_stated_once(services: Services, make: Make) -> None:
    day = date(2026, 1, 5)
    opens = datetime(2026, 1, 5, 4, tzinfo=UTC)
    stated = [NewMarketDay("XNSE", day, f"Note {each}", opens, opens + each * timedelta(hours=1)) for each in (1, 2, 3)]
    await asyncio.gather(*(services.doors.write(SYSTEM, "test", _states, new) for new in stated))
    rows = await make.connection.fetch("select * from market_days where day = $1", day)
    assert len(rows) == 1
    assert rows[0]["version"] == 3
    assert rows[0]["note"] in {new.note for new in stated}
    trail = await make.connection.fetch("select before from audit_events where object_id = $1", rows[0]["id"])
    assert sorted(row["before"] is None for row in trail) == [False, False, True]


async def test_a_calendar_is_read_by_one_statement(services: Services, statements: Statements) -> None:
    async def count(work: Work) -> list[int]:
        found = []
        for exchange in ("XNSE", "XNAS"):
            with statements.counted() as seen:
                await work.markets.calendar(exchange)
            found.append(len(seen))
        return found

    assert await services.doors.write(SYSTEM, "test", count) == [1, 1]
