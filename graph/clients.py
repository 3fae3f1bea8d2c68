"""Clients of the firm."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import ID, UNSET

from domain import clients
from domain.clients import Channel, ClientKind, ClientStatus, KycStatus, RiskProfile, Segment
from domain.paging import Direction
from domain.paging import Order as Ordering
from domain.parties import Party as DomainParty
from domain.parties import PartyRole
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.books import Book
from graph.context import Info
from graph.dated import dated
from graph.described import enum, input_, type_
from graph.ids import decode, encode
from graph.inputs import into
from graph.lists import SEARCHES, Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node, OfEntity
from graph.orders import ORDERS, Order
from graph.valuation import CLIENT_VALUES, Wealth
from persistence.books import Books
from persistence.clients import Clients
from persistence.households import Households
from persistence.orders import ClientOrders
from persistence.portfolios import Portfolios

if TYPE_CHECKING:
    from graph.households import Household
    from graph.portfolios import Portfolio

for each in (Channel, ClientKind, ClientStatus, KycStatus, PartyRole, RiskProfile, Segment):
    enum(each)

LazyHousehold = Annotated["Household", strawberry.lazy("graph.households")]
LazyPortfolio = Annotated["Portfolio", strawberry.lazy("graph.portfolios")]


@type_
class Party(Node):
    """A person behind a client, such as a holder, a guardian or a nominee.

    role: What the person is to the client.
    name: The person's full name.
    date_of_birth: The person's date of birth.
    relationship: How the person is related to the client, in words.
    share: The person's share in percent, for nominees and beneficiaries.
    """

    entity = DomainParty

    role: PartyRole
    name: str
    date_of_birth: date | None
    relationship: str | None
    share: Decimal | None


@type_
class ClientPreferences(OfEntity):
    """How a client wants to be looked after.

    channel: How the client wants to be reached.
    language: The language of letters, by its code of ISO 639.
    do_not_disturb: Whether the client wants no calls or messages of the firm's own accord.
    """

    entity = clients.ClientProfile

    channel: Channel
    language: str
    do_not_disturb: bool


@type_
class ClientProfile(OfEntity):
    """Notes and preferences of a client, read only when asked for.

    notes: What the client's advisors have noted.
    """

    entity = clients.ClientProfile

    notes: str

    @strawberry.field(description="How the client wants to be looked after.", graphql_type=ClientPreferences)
    def preferences(self: clients.ClientProfile) -> clients.ClientProfile:
        """Preferences are stored beside the notes."""
        return self


@type_
class TaxId(OfEntity):
    """A client's tax id, which is stored encrypted.

    masked: The tax id with all but its last four characters hidden.
    """

    entity = clients.TaxId

    masked: str


@type_
class Client(Node):
    """Somebody whose wealth the firm looks after.

    kind: What the client is in law.
    name: The client's full name.
    email: The client's e-mail address.
    phone: The client's telephone number.
    date_of_birth: The client's date of birth; for a company or trust, none.
    segment: How the firm serves the client.
    status: Where the client stands with the firm.
    risk_profile: How much risk the client is ready and able to bear; none until it is assessed.
    kyc_status: Whether the client is known to the firm as the law demands.
    kyc_expires_on: The day on which that verification runs out.
    currency: The currency that the client's totals are stated in, by its code of ISO 4217.
    tags: Words that the client's advisors have tagged it with.
    created_at: When the firm took the client on.
    updated_at: When the client's data last changed.
    version: Rises with each change; an update names the one it was made from.
    """

    entity = clients.Client

    kind: ClientKind
    name: str
    email: str | None
    phone: str | None
    date_of_birth: date | None
    segment: Segment
    status: ClientStatus
    risk_profile: RiskProfile | None
    kyc_status: KycStatus
    kyc_expires_on: date | None
    currency: str
    tags: list[str]
    created_at: datetime
    updated_at: datetime
    version: int
    book: Book | None = batched(
        Books.by_ids, key="book_id", by="id", description="The book that the client is in; none for end clients."
    )
    household: LazyHousehold | None = batched(
        Households.by_ids,
        key="household_id",
        by="id",
        description="The household that the client belongs to; none also where the viewer may not see it.",
    )
    portfolios: list[LazyPortfolio] = batched(
        Portfolios.of_clients,
        key="id",
        by="client_id",
        description="All portfolios of the client, oldest first; a handful for each client.",
        size=3,
    )
    parties: list[Party] = batched(
        Clients.parties_of,
        key="id",
        by="client_id",
        description="The persons behind the client, in the order they were given in; at most 30.",
        size=3,
    )
    profile: ClientProfile | None = batched(
        Clients.profiles, key="id", by="id", description="Notes and preferences of the client; none for end clients."
    )
    orders: Connection[Order] = batched(
        ClientOrders.pages,
        key="id",
        by="parent",
        count=ClientOrders.counts,
        lists=ORDERS,
        description="The orders of all its portfolios, the latest first unless ordered otherwise.",
    )
    wealth = dated(
        CLIENT_VALUES,
        Wealth,
        key="id",
        description="What all portfolios of the client are worth together, and how that divides.",
    )
    tax_id: TaxId | None = batched(Clients.tax_ids, key="id", by="id", description="The client's tax id, masked.")
    changes: Connection[AuditEvent] = changes("the client, its notes and its tax id")


@enum
class ClientOrderField(StrEnum):
    """What clients can be ordered by.

    NAME: Their names, case and accents aside.
    CREATED_AT: When they were taken on.
    UPDATED_AT: When their data last changed.
    """

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


@input_
class ClientOrder:
    """What a list of clients is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: ClientOrderField
    direction: Direction = Direction.ASC


