import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from asyncpg import Connection, Record
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from domain.access import Role
from graph.context import Services
from graph.ids import id_of
from persistence.database import driver_arguments
from persistence.embedded import program
from persistence.scope import Scope, policies
from persistence.setup import run_alembic
from persistence.sql import DIALECT
from persistence.tables import metadata
from tests.conftest import Databases
from tests.factories import ledger, people
from tests.factories.firm import Make
from tests.support.gql import Gql

TABLES = sorted(metadata.tables)

POLICIES = """
select tablename, policyname, permissive, roles::text, cmd, qual, with_check
from pg_policies where schemaname = 'public' order by 1, 2
"""
CONSTRAINTS = """
select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace and contype = any($1::"char"[]) order by 1, 2
"""
INDEXES = "select tablename, indexdef from pg_indexes where schemaname = 'public' order by indexname"
COLUMNS = """
select table_name, column_name, data_type, is_nullable, numeric_precision, numeric_scale
from information_schema.columns join information_schema.tables using (table_schema, table_name)
where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'alembic_version' order by 1, 2
"""
# A table that anybody could read: its owner has forgotten whose rows it holds. A view that asks as its invoker is under
# the policies of its tables.
UNGUARDED = """
select c.relname from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'm', 'v') and c.relname <> 'alembic_version'
    and not (c.relkind = 'v' and coalesce('security_invoker=true' = any(c.reloptions), false))
    and not (c.relrowsecurity and exists (select from pg_policy where polrelid = c.oid))
order by 1
"""


# What a policy calls is the migrations' own: here only its name stands in the condition.
ASKED_BY_POLICIES = (
    "owns_conversation(conversation uuid) returns boolean",
    "takes_part(conversation uuid) returns boolean",
)


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["Connection[Record]"]:
    """A connection as the owner of the tables, to a migrated database."""
    connection = await asyncpg.connect(**driver_arguments(database_url), server_settings={"role": "steward_owner"})
    yield connection
    await connection.close()


@pytest.fixture
async def application(database_url: str) -> AsyncIterator["Connection[Record]"]:
    """A connection as the server has it, to which no viewer was told."""
    connection = await asyncpg.connect(**driver_arguments(database_url), server_settings={"role": "steward_app"})
    yield connection
    await connection.close()


@pytest.fixture
async def declared(databases: Databases) -> AsyncIterator["Connection[Record]"]:
    """A database made of the declarations in persistence/ alone, without any migration."""
    async with databases.clone("template0") as url:
        connection = await asyncpg.connect(**driver_arguments(url))
        for table in metadata.sorted_tables:
            await connection.execute(str(CreateTable(table).compile(dialect=DIALECT)))
            for index in table.indexes:
                await connection.execute(str(CreateIndex(index).compile(dialect=DIALECT)))
        for function in ASKED_BY_POLICIES:
            await connection.execute(f"create function {function} language sql return true")
        for name in TABLES:
            await connection.execute(";".join(policies(name, metadata.tables[name].info["scope"])))
        yield connection
        await connection.close()


def dump(url: str) -> str:
    """The schema as PostgreSQL itself writes it, policies, grants, triggers and functions included."""
    address = driver_arguments(url)
    command = [
        str(program("pg_dump")),
        "--schema-only",
        f"--host={address['host']}",
        f"--port={address['port']}",
        f"--username={address['user']}",
        address["database"],
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Newer versions guard each dump with a random word.
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


async def test_a_migration_can_be_undone_and_done_again(databases: Databases) -> None:
    async with databases.clone() as url:
        up = await asyncio.to_thread(dump, url)
        await asyncio.to_thread(run_alembic, url, "base")
        down = await asyncio.to_thread(dump, url)
        await asyncio.to_thread(run_alembic, url, "head")
        again = await asyncio.to_thread(dump, url)
    assert up.count("CREATE POLICY") == 4 * len(TABLES)
    assert up == again
    assert re.findall(r"^CREATE (?:TABLE|FUNCTION|SEQUENCE|POLICY|TRIGGER) (\S+)", down, re.MULTILINE) == [
        "public.alembic_version"
    ]


async def test_alembic_finds_no_difference_between_code_and_database(database_url: str) -> None:
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
    await engine.dispose()
    assert differences == []


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [(POLICIES, []), (CONSTRAINTS, [[b"c", b"p", b"u"]]), (INDEXES, []), (COLUMNS, [])],
    ids=["policies", "constraints", "indexes", "columns"],
)
async def test_the_database_holds_what_the_code_declares(
    owner: "Connection[Record]", declared: "Connection[Record]", statement: str, arguments: list[Any]
) -> None:
    there = [tuple(row) for row in await owner.fetch(statement, *arguments)]
    meant = [tuple(row) for row in await declared.fetch(statement, *arguments)]
    assert there
    assert [row for row in there if row[0] != "alembic_version"] == meant


