"""Clients of the firm: who they are, whose book they are in, and how they change."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.books import led
from domain.entities import Entity
from domain.errors import Refusal, RefusalCode
from domain.money import as_currency
from domain.notifications import Notice, NotificationKind
from domain.parties import NewParty, Party, check_parties
from domain.text import email, fold, invalid, named, noted
from domain.work import Work


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


class Details(msgspec.Struct, frozen=True):
    """What can be said of a client; a field left at UNSET is left as it is, or at its default."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType | None = msgspec.UNSET
    phone: str | msgspec.UnsetType | None = msgspec.UNSET
    date_of_birth: date | msgspec.UnsetType | None = msgspec.UNSET
    household_id: UUID | msgspec.UnsetType | None = msgspec.UNSET
    segment: Segment | msgspec.UnsetType = msgspec.UNSET
    status: ClientStatus | msgspec.UnsetType = msgspec.UNSET
    risk_profile: RiskProfile | msgspec.UnsetType | None = msgspec.UNSET
    kyc_status: KycStatus | msgspec.UnsetType = msgspec.UNSET
    kyc_expires_on: date | msgspec.UnsetType | None = msgspec.UNSET
    tags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Extras(msgspec.Struct, frozen=True):
    """What is stored beside a client; UNSET leaves it as it is, or at its default."""

    tax_id: str | msgspec.UnsetType = msgspec.UNSET
    parties: tuple[NewParty, ...] | msgspec.UnsetType = msgspec.UNSET
    notes: str | msgspec.UnsetType | None = msgspec.UNSET
    channel: Channel | msgspec.UnsetType = msgspec.UNSET
    language: str | msgspec.UnsetType = msgspec.UNSET
    do_not_disturb: bool | msgspec.UnsetType = msgspec.UNSET


MOST_TAGS: Final = 20
LONGEST_TAG: Final = 40
_GROUPING: Final = str.maketrans("", "", " ()-./")
_PHONE: Final = re.compile(r"\+?[0-9]{7,15}")  # E.164
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


def _given(struct: msgspec.Struct) -> dict[str, object]:
    """The fields of a struct that were set."""
    values = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    kept = tuple(dict.fromkeys(" ".join(tag.split()).lower() for tag in tags if tag.strip()))
    if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in kept):
        raise invalid("details.tags", f"A client has at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters.")
    return kept


