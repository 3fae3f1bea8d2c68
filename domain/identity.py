"""Users, their sessions, and the tokens that stand for them."""

import asyncio
import hashlib
import re
import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Protocol
from uuid import UUID
from zoneinfo import available_timezones

import argon2
import jwt
import msgspec

from domain.access import Role, Viewer
from domain.entities import Entity
from domain.errors import Refusal, RefusalCode, Unauthenticated
from domain.text import email as checked_email
from domain.text import fold, invalid, named
from domain.work import Work


class UserStatus(StrEnum):
    """Whether a user may sign in.

    ACTIVE: The user may sign in.
    DISABLED: The user may not sign in, and its sessions have ended.
    """

    ACTIVE = "ACTIVE"
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
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"email", "name", "sort_name", "picture_url"})


class Credential(Entity, frozen=True):
    """A user's password, hashed with Argon2id; `id` is the user's."""

    id: UUID
    password_hash: str

    secret: ClassVar[frozenset[str]] = frozenset({"password_hash"})


class Session(Entity, frozen=True):
    """A sign-in, and the family of refresh tokens that came from it."""

    id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


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


class Lives(msgspec.Struct, frozen=True):
    """How long tokens live."""

    access: timedelta = timedelta(minutes=30)
    refresh: timedelta = timedelta(days=7)


ISSUER: Final = "steward"


class Tokens:
    """Signs and reads access tokens: JWT with HS256 and one secret."""

    def __init__(self, secret: str, lives: Lives) -> None:
        self._secret = secret
        self.lives = lives

    def access(self, user_id: UUID, session_id: UUID, now: datetime) -> tuple[str, datetime]:
        """A signed access token and the moment it ends."""
        expires_at = (now + self.lives.access).replace(microsecond=0)
        claims = {"sub": str(user_id), "sid": str(session_id), "iat": now, "exp": expires_at}
        return jwt.encode({**claims, "iss": ISSUER, "aud": ISSUER}, self._secret, algorithm="HS256"), expires_at

    def read(self, token: str, now: datetime) -> Claims:
        """Check a token. Raises Unauthenticated, with reason EXPIRED for a good one that has ended, else INVALID."""
        required = {"require": ["sub", "sid", "exp", "iat", "iss", "aud"], "verify_exp": False, "verify_iat": False}
        try:
            payload = jwt.decode(token, self._secret, ["HS256"], audience=ISSUER, issuer=ISSUER, options=required)  # type: ignore[arg-type] # its stub wants a TypedDict that it does not export
            ends = datetime.fromtimestamp(payload["exp"], tz=now.tzinfo)
            claims = Claims(UUID(payload["sub"]), UUID(payload["sid"]), ends)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError) as error:
            raise Unauthenticated("The access token is not valid.", reason="INVALID") from error
        # The end is checked by the clock that was passed in, not by the library's own.
        if claims.expires_at <= now:
            raise Unauthenticated("The access token has expired; refresh it.", reason="EXPIRED")
        return claims


class Passwords:
    """Hashes and checks passwords with Argon2id, off the event loop."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        # Checked for an unknown address, so that it takes the same time as a wrong password.
        self._decoy = _decoy(self._hasher)

    def hash(self, password: str) -> str:
        """The hash to store."""
        return self._hasher.hash(password)

    async def verified(self, known: Credential | None, password: str) -> UUID:
        """The user's id, if the password is right; raises Unauthenticated, the same for an unknown address."""
        stored = known.password_hash if known else self._decoy
        matches = await asyncio.to_thread(self._matches, stored, password)
        if known is None or not matches:
            raise Unauthenticated("The address or the password is wrong.", reason="INVALID")
        return known.id

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except argon2.exceptions.VerificationError:
            return False


def _decoy(hasher: argon2.PasswordHasher) -> str:
    """A hash that costs as much to check as the hasher's own, of no password at all."""
    salt, tag = [
        b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    ]
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={argon2.low_level.ARGON2_VERSION}${costs}${salt}${tag}"


class NewUser(msgspec.Struct, frozen=True):
    """What makes a user."""

    email: str
    name: str
    password: str
    role: Role
    unit_id: UUID | None = None
    team_id: UUID | None = None
    client_id: UUID | None = None
    locale: str = "en_IN"
    time_zone: str = "Asia/Kolkata"


SHORTEST_PASSWORD: Final = 12
LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_[A-Z]{2})?")
# Without their place these roles would see no book, or could never lead one.
NEEDS_TEAM: Final = frozenset({Role.SUPERVISOR, Role.ADVISOR, Role.VIEWER})
NOT_MADE: Final = frozenset({Role.CLIENT, Role.SERVICE})


