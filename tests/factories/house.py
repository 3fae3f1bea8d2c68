"""A firm of two units with people of every role: whose rows each of them sees is told by plain Python.

Names, notes and references hold the id of what they are about, so that a leak shows in the text of an answer, through
whichever field it comes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.access import Role
from domain.announcements import Audience
from domain.books import Book, Team
from domain.clients import Client, TaxId
from domain.households import Household
from domain.identity import User
from domain.instruments import Instrument
from domain.portfolios import Target
from domain.valuation import AssetClass
from graph.ids import encode, id_of
from persistence import clients as client_tables
from persistence import portfolios as portfolio_tables
from tests.factories import announcements, jobs, ledger, partners, people, trading, trail
from tests.factories.firm import Make, SignedIn
from tests.factories.house_talks import KINDS, Talks, talk

DAY: Final = timedelta(days=1)
EVERYBODYS: Final = frozenset({"instrument", "team", "unit"})


class Person(msgspec.Struct, frozen=True):
    """A user, and whose rows it sees by the rules of the firm; `books` and `clients` are none for everything."""

    user: SignedIn
    books: frozenset[UUID] | None
    clients: frozenset[UUID] | None
    # Those among its books that it sees by a broken glass alone, and changes nothing in.
    glass: frozenset[UUID] = frozenset()

    @property
    def everything(self) -> bool:
        """Whether it sees all rows."""
        return self.clients is None


def hears(person: Person, announced: Mapping[str, Any]) -> bool:
    """Whether an announcement is for a person, and shown by now."""
    user = person.user.user
    addressed = announced["audience"] == "ALL" or announced["role"] == user.role
    of_unit = user.unit_id is not None and announced["unit_id"] == user.unit_id
    return (addressed or of_unit) and announced["shown_from"] <= datetime.now(UTC)


def id_in(row_id: str) -> UUID:
    """The key in an id as clients of the API know it."""
    return UUID(hex=row_id.rpartition("_")[2])


class House:
    """The firm as it was made, and what each person in it sees."""

    def __init__(self, make: Make, instrument: Instrument, clerk: User) -> None:
        self.make = make
        self.instrument = instrument
        self.clerk = clerk
        self.people: dict[str, Person] = {}
        self.books: dict[str, Book] = {}
        self.clients: list[Client] = []
        self.households: list[Household] = []
        self.announced: dict[str, Mapping[str, Any]] = {}
        self.talks = Talks()
        # Which book and client each row belongs to, by the id that clients of the API know.
        self.rows: dict[str, tuple[UUID | None, UUID | None]] = {}

    def ids(self, prefix: str) -> list[str]:
        """The ids of all rows of a kind."""
        return [row_id for row_id in self.rows if row_id.rpartition("_")[0] == prefix]

    @property
    def by_prefix(self) -> Mapping[str, Sequence[str]]:
        """All ids, by their prefix."""
        return {prefix: self.ids(prefix) for prefix in {row_id.rpartition("_")[0] for row_id in self.rows}}

    def sees(self, person: Person, row_id: str) -> bool:
        """Whether a person may read a row of the firm."""
        prefix = row_id.rpartition("_")[0]
        if prefix in EVERYBODYS:
            return True
        if prefix == "announcement":
            return person.everything or hears(person, self.announced[row_id])
        if prefix in KINDS:
            return self.talks.sees(person, id_in(row_id))
        if prefix in {"glass_access", "job", "notification", "session"} and self.rows[row_id][1] == person.user.user.id:
            return True
        if prefix in {"job", "notification"} or (prefix == "audit" and person.user.user.role is Role.CLIENT):
            # What the staff have done is not for end clients.
            return False
        return self._knows(person, row_id) if prefix == "user" else person.everything or self._is_of(person, row_id)

    def _knows(self, person: Person, user_id: str) -> bool:
        """The staff know each other, and the end clients whose client they see; an end client knows itself."""
        if person.user.user.role is Role.CLIENT:
            return user_id == person.user.id
        client = self.rows[user_id][1]
        return client is None or person.everything or client in (person.clients or ())

    def _is_of(self, person: Person, row_id: str) -> bool:
        """A client's rows go by the client, others by the book; an end client's household by its members."""
        book, client = self.rows[row_id]
        if row_id.startswith("household") and person.user.user.role is Role.CLIENT:
            own = (each for each in self.clients if each.household_id and each.id in (person.clients or ()))
            return row_id in {encode("household", each.household_id) for each in own if each.household_id}
        if client and not row_id.startswith("glass_access"):
            return client in (person.clients or ())
        return book in (person.books or ())

    def changes(self, person: Person, row_id: str) -> bool:
        """Whether a person may change a row, as far as whose it is decides that."""
        book, client = self.rows[row_id]
        if row_id.rpartition("_")[0] in KINDS:
            return self.talks.sees(person, id_in(row_id), changing=self.in_books(person.glass))
        if client in self.in_books(person.glass) or book in person.glass:
            return False
        return self.sees(person, row_id)

    def in_books(self, books: Iterable[UUID]) -> frozenset[UUID]:
        """The clients of some books."""
        seen = set(books)
        return frozenset(client.id for client in self.clients if client.book_id in seen)

    def visible(self, person: Person, prefix: str) -> set[str]:
        """The ids of a kind that a person may read."""
        return {row_id for row_id in self.ids(prefix) if self.sees(person, row_id)}

    def hidden(self, person: Person, prefix: str) -> list[str]:
        """The ids of a kind that there are, but not for this person."""
        return [row_id for row_id in self.ids(prefix) if not self.sees(person, row_id)]

    def add(self, row: Any, book: UUID | None = None, client: UUID | None = None) -> None:
        """Remember whose row it is."""
        self.rows[id_of(row)] = (book, client)

    async def happened(self, stream: str, seq: int, kind: str, entity_id: UUID) -> None:
        """An event of the log, as the last of its stream."""
        advance = "insert into event_streams values ($1, $2) on conflict (stream) do update set last = $2"
        await self.make.connection.execute(advance, stream, seq)
        values = (stream, seq, kind, entity_id, 1, self.make.now)
        await self.make.connection.execute("insert into events values ($1, $2, $3, $4, $5, $6)", *values)


async def house(make: Make) -> House:
    """The whole firm."""
    admin = await make.user(Role.ADMIN)
    firm = House(make, await make.instrument("INFY"), admin.user)
    await make.price(firm.instrument, date(2025, 1, 6), "100")
    firm.add(firm.instrument)
    # Admins alone see it, and there is one.
    firm.add(await jobs.dead(make), client=admin.user.id)
    firm.add(admin.user)
    firm.add(admin.session, client=admin.user.id)
    firm.people["admin"] = Person(admin, None, None)
    await _person(firm, "auditor", Role.AUDITOR, None, None)
    for unit_name, team_names in (("A", ("A1", "A2")), ("B", ("B1",))):
        first = await make.team()
        teams = [first, *[await _beside(make, first) for _ in team_names[1:]]]
        firm.rows[encode("unit", first.unit_id)] = (None, None)
        for name, team in zip(team_names, teams, strict=True):
            await _staffed(firm, name, team)
        await _person(firm, f"manager {unit_name}", Role.BU_MANAGER, teams[0], _of_teams(firm, teams))
    await _households(firm)
    await _roaming(firm)
    await _end_clients(firm)
    await _told(firm)
    await _announced(firm, admin.user)
    await talk(firm)
    return firm


async def _beside(make: Make, team: Team) -> Team:
    made = await make.team()
    await make.connection.execute("update teams set unit_id = $1 where id = $2", team.unit_id, made.id)
    return Team(made.id, team.unit_id, made.name)


def _of_teams(firm: House, teams: Iterable[Team]) -> list[Book]:
    ids = {team.id for team in teams}
    return [book for book in firm.books.values() if book.team_id in ids]


async def _person(
    firm: House, name: str, role: Role, team: Team | None, books: Iterable[Book] | None, **given: Any
) -> Person:
    signed_in = await firm.make.user(role, team, **given)
    seen = None if books is None else frozenset(book.id for book in books)
    clients = None if seen is None else firm.in_books(seen)
    person = Person(signed_in, seen, clients)
    firm.people[name] = person
    firm.add(signed_in.user, client=given.get("client_id"))
    firm.add(signed_in.session, client=signed_in.user.id)
    return person


async def _staffed(firm: House, name: str, team: Team) -> None:
    """A team with two books, its supervisor and viewer, and an advisor for each book."""
    firm.rows[id_of(team)] = (None, None)
    books = [await _book(firm, f"{name}{letter}", team) for letter in "xy"]
    await _person(firm, f"supervisor {name}", Role.SUPERVISOR, team, books)
    await _person(firm, f"viewer {name}", Role.VIEWER, team, books)
    for letter, book in zip("xy", books, strict=True):
        advisor = await _person(firm, f"advisor {name}{letter}", Role.ADVISOR, team, [book])
        firm.add(await firm.make.membership(book, advisor.user.user), book.id)


async def _named_after_itself(make: Make, table: str, prefix: str, row_id: UUID, *columns: str) -> str:
    name = encode(prefix, row_id)
    values = ", ".join(f"{column} = $2" for column in columns)
    await make.connection.execute(f"update {table} set {values} where id = $1", row_id, name)  # noqa: S608 - our own names
    return name


async def _book(firm: House, name: str, team: Team) -> Book:
    make = firm.make
    book = await make.book(team)
    await _named_after_itself(make, "books", "book", book.id, "name")
    firm.books[name] = book
    firm.add(book, book.id)
    firm.add(await trail.event(make, "Book", book.id, book_id=book.id), book.id)
    for _ in range(3):
        await _client(firm, book)
    return book


async def _client(firm: House, book: Book) -> None:
    make = firm.make
    client = await make.client(book, tags=("vip",))
    firm.clients.append(client)
    firm.add(client, book.id, client.id)
    await _named_after_itself(make, "clients", "client", client.id, "name", "email")
    await _named_after_itself(make, "client_profiles", "client", client.id, "notes")
    reminder = (make.new_id(), client.id, date(2030, 1, 1), make.now)
    await make.connection.execute("insert into kyc_reminders values ($1, $2, $3, $4)", *reminder)
    await make.add(client_tables.client_tax_ids, TaxId(client.id, b"sealed", encode("client", client.id)))
    changed = await trail.event(make, "Client", client.id, client_id=client.id, after=f'{{"name": "{id_of(client)}"}}')
    firm.add(changed, book.id, client.id)
    party = await people.party(make, client)
    await _named_after_itself(make, "client_parties", "party", party.id, "name", "relationship")
    firm.add(party, book.id, client.id)
    for _ in range(2):
        await _portfolio(firm, client)


async def _portfolio(firm: House, client: Client) -> None:
    make = firm.make
    portfolio = await make.portfolio(client)
    await _named_after_itself(make, "portfolios", "portfolio", portfolio.id, "name", "benchmark")
    entry = make.new_id()
    position = await ledger.position(make, portfolio, firm.instrument, quantity="1")
    deposit = await ledger.deposit(make, portfolio, firm.clerk, id=entry, reference=encode("transaction", entry))
    # Each balance is a power of two, so that a sum tells of whom it is the sum.
    await ledger.cash(make, portfolio, str(2 ** len(firm.ids("portfolio"))))
    order = await trading.order(make, portfolio, firm.instrument, firm.clerk)
    await _named_after_itself(make, "orders", "order", order.id, "reason")
    await trading.fill(make, order, deposit)
    await firm.happened(f"orders:{portfolio.id}", 1, "SUBMITTED", order.id)
    await make.add(portfolio_tables.targets, Target(make.new_id(), portfolio.id, AssetClass.EQUITY, Decimal(1)))
    await make.connection.execute("insert into day_values values ($1, $2, 1)", portfolio.id, date(2025, 1, 6))
    for row in (portfolio, position, ledger.lot_of(position), deposit, order):
        firm.add(row, client.book_id, client.id)


async def _households(firm: House) -> None:
    """A household in each book, of two of its clients, and one of clients of two books."""
    for book in firm.books.values():
        await _household(firm, book, [client for client in firm.clients if client.book_id == book.id][:2])
    third = [[each for each in firm.clients if each.book_id == firm.books[name].id][2] for name in ("A1x", "A2x")]
    await _household(firm, firm.books["A1x"], third)


async def _household(firm: House, book: Book, members: Sequence[Client]) -> None:
    household = await people.household(firm.make, book)
    await _named_after_itself(firm.make, "households", "household", household.id, "name")
    firm.households.append(household)
    firm.add(household, book.id)
    for client in members:
        await firm.make.connection.execute(
            "update clients set household_id = $1 where id = $2", household.id, client.id
        )
        firm.clients[firm.clients.index(client)] = msgspec.structs.replace(client, household_id=household.id)


async def _roaming(firm: House) -> None:
    """People who see books by memberships alone, some of which are over or have not begun."""
    for name, role, books in (
        ("analyst", Role.ANALYST, ("A1y", "B1x")),
        ("service", Role.SERVICE, ("A2x",)),
        ("idle", Role.ADVISOR, ()),
    ):
        person = await _person(firm, name, role, None, [firm.books[book] for book in books])
        for book in books:
            await _member(firm, person, book, -9, None)
    stand_in = await _person(firm, "stand-in", Role.ADVISOR, None, [firm.books["A2x"]])
    for book, starts, ends in (("A1x", -9, -2), ("A2x", -1, 1), ("A1y", 2, None)):
        await _member(firm, stand_in, book, starts, ends)
    await _by_key(firm, "service")
    await _broken(firm)


async def _by_key(firm: House, name: str) -> None:
    """Have a program speak by its key."""
    person = firm.people[name]
    program = await partners.key(firm.make, person.user.user)
    signed_in = msgspec.structs.replace(
        person.user, token=program.token, session=msgspec.structs.replace(person.user.session, id=program.key.id)
    )
    firm.people[name] = msgspec.structs.replace(person, user=signed_in)
    firm.add(program.account)
    firm.add(program.key)


async def _broken(firm: House) -> None:
    """Somebody who has broken the glass of three books: one is open, one was open yesterday, and one was ended."""
    make, book = firm.make, firm.books["B1y"]
    breaker = await _person(firm, "breaker", Role.ADVISOR, None, [book])
    firm.people["breaker"] = msgspec.structs.replace(breaker, glass=frozenset({book.id}))
    user, yesterday = breaker.user.user, make.now - DAY
    over = {"granted_at": yesterday, "expires_at": yesterday + timedelta(hours=1)}
    for name, given in (("B1y", {}), ("A1x", over), ("A2y", {"ended_at": make.now})):
        access = await partners.glass(make, user, firm.books[name], **given)
        firm.add(access, firm.books[name].id, user.id)


async def _member(firm: House, person: Person, book: str, starts: int, ends: int | None) -> None:
    """A membership from one day to another, counted from today."""
    today = firm.make.now.date()
    days = {"starts_on": today + starts * DAY, "ends_on": None if ends is None else today + ends * DAY}
    membership = await firm.make.membership(firm.books[book], person.user.user, **days)
    firm.add(membership, firm.books[book].id)


async def _end_clients(firm: House) -> None:
    """Two end clients: one with a household, one alone."""
    for name, book, at in (("end client", "A1x", 0), ("loner", "B1x", 2)):
        own = [client for client in firm.clients if client.book_id == firm.books[book].id][at]
        person = await _person(firm, name, Role.CLIENT, None, [], client_id=own.id)
        household = [each.id for each in firm.clients if own.household_id and each.household_id == own.household_id]
        firm.people[name] = msgspec.structs.replace(person, clients=frozenset({own.id, *household}))
        await _named_after_itself(firm.make, "users", "user", person.user.user.id, "name", "email")


async def _told(firm: House) -> None:
    """Three notifications for each person, about clients that may be another's by now."""
    for at, person in enumerate(firm.people.values()):
        for number in range(3):
            client = firm.clients[(5 * at + number) % len(firm.clients)]
            told = await people.notification(
                firm.make,
                person.user.user,
                client_id=client.id,
                book_id=client.book_id,
                actor_id=firm.people["end client"].user.user.id,
            )
            firm.add(told, client=person.user.user.id)
            await firm.happened(f"user:{person.user.user.id}", told.seq, told.kind, told.id)


async def _announced(firm: House, admin: User) -> None:
    """For all, for a role, for each unit, and what is yet to be shown."""
    units = [id_in(row_id) for row_id in firm.ids("unit")]
    audiences: list[dict[str, Any]] = [
        {},
        {"shown_from": firm.make.now + DAY},
        {"audience": Audience.ROLE, "role": Role.ANALYST},
        {"audience": Audience.ROLE, "role": Role.CLIENT},
        *({"audience": Audience.UNIT, "unit_id": unit} for unit in units),
    ]
    for given in audiences:
        made = await announcements.announcement(firm.make, admin, **given)
        firm.add(made)
        firm.announced[id_of(made)] = msgspec.structs.asdict(made)
