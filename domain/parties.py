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
        """The party of a client."""
        name = named(self.name, "parties.name")
        return Party(party_id, client_id, self.role, name, self.date_of_birth, self.relationship, self.share)


MOST_PARTIES: Final = 30
WHOLE: Final = Decimal(100)

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
        raise invalid("parties", f"A client has at most {MOST_PARTIES} parties.")
    role, least = NEEDED.get(kind, (PartyRole.HOLDER, 0))
    if sum(party.role is role for party in parties) < least:
        raise invalid("parties", f"A client of the kind {kind} needs at least {least} of the role {role}.")
    shares = [party.share for party in parties if party.role is PartyRole.NOMINEE]
    if any(share is None or not 0 < share <= WHOLE for share in shares):
        raise invalid("parties", "A nominee has a share above 0 and up to 100 percent.")
    if shares and sum(share for share in shares if share is not None) != WHOLE:
        raise invalid("parties", "The shares of the nominees add up to 100 percent.")
