"""Looking after users, over HTTP and on open sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.access import Role
from domain.books import Unit
from graph.app import open_services
from graph.context import Services
from graph.ids import encode, id_of
from graph.settings import Settings
from persistence import books
from persistence.embedded import EmbeddedServer
from tests.conftest import quick
from tests.factories import trading
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.support.gql import Gql
from tests.support.letters import letters_to, token_of
from tests.support.served import Served, socket_to
from tests.support.statements import Statements

NEW = "seven green lanterns hum"
ME = "{ viewer { role } }"
ROLE = "user { id role version team { id } unit { id } }"
STATUS = "user { status }"
SIGN_IN = """
mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken } userErrors { code } }
}
"""
USERS = """
query ($first: Int, $after: String, $filter: UserFilter, $orderBy: UserOrder) {
    users(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
        totalCount pageInfo { endCursor hasNextPage } nodes { id name role status team { name } unit { name } }
    }
}
"""


@pytest.fixture
async def services(
    settings: Settings, database_url: str, cluster: EmbeddedServer, tmp_path: Path
) -> AsyncIterator[Services]:
    """As everywhere, with a directory of the test's own for letters."""
    own = settings.model_copy(update={"state_directory": tmp_path})
    async with open_services(own, database_url, Path(cluster.home)) as opened:
        yield quick(opened)


@pytest.fixture
async def admin(make: Make) -> SignedIn:
    return await make.user(Role.ADMIN)


def codes(payload: Any) -> list[str]:
    """The codes of a payload's user errors."""
    return [error["code"] for error in payload["userErrors"]]


def subjects(letters: list[Any]) -> list[str]:
    return [str(letter["Subject"]) for letter in letters]


async def test_staff_list_each_other_page_by_page(gql: Gql, make: Make, statements: Statements) -> None:
    team = await make.team()
    for name in ("Émile", "Dora", "Farah"):
        await make.user(Role.ADVISOR, team, name=name)
    await make.user(Role.ANALYST, name="Gita", status="DISABLED")
    mine = gql.as_(await make.user(Role.VIEWER, team, name="Zoe"))
    cut = {"teamIds": [id_of(team)]}
    with statements.counted() as counted:
        page = (await mine.run(USERS, first=2, filter=cut))["users"]
    assert len([each for each in counted if "FROM users" in each]) == 2
    assert ([node["name"] for node in page["nodes"]], page["totalCount"]) == (["Dora", "Émile"], 4)
    rest = (await mine.run(USERS, after=page["pageInfo"]["endCursor"], filter=cut))["users"]
    assert [node["name"] for node in rest["nodes"]] == ["Farah", "Zoe"]
    gone = (await mine.run(USERS, filter={"statuses": ["DISABLED"]}))["users"]["nodes"]
    assert [(node["name"], node["team"]) for node in gone] == [("Gita", None)]
    advisors = await mine.run(
        USERS, filter={"roles": ["ADVISOR"]}, orderBy={"field": "CREATED_AT", "direction": "DESC"}
    )
    assert [node["name"] for node in advisors["users"]["nodes"]] == ["Farah", "Dora", "Émile"]
    unit = encode("unit", team.unit_id)
    assert (await mine.run(USERS, filter={"unitIds": [unit]}))["users"]["totalCount"] == 4


async def test_an_end_client_lists_itself_and_staff_those_whose_client_they_see(
    gql: Gql, make: Make, admin: SignedIn
) -> None:
    advisor, other = await make.advisor(), await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book)
    own = await make.user(Role.CLIENT, client_id=client.id, name="Own")
    assert [node["name"] for node in (await gql.as_(own).run(USERS))["users"]["nodes"]] == ["Own"]
    for user, count in ((admin, 4), (advisor, 4), (other, 3)):
        assert (await gql.as_(user).run(USERS))["users"]["totalCount"] == count


