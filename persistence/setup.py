"""Set-up of a database: the roles, which belong to the cluster, and the revisions, which belong to the database.

Also the business units and teams of the firm, which its operator names.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from asyncpg import Connection, Record
from sqlalchemy.exc import DBAPIError

from domain.books import Team, Unit
from domain.entities import IdMaker
from domain.text import invalid, named
from persistence.database import OWNER, driver_arguments

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"
OLDEST: Final = 160_000
# Any number that no other program takes for its advisory lock: "steward" on a telephone's keys.
LOCK: Final = 7_839_273
# Set-ups of other databases of the cluster that may come first; the last error is PostgreSQL's `tuple concurrently
# updated`.
MOST_RIVALS: Final = 5
_LOST_RACES: Final = (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError, asyncpg.InternalServerError)

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
        -- Whoever makes a role may hand it out, but not act as it before it is handed to themselves.
        if not pg_has_role(current_user, name, 'set') then
            execute format('grant %I to %I with set true, inherit false', name, current_user);
        end if;
    end loop;
end $$;
grant usage, create on schema public to steward_owner;
-- The queue's own schema, apart from the tables that the policies guard.
create schema if not exists queue;
grant usage, create on schema queue to steward_owner;
grant usage on schema public, queue to steward_app;
"""


ACTING: Final = """
select count(*) = 2 from pg_roles where rolname in ('steward_owner', 'steward_app') and pg_has_role(oid, 'set')
"""


ADD_UNIT: Final = "insert into units (id, name) values ($1, $2) on conflict (name) do nothing returning id"
ADD_TEAM: Final = "insert into teams (id, unit_id, name) values ($1, $2, $3) on conflict (name) do nothing returning id"
TRACE: Final = """
insert into audit_events (id, occurred_at, request_id, action, object_type, object_id, after)
values ($1, $2, 'command line', $3, $4, $5, $6)
"""


class SetupError(Exception):
    """The database cannot be used, in one sentence for whoever runs the server."""


def head() -> str:
    """The newest revision of the code."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


async def current(connection: "Connection[Record]") -> str | None:
    """The revision of the database, if it has one; read as the owner of the tables."""
    async with connection.transaction():
        await connection.execute(f"set local role {OWNER}")
        if await connection.fetchval("select to_regclass('public.alembic_version')") is None:
            return None
        found = await connection.fetchval("select version_num from public.alembic_version")
    return str(found) if found is not None else None


async def connect(url: str) -> "Connection[Record]":
    """A connection as the login role; raises SetupError if there is none to be had."""
    try:
        return await asyncpg.connect(**driver_arguments(url), timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # The driver's own words may hold the address, and never the password.
        raise SetupError(f"The database cannot be reached: {str(error) or type(error).__name__}") from error


async def migrate(url: str) -> bool:
    """Bring a database to the newest revision, making the roles on the way; tells whether anything was to be done.

    Raises SetupError, also if the login role may not do it, or may not act as the roles that it needs.
    """
    connection = await connect(url)
    try:
        if connection.get_server_version().major * 10_000 < OLDEST:
            raise SetupError("PostgreSQL 16 or newer is needed.")
        # Two servers that start at once wait for each other here.
        await connection.execute(f"select pg_advisory_lock({LOCK})")
        if await connection.fetchval(ACTING) and await current(connection) == head():
            return False
        await _make_roles(connection)
        await asyncio.to_thread(run_alembic, url, "head")
    except asyncpg.InsufficientPrivilegeError as error:
        raise SetupError(f"The database role may not set the database up: {error}") from error
    else:
        return True
    finally:
        await connection.close()


async def _make_roles(connection: "Connection[Record]") -> None:
    """Make the roles, which the set-up of another database of the same cluster may be making at the same moment.

    Nothing locks a cluster: whoever comes second finds them when it looks again.
    """
    for _ in range(MOST_RIVALS):
        try:
            await connection.execute(ROLES)
        except _LOST_RACES:
            continue
        return
    await connection.execute(ROLES)


async def organised(url: str, unit: str | None, team: str | None, now: datetime) -> tuple[UUID | None, UUID | None]:
    """The ids of a unit and of a team in it, by their names, each made if there is none; a known team names its unit.

    Only the owner of the tables may add them. Refuses: INVALID_VALUE. Raises SetupError if there is no connection.
    """
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"set local role {OWNER}")
            unit_id = await _unit(connection, named(unit, "unit"), now) if unit is not None else None
            if team is None:
                return unit_id, None
            return await _team(connection, named(team, "team"), unit_id, now)
    finally:
        await connection.close()


async def _unit(connection: "Connection[Record]", name: str, now: datetime) -> UUID:
    made = Unit(IdMaker().make(now), name)
    if await connection.fetchval(ADD_UNIT, made.id, name):
        await _trace(connection, made, now)
        return made.id
    return UUID(str(await connection.fetchval("select id from units where name = $1", name)))


async def _team(connection: "Connection[Record]", name: str, unit_id: UUID | None, now: datetime) -> tuple[UUID, UUID]:
    """The ids of the team's unit and of the team."""
    if unit_id is not None:
        made = Team(IdMaker().make(now), unit_id, name)
        if await connection.fetchval(ADD_TEAM, made.id, unit_id, name):
            await _trace(connection, made, now)
            return unit_id, made.id
    found = await connection.fetchrow("select id, unit_id from teams where name = $1", name)
    if found is None:
        raise invalid("unit", f"There is no team {name}; name the business unit that it is to be made in.")
    if unit_id not in {None, found["unit_id"]}:
        raise invalid("team", f"The team {name} is in another business unit.")
    return found["unit_id"], found["id"]


async def _trace(connection: "Connection[Record]", made: Unit | Team, now: datetime) -> None:
    kind, after = type(made).__name__, msgspec.json.encode(made).decode()
    await connection.execute(TRACE, IdMaker().make(now), now, f"command.add_{kind.lower()}", kind, made.id, after)


def run_alembic(url: str, revision: str) -> None:
    """Move to a revision, up or down; runs an event loop of its own. Raises SetupError if it is refused."""
    # alembic and the engine it runs on take half a second to import, which a start without migrations saves.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    move = command.downgrade if revision == "base" else command.upgrade
    try:
        move(config, revision)
    except DBAPIError as error:
        # The driver's own words, without the statement, which may have hundreds of lines.
        cause = error.orig.__cause__ if error.orig else None
        raise SetupError(f"The database refuses to be set up: {cause or type(error).__name__}") from error
    except CommandError as error:
        raise SetupError(f"The database is at a revision that this version does not know: {error}") from error
