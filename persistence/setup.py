"""Set-up of a database: the roles, which belong to the cluster, and the revisions, which belong to the database."""

import asyncio
from pathlib import Path
from typing import Final

import asyncpg
from asyncpg import Connection, Record

from persistence.database import driver_arguments

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"
OLDEST: Final = 160_000
# Any number that no other program takes for its advisory lock: "steward" on a telephone's keys.
LOCK: Final = 7_839_273

# Roles belong to the cluster, so they are made here and never by a revision; the names are `persistence/database.py`'s.
ROLES: Final = """
do $$
declare
    name text;
begin
    foreach name in array array['steward_owner', 'steward_app'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
        if not pg_has_role(current_user, name, 'member') then
            execute format('grant %I to %I', name, current_user);
        end if;
    end loop;
end $$;
grant usage, create on schema public to steward_owner;
grant usage on schema public to steward_app;
"""


class SetupError(Exception):
    """The database cannot be used, in one sentence for whoever runs the server."""


def head() -> str:
    """The newest revision of the code."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


async def current(connection: "Connection[Record]") -> str | None:
    """The revision of the database, if it has one."""
    if await connection.fetchval("select to_regclass('alembic_version')") is None:
        return None
    found = await connection.fetchval("select version_num from alembic_version")
    return str(found) if found is not None else None


async def connect(url: str) -> "Connection[Record]":
    """A connection as the login role; raises SetupError if there is none to be had."""
    try:
        return await asyncpg.connect(**driver_arguments(url), timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # The driver's own words may hold the address, and never the password.
        raise SetupError(f"The database cannot be reached: {str(error) or type(error).__name__}") from error


async def migrate(url: str) -> bool:
    """Bring a database to the newest revision, making the roles on the way; tells whether anything was to be done."""
    connection = await connect(url)
    try:
        if connection.get_server_version().major * 10_000 < OLDEST:
            raise SetupError("PostgreSQL 16 or newer is needed.")
        # Two servers that start at once wait for each other here.
        await connection.execute(f"select pg_advisory_lock({LOCK})")
        if await current(connection) == head():
            return False
        await connection.execute(ROLES)
        await asyncio.to_thread(run_alembic, url, "head")
    except asyncpg.InsufficientPrivilegeError as error:
        raise SetupError(f"The database role may not set the database up: {error}") from error
    else:
        return True
    finally:
        await connection.close()


def run_alembic(url: str, revision: str) -> None:
    """Move to a revision, up or down; runs an event loop of its own."""
    # alembic and the engine it runs on take half a second to import, which a start without migrations saves.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    move = command.downgrade if revision == "base" else command.upgrade
    move(config, revision)
