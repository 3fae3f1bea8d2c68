"""Households: several clients seen as one."""

from enum import StrEnum

import strawberry
from strawberry import ID

from domain import households
from domain.paging import Direction, Order
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.books import Book
from graph.clients import CLIENTS, Client
from graph.context import Info
from graph.dated import dated
from graph.described import enum, input_, type_
from graph.ids import decode
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node
from graph.valuation import HOUSEHOLD_VALUES, Wealth
from persistence.books import Books
from persistence.clients import Clients
from persistence.households import Households


@type_
class Household(Node):
    """Several clients seen as one. Clients join it, and leave it, by `updateClient`.

    name: What the household is called.
    currency: The currency that its totals are stated in, by its code of ISO 4217.
    version: Rises with each change.
    """

    entity = households.Household

    name: str
    currency: str
    version: int
    book: Book | None = batched(
        Books.by_ids, key="book_id", by="id", description="The book that it is in; none for an end client."
    )
    clients: Connection[Client] = batched(
        Clients.pages,
        key="id",
        by="parent",
        count=Clients.counts,
        lists=CLIENTS,
        description="Its members that the viewer sees.",
    )
    wealth = dated(
        HOUSEHOLD_VALUES,
        Wealth,
        key="id",
        description="What the portfolios of those members that the viewer sees are worth together.",
    )
    changes: Connection[AuditEvent] = changes("the household itself")


@enum
class HouseholdOrderField(StrEnum):
    """What households can be ordered by.

    NAME: Their names, case and accents aside.
    """

    NAME = "NAME"


@input_
class HouseholdOrder:
    """What a list of households is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: HouseholdOrderField
    direction: Direction = Direction.ASC


@input_
class HouseholdFilter:
    """Which households a list holds.

    book_ids: Households in these books.
    """

    book_ids: list[ID] | None = None


HOUSEHOLDS = Lists(HouseholdOrder, Order("NAME"), households.HouseholdFilter, HouseholdFilter)


@input_
class CreateHouseholdInput:
    """What makes a household.

    book_id: The book that it lies in.
    name: What it is called.
    currency: The currency that its totals are stated in.
    """

    book_id: ID
    name: str
    currency: str = "INR"


@input_
class RenameHouseholdInput:
    """What gives a household another name.

    household_id: The household.
    version: The version that was last seen.
    name: What it is to be called.
    """

    household_id: ID
    version: int
    name: str


@type_
class HouseholdPayload(Payload):
    """A household that was made or changed.

    household: The household as it is now.
    """

    household: households.Household | None = strawberry.field(default=None, graphql_type=Household | None)


@strawberry.type
class HouseholdQueries:
    """Queries of households."""

    households: Connection[Household] = listed(
        Households.page, Households.count, HOUSEHOLDS, "The households that the viewer sees."
    )


@strawberry.type
class HouseholdMutations:
    """Mutations of households."""

    @mutation
    async def create_household(self, info: Info, input: CreateHouseholdInput) -> HouseholdPayload | None:
        """Make a household without members in a book that the viewer sees."""
        made = await info.context.write(households.create, into(households.NewHousehold, input))
        return HouseholdPayload(household=made)

    @mutation
    async def rename_household(self, info: Info, input: RenameHouseholdInput) -> HouseholdPayload | None:
        """Give a household another name. Two edits of one version: one gets STALE_VERSION."""
        household_id = decode(input.household_id, "household", "input.householdId")
        renamed = await info.context.write(households.rename, household_id, input.version, input.name)
        return HouseholdPayload(household=renamed)
