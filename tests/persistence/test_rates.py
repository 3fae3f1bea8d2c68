"""What callers have used of their budgets, on a table that several processes share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from limits import RateLimitItemPerMinute

from domain.clock import system_clock
from graph.app import open_services
from graph.context import Services
from graph.http.schema import Schema
from graph.settings import Settings
from persistence.database import Database, driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.housekeeping import forget
from persistence.rates import DatabaseWindows, Limiter
from tests.factories.firm import Make
from tests.support.budgets import SOMEBODY, Budgets

MOST: Final = 1_000
CHEAP: Final = "{ __typename }"
PAGE: Final = "{ clients(first: 100) { nodes { id } } }"


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[tuple[DatabaseWindows, DatabaseWindows]]:
    """The windows as two processes have them: each with connections of its own."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            database = await Database.open(database_url, size=5)
            stack.push_async_callback(database.close)
            found.append(DatabaseWindows(database))
        yield found[0], found[1]


async def test_two_processes_count_together(two: tuple[DatabaseWindows, DatabaseWindows]) -> None:
    here, there = two
    first = await here.take("a", MOST, 60, 600)
    assert (first.used, first.taken) == (600, True)
    assert (await there.take("a", MOST, 60, 500)).taken is False
    second = await there.take("a", MOST, 60, 400)
    assert (second.used, second.taken, second.ends_at) == (1_000, True, first.ends_at)
    assert (await there.give_back("a", first.ends_at, 600)).used == 400
    assert await here.window("b") is None
    assert (await here.take("b", MOST, 60, MOST + 1)).taken is False
    assert await here.window("b") is None, "what is refused begins nothing"


async def test_nothing_is_lost_and_nothing_given_twice(two: tuple[DatabaseWindows, DatabaseWindows]) -> None:
    kept: list[int] = []

    async def operation(windows: DatabaseWindows, asked: int, actual: int) -> None:
        window = await windows.take("a", MOST, 60, asked)
        if window.taken:
            assert window.used <= MOST
            await asyncio.sleep(0)
            await windows.give_back("a", window.ends_at, asked - actual)
            kept.append(actual)

    await asyncio.gather(*(operation(two[n % 2], 50 + n % 7, n % 11) for n in range(200)))
    window = await two[0].window("a")
    assert window
    assert window.used == sum(kept)
    assert 0 < len(kept) <= 200


async def test_a_window_ends_and_another_begins(two: tuple[DatabaseWindows, DatabaseWindows]) -> None:
    here, there = two
    first = await here.take("a", 5, 0.3, 5)
    assert (await there.take("a", 5, 0.3, 1)).taken is False
    await asyncio.sleep(0.4)
    assert await here.window("a") is None
    second = await there.take("a", 5, 60, 2)
    assert (second.used, second.taken) == (2, True)
    assert second.ends_at > first.ends_at + timedelta(seconds=50)
    assert (await here.give_back("a", first.ends_at, 5)).taken is False, "no credit from one minute in another"
    assert (await here.window("a")) is not None
    assert await here.get("a") == 2


async def test_the_table_is_a_storage_of_the_library(two: tuple[DatabaseWindows, DatabaseWindows]) -> None:
    here, there = Limiter(two[0]), Limiter(two[1])
    item = RateLimitItemPerMinute(3)
    assert [await each.hit(item, "a") for each in (here, there, here, there)] == [True, True, True, False]
    stats = await there.get_window_stats(item, "a")
    assert stats.remaining == 0
    assert stats.reset_time == pytest.approx(system_clock().timestamp() + 60, abs=5)
    await here.clear(item, "a")
    assert await there.test(item, "a", cost=3)
    assert await two[0].incr("b", 60, 7) == 7
    assert await two[0].reset() == 2
    assert await two[1].get("b") == 0


async def test_windows_that_have_ended_are_forgotten(
    services: Services, two: tuple[DatabaseWindows, DatabaseWindows], make: Make
) -> None:
    await two[0].take("old", MOST, 0.01, 1)
    await two[0].take("new", MOST, 600, 1)
    await asyncio.sleep(0.05)
    await forget(services.doors.database, datetime.now(UTC))
    assert [row[0] for row in await make.connection.fetch("select key from rate_windows")] == ["new"]


async def test_the_server_touches_the_table_by_its_functions_alone(
    database_url: str, two: tuple[DatabaseWindows, DatabaseWindows]
) -> None:
    await two[0].take("a", MOST, 60, 1)
    application = await asyncpg.connect(**driver_arguments(database_url), server_settings={"role": "steward_app"})
    try:
        assert await application.fetchval("select count(*) from rate_windows") == 0
        for change in (
            "insert into rate_windows values ('b', 0, now())",
            "update rate_windows set used = 0",
            "delete from rate_windows",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(change)
    finally:
        await application.close()


async def test_a_crash_may_forget_it(make: Make) -> None:
    assert await make.connection.fetchval("select relpersistence from pg_class where relname = 'rate_windows'") == b"u"


async def test_a_user_has_one_budget_on_all_servers(
    settings: Settings, database_url: str, cluster: EmbeddedServer, schema: Schema, make: Make
) -> None:
    advisor = await make.advisor(clients=3)
    shared = settings.model_copy(update={"rate_storage": "database", "requests_per_minute": 5, "cost_per_minute": 400})
    async with AsyncExitStack() as stack:
        callers = []
        for _ in range(2):
            opened = await stack.enter_async_context(open_services(shared, database_url, Path(cluster.home)))
            budgets = Budgets(shared, opened, schema, DatabaseWindows(opened.doors.database), requests=5, cost=400)
            callers.append(await stack.enter_async_context(budgets.at()))
        here, there = callers
        assert (await here.cost(PAGE, advisor.token))["remaining"] == 386
        cost = await there.cost(PAGE, advisor.token)
        assert (cost["requested"], cost["actual"], cost["remaining"]) == (111, 14, 372)
        answers = [await each.raw(CHEAP, advisor.token) for each in (here, there, here, there)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]


async def test_the_setting_says_where_it_is_counted(
    settings: Settings, database_url: str, cluster: EmbeddedServer, make: Make
) -> None:
    for storage, rows in (("memory", 0), ("database", 1)):
        chosen = Settings(**{**settings.model_dump(), "rate_storage": storage})
        async with open_services(chosen, database_url, Path(cluster.home)) as opened:
            await opened.rates.request(SOMEBODY)
        assert await make.connection.fetchval("select count(*) from rate_windows") == rows, storage
