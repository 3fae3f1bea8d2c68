"""Loading the demo firm: one transaction of COPY as the tables' owner, so that a broken load leaves nothing behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from io import BytesIO
from itertools import islice
from typing import Any, Final

import msgspec
from asyncpg import Connection, Record
from sqlalchemy import Table

from domain.access import Role
from domain.books import Book, Membership, Team, Unit
from domain.clients import Client, ClientProfile, TaxId
from domain.demo.days import Days
from domain.demo.firm import Firm, Piece
from domain.demo.groups import SIZE
from domain.demo.notices import News, guide_news, notices, order_news
from domain.demo.orders import OrderStory
from domain.demo.people import Dossier
from domain.entities import Entity, IdMaker
from domain.households import Household
from domain.identity import Credential, Passwords, User
from domain.instruments import FxRate, Instrument, Price
from domain.ledger import Transaction
from domain.notifications import Notification, user_stream
from domain.orders import WORKING, Fill, Order
from domain.parties import Party
from domain.portfolios import Portfolio, Target
from domain.positions import CashBalance, Lot, Position
from persistence import (
    books,
    clients,
    events,
    households,
    identity,
    instruments,
    notifications,
    orders,
    paper_broker,
    portfolios,
    positions,
)
from persistence.audit import audit_events
from persistence.clients import words_of
from persistence.database import OWNER
from persistence.demo_orders import at_broker, fills_at_broker, told_of
from persistence.events import KEPT_DAYS, Event
from persistence.keyring import KeyRing, seal_with
from persistence.paper_broker import PaperFill, PaperOrder
from persistence.setup import SetupError, connect
from persistence.tables import metadata
from persistence.transactions import transactions
from persistence.vault import person_keys, sealed_keys

# About 250 portfolios and 7,500 entries at a time: enough for COPY to be worth it, and a few megabytes.
GROUPS_AT_ONCE: Final = 25
SHOWN: Final = (Role.ADMIN, Role.BU_MANAGER, Role.SUPERVISOR, Role.ADVISOR, Role.CLIENT)

_TABLES: Final[Mapping[type[Entity], Table]] = {
    Book: books.books,
    CashBalance: positions.cash_balances,
    Client: clients.clients,
    ClientProfile: clients.client_profiles,
    Credential: identity.credentials,
    Event: events.events,
    Fill: orders.fills,
    FxRate: instruments.fx_rates,
    Household: households.households,
    Instrument: instruments.instruments,
    Lot: positions.lots,
    Membership: books.memberships,
    Notification: notifications.notifications,
    Order: orders.orders,
    PaperFill: paper_broker.paper_fills,
    PaperOrder: paper_broker.paper_orders,
    Party: clients.client_parties,
    Portfolio: portfolios.portfolios,
    Position: positions.positions,
    Price: instruments.prices,
    Target: portfolios.targets,
    TaxId: clients.client_tax_ids,
    Team: books.teams,
    Transaction: transactions,
    Unit: books.units,
    User: identity.users,
}


# The first user of each shown role, in the order of the roles: none in a database that no demo was loaded into.
SIGN_INS: Final = """
select email, name, role from (
    select distinct on (role) email, name, role from users
    where exists (select from audit_events where action = 'demo.load')
    order by role, id
) shown where role = any($1) order by array_position($1, role)
"""


LARGE: Final = (transactions, positions.positions, positions.lots, orders.orders, orders.fills)
REFERENCES: Final = """
select format('alter table %s drop constraint %I', conrelid::regclass, conname) as away,
    format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as back
