"""Loading the demo firm: stored as its ledgers fold, by all constraints, or not at all."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import argon2
import asyncpg
import pytest
from asyncpg import Connection, Record
from sqlalchemy import func, select

from domain.access import Role
from domain.demo.days import Days
from domain.demo.firm import Firm
from domain.demo.listings import LISTINGS
from domain.entities import Entity
from domain.identity import Passwords
from domain.instruments import Instrument
from domain.ledger import Transaction, fold
from domain.notifications import user_stream
from domain.portfolios import Portfolio
from domain.positions import CashBalance, Lot, Position
from domain.transactions import cash_balance, folded
from persistence import demo
from persistence.database import OWNER, Database
from persistence.identity import Identities
from persistence.keyring import KeyRing
from persistence.setup import SetupError, connect
from persistence.sql import columns, compile_statement, read_all
from persistence.tables import metadata
from persistence.vault import Vault
from tests.conftest import Databases

FIELD_KEY = bytes(range(32))
PASSWORD = "a password for the demo"
SATURDAY = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
PASSWORDS = Passwords(argon2.PasswordHasher(1, 8, 1))


def load(url: str, clients: int) -> Any:
    return demo.load(url, clients=clients, field_key=FIELD_KEY, passwords=PASSWORDS, now=SATURDAY, password=PASSWORD)


async def owner(url: str) -> "Connection[Record]":
    connection = await connect(url)
    await connection.execute(f"set role {OWNER}")
    return connection


@pytest.fixture(scope="module")
async def small(databases: Databases) -> AsyncIterator[tuple[str, demo.DemoSummary]]:
    """A firm of 40 clients, for tests that only read."""
    async with databases.clone() as url:
        yield url, await load(url, 40)


@pytest.fixture
async def stored(small: tuple[str, demo.DemoSummary]) -> AsyncIterator["Connection[Record]"]:
    connection = await owner(small[0])
    yield connection
    await connection.close()


async def rows(connection: "Connection[Record]", entity: type[Entity], table: str) -> list[Any]:
    statement = compile_statement(select(*columns(entity, metadata.tables[table])))
    return read_all(entity, await connection.fetch(statement.text))


class Refolded(NamedTuple):
    """What ledgers come to."""

    positions: list[Position]
    lots: list[Lot]
    cash: list[CashBalance]


async def refolded(stored: "Connection[Record]", instruments: Mapping[UUID, Instrument]) -> Refolded:
    """What all stored ledgers come to."""
    ledgers: dict[UUID, list[Transaction]] = {}
    for entry in await rows(stored, Transaction, "transactions"):
        ledgers.setdefault(entry.portfolio_id, []).append(entry)
    found = Refolded([], [], [])
    for portfolio in await rows(stored, Portfolio, "portfolios"):
        holdings = fold(ledgers[portfolio.id])
        for instrument_id, holding in holdings.positions.items():
            position, held = folded(portfolio, instruments[instrument_id], holding)
            found.positions.append(position)
            found.lots.extend(held)
        found.cash.extend(cash_balance(portfolio, currency, amount) for currency, amount in holdings.cash.items())
    return found


async def test_what_is_stored_is_what_the_stored_ledgers_fold_to(stored: "Connection[Record]") -> None:
    instruments = {listing.instrument.id: listing.instrument for listing in LISTINGS}
    positions, lots, cash = await refolded(stored, instruments)
    assert set(await rows(stored, Position, "positions")) == set(positions)
    assert set(await rows(stored, Lot, "lots")) == set(lots)
    assert set(await rows(stored, CashBalance, "cash_balances")) == set(cash)
    assert all((positions, lots, cash))


async def test_the_ledger_is_stored_as_it_was_made(stored: "Connection[Record]") -> None:
    made = [account for piece in Firm(40, Days(SATURDAY)).pieces() for account in piece.accounts]
    entries = [entry for account in made for entry in account.entries]
    assert set(await rows(stored, Transaction, "transactions")) == set(entries)
    assert {entry.note for entry in entries} > {None, "Advisory fee"}


async def test_all_constraints_hold_after_the_load(stored: "Connection[Record]", database_url: str) -> None:
    asked = """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
        from pg_constraint where connamespace = 'public'::regnamespace order by 1, 2
    """
    untouched = await owner(database_url)
    assert await stored.fetch(asked) == await untouched.fetch(asked)
    await untouched.close()
    strange = """
        insert into lots select (jsonb_populate_record(lots, jsonb_build_object('id', $1::text, 'position_id', $1))).*
        from lots limit 1
    """
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await stored.execute(strange, "00000000-0000-7000-8000-000000000000")


async def test_the_summary_counts_what_is_there(
    small: tuple[str, demo.DemoSummary], stored: "Connection[Record]"
) -> None:
    for table, count in small[1].counts.items():
        counted = compile_statement(select(func.count()).select_from(metadata.tables[table]))
        assert await stored.fetchval(counted.text) == count, table
    assert small[1].counts["users"] == 24
    assert await stored.fetchval("select nextval('account_numbers')") == 10_000_001 + small[1].counts["portfolios"]


async def test_those_who_are_shown_can_sign_in_and_the_service_account_cannot(
    small: tuple[str, demo.DemoSummary],
) -> None:
    shown = {sign_in.role: sign_in.email for sign_in in small[1].sign_ins}
    assert shown[Role.ADMIN] == "admin@steward.example"
    assert shown[Role.SUPERVISOR] == "meera.joshi@steward.example"
    assert shown[Role.ADVISOR] == "asha.mehta@steward.example"
    database = await Database.open(small[0], size=1)
    async with database.lend(None, identity=True) as lent:
        identities = Identities(lent)
        for email in shown.values():
            account = await identities.account(email)
            assert account
            assert await PASSWORDS.matches(account.credential, PASSWORD), email
        program = await identities.account("custody@steward.example")
        assert program
        assert program.credential is None
    await database.close()


async def test_tax_ids_open_for_their_person(small: tuple[str, demo.DemoSummary], stored: "Connection[Record]") -> None:
    dossiers = [dossier for piece in Firm(40, Days(SATURDAY)).pieces() for dossier in piece.dossiers]
    sealed = {row["id"]: row for row in await stored.fetch("select id, sealed, masked from client_tax_ids")}
    database = await Database.open(small[0], size=1)
    async with database.lend(None, identity=True) as lent:
        vault = Vault(lent, KeyRing(FIELD_KEY))
        for dossier in dossiers:
            row = sealed[dossier.client.id]
            assert await vault.open(dossier.client.id, row["sealed"]) == dossier.tax_id
            assert row["masked"] == "•" * (len(dossier.tax_id) - 4) + dossier.tax_id[-4:]
    await database.close()
    assert dossiers[0].tax_id[3:5] == "PK"


async def test_notifications_are_numbered_as_their_streams_are(stored: "Connection[Record]") -> None:
    told = await stored.fetch(
        "select user_id, seq, id, kind::text, occurred_at, read_at from notifications order by 1, 2"
    )
    events = await stored.fetch(
        "select stream, seq, entity_id, kind, occurred_at from events where stream like 'user:%' order by 1, 2"
    )
    assert [(user_stream(row["user_id"]), *row[1:5]) for row in told] == [
        (row["stream"], row["seq"], row["entity_id"], row["kind"], row["occurred_at"]) for row in events
    ]
    streams: dict[str, list[int]] = {}
    for row in events:
        streams.setdefault(row["stream"], []).append(row["seq"])
    counted = await stored.fetch("select stream, last from event_streams where stream like 'user:%'")
    last = {row["stream"]: row["last"] for row in counted}
    assert streams == {stream: list(range(1, count + 1)) for stream, count in last.items()}
    assert {row["read_at"] is None for row in told} == {True, False}


async def test_a_database_with_users_is_left_alone(small: tuple[str, demo.DemoSummary]) -> None:
    assert not await demo.is_empty(small[0])
    with pytest.raises(SetupError, match="not empty"):
        await load(small[0], 40)


async def test_a_load_that_breaks_off_leaves_nothing_behind(database_url: str) -> None:
    connection = await owner(database_url)
    # What makes the load fail as its last rows are stored: an event of the same number.
    stream = user_stream(Firm(12, Days(SATURDAY)).organisation.user("Asha Mehta").id)
    await connection.execute("insert into events values ($1, 1, 'KYC_CHANGED', $2, 1, now())", stream, UUID(int=1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await load(database_url, 12)
    assert await demo.is_empty(database_url)
    assert await connection.fetchval("select count(*) from transactions") == 0
    await connection.execute("truncate events")
    await connection.close()
    assert (await load(database_url, 12)).counts["clients"] == 12


async def test_a_firm_of_fewer_than_six_clients_is_refused(database_url: str) -> None:
    with pytest.raises(SetupError, match="at least 6"):
        await load(database_url, 5)


@pytest.mark.soak
async def test_ten_thousand_clients_are_loaded(database_url: str) -> None:
    counts = (await load(database_url, 10_000)).counts
    assert (counts["clients"], counts["portfolios"], counts["transactions"]) == (10_000, 16_667, 500_010)
