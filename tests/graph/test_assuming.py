"""What a known session asks is answered as of whom it belongs to now, in one statement where nothing has changed."""

import json
from itertools import pairwise
from typing import Any

import pytest

from domain.access import Role
from graph.context import Services
from graph.http.schema import Schema
from graph.ids import id_of
from graph.settings import Settings
from tests.factories import partners
from tests.factories.firm import Make, SignedIn
from tests.support.budgets import Budgets
from tests.support.gql import Gql

MINE = "{ viewer { role } clients { nodes { name } } }"
READ = "{ clients(first: 10) { nodes { name } } }"
TYPE = "{ __typename }"


async def statements(gql: Gql, services: Services, document: str, **variables: Any) -> list[str]:
    seen: list[str] = []
    with services.doors.database.observed(seen.append):
        await gql.run(document, **variables)
    return seen


async def test_who_asks_is_told_along_with_what_is_read(gql: Gql, make: Make, services: Services) -> None:
    advisor = await make.advisor(clients=2)
    known = gql.as_(advisor)
    first = await statements(known, services, READ)
    assert ["viewer_of" in text for text in first] == [True, False]
    # The document was not known before either.
    for _ in range(2):
        (text,) = await statements(known, services, READ)
        assert "clients" in text


async def test_what_reads_nothing_asks_all_the_same(gql: Gql, make: Make, services: Services) -> None:
    known = gql.as_(await make.advisor())
    await known.run(TYPE)
    assert [text[:15] for text in await statements(known, services, TYPE)] == ["select enter_as"]


# The first reading of each of these knows to be empty, whatever is asked for, for who sees books.
EMPTY = "query ($id: ID!, $key: ID!) { nodes(ids: [$key, $id]) { id } }"


async def test_what_is_known_to_be_empty_lets_nobody_see_more(gql: Gql, make: Make) -> None:
    advisor, other, admin = await make.advisor(clients=1), await make.advisor(clients=1), await make.user(Role.ADMIN)
    assert other.book
    given = {"id": id_of(await make.client(other.book)), "key": "service_key_" + "7" * 32}
    known, everything = gql.as_(advisor), gql.as_(admin)
    for _ in range(3):
        assert (await everything.run(EMPTY, **given))["nodes"][1] is not None
        assert (await known.run(EMPTY, **given))["nodes"] == [None, None]
    await make.connection.execute(CHANGES["revoked"], advisor.session.id)
    assert (await known.ask(EMPTY, **given)).codes == ["UNAUTHENTICATED"]


CHANGES = {
    "revoked": "update sessions set revoked_at = now() where id = $1",
    "idle": "update sessions set idle_until = created_at where id = $1",
    "disabled": "update users set status = 'DISABLED' where id = (select user_id from sessions where id = $1)",
}


