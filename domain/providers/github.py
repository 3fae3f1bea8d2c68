"""GitHub, which speaks plain OAuth 2.0: whom it has proved, its API tells."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from domain.providers.configuration import ProviderConfig, host_of
from domain.providers.entities import FlowSecrets, Proof
from domain.providers.gateway import Configured, Exchange, NotProven
from domain.providers.outside import Outside


class Person(msgspec.Struct, frozen=True):
    """What the API tells of a user."""

    id: int
    login: str
    name: str | None = None
    avatar_url: str | None = None


class Address(msgspec.Struct, frozen=True):
    """One of a user's addresses."""

    email: str
    primary: bool = False
    verified: bool = False


class GitHub(Configured):
    """GitHub, or a GitHub Enterprise server."""

    def __init__(self, config: ProviderConfig, outside: Outside) -> None:
        super().__init__(config, outside)
        self._base = config.base.rstrip("/")
        self._api = config.api.rstrip("/")

    async def authorization_url(self, kept: FlowSecrets, now: datetime, *, anew: bool) -> str:  # noqa: ARG002 - GitHub knows no fresh proof
        """Where the person goes."""
        return self._exchange().url(f"{self._base}/login/oauth/authorize", kept)

    async def proof(self, code: str, issuer: str | None, kept: FlowSecrets, now: datetime) -> Proof:  # noqa: ARG002 - as every provider's
        """Who has brought the code back. Raises NotProven, Unavailable."""
        # A code of another provider, brought here, must not be shown to this one.
        if issuer is not None and host_of(issuer) != host_of(self._base):
            raise NotProven("ISSUER")
        given = await self._exchange().tokens(f"{self._base}/login/oauth/access_token", code, kept)
        token = given.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise NotProven("NO_TOKEN")
        person = await self._told("/user", token, Person)
        addresses = await self._told("/user/emails", token, tuple[Address, ...])
        email = next((each.email for each in addresses if each.primary and each.verified), None)
        return Proof(self.name, str(person.id), email, person.name or person.login, person.avatar_url)

    def _exchange(self) -> Exchange:
        return Exchange(self._outside, self._config, method="client_secret_post")

    async def _told(self, path: str, token: str, kind: Any) -> Any:
        headers: Mapping[str, str] = {
            "authorization": f"Bearer {token}",
            "accept": "application/vnd.github+json",
            "user-agent": "steward",
        }
        answer = await self._outside.get(self.name, f"{self._api}{path}", headers)
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise NotProven("SCOPE")
        if answer.status_code != httpx.codes.OK:
            raise self._outside.down(self.name, f"status {answer.status_code}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise self._outside.down(self.name, "an answer of another form") from error