async def test_an_admin_invites_to_any_place_and_a_manager_to_its_unit(
    gql: Gql, make: Make, services: Services, admin: SignedIn
) -> None:
    here, there = await make.team(), await make.team()
    manager = await make.user(Role.BU_MANAGER, here)

    async def invite(user: SignedIn, email: str, **given: Any) -> Any:
        return await gql.as_(user).change("inviteUser", ROLE, email=email, name="Asha Rao", **given)

    first = await invite(admin, "a@new.example", role="BU_MANAGER", unitId=encode("unit", there.unit_id))
    assert first["user"]["unit"] == {"id": encode("unit", there.unit_id)}
    second = await invite(manager, "b@new.example", role="ADVISOR", teamId=id_of(here))
    assert second["user"]["team"] == {"id": id_of(here)}
    assert second["user"]["unit"] == {"id": encode("unit", here.unit_id)}
    # Without a team it is the manager's own unit, or nobody would look after the user.
    third = await invite(manager, "c@new.example", role="ANALYST")
    assert third["user"]["unit"] == {"id": encode("unit", here.unit_id)}
    assert len(await letters_to(services, "c@new.example")) == 1


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"role": "ADVISOR"}, "INVALID_VALUE", "teamId"),
        ({"role": "BU_MANAGER"}, "INVALID_VALUE", "unitId"),
        ({"role": "CLIENT"}, "INVALID_VALUE", "role"),
        ({"role": "SERVICE"}, "INVALID_VALUE", "role"),
        ({"email": "user1@steward.example"}, "DUPLICATE", "email"),
        ({"email": " USER1@steward.example "}, "DUPLICATE", "email"),
        ({"email": "nobody"}, "INVALID_VALUE", "email"),
        ({"name": " "}, "INVALID_VALUE", "name"),
        ({"locale": "x"}, "INVALID_VALUE", "locale"),
        ({"timeZone": "Nowhere/Else"}, "INVALID_VALUE", "timeZone"),
    ],
    ids=str,
)
async def test_what_cannot_be_invited_is_refused(
    gql: Gql, make: Make, admin: SignedIn, given: dict[str, Any], code: str, field: str
) -> None:
    new = {"email": "asha@new.example", "name": "Asha Rao", "role": "ANALYST", **given}
    payload = await gql.as_(admin).change("inviteUser", ROLE, **new)
    assert (codes(payload), payload["userErrors"][0]["field"]) == ([code], ["input", field])
    assert await make.connection.fetchval("select count(*) from users") == 1
    assert await make.connection.fetchval("select count(*) from account_links") == 0


async def test_a_team_lies_in_its_unit(gql: Gql, make: Make, admin: SignedIn) -> None:
    team = await make.team()
    unit = Unit(make.new_id(), "Elsewhere")
    await make.add(books.units, unit)
    new = {"email": "asha@new.example", "name": "Asha", "role": "ADVISOR", "teamId": id_of(team)}
    payload = await gql.as_(admin).change("inviteUser", ROLE, **new, unitId=id_of(unit))
    assert payload["userErrors"][0]["field"] == ["input", "unitId"]
    payload = await gql.as_(admin).change("inviteUser", ROLE, **new, unitId=encode("unit", team.unit_id))
    assert codes(payload) == []


@pytest.mark.parametrize("role", ["ADMIN", "BU_MANAGER", "AUDITOR"])
async def test_a_manager_gives_roles_below_its_own_alone(gql: Gql, make: Make, role: str) -> None:
    team = await make.team()
    manager = await make.user(Role.BU_MANAGER, team)
    unit = encode("unit", team.unit_id)
    invited = await gql.as_(manager).change(
        "inviteUser", ROLE, email="a@new.example", name="Asha", role=role, unitId=unit
    )
    assert invited["userErrors"][0]["field"] == ["input", "role"]
    advisor = await make.user(Role.ADVISOR, team)
    changed = await gql.as_(manager).change(
        "changeUserRole", ROLE, userId=advisor.id, version=1, role=role, unitId=unit
    )
    assert changed["userErrors"][0]["field"] == ["input", "role"]


MANAGING = ("changeUserRole", "disableUser", "enableUser", "signOutUser", "resendInvitation")


@pytest.mark.parametrize("mutation", MANAGING)
async def test_a_manager_looks_after_people_of_its_unit_below_it_alone(gql: Gql, make: Make, mutation: str) -> None:
    here, there = await make.team(), await make.team()
    manager = await make.user(Role.BU_MANAGER, here)
    beyond = [
        await make.user(Role.ADVISOR, there),
        await make.user(Role.ANALYST),
        *[await make.user(role, here) for role in (Role.ADMIN, Role.BU_MANAGER, Role.AUDITOR, Role.SERVICE)],
    ]
    more = {"version": 1, "role": "ANALYST"} if mutation == "changeUserRole" else {}
    document = (
        f"mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!)"
        f" {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}"
    )
    for user in beyond:
        answer = await gql.as_(manager).ask(document, input={"userId": user.id, **more})
        assert answer.codes == ["NOT_FOUND"], user.user.role
    assert await make.connection.fetchval("select count(*) from audit_events") == 0


