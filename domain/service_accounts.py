"""Service accounts: partners' programs, which act by keys that allow some actions on the books they are members of."""

import re
import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from domain import books
from domain.access import GRANTABLE, Action, Role, Viewer, require, require_recent
from domain.books import MembershipKind, NewMembership
from domain.entities import Entity
from domain.errors import Refusal, RefusalCode, Unauthenticated
from domain.identity import User, UserStatus, digest_of, session_topic
from domain.text import email as checked_email
from domain.text import fold, invalid, named
from domain.work import Work

# What every key begins with, so that a leaked one is known for what it is.
MARK: Final = "stw_"
PREFIX_LENGTH: Final = 8
SECRET_BYTES: Final = 32
_LETTERS: Final = string.ascii_lowercase + string.digits
_KEY: Final = re.compile(rf"({MARK}[a-z0-9]{{{PREFIX_LENGTH}}}_[0-9a-f]{{{2 * SECRET_BYTES}}})([0-9a-f]{{8}})")
LONGEST_LIFE: Final = timedelta(days=366)
LONGEST_OVERLAP: Final = timedelta(days=30)
MOST_KEYS: Final = 20
MOST_BOOKS: Final = 100


class ServiceAccount(Entity, frozen=True):
    """What is known of a user of the role SERVICE; `email` is the address of whoever answers for the program."""

    id: UUID
    name: str
    sort_name: str
    email: str
    status: UserStatus
    created_at: datetime
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"name", "sort_name", "email"})


class ServiceKey(Entity, frozen=True):
    """A key of a service account, stored as the SHA-256 of its text, whose secret has 256 random bits.

    `prefix` is what people tell keys apart by. A key that was rotated goes on until its `expires_at`, so that the
    program can change over to its successor.
    """

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    digest: str
    actions: tuple[Action, ...]
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    version: int

    secret: ClassVar[frozenset[str]] = frozenset({"digest"})

    def stands(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and self.expires_at > now


class ServiceAccountFilter(msgspec.Struct, frozen=True):
    """Which service accounts a list holds."""

    statuses: tuple[UserStatus, ...] | None = None


class ServiceKeyFilter(msgspec.Struct, frozen=True):
    """Which keys a list holds: all."""


class NewServiceAccount(msgspec.Struct, frozen=True):
    """What makes a service account."""

    name: str
    email: str
    book_ids: tuple[UUID, ...] = ()


class NewServiceKey(msgspec.Struct, frozen=True):
    """What makes a key; `expires_on` is its last day, in the zone of whoever makes it."""

    service_account_id: UUID
    name: str
    actions: tuple[Action, ...]
    expires_on: date


class MadeKey(msgspec.Struct, frozen=True):
    """A key that was just made, with its text, which is stored nowhere."""

    key: ServiceKey
    text: str


class ServiceAccounts(Protocol):
    """The storage of service accounts."""

    async def locked(self, viewer: Viewer, row_id: UUID) -> ServiceAccount: ...  # noqa: D102 - the signature says it, here and below
    async def add_user(self, user: User) -> bool: ...  # noqa: D102
    async def replace(self, before: ServiceAccount, after: ServiceAccount) -> ServiceAccount: ...  # noqa: D102


class ServiceKeys(Protocol):
    """The storage of their keys."""

    async def one(self, viewer: Viewer, row_id: UUID) -> ServiceKey: ...  # noqa: D102 - the signature says it, here and below
    async def locked(self, viewer: Viewer, row_id: UUID) -> ServiceKey: ...  # noqa: D102
    async def standing(self, viewer: Viewer, account_id: UUID, now: datetime) -> Sequence[ServiceKey]: ...  # noqa: D102
    async def add(self, row: ServiceKey) -> None: ...  # noqa: D102
    async def replace(self, before: ServiceKey, after: ServiceKey) -> ServiceKey: ...  # noqa: D102


def is_key(token: str) -> bool:
    """Whether a token means to be a key of a service account."""
    return token.startswith(MARK)


def key_digest(token: str) -> str:
    """How a key is stored. Raises Unauthenticated for what no key can be, mistyped ones among them."""
    parts = _KEY.fullmatch(token)
    if parts is None or _checksum(parts[1]) != parts[2]:
        raise no_such_key()
    return digest_of(token)


def no_such_key() -> Unauthenticated:
    """The answer to a key that is none."""
    return Unauthenticated("The key is not valid.", reason="INVALID")


def check_standing(key: ServiceKey, now: datetime) -> None:
    """Raise Unauthenticated, with the reason, for a key that no longer stands."""
    if key.revoked_at is not None:
        raise Unauthenticated("The key was revoked.", reason="REVOKED")
    if key.expires_at <= now:
        raise Unauthenticated("The key has expired.", reason="EXPIRED")


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('ascii')):08x}"


