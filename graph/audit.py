"""The audit trail: who did what, as admins and auditors read it, and as the history of an object."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import strawberry
from strawberry import ID

from domain import audit
from domain.access import Action, require
from domain.audit import AuditFindingKind, Opened, Verified
from domain.entities import Entity
from domain.errors import Invalid
from domain.paging import Direction, Order
from graph.batching import batched
from graph.context import Context, Info
from graph.cost import cost
from graph.described import enum, input_, type_
from graph.ids import PREFIXES, encode
from graph.inputs import camel
from graph.lists import Connection, Lists, listed
from graph.node_queries import BY_IDS
from graph.nodes import Node, OfEntity
from persistence.audit import AuditTrail, Verification
from persistence.clients import Clients
from persistence.identity import Identities

if TYPE_CHECKING:
    from graph.clients import Client
    from graph.identity import User

enum(AuditFindingKind)

LazyClient = Annotated["Client", strawberry.lazy("graph.clients")]
LazyUser = Annotated["User", strawberry.lazy("graph.identity")]
# By which prefix an object of the trail is read again; what is stored beside a client or a user has that one's id.
OBJECTS: Final = {entity.__name__: prefix for entity, prefix in PREFIXES.items() if prefix in BY_IDS} | {
    "ClientProfile": "client",
    "Credential": "user",
    "TaxId": "client",
    "UserPreferences": "user",
}
MOST_FINDINGS: Final = 500
# It reads some thousand rows.
VERIFYING: Final = 200
OPENED: Final = "opened audit events"


@type_
class AuditSeal(OfEntity):
    """The seal that an event lies under: a link of the chain by which the trail is verified.

    number: Its number; they follow each other without gaps.
    sealed_at: When it was made.
    """

    entity = audit.AuditSeal

    number: int
    sealed_at: datetime

    @strawberry.field(description="The digest of the seal, which holds that of the seal before it; SHA-256, in hex.")
    def digest(self: audit.AuditSeal) -> str:
        """The digest as it stands in the log."""
        return self.digest.hex()


@type_
class FieldChange(OfEntity):
    """A field that an event tells of.

    before: What it was, as text or JSON; null where there was nothing, or it is not to be told.
    after: What it became, likewise.
    personal: Whether it identifies a person, and is stored encrypted for that one.
    erased: Whether the person's data was erased, so that nobody can read it any more.
    secret: Whether it is a secret, which the trail never holds.
    """

    entity = audit.FieldChange

    before: str | None
    after: str | None
    personal: bool
    erased: bool
    secret: bool

    @strawberry.field(description="The name of the field.")
    def name(self: audit.FieldChange) -> str:
        """As the schema spells names."""
        return camel(self.name)


@type_
class AuditEvent(Node):
    """Something that was done or read, by whom, and why; it is never changed.

    occurred_at: When it was done.
    action: What was done: the context and the verb, such as clients.update.
    object_type: What kind of thing it was done to.
    request_id: The request or socket in which it was done, as it stands in the log.
    """

    entity = audit.AuditEvent

    occurred_at: datetime
    action: str
    object_type: str
    request_id: str
    actor: LazyUser | None = batched(
        Identities.by_ids,
        key="actor_id",
        by="id",
        description="Whoever did it; none if it was the firm itself, or a user whom the viewer does not see.",
    )
    client: LazyClient | None = batched(
        Clients.by_ids,
        key="client_id",
        by="id",
        description="The client that it concerns, if it concerns one that the viewer sees.",
    )
    seal: AuditSeal | None = batched(
        AuditTrail.seals_of,
        key="id",
        by="event_id",
        description="The seal that it lies under; none for about a second, and for those who may not read the whole "
        "trail.",
    )

    @strawberry.field(
        description="The session, or the key of a service account, by which it was done; none for those who may not "
        "read the whole trail."
    )
    async def session_id(self: audit.AuditEvent, info: Info) -> ID | None:
        """The session's id."""
        allowed = Action.READ_AUDIT in (await info.context.viewer()).can
        return ID(encode("session", self.session_id)) if allowed and self.session_id else None

    @strawberry.field(
        description="What it was done to, where that is there still and the viewer sees it.", graphql_type=Node | None
    )
    async def object(self: audit.AuditEvent, info: Info) -> Entity | None:
        """The object as it is now."""
        prefix = OBJECTS.get(self.object_type)
        if prefix is None or self.object_id is None:
            return None
        found: Entity | None = await info.context.load((OPENED, prefix), _objects(info.context, prefix), self.object_id)
        return found

    @strawberry.field(
        description="The fields that it has changed, or what else it tells; at most as many as the object has.",
        graphql_type=list[FieldChange],
        metadata=cost(size=8),
    )
    async def fields(self: audit.AuditEvent, info: Info) -> list[audit.FieldChange]:
        """What has changed."""
        return list((await _opened(info.context, self)).fields)

    @strawberry.field(description="Why it was done, where that was said and is not erased.")
    async def reason(self: audit.AuditEvent, info: Info) -> str | None:
        """The reason."""
        return (await _opened(info.context, self)).reason


