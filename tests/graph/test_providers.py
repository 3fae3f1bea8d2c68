"""Signing in, up and linking by a provider that speaks OpenID Connect."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import pytest

from domain.access import Role
from domain.identity import UserStatus
from domain.providers.opening import opened
from graph.context import Services
from persistence.housekeeping import forget
from tests.factories.factors import enrolled
from tests.factories.firm import Make, SignedIn
from tests.support.clock import moved
from tests.support.flows import begun, configs, journey, stated
from tests.support.gql import Answer, Gql
from tests.support.openid import OpenIdServer, asha, providing

LINKED = "{ linkedProviders { provider email linkedAt } }"
TRIED = "select after ->> 'outcome' from audit_events where action = 'providers.tried' order by id"
LINK = "linked { provider email }"


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdServer]:
    server = OpenIdServer()
    async with providing(server):
        yield server


@pytest.fixture
def registration() -> bool:
    return True


@pytest.fixture
async def services(
    services: Services,
    provider: OpenIdServer,
    registration: bool,  # noqa: FBT001 - a fixture
) -> AsyncIterator[Services]:
    places = {name: stated(issuer=provider.url) for name in ("bank", "other")}
    async with opened(configs(**places)) as providers:
        yield msgspec.structs.replace(services, providers=providers, registration=registration)


def reason(answer: Answer) -> str:
    assert answer.codes == ["UNAUTHENTICATED"]
    return str(answer["errors"][0]["extensions"]["reason"])


def by(gql: Gql, services: Services, payload: Any) -> Gql:
    """The same as whoever got the session."""
    return Gql(gql.client, services, payload["session"]["accessToken"])


def codes(payload: Any) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def outcomes(make: Make) -> list[str]:
    """What the trail tells of proofs that were tried."""
    return [row[0] for row in await make.connection.fetch(TRIED)]


async def test_the_anonymous_see_by_whom_they_can_sign_in(gql: Gql) -> None:
    found = (await gql.run("{ signInProviders { name kind } }"))["signInProviders"]
    assert found == [{"name": "bank", "kind": "OPENID"}, {"name": "other", "kind": "OPENID"}]


async def test_the_way_there_has_state_nonce_and_challenge_and_not_the_flow(gql: Gql, provider: OpenIdServer) -> None:
    flow, url = await begun(gql)
    assert url.startswith(f"{provider.url}/authorize?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert set(asked) == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
        "code_challenge_method",
    }  # fmt: skip
    assert asked["scope"] == "openid email profile"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert flow not in url
    again = parse_qs(urlsplit((await begun(gql))[1]).query)
    assert all(again[name] != [asked[name]] for name in ("state", "nonce", "code_challenge"))


async def test_whom_nobody_knows_signs_up_and_sees_no_client(gql: Gql, make: Make, services: Services) -> None:
    await make.advisor(clients=2)
    payload = await (await journey(gql)).entered()
    assert payload["userErrors"] == []
    user = payload["session"]["user"]
    assert (user["name"], user["email"], user["role"]) == ("Asha Rao", "asha@bank.example", "VIEWER")
    assert user["pictureUrl"] == "https://pictures.example/asha.png"
    hers = by(gql, services, payload)
    assert (await hers.run("{ clients { totalCount } viewer { books { name } } }")) == {
        "clients": {"totalCount": 0},
        "viewer": {"books": []},
    }
    assert (await hers.run(LINKED))["linkedProviders"][0]["email"] == "asha@bank.example"
    assert await make.connection.fetchval("select email_verified_at is not null from users where email like 'asha@%'")
    assert await make.connection.fetchval("select count(*) from credentials where id = $1", UUID(user["id"][5:])) == 0


async def test_whom_the_provider_knows_signs_in_whatever_the_address_is_now(
    gql: Gql, make: Make, provider: OpenIdServer
) -> None:
    first = await (await journey(gql)).entered()
    provider.person = asha(email="asha@elsewhere.example", email_verified=False, name="Another Name")
    again = await (await journey(gql)).entered()
    assert again["session"]["user"] == first["session"]["user"]
    assert again["session"]["accessToken"] != first["session"]["accessToken"]
    assert await outcomes(make) == ["SIGNED_UP", "SIGNED_IN", "SIGNED_IN"]


@pytest.mark.parametrize("registration", [False])
async def test_nobody_signs_up_where_the_firm_does_not_let_them(gql: Gql, make: Make) -> None:
    payload = await (await journey(gql)).entered()
    assert (payload["session"], payload["link"], codes(payload)) == (None, None, ["NOT_REGISTERED"])
    assert await make.connection.fetchval("select count(*) from users") == 0
    assert await outcomes(make) == ["NOT_REGISTERED"]


@pytest.mark.parametrize(
    "given",
    [
        {"email_verified": False},
        {"email_verified": ...},
        {"email_verified": "yes"},
        {"email": ...},
        {"email": "x"},
        {"email": "a\u0000@bank.example"},
    ],
    ids=str,
)
async def test_an_unverified_address_neither_signs_up_nor_matches(
    gql: Gql, make: Make, provider: OpenIdServer, given: dict[str, Any]
) -> None:
    await make.user(Role.ADVISOR, email="asha@bank.example")
    provider.person = asha(**given)
    payload = await (await journey(gql)).entered()
    assert (payload["session"], payload["link"], codes(payload)) == (None, None, ["EMAIL_NOT_VERIFIED"])
    assert await make.connection.fetchval("select count(*) from users") == 1


async def offered(gql: Gql) -> str:
    """The token of an offer to link."""
    payload = await (await journey(gql)).entered()
    assert (payload["session"], codes(payload)) == (None, ["LINK_NEEDED"])
    return str(payload["link"]["token"])


async def test_nobody_is_merged_without_a_word_and_linked_with_it(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR, email="asha@bank.example")
    token = await offered(gql)
    assert await make.connection.fetchval("select count(*) from provider_identities") == 0
    payload = await gql.as_(user).change("linkProvider", LINK, linkToken=token)
    assert payload["linked"] == {"provider": "bank", "email": "asha@bank.example"}
    # Twice is as good as once.
    assert (await gql.as_(user).change("linkProvider", LINK, linkToken=token))["userErrors"] == []
    entered = await (await journey(gql)).entered()
    assert entered["session"]["user"]["id"] == user.id
    assert await outcomes(make) == ["LINK_NEEDED", "LINKED", "SIGNED_IN"]


async def test_an_offer_is_good_for_its_user_alone_for_ten_minutes_and_recently_proved(
    gql: Gql, make: Make, services: Services
) -> None:
    user = await make.user(Role.ADVISOR, email="asha@bank.example")
    other = await make.user(Role.ADMIN)
    token = await offered(gql)
    stale = await make.session(user.user, authenticated_at=make.now - timedelta(minutes=16))
    assert codes(await gql.as_(other).change("linkProvider", LINK, linkToken=token)) == ["INVALID_VALUE"]
    assert codes(await gql.as_(stale).change("linkProvider", LINK, linkToken=token)) == ["REAUTHENTICATION_NEEDED"]
    for forged in (user.token, token[:-3] + "AAA", "x"):
        assert codes(await gql.as_(user).change("linkProvider", LINK, linkToken=forged)) == ["INVALID_VALUE"]
    # It opens nothing else.
    assert reason(await Gql(gql.client, services, token).ask(LINKED)) == "INVALID"
    moved(services).move(minutes=10)
    assert codes(await gql.as_(user).change("linkProvider", LINK, linkToken=token)) == ["INVALID_VALUE"]
    assert await make.connection.fetchval("select count(*) from provider_identities") == 0


async def test_a_case_of_letters_is_no_other_address(gql: Gql, make: Make, provider: OpenIdServer) -> None:
    await make.user(Role.ADVISOR, email="asha@bank.example")
    provider.person = asha(email="ASHA@Bank.Example")
    await offered(gql)


@pytest.mark.parametrize("status", [UserStatus.DISABLED, UserStatus.INVITED])
async def test_only_active_users_get_in(gql: Gql, make: Make, status: UserStatus) -> None:
    first = await (await journey(gql)).entered()
    await make.connection.execute("update users set status = $1", status.value)
    payload = await (await journey(gql)).entered()
    assert (payload["session"], payload["link"], codes(payload)) == (None, None, ["NOT_REGISTERED"])
    # Nor are they offered to link another account.
    await make.connection.execute("delete from provider_identities")
    assert codes(await (await journey(gql)).entered()) == ["NOT_REGISTERED"]
    assert first["session"]
    assert await outcomes(make) == ["SIGNED_UP", "SIGNED_IN", status.value, "NOT_REGISTERED"]


async def linked(gql: Gql, user: SignedIn) -> Any:
    """The payload of a user's linking of the account at the provider."""
    way = await journey(gql.as_(user), mutation="beginProviderLink")
    return await gql.as_(user).change("completeProviderLink", LINK, **way.given())


