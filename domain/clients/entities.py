"""Clients, what is stored beside them, and their storage."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import Entity
from domain.paging import Page, PageRequest
from domain.parties import Party


class ClientKind(StrEnum):
    """What a client is in law.

    INDIVIDUAL: A natural person.
    JOINT: Two or more persons together.
    MINOR: A person under age, with a guardian.
    HUF: A Hindu undivided family, represented by its karta.
    COMPANY: A company, represented by its directors.
    TRUST: A trust, represented by its trustees.
    """

    INDIVIDUAL = "INDIVIDUAL"
    JOINT = "JOINT"
    MINOR = "MINOR"
    HUF = "HUF"
    COMPANY = "COMPANY"
    TRUST = "TRUST"


class Segment(StrEnum):
    """How the firm serves a client, by its wealth.

    RETAIL: Served with standard products.
    AFFLUENT: Served with personal advice.
    HNI: A high net worth individual.
    UHNI: An ultra high net worth individual.
    """

    RETAIL = "RETAIL"
    AFFLUENT = "AFFLUENT"
    HNI = "HNI"
    UHNI = "UHNI"


class ClientStatus(StrEnum):
    """Where a client stands with the firm.

    PROSPECT: Not a client yet.
    ACTIVE: A client in good standing.
    DORMANT: A client without business for a long time.
    ARCHIVED: A former client, kept for its history; it takes no changes.
    """

    PROSPECT = "PROSPECT"
    ACTIVE = "ACTIVE"
    DORMANT = "DORMANT"
    ARCHIVED = "ARCHIVED"


class RiskProfile(StrEnum):
    """How much risk a client is ready and able to bear.

    CONSERVATIVE: Keeps capital before growth.
    MODERATE: Balances growth and safety.
    AGGRESSIVE: Seeks growth and bears large swings.
    """

    CONSERVATIVE = "CONSERVATIVE"
    MODERATE = "MODERATE"
    AGGRESSIVE = "AGGRESSIVE"


class KycStatus(StrEnum):
    """Whether the client is known to the firm as the law demands.

    PENDING: Documents are awaited or under review.
    VERIFIED: Known and documented, until the expiry date.
    EXPIRED: The verification has run out.
    REJECTED: The documents were declined.
    """

    PENDING = "PENDING"
    VERIFIED = "VERIFIED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


class Channel(StrEnum):
    """How a client wants to be reached.

    EMAIL: By e-mail.
    PHONE: By telephone.
    MESSAGE: By text message.
    IN_PERSON: In a meeting.
    """

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    MESSAGE = "MESSAGE"
    IN_PERSON = "IN_PERSON"


class Client(Entity, frozen=True):
    """A client; `currency` is the one its totals are stated in."""

    id: UUID
    book_id: UUID
    household_id: UUID | None
    kind: ClientKind
    name: str
    sort_name: str
    email: str | None
    phone: str | None
    date_of_birth: date | None
    segment: Segment
    status: ClientStatus
    risk_profile: RiskProfile | None
    kyc_status: KycStatus
    kyc_expires_on: date | None
    currency: str
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"name", "sort_name", "email", "phone", "date_of_birth", "tags"})
    of_client: ClassVar[str] = "id"


class ClientProfile(Entity, frozen=True):
    """What is too heavy for every list: notes and preferences; `id` is the client's."""

    id: UUID
    notes: str
    channel: Channel
    language: str
    do_not_disturb: bool

    personal: ClassVar[frozenset[str]] = frozenset({"notes"})
    of_client: ClassVar[str] = "id"


class TaxId(Entity, frozen=True):
    """A client's tax id, encrypted for that person, and as it is shown; `id` is the client's."""

    id: UUID
    sealed: bytes
    masked: str

    personal: ClassVar[frozenset[str]] = frozenset({"masked"})
    secret: ClassVar[frozenset[str]] = frozenset({"sealed"})
    of_client: ClassVar[str] = "id"


class ClientFilter(msgspec.Struct, frozen=True):
    """Which clients a list holds; `text` finds beginnings of words of names, addresses and tags."""

    text: str | None = None
    book_ids: tuple[UUID, ...] | None = None
    household_id: UUID | None = None
    kinds: tuple[ClientKind, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    statuses: tuple[ClientStatus, ...] | None = None
    risk_profiles: tuple[RiskProfile, ...] | None = None
    kyc_statuses: tuple[KycStatus, ...] | None = None
    kyc_expires_before: date | None = None
    tag: str | None = None


class Clients(Protocol):
    """The storage of clients."""

    async def one(self, viewer: Viewer, client_id: UUID) -> Client: ...  # noqa: D102 - the signature says it, here and below
    async def locked(self, viewer: Viewer, client_id: UUID) -> Client: ...  # noqa: D102
    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Client]: ...  # noqa: D102
    async def page(self, viewer: Viewer, request: PageRequest) -> Page[Client]: ...  # noqa: D102
    async def profile(self, viewer: Viewer, client_id: UUID) -> ClientProfile: ...  # noqa: D102
    async def parties_of(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[Party]: ...  # noqa: D102
    async def has_history(self, client_id: UUID) -> bool: ...  # noqa: D102
    async def take_on(self, client: Client, profile: ClientProfile) -> None: ...  # noqa: D102
    async def replace(self, before: Client, after: Client) -> Client: ...  # noqa: D102
    async def replace_profile(self, before: ClientProfile, after: ClientProfile) -> None: ...  # noqa: D102
    async def replace_parties(self, before: Sequence[Party], after: Sequence[Party]) -> None: ...  # noqa: D102
    async def set_tax_id(self, tax_id: TaxId) -> None: ...  # noqa: D102
    async def tax_ids(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[TaxId]: ...  # noqa: D102
    async def remove_tax_id(self, client_id: UUID) -> None: ...  # noqa: D102
    async def remove(self, client: Client) -> None: ...  # noqa: D102
