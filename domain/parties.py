"""The persons behind a client: holders, guardians, directors, nominees."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from domain.entities import Entity
from domain.text import invalid, named


class PartyRole(StrEnum):
    """What a person is to a client.

    HOLDER: One of the holders of a joint account.
    GUARDIAN: Acts for a minor.
    KARTA: Represents a Hindu undivided family.
    MEMBER: A member of a family.
    DIRECTOR: Represents a company.
    TRUSTEE: Represents a trust.
    BENEFICIARY: Benefits from a trust or owns a company in the end.
    NOMINEE: Receives its share of the assets on the holder's death.
    """

    HOLDER = "HOLDER"
    GUARDIAN = "GUARDIAN"
    KARTA = "KARTA"
    MEMBER = "MEMBER"
    DIRECTOR = "DIRECTOR"
    TRUSTEE = "TRUSTEE"
    BENEFICIARY = "BENEFICIARY"
    NOMINEE = "NOMINEE"


class Party(Entity, frozen=True):
    """A person behind a client; `share` is in percent, for nominees and beneficiaries."""

    id: UUID
    client_id: UUID
    role: PartyRole
    name: str
    date_of_birth: date | None
    relationship: str | None
    share: Decimal | None

    personal: ClassVar[frozenset[str]] = frozenset({"name", "date_of_birth", "relationship"})
    person: ClassVar[str] = "client_id"


class NewParty(msgspec.Struct, frozen=True):
    """What names a person behind a client."""

    role: PartyRole
    name: str
    date_of_birth: date | None = None
    relationship: str | None = None
    share: Decimal | None = None

    def of(self, client_id: UUID, party_id: UUID) -> Party:
        """The party of a client. Refuses: INVALID_VALUE."""
        name = named(self.name, FIELD)
        relationship = named(self.relationship, FIELD) if self.relationship and self.relationship.strip() else None
        return Party(party_id, client_id, self.role, name, self.date_of_birth, relationship, self.share)


MOST_PARTIES: Final = 30
WHOLE: Final = Decimal(100)
SHARE: Final = Decimal("0.0001")  # numeric(7,4)
FIELD: Final = "details.parties"

# How many persons of which role a kind of client needs at least.
NEEDED: Final[Mapping[str, tuple[PartyRole, int]]] = {
    "JOINT": (PartyRole.HOLDER, 2),
    "MINOR": (PartyRole.GUARDIAN, 1),
    "HUF": (PartyRole.KARTA, 1),
    "COMPANY": (PartyRole.DIRECTOR, 1),
    "TRUST": (PartyRole.TRUSTEE, 1),
}


def check_parties(kind: str, parties: Sequence[NewParty]) -> None:
    """Refuse, as INVALID_VALUE, parties that do not fit the kind of client, or nominees whose shares are not whole."""
    if len(parties) > MOST_PARTIES:
        raise invalid(FIELD, f"A client has at most {MOST_PARTIES} parties.")
    role, least = NEEDED.get(kind, (PartyRole.HOLDER, 0))
    if sum(party.role is role for party in parties) < least:
        raise invalid(FIELD, f"A client of the kind {kind} needs at least {least} of the role {role}.")
    _check_shares(parties)


def _check_shares(parties: Sequence[NewParty]) -> None:
    for share in (party.share for party in parties):
        if share is not None and not (0 < share <= WHOLE and share == share.quantize(SHARE)):
            raise invalid(FIELD, "A share is above 0 and up to 100 percent, with at most four places.")
    shares = [party.share for party in parties if party.role is PartyRole.NOMINEE]
    if None in shares:
        raise invalid(FIELD, "A nominee has a share.")
    if shares and sum(share for share in shares if share is not None) != WHOLE:
        raise invalid(FIELD, "The shares of the nominees add up to 100 percent.")