def new_text() -> str:
    """A key as programs send it: the mark, its prefix, 256 random bits, and a checksum of all that."""
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(PREFIX_LENGTH))
    body = f"{MARK}{prefix}_{secrets.token_hex(SECRET_BYTES)}"
    return body + _checksum(body)


def prefix_of(text: str) -> str:
    """What people tell a key apart by."""
    return text[len(MARK) :][:PREFIX_LENGTH]


def _made(work: Work, viewer: Viewer, new: NewServiceKey, end: datetime) -> MadeKey:
    text = new_text()
    key = ServiceKey(
        id=work.new_id(),
        user_id=new.service_account_id,
        name=named(new.name, "name"),
        prefix=prefix_of(text),
        digest=digest_of(text),
        actions=tuple(sorted(set(new.actions))),
        created_by=viewer.user_id,
        created_at=work.now,
        expires_at=end,
        last_used_at=None,
        revoked_at=None,
        version=1,
    )
    return MadeKey(key, text)


async def create_account(work: Work, viewer: Viewer, new: NewServiceAccount) -> ServiceAccount:
    """Make a service account without any key, and a member of some books. Refuses: INVALID_VALUE, DUPLICATE.

    It has no password, and its address signs nobody in: it is that of whoever answers for the program.
    """
    require(viewer, Action.MANAGE_SERVICE_ACCOUNTS)
    require_recent(viewer, work.now)
    name, address = named(new.name, "name"), checked_email(new.email, "email")
    if address is None:
        raise invalid("email", "An address is needed.")
    if len(new.book_ids) > MOST_BOOKS:
        raise invalid("bookIds", f"An account begins with at most {MOST_BOOKS} books.")
    user = _program(work, viewer, name, address)
    if not await work.service_accounts.add_user(user):
        raise Refusal(RefusalCode.DUPLICATE, "A user has this address already.", ("input", "email"))
    for book_id in sorted(set(new.book_ids)):
        await books.add_member(work, viewer, NewMembership(book_id, user.id, MembershipKind.ASSISTANT))
    return ServiceAccount(user.id, user.name, user.sort_name, user.email, user.status, user.created_at, user.version)


def _program(work: Work, viewer: Viewer, name: str, address: str) -> User:
    return User(
        id=work.new_id(),
        email=address,
        name=name,
        sort_name=fold(name),
        picture_url=None,
        locale=viewer.locale,
        time_zone=viewer.time_zone,
        role=Role.SERVICE,
        unit_id=None,
        team_id=None,
        client_id=None,
        status=UserStatus.ACTIVE,
        created_at=work.now,
        email_verified_at=None,
        version=1,
    )


async def create_key(work: Work, viewer: Viewer, new: NewServiceKey) -> MadeKey:
    """Make a key. Refuses: INVALID_VALUE, ACCOUNT_DISABLED."""
    require(viewer, Action.MANAGE_SERVICE_ACCOUNTS)
    require_recent(viewer, work.now)
    account = await _active(work, viewer, new.service_account_id)
    if excess := set(new.actions) - GRANTABLE:
        raise invalid("actions", f"No key allows {', '.join(sorted(excess))}.")
    await _check_number(work, viewer, account)
    made = _made(work, viewer, new, _end_of(viewer, work.now, new.expires_on))
    await work.service_keys.add(made.key)
    return made


