import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from domain.access import Role
from domain.notifications import Notification, NotificationKind, user_stream
from graph.app import make_app, open_services
from graph.http.schema import Schema
from graph.ids import id_of
from graph.settings import Settings
from persistence.embedded import EmbeddedServer
from persistence.housekeeping import forget
from persistence.notifications import notifications
from tests.conftest import quick
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.served import Served, Socket, served, socket_to

FOLLOW = """
subscription ($after: String) {
    notifications(after: $after) { cursor notification { id kind client { id name } book { id } amount { amount } } }
}
"""
LIST = "{ notifications { totalCount nodes { id kind readAt client { name } } } unreadNotificationCount }"

MARK = """mutation ($input: MarkNotificationsReadInput!) {
    markNotificationsRead(input: $input) { marked { id readAt } userErrors { code } }
}"""


@asynccontextmanager
async def following(address: Served, user: SignedIn, after: str | None = None) -> AsyncIterator[Socket]:
    """A socket whose subscription stands: what happens from now on reaches it."""
    async with socket_to(address, user.token) as socket:
        await socket.subscribe(FOLLOW, after=after)
        # A round trip on the same socket, after which the subscription has taken its place in the stream.
        await socket.send(type="subscribe", id="2", payload={"query": "{ viewer { name } }"})
        while (await socket.receive())["type"] != "complete":
            pass
        await asyncio.sleep(0.1)
        yield socket


async def change_kyc(gql: Gql, user: SignedIn, client_id: str, version: int) -> None:
    status = {"kycStatus": "PENDING"} if version % 2 else {"kycStatus": "EXPIRED"}
    payload = await gql.as_(user).change(
        "updateClient", "client { version }", clientId=client_id, version=version, details=status
    )
    assert payload["userErrors"] == []


async def one_client(gql: Gql, user: SignedIn) -> str:
    found = await gql.as_(user).run("{ clients(first: 1) { nodes { id } } }")
    return str(found["clients"]["nodes"][0]["id"])


async def test_a_change_of_kyc_arrives_live(gql: Gql, make: Make, live: Served) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    async with following(live, advisor) as socket:
        await change_kyc(gql, advisor, client_id, 1)
        arrived = (await socket.next())["notifications"]["notification"]
    assert (arrived["kind"], arrived["client"]["id"]) == ("KYC_CHANGED", client_id)


async def test_everything_since_a_cursor_comes_in_order_then_what_is_new(gql: Gql, make: Make, live: Served) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    async with following(live, advisor) as socket:
        await change_kyc(gql, advisor, client_id, 1)
        first = (await socket.next())["notifications"]
    for version in range(2, 8):
        await change_kyc(gql, advisor, client_id, version)
    listed = (await gql.as_(advisor).run(LIST))["notifications"]["nodes"]
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, after=first["cursor"])
        arrived = [(await socket.next())["notifications"]["notification"]["id"] for _ in range(6)]
        await change_kyc(gql, advisor, client_id, 8)
        live_one = (await socket.next())["notifications"]["notification"]["id"]
    assert arrived == [each["id"] for each in reversed(listed)][1:]
    assert live_one not in arrived


async def test_both_books_learn_of_a_moved_client_and_the_old_one_sees_it_no_more(
    gql: Gql, make: Make, live: Served
) -> None:
    team = await make.team()
    left, arrived = await make.advisor(clients=1, team=team), await make.advisor(team=team)
    supervisor = await make.user(Role.SUPERVISOR, team)
    client_id = await one_client(gql, left)
    assert left.book
    assert arrived.book
    async with following(live, left) as old, following(live, arrived) as new:
        await gql.as_(supervisor).change(
            "moveClient", "client { id }", clientId=client_id, bookId=id_of(arrived.book), version=1
        )
        lost = (await old.next())["notifications"]["notification"]
        gained = (await new.next())["notifications"]["notification"]
    assert (lost["kind"], lost["client"], lost["book"]["id"]) == ("CLIENT_LEFT", None, id_of(left.book))
    assert (gained["kind"], gained["client"]["id"]) == ("CLIENT_ARRIVED", client_id)


async def test_numbers_of_a_stream_have_no_gap_under_concurrent_writers(gql: Gql, make: Make) -> None:
    advisor = await make.advisor(clients=12)
    nodes = (await gql.as_(advisor).run("{ clients(first: 12) { nodes { id } } }"))["clients"]["nodes"]
    await asyncio.gather(*(change_kyc(gql, advisor, node["id"], 1) for node in nodes))
    rows = await make.connection.fetch(
        "select seq from events where stream = $1 order by seq", f"user:{advisor.user.id}"
    )
    assert [row["seq"] for row in rows] == list(range(1, 13))


