"""Whoever writes may be cut at any moment: what it wrote is there whole or not at all, and others find no trace."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.access import SYSTEM, Viewer
from domain.work import Work
from graph.context import Services
from persistence.database import _Connection
from tests.factories.firm import Make
from tests.support.talking import until

STREAM = "user:00000000-0000-0000-0000-000000000007"


class Declined(Exception):  # noqa: N818 - what a verb may raise
    """What has a transaction rolled back."""


async def tell(work: Work, _: Viewer, *, declined: bool) -> None:
    """Tell of something."""
    work.append(STREAM, "TOLD", UUID(int=1), 1)
    if declined:
        raise Declined


@pytest.mark.parametrize(
    ("at", "declined", "written"), [("begin", False, {0}), ("commit", False, {0, 1}), ("rollback", True, {0})]
)
async def test_whoever_is_cut_leaves_no_transaction_open(
    services: Services, make: Make, monkeypatch: pytest.MonkeyPatch, at: str, written: set[int], *, declined: bool
) -> None:
    complaints: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    doors, execute = services.doors, _Connection.execute

    async def hears() -> bool:
        return doors.bell.deaf_for == 0

    # When it begins to hear, everybody is rung.
    await until(hears)

    async def cut(self: _Connection, query: str, *args: Any, **kwargs: Any) -> str:
        if query.lower().startswith(at):
            # While the answer is waited for; twice, as when a socket and then its server ends.
            loop.call_soon(writing.cancel)
            loop.call_soon(lambda: loop.call_soon(writing.cancel))
        return await execute(self, query, *args, **kwargs)

    monkeypatch.setattr(_Connection, "execute", cut)
    async with doors.bell.listening(STREAM) as rung:
        writing = asyncio.create_task(doors.write(SYSTEM, "test", tell, SYSTEM, declined=declined))
        with pytest.raises(asyncio.CancelledError):
            await writing
        # Of what may be written readers hear, whatever became of the writer.
        assert rung.is_set() is (at == "commit")
    monkeypatch.undo()

    async def given_back() -> bool:
        # What is not sound is looked at by a task of its own.
        return "_released" not in {getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks()}

    await until(given_back)
    assert complaints == []
    assert await make.connection.fetchval("select count(*) from events") in written
    open_ones = "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
    assert await make.connection.fetchval(f"{open_ones} and datname = current_database()") == 0
    # What comes next is whole.
    before = await make.connection.fetchval("select count(*) from events")
    await doors.write(SYSTEM, "test", tell, SYSTEM, declined=False)
    assert await make.connection.fetchval("select count(*) from events") == before + 1
