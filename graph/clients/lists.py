"""Lists of clients."""

from datetime import date
from enum import StrEnum

import strawberry
from strawberry import ID

from domain import clients
from domain.clients import ClientKind, ClientStatus, KycStatus, RiskProfile, Segment
from domain.paging import Direction
from domain.paging import Order as Ordering
from graph.clients.types import Client
from graph.described import enum, input_
from graph.lists import SEARCHES, Connection, Lists, listed
from persistence.clients import Clients


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


@strawberry.type
class ClientQueries:
    """Queries of clients."""

    clients: Connection[Client] = listed(
        Clients.page, Clients.count, CLIENTS, "The clients that the viewer sees.", cost=SEARCHES
    )
