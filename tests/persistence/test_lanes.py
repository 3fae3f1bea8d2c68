"""Readings that follow each other closely share a connection, and see what each by itself would."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from asyncpg import PostgresError

from domain.access import Viewer
from domain.errors import Unauthenticated, Unavailable
from graph.context import Services
from persistence import connections
from persistence.books import Books
from persistence.database import Lent
from persistence.lanes import TOLD_SECONDS, Lane
from tests.factories.firm import Make, SignedIn
from tests.factories.house import House, house
from tests.support.lendings import Lendings
from tests.support.stage import Stage

SETTINGS = ("user", "books", "clients", "everything", "identity")


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> House:
    return await house(stage.make)


async def told(lent: Lent) -> dict[str, Any]:
    """What the database has been told of the viewer on a connection."""
    names = ", ".join(f"current_setting('steward.{name}', true) as {name}" for name in SETTINGS)
    row = await lent.connection.fetchrow(f"select {names}")
    assert row
    return {
        name: set(value.strip("{}").split(",")) if name in {"books", "clients"} else value
        for name, value in row.items()
    }


async def test_whoever_enters_sees_what_a_lending_lets_it_see(stage: Stage, firm: House) -> None:
    database, now = stage.services.doors.database, datetime.now(UTC)
    seen = set()
    for person in firm.people.values():
        lane = stage.services.doors.lane()
        viewer = await lane.viewer(person.user.session.id, now)
        assert viewer == await stage.services.doors.viewer(person.user.session.id, now)
        async with lane.lend(viewer) as lent:
            entered = await told(lent)
        async with database.lend(viewer) as lent:
            assert entered == await told(lent), person
        seen.add((viewer.role, entered["everything"], "" not in entered["clients"]))
    assert len({role for role, *_ in seen}) >= 8
    assert {everything for _, everything, _ in seen} == {"on", ""}
    assert {clients for *_, clients in seen} == {True, False}


Entered = tuple[Lane, Viewer]


async def entered(services: Services, user: SignedIn) -> Entered:
    lane = services.doors.lane()
    return lane, await lane.viewer(user.session.id, services.doors.clock())


def book_of(advisor: SignedIn) -> UUID:
    assert advisor.book
    return advisor.book.id


async def test_readings_in_a_row_are_lent_one_connection_once(services: Services, make: Make) -> None:
    database = services.doors.database
    advisor, watch = await make.advisor(), Lendings()
    database.watch = watch
    lane, viewer = await entered(services, advisor)
    for _ in range(3):
        ids = [book_of(advisor)]
        assert len(await services.doors.read_along(lane, viewer, None, Books.by_ids, viewer, ids)) == 1
    assert watch.count == 1
    assert database.pooled.in_use == 0


async def test_readings_side_by_side_wait_for_nobody_and_more_than_fit_go_on(services: Services, make: Make) -> None:
    """As many as would hang if each held a connection while it waited for another."""
    advisor = await make.advisor()
    ids = [book_of(advisor)]

    async def operation() -> int:
        lane, viewer = await entered(services, advisor)

        async def reading() -> int:
            return len(await services.doors.read_along(lane, viewer, None, Books.by_ids, viewer, ids))

        first = await reading()
        return first + sum(await asyncio.gather(*(reading() for _ in range(4))))

    assert await asyncio.wait_for(asyncio.gather(*(operation() for _ in range(60))), 30) == [5] * 60


async def test_readings_side_by_side_take_no_connection_that_others_need(services: Services, make: Make) -> None:
    database, advisor = services.doors.database, await make.advisor()
    lane, viewer = await entered(services, advisor)
    ids = [book_of(advisor)]
    taken = [await database.acquire() for _ in range(database.pooled.most - 1)]

    async def lendings() -> int:
        database.watch = watch = Lendings()
        readings = (services.doors.read_along(lane, viewer, None, Books.by_ids, viewer, ids) for _ in range(3))
        assert list(map(len, await asyncio.gather(*readings))) == [1, 1, 1]
        return watch.count

    assert await lendings() == 0
    database.give_back(taken.pop())
    assert await lendings() > 0
    for connection in taken:
        database.give_back(connection)
    assert database.pooled.in_use == 0


@pytest.fixture
def no_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """None for those who wait their turn."""
    monkeypatch.setattr(connections, "TURN_SECONDS", 600)


async def crowded(services: Services, user: SignedIn) -> tuple[list[Entered], asyncio.Task[Entered]]:
    """As many operations under way as there are connections, and one more that waits its turn."""
    under_way = [await entered(services, user) for _ in range(services.doors.database.pooled.most)]
    begins = asyncio.create_task(entered(services, user))
    await asyncio.sleep(0.05)
    return under_way, begins


@pytest.mark.usefixtures("no_time_limit")
async def test_whoever_begins_takes_no_connection_that_another_wants_again(services: Services, make: Make) -> None:
    database, advisor = services.doors.database, await make.advisor()
    under_way, begins = await crowded(services, advisor)
    assert not begins.done()
    under_way.pop()[0].close()
    lane, _ = await begins
    database.watch = watch = Lendings()
    for other, viewer in under_way:
        await services.doors.read_along(other, viewer, None, Books.by_ids, viewer, [book_of(advisor)])
    assert watch.count == 0
    for each in (lane, *(other for other, _ in under_way)):
        each.close()
    assert database.pooled.in_use == 0


async def test_whoever_begins_does_not_wait_for_those_who_never_end(services: Services, make: Make) -> None:
    database, advisor = services.doors.database, await make.advisor()
    under_way, begins = await crowded(services, advisor)
    async with asyncio.timeout(30):
        await begins
    assert database.pooled.in_use == 0
    for lane, viewer in under_way:
        ids = [book_of(advisor)]
        assert len(await services.doors.read_along(lane, viewer, None, Books.by_ids, viewer, ids)) == 1


@pytest.mark.usefixtures("no_time_limit")
async def test_whoever_begins_goes_on_when_another_has_failed(services: Services, make: Make) -> None:
    under_way, begins = await crowded(services, await make.advisor())
    lane, viewer = under_way[0]
    with pytest.raises(PostgresError):
        async with lane.lend(viewer) as lent:
            await lent.connection.fetch("select 1 / 0")
    async with asyncio.timeout(30):
        await begins


@pytest.mark.usefixtures("no_time_limit")
@pytest.mark.parametrize("handed", [False, True], ids=["before its turn", "in its turn"])
async def test_whoever_waits_and_leaves_takes_nothing_along(services: Services, make: Make, *, handed: bool) -> None:
    database = services.doors.database
    under_way, begins = await crowded(services, await make.advisor())
    if handed:
        under_way.pop()[0].close()
    begins.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begins
    for lane, _ in under_way:
        lane.close()
    assert (database.pooled.in_use, database.pooled.idle) == (0, database.pooled.most)


async def test_nobody_waits_in_line_for_a_pool_that_does_not_answer(
    services: Services, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of readings side by side that have lost their connection, all ask for another at once."""
    database = services.doors.database
    lane, viewer = await entered(services, await make.advisor())
    taken = [await database.acquire() for _ in range(database.pooled.most)]
    failing, asked = [asyncio.Event() for _ in range(3)], iter(range(3))

    async def never(**_: Any) -> Any:
        await failing[next(asked)].wait()
        raise Unavailable

    monkeypatch.setattr(database, "acquire", never)
    readings = [asyncio.create_task(lane.lend(viewer).__aenter__()) for _ in range(3)]
    await asyncio.sleep(0.05)
    failing[0].set()
    await asyncio.sleep(0.05)
    assert next(asked, None) is None, "the second and the third have asked, though neither has an answer"
    for each in failing:
        each.set()
    assert {type(each) for each in await asyncio.gather(*readings, return_exceptions=True)} == {Unavailable}
    for connection in taken:
        database.give_back(connection)
    assert database.pooled.in_use == 0


