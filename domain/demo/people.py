"""The clients of the demo firm, with what is stored beside them."""

from collections.abc import Iterator, Sequence
from datetime import date
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from domain.clients import (
    Channel,
    Client,
    ClientKind,
    ClientProfile,
    ClientStatus,
    KycStatus,
    RiskProfile,
    Segment,
)
from domain.demo import papers
from domain.demo.chance import chance, weighted
from domain.demo.days import LAST, OPENING, Days
from domain.demo.groups import FAMILY, SIZE, Group, Part, draw_segment
from domain.demo.ids import named_id
from domain.demo.persons import Family, Person, Relatives, draw_person
from domain.households import Household
from domain.parties import NewParty, Party
from domain.text import fold

# A portfolio needs a few months for its story.
YOUNGEST: Final = LAST - 130
FIRST_DAYS: Final = 12
PRIYA: Final = 1  # the number of Priya Sharma
_KINDS: Final = {
    Part.CHILD: ClientKind.MINOR,
    Part.HUF: ClientKind.HUF,
    Part.JOINT: ClientKind.JOINT,
    Part.COMPANY: ClientKind.COMPANY,
    Part.TRUST: ClientKind.TRUST,
}
_RISKS: Final = ((24, RiskProfile.CONSERVATIVE), (48, RiskProfile.MODERATE), (28, RiskProfile.AGGRESSIVE))
_KYC: Final = ((88, KycStatus.VERIFIED), (6, KycStatus.EXPIRED), (5, KycStatus.PENDING), (1, KycStatus.REJECTED))
_STATUSES: Final = ((945, ClientStatus.ACTIVE), (40, ClientStatus.DORMANT), (15, ClientStatus.ARCHIVED))
_CHANNELS: Final = ((45, Channel.EMAIL), (30, Channel.PHONE), (15, Channel.MESSAGE), (10, Channel.IN_PERSON))
_TRUSTED: Final = 3  # the first clients, of whom the guide speaks, are in good standing


class Dossier(msgspec.Struct, frozen=True):
    """A client with what is stored beside it; `since` is the day of the history on which it came."""

    number: int
    since: int
    client: Client
    profile: ClientProfile
    tax_id: str
    parties: tuple[Party, ...]


def household_of(group: Group, book_id: UUID) -> Household | None:
    """The household of the group's family, if it has one."""
    if not FAMILY & set(group.parts):
        return None
    name = f"{group.surname} family"
    return Household(named_id("household", group.number), book_id, name, fold(name), group.currency, 1)


def dossiers(group: Group, days: Days, book_id: UUID, household: Household | None, clients: int) -> Iterator[Dossier]:
    """The clients of a group, as far as the firm has so many."""
    family = _family(group)
    for place in range(min(SIZE, clients - group.number * SIZE)):
        number = group.number * SIZE + place
        part = group.parts[place]
        applicant = _Applicant(group, part, number, family, days)
        at_home = household.id if household and part in FAMILY else None
        yield applicant.dossier(book_id, at_home, prospect=not group.portfolios[place])


def _family(group: Group) -> Family:
    draws = chance("family", group.number)
    head = draw_person(group.region, group.surname, draws, (36, 58), man=True)
    wife = draw_person(group.region, group.surname, draws, (head.age - 6, head.age), man=False)
    child = draw_person(group.region, group.surname, draws, (6, 15))
    if group.number:
        return Family(head, wife, child)
    named = msgspec.structs.replace
    return Family(named(head, first="Rajesh"), named(wife, first="Sunita"), named(child, first="Aarav", man=True))


def _person(group: Group, part: Part, number: int, family: Family, draws: Random) -> Person:
    """Whom a client is, or, for what is no person, who stands first behind it."""
    members = {Part.HEAD: family.head, Part.HUF: family.head, Part.SPOUSE: family.wife, Part.CHILD: family.child}
    if part in members:
        return members[part]
    if part is Part.PARENT:
        return draw_person(group.region, group.surname, draws, (family.head.age + 22, family.head.age + 26))
    region = draws.choice(group.desk.regions)
    person = draw_person(region, draws.choice(region.surnames), draws, (26, 74))
    if number == PRIYA:
        return msgspec.structs.replace(person, first="Priya", surname="Sharma", man=False)
    return person


