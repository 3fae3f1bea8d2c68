"""Users, their credentials and sessions, and their storage."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

import msgspec

from domain.access import Role, Viewer
from domain.entities import Entity


class UserStatus(StrEnum):
    """Whether a user may sign in.

    ACTIVE: The user may sign in.
    INVITED: The user has been invited and has not accepted yet.
    DISABLED: The user may not sign in, and its sessions have ended.
    """

    ACTIVE = "ACTIVE"
    INVITED = "INVITED"
    DISABLED = "DISABLED"


class User(Entity, frozen=True):
    """Somebody who can sign in. `client_id` is set for end clients alone."""

    id: UUID
    email: str
    name: str
    sort_name: str
    picture_url: str | None
    locale: str
    time_zone: str
    role: Role
    unit_id: UUID | None
    team_id: UUID | None
    client_id: UUID | None
    status: UserStatus
    created_at: datetime
    email_verified_at: datetime | None
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"email", "name", "sort_name", "picture_url"})
    of_user: ClassVar[str] = "id"


class Credential(Entity, frozen=True):
    """A user's password, hashed with Argon2id; `id` is the user's."""

    id: UUID
    password_hash: str

    secret: ClassVar[frozenset[str]] = frozenset({"password_hash"})
    of_user: ClassVar[str] = "id"


class Account(Entity, frozen=True):
    """What signing in by a password rests on; `id` is the user's. Some users sign in by other means, and have none."""

    id: UUID
    email: str
    status: UserStatus
    password_hash: str | None

    @property
    def credential(self) -> Credential | None:
        """The password by which the user may sign in, if it may at all."""
        usable = self.status is UserStatus.ACTIVE and self.password_hash is not None
        return Credential(self.id, self.password_hash or "") if usable else None


class Session(Entity, frozen=True):
    """A sign-in, and the family of refresh tokens that came from it.

    It ends at `expires_at`, or at `idle_until` if it is not used before, or when it is revoked. `authenticated_at` is
    when the user last proved to be who it is; `second_factor` whether with a second factor.
    """

    id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime
    idle_until: datetime
    authenticated_at: datetime
    second_factor: bool
    device: str
    address: str

    personal: ClassVar[frozenset[str]] = frozenset({"device", "address"})
    person: ClassVar[str] = "user_id"


class RefreshToken(Entity, frozen=True):
    """A refresh token, stored as its SHA-256: it has 256 random bits, so a slow hash would add nothing."""

    id: UUID
    session_id: UUID
    digest: str
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None

    secret: ClassVar[frozenset[str]] = frozenset({"digest"})


class Grant(msgspec.Struct, frozen=True):
    """What a sign-in or a refresh hands out. Moments are in UTC."""

    user: User
    access_token: str
    access_token_expires_at: datetime
    refresh_token: str
    refresh_token_expires_at: datetime


class Claims(msgspec.Struct, frozen=True):
    """What an access token says."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


class Identities(Protocol):
    """The storage of users, credentials and sessions."""

    async def user(self, user_id: UUID) -> User: ...  # noqa: D102 - the signature says it, here and below
    async def by_ids(self, viewer: Viewer, user_ids: Sequence[UUID]) -> list[User]: ...  # noqa: D102
    async def add_user(self, user: User, credential: Credential) -> bool: ...  # noqa: D102
    async def add_session(self, session: Session, token: RefreshToken) -> None: ...  # noqa: D102
    async def locked_token(self, digest: str) -> tuple[RefreshToken, Session] | None: ...  # noqa: D102
    async def rotate(self, used: RefreshToken, session: Session, token: RefreshToken) -> None: ...  # noqa: D102
    async def revoke(self, session_id: UUID, at: datetime) -> None: ...  # noqa: D102
    async def account(self, address: str) -> Account | None: ...  # noqa: D102
    async def account_of(self, user_id: UUID) -> Account: ...  # noqa: D102
    async def locked_session(self, user_id: UUID, session_id: UUID) -> Session: ...  # noqa: D102
    async def other_sessions(self, user_id: UUID, kept: UUID, now: datetime) -> list[Session]: ...  # noqa: D102
    async def change_session(self, before: Session, after: Session) -> None: ...  # noqa: D102
