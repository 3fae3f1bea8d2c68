import asyncio
import json
import logging
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from domain.access import ALLOWED, GRANTABLE, RECENT, Action, Role
from domain.errors import Unauthenticated
from domain.identity import session_topic
from domain.service_accounts import MOST_KEYS, key_digest, new_text
from graph.context import Services
from graph.ids import id_of
from graph.keys import KnownKeys
from persistence.tables import metadata
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.factories.partners import Program, key, program
from tests.graph.test_access import INPUTS, NEEDS
from tests.support.clock import moved, renewed
from tests.support.gql import Answer, Gql
from tests.support.inputs import document
from tests.support.served import Served, socket_to
from tests.support.stage import Stage

SEEN: Final = "{ viewer { role can user { id } } clients { nodes { id } } }"
KEY: Final = "serviceKey { id name prefix actions createdAt expiresAt lastUsedAt revokedAt version } key"
ACCOUNTS: Final = """{ serviceAccounts { totalCount nodes {
    name email status user { role } memberships { kind book { id } }
    keys(first: 5) { totalCount nodes { id prefix name actions lastUsedAt revokedAt creator { id } account { id } } }
} } }"""


@pytest.fixture
async def admin(make: Make) -> SignedIn:
    return await make.user(Role.ADMIN)


def by(gql: Gql, token: str) -> Gql:
    """The same, by the text of a key."""
    return Gql(gql.client, gql.services, token)


def reason(answer: Answer) -> str:
    """Why the answer says that there is no session."""
    assert answer.codes == ["UNAUTHENTICATED"]
    return str(answer["errors"][0]["extensions"]["reason"])


def code(payload: Any) -> tuple[str, str]:
    """Why a change was declined, and where."""
    (error,) = payload["userErrors"]
    return error["code"], ".".join(error["field"])


async def account(gql: Gql, make: Make, *books: Any, **given: Any) -> str:
    """The id of a service account that an admin makes."""
    values = {"name": "Feed", "email": f"feed{next(make.numbers)}@example.org", "bookIds": [*map(id_of, books)]}
    payload = await gql.change("createServiceAccount", "serviceAccount { id }", **{**values, **given})
    assert payload["userErrors"] == []
    return str(payload["serviceAccount"]["id"])


async def made_key(gql: Gql, make: Make, account_id: str, *actions: Action, **given: Any) -> Any:
    """The payload of making a key."""
    last_day = str((make.now + timedelta(days=30)).date())
    values = {"serviceAccountId": account_id, "name": "Nightly", "actions": [*actions], "expiresOn": last_day}
    return await gql.change("createServiceKey", KEY, **{**values, **given})


async def test_a_program_acts_by_its_key_on_the_books_it_is_a_member_of(make: Make, gql: Gql, admin: SignedIn) -> None:
    book, other = await make.book(), await make.book()
    client = await make.client(book)
    hidden = await make.client(other)
    account_id = await account(gql.as_(admin), make, book)
    made = await made_key(gql.as_(admin), make, account_id, Action.UPDATE_CLIENT)
    assert made["key"].startswith(f"stw_{made['serviceKey']['prefix']}_")
    assert len(made["serviceKey"]["prefix"]) == 8
    feed = by(gql, made["key"])
    seen = await feed.run(SEEN)
    assert (seen["viewer"]["role"], seen["viewer"]["can"]) == ("SERVICE", ["UPDATE_CLIENT"])
    assert [node["id"] for node in seen["clients"]["nodes"]] == [id_of(client)]
    for changed, codes in ((client, []), (hidden, ["NOT_FOUND"])):
        given = {"clientId": id_of(changed), "version": 1, "details": {"notes": "From the feed"}}
        assert (await feed.ask(document("updateClient"), input=given)).codes == codes
    row = await make.connection.fetchrow("select * from audit_events order by id desc limit 1")
    assert row is not None
    assert row["actor_id"].hex == seen["viewer"]["user"]["id"].removeprefix("user_")
    assert row["session_id"].hex == made["serviceKey"]["id"].removeprefix("service_key_")


