"""How clients come, change hands, and go."""

from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.books import led
from domain.clients.details import Details, Extras, check_expiry, checked, language_code, stated
from domain.clients.entities import Channel, Client, ClientKind, ClientProfile, ClientStatus, KycStatus, Segment, TaxId
from domain.errors import Refusal, RefusalCode
from domain.money import as_currency
from domain.notifications import Notice, NotificationKind
from domain.parties import check_parties
from domain.text import invalid, noted
from domain.work import Work


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
    check_expiry(None, client, viewer.today(work.now))
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
    check_expiry(before, described, viewer.today(work.now))
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
    return checked(msgspec.structs.replace(client, **stated(details)), viewer.today(work.now))


async def _store_extras(work: Work, viewer: Viewer, client: Client, extras: Extras, *, adding: bool) -> None:
    if isinstance(extras.tax_id, str):
        await work.clients.set_tax_id(await _sealed(work, client.id, extras.tax_id))
    await _store_parties(work, viewer, client, extras, adding=adding)
    profile = {name: value for name, value in stated(extras).items() if name not in {"tax_id", "parties"}}
    if profile:
        before = await work.clients.profile(viewer, client.id)
        if isinstance(extras.language, str):
            profile["language"] = language_code(extras.language)
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
