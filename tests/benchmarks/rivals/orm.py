"""Strawberry as most would use it, and well: its own execution, dataloaders, SQLAlchemy's ORM, uvicorn.

Documents are parsed and validated once, rows are loaded with the columns that the schema shows, each level of an
answer takes one statement, and none of them a transaction. It checks no token and applies no scope. Run as
`python -m tests.benchmarks.rivals.orm URL PORT [tuned]`; what is tuned is the garbage collector, as the server does it.
"""

import gc
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import orjson
import strawberry
import uvicorn
from sqlalchemy import ARRAY, Uuid, func, lateral, literal, select, true
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import aliased, load_only
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache

from tests.benchmarks.rivals import models
from tests.benchmarks.rivals.models import Base

M = TypeVar("M", bound=Base)
Sessions: TypeAlias = async_sessionmaker[AsyncSession]
# As the server has them.
CONNECTIONS: Final = 10
FIRST_COLLECTION: Final = 10_000


def plain(value: Decimal) -> str:
    """A number without what its column adds."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


async def by_ids(sessions: Sessions, model: Any, columns: Sequence[Any], keys: list[UUID]) -> list[Any]:
    """Rows in the order of their ids."""
    async with sessions() as session:
        rows = await session.scalars(select(model).options(load_only(*columns)).where(model.id.in_(keys)))
        found = {row.id: row for row in rows}
    return [found.get(key) for key in keys]


async def portfolios_of(sessions: Sessions, keys: list[UUID]) -> list[list[models.Portfolio]]:
    """The portfolios of each client."""
    own = models.Portfolio
    statement = select(own).options(load_only(own.id, own.client_id, own.name)).where(own.client_id.in_(keys))
    grouped = defaultdict(list)
    async with sessions() as session:
        for row in await session.scalars(statement.order_by(own.opened_on, own.id)):
            grouped[row.client_id].append(row)
    return [grouped[key] for key in keys]


async def positions_of(sessions: Sessions, keys: list[tuple[UUID, int]]) -> list[list[models.Position]]:
    """The first positions of each portfolio, in one statement."""
    if not keys:
        return []
    own = models.Position
    parents = (
        func.unnest(literal([key for key, _ in keys], ARRAY(Uuid))).table_valued("id", name="parents").render_derived()
    )
    page = lateral(
        select(own)
        .where(own.portfolio_id == parents.c.id, own.quantity != 0)
        .order_by(own.symbol, own.id)
        .limit(max(first for _, first in keys))
    )
    held = aliased(own, page)
    statement = select(held).select_from(parents).join(page, true())
    shown = load_only(held.id, held.portfolio_id, held.instrument_id, held.quantity)
    grouped = defaultdict(list)
    async with sessions() as session:
        for row in await session.scalars(statement.options(shown)):
            grouped[row.portfolio_id].append(row)
    return [grouped[key][:first] for key, first in keys]


class Context:
    """What resolvers find: the sessions, and the loaders of one request."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        shown = models.Instrument
        of_instrument = (shown.id, shown.symbol, shown.name)
        of_portfolio = (models.Portfolio.id, models.Portfolio.name)
        self.instruments: DataLoader[UUID, Any] = DataLoader(partial(by_ids, sessions, shown, of_instrument))
        self.portfolios: DataLoader[UUID, Any] = DataLoader(partial(by_ids, sessions, models.Portfolio, of_portfolio))
        self.of_client: DataLoader[UUID, Any] = DataLoader(partial(portfolios_of, sessions))
        self.of_portfolio: DataLoader[tuple[UUID, int], Any] = DataLoader(partial(positions_of, sessions))


Info: TypeAlias = strawberry.Info[Context, None]


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class Instrument:
    symbol: str
    name: str


@strawberry.type
class Position(Node):
    quantity: str
    instrument_id: strawberry.Private[UUID]

    @strawberry.field
    async def instrument(self, info: Info) -> Instrument:
        row = await info.context.instruments.load(self.instrument_id)
        return Instrument(symbol=row.symbol, name=row.name)


@strawberry.type
class PositionConnection:
    nodes: list[Position]


