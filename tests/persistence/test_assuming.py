"""A known session is taken to belong to whom it did, and nothing is read unless it does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.access import Role, Viewer
from domain.errors import Unauthenticated
from graph.context import Services
from persistence.database import Database
from persistence.doors import Doors
from persistence.lanes import Lane, Seen, entering
from persistence.metadata import metadata
from persistence.sql import Statement
from tests.factories.firm import Make, SignedIn
from tests.factories.house import House, house
from tests.support.stage import Stage

SETTINGS = [f"steward.{name}" for name in ("user", "books", "clients", "everything", "identity")]
CLIENTS = Statement("select id from clients order by id", (), {})
# What PostgreSQL knows to be empty, of which it may not look at any condition.
NONE = Statement("select id from clients where false", (), {})
NO_ID = Statement("select id from clients where id = $1", ("id",), {})
# As some write it who page by numbers.
SECOND_CLIENT = Statement("select id from clients order by id limit 1 offset 1", (), {})
NEVER = lambda _: False  # noqa: E731 - never due to be asked


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> House:
    return await house(stage.make)


@pytest.fixture
async def narrow(services: Services, database_url: str) -> AsyncIterator[Doors]:
    """The doors over one connection, so that whoever reads has what another has left."""
    database = await Database.open(database_url, size=1)
    doors = services.doors
    yield Doors(database, doors.bell, clock=doors.clock, ids=doors._ids, ring=doors._ring)  # noqa: SLF001 - the same for both
    await database.close()


async def assumed(doors: Doors, user: SignedIn) -> tuple[Lane, Viewer]:
    """A lane that takes a session, which was asked for before, to be what it was."""
    now = datetime.now(UTC)
    first = doors.lane()
    await first.viewer(user.session.id, now)
    first.close()
    lane = doors.lane()
    viewer = lane.assume(user.session.id, now, NEVER)
    assert viewer is not None
    assert not lane.settled
    return lane, viewer


async def told(lent: Any) -> list[str]:
    names = ", ".join(f"current_setting('{name}', true) as \"{name}\"" for name in SETTINGS)
    (row,) = await lent.rows(Statement(f"select {names}", (), {}), {})
    return [",".join(sorted(value.strip("{}").split(","))) for value in row]


async def test_whoever_is_assumed_sees_of_every_table_what_a_lending_lets_it_see(stage: Stage, firm: House) -> None:
    """Whatever the connection was told before; past the repositories' own predicates."""
    doors = stage.services.doors
    admin = next(person for person in firm.people.values() if person.user.user.role == "ADMIN")
    everything = await doors.viewer(admin.user.session.id, datetime.now(UTC))
    counts = [Statement(f"select count(*) from {name}", (), {}) for name in sorted(metadata.tables)]  # noqa: S608 - our tables
    seen = set()
    for person in firm.people.values():
        lane, viewer = await assumed(doors, person.user)
        async with doors.database.lend(viewer) as lent:
            words = await told(lent)
            expected = [[row[0] for row in await lent.rows(each, {})] for each in counts]
        found = []
        for each in counts:
            # One statement for each lane: the first of all is the one that tells the viewer.
            lane, viewer = await assumed(doors, person.user)
            async with doors.database.lend(everything):
                pass
            async with lane.lend(viewer) as lent:
                found.append([row[0] for row in await lent.rows(each, {})])
                assert await told(lent) == words
            assert lane.settled
            lane.close()
        assert found == expected, person
        seen.add(tuple(map(tuple, found)))
    assert len(seen) > 5


async def test_nothing_of_whoever_had_the_connection_is_left(narrow: Doors, make: Make) -> None:
    advisor, admin = await make.advisor(clients=2), await make.user(Role.ADMIN)
    await make.advisor(clients=3)
    everything = await narrow.viewer(admin.session.id, datetime.now(UTC))
    lane, viewer = await assumed(narrow, advisor)
    async with narrow.database.lend(everything) as lent:
        assert len(await lent.rows(CLIENTS, {})) == 5
    async with lane.lend(viewer) as lent:
        assert len(await lent.rows(CLIENTS, {})) == 2
        assert len(await lent.rows(CLIENTS, {})) == 2
    assert await lane.stands()
    lane.close()
    lane, viewer = await assumed(narrow, advisor)
    async with narrow.database.lend(everything):
        pass
    async with lane.lend(viewer) as lent:
        assert len(await lent.rows(SECOND_CLIENT, {})) == 1
    lane.close()
    lane, viewer = await assumed(narrow, advisor)
    async with narrow.database.lend(everything):
        pass
    # Lent, and nothing read: the next reading must not take it as told.
    async with lane.lend(viewer):
        pass
    async with lane.lend(viewer) as lent:
        assert len(await lent.rows(CLIENTS, {})) == 2
    lane.close()


