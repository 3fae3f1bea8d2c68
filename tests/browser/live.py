"""A firm that answers on a real socket, as the tests of the page need it."""

from datetime import timedelta
from http import HTTPStatus

import httpx
import msgspec

from graph.ids import id_of
from tests.factories.firm import PASSWORD, Make, SignedIn

CHANGE_KYC = """mutation ($input: UpdateClientInput!) {
  updateClient(input: $input) { userErrors { code message field } }
}"""


class Live(msgspec.Struct, frozen=True):
    """A server by its origin, and an advisor of its firm."""

    url: str
    advisor: SignedIn
    make: Make

    @property
    def email(self) -> str:
        return self.advisor.user.email

    @property
    def password(self) -> str:
        return PASSWORD

    @property
    def expired_token(self) -> str:
        """An access token of the advisor's that was good once."""
        long_ago = self.make.now - timedelta(days=1)
        token, _ = self.make.services.tokens.access(self.advisor.user.id, self.advisor.session.id, long_ago)
        return token

    async def cause_event(self) -> None:
        """Let something happen that the advisor is notified of."""
        assert self.advisor.book
        client = await self.make.client(self.advisor.book)
        change = {"clientId": id_of(client), "version": client.version, "details": {"kycStatus": "PENDING"}}
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {self.advisor.token}"}) as http:
            body = {"query": CHANGE_KYC, "variables": {"input": change}}
            response = await http.post(f"{self.url}/graphql", json=body)
        assert response.status_code == HTTPStatus.OK
        assert response.json()["data"] == {"updateClient": {"userErrors": []}}
