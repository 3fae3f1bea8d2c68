"""Natural persons, and who of them stands behind a client."""

from collections.abc import Iterator
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


def draw_person(region: Region, surname: str, draws: Random, ages: tuple[int, int], *, man: bool | None = None) -> Person:
    """Somebody of a region and an age."""
    is_man = draws.random() < 0.5 if man is None else man  # noqa: PLR2004 - half of all
    first = draws.choice(region.men if is_man else region.women)
    return Person(first, surname, is_man, draws.randint(*ages), draws.randrange(365))


def parties_of(
    kind: ClientKind, person: Person, head: Person, region: Region, draws: Random, days: Days
) -> tuple[NewParty, ...]:
    """Who stands behind a client: those that its kind needs, and mostly the nominees."""
    relatives = _Relatives(person, region, draws, days)
    if kind is ClientKind.MINOR:
        return (_party(PartyRole.GUARDIAN, head, days, "Father"),)
    if kind is ClientKind.JOINT:
        return (_party(PartyRole.HOLDER, person, days), relatives.spouse(PartyRole.HOLDER), *relatives.nominees())
    if kind is ClientKind.HUF:
        return (_party(PartyRole.KARTA, person, days), *relatives.members())
    if kind is ClientKind.COMPANY:
        return (
            _party(PartyRole.DIRECTOR, person, days, "Managing director"),
            relatives.partner(PartyRole.DIRECTOR),
            _party(PartyRole.BENEFICIARY, person, days, "Shareholder", _WHOLE),
        )
    if kind is ClientKind.TRUST:
        child = relatives.child(PartyRole.BENEFICIARY, _WHOLE)
        return (_party(PartyRole.TRUSTEE, person, days, "Settlor"), relatives.partner(PartyRole.TRUSTEE), child)
    return relatives.nominees()


def _party(
    role: PartyRole, person: Person, days: Days, relationship: str | None = None, share: Decimal | None = None
) -> NewParty:
    return NewParty(role, person.name, person.born(days), relationship, share)


class _Relatives:
    """People around somebody, drawn when they are asked for."""

    def __init__(self, person: Person, region: Region, draws: Random, days: Days) -> None:
        self._person = person
        self._region = region
        self._draws = draws
        self._days = days

    def spouse(self, role: PartyRole, share: Decimal | None = None) -> NewParty:
        """The husband or wife."""
        person = self._person
        age = max(person.age - 3, 24)
        other = draw_person(self._region, person.surname, self._draws, (age, age + 5), man=not person.man)
        return _party(role, other, self._days, "Husband" if other.man else "Wife", share)

    def child(self, role: PartyRole, share: Decimal | None = None) -> NewParty:
        """A son or daughter."""
        oldest = max(self._person.age - 24, 2)
        child = draw_person(self._region, self._person.surname, self._draws, (max(oldest - 12, 1), oldest))
        return _party(role, child, self._days, "Son" if child.man else "Daughter", share)

    def partner(self, role: PartyRole) -> NewParty:
        """Somebody of another family, in the same office."""
        surname = self._draws.choice(self._region.surnames)
        return _party(role, draw_person(self._region, surname, self._draws, (34, 68)), self._days)

    def members(self) -> Iterator[NewParty]:
        """The family that a karta stands for."""
        yield self.spouse(PartyRole.MEMBER)
        yield self.child(PartyRole.MEMBER)

    def nominees(self) -> tuple[NewParty, ...]:
        """Whoever receives the assets, all of them together."""
        if self._draws.random() > _NOMINATED:
            return ()
        if self._draws.randrange(3):
            return (self.spouse(PartyRole.NOMINEE, _WHOLE),)
        first = self._draws.choice(_SPLITS)
        return (self.spouse(PartyRole.NOMINEE, first), self.child(PartyRole.NOMINEE, _WHOLE - first))