def _objects(context: Context, prefix: str) -> Any:
    async def load(keys: list[UUID]) -> list[Entity | None]:
        rows: Any = await context.read(BY_IDS[prefix], keys)
        found = {row.id: row for row in rows}
        return [found.get(key) for key in keys]

    return load


async def _opened(context: Context, event: audit.AuditEvent) -> Opened:
    async def load(events: list[audit.AuditEvent]) -> list[Opened]:
        return await context.services.doors.opened(await context.viewer(), events)

    found: Opened = await context.load(OPENED, load, event)
    return found


@enum
class AuditEventOrderField(StrEnum):
    """What events of the audit trail can be ordered by.

    OCCURRED_AT: When it was done.
    """

    OCCURRED_AT = "OCCURRED_AT"


@input_
class AuditEventOrder:
    """What a list of events is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: AuditEventOrderField
    direction: Direction = Direction.DESC


@input_
class AuditEventFilter:
    """Which events a list holds: those that fit all that is given.

    actor_id: Events of this user.
    object_id: Events of this object, of any type.
    client_id: Events that concern this client or what it has.
    actions: Events of these actions, such as clients.update.
    occurred_from: Events at this moment or later.
    occurred_before: Events before this moment.
    request_id: Events of this request or socket.
    """

    actor_id: ID | None = None
    object_id: ID | None = None
    client_id: ID | None = None
    actions: list[str] | None = None
    occurred_from: datetime | None = None
    occurred_before: datetime | None = None
    request_id: str | None = None


AUDIT_EVENTS: Final = Lists(
    AuditEventOrder, Order("OCCURRED_AT", Direction.DESC), audit.AuditEventFilter, AuditEventFilter
)


def changes(what: str) -> Any:
    """The history of an object, for whoever sees it; end clients see none."""
    return batched(
        AuditTrail.pages,
        key="id",
        by="parent",
        count=AuditTrail.counts,
        lists=AUDIT_EVENTS,
        description=f"What was done to {what}, the latest first unless ordered otherwise; empty for end clients.",
    )


@type_
class AuditFinding(OfEntity):
    """Something that is wrong with the audit trail.

    kind: What is wrong.
    seal: The number of the seal that it is wrong with, or that the event lies under; none for what has no seal.
    """

    entity = audit.Finding

    kind: AuditFindingKind
    seal: int | None

    @strawberry.field(description="The event that it is wrong with; none where it is a seal.")
    def event_id(self: audit.Finding) -> ID | None:
        """The event's id."""
        return ID(encode("audit", self.event_id)) if self.event_id else None


@type_
class AuditVerification(OfEntity):
    """A piece of the audit trail that was verified.

    first_seal: The number of its first seal.
    last_seal: The number of its last seal.
    seals: How many seals were verified.
    events: How many events these are of.
    next_seal: Where to go on from; none if this was the last piece.
    """

    entity = Verified

    first_seal: int
    last_seal: int
    seals: int
    events: int
    next_seal: int | None

    @strawberry.field(description="Whether nothing is wrong with the piece.")
    def intact(self: Verified) -> bool:
        """Whether there are no findings."""
        return not self.findings

    @strawberry.field(
        description=f"What is wrong with it: at most {MOST_FINDINGS} findings.",
        graphql_type=list[AuditFinding],
        metadata=cost(size=1),
    )
    def findings(self: Verified) -> list[audit.Finding]:
        """The first findings."""
        return list(self.findings[:MOST_FINDINGS])


@strawberry.type
class AuditQueries:
    """Queries of the audit trail."""

    audit_events: Connection[AuditEvent] = listed(
        AuditTrail.page,
        AuditTrail.count,
        AUDIT_EVENTS,
        "The audit trail, the latest first unless ordered otherwise; for admins and auditors.",
        needs=Action.READ_AUDIT,
    )

    @strawberry.field(
        description="Whether the audit trail is as it was sealed, for admins and auditors: some thousand events at "
        "once, the last piece also with what has no seal. Where one ends, `nextSeal` says where to go on.",
        graphql_type=AuditVerification | None,
        metadata=cost(VERIFYING),
    )
    async def verify_audit(
        self,
        info: Info,
        from_seal: Annotated[
            int, strawberry.argument(description="The number of the first seal that is verified.")
        ] = 1,
    ) -> Verified:
        """A piece of the trail, verified."""
        require(await info.context.viewer(), Action.READ_AUDIT)
        if from_seal < 1:
            raise Invalid.of("fromSeal", "must be at least 1")
        return await info.context.read(Verification.piece, from_seal, info.context.now)
