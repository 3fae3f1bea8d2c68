"""Natural persons, and who of them stands behind a client."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from domain.clients import ClientKind
from domain.demo.days import Days
from domain.demo.names import Region
from domain.parties import NewParty, PartyRole

_YEAR: Final = 2026  # that in which somebody is as old as drawn
_OF_AGE: Final = 18
_WHOLE: Final = Decimal(100)
_SPLITS: Final = (Decimal(50), Decimal(60), Decimal(75))
_NOMINATED: Final = 0.7  # of all who may name somebody


class Person(msgspec.Struct, frozen=True):
    """Somebody; `age` is in years, the birthday in days of a year."""

    region: Region
    first: str
    surname: str
    man: bool
    age: int
    birthday: int

    @property
    def name(self) -> str:
        """First name and surname; given names of several syllables are written apart."""
        return f"{self.first.replace('-', ' ')} {self.surname}"

    def born(self, days: Days) -> date:
        """The date of birth. That of a child moves with today, so that it never comes of age."""
        if self.age < _OF_AGE:
            return days.from_today(-365 * self.age - self.birthday)
        return date(_YEAR - self.age, 1, 1) + timedelta(days=self.birthday)


def draw_person(
    region: Region, surname: str, draws: Random, ages: tuple[int, int], *, man: bool | None = None
) -> Person:
    """Somebody of a region and an age."""
    is_man = draws.random() < 0.5 if man is None else man  # noqa: PLR2004 - half of all
    first = draws.choice(region.men if is_man else region.women)
    return Person(region, first, surname, is_man, draws.randint(*ages), draws.randrange(365))


def _party(
    role: PartyRole, person: Person, days: Days, relationship: str | None = None, share: Decimal | None = None
) -> NewParty:
    return NewParty(role, person.name, person.born(days), relationship, share)


class Family(msgspec.Struct, frozen=True):
    """The family of a group of clients, whether all of them are clients or not."""

    head: Person
    wife: Person
    child: Person


class Relatives:
    """People around somebody: the firm's own clients where they are a family, others drawn when they are asked for."""

    def __init__(self, person: Person, family: Family | None, draws: Random, days: Days) -> None:
        self._person = person
        self._family = family
        self._draws = draws
        self._days = days

    def behind(self, kind: ClientKind) -> Sequence[NewParty]:
        """Who stands behind a client of that kind: those whom the kind needs, and mostly the nominees."""
        if kind is ClientKind.MINOR and self._family:
            return (_party(PartyRole.GUARDIAN, self._family.head, self._days, "Father"),)
        if kind is ClientKind.JOINT:
            return (self._own(PartyRole.HOLDER), self.spouse(PartyRole.HOLDER), *self.nominees())
        if kind is ClientKind.HUF:
            return (self._own(PartyRole.KARTA), self.spouse(PartyRole.MEMBER), self.child(PartyRole.MEMBER))
        if kind is ClientKind.COMPANY:
            owner = self._own(PartyRole.BENEFICIARY, "Shareholder", _WHOLE)
            return (
                self._own(PartyRole.DIRECTOR, "Managing director"),
                self.partner(PartyRole.DIRECTOR),
                owner,
            )
        if kind is ClientKind.TRUST:
            child = self.child(PartyRole.BENEFICIARY, _WHOLE)
            return (self._own(PartyRole.TRUSTEE, "Settlor"), self.partner(PartyRole.TRUSTEE), child)
        return self.nominees()

    def _own(self, role: PartyRole, relationship: str | None = None, share: Decimal | None = None) -> NewParty:
        return _party(role, self._person, self._days, relationship, share)

    def spouse(self, role: PartyRole, share: Decimal | None = None) -> NewParty:
        """The husband or wife."""
        person = self._person
        if self._family:
            other = self._family.wife if person.man else self._family.head
        else:
            age = max(person.age - 3, 24)
            other = draw_person(person.region, person.surname, self._draws, (age, age + 5), man=not person.man)
        return _party(role, other, self._days, "Husband" if other.man else "Wife", share)

    def child(self, role: PartyRole, share: Decimal | None = None) -> NewParty:
        """A son or daughter."""
        person = self._person
        oldest = max(person.age - 24, 2)
        drawn = draw_person(person.region, person.surname, self._draws, (max(oldest - 12, 1), oldest))
        child = self._family.child if self._family else drawn
        return _party(role, child, self._days, "Son" if child.man else "Daughter", share)

    def partner(self, role: PartyRole) -> NewParty:
        """Somebody of another family, in the same office."""
        region = self._person.region
        surname = self._draws.choice(region.surnames)
        return _party(role, draw_person(region, surname, self._draws, (34, 68)), self._days)

    def nominees(self) -> tuple[NewParty, ...]:
        """Whoever receives the assets, all of them together."""
        if self._draws.random() > _NOMINATED:
            return ()
        if self._draws.randrange(3):
            return (self.spouse(PartyRole.NOMINEE, _WHOLE),)
        first = self._draws.choice(_SPLITS)
        return (self.spouse(PartyRole.NOMINEE, first), self.child(PartyRole.NOMINEE, _WHOLE - first))
