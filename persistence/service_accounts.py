"""Service accounts, which are users of one role, and their keys."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    false,
    select,
    true,
)
from sqlalchemy.types import Uuid

from domain.access import Sight, Viewer
from domain.identity import User
from domain.service_accounts import ServiceAccount, ServiceKey
from persistence.identity import users
from persistence.listing import Listing, one_of
from persistence.metadata import MOMENT, TEXTS, table
from persistence.repository import Listed
from persistence.scope import EVERYTHING, IDENTITY, Scope
from persistence.sql import columns


def _everything(_: FromClause, sight: Sight) -> ColumnElement[bool]:
    return true() if sight is Sight.EVERYTHING else false()


service_keys = table(
    "service_keys",
    Scope(see=f"{EVERYTHING} or {IDENTITY}", add=EVERYTHING, change=EVERYTHING, predicate=_everything),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("actions", TEXTS, nullable=False),
    Column("created_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("last_used_at", MOMENT),
    Column("revoked_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index(None, "user_id", "created_at"),
)

# A view of the users of one role: what the policies of other tables say, it says in its own condition.
service_accounts: Final = Table(
    "service_accounts",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("version", Integer, nullable=False),
    info={"scope": Scope(see=EVERYTHING, add="false", change="false", predicate=_everything)},
)

BY_DIGEST = select(*columns(ServiceKey, service_keys)).where(service_keys.c.digest == bindparam("digest", type_=Text))
STANDING = (
    select(*columns(ServiceKey, service_keys))
    .where(
        service_keys.c.user_id == bindparam("account_id", type_=Uuid),
        service_keys.c.revoked_at.is_(None),
        service_keys.c.expires_at > bindparam("now", type_=MOMENT),
    )
    .order_by(service_keys.c.id)
    .with_for_update()
)


class ServiceAccounts(Listed[ServiceAccount]):
    """Service accounts, for those who see everything."""

    entity = ServiceAccount
    table = service_accounts
    listing = Listing(
        ServiceAccount,
        service_accounts,
        orders={"NAME": service_accounts.c.sort_name, "CREATED_AT": service_accounts.c.created_at},
        filters=dict([one_of("statuses", service_accounts.c.status, TEXTS)]),
    )

    async def add_user(self, user: User) -> bool:
        """Store the user, without any password, unless the address is taken; tells which."""
        return await self.insert_once(users, user)


class ServiceKeys(Listed[ServiceKey]):
    """The keys of service accounts, for those who see everything."""

    entity = ServiceKey
    table = service_keys
    listing = Listing(ServiceKey, service_keys, orders={"CREATED_AT": service_keys.c.created_at}, parent="user_id")

    async def by_digest(self, digest: str) -> ServiceKey | None:
        """The key whose text has this digest, if there is one; for the door of identity."""
        found = await self.lent.many(ServiceKey, BY_DIGEST, {"digest": digest})
        # The index has found it by its digest, which tells nothing of the secret; compared once more, in steady time.
        return found[0] if found and hmac.compare_digest(found[0].digest, digest) else None

    async def standing(self, viewer: Viewer, account_id: UUID, now: datetime) -> Sequence[ServiceKey]:
        """The keys of an account that still open something, with their locks."""
        return await self.many(ServiceKey, STANDING, viewer, account_id=account_id, now=now)
