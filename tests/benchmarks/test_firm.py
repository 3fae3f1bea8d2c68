"""The firm that is measured on is one: what it holds is what its ledgers fold to, and as much as was asked for."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from asyncpg import Connection, Record

from domain.entities import Entity
from domain.instruments import Instrument
from domain.positions import CashBalance, Lot, Position
from tests.benchmarks.firm import DEMO_CLIENTS, Sizes, make
from tests.conftest import Databases
from tests.persistence.test_demo import FIELD_KEY, load, owner, refolded, rows

SIZES = Sizes(clients=30, instruments=40)
NOBODY = UUID(int=0)


@pytest.fixture(scope="module")
async def stored(databases: Databases) -> AsyncIterator["Connection[Record]"]:
    async with databases.clone() as url:
        await load(url, DEMO_CLIENTS)
        await make(url, SIZES, FIELD_KEY)
        connection = await owner(url)
        yield connection
        await connection.close()


def unnamed(entities: list[Any]) -> set[Entity]:
    """Without their ids, which are the demo's own by derivation, and any in what is made beside it."""
    ids = ("id", "position_id")
    return {msgspec.structs.replace(each, **{name: NOBODY for name in ids if hasattr(each, name)}) for each in entities}


async def test_what_is_stored_is_what_the_stored_ledgers_fold_to(stored: "Connection[Record]") -> None:
    instruments = {each.id: each for each in await rows(stored, Instrument, "instruments")}
    positions, lots, cash = await refolded(stored, instruments)
    assert unnamed(await rows(stored, Position, "positions")) == unnamed(positions)
    assert unnamed(await rows(stored, Lot, "lots")) == unnamed(lots)
    assert unnamed(await rows(stored, CashBalance, "cash_balances")) == unnamed(cash)


async def test_what_is_said_of_its_size_is_so(stored: "Connection[Record]") -> None:
    made = """
        select (select count(*) from clients where email like 'client%@mail.example'),
            (select count(*) from positions where symbol like 'STW%'),
            (select count(*) from orders join instruments i on i.id = instrument_id where i.symbol like 'STW%'),
            (select count(*) from order_fills where broker_fill_id like 'MADE-%'),
            (select count(distinct book_id) from clients)
    """
    assert tuple(await stored.fetchrow(made) or ()) == (30, 600, 300, 240, 2)
    assert SIZES.described == "30 clients, 60 portfolios, 600 positions and 300 orders"