class _Applicant:
    """A client on its way to being taken on."""

    def __init__(self, group: Group, part: Part, number: int, family: Family, days: Days) -> None:
        self._group = group
        self._part = part
        self._number = number
        self._kind = _KINDS.get(part, ClientKind.INDIVIDUAL)
        self._draws = draws = chance("client", number)
        self._family = family if part in FAMILY and part is not Part.PARENT else None
        self._person = _person(group, part, number, family, draws)
        self._days = days
        # The older half of the clients came in the first of the three years, those of the guide in its first days.
        early = number < SIZE
        self._since = FIRST_DAYS // 2 if early else min(draws.randrange(YOUNGEST), draws.randrange(YOUNGEST))
        self._id = named_id("client", number, self._since, OPENING)

    def dossier(self, book_id: UUID, household_id: UUID | None, *, prospect: bool) -> Dossier:
        """The client with all that is stored beside it."""
        relatives = Relatives(self._person, self._family, self._draws, self._days)
        new_parties = relatives.behind(self._kind)
        name = papers.name_of(self._part, self._person, new_parties, self._draws)
        client = self._client(name, book_id, household_id, self._status(prospect=prospect))
        return Dossier(
            number=self._number,
            since=self._since,
            client=client,
            profile=self._profile(client),
            tax_id=papers.tax_id(self._group.currency, self._kind, self._person.surname, self._draws),
            parties=tuple(self._parties(new_parties)),
        )

    def _status(self, *, prospect: bool) -> ClientStatus:
        if prospect:
            return ClientStatus.PROSPECT
        if self._number < SIZE:
            return ClientStatus.ACTIVE
        return weighted(self._draws, _STATUSES)

    def _client(self, name: str, book_id: UUID, household_id: UUID | None, status: ClientStatus) -> Client:
        draws = self._draws
        kyc, expires_on = self._kyc(status)
        natural = self._kind in {ClientKind.INDIVIDUAL, ClientKind.MINOR}
        came = self._days.moment(self._since)
        segment = self._segment()
        return Client(
            id=self._id,
            book_id=book_id,
            household_id=household_id,
            kind=self._kind,
            name=name,
            sort_name=fold(name),
            email=None if self._kind is ClientKind.MINOR else papers.email(name, self._person, draws),
            phone=papers.phone(self._group.currency, draws),
            date_of_birth=self._person.born(self._days) if natural else None,
            segment=segment,
            status=status,
            risk_profile=None if status is ClientStatus.PROSPECT else weighted(draws, _RISKS),
            kyc_status=kyc,
            kyc_expires_on=expires_on,
            currency=self._group.currency,
            tags=papers.tags(self._kind, segment, status, draws),
            created_at=came,
            updated_at=came,
            version=1,
        )

    def _segment(self) -> Segment:
        if self._kind is ClientKind.MINOR:
            return Segment.RETAIL
        return self._group.segment if self._part in FAMILY or self._number < SIZE else draw_segment(self._draws)

    def _kyc(self, status: ClientStatus) -> tuple[KycStatus, date | None]:
        draws = self._draws
        if status is ClientStatus.PROSPECT:
            return KycStatus.PENDING, None
        kyc = weighted(draws, _KYC)
        ahead, behind = draws.randint(20, 700), draws.randint(-200, -3)
        if self._number < _TRUSTED:
            return KycStatus.VERIFIED, self._days.from_today(ahead)
        if kyc is KycStatus.VERIFIED:
            return kyc, self._days.from_today(ahead)
        return kyc, self._days.from_today(behind) if kyc is KycStatus.EXPIRED else None

    def _profile(self, client: Client) -> ClientProfile:
        draws = self._draws
        channel = weighted(draws, _CHANNELS)
        # Most are written to in English, whatever they speak.
        language = self._group.region.language if draws.random() < 0.25 else "en"  # noqa: PLR2004 - one in four
        notes = papers.notes(client, draws)
        return ClientProfile(self._id, notes, channel, language, do_not_disturb=draws.randrange(12) == 0)

    def _parties(self, new_parties: Sequence[NewParty]) -> Iterator[Party]:
        for order, new in enumerate(new_parties):
            party_id = named_id("party", f"{self._number}:{order}", self._since, OPENING + order)
            yield new.of(self._id, party_id)
