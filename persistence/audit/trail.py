"""Reading the trail: the whole of it for those who may, and the history of an object for whoever sees the object."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Text, any_, bindparam, select
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.audit import AuditEvent, AuditSeal
from persistence.audit.tables import audit_events, audit_sealed, audit_seals
from persistence.listing import Listing, one_of, plain
from persistence.metadata import MOMENT, TEXTS, UUIDS
from persistence.repository import Listed

SEALS: Final = (
    select(audit_sealed.c.event_id, audit_seals.c.number, audit_seals.c.digest, audit_seals.c.sealed_at)
    .select_from(audit_sealed.join(audit_seals, audit_seals.c.number == audit_sealed.c.seal))
    .where(audit_sealed.c.event_id == any_(bindparam("keys", type_=UUIDS)))
)


class AuditTrail(Listed[AuditEvent]):
    """The rows of the trail, as far as the viewer sees what they are about."""

    entity = AuditEvent
    table = audit_events
    listing = Listing(
        AuditEvent,
        audit_events,
        orders={"OCCURRED_AT": audit_events.c.occurred_at},
        filters=dict(
            [
                plain("actor_id", lambda: audit_events.c.actor_id == bindparam("actor_id", type_=Uuid)),
                plain("object_id", lambda: audit_events.c.object_id == bindparam("object_id", type_=Uuid)),
                plain("client_id", lambda: audit_events.c.client_id == bindparam("client_id", type_=Uuid)),
                one_of("actions", audit_events.c.action, TEXTS),
                plain("occurred_from", lambda: audit_events.c.occurred_at >= bindparam("occurred_from", type_=MOMENT)),
                plain(
                    "occurred_before", lambda: audit_events.c.occurred_at < bindparam("occurred_before", type_=MOMENT)
                ),
                plain("request_id", lambda: audit_events.c.request_id == bindparam("request_id", type_=Text)),
            ]
        ),
        parent="object_id",
    )

    async def seals_of(self, viewer: Viewer, event_ids: Sequence[UUID]) -> list[AuditSeal]:
        """The seals of these events, of those that are sealed."""
        return await self.many(AuditSeal, SEALS, viewer, keys=event_ids)
