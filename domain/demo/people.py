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
from domain.demo.chance import chance
from domain.demo.days import LAST, OPENING, Days
from domain.demo.groups import FAMILY, SIZE, Group, Part
from domain.demo.ids import named_id
from domain.demo.persons import Person, Relatives, draw_person
from domain.households import Household
from domain.parties import NewParty, Party
from domain.text import fold

# A portfolio needs a few months for its story.
YOUNGEST: Final = LAST - 130
FIRST_DAYS: Final = 12
_FAMILIAR: Final = {1: ("Priya", "Sharma", False), 4: ("Aarav", "Kumar", True)}
_KINDS: Final = {
    Part.CHILD: ClientKind.MINOR,
    Part.HUF: ClientKind.HUF,
    Part.JOINT: ClientKind.JOINT,
    Part.COMPANY: ClientKind.COMPANY,
    Part.TRUST: ClientKind.TRUST,
}
_RISKS: Final = ((RiskProfile.CONSERVATIVE, 24), (RiskProfile.MODERATE, 48), (RiskProfile.AGGRESSIVE, 28))
_KYC: Final = ((KycStatus.VERIFIED, 88), (KycStatus.EXPIRED, 6), (KycStatus.PENDING, 5), (KycStatus.REJECTED, 1))
_STATUSES: Final = ((ClientStatus.ACTIVE, 945), (ClientStatus.DORMANT, 40), (ClientStatus.ARCHIVED, 15))
_TRUSTED: Final = 3  # the first clients, of whom the guide speaks, are in good standing


class Dossier(msgspec.Struct, frozen=True):
    """A client with what is stored beside it; `since` is the day of the history on which it came."""

    number: int
    since: int
    client: Client
    profile: ClientProfile
    tax_id: str
    parties: tuple[Party, ...]

    @property
    def standing(self) -> ClientStatus:
        """Where the client stands with the firm."""
        return self.client.status


def household_of(group: Group, book_id: UUID) -> Household | None:
    """The household of the group's family, if it has one."""
    if not FAMILY & set(group.parts):
        return None
    name = f"{group.surname} family"
    return Household(named_id("household", group.number), book_id, name, fold(name), group.currency, 1)


def dossiers(group: Group, days: Days, book_id: UUID, household: Household | None, clients: int) -> Iterator[Dossier]:
    """The clients of a group, as far as the firm has so many."""
    couple = _couple(group)
    for place in range(min(SIZE, clients - group.number * SIZE)):
        number = group.number * SIZE + place
        draws = chance("client", number)
        part = group.parts[place]
        person = _person(group, part, number, couple, draws)
        yield _Applicant(group, part, number, person, couple, draws, days).dossier(
            book_id, household.id if household and part in FAMILY else None, prospect=not group.portfolios[place]
        )


def _couple(group: Group) -> tuple[Person, Person]:
    """The head of the group's family and his wife."""
    draws = chance("couple", group.number)
    head = draw_person(group.region, group.surname, draws, (36, 64), man=True)
    wife = draw_person(group.region, group.surname, draws, (head.age - 7, head.age), man=False)
    if group.number:
        return head, wife
    return msgspec.structs.replace(head, first="Rajesh"), msgspec.structs.replace(wife, first="Sunita")


def _person(group: Group, part: Part, number: int, couple: tuple[Person, Person], draws: Random) -> Person:
    """Whom a client is, or, for what is no person, who stands first behind it."""
    head, wife = couple
    if part in {Part.HEAD, Part.HUF}:
        return head
    if part is Part.SPOUSE:
        return wife
    if part in {Part.CHILD, Part.PARENT}:
        ages = (6, 15) if part is Part.CHILD else (head.age + 22, head.age + 26)
        person = draw_person(group.region, group.surname, draws, ages)
    else:
        region = draws.choice(group.desk.regions)
        person = draw_person(region, draws.choice(region.surnames), draws, (26, 74))
    first, surname, man = _FAMILIAR.get(number, (person.first, person.surname, person.man))
    return msgspec.structs.replace(person, first=first, surname=surname, man=man)


