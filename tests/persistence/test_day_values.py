"""The values of days that are stored are those that would be calculated, whatever changes and however much at once."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import clients
from domain.access import SYSTEM, Role
from domain.clients import ClientChange, Details
from domain.instruments import FxRate, Price
from domain.jobs import Job
from domain.ledger import TransactionKind
from domain.markets import publishing
from domain.money import amount_stored
from domain.valuation import Owner, days
from domain.work import Work
from persistence.day_values import FORGET, FORGET_ALL, FORGET_HELD, LACKING, REACHED
from persistence.sql import Statement, compile_statement
from persistence.valuation import Valuations, _stored
from tests.persistence.test_positions import BEGINNING, MOVES, OPENED, Desk, Move
from tests.strategies import STEADY
from tests.strategies.ledger import decimals
from tests.support.stage import Stage
from tests.support.statements import Statements
from tests.support.worker import drained

NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)
TODAY, DAY = NOW.date(), timedelta(days=1)
CHART = tuple(date(2023, 12, 30) + number * DAY for number in range((TODAY - date(2023, 12, 30)).days + 1))
FEW = settings(STEADY, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
SYMBOLS = count(1)
Kind = TransactionKind
DEPOSIT = Move(Kind.DEPOSIT, 3, 0, Decimal(70), Decimal(1), (1, 1), 0)


class Close(msgspec.Struct, frozen=True):
    """A close of one of a desk's shares that comes, late or not, where there was none."""

    day: int
    share: int
    price: Decimal


class Rate(msgspec.Struct, frozen=True):
    """A rate of the rupee that comes."""

    day: int
    usd: Decimal


class Night(msgspec.Struct, frozen=True):
    """Whatever lacks a value gets it, in the middle of all else."""


STEPS = st.one_of(
    MOVES,
    MOVES,
    st.builds(Close, day=st.integers(0, 30), share=st.integers(0, 1), price=decimals("0.01", "90", 4)),
    st.builds(Rate, day=st.integers(0, 30), usd=decimals("0.01", "0.02", 10)),
    st.just(Night()),
)
# Those of one batch are attempted at once.
SCRIPTS = st.lists(st.lists(STEPS, min_size=1, max_size=4), min_size=1, max_size=8)


@pytest.fixture(autouse=True, scope="module")
async def clock(stage: Stage) -> AsyncIterator[None]:
    """A day on which all that is stored lies in the months before."""
    began = datetime.now(UTC)
    before, stage.services.doors.clock = stage.services.doors.clock, lambda: NOW + (datetime.now(UTC) - began)
    yield
    stage.services.doors.clock = before


async def opened(stage: Stage, **given: Any) -> Desk:
    """A desk whose portfolio counts in dollars what its ledger holds in rupees; there are no rates yet."""
    make = stage.make
    book = await make.book()
    writer = await make.user(Role.ADVISOR, book=book)
    portfolio = await make.portfolio(await make.client(book), opened_on=OPENED, **{"base_currency": "USD", **given})
    shares = [(await make.instrument(f"D{next(SYMBOLS)}")).id for _ in range(2)]
    await stage.owner.execute("delete from fx_rates")
    viewer = msgspec.structs.replace(await make.viewer(writer), book_ids=(book.id,))
    return Desk(stage, viewer, portfolio, shares)


async def as_firm(stage: Stage, verb: Any, *given: Any) -> Any:
    """Call a verb as jobs do."""
    return await stage.services.doors.write(SYSTEM, "test", verb, SYSTEM, *given)


async def attempt(desk: Desk, step: Any) -> None:
    """Take a step of a script, if the rules let it be taken."""
    if isinstance(step, Close):
        price = Price(desk.shares[step.share], OPENED + step.day * DAY, step.price)
        await as_firm(desk.stage, publishing.store_closes, [price])
    elif isinstance(step, Rate):
        await as_firm(desk.stage, publishing.store_rates, [FxRate("INR", OPENED + step.day * DAY, step.usd)])
    elif isinstance(step, Night):
        await as_firm(desk.stage, days.write, [desk.portfolio.id])
    else:
        await desk.attempt(step, sorted(await desk.ledger(), key=lambda entry: entry.recorded_at))


async def night(stage: Stage, job: Job = days.fill) -> None:
    """Run the nightly job, and whatever else waits."""

    async def enqueue(work: Work, *_: Any) -> None:
        work.enqueue(job)

    await as_firm(stage, enqueue)
    await drained(stage.services)


