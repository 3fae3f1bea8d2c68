import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from domain import announcements
from domain.access import Role
from domain.announcements import AT_ONCE
from domain.books import Team
from domain.identity import UserStatus
from graph.context import Services
from graph.ids import encode, id_of
from graph.office import Office
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.served import Served, socket_to
from tests.support.worker import drained, working

CURRENT = "{ currentAnnouncements { id title kind startsAt endsAt unit { id } role announcedBy { id } } }"
TOLD = "{ notifications { nodes { kind actor { id } announcement { id title withdrawnAt } } } }"
FOLLOW = """subscription { notifications { notification { kind announcement { title } } } }"""
FIELDS = "announcement { id version startsAt endsAt withdrawnAt audience }"
JOB = (announcements.tell_audience,)

PEOPLE = """
insert into users (id, email, name, sort_name, locale, time_zone, role, unit_id, team_id, status, created_at, version)
select uuidv7(), 'many' || n || '@steward.example', 'Many', 'many', 'en_IN', 'Asia/Kolkata',
    case when n % 2 = 0 then 'ADVISOR' else 'ANALYST' end, $2, null, 'ACTIVE', now(), 1
from generate_series(1, $1::int) n
"""
COUNTS = "select user_id, count(*), min(seq), max(seq) from notifications where announcement_id is not null group by 1"


async def announce(gql: Gql, admin: SignedIn, **given: Any) -> Any:
    told = {"kind": "ANNOUNCEMENT", "title": "Closed on Friday", "text": "As every year.", "audience": "ALL"}
    payload = await gql.as_(admin).change("announce", FIELDS, **told | given)
    assert payload["userErrors"] == [], payload
    return payload["announcement"]


async def many(make: Make, count: int, team: Team | None = None) -> None:
    await make.connection.execute(PEOPLE, count, team.unit_id if team else None)


async def all_told(make: Make, count: int) -> None:
    for _ in range(200):
        if len(await make.connection.fetch(COUNTS)) >= count:
            return
        await asyncio.sleep(0.05)


async def told(gql: Gql, user: SignedIn) -> list[Any]:
    return list((await gql.as_(user).run(TOLD))["notifications"]["nodes"])


async def current(gql: Gql, user: SignedIn) -> list[str]:
    return [each["title"] for each in (await gql.as_(user).run(CURRENT))["currentAnnouncements"]]


async def test_a_thousand_people_are_told_once_each_and_live(
    gql: Gql, make: Make, services: Services, live: Served
) -> None:
    admin, advisor = await make.user(Role.ADMIN), await make.advisor()
    await many(make, 1_000)
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW)
        await asyncio.sleep(0.3)
        made = await announce(gql, admin)
        async with working(services, JOB):
            arrived = (await socket.next())["notifications"]["notification"]
            await all_told(make, 1_002)
    rows = await make.connection.fetch(COUNTS)
    assert arrived == {"kind": "ANNOUNCEMENT", "announcement": {"title": "Closed on Friday"}}
    users = {row[0] for row in await make.connection.fetch("select id from users")}
    assert {row[0] for row in rows} == users
    assert Counter((row[1], row[2], row[3]) for row in rows) == {(1, 1, 1): 1_002}
    assert [each["announcement"]["id"] for each in await told(gql, admin)] == [made["id"]]


async def test_telling_again_tells_nobody_twice(gql: Gql, make: Make, services: Services) -> None:
    admin = await make.user(Role.ADMIN)
    await many(make, AT_ONCE + 20)
    made = await announce(gql, admin)
    await drained(services, JOB)
    office = Office(services.doors, services.gateways, services.turns, 1)
    announcement_id = await make.connection.fetchval("select id from announcements")
    assert encode("announcement", announcement_id) == made["id"]
    # As a worker that was killed after its last transaction, and two at once.
    await asyncio.gather(*(announcements.tell_audience(office, announcement_id) for _ in range(3)))
    rows = await make.connection.fetch(COUNTS)
    assert len(rows) == AT_ONCE + 21
    assert {row[1] for row in rows} == {1}


async def test_a_telling_that_is_cut_short_goes_on_where_it_was(
    gql: Gql, make: Make, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "AT_ONCE", 3)
    admin = await make.user(Role.ADMIN)
    await many(make, 7)
    await announce(gql, admin)
    office = Office(services.doors, services.gateways, services.turns, 1)
    announcement_id = await make.connection.fetchval("select id from announcements")
    assert await office.write(announcements.tell_some, announcement_id)
    assert len(await make.connection.fetch(COUNTS)) == 3
    await drained(services, JOB)
    rows = await make.connection.fetch(COUNTS)
    assert Counter(row[1] for row in rows) == {1: 8}


