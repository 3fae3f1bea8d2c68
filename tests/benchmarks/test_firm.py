"""The firm that is measured on is one: what it holds is what its ledgers fold to, and as much as was asked for."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from asyncpg import Connection, Record

from domain.entities import Entity
from domain.instruments import Instrument
from domain.ledger import Transaction, fold
from domain.portfolios import Portfolio
from domain.positions import CashBalance, Lot, Position
from domain.transactions import cash_balance, folded
from tests.benchmarks.firm import DEMO_CLIENTS, Sizes, make
from tests.conftest import Databases
from tests.persistence.test_demo import FIELD_KEY, load, owner, rows

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
    ledgers: dict[UUID, list[Transaction]] = {}
    for entry in await rows(stored, Transaction, "transactions"):
        ledgers.setdefault(entry.portfolio_id, []).append(entry)
    instruments = {each.id: each for each in await rows(stored, Instrument, "instruments")}
    positions: list[Position] = []
    lots: list[Lot] = []
    cash: list[CashBalance] = []
    for portfolio in await rows(stored, Portfolio, "portfolios"):
        holdings = fold(ledgers[portfolio.id])
        for instrument_id, holding in holdings.positions.items():
            position, held = folded(portfolio, instruments[instrument_id], holding)
            positions.append(position)
            lots += held
        cash += [cash_balance(portfolio, currency, amount) for currency, amount in holdings.cash.items()]
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