async def check(desk: Desk) -> list[date]:
    """The series is what it would be if nothing were stored; gives the days that were calculated."""
    read, viewer, portfolio_id = desk.stage.services.doors.read, desk.viewer, desk.portfolio.id
    charted = await read(viewer, Valuations.series, viewer, [portfolio_id], CHART)
    ledgers = await read(viewer, Valuations.ledgers, viewer, Owner.PORTFOLIO, [portfolio_id], CHART)
    ((_, points),) = charted.series()
    seen = [(point.on, point.value and amount_stored(point.value.amount)) for point in points]
    meant = [(day, value and amount_stored(value)) for day, value in ledgers.worth(portfolio_id, CHART)]
    assert seen == meant
    return [day for day, _ in charted.calculated(portfolio_id)]


async def stored(desk: Desk) -> dict[date, Decimal | None]:
    rows = await desk.stage.owner.fetch(
        "select day, value from day_values where portfolio_id = $1 order by day", desk.portfolio.id
    )
    return {row["day"]: row["value"] for row in rows}


async def play(stage: Stage, script: Sequence[Sequence[Any]]) -> None:
    """Attempt each batch at once, one after the other."""
    # A rate that comes has every portfolio written again, those of earlier examples too.
    await stage.owner.execute("truncate portfolios cascade")
    desk = await opened(stage)
    for first in (*BEGINNING, Rate(1, Decimal("0.012")), Close(2, 0, Decimal("17.25")), Night()):
        await attempt(desk, first)
    for batch in script:
        await asyncio.gather(*(attempt(desk, step) for step in batch))
        await check(desk)
        await night(stage)
        assert await check(desk) == [TODAY]
    assert len(await stored(desk)) == days.KEPT_DAYS


@FEW
@given(SCRIPTS)
async def test_what_is_stored_is_what_would_be_calculated(stage: Stage, script: list[list[Any]]) -> None:
    await play(stage, script)


@pytest.mark.soak
@settings(FEW, max_examples=300)
@given(SCRIPTS)
async def test_what_is_stored_is_what_would_be_calculated_at_any_rate(stage: Stage, script: list[list[Any]]) -> None:
    await play(stage, script)


async def begun(stage: Stage, **given: Any) -> Desk:
    """A desk with 600 units that are worth 17.25 rupees each from the third on, all of it stored."""
    desk = await opened(stage, **given)
    for first in (*BEGINNING, Rate(1, Decimal("0.012")), Close(2, 0, Decimal("17.25")), Close(2, 1, Decimal(3))):
        await attempt(desk, first)
    await night(stage)
    assert await check(desk) == [TODAY]
    return desk


@pytest.mark.parametrize(
    ("step", "since", "differs"),
    [
        (DEPOSIT, 3, True),
        (Move(Kind.BUY, 5, 0, Decimal(2), Decimal(10), (1, 1), 0), 5, True),
        (Move(Kind.SELL, 6, 0, Decimal(50), Decimal(10), (1, 1), 0), 6, True),
        # Five units at a fifth of the price, until the next close.
        (Move(Kind.SPLIT, 7, 0, Decimal(1), Decimal(1), (5, 1), 0), 7, False),
        (Move(Kind.BONUS, 8, 0, Decimal(1), Decimal(1), (1, 1), 0), 8, False),
        (Move(Kind.REVERSAL, 0, 0, Decimal(1), Decimal(1), (1, 1), 0), 0, True),
        (Close(9, 0, Decimal(20)), 9, True),
        # The other share has no price yet.
        (Close(0, 1, Decimal(4)), 0, False),
        (Rate(10, Decimal("0.013")), 10, True),
    ],
)
async def test_what_changes_a_day_forgets_it_and_the_days_after(
    stage: Stage, *, step: Any, since: int, differs: bool
) -> None:
    desk = await begun(stage)
    before = await stored(desk)
    await attempt(desk, step)
    changed = OPENED + since * DAY
    assert await stored(desk) == {day: value for day, value in before.items() if day < changed}
    assert (await check(desk))[0] == changed
    await drained(stage.services)
    after = await stored(desk)
    assert (len(after), await check(desk)) == (days.KEPT_DAYS, [TODAY])
    assert (after != before) is differs


