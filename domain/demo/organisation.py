"""The demo firm itself: units, teams, users in all roles, books and who is a member of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Final
from uuid import UUID

import msgspec

from domain.access import Role
from domain.books import Book, Membership, MembershipKind, Team, Unit
from domain.demo import names
from domain.demo.days import Days
from domain.demo.ids import named_id
from domain.demo.names import Region
from domain.identity import User, UserStatus
from domain.text import fold

ADDRESS: Final = "steward.example"


class Desk(msgspec.Struct, frozen=True):
    """An advisor's place: the team it is in, and the clients it takes on."""

    advisor: str
    team: str
    regions: tuple[Region, ...]
    currencies: tuple[str, ...] = ("INR",)


class Staff(msgspec.Struct, frozen=True):
    """Who looks after a book: its advisor, and those who approve what the advisor orders."""

    book_id: UUID
    advisor: UUID
    supervisor: UUID
    manager: UUID


UNITS: Final = ("Mumbai Wealth", "North India Wealth", "International")
# A team's unit, supervisor, locale and time zone.
TEAMS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "Mumbai South": ("Mumbai Wealth", "Meera Joshi", "en_IN", "Asia/Kolkata"),
    "Mumbai Suburbs": ("Mumbai Wealth", "Anil Fernandes", "en_IN", "Asia/Kolkata"),
    "Delhi": ("North India Wealth", "Harish Bhatia", "en_IN", "Asia/Kolkata"),
    "Chandigarh and Jaipur": ("North India Wealth", "Simran Kaur", "en_IN", "Asia/Kolkata"),
    "Singapore": ("International", "Wei Jie Ong", "en_SG", "Asia/Singapore"),
    "London": ("International", "Charlotte Hughes", "en_GB", "Europe/London"),
}
MANAGERS: Final = ("Sanjay Kulkarni", "Ritu Khanna", "David Lim")
DESKS: Final = (
    Desk("Asha Mehta", "Mumbai South", names.WEST),
    Desk("Rohan Deshpande", "Mumbai South", names.WEST),
    Desk("Kavita Iyer", "Mumbai Suburbs", names.SUBURBS),
    Desk("Farhan Shaikh", "Mumbai Suburbs", names.SUBURBS),
    Desk("Neha Kapoor", "Delhi", names.NORTH),
    Desk("Arjun Malhotra", "Delhi", names.NORTH),
    Desk("Gurpreet Gill", "Chandigarh and Jaipur", names.NORTH),
    Desk("Mei Ling Tan", "Singapore", names.ASIA, ("SGD", "USD", "SGD", "INR")),
    Desk("James Whitfield", "London", names.EUROPE, ("GBP", "EUR", "GBP", "USD")),
)
# A book has about 67 clients: with more, every advisor gets another book for each further 600 of the firm's.
GROUPS_A_ROUND: Final = 100

CUSTODIAN: Final = "Custody feed"


