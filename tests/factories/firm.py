"""Factories: rows as they could have come about, with the little that a test says about them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from sqlalchemy import Table, bindparam, insert

from domain.access import Role, Viewer
from domain.books import Book, Membership, MembershipKind, Team, Unit
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
from domain.entities import Entity, IdMaker
from domain.identity import Credential, Session, User, UserStatus
from domain.instruments import FxRate, Instrument, InstrumentKind, InstrumentStatus, Price, RiskLevel
from domain.portfolios import Portfolio, PortfolioStatus
from domain.text import fold
from domain.valuation import AssetClass
from graph.context import Services
from graph.ids import id_of
from persistence import books, clients, identity, instruments, portfolios
from persistence.clients import words_of
from persistence.sql import compile_statement, values_of

PASSWORD = "correct horse battery staple"


class SignedIn(msgspec.Struct, frozen=True):
    """A user of a test, with a session and its access token."""

    user: User
    session: Session
    token: str
    book: Book | None = None

    @property
    def id(self) -> str:
        """The user's id, as clients see it."""
        return id_of(self.user)


class Make:
    """Adds rows as the owner of the tables, past all rules; keyword arguments override what is made up."""

    def __init__(self, connection: "Connection[Record]", services: Services) -> None:
        self.connection = connection
        self.services = services
        self.ids = IdMaker()
        self.numbers = count(1)

    @property
    def now(self) -> datetime:
        """The moment at which rows are made."""
        return datetime.now(UTC)

    def new_id(self) -> UUID:
        """An id."""
        return self.ids.make(self.now)

    async def add(self, table: Table, entity: Entity) -> None:
        """Add a row."""
        values = {name: bindparam(name, type_=table.c[name].type) for name in entity.__struct_fields__}
        statement = compile_statement(insert(table).values(values))
        await self.connection.execute(statement.text, *statement.arguments(values_of(entity)))

    async def team(self, unit: Unit | None = None) -> Team:
        """A team, in a unit of its own unless one is given."""
        number = next(self.numbers)
        if unit is None:
            unit = Unit(self.new_id(), f"Unit {number}")
            await self.add(books.units, unit)
        team = Team(self.new_id(), unit.id, f"Team {number}")
        await self.add(books.teams, team)
        return team

    async def book(self, team: Team | None = None, **given: Any) -> Book:
        """A book."""
        team = team or await self.team()
        name = given.pop("name", f"Book {next(self.numbers)}")
        book = Book(self.new_id(), team.id, team.unit_id, name, fold(name), date(2020, 1, 1), 1)
        await self.add(books.books, book)
        return book

    async def user(self, role: Role, team: Team | None = None, book: Book | None = None, **given: Any) -> SignedIn:
        """A user of a role, signed in; with a book, its member."""
        number = next(self.numbers)
        name = given.pop("name", f"User {number}")
        user = User(
            id=self.new_id(),
            email=f"user{number}@steward.example",
            name=name,
            sort_name=fold(name),
            picture_url=None,
            locale="en_IN",
            time_zone="Asia/Kolkata",
            role=role,
            unit_id=team.unit_id if team else None,
            team_id=team.id if team else None,
            client_id=given.pop("client_id", None),
            status=UserStatus.ACTIVE,
            created_at=self.now,
            email_verified_at=None,
            version=1,
        )
        await self.add(identity.users, msgspec.structs.replace(user, **given))
        await self.add(identity.credentials, Credential(user.id, self.services.passwords.hash(PASSWORD)))
        if book:
            await self.membership(book, user)
        return await self.session(user, book)

    async def session(self, user: User, book: Book | None = None, **given: Any) -> SignedIn:
        """A further session of a user."""
        now = self.now
        session = Session(
            id=self.new_id(),
            user_id=user.id,
            created_at=now,
            expires_at=now + timedelta(days=7),
            revoked_at=None,
            last_used_at=now,
            idle_until=now + timedelta(days=7),
            authenticated_at=now,
            second_factor=False,
            device="a test",
            address="127.0.0.1",
        )
        session = msgspec.structs.replace(session, **given)
        await self.add(identity.sessions, session)
        token, _ = self.services.tokens.access(user.id, session.id, now)
        return SignedIn(user, session, token, book)

    async def membership(self, book: Book, user: User, **given: Any) -> Membership:
        """A membership that has begun and goes on."""
        made = Membership(self.new_id(), book.id, user.id, MembershipKind.ADVISOR, date(2020, 1, 1), None, 1)
        made = msgspec.structs.replace(made, **given)
        await self.add(books.memberships, made)
        return made

    async def advisor(self, clients: int = 0, portfolios: int = 0, team: Team | None = None) -> SignedIn:
        """An advisor with a book of its own, and clients in it, each with portfolios."""
        team = team or await self.team()
        book = await self.book(team)
        advisor = await self.user(Role.ADVISOR, team, book)
        for _ in range(clients):
            client = await self.client(book)
            for _ in range(portfolios):
                await self.portfolio(client)
        return advisor

    async def client(self, book: Book, **given: Any) -> Client:
        """A verified client."""
        name = given.pop("name", f"Client {next(self.numbers)}")
        client = Client(
            id=self.new_id(),
            book_id=book.id,
            household_id=None,
            kind=ClientKind.INDIVIDUAL,
            name=name,
            sort_name=fold(name),
            email=None,
            phone=None,
            date_of_birth=date(1980, 2, 29),
            segment=Segment.AFFLUENT,
            status=ClientStatus.ACTIVE,
            risk_profile=RiskProfile.MODERATE,
            kyc_status=KycStatus.VERIFIED,
            kyc_expires_on=date(2030, 1, 1),
            currency="INR",
            tags=(),
            created_at=self.now,
            updated_at=self.now,
            version=1,
        )
        client = msgspec.structs.replace(client, **given)
        await self.add(clients.clients, client)
        profile = ClientProfile(client.id, "", Channel.EMAIL, "en", do_not_disturb=False)
        await self.add(clients.client_profiles, profile)
        words = [(client.id, word, client.book_id) for word in words_of(client)]
        await self.connection.copy_records_to_table("client_words", records=words)
        return client

    async def portfolio(self, client: Client, **given: Any) -> Portfolio:
        """An open portfolio."""
        number = next(self.numbers)
        name = given.pop("name", f"Portfolio {number}")
        portfolio = Portfolio(
            id=self.new_id(),
            client_id=client.id,
            book_id=client.book_id,
            name=name,
            sort_name=fold(name),
            account_number=f"ACC-{number:06}",
            base_currency="INR",
            benchmark=None,
            opened_on=date(2024, 1, 1),
            status=PortfolioStatus.OPEN,
            version=1,
        )
        portfolio = msgspec.structs.replace(portfolio, **given)
        await self.add(portfolios.portfolios, portfolio)
        return portfolio

    async def instrument(self, symbol: str, **given: Any) -> Instrument:
        """An instrument without prices."""
        number = next(self.numbers)
        instrument = Instrument(
            id=self.new_id(),
            symbol=symbol,
            isin=f"INE{number:08}1",
            name=symbol.title(),
            sort_name=fold(symbol),
            asset_class=AssetClass.EQUITY,
            sector="Financials",
            exchange="XNSE",
            currency="INR",
            lot_size=Decimal(1),
            status=InstrumentStatus.ACTIVE,
            kind=InstrumentKind.SHARE,
            tick_size=Decimal("0.05"),
            risk=RiskLevel.HIGH,
        )
        instrument = msgspec.structs.replace(instrument, **given)
        await self.add(instruments.instruments, instrument)
        return instrument

    async def price(self, instrument: Instrument, on: date, close: str) -> None:
        """A closing price."""
        await self.add(instruments.prices, Price(instrument.id, on, Decimal(close)))

    async def rate(self, currency: str, on: date, usd: str) -> None:
        """What one unit of a currency is worth in US dollars."""
        await self.add(instruments.fx_rates, FxRate(currency, on, Decimal(usd)))

    async def viewer(self, signed_in: SignedIn) -> Viewer:
        """The viewer that a user's requests come from."""
        return await self.services.doors.read(None, identity.Identities.viewer, signed_in.session.id, self.now)