async def test_a_refused_change_tells_nobody(gql: Gql, make: Make) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    payload = await gql.as_(advisor).change(
        "updateClient", "client { id }", clientId=client_id, version=7, details={"kycStatus": "PENDING"}
    )
    assert [error["code"] for error in payload["userErrors"]] == ["STALE_VERSION"]
    assert (await gql.as_(advisor).run(LIST))["notifications"]["totalCount"] == 0


async def test_reading_marks_only_ones_own(gql: Gql, make: Make) -> None:
    advisor, other = await make.advisor(clients=1), await make.advisor(clients=1)
    for user in (advisor, other):
        await change_kyc(gql, user, await one_client(gql, user), 1)
    theirs = (await gql.as_(other).run(LIST))["notifications"]["nodes"][0]["id"]
    mine = (await gql.as_(advisor).run(LIST))["notifications"]["nodes"][0]["id"]
    answer = await gql.as_(advisor).ask(MARK, input={"notificationIds": [mine, theirs]})
    assert answer.codes == ["NOT_FOUND"]
    many = await gql.as_(advisor).ask(MARK, input={"notificationIds": [mine] * 201})
    assert many.codes == ["VALIDATION_ERROR"]
    payload = (await gql.as_(advisor).run(MARK, input={"notificationIds": [mine]}))["markNotificationsRead"]
    assert [each["id"] for each in payload["marked"]] == [mine]
    assert (await gql.as_(advisor).run(LIST))["unreadNotificationCount"] == 0
    assert (await gql.as_(other).run(LIST))["unreadNotificationCount"] == 1
    again = await gql.as_(advisor).change("markAllNotificationsRead", "marked { id }")
    assert again["marked"] == []


async def test_unread_and_kinds_narrow_the_list(gql: Gql, make: Make) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    await change_kyc(gql, advisor, client_id, 1)
    await gql.as_(advisor).change("markAllNotificationsRead", "marked { id }")
    await change_kyc(gql, advisor, client_id, 2)
    counted = await gql.as_(advisor).run(
        """{
            unread: notifications(filter: {unread: true}) { totalCount }
            read: notifications(filter: {unread: false}) { totalCount }
            kyc: notifications(filter: {kinds: [KYC_CHANGED]}) { totalCount }
            moved: notifications(filter: {kinds: [CLIENT_LEFT]}) { totalCount }
        }"""
    )
    assert {name: each["totalCount"] for name, each in counted.items()} == {
        "unread": 1,
        "read": 1,
        "kyc": 2,
        "moved": 0,
    }


@pytest.mark.parametrize("after", ["", "nonsense", "ktkpdXNlcjow"])
async def test_a_cursor_that_is_none_is_refused(make: Make, live: Served, after: str) -> None:
    advisor = await make.advisor()
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, after=after)
        message = await socket.receive()
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert errors[0]["extensions"]["code"] == "VALIDATION_ERROR"


async def test_another_users_cursor_is_refused(gql: Gql, make: Make, live: Served) -> None:
    advisor, other = await make.advisor(clients=1), await make.advisor()
    async with following(live, advisor) as socket:
        await change_kyc(gql, advisor, await one_client(gql, advisor), 1)
        cursor = (await socket.next())["notifications"]["cursor"]
    async with socket_to(live, other.token) as socket:
        await socket.subscribe(FOLLOW, after=cursor)
        assert "VALIDATION_ERROR" in msgspec.json.encode(await socket.receive()).decode()


async def test_a_cursor_older_than_the_log_has_expired(gql: Gql, make: Make, live: Served) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    async with following(live, advisor) as socket:
        await change_kyc(gql, advisor, client_id, 1)
        cursor = (await socket.next())["notifications"]["cursor"]
    for version in (2, 3):
        await change_kyc(gql, advisor, client_id, version)
    await make.connection.execute("update events set occurred_at = occurred_at - interval '31 days' where seq <= 2")
    await forget(make.services.doors.database, make.now)
    async with socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, after=cursor)
        assert "CURSOR_EXPIRED" in msgspec.json.encode(await socket.receive()).decode()


async def test_signing_out_closes_the_socket_at_once(gql: Gql, make: Make, live: Served) -> None:
    advisor = await make.advisor()
    async with following(live, advisor) as socket:
        await gql.as_(advisor).change("signOut", "signedOut")
        assert await socket.closed(seconds=3) == 4403


