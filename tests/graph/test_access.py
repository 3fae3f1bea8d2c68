import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from cryptography.exceptions import InvalidTag

from domain.access import ALLOWED, Action, Role, Viewer, require
from domain.errors import Forbidden
from graph.ids import encode, id_of
from graph.settings import Settings
from persistence.embedded import EmbeddedServer
from persistence.vault import Vault
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.support.gql import Gql
from tests.support.inputs import Inputs, document
from tests.support.stage import Stage

# What each mutation of the schema needs; None where everybody may who has a session, or wants one.
NEEDS: Final[Mapping[str, Action | None]] = {
    "addMember": Action.MANAGE_MEMBERS,
    "archiveClient": Action.UPDATE_CLIENT,
    "createClient": Action.CREATE_CLIENT,
    "createHousehold": Action.CREATE_CLIENT,
    "deleteClient": Action.UPDATE_CLIENT,
    "endMembership": Action.MANAGE_MEMBERS,
    "markAllNotificationsRead": Action.MARK_NOTIFICATIONS,
    "markNotificationsRead": Action.MARK_NOTIFICATIONS,
    "moveClient": Action.MOVE_CLIENT,
    "openBook": Action.OPEN_BOOK,
    "openPortfolio": Action.OPEN_PORTFOLIO,
    "recordTransaction": Action.RECORD_TRANSACTION,
    "refreshSession": None,
    "renameHousehold": Action.UPDATE_CLIENT,
    "reverseTransaction": Action.REVERSE_TRANSACTION,
    "signIn": None,
    "signOut": None,
    "updateClient": Action.UPDATE_CLIENT,
    "updatePortfolio": Action.OPEN_PORTFOLIO,
}


def nowhere(prefix: str) -> str:
    """An id that no object has."""
    return encode(prefix, UUID(int=1))


INPUTS: Final = Inputs(nowhere)


@pytest.fixture(scope="module")
async def users(stage: Stage) -> dict[Role, SignedIn]:
    """A user of each role, in one team, and a member of one book."""
    team = await stage.make.team()
    book = await stage.make.book(team)
    return {role: await stage.make.user(role, team, book) for role in Role}


def test_every_mutation_and_every_role_has_its_rule() -> None:
    assert sorted(NEEDS) == INPUTS.mutations
    assert set(ALLOWED) == set(Role)
    assert set(NEEDS.values()) - {None} == set(Action)


@pytest.mark.parametrize("mutation", INPUTS.mutations)
@pytest.mark.parametrize("role", Role)
async def test_a_role_is_forbidden_what_its_table_does_not_allow(
    stage: Stage, users: dict[Role, SignedIn], role: Role, mutation: str
) -> None:
    needed = NEEDS[mutation]
    given = INPUTS.of(INPUTS.kind_of(mutation))
    answer = await stage.gql.as_(await stage.make.session(users[role].user)).ask(document(mutation), input=given)
    if needed is not None and needed not in ALLOWED[role]:
        assert answer.codes == ["FORBIDDEN"]
        assert answer["data"] == {mutation: None}
    else:
        assert "FORBIDDEN" not in answer.codes


@pytest.mark.parametrize("mutation", [name for name in INPUTS.mutations if NEEDS[name] is not None])
async def test_nobody_changes_anything_without_a_session(stage: Stage, mutation: str) -> None:
    answer = await stage.gql.ask(document(mutation), input=INPUTS.of(INPUTS.kind_of(mutation)))
    assert answer.codes == ["UNAUTHENTICATED"]


async def test_forbidden_depends_on_the_role_alone(stage: Stage, users: dict[Role, SignedIn]) -> None:
    book = users[Role.VIEWER].book
    assert book
    client = await stage.make.client(book)
    there, not_there = [
        await stage.gql.as_(users[Role.VIEWER]).ask(document("deleteClient"), input={"clientId": client_id})
        for client_id in (id_of(client), nowhere("client"))
    ]
    for answer in (there, not_there):
        for varying in ("timestamp", "requestId"):
            del answer["errors"][0]["extensions"][varying]
    assert there == not_there
    assert await stage.owner.fetchval("select count(*) from clients where id = $1", client.id) == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_require_asks_the_table(role: Role, action: Action) -> None:
    nobody = UUID(int=0)
    viewer = Viewer(nobody, nobody, role, None, None, "en_IN", "UTC", (), ())
    if action in ALLOWED[role]:
        require(viewer, action)
    else:
        with pytest.raises(Forbidden):
            require(viewer, action)