async def test_a_role_and_a_unit_are_told_and_nobody_else(gql: Gql, make: Make, services: Services) -> None:
    here, elsewhere = await make.team(), await make.team()
    admin = await make.user(Role.ADMIN)
    ours = await make.user(Role.ADVISOR, here)
    theirs = await make.user(Role.ADVISOR, elsewhere)
    analyst = await make.user(Role.ANALYST, here)
    await announce(gql, admin, title="To analysts", audience="ROLE", role="ANALYST")
    await announce(gql, admin, title="To the unit", audience="UNIT", unitId=encode("unit", here.unit_id))
    await drained(services, JOB)
    seen = {
        "admin": (admin, []),
        "ours": (ours, ["To the unit"]),
        "theirs": (theirs, []),
        "analyst": (analyst, ["To the unit", "To analysts"]),
    }
    for name, (user, titles) in seen.items():
        assert await current(gql, user) == titles, name
        found = [each["announcement"]["title"] for each in await told(gql, user)]
        assert sorted(found) == sorted(titles), name
        listed = (await gql.as_(user).run("{ announcements { totalCount nodes { title } } }"))["announcements"]
        expected = ["To the unit", "To analysts"] if name == "admin" else titles
        assert [each["title"] for each in listed["nodes"]] == expected
        assert listed["totalCount"] == len(expected)


async def test_only_active_people_are_told(gql: Gql, make: Make, services: Services) -> None:
    admin = await make.user(Role.ADMIN)
    gone = await make.user(Role.ADVISOR, status=UserStatus.DISABLED)
    await announce(gql, admin)
    await drained(services, JOB)
    rows = await make.connection.fetch(COUNTS)
    assert {row[0] for row in rows} == {admin.user.id}
    assert gone.user.id not in {row[0] for row in rows}


async def test_who_joins_later_finds_it_among_the_current_ones(gql: Gql, make: Make, services: Services) -> None:
    admin = await make.user(Role.ADMIN)
    await announce(gql, admin)
    await drained(services, JOB)
    newcomer = await make.user(Role.ADVISOR)
    assert await current(gql, newcomer) == ["Closed on Friday"]
    assert await told(gql, newcomer) == []


async def test_an_end_client_sees_it_without_learning_of_the_staff(gql: Gql, make: Make, services: Services) -> None:
    admin, book = await make.user(Role.ADMIN), await make.book()
    client = await make.client(book)
    user = await make.user(Role.CLIENT, client_id=client.id)
    await announce(gql, admin)
    await drained(services, JOB)
    (shown,) = (await gql.as_(user).run(CURRENT))["currentAnnouncements"]
    assert (shown["title"], shown["announcedBy"]) == ("Closed on Friday", None)
    assert [each["kind"] for each in await told(gql, user)] == ["ANNOUNCEMENT"]


async def test_an_announcement_waits_for_its_time(gql: Gql, make: Make, services: Services) -> None:
    admin, advisor = await make.user(Role.ADMIN), await make.advisor()
    later = make.now + timedelta(hours=2)
    made = await announce(gql, admin, startsAt=later.isoformat())
    assert await drained(services, JOB) == 0
    assert await current(gql, advisor) == []
    assert (await gql.as_(advisor).ask("query ($id: ID!) { node(id: $id) { id } }", id=made["id"])).codes == [
        "NOT_FOUND"
    ]
    assert (await gql.as_(admin).run("query ($id: ID!) { node(id: $id) { id } }", id=made["id"]))["node"]
    await make.connection.execute("update announcements set shown_from = now(), starts_at = now()")
    await make.connection.execute("update queue.pgqueuer set execute_after = now()")
    assert await drained(services, JOB) == 1
    assert await current(gql, advisor) == ["Closed on Friday"]
    assert len(await told(gql, advisor)) == 1


async def test_a_maintenance_window_is_told_before_it_begins_and_shuts_nothing_off(
    gql: Gql, make: Make, services: Services
) -> None:
    admin, advisor = await make.user(Role.ADMIN), await make.advisor()
    begins, ends = make.now + timedelta(minutes=1), make.now + timedelta(hours=1)
    window = {"kind": "MAINTENANCE", "startsAt": begins.isoformat(), "endsAt": ends.isoformat()}
    await announce(gql, admin, title="New version", **window)
    await drained(services, JOB)
    assert [each["kind"] for each in await told(gql, advisor)] == ["MAINTENANCE"]
    assert await current(gql, advisor) == ["New version"]
    # Under way.
    await make.connection.execute("update announcements set starts_at = now() - interval '1 minute'")
    assert await current(gql, advisor) == ["New version"]
    assert (await gql.client.get("/readyz")).status_code == 200
    # Over.
    await make.connection.execute("update announcements set ends_at = now() - interval '1 second'")
    assert await current(gql, advisor) == []


