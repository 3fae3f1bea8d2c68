"""The application with budgets and a clock of a test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette

from graph.app import make_app
from graph.context import Services
from graph.http.schema import Schema
from graph.rates import Allowance, Kind, Rates
from graph.rates import Caller as Charged
from graph.settings import Settings
from persistence.rates import MemoryWindows, Windows
from tests.support.clock import MovedClock
from tests.support.gql import Answer, Gql

HOME = "203.0.113.7"
SOMEBODY = Charged(Kind.USER, "somebody")


class Budgets:
    """An application whose callers may use so much in a minute of its clock."""

    def __init__(
        self, settings: Settings, services: Services, schema: Schema, windows: Windows | None = None, **given: int
    ) -> None:
        self.clock = MovedClock()
        self.windows = windows or MemoryWindows(self.clock)
        rates = Rates(self.windows, Allowance(**given), self.clock)
        self.services = msgspec.structs.replace(services, rates=rates)
        self.app: Starlette = make_app(settings, self.services, schema=schema)

    @asynccontextmanager
    async def at(self, address: str = HOME) -> AsyncIterator["Caller"]:
        """Somebody at an address."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
            yield Caller(client, self.services)


class Caller(Gql):
    """Runs documents from one address."""

    async def raw(self, document: str, token: str | None = None, **variables: Any) -> httpx.Response:
        """The whole response, its headers too."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.client.post("/graphql", json={"query": document, "variables": variables}, headers=headers)

    async def code(self, document: str, token: str | None = None, **variables: Any) -> str:
        """The code of the first error; empty if there is none."""
        answer = Answer((await self.raw(document, token, **variables)).json())
        return next(iter(answer.codes), "")

    async def cost(self, document: str, token: str | None = None, **variables: Any) -> Any:
        """What the answer says of its cost."""
        answer = (await self.raw(document, token, **variables)).json()
        assert "cost" in answer.get("extensions", {}), answer
        return answer["extensions"]["cost"]
