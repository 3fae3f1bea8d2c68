"""What the tests of backup, restore and upgrade look at a firm with."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer, program
from tests.support.steward import Steward, ask, sign_in

EMAIL: Final = "admin@steward.example"
PASSWORD: Final = "steward-demo-2026"
TABLES: Final = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'queue')"
CONTENT: Final = "select count(*), md5(string_agg(t::text, chr(10) order by t::text)) from {} t"
SEQUENCES: Final = "select schemaname, sequencename, last_value from pg_sequences order by 1, 2"
DATABASES: Final = "select datname from pg_database order by 1"
GRANTS: Final = "select roleid::regrole::text, member::regrole::text, inherit_option, set_option from pg_auth_members"


def backed_up(steward: Steward, *arguments: str, **settings: str) -> Path:
    """Where `steward backup` has put its file."""
    made = steward.run("backup", *arguments, **settings)
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.partition(" (")[0])


@contextmanager
def started(steward: Steward) -> Iterator[EmbeddedServer]:
    """The database without a server."""
    server = EmbeddedServer.start(steward.state)
    try:
        yield server
    finally:
        server.close(wait=True)


@contextmanager
def served(steward: Steward) -> Iterator[str]:
    """The address of a server, stopped in the end whatever happens."""
    process, address = steward.serve()
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


async def fetch(server: EmbeddedServer, statement: str) -> list[Any]:
    """The rows of a statement, as the superuser."""
    connection = await asyncpg.connect(**driver_arguments(server.url()))
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def change(steward: Steward, script: str) -> None:
    """Run a script, as the superuser."""
    with started(steward) as server:
        connection = await asyncpg.connect(**driver_arguments(server.url()))
        await connection.execute(script)
        await connection.close()


async def photograph(steward: Steward) -> dict[str, object]:
    """All that the database is: the rows of every table, sequences, the schema with its policies, the roles."""
    with started(steward) as server:
        connection = await asyncpg.connect(**driver_arguments(server.url()))
        names = [row[0] for row in await connection.fetch(TABLES)]
        seen: dict[str, object] = {name: await connection.fetch(CONTENT.format(name)) for name in names}
        seen["sequences"] = await connection.fetch(SEQUENCES)
        seen["grants"] = sorted(tuple(row) for row in await connection.fetch(GRANTS))
        seen["databases"] = await connection.fetch(DATABASES)
        await connection.close()
        seen["schema"] = schema(server)
    assert len(names) > 20
    return seen


def schema(server: EmbeddedServer) -> str:
    """The schema as PostgreSQL itself writes it."""
    command = [str(program("pg_dump")), "--schema-only", "-h", server.host, "-U", server.user, "steward"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Newer versions guard each dump with a random word.
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


def refused(steward: Steward, *arguments: str, **settings: str) -> str:
    """The one sentence of a command that declines."""
    done = steward.run(*arguments, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("steward: ")
    return done.stderr.removeprefix("steward: ").rstrip()


def clients(address: str) -> int:
    """How many clients somebody who signs in sees."""
    token = sign_in(address, EMAIL, PASSWORD)
    return int(ask(address, "{ clients { totalCount } }", token)["data"]["clients"]["totalCount"])
