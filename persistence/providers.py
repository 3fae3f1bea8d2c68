"""Flows to other providers of identity, and the accounts there that sign users in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, Text, UniqueConstraint, bindparam, insert, select, update
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.identity import digest_of
from domain.providers import FLOW_TIME, FlowSecrets, ProviderFlow, ProviderIdentity, Purpose
from persistence.metadata import MOMENT, enum_column, table
from persistence.repository import Repository
from persistence.scope import IDENTITY, USER, Scope, by_user, internal
from persistence.sql import columns, values_of

provider_flows = table(
    "provider_flows",
    internal(),
    Column("id", Uuid, primary_key=True),
    Column("provider", Text, nullable=False),
    *enum_column("purpose", Purpose),
    Column("flow_digest", Text, nullable=False, unique=True),
    Column("state_digest", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE")),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE")),
    Column("created_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
    Index(None, "created_at"),
)

provider_identities = table(
    "provider_identities",
    Scope(see=f"{IDENTITY} or user_id = {USER}", add=IDENTITY, change=IDENTITY, predicate=by_user().predicate),
    Column("id", Uuid, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("email", Text),
    Column("linked_at", MOMENT, nullable=False),
    UniqueConstraint("provider", "subject"),
    # One account at a provider is enough for a user, and names it.
    UniqueConstraint("user_id", "provider"),
)

ADD_FLOW: Final = insert(provider_flows).values({column.name: bindparam(column.name) for column in provider_flows.c})
# One statement, so that of two that come at once the second waits for the first, and then finds it used.
TAKE: Final = (
    update(provider_flows)
    .where(
        provider_flows.c.flow_digest == bindparam("flow"),
        provider_flows.c.state_digest == bindparam("state"),
        provider_flows.c.purpose == bindparam("for_purpose"),
        provider_flows.c.created_at > bindparam("since", type_=MOMENT),
        provider_flows.c.used_at.is_(None),
    )
    .values(used_at=bindparam("at", type_=MOMENT))
    .returning(*columns(ProviderFlow, provider_flows))
)
IDENTITIES: Final = select(*columns(ProviderIdentity, provider_identities))
KNOWN: Final = IDENTITIES.where(
    provider_identities.c.provider == bindparam("provider"), provider_identities.c.subject == bindparam("subject")
)
OF_USER: Final = IDENTITIES.where(provider_identities.c.user_id == bindparam("user_id", type_=Uuid)).order_by(
    provider_identities.c.provider
)


class Providers(Repository):
    """Flows and accounts at providers; all but one's own accounts needs the door of identity."""

    async def add_flow(self, flow: ProviderFlow) -> None:
        """Store a flow. The trail does not tell of it, but of what comes of it: anybody can begin one."""
        await self.lent.rows(ADD_FLOW, values_of(flow))

    async def take_flow(self, given: FlowSecrets, purpose: Purpose, now: datetime) -> ProviderFlow | None:
        """Use a flow up, if there is one with these secrets that was not used and is not too old."""
        asked = {"flow": digest_of(given.flow), "state": digest_of(given.state), "for_purpose": purpose.value}
        found = await self.lent.many(ProviderFlow, TAKE, {**asked, "since": now - FLOW_TIME, "at": now})
        return found[0] if found else None

    async def identity(self, provider: str, subject: str) -> ProviderIdentity | None:
        """The account that a provider knows as this subject, if somebody has linked it."""
        found = await self.lent.many(ProviderIdentity, KNOWN, {"provider": provider, "subject": subject})
        return found[0] if found else None

    async def of_user(self, user_id: UUID) -> list[ProviderIdentity]:
        """A user's accounts at providers."""
        return await self.lent.many(ProviderIdentity, OF_USER, {"user_id": user_id})

    async def mine(self, viewer: Viewer) -> Sequence[ProviderIdentity]:
        """The viewer's own."""
        return await self.many(ProviderIdentity, OF_USER, viewer, user_id=viewer.user_id)

    async def add(self, identity: ProviderIdentity) -> bool:
        """Link an account, unless it is linked, or the user has one there already; tells which."""
        return await self.insert_once(provider_identities, identity)

    async def remove(self, identity: ProviderIdentity) -> None:
        """Undo the link of an account."""
        await self.delete(provider_identities, identity)