class _Applicant:
    """A client on its way to being taken on."""

    def __init__(
        self,
        group: Group,
        part: Part,
        number: int,
        person: Person,
        couple: tuple[Person, Person],
        draws: Random,
        days: Days,
    ) -> None:
        self._group = group
        self._part = part
        self._number = number
        self._kind = _KINDS.get(part, ClientKind.INDIVIDUAL)
        self._person = person
        self._couple = couple
        self._draws = draws
        self._days = days
        # The older half of the clients came in the first of the three years, those of the guide in its first days.
        early = number < SIZE
        self._since = FIRST_DAYS // 2 if early else min(draws.randrange(YOUNGEST), draws.randrange(YOUNGEST))
        self._id = named_id("client", number, self._since, OPENING)

    def dossier(self, book_id: UUID, household_id: UUID | None, *, prospect: bool) -> Dossier:
        """The client with all that is stored beside it."""
        new_parties = tuple(self._behind())
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

    def _behind(self) -> Sequence[NewParty]:
        """The parties, of the own family where there is one."""
        head, wife = self._couple
        spouse = {Part.HEAD: wife, Part.HUF: wife, Part.SPOUSE: head}.get(self._part)
        relatives = Relatives(self._person, spouse, self._group.region, self._draws, self._days)
        return relatives.guardians(head) if self._part is Part.CHILD else relatives.behind(self._kind)

    def _status(self, *, prospect: bool) -> ClientStatus:
        if prospect:
            return ClientStatus.PROSPECT
        if self._number < SIZE:
            return ClientStatus.ACTIVE
        return self._draws.choices([name for name, _ in _STATUSES], [weight for _, weight in _STATUSES])[0]

    def _client(self, name: str, book_id: UUID, household_id: UUID | None, status: ClientStatus) -> Client:
        draws = self._draws
        kyc, expires_on = self._kyc(status)
        natural = self._kind in {ClientKind.INDIVIDUAL, ClientKind.MINOR}
        came = self._days.moment(self._since)
        prospect = status is ClientStatus.PROSPECT
        segment = Segment.RETAIL if self._kind is ClientKind.MINOR else self._group.segment
        return Client(
            id=self._id,
            book_id=book_id,
            household_id=household_id,
            kind=self._kind,
            name=name,
            sort_name=fold(name),
            email=None if self._kind is ClientKind.MINOR else papers.email(name, self._person, draws),
            phone=papers.phone(self._group.currency, draws),
            date_of_birth=self._born() if natural else None,
            segment=segment,
            status=status,
            risk_profile=None if prospect else draws.choices([risk for risk, _ in _RISKS], [w for _, w in _RISKS])[0],
            kyc_status=kyc,
            kyc_expires_on=expires_on,
            currency=self._group.currency,
            tags=papers.tags(self._kind, segment, status, draws),
            created_at=came,
            updated_at=came,
            version=1,
        )

    def _born(self) -> date:
        return self._person.born(self._days)

    def _kyc(self, status: ClientStatus) -> tuple[KycStatus, date | None]:
        draws = self._draws
        if status is ClientStatus.PROSPECT:
            return KycStatus.PENDING, None
        kyc = draws.choices([name for name, _ in _KYC], [weight for _, weight in _KYC])[0]
        ahead, behind = draws.randint(20, 700), draws.randint(-200, -3)
        if self._number < _TRUSTED:
            return KycStatus.VERIFIED, self._days.from_today(ahead)
        if kyc is KycStatus.VERIFIED:
            return kyc, self._days.from_today(ahead)
        return kyc, self._days.from_today(behind) if kyc is KycStatus.EXPIRED else None

    def _profile(self, client: Client) -> ClientProfile:
        draws = self._draws
        channel = draws.choices(list(Channel), [45, 30, 15, 10])[0]
        # Most are written to in English, whatever they speak.
        language = self._group.region.language if draws.random() < 0.25 else "en"  # noqa: PLR2004 - one in four
        notes = papers.notes(client, draws)
        return ClientProfile(self._id, notes, channel, language, do_not_disturb=draws.randrange(12) == 0)

    def _parties(self, new_parties: tuple[NewParty, ...]) -> Iterator[Party]:
        for order, new in enumerate(new_parties):
            party_id = named_id("party", f"{self._number}:{order}", self._since, OPENING + order)
            yield new.of(self._id, party_id)
