import asyncio
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from domain.access import RECENT, Role
from domain.books import Book, Team
from domain.break_glass import MOST_A_DAY
from graph.context import Services
from graph.ids import encode, id_of
from tests.factories.firm import Make, SignedIn
from tests.factories.partners import glass
from tests.factories.trading import desk
from tests.support.clock import moved, renewed
from tests.support.gql import Gql
from tests.support.served import Served, socket_to

REASON: Final = "Their advisor is in hospital."
ACCESS: Final = "glassAccess { id reason grantedAt expiresAt endedAt version user { id } book { id } }"
CLIENTS: Final = "{ viewer { books { id } } clients { totalCount nodes { id } } }"
TOLD: Final = """{ notifications { nodes {
    kind actor { id } book { id } glassAccess { reason user { id } book { id } expiresAt }
} } }"""
LIST: Final = "{ glassAccesses { totalCount nodes { id reason user { id } book { id } } } }"


@pytest.fixture
async def team(make: Make) -> Team:
    return await make.team()


@pytest.fixture
async def book(make: Make, team: Team) -> Book:
    """A book with a client that nobody is a member of."""
    made = await make.book(team)
    await make.client(made)
    return made


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    """Somebody of another unit."""
    return await make.advisor(clients=1)


async def broken(gql: Gql, book: Book, reason: str = REASON) -> Any:
    """The access that breaking the glass of a book gives."""
    payload = await gql.change("breakGlass", ACCESS, bookId=id_of(book), reason=reason)
    assert payload["userErrors"] == []
    return payload["glassAccess"]


def code(payload: Any) -> str:
    """Why a change was declined."""
    (error,) = payload["userErrors"]
    return str(error["code"])


async def seen(gql: Gql) -> int:
    """How many clients are seen."""
    return int((await gql.run(CLIENTS))["clients"]["totalCount"])


async def test_a_broken_glass_shows_a_book_for_exactly_an_hour(
    make: Make, gql: Gql, advisor: SignedIn, book: Book, services: Services
) -> None:
    clock = moved(services)
    mine = gql.as_(advisor)
    assert await seen(mine) == 1
    access = await broken(mine, book)
    assert (access["reason"], access["user"]["id"], access["endedAt"]) == (REASON, advisor.id, None)
    found = await mine.run(CLIENTS)
    assert found["clients"]["totalCount"] == 2
    assert {each["id"] for each in found["viewer"]["books"]} == {id_of(advisor.book), id_of(book)}
    granted, ends = await make.connection.fetchrow("select granted_at, expires_at from glass_accesses")  # type: ignore[misc] # there is a row
    assert ends - granted == timedelta(hours=1)
    clock.ahead = ends - make.now - timedelta(seconds=5)
    mine = gql.as_(renewed(services, advisor))
    assert await seen(mine) == 2
    clock.move(seconds=6)
    assert await seen(mine) == 1
    left = (await mine.run(LIST))["glassAccesses"]["nodes"]
    assert [(each["id"], each["book"]) for each in left] == [(access["id"], None)]


async def test_the_managers_of_the_unit_are_told_who_and_which_and_why(
    make: Make, gql: Gql, advisor: SignedIn, team: Team, book: Book
) -> None:
    managers = [await make.user(Role.BU_MANAGER, team) for _ in range(2)]
    others = [await make.user(Role.ADMIN), await make.user(Role.BU_MANAGER, await make.team())]
    access = await broken(gql.as_(advisor), book)
    for manager in managers:
        (told,) = (await gql.as_(manager).run(TOLD))["notifications"]["nodes"]
        assert told == {
            "kind": "GLASS_BROKEN",
            "actor": {"id": advisor.id},
            "book": {"id": id_of(book)},
            "glassAccess": {
                "reason": REASON,
                "user": {"id": advisor.id},
                "book": {"id": id_of(book)},
                "expiresAt": access["expiresAt"],
            },
        }
    for other in others:
        assert (await gql.as_(other).run(TOLD))["notifications"]["nodes"] == []


async def test_admins_are_told_where_a_unit_has_no_manager(
    make: Make, gql: Gql, advisor: SignedIn, team: Team, book: Book
) -> None:
    admin = await make.user(Role.ADMIN)
    await make.user(Role.BU_MANAGER, team, status="DISABLED")
    await broken(gql.as_(advisor), book)
    (told,) = (await gql.as_(admin).run(TOLD))["notifications"]["nodes"]
    assert told["glassAccess"]["reason"] == REASON


async def test_the_trail_says_why(make: Make, gql: Gql, advisor: SignedIn, book: Book) -> None:
    await broken(gql.as_(advisor), book)
    rows = await make.connection.fetch("select * from audit_events where object_type = 'GlassAccess'")
    assert [(row["action"], row["reason"], row["actor_id"]) for row in rows] == [
        ("break_glass.break_glass", REASON, advisor.user.id)
    ]


