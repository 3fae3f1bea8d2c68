"""A database of a module's own with the application on it, for tests that only read, or do not mind each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import argon2
import asyncpg
import httpx
import msgspec
from asyncpg import Connection, Record
from starlette.applications import Starlette

from domain.identity import Limits, Passwords
from graph.app import make_app, open_services
from graph.context import Services
from graph.settings import Settings
from persistence.database import driver_arguments
from tests.factories.firm import Make
from tests.support.flows import bank
from tests.support.gql import Gql

# A module's tests give more wrong passwords from one address than anybody may; that has tests of its own.
PATIENT: Final = Limits(account=10_000, address=10_000)


class Stage(msgspec.Struct, frozen=True):
    """The application on one database, factories for it, and a way to speak to it."""

    services: Services
    app: Starlette
    make: Make
    gql: Gql

    @property
    def owner(self) -> "Connection[Record]":
        """A connection as the owner of the tables, past all policies."""
        return self.make.connection


@asynccontextmanager
async def staged(settings: Settings, url: str, home: Path) -> AsyncIterator[Stage]:
    """The application on a migrated database until the end of the block."""
    async with open_services(settings, url, home) as opened, bank() as providers:
        services = msgspec.structs.replace(
            opened,
            providers=providers,
            passwords=Passwords(argon2.PasswordHasher(1, 8, 1)),
            admissions=msgspec.structs.replace(opened.admissions, limits=PATIENT),
        )
        app = make_app(settings, services)
        owner = await asyncpg.connect(**driver_arguments(url), server_settings={"role": "steward_owner"})
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
            yield Stage(services, app, Make(owner, services), Gql(client, services))
        await owner.close()
