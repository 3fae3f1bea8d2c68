"""A desk whose advisor asks the assistant's tools, and what to look at in what they have found."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.access import Role, Viewer
from domain.assistant.models import Call
from domain.assistant.tools import Found, ToolFailed
from domain.assistant.tools.registry import look_up
from domain.books import Book
from domain.clients import Client
from domain.conversations.blocks import ChartBlock, TableBlock, read, stored
from domain.instruments import Instrument
from domain.portfolios import Portfolio
from domain.refs import Ref
from domain.text import fold
from tests.factories.firm import Make, SignedIn
from tests.support.stage import Stage

DAY = timedelta(days=1)
CLIENT_IDS = re.compile(r"client_([0-9a-f]{32})")


class Inquiry(msgspec.Struct, frozen=True):
    """An advisor with one client, called as nobody else, who has one portfolio."""

    stage: Stage
    advisor: SignedIn
    viewer: Viewer
    client: Client
    portfolio: Portfolio

    @classmethod
    async def open(cls, stage: Stage) -> "Inquiry":
        """An advisor's, with a client whose name has marks that a search does without."""
        advisor = await stage.make.advisor()
        assert advisor.book
        client = await stage.make.client(advisor.book, name=f"Áshá Rao{next(stage.make.numbers)}")
        return cls(stage, advisor, await stage.make.viewer(advisor), client, await stage.make.portfolio(client))

    @property
    def make(self) -> Make:
        return self.stage.make

    @property
    def book(self) -> Book:
        assert self.advisor.book
        return self.advisor.book

    @property
    def today(self) -> date:
        return self.viewer.today(self.make.now)

    async def look(self, name: str, viewer: Viewer | None = None, **arguments: Any) -> Found:
        """What a tool finds, after the check that it names whose data it tells of."""
        found = await looked(self.stage, viewer or self.viewer, name, arguments)
        check_clients(found)
        return found

    async def failed(self, name: str, viewer: Viewer | None = None, **arguments: Any) -> ToolFailed:
        """How a tool fails."""
        with pytest.raises(ToolFailed) as failed:
            await self.look(name, viewer, **arguments)
        assert named_in(failed.value.message) <= failed.value.clients
        return failed.value

    async def share(self, price: str | None = "100", **given: Any) -> Instrument:
        """An instrument with a price of yesterday."""
        number = next(self.make.numbers)
        name = given.pop("name", f"Company {number}")
        made = await self.make.instrument(f"SHARE{number}", name=name, sort_name=fold(name), **given)
        if price is not None:
            await self.make.price(made, self.today - DAY, price)
        return made

    async def end_client(self, *, of: Client) -> Viewer:
        """An end client's own sign-in."""
        return await self.make.viewer(await self.make.user(Role.CLIENT, client_id=of.id))


async def looked(stage: Stage, viewer: Viewer, name: str, arguments: Any) -> Found:
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return await stage.services.doors.write(viewer, "request", look_up, viewer, Call("call_1", name, text))


def named_in(text: str) -> set[UUID]:
    return {UUID(hex=digits) for digits in CLIENT_IDS.findall(text)}


def check_clients(found: Found) -> None:
    """Everybody whose id is told, to the model or to readers, is named; and what is told can be stored and read."""
    told = msgspec.json.encode(found.facts).decode() + stored(found.blocks)
    assert named_in(told) <= found.clients
    assert read(stored(found.blocks)) == found.blocks
    for table in (block for block in found.blocks if isinstance(block, TableBlock)):
        assert all(len(row) == len(table.columns) for row in table.rows)


def table(found: Found) -> TableBlock:
    (block,) = (block for block in found.blocks if isinstance(block, TableBlock))
    return block


def column(found: Found, name: str) -> list[str | None]:
    place = [each.name for each in table(found).columns].index(name)
    return [row[place] for row in table(found).rows]


def charts(found: Found) -> Sequence[ChartBlock]:
    return [block for block in found.blocks if isinstance(block, ChartBlock)]


def points(chart: ChartBlock) -> list[tuple[str, Decimal]]:
    return [(point.x, point.y) for point in chart.series[0].points]


def ref(kind: str, row: Any) -> str:
    return str(Ref(kind, row.id))