async def test_admins_see_accounts_and_their_keys_but_never_the_key(make: Make, gql: Gql, admin: SignedIn) -> None:
    book = await make.book()
    account_id = await account(gql.as_(admin), make, book, name="Nightly feed")
    made = await made_key(gql.as_(admin), make, account_id, Action.PLACE_ORDER, Action.CREATE_CLIENT)
    await by(gql, made["key"]).run(SEEN)
    (found,) = (await gql.as_(admin).run(ACCOUNTS))["serviceAccounts"]["nodes"]
    assert (found["name"], found["status"], found["user"]["role"]) == ("Nightly feed", "ACTIVE", "SERVICE")
    assert found["memberships"] == [{"kind": "ASSISTANT", "book": {"id": id_of(book)}}]
    (shown,) = found["keys"]["nodes"]
    assert shown["prefix"] == made["serviceKey"]["prefix"]
    assert shown["actions"] == ["CREATE_CLIENT", "PLACE_ORDER"]
    assert shown["lastUsedAt"] is not None
    assert (shown["creator"]["id"], shown["account"]["id"]) == (admin.id, account_id)
    for role in (Role.BU_MANAGER, Role.ADVISOR, Role.SERVICE):
        other = await make.user(role, await make.team(), book)
        assert (await gql.as_(other).run(ACCOUNTS))["serviceAccounts"] == {"totalCount": 0, "nodes": []}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"actions": ["MANAGE_USERS"]}, "actions"),
        ({"actions": ["PLACE_ORDER", "APPROVE_ORDER"]}, "actions"),
        ({"name": " "}, "name"),
        ({"expiresOn": 367}, "expiresOn"),
        ({"expiresOn": -1}, "expiresOn"),
        ({"expiresOn": "0001-01-01"}, "expiresOn"),
        ({"expiresOn": "9999-12-31"}, "expiresOn"),
    ],
)
async def test_a_key_that_allows_too_much_or_lives_too_long_is_not_made(
    make: Make, gql: Gql, admin: SignedIn, given: dict[str, Any], field: str
) -> None:
    account_id = await account(gql.as_(admin), make)
    if isinstance(given.get("expiresOn"), int):
        viewer = await make.viewer(admin)
        given = {"expiresOn": str(viewer.today(make.now) + timedelta(days=given["expiresOn"]))}
    payload = await made_key(gql.as_(admin), make, account_id, **given)
    assert code(payload) == ("INVALID_VALUE", f"input.{field}")
    assert payload["key"] is None
    assert await make.connection.fetchval("select count(*) from service_keys") == 0


async def test_an_address_belongs_to_one_user_and_an_account_has_so_many_keys(
    make: Make, gql: Gql, admin: SignedIn
) -> None:
    given = {"name": "Feed", "email": admin.user.email}
    payload = await gql.as_(admin).change("createServiceAccount", "serviceAccount { id }", **given)
    assert code(payload) == ("DUPLICATE", "input.email")
    account_id = await account(gql.as_(admin), make)
    for _ in range(MOST_KEYS):
        assert (await made_key(gql.as_(admin), make, account_id))["userErrors"] == []
    assert code(await made_key(gql.as_(admin), make, account_id))[0] == "INVALID_VALUE"


@pytest.mark.parametrize(
    "mutation",
    ["createServiceAccount", "createServiceKey", "rotateServiceKey", "revokeServiceKey", "disableServiceAccount"],
)
async def test_keys_are_managed_only_after_a_recent_proof(stage: Stage, mutation: str) -> None:
    from tests.support.story import Story  # noqa: PLC0415 - the only test that tells one

    admin = await stage.make.user(Role.ADMIN)
    given = await Story(stage.make, stage.gql.as_(admin), admin).scene(mutation)()
    long_ago = stage.make.now - RECENT - timedelta(minutes=1)
    stale = await stage.make.session(admin.user, authenticated_at=long_ago)
    payload = await stage.gql.as_(stale).change(mutation, "__typename", **given)
    assert code(payload)[0] == "REAUTHENTICATION_NEEDED"
    assert (await stage.gql.as_(admin).change(mutation, "__typename", **given))["userErrors"] == []


@pytest.mark.parametrize(
    "text",
    [new_text(), new_text()[:-1] + "g", new_text()[:-2], "stw_", "stw_x_y", "stw_" + "é" * 81],
    ids=["unknown", "a letter", "too short", "the mark", "far too short", "accents"],
)
async def test_what_is_no_key_is_said_to_be_none(gql: Gql, text: str) -> None:
    headers = {b"authorization": f"Bearer {text}".encode()}
    response = await gql.client.post("/graphql", json={"query": "{ viewer { name } }"}, headers=headers)
    assert reason(Answer(response.json())) == "INVALID"


