import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final
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
from tests.factories.firm import SignedIn
from tests.support.inputs import Inputs, document
from tests.support.stage import Stage
from tests.support.story import Story

# What each mutation of the schema needs; None where everybody may who has a session, or wants one.
NEEDS: Final[Mapping[str, Action | None]] = {
    "acceptInvite": None,
    "addMember": Action.MANAGE_MEMBERS,
    "amendOrder": Action.PLACE_ORDER,
    "announce": Action.ANNOUNCE,
    "approveOrder": Action.APPROVE_ORDER,
    "archiveClient": Action.UPDATE_CLIENT,
    "archiveConversation": Action.CONVERSE,
    "beginProviderLink": Action.MANAGE_ACCOUNT,
    "beginProviderReauthentication": Action.MANAGE_ACCOUNT,
    "beginProviderSignIn": None,
    "beginSecondFactor": Action.MANAGE_ACCOUNT,
    "breakGlass": Action.BREAK_GLASS,
    "cancelOrder": Action.PLACE_ORDER,
    "cancelRun": Action.CONVERSE,
    "changeEmail": Action.MANAGE_ACCOUNT,
    "changePassword": Action.MANAGE_ACCOUNT,
    "changeUserRole": Action.MANAGE_USERS,
    "clearMarketDay": Action.MANAGE_MARKETS,
    "completeProviderLink": Action.MANAGE_ACCOUNT,
    "completeProviderReauthentication": Action.MANAGE_ACCOUNT,
    "completeProviderSignIn": None,
    "completeSignIn": None,
    "confirmSecondFactor": Action.MANAGE_ACCOUNT,
    "createClient": Action.CREATE_CLIENT,
    "createHousehold": Action.CREATE_CLIENT,
    "createServiceAccount": Action.MANAGE_SERVICE_ACCOUNTS,
    "createServiceKey": Action.MANAGE_SERVICE_ACCOUNTS,
    "declineOrder": Action.APPROVE_ORDER,
    "deleteClient": Action.UPDATE_CLIENT,
    "deleteConversation": Action.CONVERSE,
    "disableSecondFactor": Action.MANAGE_ACCOUNT,
    "disableServiceAccount": Action.MANAGE_SERVICE_ACCOUNTS,
    "disableUser": Action.MANAGE_USERS,
    "draftOrder": Action.PLACE_ORDER,
    "eraseClient": Action.ERASE_PERSON,
    "eraseUser": Action.ERASE_PERSON,
    "enableUser": Action.MANAGE_USERS,
    "endBreakGlass": Action.BREAK_GLASS,
    "endMembership": Action.MANAGE_MEMBERS,
    "inviteUser": Action.MANAGE_USERS,
    "leaveConversation": Action.CONVERSE,
    "linkProvider": Action.MANAGE_ACCOUNT,
    "markAllNotificationsRead": Action.MARK_NOTIFICATIONS,
    "markNotificationsRead": Action.MARK_NOTIFICATIONS,
    "moveClient": Action.MOVE_CLIENT,
    "openBook": Action.OPEN_BOOK,
    "openPortfolio": Action.OPEN_PORTFOLIO,
    "placeOrder": Action.PLACE_ORDER,
    "reauthenticate": Action.MANAGE_ACCOUNT,
    "recordTransaction": Action.RECORD_TRANSACTION,
    "refreshSession": None,
    "register": None,
    "renameConversation": Action.CONVERSE,
    "renameHousehold": Action.UPDATE_CLIENT,
    "replaceRecoveryCodes": Action.MANAGE_ACCOUNT,
    "requestEmailVerification": Action.MANAGE_ACCOUNT,
    "requestPasswordReset": None,
    "resendInvitation": Action.MANAGE_USERS,
    "resetPassword": None,
    "resetSecondFactor": Action.MANAGE_USERS,
    "retryJob": Action.MANAGE_JOBS,
    "retryRun": Action.CONVERSE,
    "revealTaxId": Action.REVEAL_TAX_ID,
    "reverseTransaction": Action.REVERSE_TRANSACTION,
    "revokeOtherSessions": Action.MANAGE_ACCOUNT,
    "revokeServiceKey": Action.MANAGE_SERVICE_ACCOUNTS,
    "revokeSession": Action.MANAGE_ACCOUNT,
    "sendMessage": Action.CONVERSE,
    "rotateServiceKey": Action.MANAGE_SERVICE_ACCOUNTS,
    "setMarketDay": Action.MANAGE_MARKETS,
    "shareConversation": Action.CONVERSE,
    "signIn": None,
    "signOut": Action.MANAGE_ACCOUNT,
    "signOutUser": Action.MANAGE_USERS,
    "startConversation": Action.CONVERSE,
    "submitOrder": Action.PLACE_ORDER,
    "unlinkProvider": Action.MANAGE_ACCOUNT,
    "updateClient": Action.UPDATE_CLIENT,
    "updatePortfolio": Action.OPEN_PORTFOLIO,
    "updateProfile": Action.MANAGE_ACCOUNT,
    "verifyEmail": None,
    "withdrawAnnouncement": Action.ANNOUNCE,
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
    # The trail is read, and changed by nobody.
    assert set(NEEDS.values()) - {None} == set(Action) - {Action.READ_AUDIT}


def test_the_table_is_the_firms() -> None:
    leading = {Role.ADMIN, Role.BU_MANAGER, Role.SUPERVISOR}
    for action in (Action.OPEN_BOOK, Action.MANAGE_MEMBERS, Action.MOVE_CLIENT, Action.APPROVE_ORDER):
        assert {role for role in Role if action in ALLOWED[role]} == leading
    reading = {Role.VIEWER, Role.AUDITOR, Role.ANALYST, Role.CLIENT}
    own = {Action.MARK_NOTIFICATIONS, Action.CONVERSE, Action.MANAGE_ACCOUNT, Action.READ_AUDIT}
    for role in Role:
        assert Action.CONVERSE in ALLOWED[role]
        # Who only reads changes nothing but its own account, its own conversations and what it has read.
        assert (ALLOWED[role] <= own) == (role in reading)


@pytest.mark.parametrize("mutation", INPUTS.mutations)
@pytest.mark.parametrize("role", Role)
async def test_a_role_is_forbidden_what_its_table_does_not_allow(stage: Stage, role: Role, mutation: str) -> None:
    needed = NEEDS[mutation]
    given = INPUTS.of(INPUTS.kind_of(mutation))
    # Somebody of its own, for some end all sessions of whoever does them.
    answer = await stage.gql.as_(await stage.make.user(role)).ask(document(mutation), input=given)
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
    assert there.codes == ["FORBIDDEN"]
    assert there.steady == not_there.steady
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


# What must never stand in the trail in plain text: each is a word of the story.
PERSONAL: Final = re.compile(r"zyxw|qpon|9812345678|1977-07-07|zirconium|zebra|1234q|234q|wvutsr|nephew", re.IGNORECASE)


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
        assert not any(secret in told for secret in (*story.secrets, *await _kept_secret(stage), "argon2"))
        assert (row["actor_id"] == story.admin.user.id) or NEEDS[mutation] is None
        assert row["request_id"]
    assert len({row["request_id"] for row in rows}) == 1


async def _kept_secret(stage: Stage) -> list[str]:
    """What is stored beside the trail, and must not stand in it: sealed tax ids and digests of tokens."""
    sealed = await stage.owner.fetch("select sealed from client_tax_ids")
    digests = await stage.owner.fetch("select digest from refresh_tokens")
    return [*(b64encode(row[0]).decode() for row in sealed), *(row[0] for row in digests)]


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
        vault = Vault(lent, settings.key_ring(cluster.home))
        assert await vault.open(client_id, sealed) == '"Zyxwvut Qponm"'
    await stage.owner.execute("delete from person_keys where person_id = $1", client_id)
    async with stage.services.doors.database.lend(await stage.make.viewer(admin)) as lent:
        vault = Vault(lent, settings.key_ring(cluster.home))
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