async def test_a_user_links_an_account_of_whatever_address_and_unlinks_it(
    gql: Gql, make: Make, provider: OpenIdServer
) -> None:
    user = await make.user(Role.ADVISOR)
    provider.person = asha(email_verified=False)
    assert (await linked(gql, user))["linked"] == {"provider": "bank", "email": None}
    assert (await (await journey(gql)).entered())["session"]["user"]["id"] == user.id
    payload = await gql.as_(user).change("unlinkProvider", "unlinked { provider }", provider="bank")
    assert payload["unlinked"] == {"provider": "bank"}
    assert (await gql.as_(user).run(LINKED))["linkedProviders"] == []
    assert codes(await (await journey(gql)).entered()) == ["EMAIL_NOT_VERIFIED"]
    document = 'mutation { unlinkProvider(input: {provider: "bank"}) { userErrors { code } } }'
    assert (await gql.as_(user).ask(document)).codes == ["NOT_FOUND"]


async def test_an_account_signs_in_one_user_and_a_user_has_one_of_each_provider(
    gql: Gql, make: Make, provider: OpenIdServer
) -> None:
    first, second = await make.user(Role.ADVISOR), await make.user(Role.ADVISOR)
    assert (await linked(gql, first))["userErrors"] == []
    assert codes(await linked(gql, second)) == ["DUPLICATE"]
    provider.person = asha(sub="another")
    assert codes(await linked(gql, first)) == ["DUPLICATE"]
    # Nor does anybody see the links of others.
    assert (await gql.as_(second).run(LINKED))["linkedProviders"] == []