@input_
class ClientFilter:
    """Which clients a list holds: those that fit all that is given.

    text: Each word must begin a word of the client's name, address, telephone number or tags.
    book_ids: Clients in these books.
    household_id: Members of this household.
    kinds: Clients of these kinds.
    segments: Clients of these segments.
    statuses: Clients with these statuses.
    risk_profiles: Clients with these risk profiles.
    kyc_statuses: Clients with these KYC statuses.
    kyc_expires_before: Clients whose verification runs out before this day.
    tag: Clients with this tag.
    """

    text: str | None = None
    book_ids: list[ID] | None = None
    household_id: ID | None = None
    kinds: list[ClientKind] | None = None
    segments: list[Segment] | None = None
    statuses: list[ClientStatus] | None = None
    risk_profiles: list[RiskProfile] | None = None
    kyc_statuses: list[KycStatus] | None = None
    kyc_expires_before: date | None = None
    tag: str | None = None


CLIENTS = Lists(ClientOrder, Ordering("NAME"), clients.ClientFilter, ClientFilter)


@input_
class PartyInput:
    """A person behind a client.

    role: What the person is to the client.
    name: The person's full name.
    date_of_birth: The person's date of birth.
    relationship: How the person is related to the client, in words.
    share: The person's share in percent; the nominees' add up to 100.
    """

    role: PartyRole
    name: str
    date_of_birth: date | None = None
    relationship: str | None = None
    share: Decimal | None = None


@input_
class ClientDetailsInput:
    """What can be said of a client; what is left out stays as it is.

    name: The client's full name.
    email: The client's e-mail address.
    phone: The client's telephone number.
    date_of_birth: The client's date of birth.
    household_id: The household that the client belongs to.
    segment: How the firm serves the client.
    status: Where the client stands with the firm.
    risk_profile: How much risk the client is ready and able to bear.
    kyc_status: Whether the client is known to the firm as the law demands.
    kyc_expires_on: The day on which that verification runs out.
    tags: Words to tag the client with.
    tax_id: The tax id, of 5 to 20 letters and digits; it is stored encrypted.
    parties: The persons behind the client, instead of those there are.
    notes: What the client's advisors note.
    channel: How the client wants to be reached.
    language: The language of letters, by its code of ISO 639.
    do_not_disturb: Whether the client wants no calls or messages of the firm's own accord.
    """

    name: str | None = UNSET
    email: str | None = UNSET
    phone: str | None = UNSET
    date_of_birth: date | None = UNSET
    household_id: ID | None = UNSET
    segment: Segment | None = UNSET
    status: ClientStatus | None = UNSET
    risk_profile: RiskProfile | None = UNSET
    kyc_status: KycStatus | None = UNSET
    kyc_expires_on: date | None = UNSET
    tags: list[str] | None = UNSET
    tax_id: str | None = UNSET
    parties: list[PartyInput] | None = UNSET
    notes: str | None = UNSET
    channel: Channel | None = UNSET
    language: str | None = UNSET
    do_not_disturb: bool | None = UNSET