async def test_the_book_of_a_client_is_found_by_the_client(make: Make, gql: Gql, advisor: SignedIn, book: Book) -> None:
    client_id = await make.connection.fetchval("select id from clients where book_id = $1", book.id)
    given = {"clientId": encode("client", client_id), "reason": REASON}
    payload = await gql.as_(advisor).change("breakGlass", ACCESS, **given)
    assert payload["glassAccess"]["book"]["id"] == id_of(book)
    for given in ({"bookId": encode("book", UUID(int=5))}, {"clientId": encode("client", UUID(int=5))}):
        document = "mutation ($input: BreakGlassInput!) { breakGlass(input: $input) { __typename } }"
        assert (await gql.as_(advisor).ask(document, input={**given, "reason": REASON})).codes == ["NOT_FOUND"]


@pytest.mark.parametrize("reason", ["", "urgent", "          urgent        ", "x" * 1001])
async def test_a_reason_is_needed(gql: Gql, advisor: SignedIn, book: Book, reason: str) -> None:
    payload = await gql.as_(advisor).change("breakGlass", ACCESS, bookId=id_of(book), reason=reason)
    assert payload["userErrors"][0]["field"] == ["input", "reason"]
    assert await seen(gql.as_(advisor)) == 1


async def test_either_a_book_or_a_client_is_named(gql: Gql, advisor: SignedIn, book: Book) -> None:
    both = {"bookId": id_of(book), "clientId": encode("client", UUID(int=5))}
    for given in ({}, both):
        assert code(await gql.as_(advisor).change("breakGlass", ACCESS, reason=REASON, **given)) == "INVALID_VALUE"


async def test_what_one_sees_already_has_no_glass(
    make: Make, gql: Gql, advisor: SignedIn, team: Team, book: Book
) -> None:
    lead = await make.user(Role.SUPERVISOR, team)
    for user, own in ((advisor, advisor.book), (lead, book), (await make.user(Role.ADMIN), book)):
        assert own
        payload = await gql.as_(user).change("breakGlass", ACCESS, bookId=id_of(own), reason=REASON)
        assert code(payload) == "ALREADY_SEEN"
    await broken(gql.as_(advisor), book)
    assert (
        code(await gql.as_(advisor).change("breakGlass", ACCESS, bookId=id_of(book), reason=REASON)) == "ALREADY_SEEN"
    )


async def test_a_recent_proof_is_needed(make: Make, gql: Gql, advisor: SignedIn, book: Book) -> None:
    stale = await make.session(advisor.user, authenticated_at=make.now - RECENT - timedelta(minutes=1))
    payload = await gql.as_(stale).change("breakGlass", ACCESS, bookId=id_of(book), reason=REASON)
    assert code(payload) == "REAUTHENTICATION_NEEDED"


async def test_two_at_once_give_one_access(make: Make, gql: Gql, advisor: SignedIn, book: Book) -> None:
    given = {"bookId": id_of(book), "reason": REASON}
    answers = await asyncio.gather(*(gql.as_(advisor).change("breakGlass", ACCESS, **given) for _ in range(8)))
    codes = sorted(code(payload) if payload["userErrors"] else "done" for payload in answers)
    assert codes == ["ALREADY_SEEN"] * 7 + ["done"]
    assert await make.connection.fetchval("select count(*) from glass_accesses") == 1


async def test_the_glass_is_broken_some_times_a_day_and_no_more(make: Make, gql: Gql, advisor: SignedIn) -> None:
    books = [await make.book() for _ in range(MOST_A_DAY + 3)]
    document = "mutation ($input: BreakGlassInput!) { breakGlass(input: $input) { userErrors { code } } }"
    asked = [{"bookId": id_of(book), "reason": REASON} for book in books]
    answers = await asyncio.gather(*(gql.as_(advisor).ask(document, input=given) for given in asked))
    assert sorted(str(answer.codes) for answer in answers) == ["['RATE_LIMITED']"] * 3 + ["[]"] * MOST_A_DAY
    (late,) = [answer for answer in answers if answer.codes][:1]
    assert 86_000 < late["errors"][0]["extensions"]["retryAfter"] <= 86_400
    await make.connection.execute("update glass_accesses set granted_at = granted_at - interval '24 hours'")
    await broken(gql.as_(advisor), await make.book())


async def test_an_access_is_ended_by_oneself_by_the_units_manager_and_by_admins(
    make: Make, gql: Gql, advisor: SignedIn, team: Team, book: Book
) -> None:
    enders = [advisor, await make.user(Role.BU_MANAGER, team), await make.user(Role.ADMIN)]
    for ender in enders:
        access = await broken(gql.as_(advisor), book)
        assert await seen(gql.as_(advisor)) == 2
        ended = await gql.as_(ender).change("endBreakGlass", ACCESS, glassAccessId=access["id"])
        assert ended["userErrors"] == []
        assert ended["glassAccess"]["endedAt"]
        assert await seen(gql.as_(advisor)) == 1
        again = await gql.as_(ender).change("endBreakGlass", ACCESS, glassAccessId=access["id"])
        assert code(again) == "ACCESS_ENDED"