async def test_the_last_way_in_stays(gql: Gql, make: Make, services: Services) -> None:
    payload = await (await journey(gql)).entered()
    hers = by(gql, services, payload)
    only = await hers.change("unlinkProvider", "unlinked { provider }", provider="bank")
    assert codes(only) == ["LAST_SIGN_IN"]
    way = await journey(hers, "other", "beginProviderLink")
    assert (await hers.change("completeProviderLink", LINK, **way.given()))["userErrors"] == []
    answers = await asyncio.gather(
        *(hers.change("unlinkProvider", "__typename", provider=each) for each in ("bank", "other"))
    )
    assert sorted(map(codes, answers)) == [[], ["LAST_SIGN_IN"]]
    assert await make.connection.fetchval("select count(*) from provider_identities") == 1


async def test_linking_is_for_who_has_proved_itself_a_short_while_ago(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR)
    way = await journey(gql.as_(user), mutation="beginProviderLink")
    stale = gql.as_(await make.session(user.user, authenticated_at=make.now - timedelta(minutes=16)))
    await make.connection.execute(
        "update sessions set authenticated_at = now() - interval '16 minutes' where id = $1", user.session.id
    )
    for payload in (
        await stale.change("beginProviderLink", "flow", provider="bank"),
        await stale.change("unlinkProvider", "__typename", provider="bank"),
        await gql.as_(user).change("completeProviderLink", LINK, **way.given()),
    ):
        assert codes(payload) == ["REAUTHENTICATION_NEEDED"]
    assert await make.connection.fetchval("select count(*) from provider_identities") == 0


async def test_a_flow_is_for_its_purpose_and_its_session(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR)
    elsewhere = await make.session(user.user)
    to_link = await journey(gql.as_(user), mutation="beginProviderLink")
    to_sign_in = await journey(gql)
    assert reason(await to_link.complete()) == "INVALID"
    for way, by_whom in ((to_sign_in, user), (to_link, elsewhere)):
        payload = await gql.as_(by_whom).change("completeProviderLink", LINK, **way.given())
        assert codes(payload) == ["PROVIDER_FAILED"]
    assert await make.connection.fetchval("select count(*) from provider_identities") == 0


async def reauthenticated(gql: Gql, user: SignedIn) -> Any:
    way = await journey(gql.as_(user), mutation="beginProviderReauthentication")
    return await gql.as_(user).change("completeProviderReauthentication", "authenticatedAt", **way.given())


async def test_a_provider_proves_anew_who_a_user_is(gql: Gql, make: Make, provider: OpenIdServer) -> None:
    user = await make.user(Role.ADVISOR)
    assert (await linked(gql, user))["userErrors"] == []
    aged = "update sessions set authenticated_at = now() - interval '1 hour'"
    recent = "select authenticated_at > now() - interval '1 minute' from sessions"
    await make.connection.execute(aged)
    _, url = await begun(gql.as_(user), mutation="beginProviderReauthentication")
    assert parse_qs(urlsplit(url).query)["prompt"] == ["login"]
    assert parse_qs(urlsplit(url).query)["max_age"] == ["0"]
    # Not by a proof of before, nor by one of which nothing is told, nor by somebody else's.
    before = int((datetime.now(UTC) - timedelta(minutes=2)).timestamp())
    for claims in ({"auth_time": before}, {"auth_time": ...}, {"auth_time": "now"}, {"sub": "somebody else"}):
        provider.claims = claims
        assert codes(await reauthenticated(gql, user)) == ["PROVIDER_FAILED"]
        assert not await make.connection.fetchval(recent)
    provider.claims = {}
    assert (await reauthenticated(gql, user))["authenticatedAt"]
    assert await make.connection.fetchval(recent)