async def test_a_late_close_forgets_nothing_of_those_who_never_had_the_share(stage: Stage) -> None:
    desk, other = await begun(stage), await begun(stage)
    # The rates were taken away for the second desk: only what rests on its own shares is looked at.
    await attempt(desk, Close(9, 0, Decimal(20)))
    assert (len(await stored(other)), len(await stored(desk))) == (days.KEPT_DAYS, days.KEPT_DAYS - 22)


async def test_a_missing_price_is_stored_as_unknown_until_it_comes(stage: Stage) -> None:
    desk = await begun(stage)
    first = await stored(desk)
    assert (first[OPENED + DAY], first[OPENED - DAY]) == (None, Decimal(0))
    for share in (0, 1):
        await attempt(desk, Close(1, share, Decimal(10)))
    await drained(stage.services)
    # 2,000 in cash, 600 and 10 units: in dollars.
    assert (await stored(desk))[OPENED + DAY] == (2000 + 6100) * Decimal("0.012")


async def test_a_client_that_moves_takes_its_values_along(stage: Stage) -> None:
    desk = await begun(stage)
    before = await stored(desk)
    there = await stage.make.book()
    stranger = await stage.make.viewer(await stage.make.user(Role.ADVISOR, book=there))
    lend = stage.services.doors.database.lend
    count_all = Statement("select count(*) from day_values where portfolio_id = $1", ("id",), {})

    async def seen(viewer: Any) -> int:
        async with lend(viewer) as lent:
            return int((await lent.rows(count_all, {"id": desk.portfolio.id}))[0][0])

    assert (await seen(desk.viewer), await seen(stranger)) == (days.KEPT_DAYS, 0)
    await as_firm(stage, clients.move, desk.portfolio.client_id, there.id, 1)
    assert (await seen(desk.viewer), await seen(stranger)) == (0, days.KEPT_DAYS)
    archived = Details(status=clients.ClientStatus.ARCHIVED)
    await as_firm(stage, clients.update, ClientChange(desk.portfolio.client_id, 2, archived))
    assert await stored(desk) == before


class Gate:
    """Lets a verb that is done wait with its commit."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    def before_commit(self, verb: Callable[..., Awaitable[Any]]) -> Any:
        """The verb, with the wait at its end."""

        async def held(*given: Any) -> Any:
            result = await verb(*given)
            self.reached.set()
            await self.opened.wait()
            return result

        return held


async def in_two_minds(first: Callable[[Gate], Awaitable[Any]], second: Callable[[], Awaitable[Any]]) -> None:
    """Begin the second when the first has done all but its commit, and see that it waits for that."""
    gate = Gate()
    holding = asyncio.ensure_future(first(gate))
    await asyncio.wait_for(gate.reached.wait(), 10)
    waiting = asyncio.ensure_future(second())
    await asyncio.sleep(0.2)
    waits = not waiting.done()
    gate.opened.set()
    await asyncio.gather(holding, waiting)
    assert waits


LATE = [DEPOSIT, Close(9, 0, Decimal(20)), Rate(10, Decimal("0.013"))]


async def emptied(stage: Stage) -> Desk:
    """A desk whose values are still to be written."""
    desk = await begun(stage)
    await stage.owner.execute("delete from day_values where portfolio_id = $1", desk.portfolio.id)
    return desk


@pytest.mark.parametrize("late", LATE)
async def test_what_comes_while_a_night_is_written_waits_and_forgets_it(stage: Stage, late: Any) -> None:
    desk = await emptied(stage)
    await in_two_minds(
        lambda gate: as_firm(stage, gate.before_commit(days.write), [desk.portfolio.id]), lambda: attempt(desk, late)
    )
    assert len(await stored(desk)) < days.KEPT_DAYS
    await check(desk)
    await drained(stage.services)
    assert await check(desk) == [TODAY]


@pytest.mark.parametrize("late", LATE)
async def test_a_night_waits_for_what_is_about_to_come(
    stage: Stage, late: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await emptied(stage)

    async def first(gate: Gate) -> None:
        for changing in ("ledger_changed", "closes_changed", "rates_changed"):
            monkeypatch.setattr(days, changing, gate.before_commit(getattr(days, changing)))
        await attempt(desk, late)

    await in_two_minds(first, lambda: as_firm(stage, days.write, [desk.portfolio.id]))
    assert (len(await stored(desk)), await check(desk)) == (days.KEPT_DAYS, [TODAY])


async def test_what_is_read_is_of_one_moment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is recorded between the readings of the stored days and of the ledger counts on no day."""
    desk = await begun(stage)
    doors, plain = stage.services.doors, Valuations._unstored  # noqa: SLF001 - the place between the two statements
    before = await doors.read(desk.viewer, Valuations.series, desk.viewer, [desk.portfolio.id], CHART)

    async def interrupted(self: Valuations, *given: Any) -> Any:
        await attempt(desk, DEPOSIT)
        return await plain(self, *given)

    monkeypatch.setattr(Valuations, "_unstored", interrupted)
    between = await doors.read(desk.viewer, Valuations.series, desk.viewer, [desk.portfolio.id], CHART)
    assert list(between.series()) == list(before.series())
    monkeypatch.undo()
    await check(desk)