def check_place(role: Role, *, unit: object, team: object) -> None:
    """Whether a user, in this unit and team or none, can see what its role is for. Refuses: INVALID_VALUE."""
    if role in NOT_MADE:
        raise invalid("role", f"A user with the role {role} cannot be made here.")
    if role in NEEDS_TEAM and team is None:
        raise invalid("team", f"A user with the role {role} needs a team.")
    if role is Role.BU_MANAGER and unit is None:
        raise invalid("unit", f"A user with the role {role} needs a business unit.")


async def create_user(work: Work, passwords: Passwords, new: NewUser) -> User:
    """Add a user, from the command line. Refuses: INVALID_VALUE, DUPLICATE."""
    if len(new.password) < SHORTEST_PASSWORD:
        raise invalid("password", f"A password has at least {SHORTEST_PASSWORD} characters.")
    if new.time_zone not in available_timezones():
        raise invalid("timeZone", "This is not a time zone.")
    if not LOCALE.fullmatch(new.locale):
        raise invalid("locale", "This is not a locale, such as en_IN.")
    check_place(new.role, unit=new.unit_id, team=new.team_id)
    address = checked_email(new.email, "email")
    if address is None:
        raise invalid("email", "An address is needed.")
    name = named(new.name, "name")
    user = User(
        id=work.new_id(),
        email=address,
        name=name,
        sort_name=fold(name),
        picture_url=None,
        locale=new.locale,
        time_zone=new.time_zone,
        role=new.role,
        unit_id=new.unit_id,
        team_id=new.team_id,
        client_id=new.client_id,
        status=UserStatus.ACTIVE,
        created_at=work.now,
        version=1,
    )
    if not await work.identities.add_user(user, Credential(user.id, passwords.hash(new.password))):
        raise Refusal(RefusalCode.DUPLICATE, "A user has this address already.", ("input", "email"))
    return user


def digest_of(token: str) -> str:
    """How a refresh token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def _new_token(work: Work, session: Session, lives: Lives) -> tuple[str, RefreshToken]:
    text = secrets.token_urlsafe(32)
    expires_at = min(work.now + lives.refresh, session.expires_at)
    return text, RefreshToken(work.new_id(), session.id, digest_of(text), work.now, expires_at, None)


def _grant(tokens: Tokens, user: User, session: Session, text: str, stored: RefreshToken) -> Grant:
    access, expires_at = tokens.access(user.id, session.id, stored.issued_at)
    return Grant(user, access, expires_at, text, stored.expires_at)


async def open_session(work: Work, tokens: Tokens, user_id: UUID) -> Grant:
    """Begin a session for a user whose password was right; raises Unauthenticated for a disabled one."""
    user = await work.identities.user(user_id)
    if user.status is not UserStatus.ACTIVE:
        raise Unauthenticated("The address or the password is wrong.", reason="INVALID")
    session = Session(work.new_id(), user.id, work.now, work.now + tokens.lives.refresh, None)
    text, stored = _new_token(work, session, tokens.lives)
    await work.identities.add_session(session, stored)
    return _grant(tokens, user, session, text, stored)


async def refresh(work: Work, tokens: Tokens, text: str) -> Grant | Unauthenticated:
    """Exchange a refresh token, once.

    Its second use means that it was copied, so the whole session ends: that must be committed, which is why the
    refusal is returned and not raised. A refreshed session lives on for the refresh token's full life.
    """
    found = await work.identities.locked_token(digest_of(text))
    if found is None:
        return Unauthenticated("The refresh token is not valid.", reason="INVALID")
    used, session = found
    if session.revoked_at is not None:
        return Unauthenticated("The session has ended.", reason="REVOKED")
    if used.used_at is not None:
        await end_session(work, session.id)
        return Unauthenticated("The refresh token was used before, so the session has ended.", reason="REVOKED")
    if used.expires_at <= work.now:
        return Unauthenticated("The refresh token has expired; sign in again.", reason="EXPIRED")
    user = await work.identities.user(session.user_id)
    if user.status is not UserStatus.ACTIVE:
        return Unauthenticated("The session has ended.", reason="REVOKED")
    longer = msgspec.structs.replace(session, expires_at=work.now + tokens.lives.refresh)
    new_text, stored = _new_token(work, longer, tokens.lives)
    await work.identities.rotate(used, longer, stored)
    return _grant(tokens, user, longer, new_text, stored)


def granted(outcome: Grant | Unauthenticated) -> Grant:
    """The grant, or the refusal raised, now that what it changed is committed."""
    if isinstance(outcome, Unauthenticated):
        raise outcome
    return outcome


def session_topic(session_id: UUID) -> str:
    """What wakes those who must know that the session has ended."""
    return f"session:{session_id}"


async def end_session(work: Work, session_id: UUID) -> None:
    """End a session at once, on open sockets too."""
    await work.identities.revoke(session_id, work.now)
    work.wake(session_topic(session_id))
