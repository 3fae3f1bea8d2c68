"""The audit trail as its readers see it: the whole of it, the history of an object, and what auditors leave in it."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from domain.access import Role
from domain.parties import PartyRole
from graph.context import Services
from graph.ids import encode, id_of
from graph.schema import schema_text
from persistence.audit import seal
from tests.factories import people
from tests.factories.firm import Make
from tests.support.audit import superuser
from tests.support.gql import Gql
from tests.support.served import Served, socket_to
from tests.support.statements import Statements

EVENT: Final = """
    id occurredAt action objectType requestId reason sessionId actor { name } client { name } object { __typename id }
    fields { name before after personal erased secret } seal { number digest }
"""
EVENTS: Final = f"query ($cut: AuditEventFilter) {{ auditEvents(filter: $cut) {{ totalCount nodes {{ {EVENT} }} }} }}"
HISTORY: Final = f"query ($id: ID!) {{ node(id: $id) {{ ... on Client {{ changes {{ nodes {{ {EVENT} }} }} }} }} }}"
VERIFY: Final = "{ verifyAudit { intact seals events nextSeal findings { kind seal eventId } } }"


async def events(gql: Gql, **cut: Any) -> list[Any]:
    return list((await gql.run(EVENTS, cut=cut))["auditEvents"]["nodes"])


async def history(gql: Gql, client_id: str) -> list[Any]:
    return list((await gql.run(HISTORY, id=client_id))["node"]["changes"]["nodes"])


def values(event: Any) -> dict[str, tuple[Any, Any]]:
    return {field["name"]: (field["before"], field["after"]) for field in event["fields"]}


async def renamed(gql: Gql, client_id: str, version: int = 1, **details: Any) -> None:
    given = {"clientId": client_id, "version": version, "details": details or {"name": "Zoe Rao", "segment": "HNI"}}
    assert (await gql.change("updateClient", "client { id }", **given))["userErrors"] == []


async def test_an_event_says_who_did_what_to_what(gql: Gql, make: Make, services: Services) -> None:
    advisor, admin = await make.advisor(), await make.user(Role.ADMIN)
    assert advisor.book
    client = await make.client(advisor.book, name="Asha Rao")
    await renamed(gql.as_(advisor), id_of(client), tags=["vip"], name="Zoe Rao", segment="HNI")
    (event,) = await events(gql.as_(admin))
    assert event["action"] == "clients.update"
    assert event["objectType"] == "Client"
    assert event["object"] == {"__typename": "Client", "id": id_of(client)}
    assert event["actor"] == {"name": advisor.user.name}
    assert event["client"] == {"name": "Zoe Rao"}
    assert event["sessionId"] == encode("session", advisor.session.id)
    assert event["seal"] is None
    changed = values(event)
    assert changed["name"] == ("Asha Rao", "Zoe Rao")
    assert changed["segment"] == ("AFFLUENT", "HNI")
    assert changed["tags"] == ("[]", '["vip"]')
    assert changed["version"] == ("1", "2")
    # Neither what did not change, nor what only follows from another field.
    assert {"email", "kycStatus", "sortName", "dateOfBirth"}.isdisjoint(changed)
    personal = {field["name"] for field in event["fields"] if field["personal"]}
    assert personal == {"name", "tags"}
    (made,) = await seal(services.doors.database, datetime.now(UTC))
    (again,) = await events(gql.as_(admin))
    assert again["seal"] == {"number": 1, "digest": made.digest.hex()}


async def test_secrets_are_named_and_never_told(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    client = await make.client(await make.book())
    await renamed(gql.as_(admin), id_of(client), taxId="ABCDE1234F")
    (event,) = [each for each in await events(gql.as_(admin)) if each["objectType"] == "TaxId"]
    sealed = next(field for field in event["fields"] if field["name"] == "sealed")
    assert (sealed["secret"], sealed["before"], sealed["after"]) == (True, None, None)
    assert values(event)["masked"] == (None, "••••••234F")
    assert event["object"] == {"__typename": "Client", "id": id_of(client)}


async def test_events_are_found_by_each_filter(gql: Gql, make: Make) -> None:
    admin, advisor = await make.user(Role.ADMIN), await make.advisor()
    assert advisor.book
    first, second = await make.client(advisor.book), await make.client(advisor.book)
    await renamed(gql.as_(advisor), id_of(first))
    await gql.as_(admin).change("createHousehold", "household { id }", bookId=id_of(advisor.book), name="Rao")
    await renamed(gql.as_(admin), id_of(second), notes="Likes zebras.")
    ask = gql.as_(admin)
    everything = await events(ask)
    # A changed client is one row, and its notes another.
    assert [each["objectType"] for each in everything] == ["ClientProfile", "Client", "Household", "Client"]
    request = everything[2]["requestId"]
    middle = everything[2]["occurredAt"]
    for cut, count in (
        ({"actorId": advisor.id}, 1),
        ({"objectId": id_of(second)}, 2),
        ({"clientId": id_of(first)}, 1),
        ({"actions": ["households.create"]}, 1),
        ({"actions": ["households.create", "clients.update"]}, 4),
        ({"actions": []}, 0),
        ({"requestId": request}, 1),
        ({"occurredFrom": middle}, 3),
        ({"occurredBefore": middle}, 1),
        ({"occurredFrom": middle, "occurredBefore": middle}, 0),
        ({"actorId": admin.id, "clientId": id_of(second)}, 2),
    ):
        found = (await ask.run(EVENTS, cut=cut))["auditEvents"]
        assert (found["totalCount"], len(found["nodes"])) == (count, count), cut
    answer = await ask.ask(EVENTS, cut={"actorId": id_of(first)})
    assert answer.codes == ["VALIDATION_ERROR"]


@pytest.mark.parametrize("role", Role)
async def test_admins_and_auditors_read_the_trail(gql: Gql, make: Make, role: Role) -> None:
    user = await make.user(role)
    allowed = role in {Role.ADMIN, Role.AUDITOR}
    for document in (EVENTS, VERIFY):
        answer = await gql.as_(user).ask(document)
        assert answer.codes == ([] if allowed else ["FORBIDDEN"])


async def test_a_history_is_for_whoever_sees_the_object(gql: Gql, make: Make) -> None:
    team = await make.team()
    advisor, other = await make.advisor(team=team), await make.advisor(team=team)
    supervisor, stranger = await make.user(Role.SUPERVISOR, team), await make.advisor()
    assert advisor.book
    assert other.book
    client = await make.client(advisor.book, name="Asha Rao")
    own = await make.user(Role.CLIENT, client_id=client.id)
    await renamed(gql.as_(advisor), id_of(client), email="asha@example.org")
    for reader in (advisor, supervisor):
        (event,) = await history(gql.as_(reader), id_of(client))
        assert values(event)["email"] == (None, "asha@example.org")
        # Which session it was is not for everybody.
        assert (event["sessionId"], event["seal"]) == (None, None)
    # What the staff have done is not for the client, not even by its id.
    assert await history(gql.as_(own), id_of(client)) == []
    event_id = (await history(gql.as_(advisor), id_of(client)))[0]["id"]
    read = "query ($id: ID!) { node(id: $id) { id } }"
    for reader in (own, stranger, other):
        assert (await gql.as_(reader).ask(read, id=event_id)).codes == ["NOT_FOUND"]
    # The history goes where the client goes.
    moved = {"clientId": id_of(client), "bookId": id_of(other.book), "version": 2}
    assert (await gql.as_(supervisor).change("moveClient", "client { id }", **moved))["userErrors"] == []
    assert len(await history(gql.as_(other), id_of(client))) == 2
    assert (await gql.as_(advisor).ask(read, id=event_id)).codes == ["NOT_FOUND"]


async def test_what_has_a_history_shows_it(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    ask = gql.as_(admin)
    team = await make.team()
    book = (await ask.change("openBook", "book { id }", name="North", teamId=id_of(team)))["book"]["id"]
    home = (await ask.change("createHousehold", "household { id }", bookId=book, name="Rao"))["household"]["id"]
    details = {"bookId": book, "kind": "INDIVIDUAL", "details": {"name": "Asha Rao"}}
    client = (await ask.change("createClient", "client { id }", **details))["client"]["id"]
    opened = {"clientId": client, "name": "Growth", "openedOn": "2024-01-01"}
    portfolio = (await ask.change("openPortfolio", "portfolio { id }", **opened))["portfolio"]["id"]
    for row_id, action in (
        (book, "books.open_book"),
        (home, "households.create"),
        (client, "clients.create"),
        (portfolio, "portfolios.open_portfolio"),
    ):
        kind = row_id.partition("_")[0].title()
        document = f"query ($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ changes {{ nodes {{ action }} }} }} }} }}"
        nodes = (await ask.run(document, id=row_id))["node"]["changes"]["nodes"]
        assert {node["action"] for node in nodes} == {action}, row_id


async def test_a_user_sees_its_own_history_and_colleagues_do_not(gql: Gql, make: Make) -> None:
    admin, advisor, colleague = [await make.user(role) for role in (Role.ADMIN, Role.ADVISOR, Role.ADVISOR)]
    given = {"userId": advisor.id, "version": 1, "role": "ANALYST"}
    assert (await gql.as_(admin).change("changeUserRole", "user { id }", **given))["userErrors"] == []
    document = "query ($id: ID!) { node(id: $id) { ... on User { changes { nodes { fields { name after } } } } } }"
    for reader, count in ((admin, 1), (advisor, 1), (colleague, 0)):
        nodes = (await gql.as_(reader).run(document, id=advisor.id))["node"]["changes"]["nodes"]
        assert len(nodes) == count


@pytest.mark.parametrize("clients", [2, 8])
async def test_histories_of_a_list_cost_the_same_whatever_its_size(
    gql: Gql, make: Make, statements: Statements, clients: int
) -> None:
    advisor = await make.advisor(clients=clients)
    assert advisor.book
    ask = gql.as_(advisor)
    nodes = (await ask.run("{ clients { nodes { id } } }"))["clients"]["nodes"]
    for node in nodes:
        await renamed(ask, node["id"], name="Zoe", notes="Likes zebras.")
    with statements.counted() as seen:
        found = await ask.run(f"{{ clients {{ nodes {{ changes {{ totalCount nodes {{ {EVENT} }} }} }} }} }}")
    assert all(node["changes"]["totalCount"] == 2 for node in found["clients"]["nodes"])
    # The viewer, the clients, their events, the counts, the seals, the keys, and three kinds of relations.
    assert len(seen) <= 10, seen


def facts(event: Any) -> dict[str, Any]:
    return {field["name"]: field["after"] for field in event["fields"]}


async def test_whatever_an_auditor_asks_for_is_noted(gql: Gql, make: Make) -> None:
    auditor, admin = await make.user(Role.AUDITOR), await make.user(Role.ADMIN)
    client = await make.client(await make.book(), name="Asha Rao")
    document = (
        "query Looked($id: ID!) { ...all it: node(id: $id) { id } } fragment all on Query { clients { totalCount } }"
    )
    await gql.as_(auditor).run(document, id=id_of(client))
    (event,) = await events(gql.as_(admin))
    assert (event["action"], event["actor"]["name"]) == ("audit.read", auditor.user.name)
    told = facts(event)
    assert (told["operation"], told["type"]) == ("Looked", "query")
    assert json.loads(told["fields"]) == ["node", "clients"]
    assert json.loads(told["ids"]) == [id_of(client)]
    assert told["digest"] == hashlib.sha256(document.encode()).hexdigest()


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ("{ nothing }", ["nothing"]),
        ("{ clients {", []),
        (f'{{ node(id: "{encode("client", UUID(int=3))}") {{ id }} }}', ["node"]),
        ("mutation { markAllNotificationsRead(input: {}) { userErrors { code } } }", ["markAllNotificationsRead"]),
        ("query A { viewer { role } } query B { viewer { role } }", []),
    ],
    ids=["unknown field", "no document", "nothing there", "mutation", "two operations"],
)
async def test_what_fails_is_noted_too(gql: Gql, make: Make, document: str, fields: list[str]) -> None:
    auditor = await make.user(Role.AUDITOR)
    await gql.as_(auditor).ask(document)
    rows = await make.connection.fetch("select after from audit_events where action = 'audit.read'")
    assert [json.loads(row[0])["fields"] for row in rows] == [fields]


async def test_others_leave_no_note_of_reading(gql: Gql, make: Make) -> None:
    for role in set(Role) - {Role.AUDITOR}:
        await gql.as_(await make.user(role)).run("{ viewer { role } }")
    assert await make.connection.fetchval("select count(*) from audit_events") == 0


async def test_an_answer_to_an_auditor_waits_for_its_note(
    gql: Gql, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = await make.user(Role.AUDITOR)

    async def full(*_: Any) -> None:
        raise RuntimeError("no space left")

    monkeypatch.setattr("persistence.work.audit.write", full)
    answer = await gql.as_(auditor).ask("{ viewer { role } }")
    assert answer.codes == ["INTERNAL"]
    assert answer.get("data") is None


async def noted(make: Make, count: int) -> list[Any]:
    """The notes of readings, once there are so many."""
    async with asyncio.timeout(5):
        while True:
            rows = await make.connection.fetch("select after from audit_events where action = 'audit.read' order by id")
            if len(rows) >= count:
                return [json.loads(row[0]) for row in rows]
            await asyncio.sleep(0.02)


async def test_sockets_and_streams_of_auditors_are_noted_as_they_begin(live: Served, make: Make) -> None:
    auditor = await make.user(Role.AUDITOR)
    follow = "subscription Follow { notifications { cursor } }"
    async with socket_to(live, auditor.token) as socket:
        await socket.subscribe(follow)
        assert (await noted(make, 1))[0]["operation"] == "Follow"
        await socket.subscribe("{ viewer { role } }", id="2")
        assert (await socket.next())["viewer"] == {"role": "AUDITOR"}
        assert [note["type"] for note in await noted(make, 2)] == ["subscription", "query"]
    headers = {"authorization": f"Bearer {auditor.token}", "accept": "text/event-stream"}
    async with (
        httpx.AsyncClient() as client,
        client.stream("POST", f"{live.url}/graphql", json={"query": follow}, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert (await noted(make, 3))[2]["fields"] == ["notifications"]


async def test_a_trail_that_was_tampered_with_is_told_of(
    gql: Gql, make: Make, services: Services, database_url: str
) -> None:
    admin = await make.user(Role.ADMIN)
    client = await make.client(await make.book())
    await renamed(gql.as_(admin), id_of(client))
    await seal(services.doors.database, datetime.now(UTC))
    whole = (await gql.as_(admin).run(VERIFY))["verifyAudit"]
    assert whole == {"intact": True, "seals": 1, "events": 1, "nextSeal": None, "findings": []}
    async with superuser(database_url) as intruder:
        victim = await intruder.fetchval("update audit_events set reason = 'x' returning id")
    found = (await gql.as_(admin).run(VERIFY))["verifyAudit"]
    assert not found["intact"]
    assert found["findings"] == [{"kind": "ROW_ALTERED", "seal": 1, "eventId": encode("audit", victim)}]
    for number in (0, -1):
        answer = await gql.as_(admin).ask("query ($n: Int!) { verifyAudit(fromSeal: $n) { intact } }", n=number)
        assert answer.codes == ["VALIDATION_ERROR"]


async def test_a_reason_is_sealed_with_the_person_and_opened_for_readers(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    client = await make.client(await make.book())
    await renamed(gql.as_(admin), id_of(client), taxId="ABCDE1234F")
    reason = "Asha Rao has asked for her return."
    shown = await gql.as_(admin).change("revealTaxId", "taxId", clientId=id_of(client), reason=reason)
    assert shown["taxId"] == "ABCDE1234F"
    event = (await events(gql.as_(admin)))[0]
    assert (event["action"], event["reason"]) == ("privacy.reveal_tax_id", reason)
    stored = await make.connection.fetchval("select reason from audit_events where reason is not null")
    assert stored.startswith("sealed:")


async def test_parties_of_a_client_are_in_its_trail(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    client = await make.client(await make.book())
    await people.party(make, client)
    party = {"role": PartyRole.NOMINEE, "name": "Rohan", "share": "100"}
    await renamed(gql.as_(admin), id_of(client), parties=[party])
    found = await events(gql.as_(admin), clientId=id_of(client))
    assert sorted(each["objectType"] for each in found) == ["Client", "Party", "Party"]


def test_the_trail_cannot_be_written_by_the_api() -> None:
    text = schema_text()
    mutations = text[text.index("type Mutation") :]
    assert "audit" not in mutations[: mutations.index("\n}")].replace("audit trail", "").lower()


async def test_moments_are_exact(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    before = datetime.now(UTC)
    await renamed(gql.as_(admin), id_of(await make.client(await make.book())))
    (event,) = await events(gql.as_(admin))
    assert before - timedelta(seconds=1) <= datetime.fromisoformat(event["occurredAt"]) <= datetime.now(UTC)
