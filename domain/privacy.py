"""Personal data that is shown for a stated reason, and destroyed when its time is over."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require, require_recent
from domain.audit import Trace
from domain.clients import Client, ClientStatus
from domain.conversations import runs
from domain.conversations.verbs import tell_deleted
from domain.errors import Refusal, RefusalCode
from domain.identity import User, UserStatus
from domain.identity.accounts import end_all_sessions
from domain.text import reasoned
from domain.work import Work

# What stands where a name was.
ERASED_NAME: Final = "Erased"
# A domain that no mail ever reaches (RFC 2606), for an address is what users are told apart by.
NOWHERE: Final = "erased.invalid"


class Blanked(msgspec.Struct, frozen=True):
    """How many rows of a client have lost their texts, beside those that the trail tells of one by one."""

    orders: int
    portfolios: int
    messages: int


class Privacy(Protocol):
    """The storage that destroys: what is left of a person once its key is gone."""

    async def people_stand(self) -> None:
        """Have nobody erased until the transaction ends, which copies what it reads of people. Before locks of rows."""
        ...

    async def people_go(self) -> None:
        """Wait for all who copy what they read of people, and keep others from it. Before locks of rows.

        Raises Unavailable where that takes seconds.
        """
        ...

    async def blank_client(self, client_id: UUID) -> Blanked: ...  # noqa: D102 - the signature says it, here and below
    async def blank_account(self, user_id: UUID) -> Mapping[UUID, Sequence[tuple[UUID, UUID]]]:
        """Gives the conversations that are gone with it, each with its runs that had not ended, and whose they were."""
        ...

    async def users_of(self, client_id: UUID) -> Sequence[UUID]: ...  # noqa: D102
    async def remaining(self, household_id: UUID) -> int: ...  # noqa: D102


class Erasure(msgspec.Struct, frozen=True):
    """Whose personal data is erased, as it stood at `version`, and why; the reason itself is kept."""

    version: int
    reason: str


async def reveal_tax_id(work: Work, viewer: Viewer, client_id: UUID, reason: str) -> str | None:
    """A client's tax id in clear, if it has one; the trail tells who has read it and why.

    Refuses: REAUTHENTICATION_NEEDED, INVALID_VALUE. Raises NotFound.
    """
    require(viewer, Action.REVEAL_TAX_ID)
    require_recent(viewer, work.now)
    client = await work.clients.one(viewer, client_id)
    work.because(reasoned(reason))
    found = await work.clients.tax_ids(viewer, [client.id])
    work.trace(
        Trace("privacy.reveal_tax_id", "TaxId", client.id, person_id=client.id, client_id=client.id),
    )
    return await work.vault.open(client.id, found[0].sealed) if found else None


async def erase_client(work: Work, viewer: Viewer, years: int, client_id: UUID, erasure: Erasure) -> Client:
    """Destroy the personal data of an archived client and of its sign-ins, `years` after it was archived.

    Its key is destroyed, so that what the trail and older rows have sealed is unreadable; the ledger stays.
    Refuses: REAUTHENTICATION_NEEDED, INVALID_VALUE, NOT_ARCHIVED, RETAINED, STALE_VERSION, ERASED.
    """
    require(viewer, Action.ERASE_PERSON)
    require_recent(viewer, work.now)
    await work.privacy.people_go()
    before = await work.clients.locked(viewer, client_id)
    work.because(reasoned(erasure.reason))
    if before.status is not ClientStatus.ARCHIVED:
        raise Refusal(RefusalCode.NOT_ARCHIVED, "Archive the client first.", ("input", "clientId"))
    # First, for an erasure changes the row too; a refusal undoes it.
    await _destroy(work, before.id, "clientId")
    # What is archived takes no changes, so its last one was that.
    _check_retention(before.updated_at, years, work.now)
    after = _erased(before, work.now)
    await work.clients.replace(msgspec.structs.replace(before, version=erasure.version), after)
    await _erase_extras(work, viewer, after)
    await _erase_household(work, viewer, before.household_id)
    for user_id in await work.privacy.users_of(before.id):
        user = await work.accounts.locked(user_id)
        await _erase_account(work, user, user.version)
    return after


async def erase_user(work: Work, viewer: Viewer, user_id: UUID, erasure: Erasure) -> User:
    """Destroy the personal data of a disabled user; what it did stays in the trail under its id.

    Refuses: REAUTHENTICATION_NEEDED, INVALID_VALUE, USER_STATUS, STALE_VERSION, ERASED.
    """
    require(viewer, Action.ERASE_PERSON)
    require_recent(viewer, work.now)
    await work.privacy.people_go()
    user = await work.accounts.locked(user_id)
    work.because(reasoned(erasure.reason))
    if user.status is not UserStatus.DISABLED:
        raise Refusal(RefusalCode.USER_STATUS, "Disable the user first.", ("input", "userId"))
    return await _erase_account(work, user, erasure.version)


def _check_retention(since: datetime, years: int, now: datetime) -> None:
    # Counted by the calendar; the 29th of February ends with the 28th.
    day = 28 if (since.month, since.day) == (2, 29) else since.day
    until = since.replace(year=since.year + years, day=day)
    if now < until:
        message = f"The law has the firm keep this until {until:%Y-%m-%d}."
        raise Refusal(RefusalCode.RETAINED, message, ("input", "clientId"))


async def _destroy(work: Work, person_id: UUID, field: str) -> None:
    if not await work.vault.destroy(person_id, work.now):
        raise Refusal(RefusalCode.ERASED, "The personal data was erased before.", ("input", field))


def _erased(client: Client, now: datetime) -> Client:
    return msgspec.structs.replace(
        client,
        household_id=None,
        name=ERASED_NAME,
        sort_name=ERASED_NAME.lower(),
        email=None,
        phone=None,
        date_of_birth=None,
        tags=(),
        updated_at=now,
        version=client.version + 1,
    )


async def _erase_extras(work: Work, viewer: Viewer, client: Client) -> None:
    """What is stored beside a client: its parties, notes and tax id, and the texts of its portfolios and orders."""
    profile = await work.clients.profile(viewer, client.id)
    await work.clients.replace_profile(profile, msgspec.structs.replace(profile, notes=""))
    await work.clients.remove_tax_id(client.id)
    parties = await work.clients.parties_of(viewer, [client.id])
    await work.clients.replace_parties(
        parties,
        [
            msgspec.structs.replace(each, id=work.new_id(), name=ERASED_NAME, date_of_birth=None, relationship=None)
            for each in parties
        ],
    )
    # First, so that nobody writes on of it; what they have said by then is blanked with the rest.
    await runs.cancel_about(work, client.id)
    blanked = await work.privacy.blank_client(client.id)
    facts = msgspec.structs.asdict(blanked)
    work.trace(Trace("privacy.blank_texts", "Client", client.id, facts, client_id=client.id))


async def _erase_household(work: Work, viewer: Viewer, household_id: UUID | None) -> None:
    """The name of a household that nobody belongs to any more is the last one's."""
    if household_id is None or await work.privacy.remaining(household_id):
        return
    before = await work.households.locked(viewer, household_id)
    if await work.vault.destroy(before.id, work.now):
        name = {"name": ERASED_NAME, "sort_name": ERASED_NAME.lower()}
        await work.households.replace(before, msgspec.structs.replace(before, **name, version=before.version + 1))


async def _erase_account(work: Work, user: User, seen: int) -> User:
    """Destroy what there is of a user, as it stood at the version that was `seen`. Refuses: STALE_VERSION, ERASED."""
    await _destroy(work, user.id, "userId")
    await end_all_sessions(work, user.id)
    after = msgspec.structs.replace(
        user,
        email=f"{user.id.hex}@{NOWHERE}",
        name=ERASED_NAME,
        sort_name=ERASED_NAME.lower(),
        picture_url=None,
        status=UserStatus.DISABLED,
        email_verified_at=None,
        version=user.version + 1,
    )
    await work.accounts.replace(msgspec.structs.replace(user, version=seen), after)
    # The seat comes before all locks of rows.
    await work.runs.seat(user.id)
    for conversation_id, open_runs in (await work.privacy.blank_account(user.id)).items():
        await tell_deleted(work, conversation_id, open_runs)
    await runs.end_all_by(work, user.id)
    return after