async def test_a_mistyped_key_costs_no_statement(make: Make, gql: Gql) -> None:
    partner = await program(make)
    last = partner.token[-1]
    mistyped = partner.token[:-1] + ("0" if last != "0" else "1")
    seen: list[str] = []
    with make.services.doors.database.observed(seen.append):
        assert reason(await by(gql, mistyped).ask(SEEN)) == "INVALID"
    assert seen == []
    with pytest.raises(Unauthenticated):
        key_digest("stw_\ud800")


async def test_a_key_costs_no_more_statements_than_a_session(make: Make, gql: Gql) -> None:
    book = await make.book()
    partner, advisor = await program(make, book), await make.user(Role.ADVISOR, None, book)
    counted: dict[str, int] = {}
    for token in (partner.token, advisor.token):
        await by(gql, token).run(SEEN)
        seen: list[str] = []
        with make.services.doors.database.observed(seen.append):
            await by(gql, token).run(SEEN)
        counted[token] = len(seen)
    assert counted[partner.token] == counted[advisor.token]


async def test_a_key_ends_by_itself_when_it_is_revoked_and_with_its_account(
    make: Make, gql: Gql, admin: SignedIn, services: Services
) -> None:
    short = await program(make, expires_at=make.now + timedelta(hours=2))
    revoked, disabled = await program(make), await program(make)
    second = await key(make, disabled.user)
    gone = await program(make, revoked_at=make.now)
    assert reason(await by(gql, gone.token).ask(SEEN)) == "REVOKED"
    for each in (short, revoked, disabled, second):
        await by(gql, each.token).run(SEEN)
    payload = await gql.as_(admin).change("revokeServiceKey", "serviceKey { revokedAt }", serviceKeyId=revoked.key_id)
    assert payload["serviceKey"]["revokedAt"]
    account_id = id_of(disabled.account)
    payload = await gql.as_(admin).change(
        "disableServiceAccount", "serviceAccount { status }", serviceAccountId=account_id
    )
    assert payload["serviceAccount"]["status"] == "DISABLED"
    for each in (revoked, disabled, second):
        assert reason(await by(gql, each.token).ask(SEEN)) == "REVOKED"
    again = await gql.as_(admin).change("revokeServiceKey", "__typename", serviceKeyId=revoked.key_id)
    assert code(again)[0] == "KEY_ENDED"
    again = await gql.as_(admin).change("disableServiceAccount", "__typename", serviceAccountId=account_id)
    assert code(again)[0] == "ACCOUNT_DISABLED"
    assert code(await made_key(gql.as_(admin), make, account_id))[0] == "ACCOUNT_DISABLED"
    await by(gql, short.token).run(SEEN)
    moved(services).move(hours=2)
    assert reason(await by(gql, short.token).ask(SEEN)) == "EXPIRED"
    # One that nobody knew by heart.
    fresh = KnownKeys(services.doors)
    with pytest.raises(Unauthenticated) as refused:
        await fresh.claims(key_digest(short.token))
    assert refused.value.reason == "EXPIRED"


async def test_a_rotated_key_goes_on_beside_its_successor_until_the_overlap_is_over(
    make: Make, gql: Gql, admin: SignedIn, services: Services
) -> None:
    book = await make.book()
    old = await program(make, book, actions=[Action.PLACE_ORDER], created_at=make.now - timedelta(days=10))
    await by(gql, old.token).run(SEEN)
    rotate = {"serviceKeyId": old.key_id, "overlapHours": 6}
    made = await gql.as_(admin).change("rotateServiceKey", KEY, **rotate)
    assert made["userErrors"] == []
    assert made["serviceKey"]["actions"] == ["PLACE_ORDER"]
    life = await make.connection.fetchval(
        "select expires_at - created_at from service_keys where user_id = $1 and id <> $2", old.user.id, old.key.id
    )
    assert life == old.key.expires_at - old.key.created_at
    clock = moved(services)
    for hours, stands in ((0, True), (5.9, True), (0.2, False)):
        clock.move(hours=hours)
        assert (await by(gql, made["key"]).ask(SEEN)).codes == []
        assert (await by(gql, old.token).ask(SEEN)).codes == ([] if stands else ["UNAUTHENTICATED"])
    assert reason(await by(gql, old.token).ask(SEEN)) == "EXPIRED"
    recent = renewed(services, await make.session(admin.user, authenticated_at=clock()))
    again = await gql.as_(recent).change("rotateServiceKey", KEY, **rotate)
    assert code(again)[0] == "KEY_ENDED"
    for hours in (-1, 721):
        given = {"serviceKeyId": made["serviceKey"]["id"], "overlapHours": hours}
        refused = await gql.as_(recent).change("rotateServiceKey", KEY, **given)
        assert code(refused) == ("INVALID_VALUE", "input.overlapHours")


