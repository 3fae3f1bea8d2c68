"""KYC nears its end: whoever looks after the client is told in time, and what has run out counts no longer."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import msgspec

from domain import clients
from domain.access import Viewer
from domain.books import EARTH
from domain.clients import Client, ClientChange, ClientStatus, Details, KycStatus
from domain.entities import Entity, derived_id
from domain.notifications import Notice, NotificationKind
from domain.rounds import go_round
from domain.work import Work

if TYPE_CHECKING:
    from domain.jobs import Office


class KycReminder(Entity, frozen=True):
    """That people were told of the day on which a client's verification ends."""

    id: UUID
    client_id: UUID
    expires_on: date
    told_at: datetime


class Ending(msgspec.Struct, frozen=True):
    """A client whose verification ends on a day."""

    client_id: UUID
    expires_on: date


class Kyc(Protocol):
    """The storage of what people were told of, and the clients that there is something to do for."""

    async def ending(self, viewer: Viewer, first: date, last: date) -> list[Ending]: ...  # noqa: D102 - the signature says it, here and below
    async def ended(self, viewer: Viewer, before: date) -> list[UUID]: ...  # noqa: D102
    async def add_once(self, reminder: KycReminder) -> bool: ...  # noqa: D102


async def tell_ending(office: "Office") -> None:
    """Tell of every verification that ends within the time that the firm has set for it."""
    await go_round(office, remind, await office.write(ending, office.kyc_notice))


async def ending(work: Work, viewer: Viewer, notice: timedelta) -> Sequence[Ending]:
    """Whose verification ends in that time, and nobody was told yet."""
    today = viewer.today(work.now)
    return await work.kyc.ending(viewer, today, today + notice)


async def remind(work: Work, viewer: Viewer, due: Ending) -> None:
    """Tell those who look after a client that its verification ends: once for a client and a day."""
    client = await work.clients.locked(viewer, due.client_id)
    recipients = await work.books.audience(viewer, client.book_id, work.now)
    # While nobody would be told, it is not done: somebody may look after the book tomorrow.
    if not recipients or not _verified(client) or client.kyc_expires_on != due.expires_on:
        return
    key = derived_id("kyc reminder", client.id, due.expires_on)
    if await work.kyc.add_once(KycReminder(key, client.id, due.expires_on, work.now)):
        kind = NotificationKind.KYC_EXPIRING
        work.tell(Notice(kind, frozenset(recipients), book_id=client.book_id, client_id=client.id))


async def expire_ended(office: "Office") -> None:
    """Let every verification run out whose last day is over."""
    await go_round(office, expire, await office.write(ended))


async def ended(work: Work, viewer: Viewer) -> Sequence[UUID]:
    """Whose verification has run out."""
    return await work.kyc.ended(viewer, _today(work.now))


async def expire(work: Work, viewer: Viewer, client_id: UUID) -> None:
    """Have a client's verification end, as anybody could who looks after it, unless it was renewed meanwhile."""
    client = await work.clients.locked(viewer, client_id)
    ends = client.kyc_expires_on
    if _verified(client) and ends is not None and ends < _today(work.now):
        await clients.update(
            work, viewer, ClientChange(client.id, client.version, Details(kyc_status=KycStatus.EXPIRED))
        )


def _verified(client: Client) -> bool:
    return client.kyc_status is KycStatus.VERIFIED and client.status is not ClientStatus.ARCHIVED


def _today(now: datetime) -> date:
    """The first day that is not yet over everywhere: a verification holds to the end of its last, whoever asks."""
    return (now.astimezone(UTC) - EARTH).date()