@pytest.mark.parametrize("empty", [NONE, NO_ID])
async def test_an_empty_answer_leaves_nothing_of_whoever_had_the_connection(
    narrow: Doors, make: Make, empty: Statement
) -> None:
    advisor, admin = await make.advisor(clients=2), await make.user(Role.ADMIN)
    await make.advisor(clients=3)
    everything = await narrow.viewer(admin.session.id, datetime.now(UTC))
    lane, viewer = await assumed(narrow, advisor)
    async with narrow.database.lend(everything):
        pass
    async with lane.lend(viewer) as lent:
        assert list(await lent.rows(empty, {"id": None})) == []
    async with lane.lend(viewer) as lent:
        assert len(await lent.rows(CLIENTS, {})) == 2
    lane.close()


async def test_an_untold_connection_is_nobodys(services: Services, make: Make) -> None:
    lane, viewer = await assumed(services.doors, await make.advisor())
    async with lane.lend(viewer) as lent:
        with pytest.raises(RuntimeError, match="before its viewer was told"):
            await lent.connection.fetch("select 1")
        await lent.tell()
        assert await lent.connection.fetchval("select current_setting('steward.user')") == str(viewer.user_id)
    lane.close()


CHANGES = {
    "revoked": "update sessions set revoked_at = now() where id = $1",
    "ended": "update sessions set expires_at = created_at where id = $1",
    "disabled": "update users set status = 'DISABLED' where id = (select user_id from sessions where id = $1)",
    "another role": "update users set role = 'ANALYST' where id = (select user_id from sessions where id = $1)",
    "another book": "update memberships set ends_on = '2020-01-02', starts_on = '2020-01-01'"
    " where user_id = (select user_id from sessions where id = $1)",
}


@pytest.mark.parametrize(
    "statement", [CLIENTS, SECOND_CLIENT, NONE, NO_ID, None], ids=["joined", "apart", "empty", "null", "nothing"]
)
@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_read_by_a_session_that_is_not_what_it_was(
    services: Services, make: Make, change: str, statement: Statement | None
) -> None:
    advisor = await make.advisor(clients=2)
    lane, viewer = await assumed(services.doors, advisor)
    await make.connection.execute(CHANGES[change], advisor.session.id)

    async def read() -> None:
        async with lane.lend(viewer) as lent:
            await lent.rows(statement or CLIENTS, {"id": None})

    if statement:
        with pytest.raises(Unauthenticated):
            await read()
        assert not lane.settled
    assert not await lane.stands()
    assert not await lane.stands(), "and it is not asked for again"
    lane.close()
    assert services.doors.lane().assume(advisor.session.id, datetime.now(UTC), NEVER) is None, "it is forgotten"
    assert services.doors.database.pooled.in_use == 0


async def test_what_is_ascertained_need_not_be_asked_again(services: Services, make: Make) -> None:
    lane, viewer = await assumed(services.doors, await make.advisor(clients=1))
    seen: list[str] = []
    with services.doors.database.observed(seen.append):
        await lane.ascertain()
        await lane.ascertain()
        async with lane.lend(viewer) as lent:
            await lent.rows(CLIENTS, {})
        assert await lane.stands()
    assert len(seen) == 2
    lane.close()


async def test_side_by_side_readings_are_confirmed_once_and_all_are(services: Services, make: Make) -> None:
    advisor = await make.advisor(clients=2)

    async def operation() -> list[int]:
        lane, viewer = await assumed(services.doors, advisor)

        async def read() -> int:
            async with lane.lend(viewer) as lent:
                return len(await lent.rows(CLIENTS, {}))

        found = await asyncio.gather(*(read() for _ in range(4)))
        assert await lane.stands()
        lane.close()
        return found

    assert await asyncio.wait_for(asyncio.gather(*(operation() for _ in range(30))), 30) == [[2] * 4] * 30
    assert services.doors.database.pooled.in_use == 0


async def test_a_reading_that_fails_confirms_nothing(services: Services, make: Make) -> None:
    lane, viewer = await assumed(services.doors, await make.advisor(clients=1))
    broken = Statement("select 1 / 0 from clients", (), {})

    async def read(statement: Statement) -> int:
        async with lane.lend(viewer) as lent:
            return len(await lent.rows(statement, {}))

    with pytest.raises(Exception, match="A value is outside"):
        await read(broken)
    before = lane.settled
    assert await read(CLIENTS) == 1
    assert (before, lane.settled) == (False, True)
    lane.close()


def test_what_is_joined_is_a_query_of_its_own() -> None:
    assert entering("select 1", 2) == (
        "select * from (select 1 offset 0) data where (select enter_as($3, $4, $5, $6, $7, $8, $9))"
    )
    assert entering("insert into clients select 1", 0) is None
    assert entering("select 1 OFFSET 3", 0) is None


def test_sessions_are_as_many_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.lanes.MOST_SEEN", 3)
    seen: Any = Seen()
    for at in range(5):
        seen.keep(at, f"told of {at}")
    assert [seen.get(at) for at in range(5)] == [None, None, "told of 2", "told of 3", "told of 4"]
    seen.forget(3)
    assert seen.get(3) is None