@pytest.mark.parametrize("way", ["revoked", "rotated", "rotated later", "disabled"])
async def test_an_open_socket_ends_with_its_key(
    live: Served, make: Make, gql: Gql, admin: SignedIn, services: Services, way: str
) -> None:
    partner = await program(make)
    other = await key(make, partner.user) if way != "disabled" else await program(make)
    async with socket_to(live, partner.token) as socket, socket_to(live, other.token) as standing:
        await socket.subscribe("subscription { notifications { cursor } }")
        await standing.subscribe("subscription { notifications { cursor } }")
        if way == "revoked":
            payload = await gql.as_(admin).change("revokeServiceKey", "__typename", serviceKeyId=partner.key_id)
        elif way == "disabled":
            payload = await gql.as_(admin).change(
                "disableServiceAccount", "__typename", serviceAccountId=id_of(partner.account)
            )
        else:
            hours = 1 if way == "rotated later" else 0
            given = {"serviceKeyId": partner.key_id, "overlapHours": hours}
            payload = await gql.as_(admin).change("rotateServiceKey", "__typename", **given)
        assert payload["userErrors"] == []
        if way == "rotated later":
            await asyncio.sleep(0.3)
            await socket.send(type="ping")
            assert (await socket.receive())["type"] == "pong"
            moved(services).move(hours=1)
            services.doors.bell.ring({session_topic(partner.key.id)})
        assert await socket.closed() == 4403
        await standing.send(type="ping")
        assert (await standing.receive())["type"] == "pong"


async def test_an_event_stream_ends_with_its_key(live: Served, make: Make, gql: Gql, admin: SignedIn) -> None:
    partner = await program(make)
    headers = {"authorization": f"Bearer {partner.token}", "accept": "text/event-stream"}
    body = {"query": "subscription { notifications { cursor } }"}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("POST", f"{live.url}/graphql", json=body, headers=headers) as response,
    ):
        assert response.status_code == 200
        await gql.as_(admin).change("revokeServiceKey", "__typename", serviceKeyId=partner.key_id)
        told = "".join([text async for text in response.aiter_text()])
    assert '"reason":"REVOKED"' in told