async def test_one_ledger_that_cannot_be_walked_keeps_no_other_from_its_values(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "AT_ONCE", 1)
    broken, sound = await opened(stage), await opened(stage)
    for desk in (broken, sound):
        for first in (*BEGINNING, Rate(1, Decimal("0.012")), Close(2, 0, Decimal(1)), Close(2, 1, Decimal(1))):
            await attempt(desk, first)
    # No rule lets this happen: it is what a fault of another day may leave behind.
    await stage.owner.execute("alter table transactions disable trigger transactions_append_only")
    await stage.owner.execute(
        "update transactions set quantity = null where portfolio_id = $1 and quantity is not null", broken.portfolio.id
    )
    await stage.owner.execute("alter table transactions enable trigger transactions_append_only")
    await night(stage)
    assert (await stored(broken), len(await stored(sound))) == ({}, days.KEPT_DAYS)
    await stage.owner.execute("delete from queue.pgqueuer")
    await stage.owner.execute("truncate transactions cascade")


@pytest.mark.parametrize("portfolios", [1, 4])
async def test_a_series_costs_the_same_for_one_and_for_many(stage: Stage, portfolios: int) -> None:
    desk = await begun(stage)
    client = await stage.make.client(await stage.make.book(), book_id=desk.portfolio.book_id)
    more = [await stage.make.portfolio(client, opened_on=OPENED) for _ in range(portfolios - 1)]
    await night(stage)
    keys: list[UUID] = [desk.portfolio.id, *(each.id for each in more)]
    for chart, statements in ((CHART[:-1], 1), (CHART, 5)):
        with Statements(stage.services.doors.database).counted() as seen:
            await stage.services.doors.read(desk.viewer, Valuations.series, desk.viewer, keys, chart)
        assert len(seen) == statements


async def test_stored_days_are_found_by_their_keys(stage: Stage) -> None:
    desk = await begun(stage)
    book = desk.portfolio.book_id
    client = desk.portfolio.client_id
    await stage.owner.execute(
        "insert into portfolios select gen_random_uuid(), $1, $2, 'p', 'p', 'ACC-9' || n, 'INR', null, '2024-01-01',"
        " 'OPEN', 1 from generate_series(1, 300) n",
        client,
        book,
    )
    await stage.owner.execute(
        "insert into day_values select p.id, date '2024-01-31' - n, n from portfolios p, generate_series(0, 199) n"
        " where p.account_number like 'ACC-9%'"
    )
    await stage.owner.execute("analyze")

    async def plan(viewer: Any, statement: Any) -> str:
        values = {
            "keys": [desk.portfolio.id],
            "days": CHART,
            "viewer_books": viewer.book_ids,
            "since": TODAY - DAY,
            "portfolio_id": desk.portfolio.id,
            "day": TODAY - DAY,
        }
        ready = statement if isinstance(statement, Statement) else compile_statement(statement)
        async with stage.services.doors.database.lend(viewer) as lent:
            explained = Statement(f"explain (costs off) {ready.text}", ready.names, ready.literals)
            return "\n".join(row[0] for row in await lent.rows(explained, values))

    chart = await plan(desk.viewer, _stored(desk.viewer.sight))
    assert re.search(r"day_values_pkey.*\n\s*Index Cond: .*portfolio_id.*day = ANY", chart), chart
    for viewer, statement in (
        (desk.viewer, FORGET),
        (SYSTEM, FORGET_ALL),
        (SYSTEM, FORGET_HELD),
        (SYSTEM, REACHED),
        (SYSTEM, LACKING),
    ):
        assert "Seq Scan on day_values" not in (found := await plan(viewer, statement)), found