def _phone(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    digits = text.translate(_GROUPING)
    if not _PHONE.fullmatch(digits):
        raise invalid("details.phone", "This is not a telephone number.")
    return digits


def _language(code: str) -> str:
    if not _LANGUAGE.fullmatch(code):
        raise invalid("details.language", "A language is a code of ISO 639, such as en.")
    return code


def _checked(client: Client, today: date) -> Client:
    """The client with its texts put in form; refuses values that its rules decline."""
    name = named(client.name, "details.name")
    born = client.date_of_birth
    if born is not None and born > today:
        raise invalid("details.dateOfBirth", "Nobody is born in the future.")
    if client.kyc_status is KycStatus.VERIFIED and client.kyc_expires_on is None:
        raise invalid("details.kycExpiresOn", "A verification has an expiry date.")
    return msgspec.structs.replace(
        client,
        name=name,
        sort_name=fold(name),
        email=email(client.email, "details.email"),
        phone=_phone(client.phone),
        tags=_tags(client.tags),
    )


def _check_expiry(before: Client | None, after: Client, today: date) -> None:
    """Refuse to verify until a day that is over; what was verified once may run out."""
    changed = before is None or (before.kyc_status, before.kyc_expires_on) != (after.kyc_status, after.kyc_expires_on)
    ends = after.kyc_expires_on
    if changed and after.kyc_status is KycStatus.VERIFIED and ends is not None and ends < today:
        raise invalid("details.kycExpiresOn", "A verification lasts at least until today.")


class NewClient(msgspec.Struct, frozen=True):
    """What takes on a client; the book defaults to the viewer's only one."""

    kind: ClientKind
    details: Details
    extras: Extras
    book_id: UUID
    currency: str = "INR"


async def create(work: Work, viewer: Viewer, new: NewClient) -> Client:
    """Take on a client. Refuses: INVALID_VALUE."""
    require(viewer, Action.CREATE_CLIENT)
    book = await work.books.one(viewer, new.book_id)
    blank = Client(
        id=work.new_id(),
        book_id=book.id,
        household_id=None,
        kind=new.kind,
        name="",
        sort_name="",
        email=None,
        phone=None,
        date_of_birth=None,
        segment=Segment.RETAIL,
        status=ClientStatus.PROSPECT,
        risk_profile=None,
        kyc_status=KycStatus.PENDING,
        kyc_expires_on=None,
        currency=as_currency(new.currency),
        tags=(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
    )
    client = await _described(work, viewer, blank, new.details)
    _check_expiry(None, client, viewer.today(work.now))
    await work.clients.take_on(client, ClientProfile(client.id, "", Channel.EMAIL, "en", do_not_disturb=False))
    await _store_extras(work, viewer, client, new.extras, adding=True)
    return client


class ClientChange(msgspec.Struct, frozen=True):
    """What changes a client, as it stood at `version`."""

    client_id: UUID
    version: int
    details: Details = Details()
    extras: Extras = Extras()


async def update(work: Work, viewer: Viewer, change: ClientChange) -> Client:
    """Change a client. Refuses: INVALID_VALUE, STALE_VERSION, ARCHIVED, OPEN_ORDERS."""
    require(viewer, Action.UPDATE_CLIENT)
    before = await _open_client(work, viewer, change.client_id)
    described = await _described(work, viewer, before, change.details)
    _check_expiry(before, described, viewer.today(work.now))
    await _check_no_orders(work, viewer, described)
    after = msgspec.structs.replace(described, version=before.version + 1, updated_at=work.now)
    # A version that is no longer the last makes the write itself fail: the database referees.
    await work.clients.replace(msgspec.structs.replace(before, version=change.version), after)
    await _store_extras(work, viewer, after, change.extras, adding=False)
    if after.kyc_status is not before.kyc_status:
        await _tell(work, viewer, NotificationKind.KYC_CHANGED, after, after.book_id)
    return after


async def archive(work: Work, viewer: Viewer, client_id: UUID, version: int) -> Client:
    """Archive a client, whose history stays. Refuses: STALE_VERSION, ARCHIVED, OPEN_ORDERS."""
    return await update(work, viewer, ClientChange(client_id, version, Details(status=ClientStatus.ARCHIVED)))


async def _check_no_orders(work: Work, viewer: Viewer, client: Client) -> None:
    if client.status is ClientStatus.ARCHIVED and await work.orders.has_open(viewer, client.id):
        message = "The client has open orders; cancel them before it is archived."
        raise Refusal(RefusalCode.OPEN_ORDERS, message, ("input", "clientId"))


async def delete(work: Work, viewer: Viewer, client_id: UUID) -> UUID:
    """Remove a client that has no portfolio and no user. Refuses: HAS_HISTORY."""
    require(viewer, Action.UPDATE_CLIENT)
    client = await work.clients.locked(viewer, client_id)
    if await work.clients.has_history(client.id):
        raise Refusal(RefusalCode.HAS_HISTORY, "The client has a history; archive it instead.", ("input", "clientId"))
    await work.clients.remove(client)
    return client.id


async def move(work: Work, viewer: Viewer, client_id: UUID, book_id: UUID, version: int) -> Client:
    """Move a client with all it has to another book. Refuses: INVALID_VALUE, STALE_VERSION, ARCHIVED."""
    require(viewer, Action.MOVE_CLIENT)
    before = await _open_client(work, viewer, client_id)
    await led(work, viewer, before.book_id)
    book = await work.books.one(viewer, book_id)
    if book.id == before.book_id:
        raise invalid("bookId", "The client is in this book already.")
    seen = msgspec.structs.replace(before, version=version)
    after = msgspec.structs.replace(before, book_id=book.id, version=before.version + 1, updated_at=work.now)
    await work.clients.replace(seen, after)
    await _tell(work, viewer, NotificationKind.CLIENT_LEFT, after, before.book_id)
    await _tell(work, viewer, NotificationKind.CLIENT_ARRIVED, after, book.id)
    return after


async def _open_client(work: Work, viewer: Viewer, client_id: UUID) -> Client:
    client = await work.clients.locked(viewer, client_id)
    if client.status is ClientStatus.ARCHIVED:
        raise Refusal(RefusalCode.ARCHIVED, "The client is archived and takes no changes.", ("input", "clientId"))
    return client


async def _described(work: Work, viewer: Viewer, client: Client, details: Details) -> Client:
    if isinstance(details.household_id, UUID):
        await work.households.one(viewer, details.household_id)
    return _checked(msgspec.structs.replace(client, **_given(details)), viewer.today(work.now))


async def _store_extras(work: Work, viewer: Viewer, client: Client, extras: Extras, *, adding: bool) -> None:
    if isinstance(extras.tax_id, str):
        await work.clients.set_tax_id(await _sealed(work, client.id, extras.tax_id))
    await _store_parties(work, viewer, client, extras, adding=adding)
    profile = {name: value for name, value in _given(extras).items() if name not in {"tax_id", "parties"}}
    if profile:
        before = await work.clients.profile(viewer, client.id)
        if isinstance(extras.language, str):
            profile["language"] = _language(extras.language)
        if "notes" in profile:
            profile["notes"] = noted(extras.notes or "", "details.notes")
        await work.clients.replace_profile(before, msgspec.structs.replace(before, **profile))


async def _store_parties(work: Work, viewer: Viewer, client: Client, extras: Extras, *, adding: bool) -> None:
    if isinstance(extras.parties, msgspec.UnsetType):
        if adding:
            check_parties(client.kind, ())
        return
    check_parties(client.kind, extras.parties)
    before = [] if adding else await work.clients.parties_of(viewer, [client.id])
    await work.clients.replace_parties(before, [party.of(client.id, work.new_id()) for party in extras.parties])


async def _sealed(work: Work, client_id: UUID, text: str) -> TaxId:
    tax_id = "".join(text.split()).upper()
    if not 5 <= len(tax_id) <= 20 or not tax_id.isascii() or not tax_id.isalnum():  # noqa: PLR2004 - from PAN to LEI
        raise invalid("details.taxId", "A tax id has 5 to 20 letters and digits.")
    masked = "•" * (len(tax_id) - 4) + tax_id[-4:]
    return TaxId(client_id, await work.vault.seal(client_id, tax_id), masked)


async def _tell(work: Work, viewer: Viewer, kind: NotificationKind, client: Client, book_id: UUID) -> None:
    recipients = await work.books.audience(viewer, book_id, work.now)
    work.tell(Notice(kind, frozenset(recipients), book_id=book_id, client_id=client.id))