async def test_a_bad_key_is_told_so_at_the_opening_of_a_socket(live: Served, make: Make) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415 - the only socket that is not acknowledged
    from websockets.typing import Subprotocol  # noqa: PLC0415

    expired = await program(make, expires_at=make.now - timedelta(seconds=1))
    async with connect(live.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {expired.token}"}}
        await socket.send(json.dumps(hello))
        await asyncio.wait_for(socket.wait_closed(), 10)
        assert (socket.close_code, socket.close_reason) == (4401, "Unauthenticated: EXPIRED")


async def test_a_service_account_cannot_sign_in(make: Make, gql: Gql, admin: SignedIn) -> None:
    account_id = await account(gql.as_(admin), make, email="feed@example.org")
    row_id = account_id.removeprefix("service_account_")
    count = "select count(*) from credentials where id = $1::text::uuid"
    assert await make.connection.fetchval(count, row_id) == 0
    # Even one that was given a password by some other way has no use for it.
    signed_in = await make.user(Role.SERVICE)
    for email in ("feed@example.org", signed_in.user.email):
        answer = await gql.ask(document("signIn"), input={"email": email, "password": PASSWORD})
        assert reason(answer) == "INVALID"


@pytest.fixture(scope="module")
async def partners(stage: Stage) -> dict[str, Program]:
    """A program whose key allows all that keys may, and one whose key allows nothing."""
    book = await stage.make.book()
    return {
        each: await program(stage.make, book, actions=GRANTABLE if each == "all" else ()) for each in ("all", "none")
    }


@pytest.mark.parametrize("allowed", ["all", "none"])
@pytest.mark.parametrize("mutation", INPUTS.mutations)
async def test_a_key_does_what_it_allows_and_nothing_of_accounts(
    stage: Stage, partners: dict[str, Program], mutation: str, allowed: str
) -> None:
    needed = NEEDS[mutation]
    given = INPUTS.of(INPUTS.kind_of(mutation))
    answer = await by(stage.gql, partners[allowed].token).ask(document(mutation), input=given)
    if needed is None:
        # What begins a session never begins one by a key.
        assert set(answer.codes) <= {"FORBIDDEN", "UNAUTHENTICATED", "VALIDATION_ERROR"}
        assert answer.codes or answer["data"][mutation]["userErrors"]
    elif allowed == "all" and needed in GRANTABLE:
        assert "FORBIDDEN" not in answer.codes
    else:
        assert answer.codes == ["FORBIDDEN"]


@pytest.mark.parametrize("action", sorted(GRANTABLE))
async def test_a_key_allows_its_own_action_alone(stage: Stage, action: Action) -> None:
    partner = await program(stage.make, actions=[action])
    feed = by(stage.gql, partner.token)
    assert (await feed.run(SEEN))["viewer"]["can"] == [action]
    for needed in sorted(GRANTABLE):
        mutation = next(name for name, each in NEEDS.items() if each is needed)
        answer = await feed.ask(document(mutation), input=INPUTS.of(INPUTS.kind_of(mutation)))
        assert ("FORBIDDEN" in answer.codes) == (needed is not action), mutation


async def test_a_right_password_begins_no_session_by_a_key(stage: Stage, partners: dict[str, Program]) -> None:
    user = await stage.make.user(Role.ADMIN)
    given = {"email": user.user.email, "password": PASSWORD}
    answer = await by(stage.gql, partners["all"].token).ask(document("signIn"), input=given)
    assert answer.codes == ["FORBIDDEN"]


def test_what_a_key_may_allow_is_part_of_what_a_program_may_do() -> None:
    assert ALLOWED[Role.SERVICE] == GRANTABLE
    assert ALLOWED[Role.ADVISOR] > GRANTABLE
    assert not any(action.startswith("MANAGE") for action in GRANTABLE)


async def test_the_key_itself_is_in_no_table_no_audit_row_and_no_log(
    make: Make, gql: Gql, admin: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account_id = await account(gql.as_(admin), make)
    first = await made_key(gql.as_(admin), make, account_id, Action.PLACE_ORDER)
    await by(gql, first["key"]).run(SEEN)
    rotate = {"serviceKeyId": first["serviceKey"]["id"]}
    second = await gql.as_(admin).change("rotateServiceKey", KEY, **rotate)
    await by(gql, second["key"]).ask("{ nothing }")
    await gql.as_(admin).change("revokeServiceKey", "__typename", serviceKeyId=second["serviceKey"]["id"])
    await by(gql, second["key"]).ask(SEEN)
    secrets = [text[13:-8] for text in (first["key"], second["key"])]
    assert all(len(secret) == 64 for secret in secrets)
    tables = [*metadata.tables, "queue.pgqueuer", "queue.pgqueuer_log"]
    for table in tables:
        rows = await make.connection.fetch(f"select t::text from {table} t")  # noqa: S608 - our own names
        stored = "\n".join(row[0] for row in rows)
        assert not any(secret in stored for secret in secrets), table
    told = "\n".join([caplog.text, *(str(record.__dict__) for record in caplog.records)])
    assert not any(secret in told for secret in secrets)
    digests = [row[0] for row in await make.connection.fetch("select digest from service_keys")]
    assert len(digests) == 2
    trail = await make.connection.fetch(
        "select coalesce(before::text, '') || coalesce(after::text, '') from audit_events"
    )
    assert not any(digest in row[0] for digest in digests for row in trail)


async def test_known_keys_are_few_and_unknown_ones_push_out_none(make: Make, services: Services) -> None:
    known = KnownKeys(services.doors, most=2)
    mine = [await program(make) for _ in range(3)]
    for each in mine:
        await known.claims(key_digest(each.token))
    seen: list[str] = []
    with services.doors.database.observed(seen.append):
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                await known.claims(key_digest(new_text()))
        del seen[:]
        await known.claims(key_digest(mine[2].token))
        await known.claims(key_digest(mine[1].token))
    assert seen == []