async def test_nobody_else_ends_it(make: Make, gql: Gql, advisor: SignedIn, team: Team, book: Book) -> None:
    access = await broken(gql.as_(advisor), book)
    document = "mutation ($input: EndBreakGlassInput!) { endBreakGlass(input: $input) { userErrors { code } } }"
    member = await make.user(Role.ADVISOR, team, book)
    manager = await make.user(Role.BU_MANAGER, await make.team())
    for user in (member, await make.user(Role.SUPERVISOR, team), manager, await make.advisor()):
        answer = await gql.as_(user).ask(document, input={"glassAccessId": access["id"]})
        assert answer.codes == ["NOT_FOUND"]
    for role in (Role.AUDITOR, Role.VIEWER):
        answer = await gql.as_(await make.user(role, team)).ask(document, input={"glassAccessId": access["id"]})
        assert answer.codes == ["FORBIDDEN"]
    assert await seen(gql.as_(advisor)) == 2


async def test_everybody_sees_the_accesses_to_its_own_books_and_its_own(
    make: Make, gql: Gql, advisor: SignedIn, team: Team, book: Book
) -> None:
    access = await broken(gql.as_(advisor), book)
    far = await make.user(Role.ADVISOR)
    elsewhere = await glass(make, far.user, await make.book())
    sights = {
        advisor: {access["id"]},
        far: {id_of(elsewhere)},
        await make.user(Role.ADVISOR, team, book): {access["id"]},
        await make.user(Role.BU_MANAGER, team): {access["id"]},
        await make.user(Role.ADMIN): {access["id"], id_of(elsewhere)},
        await make.user(Role.AUDITOR): {access["id"], id_of(elsewhere)},
        await make.user(Role.ADVISOR): set(),
    }
    for user, ids in sights.items():
        found = (await gql.as_(user).run(LIST))["glassAccesses"]
        assert {each["id"] for each in found["nodes"]} == ids
        assert found["totalCount"] == len(ids)


async def test_a_broken_glass_gives_sight_and_no_say(make: Make, gql: Gql, advisor: SignedIn, book: Book) -> None:
    lead = await make.user(Role.SUPERVISOR, await make.team())
    client_id = await make.connection.fetchval("select id from clients where book_id = $1", book.id)
    details = {"clientId": encode("client", client_id), "version": 1, "details": {"notes": "x"}}
    document = "mutation ($input: UpdateClientInput!) { updateClient(input: $input) { userErrors { code } } }"
    for user in (advisor, lead):
        await broken(gql.as_(user), book)
        node = await gql.as_(user).run("query ($id: ID!) { node(id: $id) { id } }", id=details["clientId"])
        assert node["node"]["id"] == details["clientId"]
        assert (await gql.as_(user).ask(document, input=details)).codes == ["NOT_FOUND"]
    # Whoever becomes a member in the meantime has a say by that.
    await make.membership(book, advisor.user)
    assert (await gql.as_(advisor).ask(document, input=details)).codes == []


async def test_whoever_may_break_it_no_longer_sees_no_longer(
    make: Make, gql: Gql, advisor: SignedIn, book: Book
) -> None:
    mine = gql.as_(advisor)
    await broken(mine, book)
    assert await seen(mine) == 2
    await make.connection.execute("update users set role = 'ANALYST' where id = $1", advisor.user.id)
    assert await seen(mine) == 1


@pytest.mark.parametrize("way", ["by itself", "by oneself"])
async def test_an_open_subscription_stops_seeing_with_the_hour(
    live: Served, make: Make, gql: Gql, advisor: SignedIn, way: str
) -> None:
    trading = await desk(make, gql)
    access = await broken(gql.as_(advisor), trading.book)
    follow = "subscription ($id: ID!) { orderEvents(portfolioId: $id) { status order { id } } }"
    async with socket_to(live, advisor.token) as socket:
        asked = {"query": follow, "variables": {"id": id_of(trading.portfolio)}}
        await socket.send(type="subscribe", id="1", payload=asked)
        await asyncio.sleep(0.3)
        placed = await trading.place(kind="LIMIT", limitPrice="50", quantity="1")
        assert (await socket.next())["orderEvents"]["order"]["id"] == placed["order"]["id"]
        if way == "by oneself":
            await gql.as_(advisor).change("endBreakGlass", ACCESS, glassAccessId=access["id"])
        else:
            await make.connection.execute("update glass_accesses set expires_at = now()")
        await trading.place(kind="LIMIT", limitPrice="50", quantity="1")
        with pytest.raises(TimeoutError):
            await socket.receive(1)