@strawberry.type
class Portfolio(Node):
    name: str
    key: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: models.Portfolio) -> "Portfolio":
        return cls(id=strawberry.ID(f"portfolio_{row.id.hex}"), name=row.name, key=row.id)

    @strawberry.field
    async def positions(self, info: Info, first: int = 25) -> PositionConnection:
        rows = await info.context.of_portfolio.load((self.key, first))
        return PositionConnection(
            nodes=[
                Position(
                    id=strawberry.ID(f"position_{row.id.hex}"),
                    quantity=plain(row.quantity),
                    instrument_id=row.instrument_id,
                )
                for row in rows
            ]
        )


@strawberry.type
class Client(Node):
    name: str
    segment: str
    status: str
    key: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: models.Client) -> "Client":
        node_id = strawberry.ID(f"client_{row.id.hex}")
        return cls(id=node_id, name=row.name, segment=row.segment, status=row.status, key=row.id)

    @strawberry.field
    async def portfolios(self, info: Info) -> list[Portfolio]:
        return [Portfolio.of(row) for row in await info.context.of_client.load(self.key)]


@strawberry.type
class ClientConnection:
    nodes: list[Client]


@strawberry.type
class Order(Node):
    side: str
    kind: str
    status: str
    quantity: str | None
    trades_on: date
    portfolio_id: strawberry.Private[UUID]
    instrument_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: models.Order) -> "Order":
        return cls(
            id=strawberry.ID(f"order_{row.id.hex}"),
            side=row.side,
            kind=row.kind,
            status=row.status,
            quantity=None if row.quantity is None else plain(row.quantity),
            trades_on=row.trades_on,
            portfolio_id=row.portfolio_id,
            instrument_id=row.instrument_id,
        )

    @strawberry.field
    async def instrument(self, info: Info) -> Instrument:
        row = await info.context.instruments.load(self.instrument_id)
        return Instrument(symbol=row.symbol, name=row.name)

    @strawberry.field
    async def portfolio(self, info: Info) -> Portfolio:
        return Portfolio.of(await info.context.portfolios.load(self.portfolio_id))


@strawberry.type
class OrderConnection:
    nodes: list[Order]


SHOWN: Final = load_only(models.Client.id, models.Client.name, models.Client.segment, models.Client.status)


@strawberry.type
class Query:
    @strawberry.field
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        key = UUID(hex=id.rpartition("_")[2])
        async with info.context.sessions() as session:
            row = await session.scalar(select(models.Client).options(SHOWN).where(models.Client.id == key))
        return Client.of(row) if row else None

    @strawberry.field
    async def clients(self, info: Info, first: int = 25) -> ClientConnection:
        own = models.Client
        statement = select(own).options(SHOWN).order_by(own.sort_name, own.id).limit(first)
        async with info.context.sessions() as session:
            return ClientConnection(nodes=[Client.of(row) for row in await session.scalars(statement)])

    @strawberry.field
    async def orders(self, info: Info, first: int = 25) -> OrderConnection:
        own = models.Order
        statement = select(own).order_by(own.placed_at.desc(), own.id.desc()).limit(first)
        async with info.context.sessions() as session:
            return OrderConnection(nodes=[Order.of(row) for row in await session.scalars(statement)])


class Endpoint(GraphQL[Context, None]):
    """Strawberry's own, with the fastest encoder there is."""

    def __init__(self, schema: strawberry.Schema, sessions: Sessions) -> None:
        super().__init__(schema)
        self._sessions = sessions

    async def get_context(self, *_: Any, **__: Any) -> Context:
        return Context(self._sessions)

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)


def make_app(url: str, *, tuned: bool) -> Starlette:
    """The program."""
    engine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0, isolation_level="AUTOCOMMIT")
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if tuned:
            gc.collect()
            gc.freeze()
            gc.set_threshold(FIRST_COLLECTION)
        yield
        await engine.dispose()

    schema = strawberry.Schema(Query, types=[Client], extensions=[ParserCache, ValidationCache])
    return Starlette(routes=[Route("/graphql", Endpoint(schema, sessions))], lifespan=lifespan)


if __name__ == "__main__":
    _, database, port, *wanted = sys.argv
    uvicorn.run(
        make_app(database, tuned="tuned" in wanted),
        host="127.0.0.1",
        port=int(port),
        log_level="warning",
        access_log=False,
    )