async def test_an_ended_token_closes_the_socket(make: Make, live: Served) -> None:
    advisor = await make.advisor()
    issued = datetime.now(UTC) - make.services.tokens.lives.access + timedelta(seconds=2)
    token, _ = make.services.tokens.access(advisor.user.id, advisor.session.id, issued)
    async with following(live, msgspec.structs.replace(advisor, token=token)) as socket:
        assert await socket.closed(seconds=5) == 4403


async def test_a_bad_token_closes_the_socket_for_good(live: Served) -> None:
    with pytest.raises(Exception, match="4401"):
        async with socket_to(live, "nonsense"):
            pytest.fail("the socket was acknowledged")


async def events_of(response: httpx.Response) -> AsyncIterator[Any]:
    async for line in response.aiter_lines():
        if line.startswith("data:") and line[5:].strip():
            yield msgspec.json.decode(line[5:])


async def test_server_sent_events_carry_the_same(gql: Gql, make: Make, live: Served) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    headers = {"authorization": f"Bearer {advisor.token}", "accept": "text/event-stream"}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=live.url, timeout=10))
        response = await stack.enter_async_context(
            client.stream("POST", "/graphql", json={"query": FOLLOW}, headers=headers)
        )
        assert response.headers["content-type"].startswith("text/event-stream")
        await asyncio.sleep(0.2)
        await change_kyc(gql, advisor, client_id, 1)
        events = events_of(response)
        event = await asyncio.wait_for(anext(events), 10)
        assert event["data"]["notifications"]["notification"]["kind"] == "KYC_CHANGED"
        await gql.as_(advisor).change("signOut", "signedOut")
        ended = await asyncio.wait_for(anext(events), 10)
        assert ended["errors"][0]["extensions"] | {"reason": "REVOKED"} == ended["errors"][0]["extensions"]


async def test_a_second_server_process_hears_of_it(
    gql: Gql, make: Make, settings: Settings, database_url: str, cluster: EmbeddedServer, schema: Schema
) -> None:
    advisor = await make.advisor(clients=1)
    client_id = await one_client(gql, advisor)
    async with (
        open_services(settings, database_url, Path(cluster.home)) as other,
        served(make_app(settings, quick(other), schema=schema)) as elsewhere,
        following(elsewhere, advisor) as socket,
    ):
        # The other process has nobody that rings here but the database's NOTIFY.
        await change_kyc(gql, advisor, client_id, 1)
        arrived = (await socket.next(seconds=3))["notifications"]["notification"]
    assert arrived["kind"] == "KYC_CHANGED"


async def test_an_event_that_nobody_rang_for_arrives_by_the_slow_poll(
    make: Make, live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    advisor = await make.advisor()
    async with following(live, advisor) as socket:
        monkeypatch.setattr("persistence.bell.POLL_SECONDS", 0.2)
        told = Notification(
            id=make.new_id(),
            user_id=advisor.user.id,
            seq=1,
            kind=NotificationKind.KYC_CHANGED,
            occurred_at=make.now,
            actor_id=None,
            book_id=None,
            client_id=None,
            portfolio_id=None,
            transaction_id=None,
            order_id=None,
            glass_access_id=None,
            announcement_id=None,
            amount=None,
            currency=None,
            read_at=None,
        )
        stream = user_stream(advisor.user.id)
        await make.add(notifications, told)
        await make.connection.execute("insert into event_streams values ($1, 1)", stream)
        event = (stream, 1, told.kind.value, told.id, 1, make.now)
        await make.connection.execute("insert into events values ($1, $2, $3, $4, $5, $6)", *event)
        arrived = (await socket.next(seconds=8))["notifications"]["notification"]
    assert arrived["kind"] == "KYC_CHANGED"


async def test_a_user_whose_session_row_is_revoked_stops_receiving(gql: Gql, make: Make, live: Served) -> None:
    advisor, colleague = await make.advisor(clients=1), await make.user(Role.ADMIN)
    client_id = await one_client(gql, advisor)
    async with following(live, advisor) as socket:
        await make.connection.execute("update sessions set revoked_at = now() where id = $1", advisor.session.id)
        await change_kyc(gql, colleague, client_id, 1)
        message = await socket.receive()
        assert message["type"] in {"error", "next"}
        assert "UNAUTHENTICATED" in msgspec.json.encode(message).decode()