@input_
class CreateClientInput:
    """What takes on a client.

    book_id: The book that the client goes into.
    kind: What the client is in law.
    details: All else; the name is needed.
    currency: The currency that the client's totals are stated in.
    """

    book_id: ID
    kind: ClientKind
    details: ClientDetailsInput
    currency: str = "INR"


@input_
class UpdateClientInput:
    """What changes a client.

    client_id: The client.
    version: The version that the change was made from.
    details: What changes.
    """

    client_id: ID
    version: int
    details: ClientDetailsInput


@input_
class ArchiveClientInput:
    """What archives a client.

    client_id: The client.
    version: The version that was last seen.
    """

    client_id: ID
    version: int


@input_
class DeleteClientInput:
    """What deletes a client.

    client_id: The client, which has no portfolio.
    """

    client_id: ID


@input_
class MoveClientInput:
    """What moves a client to another book.

    client_id: The client.
    book_id: The book to move it to.
    version: The version that was last seen.
    """

    client_id: ID
    book_id: ID
    version: int


@type_
class ClientPayload(Payload):
    """A client that was changed.

    client: The client as it is now.
    """

    client: clients.Client | None = strawberry.field(default=None, graphql_type=Client | None)


@type_
class DeleteClientPayload(Payload):
    """A client that was deleted.

    deleted_id: The id that the client had.
    """

    deleted_id: ID | None = None


@strawberry.type
class ClientQueries:
    """Queries of clients."""

    clients: Connection[Client] = listed(
        Clients.page, Clients.count, CLIENTS, "The clients that the viewer sees.", cost=SEARCHES
    )


def _details(given: ClientDetailsInput) -> clients.Details:
    return into(clients.Details, given, "input.details")


def _extras(given: ClientDetailsInput) -> clients.Extras:
    return into(clients.Extras, given, "input.details")


@strawberry.type
class ClientMutations:
    """Mutations of clients."""

    @mutation
    async def create_client(self, info: Info, input: CreateClientInput) -> ClientPayload | None:
        """Take on a client in a book that the viewer sees."""
        new = into(clients.NewClient, input, details=_details(input.details), extras=_extras(input.details))
        return ClientPayload(client=await info.context.write(clients.create, new))

    @mutation
    async def update_client(self, info: Info, input: UpdateClientInput) -> ClientPayload | None:
        """Change a client. Two edits of one version: one wins, the other gets STALE_VERSION."""
        change = into(clients.ClientChange, input, details=_details(input.details), extras=_extras(input.details))
        return ClientPayload(client=await info.context.write(clients.update, change))

    @mutation
    async def archive_client(self, info: Info, input: ArchiveClientInput) -> ClientPayload | None:
        """Archive a client, whose history stays; it takes no further changes."""
        client_id = decode(input.client_id, "client", "input.clientId")
        return ClientPayload(client=await info.context.write(clients.archive, client_id, input.version))

    @mutation
    async def delete_client(self, info: Info, input: DeleteClientInput) -> DeleteClientPayload | None:
        """Delete a client that has no portfolio."""
        client_id = decode(input.client_id, "client", "input.clientId")
        deleted = await info.context.write(clients.delete, client_id)
        return DeleteClientPayload(deleted_id=ID(encode("client", deleted)))

    @mutation
    async def move_client(self, info: Info, input: MoveClientInput) -> ClientPayload | None:
        """Move a client, with all it has, to another book; for supervisors and up."""
        client_id = decode(input.client_id, "client", "input.clientId")
        book_id = decode(input.book_id, "book", "input.bookId")
        return ClientPayload(client=await info.context.write(clients.move, client_id, book_id, input.version))