async def test_every_table_says_whose_rows_it_holds(owner: "Connection[Record]") -> None:
    for name in TABLES:
        assert isinstance(metadata.tables[name].info["scope"], Scope), name
    assert [row[0] for row in await owner.fetch(UNGUARDED)] == []


@pytest.mark.parametrize(
    "forgetful",
    [
        "create table secrets (id uuid)",
        "create table secrets (id uuid); alter table secrets enable row level security",
        "create view secrets as select * from clients",
    ],
)
async def test_a_table_without_a_policy_is_found(owner: "Connection[Record]", forgetful: str) -> None:
    await owner.execute(forgetful)
    assert [row[0] for row in await owner.fetch(UNGUARDED)] == ["secrets"]


async def test_a_policy_that_the_code_does_not_declare_is_found(
    owner: "Connection[Record]", declared: "Connection[Record]"
) -> None:
    await owner.execute("alter policy clients_see on clients using (true)")
    assert await owner.fetch(POLICIES) != await declared.fetch(POLICIES)


async def test_the_owner_alone_is_past_the_policies(owner: "Connection[Record]") -> None:
    rights = await owner.fetch("select rolname, rolsuper, rolbypassrls from pg_roles where rolname like 'steward\\_%'")
    assert sorted(tuple(row) for row in rights) == [("steward_app", False, False), ("steward_owner", False, False)]
    owners = await owner.fetch("select distinct tableowner from pg_tables where schemaname = 'public'")
    assert [row[0] for row in owners] == ["steward_owner"]


async def filled(make: Make) -> None:
    """At least one row in each table that a viewer could see."""
    advisor = await make.advisor(clients=1, portfolios=1)
    assert advisor.book
    portfolio = await make.portfolio(await make.client(advisor.book))
    await people.household(make, advisor.book)
    await ledger.deposit(make, portfolio, advisor.user)
    await ledger.position(make, portfolio, await make.instrument("INFY"))
    await ledger.cash(make, portfolio)


async def test_without_a_viewer_nothing_is_to_be_seen(application: "Connection[Record]", make: Make) -> None:
    await filled(make)
    seen = {name: await application.fetchval(f"select count(*) from {name}") for name in TABLES}  # noqa: S608 - our own names
    there = {name: await make.connection.fetchval(f"select count(*) from {name}") for name in TABLES}  # noqa: S608 - as above
    assert set(seen.values()) == {0}
    assert {name for name, count in there.items() if count} >= {"clients", "lots", "cash_balances", "transactions"}


async def test_the_ledger_takes_no_change_from_anybody(application: "Connection[Record]", make: Make) -> None:
    await filled(make)
    for change in (
        "update transactions set amount = 5",
        "update transactions set note = 'x'",
        "delete from transactions",
    ):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await make.connection.execute(change)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(change)


async def test_the_ledger_follows_its_client_to_another_book(make: Make, gql: Gql) -> None:
    admin = await make.user(Role.ADMIN)
    there, book = await make.book(), await make.book()
    client = await make.client(there, name="Asha Rao")
    portfolio = await make.portfolio(client)
    await ledger.deposit(make, portfolio, admin.user)
    await ledger.position(make, portfolio, await make.instrument("INFY"))
    await ledger.cash(make, portfolio)
    moved = await gql.as_(admin).change(
        "moveClient", "client { id }", clientId=id_of(client), bookId=id_of(book), version=1
    )
    assert moved["userErrors"] == []
    for table in ("clients", "client_words", "portfolios", "transactions", "positions", "cash_balances"):
        found = await make.connection.fetch(f"select distinct book_id from {table}")  # noqa: S608 - our own names
        assert [row[0] for row in found] == [book.id], table


async def test_the_audit_trail_takes_no_change_from_anybody(
    application: "Connection[Record]", make: Make, gql: Gql
) -> None:
    advisor = await make.advisor()
    assert advisor.book
    await gql.as_(advisor).change("createHousehold", "household { id }", bookId=id_of(advisor.book), name="Rao")
    assert await make.connection.fetchval("select count(*) from audit_events") == 1
    for change in ("update audit_events set action = ''", "delete from audit_events"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await make.connection.execute(change)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(change)


@pytest.mark.parametrize("role", [Role.ADVISOR, Role.CLIENT, Role.SERVICE])
async def test_a_viewer_cannot_write_rows_of_others(make: Make, services: Services, role: Role) -> None:
    mine, others = await make.book(), await make.book()
    client = await make.client(others)
    viewer = await make.viewer(await make.user(role, None, mine))
    async with services.doors.database.lend(viewer) as lent:
        added = "insert into households values (gen_random_uuid(), $1, 'x', 'x', 'INR', 1)"
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await lent.connection.execute(added, others.id)
        assert await lent.connection.execute("update clients set name = 'x'") == "UPDATE 0"
        assert await lent.connection.execute("delete from clients where id = $1", client.id) == "DELETE 0"