@pytest.mark.parametrize("document", [READ, TYPE, MINE, "{ node(id: 7) { id } }"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_session_that_has_ended_is_answered_nothing(gql: Gql, make: Make, document: str, change: str) -> None:
    advisor = await make.advisor(clients=1)
    known = gql.as_(advisor)
    for _ in range(2):
        await known.ask(document)
    await make.connection.execute(CHANGES[change], advisor.session.id)
    for _ in range(2):
        answer = await known.ask(document)
        assert (answer.codes, "data" in answer) == (["UNAUTHENTICATED"], False)
        assert answer["errors"][0]["extensions"]["reason"] == "REVOKED"


async def change_role(make: Make, user: SignedIn, role: Role) -> None:
    await make.connection.execute("update users set role = $2 where id = $1", user.user.id, role.value)


async def test_a_change_of_rights_is_seen_by_the_next_question(gql: Gql, make: Make) -> None:
    advisor = await make.advisor(clients=2)
    await make.advisor(clients=3)
    known = gql.as_(advisor)
    for role, seen in ((Role.ADVISOR, 2), (Role.ADMIN, 5), (Role.ANALYST, 2), (Role.AUDITOR, 5), (Role.ADVISOR, 2)):
        await change_role(make, advisor, role)
        for _ in range(2):
            found = await known.run(MINE)
            assert (found["viewer"]["role"], len(found["clients"]["nodes"])) == (role.value, seen)


async def test_a_book_that_is_given_or_taken_is_seen_by_the_next_question(gql: Gql, make: Make) -> None:
    advisor, other = await make.advisor(clients=1), await make.advisor(clients=2)
    known = gql.as_(advisor)
    assert other.book
    for _ in range(2):
        assert len((await known.run(READ))["clients"]["nodes"]) == 1
    membership = await make.membership(other.book, advisor.user)
    for _ in range(2):
        assert len((await known.run(READ))["clients"]["nodes"]) == 3
    await make.connection.execute("delete from memberships where id = $1", membership.id)
    for _ in range(2):
        assert len((await known.run(READ))["clients"]["nodes"]) == 1


async def test_what_somebody_reads_who_is_an_auditor_now_is_noted(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADMIN)
    known = gql.as_(user)
    for _ in range(2):
        await known.run(READ)
    await change_role(make, user, Role.AUDITOR)
    for _ in range(2):
        await known.run(READ)
    rows = await make.connection.fetch("select after from audit_events where action = 'audit.read'")
    assert [json.loads(row[0])["fields"] for row in rows] == [["clients"], ["clients"]]


async def test_a_change_is_made_by_whom_the_session_belongs_to_now(gql: Gql, make: Make) -> None:
    advisor = await make.advisor(clients=1)
    known = gql.as_(advisor)
    mark = "mutation { markAllNotificationsRead(input: {}) { userErrors { code } } }"
    for _ in range(2):
        await known.run(READ)
        await known.run(mark)
    await make.connection.execute(CHANGES["revoked"], advisor.session.id)
    assert (await known.ask(mark)).codes == ["UNAUTHENTICATED"]


async def test_a_key_that_is_known_is_asked_for_along_with_what_is_read(gql: Gql, make: Make) -> None:
    book = await make.book()
    await make.client(book)
    partner = await partners.program(make, book)
    known = Gql(gql.client, gql.services, partner.token)
    for _ in range(2):
        await known.run(READ)
    (text,) = await statements(known, gql.services, READ)
    assert "clients" in text
    await make.connection.execute("update service_keys set revoked_at = now()")
    assert (await known.ask(READ)).codes == ["UNAUTHENTICATED"]


async def test_what_is_answered_anew_is_charged_once(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema), await make.advisor(clients=2)
    async with budgets.at() as caller:
        left = []
        for role in (Role.ADVISOR, Role.ADVISOR, Role.ANALYST, Role.ANALYST):
            await change_role(make, advisor, role)
            answer = await caller.as_(advisor).ask(READ)
            assert len(answer.data["clients"]["nodes"]) == 2
            left.append(answer["extensions"]["cost"]["remaining"])
        assert len({before - after for before, after in pairwise(left)}) == 1, left


async def test_a_row_by_its_id_holds_what_is_asked_for_alone(gql: Gql, make: Make, services: Services) -> None:
    advisor = await make.advisor(clients=1)
    known = gql.as_(advisor)
    (client,) = await make.connection.fetch("select id, name, email from clients")
    document = "query ($id: ID!) { node(id: $id) { __typename id ... on Client { name } ... on Book { openedOn } } }"
    client_id, book_id = f"client_{client['id'].hex}", id_of(advisor.book)
    for _ in range(2):
        found = await known.run(document, id=client_id)
        assert found["node"] == {"__typename": "Client", "id": client_id, "name": client["name"]}
    (text,) = await statements(known, services, document, id=client_id)
    assert "clients.name" in text
    assert "email" not in text
    assert (await known.run(document, id=book_id))["node"].keys() == {"__typename", "id", "openedOn"}
    whole = await known.run(
        "query ($id: ID!) { node(id: $id) { ... on Client { email contact: email } } }", id=client_id
    )
    assert whole["node"] == {"email": client["email"], "contact": client["email"]}
