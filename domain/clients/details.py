"""What can be said of a client, and which of it the rules accept."""

import re
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from domain.clients.entities import Channel, Client, ClientStatus, KycStatus, RiskProfile, Segment
from domain.parties import NewParty
from domain.text import email, fold, invalid, named


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


def stated(struct: msgspec.Struct) -> dict[str, object]:
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


def language_code(code: str) -> str:
    """The code of a language. Refuses: INVALID_VALUE."""
    if not _LANGUAGE.fullmatch(code):
        raise invalid("details.language", "A language is a code of ISO 639, such as en.")
    return code


def checked(client: Client, today: date) -> Client:
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


def check_expiry(before: Client | None, after: Client, today: date) -> None:
    """Refuse to verify until a day that is over; what was verified once may run out."""
    changed = before is None or (before.kyc_status, before.kyc_expires_on) != (after.kyc_status, after.kyc_expires_on)
    ends = after.kyc_expires_on
    if changed and after.kyc_status is KycStatus.VERIFIED and ends is not None and ends < today:
        raise invalid("details.kycExpiresOn", "A verification lasts at least until today.")
