"""`node` and `nodes`: any object by its id, under the same scope as everywhere."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import strawberry
from strawberry import ID
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField

from domain.entities import Entity
from domain.errors import Invalid, NotFound
from graph.context import Context, Info
from graph.cost import cost
from graph.execution.needs import NOTHING, Needs, NeedsOf
from graph.ids import ENTITIES, split
from graph.nodes import Load, Node
from persistence.announcements import Announcements
from persistence.audit import AuditTrail
from persistence.books import Books
from persistence.break_glass import GlassAccesses
from persistence.clients import Clients
from persistence.conversations import Conversations, Messages, Runs
from persistence.households import Households
from persistence.identity import Identities
from persistence.instruments import Instruments
from persistence.jobs import Jobs
from persistence.notifications import Notifications
from persistence.orders import Orders
from persistence.portfolios import Portfolios
from persistence.positions import Positions
from persistence.repository import narrows
from persistence.service_accounts import ServiceAccounts, ServiceKeys
from persistence.transactions import Transactions

MOST: Final = 100

# How objects are read by their ids; a type that is missing here cannot be asked for by id.
BY_IDS: Final[Mapping[str, Load]] = {
    "announcement": Announcements.by_ids,
    "audit": AuditTrail.by_ids,
    "book": Books.by_ids,
    "client": Clients.by_ids,
    "conversation": Conversations.by_ids,
    "glass_access": GlassAccesses.by_ids,
    "household": Households.by_ids,
    "instrument": Instruments.by_ids,
    "job": Jobs.by_ids,
    "lot": Positions.lots_by_ids,
    "membership": Books.memberships,
    "message": Messages.by_ids,
    "notification": Notifications.by_ids,
    "order": Orders.by_ids,
    "party": Clients.parties,
    "portfolio": Portfolios.by_ids,
    "position": Positions.by_ids,
    "run": Runs.by_ids,
    "service_account": ServiceAccounts.by_ids,
    "service_key": ServiceKeys.by_ids,
    "session": Identities.sessions,
    "team": Books.teams,
    "transaction": Transactions.by_ids,
    "unit": Books.units,
    "user": Identities.by_ids,
}


async def _found(context: Context, wanted: Sequence[tuple[str, UUID]]) -> dict[tuple[str, UUID], Entity]:
    """The objects that the viewer may see, one statement for each type among them."""
    by_prefix: defaultdict[str, list[UUID]] = defaultdict(list)
    for prefix, row_id in wanted:
        by_prefix[prefix].append(row_id)
    found: dict[tuple[str, UUID], Any] = {}
    for prefix, ids in by_prefix.items():
        found |= {(prefix, row.id): row for row in await context.read(BY_IDS[prefix], ids)}
    return found


async def found_node(context: Context, prefix: str, row_id: UUID, columns: Needs = None) -> Entity:
    """An object by its id, of which these columns are read alone if that can be; raises NotFound."""
    load = BY_IDS.get(prefix)
    if load is None:
        raise NotFound
    narrowed = columns | {"id"} if columns is not None and narrows(load) else None
    found = await context.read_columns(narrowed, load, [row_id])
    if not found:
        raise NotFound
    node: Entity = found[0]
    return node


class OneNode(StrawberryField):
    """An object by its id, of which no more is read than is asked for of its type."""

    leads_to_several = True

    @property
    def reads(self) -> Needs:
        """Nothing of the root."""
        return NOTHING

    async def column(
        self, sources: Sequence[Any], context: Context, arguments: Mapping[str, Any], needed: NeedsOf | None
    ) -> list[Entity]:
        """The object, for the one root that there is."""
        prefix, row_id = split(arguments["id"], "id")
        columns = needed(ENTITIES[prefix]) if needed else None
        return [await found_node(context, prefix, row_id, columns)] * len(sources)


@strawberry.type
class NodeQueries:
    """Queries of objects by their ids."""

    @OneNode(description="Any object by its id.", type_annotation=StrawberryAnnotation(Node | None))
    async def node(
        self, info: Info, id: Annotated[ID, strawberry.argument(description="The object's id.")]
    ) -> Entity | None:
        """The object; raises NotFound."""
        return await found_node(info.context, *split(id, "id"))

    @strawberry.field(
        description="Several objects by their ids, at most 100, in the order of the ids; null for each that there is "
        "not.",
        graphql_type=list[Node | None],
        metadata=cost(2, size="ids"),
    )
    async def nodes(
        self, info: Info, ids: Annotated[list[ID], strawberry.argument(description="The objects' ids.")]
    ) -> list[Entity | None]:
        """The objects that there are."""
        if len(ids) > MOST:
            raise Invalid.of("ids", f"holds more than {MOST} ids")
        wanted = [split(each, f"ids.{at}") for at, each in enumerate(ids)]
        found = await _found(info.context, wanted)
        return [found.get(each) for each in wanted]
