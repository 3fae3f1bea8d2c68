"""Sessions of a user: seen, ended, idle, proved anew."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.access import Role
from domain.identity import session_topic
from graph.context import Services
from graph.ids import id_of
from graph.renewal import renews
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.graph.test_identity import REFRESH, SIGN_IN, SIGN_OUT, VIEWER, by, reason, sign_in
from tests.support.clock import MovedClock, moved
from tests.support.gql import Gql
from tests.support.served import Served, socket_to

SESSIONS = """
{ viewer { sessions { id current device address createdAt lastUsedAt idleUntil expiresAt secondFactor } } }
"""
NEWS = "subscription { notifications { notification { kind } } }"
NEW = "another phrase nobody says 7"


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor(clients=1)


async def sessions_of(gql: Gql) -> list[Any]:
    return list((await gql.run(SESSIONS))["viewer"]["sessions"])


async def test_a_user_sees_its_sessions_and_nobody_elses(gql: Gql, make: Make, advisor: SignedIn) -> None:
    other = await make.session(advisor.user, device="a telephone", address="192.0.2.7")
    await make.session(advisor.user, revoked_at=make.now)
    await make.session(advisor.user, idle_until=make.now)
    await make.session(advisor.user, expires_at=make.now)
    await make.user(Role.ADMIN)
    found = await sessions_of(gql.as_(advisor))
    assert {each["id"] for each in found} == {id_of(advisor.session), id_of(other.session)}
    assert {each["id"]: each["current"] for each in found} == {
        id_of(advisor.session): True,
        id_of(other.session): False,
    }
    (shown,) = [each for each in found if not each["current"]]
    assert (shown["device"], shown["address"], shown["secondFactor"]) == ("a telephone", "192.0.2.7", False)
    # By its id those see a session, too, who see everything.
    document = "query ($id: ID!) { node(id: $id) { ... on UserSession { device } } }"
    manager = gql.as_(await make.user(Role.BU_MANAGER, await make.team()))
    assert (await manager.ask(document, id=id_of(other.session))).codes == ["NOT_FOUND"]
    for seeing in (await make.user(Role.AUDITOR), advisor):
        assert (await gql.as_(seeing).run(document, id=id_of(other.session)))["node"] == {"device": "a telephone"}


async def test_the_list_of_sessions_is_bounded_to_those_used_last(gql: Gql, make: Make, advisor: SignedIn) -> None:
    for _ in range(101):
        await make.session(advisor.user)
    found = await sessions_of(gql.as_(advisor))
    assert len(found) == 100
    assert found == sorted(found, key=lambda each: each["lastUsedAt"], reverse=True)


async def test_a_session_tells_the_device_and_the_address_that_it_was_begun_from(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    (mine,) = [each for each in await sessions_of(by(gql, services, session["accessToken"])) if each["current"]]
    assert mine["device"].startswith("python-httpx")
    assert mine["address"] == "127.0.0.1"


async def test_an_ended_session_is_out_at_once_over_http_on_refresh_and_on_its_sockets(
    gql: Gql, live: Served, advisor: SignedIn, services: Services
) -> None:
    session = await sign_in(gql, advisor.user.email)
    lost = by(gql, services, session["accessToken"])
    (current,) = [each for each in await sessions_of(lost) if each["current"]]
    own = gql.as_(advisor)
    async with socket_to(live, lost.token) as socket, socket_to(live, advisor.token) as kept:
        await socket.subscribe(NEWS)
        ended = await own.change("revokeSession", "session { id revokedAt current }", sessionId=current["id"])
        assert ended["session"]["id"] == current["id"]
        assert ended["session"]["revokedAt"]
        assert await socket.closed(2) == 4403
        await kept.send(type="ping")
        assert (await kept.receive())["type"] == "pong"
    assert reason(await lost.ask(VIEWER)) == "REVOKED"
    assert reason(await gql.ask(REFRESH, token=session["refreshToken"])) == "REVOKED"
    again = await own.change("revokeSession", "session { revokedAt }", sessionId=current["id"])
    assert again["session"]["revokedAt"] == ended["session"]["revokedAt"]


async def test_nobody_ends_a_session_of_somebody_else_in_this_way(gql: Gql, make: Make, advisor: SignedIn) -> None:
    admin = await make.user(Role.ADMIN)
    document = "mutation ($id: ID!) { revokeSession(input: {sessionId: $id}) { session { id } } }"
    for session_id in (id_of(advisor.session), f"session_{'0' * 32}"):
        assert (await gql.as_(admin).ask(document, id=session_id)).codes == ["NOT_FOUND"]
    assert (await gql.as_(advisor).run(VIEWER))["viewer"]


async def test_all_other_sessions_end_at_once_and_this_one_goes_on(
    gql: Gql, make: Make, live: Served, advisor: SignedIn
) -> None:
    others = [await make.session(advisor.user) for _ in range(3)]
    stranger = await make.advisor()
    async with socket_to(live, others[0].token) as socket:
        assert (await gql.as_(advisor).change("revokeOtherSessions", "revoked"))["revoked"] == 3
        assert await socket.closed(2) == 4403
    for other in others:
        assert reason(await gql.as_(other).ask(VIEWER)) == "REVOKED"
    assert (await gql.as_(advisor).run(VIEWER))["viewer"]
    assert (await gql.as_(stranger).run(VIEWER))["viewer"]
    assert (await gql.as_(advisor).change("revokeOtherSessions", "revoked"))["revoked"] == 0
    trail = "select count(*) from audit_events where action = 'identity.revoke_other_sessions' and actor_id = $1"
    assert await make.connection.fetchval(trail, advisor.user.id) == 3


async def test_a_changed_password_is_the_one_to_sign_in_with_and_ends_all_other_sessions(
    gql: Gql, make: Make, live: Served, advisor: SignedIn
) -> None:
    other = await make.session(advisor.user)
    own = gql.as_(advisor)
    async with socket_to(live, other.token) as socket:
        changed = await own.change("changePassword", "changed sessionsEnded", currentPassword=PASSWORD, newPassword=NEW)
        assert changed == {"changed": True, "sessionsEnded": 1, "userErrors": []}
        assert await socket.closed(2) == 4403
    assert reason(await gql.as_(other).ask(VIEWER)) == "REVOKED"
    assert (await own.run(VIEWER))["viewer"]
    assert reason(await gql.ask(SIGN_IN, email=advisor.user.email, password=PASSWORD)) == "INVALID"
    assert await sign_in(gql, advisor.user.email, NEW)
    letters = "select count(*) from queue.pgqueuer where entrypoint like '%password_changed%'"
    assert await make.connection.fetchval(letters) == 1


@pytest.mark.parametrize(
    ("current", "new", "code", "field"),
    [
        ("not the password", NEW, "WRONG_PASSWORD", "currentPassword"),
        (PASSWORD, "too short", "WEAK_PASSWORD", "newPassword"),
        (PASSWORD, "password1234", "WEAK_PASSWORD", "newPassword"),
        (PASSWORD, "user3user3user3", "WEAK_PASSWORD", "newPassword"),
        (PASSWORD, "x" * 257, "WEAK_PASSWORD", "newPassword"),
    ],
)
async def test_a_password_is_not_changed_to_a_weak_one_or_without_the_one_before(
    gql: Gql, advisor: SignedIn, current: str, new: str, code: str, field: str
) -> None:
    given = {"currentPassword": current, "newPassword": new}
    payload = await gql.as_(advisor).change("changePassword", "changed", **given)
    assert payload["changed"] is False
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", field])
    assert await sign_in(gql, advisor.user.email)


async def test_of_two_changes_of_a_password_at_once_one_is_made(gql: Gql, advisor: SignedIn) -> None:
    answers = await asyncio.gather(
        *(
            gql.as_(advisor).change("changePassword", "changed", currentPassword=PASSWORD, newPassword=f"{NEW} {each}")
            for each in range(2)
        )
    )
    assert sorted(answer["changed"] for answer in answers) == [False, True]


async def test_a_proof_is_good_for_a_quarter_of_an_hour(gql: Gql, services: Services, advisor: SignedIn) -> None:
    clock = moved(services)
    own = gql.as_(advisor)
    assert (await own.change("beginSecondFactor", "enrolment { secret }"))["userErrors"] == []
    clock.move(minutes=15, seconds=5)
    refused = await own.change("beginSecondFactor", "enrolment { secret }")
    assert [error["code"] for error in refused["userErrors"]] == ["REAUTHENTICATION_NEEDED"]
    wrong = await own.change("reauthenticate", "goodUntil", password="not the password")
    assert [error["code"] for error in wrong["userErrors"]] == ["WRONG_PASSWORD"]
    assert (await own.change("beginSecondFactor", "enrolment { secret }"))["userErrors"] != []
    proved = await own.change("reauthenticate", "authenticatedAt goodUntil", password=PASSWORD)
    assert proved["userErrors"] == []
    assert proved["authenticatedAt"] < proved["goodUntil"]
    assert (await own.change("beginSecondFactor", "enrolment { secret }"))["userErrors"] == []


async def used(make: Make, user: SignedIn) -> Any:
    return await make.connection.fetchval("select last_used_at from sessions where id = $1", user.session.id)


async def working_day(gql: Gql, services: Services, clock: MovedClock, session: Any, hours: int) -> Any:
    """A session that is used every few hours, and refreshed when its access token has ended."""
    for _ in range(hours // 4):
        clock.move(hours=4)
        session = (await gql.run(REFRESH, token=session["refreshToken"]))["refreshSession"]["session"]
        assert (await by(gql, services, session["accessToken"]).run(VIEWER))["viewer"]
    return session


async def test_a_session_ends_after_eight_hours_without_use(gql: Gql, services: Services, advisor: SignedIn) -> None:
    clock = moved(services)
    session = await working_day(gql, services, clock, await sign_in(gql, advisor.user.email), 24)
    clock.move(hours=7, minutes=59)
    session = (await gql.run(REFRESH, token=session["refreshToken"]))["refreshSession"]["session"]
    clock.move(hours=8, seconds=5)
    # It lies idle, though the refresh token has days to live; a new access token would not help either.
    assert reason(await gql.ask(REFRESH, token=session["refreshToken"])) == "EXPIRED"
    claims = services.tokens.read(session["accessToken"], clock() - services.tokens.lives.idle)
    token, _ = services.tokens.access(claims.user_id, claims.session_id, clock())
    assert reason(await by(gql, services, token).ask(VIEWER)) == "REVOKED"


async def test_use_over_http_alone_keeps_a_session_from_lying_idle(
    gql: Gql, services: Services, make: Make, advisor: SignedIn
) -> None:
    clock = moved(services)
    await make.connection.execute("update sessions set idle_until = now() + interval '8 hours'")
    for _ in range(3):
        clock.move(hours=7)
        token, _ = services.tokens.access(advisor.user.id, advisor.session.id, clock())
        assert (await by(gql, services, token).run(VIEWER))["viewer"]
    clock.move(hours=8, seconds=5)
    token, _ = services.tokens.access(advisor.user.id, advisor.session.id, clock())
    assert reason(await by(gql, services, token).ask(VIEWER)) == "REVOKED"


async def test_no_use_carries_a_session_beyond_the_life_of_its_refresh_token(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    clock = moved(services)
    for _ in range(24):
        clock.move(hours=6, minutes=59)
        token, _ = services.tokens.access(advisor.user.id, advisor.session.id, clock())
        assert (await by(gql, services, token).run(VIEWER))["viewer"]
    clock.move(hours=1)
    token, _ = services.tokens.access(advisor.user.id, advisor.session.id, clock())
    assert reason(await by(gql, services, token).ask(VIEWER)) == "REVOKED"


async def test_an_open_socket_closes_when_its_session_has_lain_idle(
    services: Services, make: Make, live: Served, advisor: SignedIn
) -> None:
    clock = moved(services)
    await make.connection.execute("update sessions set idle_until = now() + interval '10 minutes'")
    async with socket_to(live, advisor.token) as socket:
        clock.move(minutes=11)
        # What the slow poll would find by itself.
        services.doors.bell.ring([session_topic(advisor.session.id)])
        assert await socket.closed(2) == 4403


async def test_an_operation_on_a_socket_is_use_and_a_mere_event_is_none(
    gql: Gql, services: Services, make: Make, live: Served, advisor: SignedIn
) -> None:
    clock = moved(services)
    lead = await make.user(Role.ADMIN)
    async with socket_to(live, advisor.token) as socket:
        clock.move(minutes=5)
        await socket.subscribe(NEWS)
        await socket.subscribe(VIEWER, id="2")
        assert (await socket.next())["viewer"]
        assert (await socket.receive())["type"] == "complete"
        subscribed = await used(make, advisor)
        assert subscribed > advisor.session.last_used_at
        clock.move(minutes=5)
        left = await make.client(await make.book())
        given = {"clientId": id_of(left), "version": 1, "bookId": id_of(advisor.book)}
        assert (await gql.as_(lead).change("moveClient", "__typename", **given))["userErrors"] == []
        assert (await socket.next())["notifications"]["notification"]["kind"] == "CLIENT_ARRIVED"
        # The two operations may both have noted it, one after the other.
        assert await used(make, advisor) - subscribed < timedelta(minutes=1)
        await socket.subscribe(VIEWER, id="2")
        assert (await socket.next())["viewer"]
        assert await used(make, advisor) - subscribed > timedelta(minutes=4)


async def test_a_request_whose_access_token_has_ended_goes_on_with_the_session(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    clock = moved(services)
    clock.move(minutes=31)
    stale = by(gql, services, session["accessToken"])
    assert reason(await stale.ask(VIEWER)) == "EXPIRED"
    refreshed = (await stale.run(REFRESH, token=session["refreshToken"]))["refreshSession"]["session"]
    assert (await by(gql, services, refreshed["accessToken"]).run(VIEWER))["viewer"]
    assert await sign_in(stale, advisor.user.email)
    # The same as for whoever sends no header at all.
    assert reason(await stale.ask(REFRESH, token=session["refreshToken"])) == "REVOKED"


async def test_an_access_token_that_has_ended_opens_nothing_else(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    session = await sign_in(gql, advisor.user.email)
    moved(services).move(minutes=31)
    stale = by(gql, services, session["accessToken"])
    both = REFRESH.replace("}\n}\n", "}\n    signOut(input: {}) { signedOut }\n}\n")
    for document in (SIGN_OUT, both, "{ __typename }"):
        assert reason(await stale.ask(document, token=session["refreshToken"])) == "EXPIRED"
    # A good signature is needed still, and a session that stands.
    for token in (session["accessToken"][:-3] + "AAA", "x"):
        assert reason(await by(gql, services, token).ask(REFRESH, token=session["refreshToken"])) == "INVALID"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (REFRESH, True),
        (SIGN_IN, True),
        ('mutation { a: refreshSession(input: {refreshToken: "x"}) { userErrors { code } } }', True),
        (SIGN_OUT, False),
        ("{ refreshSession }", False),
        ("subscription { refreshSession }", False),
        ("mutation { ...F } fragment F on Mutation { signOut(input: {}) { signedOut } }", False),
        ("mutation { refreshSession { x } ... on Mutation { signOut(input: {}) { signedOut } } }", False),
        ("mutation A { refreshSession { x } } mutation B { signOut { x } }", False),
        ("fragment F on Mutation { x }", False),
        ("mutation {", False),
        ("mutation { " + "refreshSession { x } " * 500 + "}", False),
        ("", False),
    ],
)
def test_what_goes_on_with_a_session_is_told_by_its_fields_alone(document: str, *, expected: bool) -> None:
    assert renews(document) is expected