async def test_two_who_come_in_at_once_by_one_account_are_one_user(gql: Gql, make: Make) -> None:
    ways = [await journey(gql) for _ in range(3)]
    answers = await asyncio.gather(*(way.complete() for way in ways))
    assert [answer.codes for answer in answers if answer.codes] in ([], [["UNAVAILABLE"]], [["UNAVAILABLE"]] * 2)
    assert await make.connection.fetchval("select count(*) from users") == 1
    assert await make.connection.fetchval("select count(*) from provider_identities") == 1


async def test_nothing_of_a_flow_is_kept_in_clear(
    gql: Gql, make: Make, provider: OpenIdServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    # Whatever a test before has quieted.
    caplog.set_level("DEBUG", logger="httpx")
    way = await journey(gql)
    verifier = provider.codes[way.back["code"]]
    payload = await way.entered()
    failed = await journey(gql)
    await failed.complete(code="another code")
    hidden = [way.flow, way.back["state"], way.back["code"], verifier["nonce"], payload["session"]["accessToken"]]
    hidden += [failed.flow, "another code", "Asha", "asha@bank", "248289761001"]
    stored = [
        str(row)
        for table in ("provider_flows", "audit_events")
        for row in await make.connection.fetch(f"select to_jsonb(t) from {table} t")  # noqa: S608 - our tables
    ]
    assert len(stored) > 5
    # The browser of the test logs in the same process where it goes; what is left is the server's.
    logged = [text for record in caplog.records if "app.example" not in (text := record.getMessage())]
    assert any("/token" in text for text in logged)
    for text in (*stored, *logged):
        assert not [secret for secret in hidden if secret in text]


async def test_old_flows_are_forgotten(gql: Gql, make: Make, services: Services) -> None:
    await begun(gql)
    await forget(services.doors.database, make.now)
    assert await make.connection.fetchval("select count(*) from provider_flows") == 1
    await forget(services.doors.database, make.now + timedelta(hours=2))
    assert await make.connection.fetchval("select count(*) from provider_flows") == 0


async def test_a_provider_that_there_is_not_is_refused(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR)
    for mutation in ("beginProviderSignIn", "beginProviderLink", "beginProviderReauthentication"):
        payload = await gql.as_(user).change(mutation, "flow", provider="nobody")
        assert codes(payload) == ["INVALID_VALUE"]
        assert payload["userErrors"][0]["field"] == ["input", "provider"]


async def test_a_name_is_one_that_can_be_stored(gql: Gql, provider: OpenIdServer) -> None:
    provider.person = asha(name="A\u0000sha\u202e \n" + "x" * 500, picture="javascript:alert(1)")
    user = (await (await journey(gql)).entered())["session"]["user"]
    assert user["name"].startswith("A sha ")
    assert len(user["name"]) == 200
    assert user["pictureUrl"] is None


async def test_a_second_factor_is_asked_for_all_the_same(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR, email="asha@bank.example")
    assert codes(await gql.as_(user).change("linkProvider", LINK, linkToken=await offered(gql))) == []
    factor = await enrolled(make, gql, user)
    way = await journey(gql)
    fields = "session { accessToken } challenge { token methods }"
    payload = await gql.change("completeProviderSignIn", fields, **way.given())
    assert (payload["session"], payload["challenge"]["methods"]) == (None, ["TOTP", "RECOVERY_CODE"])
    given = {"challenge": payload["challenge"]["token"], "code": factor.recovery_codes[0]}
    entered = await gql.change("completeSignIn", "session { user { id } }", **given)
    assert entered["session"]["user"]["id"] == user.id
    assert (await outcomes(make))[-1] == "CHALLENGED"
    # Nor does a provider alone prove anew who has one.
    way = await journey(gql.as_(user), mutation="beginProviderReauthentication")
    name, fields = "completeProviderReauthentication", "authenticatedAt"
    assert codes(await gql.as_(user).change(name, fields, **way.given())) == ["WRONG_CODE"]
    way = await journey(gql.as_(user), mutation="beginProviderReauthentication")
    given = {**way.given(), "secondFactorCode": factor.recovery_codes[1]}
    assert (await gql.as_(user).change(name, fields, **given))["authenticatedAt"]
