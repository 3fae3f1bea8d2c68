"""What people were told of the ends of verifications, and the clients that there is something to do for."""

from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import Column, Date, ForeignKey, UniqueConstraint, and_, bindparam, exists, select
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.clients import ClientStatus, KycStatus
from domain.kyc import Ending, KycReminder
from persistence.clients import clients
from persistence.metadata import MOMENT, table
from persistence.repository import Repository
from persistence.scope import through

kyc_reminders = table(
    "kyc_reminders",
    through("clients", "client_id", staff=True),
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("told_at", MOMENT, nullable=False),
    UniqueConstraint("client_id", "expires_on"),
)

VERIFIED: Final = and_(
    clients.c.kyc_status == KycStatus.VERIFIED.value, clients.c.status != ClientStatus.ARCHIVED.value
)
TOLD: Final = exists().where(
    kyc_reminders.c.client_id == clients.c.id, kyc_reminders.c.expires_on == clients.c.kyc_expires_on
)
ENDING: Final = (
    select(clients.c.id, clients.c.kyc_expires_on)
    .where(VERIFIED, clients.c.kyc_expires_on.between(bindparam("first", type_=Date), bindparam("last", type_=Date)))
    .where(~TOLD)
    .order_by(clients.c.kyc_expires_on, clients.c.id)
)
ENDED: Final = (
    select(clients.c.id)
    .where(VERIFIED, clients.c.kyc_expires_on < bindparam("before", type_=Date))
    .order_by(clients.c.kyc_expires_on, clients.c.id)
)


class Kyc(Repository):
    """The ends of verifications, as far as the viewer sees the clients."""

    async def ending(self, viewer: Viewer, first: date, last: date) -> list[Ending]:
        """The clients whose verification ends from one day to another, and nobody was told; the first to end first."""
        return [Ending(*row) for row in await self.rows(ENDING, viewer, first=first, last=last)]

    async def ended(self, viewer: Viewer, before: date) -> list[UUID]:
        """The clients that count as verified, and whose verification has ended before a day."""
        return [row[0] for row in await self.rows(ENDED, viewer, before=before)]

    async def add_once(self, reminder: KycReminder) -> bool:
        """Remember that people were told, unless they were already; tells which."""
        return await self.insert_once(kyc_reminders, reminder)
