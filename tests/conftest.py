"""Fixtures: one PostgreSQL for the run, a migrated template for each worker, a clone for each test that writes."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import argon2
import asyncpg
import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from domain.identity import Passwords
from graph.app import make_app, open_services
from graph.context import Services
from graph.disclosure import Disclosure, Introspection
from graph.http.schema import Schema
from graph.schema import make_schema
from graph.server import lighten_collections
from graph.settings import Environment, Settings
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.setup import migrate
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.memory import place_for
from tests.support.probing import GENEROUS, SECRETS, Target, started
from tests.support.served import Served, served
from tests.support.stage import Stage, staged
from tests.support.statements import Statements
from tests.support.steward import Steward

# A test asks within a second what a user asks in an hour; the budgets have tests of their own.
AMPLE: Final[Mapping[str, Any]] = {name.lower(): int(value) for name, value in GENEROUS.items()}
# What a developer's shell states for a server of its own is none of a test's: by a key, models would be asked.
for name in Settings.model_fields:
    os.environ.pop(name.upper(), None)
# Each client of HTTP reads whom the machine trusts, which takes as long as a test: one whose key nobody has will do.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "nobody.pem")
UNSAFE_AND_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage all the while: what is there then stays, so there is none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        lighten_collections()


def _directory(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"steward-test-{run}"


@contextmanager
def _memory(server: EmbeddedServer) -> Iterator[Path | None]:
    """A directory in memory that PostgreSQL may write to; None where there is no room for one."""
    runner = (Path(server.home) / "cluster").stat()
    made = place_for(runner.st_uid, runner.st_gid)
    try:
        yield made
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(testrun_uid: str) -> Iterator[EmbeddedServer]:
    """The PostgreSQL of this run, shared by its workers; the last one ends it."""
    directory = _directory(testrun_uid)
    server = EmbeddedServer.start(directory, settings=UNSAFE_AND_FAST)
    yield server
    server.close(wait=True)
    if not Path(server.host).exists():
        shutil.rmtree(server.home, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


class Databases:
    """Clones of this worker's migrated template."""

    def __init__(self, server: EmbeddedServer, worker: str) -> None:
        self.server = server
        self.worker = worker
        self.numbers = count()
        self.template = f"template_{worker}"
        self.place = "pg_default"

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(**driver_arguments(self.server.url("postgres")))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def prepared(self, directory: Path | None) -> AsyncIterator[None]:
        """With the template made and migrated, and all databases in this directory if there is one."""
        if directory:
            self.place = f"memory_{self.worker}"
            await self._run(f"create tablespace {self.place} location '{directory}'")
        try:
            await self._run(f"create database {self.template} tablespace {self.place}")
            await migrate(self.server.url(self.template))
            yield
        finally:
            # Whatever has happened: a directory that is gone would fail the checkpoints of all workers.
            await self._run(f"drop database if exists {self.template} with (force)")
            if directory:
                await self._run(f"drop tablespace {self.place}")

    @asynccontextmanager
    async def clone(self, template: str | None = None) -> AsyncIterator[str]:
        """A database of one's own, by its URL."""
        name = f"clone_{self.worker}_{next(self.numbers)}"
        origin = template or self.template
        await self._run(f"create database {name} template {origin} strategy file_copy tablespace {self.place}")
        try:
            yield self.server.url(name)
        finally:
            await self._run(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
async def databases(cluster: EmbeddedServer, worker_id: str) -> AsyncIterator[Databases]:
    """The databases of this worker."""
    made = Databases(cluster, worker_id)
    with _memory(cluster) as directory:
        async with made.prepared(directory):
            yield made


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own."""
    async with databases.clone() as url:
        yield url


@pytest.fixture(scope="session")
def settings(cluster: EmbeddedServer) -> Settings:
    """Development settings that read no file and no environment but the test's."""
    return Settings(  # type: ignore[call-arg] # `_env_file` is pydantic's own
        _env_file=None,
        environment=Environment.DEVELOPMENT,
        state_directory=Path(cluster.home),
        database_pool=5,
        registration=True,
        **AMPLE,
    )


def quick(services: Services) -> Services:
    """The services with password hashing that costs next to nothing: its cost is not what is tested."""
    return msgspec.structs.replace(services, passwords=Passwords(argon2.PasswordHasher(1, 8, 1)))


@pytest.fixture
async def services(settings: Settings, database_url: str, cluster: EmbeddedServer) -> AsyncIterator[Services]:
    """What the application stands on."""
    async with open_services(settings, database_url, Path(cluster.home)) as opened:
        yield quick(opened)


@pytest.fixture(scope="session")
def schema() -> Schema:
    """The schema, which takes long to make and knows no database."""
    made = make_schema(disclosure=Disclosure(Introspection.OPEN))
    lighten_collections()
    return made


@pytest.fixture
def app(settings: Settings, services: Services, schema: Schema) -> Starlette:
    """The application."""
    return make_app(settings, services, schema=schema)


@pytest.fixture
async def make(services: Services, database_url: str) -> AsyncIterator[Make]:
    """Factories of the firm's rows."""
    connection = await asyncpg.connect(**driver_arguments(database_url), server_settings={"role": "steward_owner"})
    yield Make(connection, services)
    await connection.close()


@pytest.fixture
async def gql(app: Starlette, services: Services) -> AsyncIterator[Gql]:
    """GraphQL documents over HTTP."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        yield Gql(client, services)


@pytest.fixture
def statements(services: Services) -> Statements:
    """Counts what repositories ask the database."""
    return Statements(services.doors.database)


@pytest.fixture(scope="module")
async def stage(settings: Settings, databases: Databases, cluster: EmbeddedServer) -> AsyncIterator[Stage]:
    """The application on a database of the module's own, for tests that only read or do not mind each other."""
    async with databases.clone() as url, staged(settings, url, Path(cluster.home)) as opened:
        yield opened


@pytest.fixture(scope="session")
async def target(
    databases: Databases, cluster: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    """A server process in production, for probes: one for all of this worker's, for it takes seconds to start."""
    secrets = {name.lower(): value for name, value in SECRETS.items()}
    own = Settings.model_validate({"environment": Environment.PRODUCTION, "database_pool": 3, **secrets})
    home = tmp_path_factory.mktemp("target")
    async with databases.clone() as url, open_services(own, url, Path(cluster.home)) as opened:
        owner = await asyncpg.connect(**driver_arguments(url), server_settings={"role": "steward_owner"})
        async with started(home, Make(owner, quick(opened)), url) as running:
            yield running
        await owner.close()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steward]:
    """A state directory as `steward migrate` leaves it, to be copied by tests that are not about a first start."""
    made = Steward(tmp_path_factory.mktemp("migrated") / "state")
    done = made.run("migrate")
    assert done.returncode == 0, done.stderr
    yield made
    made.end()


@pytest.fixture
async def live(app: Starlette) -> AsyncIterator[Served]:
    """The application on a real socket."""
    async with served(app) as address:
        yield address