async def test_a_manager_reaches_no_team_or_unit_but_its_own(gql: Gql, make: Make) -> None:
    here, there = await make.team(), await make.team()
    manager = await make.user(Role.BU_MANAGER, here)
    document = "mutation ($input: InviteUserInput!) { inviteUser(input: $input) { userErrors { code } } }"
    units = [{"unitId": encode("unit", unit_id)} for unit_id in (there.unit_id, UUID(int=5))]
    for place in ({"teamId": id_of(there)}, *units):
        given = {"email": "a@new.example", "name": "Asha", "role": "ANALYST", **place}
        assert (await gql.as_(manager).ask(document, input=given)).codes == ["NOT_FOUND"]


async def test_another_role_counts_at_once(gql: Gql, make: Make, services: Services, admin: SignedIn) -> None:
    advisor = await make.advisor(clients=2)
    mine, team = gql.as_(advisor), await make.team()
    seen = "{ viewer { role can } clients { totalCount } }"
    assert (await mine.run(seen))["clients"]["totalCount"] == 2
    payload = await gql.as_(admin).change(
        "changeUserRole", ROLE, userId=advisor.id, version=1, role="VIEWER", teamId=id_of(team)
    )
    assert (payload["user"]["role"], payload["user"]["version"]) == ("VIEWER", 2)
    found = await mine.run(seen)
    # A member of its book it is still; what it may do has changed.
    assert (found["viewer"]["role"], found["clients"]["totalCount"]) == ("VIEWER", 2)
    assert "PLACE_ORDER" not in found["viewer"]["can"]
    (letter,) = await letters_to(services, advisor.user.email)
    assert letter["Subject"] == "Your role was changed"
    assert "viewer" in letter.get_content()


async def test_another_team_counts_on_an_open_socket(gql: Gql, make: Make, admin: SignedIn, live: Served) -> None:
    made = await trading.desk(make, gql)
    supervisor = await make.user(Role.SUPERVISOR, made.team)
    elsewhere = await make.team()
    following = "subscription ($of: ID!) { orderEvents(portfolioId: $of) { version } }"
    async with socket_to(live, supervisor.token) as mine, socket_to(live, made.advisor.token) as theirs:
        for each in (mine, theirs):
            await each.subscribe(following, of=id_of(made.portfolio))
        await asyncio.sleep(0.3)
        await made.place()
        first = [await each.next() for each in (mine, theirs)]
        assert first[0] == first[1]
        payload = await gql.as_(admin).change(
            "changeUserRole", ROLE, userId=supervisor.id, version=1, role="SUPERVISOR", teamId=id_of(elsewhere)
        )
        assert codes(payload) == []
        await made.place()
        await theirs.next()
        # Told to end, or told nothing.
        with contextlib.suppress(TimeoutError):
            assert "data" not in str(await mine.receive(seconds=0.5))


async def test_a_role_is_changed_of_the_version_that_was_read(gql: Gql, make: Make, admin: SignedIn) -> None:
    user = await make.user(Role.ANALYST)
    payload = await gql.as_(admin).change("changeUserRole", ROLE, userId=user.id, version=2, role="AUDITOR")
    assert codes(payload) == ["STALE_VERSION"]


@pytest.mark.parametrize("role", [Role.CLIENT, Role.SERVICE])
async def test_end_clients_and_programs_keep_their_roles(gql: Gql, make: Make, admin: SignedIn, role: Role) -> None:
    user = await make.user(role)
    payload = await gql.as_(admin).change("changeUserRole", ROLE, userId=user.id, version=1, role="ANALYST")
    assert codes(payload) == ["INVALID_VALUE"]