async def test_a_withdrawn_one_is_shown_no_longer_and_told_to_nobody_more(
    gql: Gql, make: Make, services: Services
) -> None:
    admin, advisor = await make.user(Role.ADMIN), await make.advisor()
    first = await announce(gql, admin, title="Told")
    await drained(services, JOB)
    second = await announce(gql, admin, title="Not told")
    stale = await gql.as_(admin).change("withdrawAnnouncement", FIELDS, announcementId=first["id"], version=7)
    assert [each["code"] for each in stale["userErrors"]] == ["STALE_VERSION"]
    for each in (first, second):
        payload = await gql.as_(admin).change("withdrawAnnouncement", FIELDS, announcementId=each["id"], version=1)
        assert payload["announcement"]["withdrawnAt"]
        assert payload["announcement"]["version"] == 2
    await drained(services, JOB)
    assert await current(gql, advisor) == []
    (known,) = await told(gql, advisor)
    assert known["announcement"]["title"] == "Told"
    assert known["announcement"]["withdrawnAt"]
    again = await gql.as_(admin).change("withdrawAnnouncement", FIELDS, announcementId=first["id"], version=2)
    assert [each["field"] for each in again["userErrors"]] == [["input", "announcementId"]]


WRONG: Sequence[tuple[dict[str, Any], str]] = [
    ({"audience": "ROLE"}, "role"),
    ({"role": "ADVISOR"}, "role"),
    ({"audience": "UNIT"}, "unitId"),
    ({"audience": "UNIT", "role": "ADVISOR"}, "role"),
    ({"title": " "}, "title"),
    ({"title": "x" * 201}, "title"),
    ({"text": " "}, "text"),
    ({"text": "x" * 4_001}, "text"),
    ({"endsAt": "2020-01-01T00:00:00Z"}, "endsAt"),
    ({"startsAt": "2090-01-02T00:00:00Z", "endsAt": "2090-01-01T00:00:00Z"}, "endsAt"),
    ({"kind": "MAINTENANCE"}, "startsAt"),
    ({"kind": "MAINTENANCE", "startsAt": "2090-01-01T00:00:00Z"}, "startsAt"),
    ({"kind": "MAINTENANCE", "endsAt": "2090-01-01T00:00:00Z"}, "startsAt"),
]


@pytest.mark.parametrize(("given", "field"), WRONG)
async def test_what_is_announced_wrongly_is_refused(gql: Gql, make: Make, given: dict[str, Any], field: str) -> None:
    admin = await make.user(Role.ADMIN)
    plain = {"kind": "ANNOUNCEMENT", "title": "Closed", "text": "As ever.", "audience": "ALL"}
    payload = await gql.as_(admin).change("announce", FIELDS, **plain | given)
    assert [(each["code"], each["field"]) for each in payload["userErrors"]] == [("INVALID_VALUE", ["input", field])]
    assert await make.connection.fetchval("select count(*) from announcements") == 0


async def test_a_unit_that_there_is_not_is_not_found(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    given = {"kind": "ANNOUNCEMENT", "title": "Closed", "text": "As ever.", "audience": "UNIT"}
    document = "mutation ($input: AnnounceInput!) { announce(input: $input) { userErrors { code } } }"
    answer = await gql.as_(admin).ask(document, input={**given, "unitId": encode("unit", make.new_id())})
    assert answer.codes == ["NOT_FOUND"]


async def test_the_list_costs_the_same_however_long_it_is(gql: Gql, make: Make, statements: Any) -> None:
    admin, team = await make.user(Role.ADMIN), await make.team()
    document = "{ announcements { nodes { title unit { name } announcedBy { name } } } }"
    seen = []
    for count in (2, 8):
        for number in range(count):
            await announce(gql, admin, title=f"{number}", audience="UNIT", unitId=id_of_unit(team))
        with statements.counted() as asked:
            await gql.as_(admin).run(document)
        seen.append(len(asked))
    assert seen[0] == seen[1]


def id_of_unit(team: Team) -> str:
    return encode("unit", team.unit_id)


async def test_the_audit_trail_names_who_announced_and_no_row_tells_of_the_telling(
    gql: Gql, make: Make, services: Services
) -> None:
    admin = await make.user(Role.ADMIN)
    await announce(gql, admin)
    await drained(services, JOB)
    rows = await make.connection.fetch("select action, actor_id from audit_events where object_type = 'Announcement'")
    assert [tuple(row) for row in rows] == [("announcements.announce", admin.user.id)]
    assert id_of(admin.user) == admin.id
