"""A client and what belongs to it, as the schema shows them."""

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import clients
from domain.clients import Channel, ClientKind, ClientStatus, KycStatus, RiskProfile, Segment
from domain.parties import Party as DomainParty
from domain.parties import PartyRole
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.books import Book
from graph.dated import dated
from graph.described import enum, type_
from graph.lists import Connection
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
