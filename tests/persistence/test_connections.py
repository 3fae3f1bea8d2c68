"""Connections lie ready: nobody waits for one that nobody uses, and none is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from persistence.database import Database, driver_arguments
from persistence.metadata import metadata
from persistence.sql import DIALECT


@pytest.fixture
async def few(database_url: str) -> AsyncIterator[Database]:
    """A pool of two connections."""
    small = await Database.open(database_url, size=2)
    yield small
    await small.close()


async def pid(connection: Any) -> int:
    found: int = await connection.fetchval("select pg_backend_pid()")
    return found


async def test_what_was_given_back_is_lent_next(few: Database) -> None:
    first = await few.acquire()
    was = await pid(first)
    assert few.pooled.in_use == 1
    few.give_back(first)
    assert few.pooled.in_use == 0
    again = await few.acquire()
    assert again is first
    assert await pid(again) == was
    few.give_back(again)


async def test_what_is_kept_goes_to_its_owner_first_and_to_another_at_last(few: Database) -> None:
    owner = object()
    kept, other = await few.acquire(), await few.acquire()
    few.keep(owner, kept)
    assert few.take(owner) is kept
    few.keep(owner, kept)
    few.give_back(other)
    assert await few.acquire() is other, "there is one that nobody keeps"
    assert await asyncio.wait_for(few.acquire(), 1) is kept, "there is no other"
    assert few.take(owner) is None
    few.give_back(kept)
    few.give_back(other)
    assert few.pooled.in_use == 0


async def test_whoever_waits_is_served_by_what_is_given_back_or_kept(few: Database) -> None:
    one, two = await few.acquire(), await few.acquire()
    waiting = [asyncio.create_task(few.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    few.keep(object(), one)
    few.give_back(two)
    served = await asyncio.wait_for(asyncio.gather(*waiting), 2)
    assert len({await pid(each) for each in served}) == 2
    for each in served:
        few.give_back(each)
    assert few.pooled.in_use == 0


async def test_whoever_was_overtaken_is_served_before_those_behind(few: Database) -> None:
    one, two = await few.acquire(), await few.acquire()
    first = asyncio.create_task(few.acquire())
    await asyncio.sleep(0)
    second = asyncio.create_task(few.acquire())
    await asyncio.sleep(0)
    # One that is looked at leaves room for another, of which the first in line learns; somebody is quicker.
    few.give_back(one, sound=False)
    for _ in range(1_000):
        if few._connections._room:  # noqa: SLF001 - the very moment is what it is about
            break
        await asyncio.sleep(0)
    quicker = await few.acquire()
    await asyncio.sleep(0.05)
    assert not first.done()
    few.give_back(two)
    assert await asyncio.wait_for(first, 2) is two
    assert not second.done()
    few.give_back(quicker)
    few.give_back(await first)
    few.give_back(await asyncio.wait_for(second, 2))


async def test_what_is_kept_is_taken_while_others_are_still_connecting(few: Database) -> None:
    kept = await few.acquire()
    few.keep(object(), kept)
    connecting = asyncio.create_task(few.acquire())
    await asyncio.sleep(0)
    assert await few.acquire() is kept
    other = await connecting
    few.give_back(kept)
    few.give_back(other)
    assert few.pooled.in_use == 0


async def test_what_is_left_is_lent_to_others(few: Database) -> None:
    owner, one = object(), await few.acquire()
    few.keep(owner, one)
    few.leave(owner)
    few.leave(owner)
    assert few.take(owner) is None
    assert await few.acquire() is one
    few.give_back(one)


@pytest.mark.parametrize("kept", [False, True])
async def test_one_that_was_cut_is_lent_to_nobody(few: Database, database_url: str, *, kept: bool) -> None:
    one = await few.acquire()
    was = await pid(one)
    if kept:
        few.keep(database_url, one)
    else:
        few.give_back(one)
    administrator = await asyncpg.connect(**driver_arguments(database_url))
    assert await administrator.fetchval("select pg_terminate_backend($1)", was)
    await administrator.close()
    await asyncio.sleep(0.1)
    few.leave(database_url)
    fresh = await few.acquire()
    assert await pid(fresh) != was
    few.give_back(fresh)
    assert few.pooled.in_use == 0


async def test_after_a_failure_the_driver_looks_at_it(few: Database) -> None:
    async def fail() -> None:
        async with few.lend(None) as lent:
            failed.append(lent.connection)
            await lent.connection.fetch("selec")

    failed: list[Any] = []
    with pytest.raises(asyncpg.PostgresError):
        await fail()
    assert few.pooled.in_use == 0
    async with few.lend(None) as lent:
        assert lent.connection is not failed[0]


async def test_after_a_minute_the_driver_looks_at_it(few: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await few.acquire()
    monkeypatch.setattr("persistence.connections.READY_SECONDS", -1)
    few.give_back(one)
    monkeypatch.undo()
    await asyncio.sleep(0.01)
    fresh = await few.acquire()
    assert fresh is not one, "it went through the driver's hands"
    few.give_back(fresh)


async def test_no_statement_waits_for_the_types_of_arrays(few: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {column.type for table in metadata.tables.values() for column in table.columns}
    # Words to search by are written one by one.
    names = {each.compile(dialect=DIALECT).removesuffix("[]") for each in held} - {"TSVECTOR"}
    assert {"UUID", "JSONB", "TIMESTAMP WITH TIME ZONE"} < names

    async def look(_: object, types: object, __: float) -> Any:
        raise AssertionError(types)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", look)
    async with few.lend(None) as lent:
        for name in names:
            await lent.connection.fetch(f"select null::{name}[]")
