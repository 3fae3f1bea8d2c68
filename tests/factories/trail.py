"""Rows of the audit trail, as if something had been done."""

from typing import Any
from uuid import UUID

import msgspec

from domain.audit import AuditEvent
from persistence.audit import audit_events
from tests.factories.firm import Make


async def event(make: Make, kind: str, object_id: UUID, **given: Any) -> AuditEvent:
    """Something that was done to an object, by nobody in particular; `client_id` and the like say whose it is."""
    made = AuditEvent(
        id=make.new_id(),
        occurred_at=make.now,
        actor_id=None,
        session_id=None,
        request_id=f"request {next(make.numbers)}",
        action="tests.change",
        object_type=kind,
        object_id=object_id,
        before='{"name": "was"}',
        after=f'{{"name": "is", "number": {next(make.numbers)}}}',
        reason=None,
        client_id=None,
        book_id=None,
        user_id=None,
        person_id=None,
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(audit_events, made)
    return made
