"""What changes accounts of users, mailed links among it, and the users as a list."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Text,
    any_,
    bindparam,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.types import Uuid

from domain.access import Role, Viewer
from domain.errors import NotFound
from domain.identity import Credential, Session, User, UserStatus
from domain.identity.accounts import UserPreferences
from domain.identity.links import AccountLink, LinkKind
from domain.identity.profile import LARGEST_PREFERENCES
from persistence.identity.tables import credentials, sessions, users
from persistence.listing import Listing, one_of
from persistence.metadata import MOMENT, TEXTS, UUIDS, enum_column, table
from persistence.repository import Listed, Repository, by_id
from persistence.scope import EVERYTHING, IDENTITY, Scope, by_user, shared
from persistence.service_accounts import service_keys
from persistence.sql import columns

account_links = table(
    "account_links",
    # Sign-in and the letters' jobs read them; there is nothing in a row that would make a link work.
    Scope(see=f"{IDENTITY} or {EVERYTHING}", add=IDENTITY, change=IDENTITY, predicate=shared().predicate),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    *enum_column("kind", LinkKind),
    Column("address", Text, nullable=False),
    Column("previous_address", Text),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
    Index(None, "user_id", "kind", "created_at"),
    Index(None, "expires_at"),
)

user_preferences = table(
    "user_preferences",
    by_user("id"),
    Column("id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("settings", Text, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    CheckConstraint(f"octet_length(settings) <= {LARGEST_PREFERENCES}", name="size"),
)

OF_USER: Final = users.c.id == bindparam("user_id", type_=Uuid)
# Not as strong as could be: a session that begins meanwhile refers to the user, and need not wait.
LOCKED = select(*columns(User, users)).where(OF_USER).with_for_update(key_share=True)
LOCKED_BY_EMAIL = (
    select(*columns(User, users)).where(users.c.email == bindparam("email")).with_for_update(key_share=True)
)
LOCKED_ADMINS = (
    select(*columns(User, users))
    .where(users.c.role == Role.ADMIN.value, users.c.status == UserStatus.ACTIVE.value)
    .order_by(users.c.id)
    .with_for_update(key_share=True)
)
# Whoever is to have the address waits here for whoever else is to have it.
ADDRESS_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(literal("address ") + bindparam("email"), 0)))
HAS_ADDRESS = select(exists().where(users.c.email == bindparam("email")))
HAS_PASSWORD = select(exists().where(credentials.c.id == bindparam("user_id", type_=Uuid)))
END_SESSIONS = (
    update(sessions)
    .where(sessions.c.user_id == bindparam("user_id", type_=Uuid), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at", type_=MOMENT))
    .returning(*columns(Session, sessions))
)
KEYS = select(service_keys.c.id).where(
    service_keys.c.user_id == bindparam("user_id", type_=Uuid), service_keys.c.revoked_at.is_(None)
)
COUNT_LINKS = (
    select(func.count())
    .select_from(account_links)
    .where(
        account_links.c.user_id == bindparam("user_id", type_=Uuid),
        account_links.c.kind == bindparam("kind"),
        account_links.c.created_at > bindparam("since", type_=MOMENT),
    )
)
END_LINKS = (
    update(account_links)
    .where(
        account_links.c.user_id == bindparam("user_id", type_=Uuid),
        account_links.c.kind == any_(bindparam("kinds", type_=TEXTS)),
        account_links.c.used_at.is_(None),
    )
    .values(used_at=bindparam("at", type_=MOMENT))
    .returning(*columns(AccountLink, account_links))
)
KNOWS_ZONE = text("select exists (select from pg_timezone_names where name = :zone)")


class Users(Listed[User]):
    """Users, as far as the viewer knows them."""

    entity = User
    table = users
    listing = Listing(
        User,
        users,
        orders={"NAME": users.c.sort_name, "CREATED_AT": users.c.created_at},
        filters=dict(
            [
                one_of("roles", users.c.role, TEXTS),
                one_of("statuses", users.c.status, TEXTS),
                one_of("team_ids", users.c.team_id, UUIDS),
                one_of("unit_ids", users.c.unit_id, UUIDS),
            ]
        ),
    )


class Accounts(Repository):
    """What changes accounts; all but the preferences needs the door of identity."""

    async def locked(self, user_id: UUID) -> User:
        """The user, with its row lock; raises NotFound."""
        found = await self.lent.many(User, LOCKED, {"user_id": user_id})
        if not found:
            raise NotFound
        return found[0]

    async def locked_by_email(self, address: str) -> User | None:
        """The user with an address, and its row lock, if there is one."""
        found = await self.lent.many(User, LOCKED_BY_EMAIL, {"email": address})
        return found[0] if found else None

    async def locked_admins(self) -> list[User]:
        """All active admins, with their row locks, in one order."""
        return await self.lent.many(User, LOCKED_ADMINS, {})

    async def add(self, user: User) -> bool:
        """Store a user without a password, unless the address is taken; tells which."""
        await self.lent.rows(ADDRESS_LOCK, {"email": user.email})
        return await self.insert_once(users, user)

    async def replace(self, before: User, after: User) -> User:
        """Store a changed user; refuses STALE_VERSION."""
        return await self.replace_row(users, before, after)

    async def replace_address(self, before: User, after: User) -> bool:
        """Store a user with another address, unless that is taken; tells which."""
        await self.lent.rows(ADDRESS_LOCK, {"email": after.email})
        ((is_taken,),) = await self.lent.rows(HAS_ADDRESS, {"email": after.email})
        if is_taken:
            return False
        await self.replace_row(users, before, after)
        return True

    async def has_password(self, user_id: UUID) -> bool:
        """Whether the user can sign in by a password."""
        ((has,),) = await self.lent.rows(HAS_PASSWORD, {"user_id": user_id})
        return cast("bool", has)

    async def set_password(self, credential: Credential) -> None:
        """Store a user's password, in place of the one before if there is one; the user's lock is held."""
        statement = by_id(Credential, credentials)
        before = await self.lent.many(Credential, statement, {"id": credential.id})
        if before:
            await self.overwrite(credentials, before[0], credential)
        else:
            await self.insert(credentials, credential)

    async def end_sessions(self, user_id: UUID, at: datetime) -> list[UUID]:
        """End all sessions of a user; gives their ids, and those of the keys of a service account, which go on."""
        ended = await self.lent.many(Session, END_SESSIONS, {"user_id": user_id, "at": at})
        for session in ended:
            self.record(msgspec.structs.replace(session, revoked_at=None), session)
        keys = await self.lent.rows(KEYS, {"user_id": user_id})
        return [*(session.id for session in ended), *(row[0] for row in keys)]

    async def add_link(self, link: AccountLink) -> None:
        """Store a link."""
        await self.insert(account_links, link)

    async def link(self, link_id: UUID) -> AccountLink | None:
        """The link, if there is one."""
        found = await self.lent.many(AccountLink, by_id(AccountLink, account_links), {"id": link_id})
        return found[0] if found else None

    async def count_links(self, user_id: UUID, kind: LinkKind, since: datetime) -> int:
        """How many links of a kind were mailed to a user since a moment."""
        values = {"user_id": user_id, "kind": kind, "since": since}
        ((count,),) = await self.lent.rows(COUNT_LINKS, values)
        return cast("int", count)

    async def end_links(self, user_id: UUID, kinds: Sequence[LinkKind], at: datetime) -> None:
        """Make all links of some kinds to a user void."""
        values = {"user_id": user_id, "kinds": list(kinds), "at": at}
        for link in await self.lent.many(AccountLink, END_LINKS, values):
            self.record(msgspec.structs.replace(link, used_at=None), link)

    async def preferences(self, viewer: Viewer) -> UserPreferences | None:
        """What the viewer prefers, if it has said anything."""
        statement = by_id(UserPreferences, user_preferences)
        found = await self.many(UserPreferences, statement, viewer, id=viewer.user_id)
        return found[0] if found else None

    async def set_preferences(self, viewer: Viewer, preferences: UserPreferences) -> None:
        """Store what the viewer prefers, whose lock is held."""
        before = await self.preferences(viewer)
        if before:
            await self.overwrite(user_preferences, before, preferences)
        else:
            await self.insert(user_preferences, preferences)

    async def knows_zone(self, zone: str) -> bool:
        """Whether the database knows a time zone."""
        ((knows,),) = await self.lent.rows(KNOWS_ZONE, {"zone": zone})
        return cast("bool", knows)