# What must never stand in the trail in plain text: each is a word of the story below.
PERSONAL: Final = re.compile(r"zyxw|qpon|9812345678|1977-07-07|zirconium|zebra|1234q|234q|wvutsr|nephew", re.IGNORECASE)
DETAILS: Final = {
    "name": "Zyxwvut Qponm",
    "email": "zyxwvut@example.org",
    "phone": "+91 98123-45678",
    "dateOfBirth": "1977-07-07",
    "tags": ["zirconium"],
    "taxId": "ZYXWV1234Q",
    "notes": "Likes zebras.",
    "parties": [{"role": "NOMINEE", "name": "Wvutsr", "relationship": "nephew", "share": "100"}],
}


class Story:
    """One of each mutation, done by an admin; a scene gives the input, from what came before it."""

    def __init__(self, make: Make, gql: Gql, admin: SignedIn) -> None:
        self.make = make
        self.gql = gql
        self.admin = admin
        self.secrets: list[str] = [PASSWORD]

    async def _client(self, **given: Any) -> str:
        return id_of(await self.make.client(await self.make.book(), name="Zyxwvut", **given))

    async def sign_in(self) -> dict[str, Any]:
        return {"email": self.admin.user.email, "password": PASSWORD}

    async def refresh_session(self) -> dict[str, Any]:
        payload = await self.gql.change("signIn", "session { refreshToken }", **await self.sign_in())
        self.secrets.append(payload["session"]["refreshToken"])
        return {"refreshToken": payload["session"]["refreshToken"]}

    async def sign_out(self) -> dict[str, Any]:
        self.gql = self.gql.as_(await self.make.session(self.admin.user))
        return {}

    async def open_book(self) -> dict[str, Any]:
        return {"name": "Zero", "teamId": id_of(await self.make.team())}

    async def add_member(self) -> dict[str, Any]:
        user = await self.make.user(Role.ADVISOR, name="Zyxwvut")
        return {"bookId": id_of(await self.make.book()), "userId": user.id, "kind": "STAND_IN"}

    async def end_membership(self) -> dict[str, Any]:
        book = await self.make.book()
        user = await self.make.user(Role.ADVISOR)
        return {"membershipId": id_of(await self.make.membership(book, user.user))}

    async def create_client(self) -> dict[str, Any]:
        return {"bookId": id_of(await self.make.book()), "kind": "INDIVIDUAL", "details": DETAILS}

    async def update_client(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "version": 1, "details": DETAILS}

    async def archive_client(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "version": 1}

    async def delete_client(self) -> dict[str, Any]:
        return {"clientId": await self._client()}

    async def move_client(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "version": 1, "bookId": id_of(await self.make.book())}

    async def create_household(self) -> dict[str, Any]:
        return {"bookId": id_of(await self.make.book()), "name": "Zyxwvut"}

    async def rename_household(self) -> dict[str, Any]:
        payload = await self.gql.change("createHousehold", "household { id }", **await self.create_household())
        return {"householdId": payload["household"]["id"], "version": 1, "name": "Qponm"}

    async def open_portfolio(self) -> dict[str, Any]:
        return {"clientId": await self._client(), "name": "Zyxwvut for ever", "openedOn": "2024-01-01"}

    async def _portfolio(self) -> str:
        payload = await self.gql.change("openPortfolio", "portfolio { id }", **await self.open_portfolio())
        return str(payload["portfolio"]["id"])

    async def update_portfolio(self) -> dict[str, Any]:
        return {"portfolioId": await self._portfolio(), "version": 1, "name": "Qponm for ever"}

    async def record_transaction(self) -> dict[str, Any]:
        return {
            "portfolioId": await self._portfolio(),
            "kind": "DEPOSIT",
            "currency": "INR",
            "tradedOn": "2024-01-01",
            "amount": "50000000",
            "idempotencyKey": f"key {next(self.make.numbers)}",
        }

    async def _transaction(self) -> str:
        payload = await self.gql.change("recordTransaction", "transaction { id }", **await self.record_transaction())
        return str(payload["transaction"]["id"])

    async def reverse_transaction(self) -> dict[str, Any]:
        key = f"key {next(self.make.numbers)}"
        return {"transactionId": await self._transaction(), "reason": "It was another's.", "idempotencyKey": key}

    async def mark_notifications_read(self) -> dict[str, Any]:
        await self._transaction()
        found = await self.gql.run("{ notifications(first: 1) { nodes { id } } }")
        return {"notificationIds": [found["notifications"]["nodes"][0]["id"]]}

    async def mark_all_notifications_read(self) -> dict[str, Any]:
        await self._transaction()
        return {}

    def scene(self, mutation: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What makes the input of a mutation."""
        name = re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", mutation)
        scene: Callable[[], Awaitable[dict[str, Any]]] = getattr(self, name)
        return scene


@pytest.mark.parametrize("mutation", INPUTS.mutations)
async def test_every_change_leaves_an_audit_row_without_personal_words(
    stage: Stage, users: dict[Role, SignedIn], mutation: str
) -> None:
    admin = users[Role.ADMIN]
    story = Story(stage.make, stage.gql.as_(admin), admin)
    given = await story.scene(mutation)()
    before = await stage.owner.fetchval("select count(*) from audit_events")
    payload = await story.gql.change(mutation, "__typename", **given)
    assert payload["userErrors"] == []
    rows = await stage.owner.fetch("select * from audit_events order by id desc limit $1", await _count(stage) - before)
    assert rows
    for row in rows:
        told = f"{row['before']} {row['after']}"
        assert not PERSONAL.search(told)
        assert not any(secret in told for secret in story.secrets)
        assert "argon2" not in told
        assert (row["actor_id"] == admin.user.id) or NEEDS[mutation] is None
        assert row["request_id"]
    assert len({row["request_id"] for row in rows}) == 1


async def _count(stage: Stage) -> int:
    return int(await stage.owner.fetchval("select count(*) from audit_events"))


async def test_what_the_trail_seals_the_key_of_the_person_opens(
    stage: Stage, users: dict[Role, SignedIn], settings: Settings, cluster: EmbeddedServer
) -> None:
    admin = users[Role.ADMIN]
    story = Story(stage.make, stage.gql.as_(admin), admin)
    payload = await story.gql.change("createClient", "client { id }", **await story.create_client())
    client_id = UUID(payload["client"]["id"].removeprefix("client_"))
    told = await stage.owner.fetchval(
        "select after from audit_events where object_id = $1 and object_type = 'Client'", client_id
    )
    sealed = b64decode(msgspec.json.decode(told)["name"]["sealed"])
    async with stage.services.doors.database.lend(await stage.make.viewer(admin)) as lent:
        vault = Vault(lent, settings.field_key_bytes(cluster.home))
        assert await vault.open(client_id, sealed) == '"Zyxwvut Qponm"'
    await stage.owner.execute("delete from person_keys where person_id = $1", client_id)
    async with stage.services.doors.database.lend(await stage.make.viewer(admin)) as lent:
        vault = Vault(lent, settings.field_key_bytes(cluster.home))
        with pytest.raises(InvalidTag):
            await vault.open(client_id, sealed)


async def test_a_refused_change_leaves_no_audit_row(stage: Stage, users: dict[Role, SignedIn]) -> None:
    client = await stage.make.client(await stage.make.book())
    before = await _count(stage)
    payload = await stage.gql.as_(users[Role.ADMIN]).change(
        "archiveClient", "__typename", clientId=id_of(client), version=9
    )
    assert [error["code"] for error in payload["userErrors"]] == ["STALE_VERSION"]
    assert await _count(stage) == before
