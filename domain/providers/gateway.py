"""What every provider does: it says where to send people, and tells by the code that they bring back who they are."""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import httpx
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped] # Authlib has no types

from domain.errors import Refusal, RefusalCode
from domain.providers.configuration import ProviderConfig
from domain.providers.entities import FlowSecrets, Proof, ProviderKind
from domain.providers.outside import Outside

log = logging.getLogger("steward.providers")

# As RFC 6749 has it, and not longer than any.
CODE: Final = re.compile(r"[ -~]{1,4096}")
# What a provider answers where not the person is at fault, but the settings.
MISCONFIGURED: Final = frozenset({"invalid_client", "unauthorized_client", "incorrect_client_credentials"})


class NotProven(Exception):  # noqa: N818 - what has happened
    """A provider did not prove who somebody is; `why` is a word for the audit trail, without anything secret."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Provider(Protocol):
    """A provider of identity."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...

    @property
    def kind(self) -> ProviderKind:
        """What sort it is."""
        ...

    async def authorization_url(self, kept: FlowSecrets, now: datetime, *, anew: bool) -> str:
        """Where the person goes; `anew` asks the provider for a fresh proof. Raises Unavailable."""
        ...

    async def proof(self, code: str, issuer: str | None, kept: FlowSecrets, now: datetime) -> Proof:
        """Who has brought the code back; `issuer` is the `iss` that came with it. Raises NotProven, Unavailable."""
        ...


class Declined(Exception):  # noqa: N818 - what has happened
    """A provider gives nothing for a code. Its description is left out: it may repeat what was sent."""

    def __init__(self, error: object, description: object = None) -> None:  # noqa: ARG002 - as Authlib makes its own
        super().__init__()
        self.error = error


class Exchange(OAuth2Client):  # type: ignore[misc] # Authlib has no types
    """Authlib's OAuth 2.0 client, over our own HTTP; PKCE with S256 always."""

    oauth_error_class = Declined

    def __init__(self, outside: Outside, config: ProviderConfig, *, method: str = "client_secret_basic") -> None:
        super().__init__(
            outside,
            client_id=config.client_id,
            client_secret=config.client_secret,
            token_endpoint_auth_method=method,
            scope=" ".join(config.scopes),
            redirect_uri=config.redirect_uri,
            code_challenge_method="S256",
        )
        self._outside = outside
        self._provider = config.name

    def url(self, endpoint: str, kept: FlowSecrets, **more: str) -> str:
        """Where the person goes."""
        made, _ = self.create_authorization_url(endpoint, state=kept.state, code_verifier=kept.verifier, **more)
        return str(made)

    async def tokens(self, endpoint: str, code: str, kept: FlowSecrets) -> Mapping[str, Any]:
        """What the provider gives for a code. Raises NotProven, Unavailable."""
        if not CODE.fullmatch(code):
            raise NotProven("CODE")
        try:
            given: Mapping[str, Any] = await self.fetch_token(
                endpoint, grant_type="authorization_code", code=code, code_verifier=kept.verifier
            )
        except Declined as declined:
            if declined.error in MISCONFIGURED:
                log.error("the provider %s declines the client's id or secret: see SIGN_IN_PROVIDERS", self._provider)  # noqa: TRY400 - its text is the provider's
                raise self._outside.down(self._provider, "it declines us") from None
            raise NotProven("CODE") from None
        except (httpx.HTTPError, ValueError, RecursionError):
            raise self._outside.down(self._provider, "an answer that is no token") from None
        return given

    async def _fetch_token(
        self, url: str, body: str = "", headers: Mapping[str, str] | None = None, auth: Any = None, **_: Any
    ) -> Any:
        url, signed, body = auth.prepare("POST", url, dict(headers or {}), body)
        return self.parse_response_token(await self._outside.call(self._provider, "POST", url, signed, body))


class Configured:
    """What every provider is by its settings."""

    def __init__(self, config: ProviderConfig, outside: Outside) -> None:
        self._config = config
        self._outside = outside

    @property
    def name(self) -> str:
        """What the settings call it."""
        return self._config.name

    @property
    def kind(self) -> ProviderKind:
        """What sort it is."""
        return self._config.kind


class SignInProviders:
    """The providers that the settings name."""

    def __init__(self, *providers: Provider) -> None:
        self._providers = {each.name: each for each in providers}

    def named(self, name: str) -> Provider:
        """The provider. Refuses: INVALID_VALUE."""
        found = self._providers.get(name)
        if found is None:
            raise Refusal(RefusalCode.INVALID_VALUE, "There is no such provider of sign-in.", ("input", "provider"))
        return found

    @property
    def all(self) -> list[Provider]:
        """All, in the order of the settings."""
        return list(self._providers.values())