async def test_the_viewer_may_be_asked_for_while_something_reads(services: Services, make: Make) -> None:
    """Neither connection is lost, and each is in one hand."""
    advisor = await make.advisor()
    lane, viewer = await entered(services, advisor)
    async with lane.lend(viewer) as lent:
        before = await lent.connection.fetchval("select pg_backend_pid()")
        assert await lane.viewer(advisor.session.id, services.doors.clock()) == viewer
        async with lane.lend(viewer) as other:
            assert await other.connection.fetchval("select pg_backend_pid()") != before
        assert await lent.connection.fetchval("select pg_backend_pid()") == before
    assert services.doors.database.pooled.in_use == 0


async def test_another_viewer_of_the_connection_is_told(services: Services, make: Make) -> None:
    """Nothing stays of whoever had it before, nor of an end of the session."""
    one, other = await make.advisor(), await make.advisor()
    for user in (one, other, one):
        lane, viewer = await entered(services, user)
        async with lane.lend(viewer) as lent:
            assert (await told(lent))["user"] == str(user.user.id)
    await make.connection.execute("update sessions set revoked_at = now() where id = $1", one.session.id)
    with pytest.raises(Unauthenticated):
        await entered(services, one)
    assert services.doors.database.pooled.in_use == 0


async def test_an_end_of_the_session_is_seen_by_what_goes_on(services: Services, make: Make) -> None:
    advisor = await make.advisor()
    lane, viewer = await entered(services, advisor)
    ids = [book_of(advisor)]
    await make.connection.execute("update sessions set revoked_at = now() where id = $1", advisor.session.id)
    await asyncio.sleep(TOLD_SECONDS)
    with pytest.raises(Unauthenticated):
        await services.doors.read_along(lane, viewer, None, Books.by_ids, viewer, ids)


async def test_what_fails_gives_its_connection_back(services: Services, make: Make) -> None:
    lane, viewer = await entered(services, await make.advisor())
    with pytest.raises(PostgresError):
        async with lane.lend(viewer) as lent:
            await lent.connection.fetch("select 1 / 0")
    assert services.doors.database.pooled.in_use == 0
    async with lane.lend(viewer) as lent:
        assert (await told(lent))["user"] == str(viewer.user_id)


async def test_a_second_reading_that_fails_leaves_the_lane_to_the_first(
    services: Services, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = services.doors.database
    lane, viewer = await entered(services, await make.advisor())
    free = asyncio.Event()

    async def never(**_: Any) -> Any:
        await free.wait()
        raise Unavailable

    async with lane.lend(viewer):
        with monkeypatch.context() as patch:
            patch.setattr(database, "acquire", never)
            second = asyncio.create_task(lane.lend(viewer).__aenter__())
            await asyncio.sleep(0)
    free.set()
    with pytest.raises(Unavailable):
        await second
    watch = Lendings()
    database.watch = watch
    for _ in range(3):
        async with lane.lend(viewer):
            pass
    assert watch.count == 0, "the lane has its own"