class Organisation:
    """Units, teams and users, the same for every size, and as many books as the groups of clients need."""

    def __init__(self, days: Days, groups: int) -> None:
        self._days = days
        self.rounds = max(1, -(-groups // GROUPS_A_ROUND))
        self.units = [Unit(named_id("unit", name, millis=order), name) for order, name in enumerate(UNITS)]
        self._unit_of = {unit.name: unit.id for unit in self.units}
        self.teams = [
            Team(named_id("team", name, millis=order), self._unit_of[unit], name)
            for order, (name, (unit, *_)) in enumerate(TEAMS.items())
        ]
        self._team_of = {team.name: team for team in self.teams}
        self.users = list(self._users())
        self._user_of = {user.name: user for user in self.users}
        self.books = [self._book(desk, number) for number in range(self.rounds) for desk in DESKS]
        self._staff = [self._staff_of(book, desk) for book, desk in zip(self.books, DESKS * self.rounds, strict=True)]
        self._supervisors = {staff.book_id: staff.supervisor for staff in self._staff}

    @property
    def custodian(self) -> UUID:
        """The service account that reports what happens in the accounts; it has no password."""
        return self._user_of[CUSTODIAN].id

    def user(self, name: str) -> User:
        """The user of a name."""
        return self._user_of[name]

    def book(self, group: int) -> Book:
        """The book of a group of clients."""
        return self.books[self._place(group)]

    def staff(self, group: int) -> Staff:
        """Who looks after the book of a group of clients."""
        return self._staff[self._place(group)]

    def audience(self, book_id: UUID, on: date) -> set[UUID]:
        """Who is told of what happens in a book on a day."""
        return {self._supervisors[book_id]} | {
            each.user_id
            for each in self._members.get(book_id, ())
            if each.starts_on <= on and (each.ends_on is None or on <= each.ends_on)
        }

    @cached_property
    def _members(self) -> Mapping[UUID, Sequence[Membership]]:
        members: dict[UUID, list[Membership]] = {}
        for each in self.memberships():
            members.setdefault(each.book_id, []).append(each)
        return members

    def end_client(self, client_id: UUID, name: str) -> User:
        """A client of the firm who signs in to see the own household."""
        return self._user(99, name, Role.CLIENT, client_id=client_id)

    def memberships(self) -> Iterator[Membership]:
        """Who is a member of which book: the advisors of their own, and some for a time or for a purpose."""
        for book, desk in zip(self.books, DESKS * self.rounds, strict=True):
            yield self._membership(book, desk.advisor, MembershipKind.ADVISOR)
        first = self.books[: len(DESKS)]
        yield self._membership(first[0], "Rohan Deshpande", MembershipKind.ASSISTANT)
        yield self._membership(first[0], "Kavita Iyer", MembershipKind.STAND_IN, (-4, 10))
        yield self._membership(first[4], "Arjun Malhotra", MembershipKind.STAND_IN, (-90, -69))
        yield self._membership(first[7], "James Whitfield", MembershipKind.STAND_IN, (20, 34))
        for book in (first[0], first[2], first[4]):
            yield self._membership(book, "Karthik Subramanian", MembershipKind.RESEARCH)

    def _users(self) -> Iterator[User]:
        numbers = iter(range(99))
        yield self._user(next(numbers), "Nandini Rao", Role.ADMIN, address="admin")
        for unit, manager in zip(UNITS, MANAGERS, strict=True):
            yield self._user(next(numbers), manager, Role.BU_MANAGER, unit=unit)
        for team, (_, supervisor, *_) in TEAMS.items():
            yield self._user(next(numbers), supervisor, Role.SUPERVISOR, team=team)
        for desk in DESKS:
            yield self._user(next(numbers), desk.advisor, Role.ADVISOR, team=desk.team)
        yield self._user(next(numbers), "Pooja Nair", Role.VIEWER, team="Mumbai South")
        yield self._user(next(numbers), "Karthik Subramanian", Role.ANALYST)
        yield self._user(next(numbers), "Leela Menon", Role.AUDITOR)
        yield self._user(next(numbers), CUSTODIAN, Role.SERVICE, address="custody")

    def _user(
        self,
        number: int,
        name: str,
        role: Role,
        *,
        address: str | None = None,
        unit: str | None = None,
        team: str | None = None,
        client_id: UUID | None = None,
    ) -> User:
        at_home = TEAMS[team] if team else None
        home = at_home[0] if at_home else unit
        return User(
            id=named_id("user", name, millis=number),
            email=f"{address or fold(name).replace(' ', '.')}@{ADDRESS}",
            name=name,
            sort_name=fold(name),
            picture_url=None,
            locale=at_home[2] if at_home else "en_IN",
            time_zone=at_home[3] if at_home else "Asia/Kolkata",
            role=role,
            unit_id=self._unit_of[home] if home else None,
            team_id=self._team_of[team].id if team else None,
            client_id=client_id,
            status=UserStatus.ACTIVE,
            created_at=self._days.moment(0),
            email_verified_at=self._days.moment(0),
            version=1,
        )

    def _book(self, desk: Desk, number: int) -> Book:
        team = self._team_of[desk.team]
        name = f"{desk.advisor} {number + 1}" if number else desk.advisor
        opened_on = self._days.dates[0]
        return Book(named_id("book", name), team.id, team.unit_id, name, fold(name), opened_on, 1)

    def _place(self, group: int) -> int:
        return group // GROUPS_A_ROUND * len(DESKS) + group % len(DESKS)

    def _staff_of(self, book: Book, desk: Desk) -> Staff:
        unit, supervisor, *_ = TEAMS[desk.team]
        people = (desk.advisor, supervisor, MANAGERS[UNITS.index(unit)])
        return Staff(book.id, *(self._user_of[name].id for name in people))

    def _membership(
        self, book: Book, user: str, kind: MembershipKind, time: tuple[int, int] | None = None
    ) -> Membership:
        """A membership from the book's first day on, or between two days from today."""
        starts_on, ends_on = (self._days.from_today(day) for day in time) if time else (book.opened_on, None)
        user_id = self._user_of[user].id
        return Membership(named_id("membership", f"{book.name}:{user}"), book.id, user_id, kind, starts_on, ends_on, 1)
