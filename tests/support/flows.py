"""A browser that goes to a provider of identity and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from domain.providers.configuration import ProviderConfig, configured
from domain.providers.gateway import SignInProviders
from domain.providers.opening import opened
from tests.support.gql import Answer, Gql
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, REDIRECT, Back, OpenIdServer, providing, visit

COMPLETE: Final = """mutation ($input: CompleteProviderSignInInput!) { completeProviderSignIn(input: $input) {
    session { accessToken user { id name email role status pictureUrl } }
    link { token expiresAt } userErrors { code message }
} }"""


def stated(**more: Any) -> dict[str, Any]:
    """What a setting says of a provider, but for where it is."""
    return {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "redirectUri": REDIRECT, **more}


def configs(**providers: Any) -> tuple[ProviderConfig, ...]:
    """The providers of a setting that needs no file."""
    return configured(providers, lambda path: path.read_text())


class Journey:
    """A flow that was begun: its secret, where it goes, and what the browser came back with."""

    def __init__(self, gql: Gql, flow: str, url: str, back: Back) -> None:
        self.gql = gql
        self.flow = flow
        self.url = url
        self.back = back

    def given(self, **changed: str) -> dict[str, str]:
        """What completes it, but for what is changed."""
        return {"flow": self.flow, **self.back, **changed}

    async def complete(self, **changed: str) -> Answer:
        """The answer to its completion."""
        return await self.gql.ask(COMPLETE, input=self.given(**changed))

    async def entered(self, **changed: str) -> Any:
        """The payload of its completion."""
        return (await self.complete(**changed)).data["completeProviderSignIn"]


async def begun(gql: Gql, provider: str = "bank", mutation: str = "beginProviderSignIn") -> tuple[str, str]:
    """Begin a flow: its secret, and where it goes."""
    payload = await gql.change(mutation, "authorizationUrl flow", provider=provider)
    assert payload["userErrors"] == []
    return payload["flow"], payload["authorizationUrl"]


async def journey(
    gql: Gql, provider: str = "bank", mutation: str = "beginProviderSignIn", who: str | None = None
) -> Journey:
    """Begin a flow, and go to the provider and back; `who` chooses an account there."""
    flow, url = await begun(gql, provider, mutation)
    return Journey(gql, flow, url, await visit(url, who))


@asynccontextmanager
async def bank() -> AsyncIterator[SignInProviders]:
    """The providers of a firm that knows one, called bank, which runs until the end of the block."""
    server = OpenIdServer()
    async with providing(server), opened(configs(bank=stated(issuer=server.url))) as providers:
        yield providers
