"""Clients, what is stored beside them, and the words they are found by."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
    any_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.clients import (
    Channel,
    Client,
    ClientKind,
    ClientProfile,
    ClientStatus,
    KycStatus,
    RiskProfile,
    Segment,
    TaxId,
)
from domain.parties import Party, PartyRole
from domain.text import words
from persistence.identity import users
from persistence.listing import Filter, Listing, one_of, plain
from persistence.metadata import MOMENT, TEXTS, UUIDS, enum_column, table
from persistence.portfolios import portfolios
from persistence.repository import Listed, by_id, by_ids
from persistence.scope import by_book, through
from persistence.sql import columns

clients = table(
    "clients",
    by_book(client="id"),
    Column("id", Uuid, primary_key=True),
    Column("book_id", Uuid, ForeignKey("books.id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("households.id")),
    *enum_column("kind", ClientKind),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("email", Text),
    Column("phone", Text),
    Column("date_of_birth", Date),
    *enum_column("segment", Segment),
    *enum_column("status", ClientStatus),
    *enum_column("risk_profile", RiskProfile, nullable=True),
    *enum_column("kyc_status", KycStatus),
    Column("kyc_expires_on", Date),
    Column("currency", Text, nullable=False),
    Column("tags", TEXTS, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    Column("version", Integer, nullable=False),
    # What carries the book's id along refers to both.
    UniqueConstraint("id", "book_id"),
    # A list in its order for those who see everything, and for those who see some books.
    Index(None, "sort_name", "id"),
    Index(None, "book_id", "sort_name", "id"),
    Index(None, "created_at", "id"),
    Index(None, "book_id", "created_at", "id"),
    Index(None, "updated_at", "id"),
    Index(None, "book_id", "updated_at", "id"),
    Index(None, "household_id"),
)

client_profiles = table(
    "client_profiles",
    through("clients", "id", staff=True),
    Column("id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True),
    Column("notes", Text, nullable=False),
    *enum_column("channel", Channel),
    Column("language", Text, nullable=False),
    Column("do_not_disturb", Boolean, nullable=False),
)

client_tax_ids = table(
    "client_tax_ids",
    through("clients", "id"),
    Column("id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("masked", Text, nullable=False),
)

client_parties = table(
    "client_parties",
    through("clients", "client_id"),
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    *enum_column("role", PartyRole),
    Column("name", Text, nullable=False),
    Column("date_of_birth", Date),
    Column("relationship", Text),
    Column("share", Numeric(7, 4)),
    Index(None, "client_id"),
)

# Search by the beginnings of words, as ranges: comparisons of text are leakproof, so the index serves under the
# policy, where LIKE and full text would not.
client_words = table(
    "client_words",
    by_book(),
    Column("client_id", Uuid, primary_key=True),
    Column("word", Text, primary_key=True),
    Column("book_id", Uuid, nullable=False),
    ForeignKeyConstraint(
        ["client_id", "book_id"], ["clients.id", "clients.book_id"], onupdate="CASCADE", ondelete="CASCADE"
    ),
    Index(None, "word", "client_id"),
)

PARTIES = (
    select(*columns(Party, client_parties))
    .where(client_parties.c.client_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(client_parties.c.id)
)
# An end client's sign-in is a history too: what it did stands in the audit trail under its user.
HAS_HISTORY = select(
    exists().where(portfolios.c.client_id == bindparam("client_id", type_=Uuid))
    | exists().where(users.c.client_id == bindparam("client_id", type_=Uuid))
)
FORGET_WORDS = delete(client_words).where(client_words.c.client_id == bindparam("client_id", type_=Uuid))
LEARN_WORDS = insert(client_words).from_select(
    ["client_id", "book_id", "word"],
    select(
        bindparam("client_id", type_=Uuid),
        bindparam("book_id", type_=Uuid),
        func.unnest(bindparam("words", type_=TEXTS)),
    ),
)
SET_TAX_ID = (
    insert_or_update(client_tax_ids)
    .values(id=bindparam("id"), sealed=bindparam("sealed"), masked=bindparam("masked"))
    .on_conflict_do_update(index_elements=["id"], set_={"sealed": bindparam("sealed"), "masked": bindparam("masked")})
)


def words_of(client: Client) -> list[str]:
    """What a client is found by."""
    return sorted(words(client.name, client.email, client.phone, *client.tags))


def _found_by(text: str) -> Mapping[str, Any] | None:
    """Each word of a search as a range of words that begin with it; a search without words finds everybody."""
    if not (starts := sorted(words(text))):
        return None
    return {"word_starts": starts, "word_ends": [start + "\U0010ffff" for start in starts], "word_count": len(starts)}


def _tagged(text: str) -> Mapping[str, Any]:
    """A tag as it is stored."""
    return {"tag": " ".join(text.split()).lower()}


def _matches_text() -> ColumnElement[bool]:
    start = (
        func.unnest(bindparam("word_starts", type_=TEXTS), bindparam("word_ends", type_=TEXTS))
        .table_valued("first", "last", name="wanted")
        .render_derived()
    )
    found = (
        select(client_words.c.client_id)
        .select_from(start.join(client_words, client_words.c.word.between(start.c.first, start.c.last)))
        .group_by(client_words.c.client_id)
        .having(func.count(start.c.first.distinct()) == bindparam("word_count", type_=Integer))
    )
    return clients.c.id.in_(found)


class Clients(Listed[Client]):
    """Clients, as far as the viewer sees them."""

    entity = Client
    table = clients
    listing = Listing(
        Client,
        clients,
        orders={
            "NAME": clients.c.sort_name,
            "CREATED_AT": clients.c.created_at,
            "UPDATED_AT": clients.c.updated_at,
        },
        filters=dict(
            [
                ("text", Filter(_matches_text, _found_by)),
                one_of("book_ids", clients.c.book_id, UUIDS),
                plain("household_id", lambda: clients.c.household_id == bindparam("household_id")),
                one_of("kinds", clients.c.kind, TEXTS),
                one_of("segments", clients.c.segment, TEXTS),
                one_of("statuses", clients.c.status, TEXTS),
                one_of("risk_profiles", clients.c.risk_profile, TEXTS),
                one_of("kyc_statuses", clients.c.kyc_status, TEXTS),
                plain("kyc_expires_before", lambda: clients.c.kyc_expires_on < bindparam("kyc_expires_before")),
                ("tag", Filter(lambda: bindparam("tag", type_=Text) == any_(clients.c.tags), _tagged)),
            ]
        ),
        parent="household_id",
    )

    async def profiles(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[ClientProfile]:
        """Notes and preferences of these clients."""
        return await self.many(ClientProfile, by_ids(ClientProfile, client_profiles), viewer, keys=client_ids)

    async def profile(self, viewer: Viewer, client_id: UUID) -> ClientProfile:
        """Notes and preferences of a client; raises NotFound."""
        return await self.first(ClientProfile, by_id(ClientProfile, client_profiles), viewer, id=client_id)

    async def tax_ids(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[TaxId]:
        """Tax ids of these clients."""
        return await self.many(TaxId, by_ids(TaxId, client_tax_ids), viewer, keys=client_ids)

    async def parties(self, viewer: Viewer, party_ids: Sequence[UUID]) -> list[Party]:
        """These parties."""
        return await self.many(Party, by_ids(Party, client_parties), viewer, keys=party_ids)

    async def parties_of(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[Party]:
        """All parties of these clients, in the order they were given in."""
        return await self.many(Party, PARTIES, viewer, keys=client_ids)

    async def has_history(self, client_id: UUID) -> bool:
        """Whether the client has a portfolio, or a user of its own."""
        return bool((await self.lent.rows(HAS_HISTORY, {"client_id": client_id}))[0][0])

    async def take_on(self, client: Client, profile: ClientProfile) -> None:
        """Store a new client, its profile, and its words."""
        await self.insert(clients, client)
        await self.insert(client_profiles, profile)
        await self._learn(client)

    async def replace(self, before: Client, after: Client) -> Client:
        """Store a changed client and its words; refuses STALE_VERSION."""
        await self.replace_row(clients, before, after)
        if words_of(before) != words_of(after):
            await self.lent.rows(FORGET_WORDS, {"client_id": after.id})
            await self._learn(after)
        return after

    async def _learn(self, client: Client) -> None:
        values = {"client_id": client.id, "book_id": client.book_id, "words": words_of(client)}
        await self.lent.rows(LEARN_WORDS, values)

    async def replace_profile(self, before: ClientProfile, after: ClientProfile) -> None:
        """Store changed notes and preferences; the client's row lock guards them."""
        await self.overwrite(client_profiles, before, after)

    async def replace_parties(self, before: Sequence[Party], after: Sequence[Party]) -> None:
        """Store another set of parties."""
        for party in before:
            await self.delete(client_parties, party)
        for party in after:
            await self.insert(client_parties, party)

    async def set_tax_id(self, tax_id: TaxId) -> None:
        """Store or replace a tax id."""
        before = await self.lent.many(TaxId, by_id(TaxId, client_tax_ids), {"id": tax_id.id})
        await self.lent.rows(SET_TAX_ID, {"id": tax_id.id, "sealed": tax_id.sealed, "masked": tax_id.masked})
        self.record(before[0] if before else None, tax_id)

    async def remove_tax_id(self, client_id: UUID) -> None:
        """Delete a client's tax id, if it has one."""
        for tax_id in await self.lent.many(TaxId, by_id(TaxId, client_tax_ids), {"id": client_id}):
            await self.delete(client_tax_ids, tax_id)

    async def remove(self, client: Client) -> None:
        """Delete a client and what is stored beside it."""
        await self.delete(clients, client)
