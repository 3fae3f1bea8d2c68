"""Setting up a PostgreSQL of somebody else's, as a login role without a superuser's rights."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from persistence import demo
from persistence.database import Database, driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.setup import ROLES, SetupError, connect, head, migrate

WAITING = "select exists (select from pg_locks where not granted)"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of the module's own, for roles belong to the cluster and must not be there yet."""
    server = EmbeddedServer.start(tmp_path_factory.mktemp("foreign"), settings={"fsync": "off"})
    # The map is read again at a reload: the one who runs the tests may be any role.
    with (Path(server.home) / "pg_ident.conf").open("a") as file:
        file.write("steward /^.*$ all\n")
    yield server
    server.close(wait=True)
    shutil.rmtree(server.home, ignore_errors=True)


async def run(server: EmbeddedServer, *statements: str) -> None:
    connection = await asyncpg.connect(**driver_arguments(server.url("postgres")))
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def made(server: EmbeddedServer, name: str, rights: str, *, owned: bool = True) -> str:
    """The URL of a new database, for a new login role of the same name."""
    owner = f" owner {name}" if owned else ""
    await run(
        server,
        "select pg_reload_conf()",
        f"create role {name} login {rights}",
        f"create database {name}{owner}",
    )
    return server.url(name).replace("steward@", f"{name}@", 1)


async def test_what_may_not_set_up_is_told_in_one_sentence_and_createrole_suffices(foreign: EmbeddedServer) -> None:
    poor = await made(foreign, "poor", "")
    with pytest.raises(SetupError, match="may not set the database up: permission denied to create role"):
        await migrate(poor)

    plain = await made(foreign, "plain", "createrole")
    assert await migrate(plain)
    assert not await migrate(plain)
    assert await demo.is_empty(plain)
    database = await Database.open(plain, size=2)
    await database.close()
    connection = await connect(plain)
    assert await connection.fetchval("select current_user::text") == "plain"
    # It may act as the owner, and has none of its rights unless it does.
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("select * from users")
    await connection.execute("set role steward_owner")
    assert await connection.fetchval("select version_num from alembic_version") == head()
    await connection.close()

    # The roles are there now, and are not the stranger's to act as.
    with pytest.raises(SetupError, match="may not set the database up: permission denied to grant role"):
        await migrate(await made(foreign, "stranger", "createrole"))


async def test_a_database_that_the_role_does_not_own_is_one_sentence(foreign: EmbeddedServer) -> None:
    tenant = await made(foreign, "tenant", "", owned=False)
    await run(foreign, "grant steward_owner, steward_app to tenant")
    with pytest.raises(SetupError, match=r"^The database .*permission denied for database tenant"):
        await migrate(tenant)


async def test_two_databases_of_a_cluster_are_set_up_at_once(tmp_path: Path) -> None:
    server = EmbeddedServer.start(tmp_path, settings={"fsync": "off"})
    try:
        await run(server, "create database first", "create database second")
        connection = await connect(server.url("first"))
        async with connection.transaction():
            await connection.execute(ROLES)
            second = asyncio.create_task(migrate(server.url("second")))
            async with asyncio.timeout(30):
                while not await connection.fetchval(WAITING):  # noqa: ASYNC110 - PostgreSQL sets no event
                    await asyncio.sleep(0.01)
        assert await second
        await connection.close()
        assert await migrate(server.url("first"))
    finally:
        server.close(wait=True)
        shutil.rmtree(server.home, ignore_errors=True)


async def test_an_unknown_revision_is_one_sentence(database_url: str) -> None:
    connection = await connect(database_url)
    await connection.execute("update alembic_version set version_num = '9999'")
    await connection.close()
    with pytest.raises(SetupError, match="at a revision that this version does not know"):
        await migrate(database_url)
