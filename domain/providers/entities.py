"""Sign-in by other providers of identity: what is stored of it, and what a provider proves."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Protocol, Self
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import Entity
from domain.identity import digest_of

FLOW_TIME: Final = timedelta(minutes=10)


class ProviderKind(StrEnum):
    """What sort of provider it is.

    GOOGLE: Google.
    GITHUB: GitHub.
    OPENID: Any other that speaks OpenID Connect.
    """

    GOOGLE = "GOOGLE"
    GITHUB = "GITHUB"
    OPENID = "OPENID"


class Purpose(StrEnum):
    """What a proof by a provider is for.

    SIGN_IN: Beginning a session.
    LINK: Having the account at the provider sign the user in from then on.
    REAUTHENTICATE: Proving once more who the user is.
    """

    SIGN_IN = "SIGN_IN"
    LINK = "LINK"
    REAUTHENTICATE = "REAUTHENTICATE"


class FlowSecrets(msgspec.Struct, frozen=True):
    """What makes a flow safe: `flow` stays in the browser that began it, `state` goes to the provider and comes back.

    Nonce and PKCE verifier are derived of the first, so that neither has to be stored.
    """

    flow: str
    state: str

    @classmethod
    def made(cls) -> Self:
        """New ones, of 256 random bits each."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32))

    @property
    def nonce(self) -> str:
        """What the ID token must repeat: it proves that the token was made for this flow."""
        return self._derived(b"steward: nonce")

    @property
    def verifier(self) -> str:
        """What PKCE asks for with the code: a code that was stolen is worth nothing without it."""
        return self._derived(b"steward: code verifier")

    def _derived(self, use: bytes) -> str:
        return urlsafe_b64encode(hmac.digest(self.flow.encode(), use, "sha256")).rstrip(b"=").decode()


class ProviderFlow(Entity, frozen=True):
    """A way to a provider and back that was begun: good once, for ten minutes, with the two secrets of its digests.

    `user_id` and `session_id` are whoever began it, where that was somebody.
    """

    id: UUID
    provider: str
    purpose: Purpose
    flow_digest: str
    state_digest: str
    user_id: UUID | None
    session_id: UUID | None
    created_at: datetime
    used_at: datetime | None

    secret: ClassVar[frozenset[str]] = frozenset({"flow_digest", "state_digest"})

    @classmethod
    def begun(cls, id: UUID, provider: str, purpose: Purpose, kept: FlowSecrets, now: datetime) -> Self:
        """A flow that nobody has begun who is signed in."""
        return cls(id, provider, purpose, digest_of(kept.flow), digest_of(kept.state), None, None, now, None)


class ProviderIdentity(Entity, frozen=True):
    """An account at a provider, which the provider knows as `subject`, and the user whom it signs in."""

    id: UUID
    provider: str
    subject: str
    user_id: UUID
    email: str | None
    linked_at: datetime

    personal: ClassVar[frozenset[str]] = frozenset({"subject", "email"})
    person: ClassVar[str] = "user_id"


class Proof(msgspec.Struct, frozen=True):
    """Whom a provider has proved to be there.

    `email` is an address that the provider has verified; `authenticated_at` when it last asked for a proof itself,
    where it tells that.
    """

    provider: str
    subject: str
    email: str | None = None
    name: str | None = None
    picture_url: str | None = None
    authenticated_at: datetime | None = None


class Providers(Protocol):
    """The storage of flows and of accounts at providers."""

    async def add_flow(self, flow: ProviderFlow) -> None: ...  # noqa: D102 - the signature says it, here and below
    async def take_flow(self, given: FlowSecrets, purpose: Purpose, now: datetime) -> ProviderFlow | None: ...  # noqa: D102
    async def identity(self, provider: str, subject: str) -> ProviderIdentity | None: ...  # noqa: D102
    async def of_user(self, user_id: UUID) -> list[ProviderIdentity]: ...  # noqa: D102
    async def mine(self, viewer: Viewer) -> Sequence[ProviderIdentity]: ...  # noqa: D102
    async def add(self, identity: ProviderIdentity) -> bool: ...  # noqa: D102
    async def remove(self, identity: ProviderIdentity) -> None: ...  # noqa: D102
