"""The audit trail: who changed what, from what to what, in the transaction that changed it.

Personal fields are encrypted for their person, so that erasure leaves the trail itself whole.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, Index, Text, bindparam, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Uuid

from domain.audit import Trace
from domain.entities import Entity
from persistence.database import Lent
from persistence.metadata import MOMENT, table
from persistence.repository import Change
from persistence.scope import EVERYTHING, common
from persistence.vault import Vault

audit_events = table(
    "audit_events",
    common(see=EVERYTHING),
    Column("id", Uuid, primary_key=True),
    Column("occurred_at", MOMENT, nullable=False),
    Column("actor_id", Uuid),
    Column("session_id", Uuid),
    Column("request_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Uuid),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("reason", Text),
    Index(None, "object_id", "occurred_at"),
    Index(None, "occurred_at"),
)


class Circumstances(msgspec.Struct, frozen=True):
    """Who acts, in which request, by which verb."""

    actor_id: UUID | None
    session_id: UUID | None
    request_id: str
    action: str
    occurred_at: datetime
    reason: str | None


ADD = insert(audit_events).values({column.name: bindparam(column.name) for column in audit_events.c})


def _person(entity: Entity) -> UUID | None:
    return getattr(entity, entity.person, None) if entity.personal else None


def _told(entity: Entity | None, vault: Vault) -> str | None:
    """An entity as the trail holds it, as JSON."""
    if entity is None:
        return None
    values: dict[str, Any] = msgspec.to_builtins(entity)
    person = _person(entity)
    for name in entity.secret:
        values[name] = {"secret": True}
    for name in entity.personal:
        if values[name] is not None and person is not None:
            sealed = vault.sealed(person, msgspec.json.encode(values[name]))
            values[name] = {"sealed": b64encode(sealed).decode()}
    return msgspec.json.encode(values).decode()


def _traced(trace: Trace, vault: Vault) -> str:
    """A trace as the trail holds it, as JSON."""
    values = dict(trace.facts)
    if trace.person_id is not None:
        for name, value in trace.personal.items():
            sealed = vault.sealed(trace.person_id, msgspec.json.encode(value))
            values[name] = {"sealed": b64encode(sealed).decode()}
    return msgspec.json.encode(values).decode()


def _of_trace(trace: Trace, vault: Vault) -> dict[str, Any]:
    return {
        "action": trace.action,
        "object_type": trace.object_type,
        "object_id": trace.object_id,
        "before": None,
        "after": _traced(trace, vault),
    }


def _of_change(change: Change, vault: Vault) -> dict[str, Any]:
    entity = change.after or change.before
    return {
        "object_type": type(entity).__name__,
        "object_id": getattr(entity, "id", None),
        "before": _told(change.before, vault),
        "after": _told(change.after, vault),
    }


def _persons(told: Sequence[tuple[UUID, Change | Trace]]) -> Iterator[UUID]:
    """Whoever something is encrypted for."""
    for _, each in told:
        if isinstance(each, Trace):
            persons = [each.person_id if each.personal else None]
        else:
            persons = [_person(entity) for entity in (each.before, each.after) if entity]
        yield from filter(None, persons)


async def write(
    lent: Lent, vault: Vault, circumstances: Circumstances, told: Sequence[tuple[UUID, Change | Trace]]
) -> None:
    """Add an audit row for each change and each trace, under the ids given with them."""
    await vault.prepare(_persons(told))
    for row_id, each in told:
        own = _of_trace(each, vault) if isinstance(each, Trace) else _of_change(each, vault)
        await lent.rows(ADD, msgspec.structs.asdict(circumstances) | {"id": row_id} | own)
