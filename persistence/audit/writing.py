"""Writing the trail: all rows of a transaction in one statement, personal fields encrypted for their person."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Text, bindparam, cast, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Uuid

from domain.audit import SEALED, Trace
from domain.entities import Entity
from persistence.audit.tables import audit_events
from persistence.database import Lent
from persistence.metadata import MOMENT, TEXTS, UUIDS
from persistence.repository import Change
from persistence.vault import Vault


class Circumstances(msgspec.Struct, frozen=True):
    """Who acts, in which request, by which verb."""

    actor_id: UUID | None
    session_id: UUID | None
    request_id: str
    action: str
    occurred_at: datetime
    reason: str | None


class Told(msgspec.Struct, frozen=True):
    """What one row tells, beside the circumstances that it shares with the transaction's others."""

    id: UUID
    action: str
    object_type: str
    object_id: UUID | None
    before: str | None
    after: str | None
    reason: str | None
    client_id: UUID | None
    book_id: UUID | None
    user_id: UUID | None
    person_id: UUID | None


# Of each field of what is told, the values of all rows.
OWN: Final = {name: UUIDS if isinstance(audit_events.c[name].type, Uuid) else TEXTS for name in Told.__struct_fields__}
SHARED: Final = {"occurred_at": MOMENT, "actor_id": Uuid(), "session_id": Uuid(), "request_id": Text()}
_ROWS: Final = (
    func.unnest(*(bindparam(name, type_=type_) for name, type_ in OWN.items()))
    .table_valued(*OWN, name="told")
    .render_derived()
)
ADD: Final = insert(audit_events).from_select(
    [*SHARED, *OWN],
    select(
        *(bindparam(name, type_=type_) for name, type_ in SHARED.items()),
        *(cast(_ROWS.c[name], JSONB) if name in {"before", "after"} else _ROWS.c[name] for name in OWN),
    ),
)


def _person(entity: Entity) -> UUID | None:
    return getattr(entity, entity.person, None) if entity.personal else None


def _sealed(vault: Vault, person: UUID | None, value: Any) -> Any:
    """A personal value as the trail holds it: of one whose key is destroyed, nothing is kept."""
    if person is None or value is None:
        return value
    if not vault.keeps(person):
        return {"erased": True}
    return {SEALED: b64encode(vault.sealed(person, msgspec.json.encode(value))).decode()}


def _values(entity: Entity | None, vault: Vault) -> str | None:
    """An entity as the trail holds it, as JSON."""
    if entity is None:
        return None
    values: dict[str, Any] = msgspec.to_builtins(entity)
    for name in entity.secret:
        values[name] = {"secret": True}
    for name in entity.personal - entity.secret:
        values[name] = _sealed(vault, _person(entity), values[name])
    return msgspec.json.encode(values).decode()


def _of_trace(row_id: UUID, trace: Trace, reason: str | None, vault: Vault) -> Told:
    personal = {name: _sealed(vault, trace.person_id, value) for name, value in trace.personal.items()}
    # What is known of nobody in particular could never be erased.
    facts = {**trace.facts, **(personal if trace.person_id is not None else {})}
    return Told(
        id=row_id,
        action=trace.action,
        object_type=trace.object_type,
        object_id=trace.object_id,
        before=None,
        after=msgspec.json.encode(facts).decode(),
        reason=_reason(trace.reason or reason, trace.person_id, vault),
        client_id=trace.client_id,
        book_id=trace.book_id if trace.client_id is None else None,
        user_id=trace.user_id,
        person_id=trace.person_id,
    )


def _of_change(row_id: UUID, change: Change, action: str, reason: str | None, vault: Vault) -> Told:
    # One of the two is there.
    entity: Any = change.after or change.before
    person, client = _person(entity), getattr(entity, entity.of_client, None)
    return Told(
        id=row_id,
        action=action,
        object_type=type(entity).__name__,
        object_id=getattr(entity, "id", None),
        before=_values(change.before, vault),
        after=_values(change.after, vault),
        reason=_reason(reason, person, vault),
        client_id=client,
        # A client takes its history along to another book, so its rows name none.
        book_id=getattr(entity, entity.of_book, None) if client is None else None,
        user_id=getattr(entity, entity.of_user, None),
        person_id=person,
    )


def _reason(reason: str | None, person: UUID | None, vault: Vault) -> str | None:
    """What is said about a person is personal too; of one who is erased it is why, and stays."""
    if reason is None or person is None or not vault.keeps(person):
        return reason
    return f"{SEALED}:{b64encode(vault.sealed(person, reason.encode())).decode()}"


def _persons(told: Sequence[tuple[UUID, Change | Trace]]) -> Iterator[UUID]:
    """Whoever something is encrypted for."""
    for _, each in told:
        if isinstance(each, Trace):
            persons = [each.person_id]
        else:
            persons = [_person(entity) for entity in (each.before, each.after) if entity]
        yield from filter(None, persons)


async def write(
    lent: Lent, vault: Vault, circumstances: Circumstances, told: Sequence[tuple[UUID, Change | Trace]]
) -> None:
    """Add an audit row for each change and each trace, under the ids given with them."""
    if not told:
        return
    await vault.prepare(_persons(told))
    action, reason = circumstances.action, circumstances.reason
    rows = [
        _of_trace(row_id, each, reason, vault)
        if isinstance(each, Trace)
        else _of_change(row_id, each, action, reason, vault)
        for row_id, each in told
    ]
    values = {name: [getattr(row, name) for row in rows] for name in OWN}
    await lent.rows(ADD, {**_shared(circumstances), **values})


def _shared(circumstances: Circumstances) -> Mapping[str, Any]:
    return {name: getattr(circumstances, name) for name in SHARED}