async def test_a_disabled_user_is_out_at_once_and_back_when_enabled(
    gql: Gql, make: Make, services: Services, admin: SignedIn, live: Served
) -> None:
    user = await make.user(Role.ANALYST)
    await gql.run('mutation { requestPasswordReset(input: {email: "user2@steward.example"}) { accepted } }')
    (reset,) = await letters_to(services, user.user.email)
    async with socket_to(live, user.token) as socket:
        await socket.subscribe("subscription { notifications { cursor } }")
        payload = await gql.as_(admin).change("disableUser", STATUS, userId=user.id)
        assert payload["user"] == {"status": "DISABLED"}
        assert await socket.closed() == 4403
    assert (await gql.as_(user).ask(ME)).codes == ["UNAUTHENTICATED"]
    credentials = {"email": user.user.email, "password": PASSWORD}
    assert (await gql.ask(SIGN_IN, **credentials)).codes == ["UNAUTHENTICATED"]
    again = await gql.change("resetPassword", "reset", token=token_of(reset), newPassword=NEW)
    assert codes(again) == ["LINK_INVALID"]
    assert codes(await gql.as_(admin).change("disableUser", STATUS, userId=user.id)) == ["USER_STATUS"]
    payload = await gql.as_(admin).change("enableUser", STATUS, userId=user.id)
    assert payload["user"] == {"status": "ACTIVE"}
    # The sessions of before have ended for good.
    assert (await gql.as_(user).ask(ME)).codes == ["UNAUTHENTICATED"]
    assert (await gql.ask(SIGN_IN, **credentials)).codes == []
    assert codes(await gql.as_(admin).change("enableUser", STATUS, userId=user.id)) == ["USER_STATUS"]
    letters = await letters_to(services, user.user.email)
    assert subjects(letters)[1:] == ["Your account was disabled", "Your account works again"]


async def test_whoever_was_never_in_is_enabled_as_invited(gql: Gql, services: Services, admin: SignedIn) -> None:
    new = {"email": "asha@new.example", "name": "Asha Rao", "role": "ANALYST"}
    user = (await gql.as_(admin).change("inviteUser", "user { id }", **new))["user"]
    assert codes(await gql.as_(admin).change("disableUser", STATUS, userId=user["id"])) == []
    assert codes(await gql.as_(admin).change("resendInvitation", STATUS, userId=user["id"])) == ["USER_STATUS"]
    payload = await gql.as_(admin).change("enableUser", STATUS, userId=user["id"])
    assert payload["user"] == {"status": "INVITED"}
    assert codes(await gql.as_(admin).change("resendInvitation", STATUS, userId=user["id"])) == []
    # The first letter's link was void before it was written.
    told, last = await letters_to(services, "asha@new.example")
    assert told["Subject"] == "Your account was disabled"
    payload = await gql.change("acceptInvite", "session { user { status } }", token=token_of(last), password=NEW)
    assert payload["session"]["user"] == {"status": "ACTIVE"}


async def test_invitations_are_sent_again_but_not_without_end(gql: Gql, services: Services, admin: SignedIn) -> None:
    new = {"email": "asha@new.example", "name": "Asha Rao", "role": "ANALYST"}
    user = (await gql.as_(admin).change("inviteUser", "user { id }", **new))["user"]
    (first,) = await letters_to(services, "asha@new.example")
    again = [codes(await gql.as_(admin).change("resendInvitation", STATUS, userId=user["id"])) for _ in range(3)]
    assert again == [[], [], ["TOO_MANY_LINKS"]]
    payload = await gql.change("acceptInvite", "session { user { id } }", token=token_of(first), password=NEW)
    assert codes(payload) == ["LINK_INVALID"]
    last = (await letters_to(services, "asha@new.example"))[-1]
    payload = await gql.change("acceptInvite", "session { user { id } }", token=token_of(last), password=NEW)
    assert payload["session"]["user"] == user
    assert codes(await gql.as_(admin).change("resendInvitation", STATUS, userId=user["id"])) == ["USER_STATUS"]


async def test_all_sessions_of_a_user_are_ended_at_once(gql: Gql, make: Make, admin: SignedIn, live: Served) -> None:
    user = await make.user(Role.ANALYST)
    other = await make.session(user.user)
    async with socket_to(live, user.token) as first, socket_to(live, other.token) as second:
        for socket in (first, second):
            await socket.subscribe("subscription { notifications { cursor } }")
        payload = await gql.as_(admin).change("signOutUser", STATUS, userId=user.id)
        assert payload["user"] == {"status": "ACTIVE"}
        assert [await socket.closed() for socket in (first, second)] == [4403, 4403]
    assert (await gql.as_(user).ask(ME)).codes == ["UNAUTHENTICATED"]
    assert (await gql.ask(SIGN_IN, email=user.user.email, password=PASSWORD)).codes == []
    assert (await gql.as_(admin).run(ME))["viewer"] == {"role": "ADMIN"}


