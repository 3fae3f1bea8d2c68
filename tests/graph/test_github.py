"""Signing in by GitHub, which speaks plain OAuth 2.0."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from domain.access import Role
from domain.providers.opening import opened
from graph.context import Services
from tests.factories.firm import Make
from tests.support.flows import begun, configs, journey, stated
from tests.support.gql import Gql
from tests.support.openid import GitHubServer, providing


@pytest.fixture
async def provider() -> AsyncIterator[GitHubServer]:
    server = GitHubServer()
    async with providing(server):
        yield server


@pytest.fixture
async def services(services: Services, provider: GitHubServer) -> AsyncIterator[Services]:
    async with opened(configs(github=stated(preset="github", baseUrl=provider.url))) as providers:
        yield msgspec.structs.replace(services, providers=providers)


def codes(payload: Any) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def test_the_way_there_has_a_state_and_a_challenge(gql: Gql, provider: GitHubServer) -> None:
    assert (await gql.run("{ signInProviders { name kind } }"))["signInProviders"] == [
        {"name": "github", "kind": "GITHUB"}
    ]
    flow, url = await begun(gql, "github")
    assert url.startswith(f"{provider.url}/login/oauth/authorize?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert (asked["scope"], asked["code_challenge_method"]) == ("read:user user:email", "S256")
    assert len(asked["state"]) >= 43
    assert flow not in url


async def test_the_primary_verified_address_signs_up_and_the_id_signs_in(gql: Gql, provider: GitHubServer) -> None:
    first = (await (await journey(gql, "github")).entered())["session"]["user"]
    assert (first["name"], first["email"], first["role"]) == ("octo", "octo@bank.example", "VIEWER")
    provider.emails = []
    provider.user |= {"login": "renamed", "name": "Octavia"}
    assert (await (await journey(gql, "github")).entered())["session"]["user"]["id"] == first["id"]


@pytest.mark.parametrize(
    "emails",
    [
        [],
        [{"email": "octo@bank.example", "primary": True, "verified": False}],
        [{"email": "octo@bank.example", "primary": False, "verified": True}],
    ],
    ids=["none", "unverified", "not primary"],
)
async def test_no_other_address_does(
    gql: Gql, make: Make, provider: GitHubServer, emails: list[dict[str, Any]]
) -> None:
    await make.user(Role.ADVISOR, email="octo@bank.example")
    provider.emails = emails
    payload = await (await journey(gql, "github")).entered()
    assert (payload["session"], codes(payload)) == (None, ["EMAIL_NOT_VERIFIED"])


async def test_a_known_address_is_offered_to_link(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR, email="octo@bank.example")
    payload = await (await journey(gql, "github")).entered()
    assert codes(payload) == ["LINK_NEEDED"]
    token = payload["link"]["token"]
    done = await gql.as_(user).change("linkProvider", "linked { provider }", linkToken=token)
    assert done["linked"] == {"provider": "github"}
    assert (await (await journey(gql, "github")).entered())["session"]["user"]["id"] == user.id


async def test_wrong_codes_verifiers_issuers_and_scopes_prove_nothing(
    gql: Gql, make: Make, provider: GitHubServer
) -> None:
    used, other = await journey(gql, "github"), await journey(gql, "github")
    assert (await used.entered())["session"]
    for changed in ({"code": used.back["code"]}, {"issuer": "https://another.example"}):
        way = await journey(gql, "github")
        assert (await way.complete(**changed)).codes == ["UNAUTHENTICATED"]
    # The code of another flow needs that flow's verifier.
    way = await journey(gql, "github")
    assert (await way.complete(code=other.back["code"])).codes == ["UNAUTHENTICATED"]
    provider.tokens = Nothing()
    assert (await (await journey(gql, "github")).complete()).codes == ["UNAUTHENTICATED"]
    told = await make.connection.fetch("select after ->> 'outcome' from audit_events where action = 'providers.tried'")
    assert sorted(row[0] for row in told) == ["CODE", "CODE", "ISSUER", "SCOPE", "SIGNED_IN", "SIGNED_UP"]
    assert await make.connection.fetchval("select count(*) from sessions") == 1


class Nothing(set[str]):
    """Tokens of which none opens anything."""

    def add(self, _: str) -> None:
        """Forget it."""


async def test_an_api_that_does_not_do_its_part_is_unavailable(gql: Gql, provider: GitHubServer) -> None:
    provider.status = 502
    assert (await (await journey(gql, "github")).complete()).codes == ["UNAVAILABLE"]
    provider.status = 200
    provider.user = {"login": "no id"}
    assert (await (await journey(gql, "github")).complete()).codes == ["UNAVAILABLE"]


async def test_github_proves_nobody_anew(gql: Gql, make: Make) -> None:
    user = await make.user(Role.ADVISOR)
    mine = gql.as_(user)
    way = await journey(mine, "github", "beginProviderLink")
    assert codes(await mine.change("completeProviderLink", "__typename", **way.given())) == []
    way = await journey(mine, "github", "beginProviderReauthentication")
    payload = await mine.change("completeProviderReauthentication", "authenticatedAt", **way.given())
    assert codes(payload) == ["PROVIDER_FAILED"]