from pg_constraint
where contype = 'f' and conrelid = any($1::text[]::regclass[])
"""


# A JSON array without its brackets is a line of CSV with another escape, as long as its texts hold no control
# characters; msgspec writes it in a third of the time that the driver's own encoding takes.
LINES: Final[Mapping[str, Any]] = {"format": "csv", "null": "null", "escape": "\\"}
_JSON: Final = msgspec.json.Encoder()


class SignIn(msgspec.Struct, frozen=True):
    """Somebody who can sign in to the demo firm."""

    email: str
    name: str
    role: Role


class DemoSummary(msgspec.Struct, frozen=True):
    """How many rows each table got, and sign-ins that see different clients, from all of them to one household."""

    counts: Mapping[str, int]
    sign_ins: tuple[SignIn, ...]


async def is_empty(url: str) -> bool:
    """Whether the database has no users yet; raises SetupError if it cannot be reached."""
    connection = await _connect(url)
    try:
        return await _has_no_users(connection)
    finally:
        await connection.close()


async def sign_ins(url: str) -> list[SignIn]:
    """The sign-ins of the demo firm, if that is what the database holds; raises SetupError if it is out of reach."""
    connection = await _connect(url)
    try:
        return [SignIn(row["email"], row["name"], Role(row["role"])) for row in await connection.fetch(SIGN_INS, SHOWN)]
    finally:
        await connection.close()


async def load(
    url: str, *, clients: int, field_key: bytes, passwords: Passwords, now: datetime, password: str
) -> DemoSummary:
    """Make the demo firm in an empty database, all of it or nothing.

    Everybody has the one `password`; the firm's history ends before `now`. Raises SetupError if the database has
    users, or cannot be reached.
    """
    if clients < SIZE:
        raise SetupError(f"The demo firm has at least {SIZE} clients.")
    hashed = await asyncio.to_thread(passwords.hash, password)
    connection = await _connect(url)
    try:
        async with connection.transaction():
            # Two loaders at once wait for each other here, and the second finds users.
            await connection.execute("lock table users in share row exclusive mode")
            if not await _has_no_users(connection):
                raise SetupError("The database is not empty: the demo firm is made only where there are no users.")
            async with _references_checked_at_the_end(connection):
                summary = await _Loader(connection, Firm(clients, Days(now)), field_key, hashed).load(now)
        names = ", ".join(table.name for table in metadata.sorted_tables)
        await connection.execute(f"analyze {names}")
        return summary
    finally:
        await connection.close()


async def _some(pieces: Iterator[Piece]) -> list[Piece]:
    """The next groups, leaving a turn to the driver after each; none at the end."""
    made = []
    for piece in islice(pieces, GROUPS_AT_ONCE):
        made.append(piece)
        await asyncio.sleep(0)
    return made


@asynccontextmanager
async def _references_checked_at_the_end(connection: "Connection[Record]") -> AsyncIterator[None]:
    """Take the ledger's references away and put them back, which checks all rows at once.

    Row by row, the checks cost as much as all else. It is one transaction, so nobody ever sees the tables without.
    """
    references = await connection.fetch(REFERENCES, [table.name for table in LARGE])
    for row in references:
        await connection.execute(row["away"])
    yield
    for row in references:
        await connection.execute(row["back"])


async def _connect(url: str) -> "Connection[Record]":
    connection = await connect(url)
    await connection.execute(f"set role {OWNER}")
    return connection


async def _has_no_users(connection: "Connection[Record]") -> bool:
    return bool(await connection.fetchval("select not exists (select from users)"))


class _Loader:
    """Copies a firm into the tables, in the order of their references."""

    def __init__(self, connection: "Connection[Record]", firm: Firm, field_key: bytes, password_hash: str) -> None:
        self._connection = connection
        self._firm = firm
        self._field_key = field_key
        self._password_hash = password_hash
        self._counts: Counter[str] = Counter()
        self._news: list[News] = []

    async def load(self, now: datetime) -> DemoSummary:
        """Copy everything."""
        await self._load_organisation()
        await self._load_market()
        first = await self._load_clients()
        client = first.dossiers[0].client
        end_client = self._firm.organisation.end_client(client.id, client.name)
        await self._load_users([end_client])
        await self._load_notifications(notices(self._firm, [*guide_news(self._firm, first), *self._news]))
        await self._finish(now)
        return DemoSummary(dict(self._counts), tuple(self._sign_ins(end_client)))

    async def _load_organisation(self) -> None:
        organisation = self._firm.organisation
        await self._copy(Unit, organisation.units)
        await self._copy(Team, organisation.teams)
        await self._copy(Book, organisation.books)
        await self._load_users(organisation.users)
        await self._copy(Membership, organisation.memberships())

    async def _load_users(self, users: Sequence[User]) -> None:
        await self._copy(User, users)
        # A service account does not sign in with a password.
        people = [user for user in users if user.role is not Role.SERVICE]
        await self._copy(Credential, [Credential(user.id, self._password_hash) for user in people])

    async def _load_market(self) -> None:
        market = self._firm.market
        await self._copy(Instrument, market.by_id.values())
        await self._copy(Price, market.prices())
        await self._copy(FxRate, market.rates())

    async def _load_clients(self) -> Piece:
        """Copy clients and all they have, some groups at a time; gives the first group."""
        pieces = self._firm.pieces()
        chunk = await _some(pieces)
        first = chunk[0]
        while chunk:
            await self._load_people(chunk)
            # While PostgreSQL checks what these ledgers refer to, the next ones are made.
            _, chunk = await asyncio.gather(self._load_accounts(chunk), _some(pieces))
        return first

    async def _load_people(self, chunk: Sequence[Piece]) -> None:
        await self._copy(Household, [piece.household for piece in chunk if piece.household])
        await self._load_dossiers([dossier for piece in chunk for dossier in piece.dossiers])
        accounts = [account for piece in chunk for account in piece.accounts]
        await self._copy(Portfolio, [account.portfolio for account in accounts])
        await self._copy(Target, [target for account in accounts for target in account.targets])

    async def _load_accounts(self, chunk: Sequence[Piece]) -> None:
        await self._load_ledgers(chunk)
        await self._load_orders([story for piece in chunk for account in piece.accounts for story in account.orders])
        self._news += [news for piece in chunk for news in order_news(self._firm, piece)]

    async def _load_ledgers(self, chunk: Sequence[Piece]) -> None:
        accounts = [account for piece in chunk for account in piece.accounts]
        await self._copy(Transaction, [entry for account in accounts for entry in account.entries])
        await self._copy(Position, [position for account in accounts for position in account.positions])
        await self._copy(Lot, [lot for account in accounts for lot in account.lots])
        await self._copy(CashBalance, [balance for account in accounts for balance in account.cash])

    async def _load_dossiers(self, dossiers: Sequence[Dossier]) -> None:
        people = [dossier.client for dossier in dossiers]
        await self._copy(Client, people)
        await self._copy(ClientProfile, [dossier.profile for dossier in dossiers])
        await self._copy(Party, [party for dossier in dossiers for party in dossier.parties])
        found_by = [(client.id, client.book_id, word) for client in people for word in words_of(client)]
        await self._copy_rows(clients.client_words, ("client_id", "book_id", "word"), found_by)
        await self._load_tax_ids(dossiers)

    async def _load_tax_ids(self, dossiers: Sequence[Dossier]) -> None:
        ring = KeyRing(self._field_key)
        keys = sealed_keys(ring, [dossier.client.id for dossier in dossiers])
        stored = [(person_id, sealed, ring.newest) for person_id, (_, sealed) in keys.items()]
        await self._copy_rows(person_keys, ("person_id", "sealed_key", "key_id"), stored)
        tax_ids = []
        for dossier in dossiers:
            person_id, text = dossier.client.id, dossier.tax_id
            sealed = seal_with(keys[person_id][0], text.encode(), person_id)
            tax_ids.append(TaxId(person_id, sealed, "•" * (len(text) - 4) + text[-4:]))
        await self._copy(TaxId, tax_ids)

    async def _load_orders(self, stories: Sequence[OrderStory]) -> None:
        await self._copy(Order, [story.order for story in stories])
        await self._copy(Fill, [fill for story in stories for fill in story.fills])
        working = [story for story in stories if story.order.status in WORKING]
        await self._copy(PaperOrder, [at_broker(story.order) for story in working])
        await self._copy(PaperFill, [fill for story in working for fill in fills_at_broker(story)])
        told = list(told_of(stories, self._firm.days.now - timedelta(days=KEPT_DAYS)))
        await self._copy(Event, told)
        last = Counter(event.stream for event in told)
        await self._copy_rows(events.event_streams, ("stream", "last"), list(last.items()))

    async def _load_notifications(self, told: Sequence[Notification]) -> None:
        await self._copy(Notification, told)
        await self._copy(
            Event, [Event(user_stream(row.user_id), row.seq, row.kind, row.id, 1, row.occurred_at) for row in told]
        )
        last = Counter(user_stream(row.user_id) for row in told)
        await self._copy_rows(events.event_streams, ("stream", "last"), list(last.items()))

    async def _finish(self, now: datetime) -> None:
        """Let the firm's count of accounts go on after the demo's, and leave a trace of the load."""
        accounts = self._counts["portfolios"]
        await self._connection.execute("select setval($1, $2)", portfolios.ACCOUNT_NUMBERS.name, 10_000_000 + accounts)
        row = {
            "id": IdMaker().make(now),
            "occurred_at": now,
            "request_id": "demo",
            "action": "demo.load",
            "object_type": "Firm",
            "after": msgspec.json.encode(self._counts).decode(),
        }
        await self._copy_rows(audit_events, tuple(row), [tuple(row.values())])

    def _sign_ins(self, end_client: User) -> Iterator[SignIn]:
        shown = set(SHOWN)
        for user in [*self._firm.organisation.users, end_client]:
            if user.role in shown:
                shown.discard(user.role)
                yield SignIn(user.email, user.name, user.role)

    async def _copy(self, entity: type[Entity], rows: Iterable[Entity]) -> None:
        table, columns = _TABLES[entity], entity.__struct_fields__
        values = list(map(msgspec.structs.astuple, rows))
        if table not in LARGE:
            await self._copy_rows(table, columns, values)
            return
        lines = BytesIO(b"\n".join([_JSON.encode(row)[1:-1] for row in values]))
        await self._connection.copy_to_table(table.name, source=lines, columns=columns, **LINES)
        self._counts[table.name] += len(values)

    async def _copy_rows(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        await self._connection.copy_records_to_table(table.name, columns=columns, records=rows)
        self._counts[table.name] += len(rows)
