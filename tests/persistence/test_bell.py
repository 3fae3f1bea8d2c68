"""Whoever rings the bell as the server ends does not keep it from ending."""

import asyncio

import pytest

from persistence.bell import Bell
from persistence.database import Database

PATIENCE = 10


@pytest.mark.parametrize("turns", range(6))
async def test_a_bell_that_is_rung_is_closed_all_the_same(database_url: str, turns: int) -> None:
    """So many turns of the loop later, in one of which the ring has come and was not yet heard of."""
    database = await Database.open(database_url, size=2)
    bell = Bell(database)
    await bell.start()
    async with asyncio.timeout(PATIENCE):
        while bell.deaf_for:  # noqa: ASYNC110 - it tells nobody when it listens
            await asyncio.sleep(0.01)
        # It waits to be rung now.
        await asyncio.sleep(0.02)
        bell.ring(["any"])
        for _ in range(turns):
            await asyncio.sleep(0)
    closing = asyncio.create_task(bell.close())
    ended, _ = await asyncio.wait([closing], timeout=PATIENCE)
    assert ended
    await database.close()