async def test_nobody_changes_its_own_role_or_shuts_itself_out(gql: Gql, make: Make, admin: SignedIn) -> None:
    await make.user(Role.ADMIN)
    mine = gql.as_(admin)
    own = {"userId": admin.id}
    for payload in (
        await mine.change("changeUserRole", ROLE, **own, version=1, role="AUDITOR"),
        await mine.change("disableUser", STATUS, **own),
        await mine.change("enableUser", STATUS, **own),
    ):
        assert codes(payload) == ["OWN_ACCOUNT"]


REMOVE = {
    name: f"mutation ($i: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $i) {{ userErrors {{ code }} }} }}"
    for name in ("disableUser", "changeUserRole")
}


async def test_two_admins_who_remove_each_other_at_once_leave_one(gql: Gql, make: Make) -> None:
    for _ in range(4):
        await make.connection.execute("update users set role = 'AUDITOR'")
        pair = [await make.user(Role.ADMIN) for _ in range(2)]
        answers = await asyncio.gather(
            gql.as_(pair[0]).ask(REMOVE["disableUser"], i={"userId": pair[1].id}),
            gql.as_(pair[1]).ask(REMOVE["changeUserRole"], i={"userId": pair[0].id, "version": 1, "role": "ANALYST"}),
        )
        outcomes = [answer.codes or codes(next(iter(answer["data"].values()))) for answer in answers]
        # The second is the last admin, or, where it comes late, no admin any more.
        first, second = sorted(outcomes)
        assert first == []
        assert second in (["LAST_ADMIN"], ["UNAUTHENTICATED"], ["FORBIDDEN"])
        left = "select count(*) from users where role = 'ADMIN' and status = 'ACTIVE'"
        assert await make.connection.fetchval(left) == 1


async def test_an_admin_who_cannot_sign_in_is_no_admin_left(gql: Gql, make: Make, admin: SignedIn) -> None:
    other = await make.user(Role.ADMIN)
    await make.user(Role.ADMIN, status="INVITED")
    assert codes(await gql.as_(admin).change("disableUser", STATUS, userId=other.id)) == []
    # A manager of a unit cannot, so that only a race could: the viewer itself is the last one.
    assert await make.connection.fetchval("select count(*) from users where role = 'ADMIN' and status = 'ACTIVE'") == 1


SENSITIVE: dict[str, dict[str, Any]] = {
    "inviteUser": {"email": "asha@new.example", "name": "Asha Rao", "role": "ANALYST"},
    "changeUserRole": {"version": 1, "role": "ANALYST"},
    "disableUser": {},
    "enableUser": {},
}


@pytest.mark.parametrize("mutation", SENSITIVE)
async def test_changes_of_users_need_a_recent_proof(gql: Gql, make: Make, admin: SignedIn, mutation: str) -> None:
    user = await make.user(Role.ANALYST)
    old = await make.session(admin.user, authenticated_at=make.now - timedelta(minutes=16))
    given = SENSITIVE[mutation] if mutation == "inviteUser" else {"userId": user.id, **SENSITIVE[mutation]}
    payload = await gql.as_(old).change(mutation, "user { id }", **given)
    assert codes(payload) == ["REAUTHENTICATION_NEEDED"]


async def test_every_change_of_a_user_names_the_actor_and_seals_what_is_personal(
    gql: Gql, make: Make, admin: SignedIn
) -> None:
    new = {"email": "zyxwvut@new.example", "name": "Zyxwvut", "role": "ANALYST"}
    user = (await gql.as_(admin).change("inviteUser", "user { id }", **new))["user"]
    for mutation in ("resendInvitation", "disableUser", "enableUser", "signOutUser"):
        assert codes(await gql.as_(admin).change(mutation, STATUS, userId=user["id"])) == []
    rows = await make.connection.fetch("select * from audit_events order by id")
    assert {row["action"] for row in rows} == {
        "identity.invite",
        "identity.resend_invitation",
        "identity.disable",
        "identity.enable",
        "identity.sign_out_user",
    }
    for row in rows:
        assert row["actor_id"] == admin.user.id
        assert "zyxwvut" not in str(dict(row)).lower()