async def _active(work: Work, viewer: Viewer, account_id: UUID) -> ServiceAccount:
    """The account with its lock, which everybody takes who makes or ends keys of it."""
    account = await work.service_accounts.locked(viewer, account_id)
    if account.status is not UserStatus.ACTIVE:
        raise Refusal(RefusalCode.ACCOUNT_DISABLED, "The service account is disabled.", ("input",))
    return account


async def _check_number(work: Work, viewer: Viewer, account: ServiceAccount) -> None:
    if len(await work.service_keys.standing(viewer, account.id, work.now)) >= MOST_KEYS:
        raise invalid("name", f"An account has at most {MOST_KEYS} keys at a time; revoke one first.")


def _end_of(viewer: Viewer, now: datetime, last_day: date) -> datetime:
    """The end of the last day, in the viewer's zone."""
    today = viewer.today(now)
    if not today <= last_day <= today + LONGEST_LIFE:
        raise invalid("expiresOn", "A key lives from today for a year at most.")
    midnight = datetime.combine(last_day + timedelta(days=1), time(), ZoneInfo(viewer.time_zone))
    return midnight.astimezone(UTC)


async def rotate_key(work: Work, viewer: Viewer, key_id: UUID, overlap: timedelta) -> MadeKey:
    """Make a key's successor, which allows the same for as long; the old one ends after the overlap, or by itself.

    Refuses: INVALID_VALUE, KEY_ENDED, ACCOUNT_DISABLED.
    """
    require(viewer, Action.MANAGE_SERVICE_ACCOUNTS)
    require_recent(viewer, work.now)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise invalid("overlapHours", f"Both keys are good for at most {LONGEST_OVERLAP.days} days.")
    old = await _standing(work, viewer, key_id)
    account = await _active(work, viewer, old.user_id)
    await _check_number(work, viewer, account)
    end = work.now + min(old.expires_at - old.created_at, LONGEST_LIFE)
    made = _made(work, viewer, NewServiceKey(account.id, old.name, old.actions, end.date()), end)
    await work.service_keys.add(made.key)
    await _ended(work, old, expires_at=min(old.expires_at, work.now + overlap))
    return made


async def revoke_key(work: Work, viewer: Viewer, key_id: UUID) -> ServiceKey:
    """End a key at once, on open sockets too. Refuses: KEY_ENDED."""
    require(viewer, Action.MANAGE_SERVICE_ACCOUNTS)
    require_recent(viewer, work.now)
    return await _ended(work, await _standing(work, viewer, key_id), revoked_at=work.now)


async def _standing(work: Work, viewer: Viewer, key_id: UUID) -> ServiceKey:
    """The key, with the lock of its account and its own."""
    found = await work.service_keys.one(viewer, key_id)
    await work.service_accounts.locked(viewer, found.user_id)
    key = await work.service_keys.locked(viewer, key_id)
    if not key.stands(work.now):
        raise Refusal(RefusalCode.KEY_ENDED, "The key has ended already.", ("input", "serviceKeyId"))
    return key


async def _ended(work: Work, key: ServiceKey, **ends: datetime) -> ServiceKey:
    """Give a key another end, and have whoever is connected by it look again."""
    ended = msgspec.structs.replace(key, version=key.version + 1, **ends)
    work.wake(session_topic(key.id))
    return await work.service_keys.replace(key, ended)


async def disable_account(work: Work, viewer: Viewer, account_id: UUID) -> ServiceAccount:
    """Disable an account for good, and end its keys at once. Refuses: ACCOUNT_DISABLED."""
    require(viewer, Action.MANAGE_SERVICE_ACCOUNTS)
    require_recent(viewer, work.now)
    account = await _active(work, viewer, account_id)
    for key in await work.service_keys.standing(viewer, account.id, work.now):
        await _ended(work, key, revoked_at=work.now)
    disabled = msgspec.structs.replace(account, status=UserStatus.DISABLED, version=account.version + 1)
    return await work.service_accounts.replace(account, disabled)
