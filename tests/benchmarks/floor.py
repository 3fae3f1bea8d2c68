"""The floor: a bare ASGI program on uvicorn, asyncpg and orjson, which knows nothing but these four answers.

It checks no token, applies no scope and parses no GraphQL; run as `python -m tests.benchmarks.floor URL PORT CLIENT`.
"""

import sys
from collections import defaultdict
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from asyncpg import Pool, Record
from starlette.types import Message, Receive, Scope, Send

from persistence.database import driver_arguments

POINT = "select id, name, segment from clients where id = $1"
PAGE = "select id, name, segment, status from clients order by sort_name, id limit 51"
CLIENTS = "select id, name from clients order by sort_name, id limit 51"
PORTFOLIOS = """
select id, client_id, name from portfolios where client_id = any($1::uuid[]) order by opened_on, id
"""
POSITIONS = """
select page.* from unnest($1::uuid[]) parent cross join lateral (
    select id, portfolio_id, quantity, instrument_id from positions
    where portfolio_id = parent and quantity <> 0 order by symbol, id limit 11
) page
"""
INSTRUMENTS = "select id, symbol, name from instruments where id = any($1::uuid[])"

ORDERS = """
select o.id, o.side, o.kind, o.status, o.quantity, o.trades_on, i.symbol, i.name, p.id, p.name
from (select * from orders order by placed_at desc, id desc limit 201) o
join instruments i on i.id = o.instrument_id join portfolios p on p.id = o.portfolio_id
order by o.placed_at desc, o.id desc
"""


def _id(prefix: str, value: Any) -> str:
    return f"{prefix}_{value.hex}"


def _plain(value: Any) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class Floor:
    """The program: the path says which answer is wanted."""

    def __init__(self, url: str, client_id: str) -> None:
        self.url = url
        self.client_id = UUID(hex=client_id.rpartition("_")[2])
        self.pool: Pool[Record] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        await _body(receive)
        if self.pool is None:
            self.pool = await asyncpg.create_pool(**driver_arguments(self.url), min_size=1, max_size=10)
        answer = await getattr(self, scope["path"].strip("/"))(self.pool)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps({"data": answer})})

    async def point(self, pool: "Pool[Record]") -> Any:
        """One client by its id."""
        row = await pool.fetchrow(POINT, self.client_id)
        if row is None:
            raise LookupError(self.client_id)
        return {"node": {"id": _id("client", row[0]), "name": row[1], "segment": row[2]}}

    async def page(self, pool: "Pool[Record]") -> Any:
        """Fifty clients."""
        rows = (await pool.fetch(PAGE))[:50]
        nodes = [{"id": _id("client", r[0]), "name": r[1], "segment": r[2], "status": r[3]} for r in rows]
        return {"clients": {"nodes": nodes}}

    async def tree(self, pool: "Pool[Record]") -> Any:
        """Fifty clients with their portfolios, positions and instruments."""
        async with pool.acquire() as connection:
            clients = (await connection.fetch(CLIENTS))[:50]
            portfolios = await connection.fetch(PORTFOLIOS, [row[0] for row in clients])
            positions = await connection.fetch(POSITIONS, [row[0] for row in portfolios])
            instruments = await connection.fetch(INSTRUMENTS, list({row[3] for row in positions}))
        return {"clients": {"nodes": _tree(clients, portfolios, positions, instruments)}}

    async def orders(self, pool: "Pool[Record]") -> Any:
        """The latest two hundred orders with their instruments and portfolios."""
        return {"orders": {"nodes": [_order(row) for row in (await pool.fetch(ORDERS))[:200]]}}


def _order(row: Any) -> Any:
    return {
        "id": _id("order", row[0]),
        "side": row[1],
        "kind": row[2],
        "status": row[3],
        "quantity": None if row[4] is None else _plain(row[4]),
        "tradesOn": row[5],
        "instrument": {"symbol": row[6], "name": row[7]},
        "portfolio": {"id": _id("portfolio", row[8]), "name": row[9]},
    }


def _tree(clients: Any, portfolios: Any, positions: Any, instruments: Any) -> list[Any]:
    known = {row[0]: {"symbol": row[1], "name": row[2]} for row in instruments}
    held: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in positions:
        if len(held[row[1]]) < 10:
            held[row[1]].append(
                {"id": _id("position", row[0]), "quantity": _plain(row[2]), "instrument": known[row[3]]}
            )
    owned: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in portfolios:
        shown = {"id": _id("portfolio", row[0]), "name": row[2], "positions": {"nodes": held[row[0]]}}
        owned[row[1]].append(shown)
    return [{"id": _id("client", row[0]), "name": row[1], "portfolios": owned[row[0]]} for row in clients]


async def _body(receive: Receive) -> None:
    message: Message = await receive()
    while message.get("more_body"):
        message = await receive()


if __name__ == "__main__":
    _, database, port, client = sys.argv
    uvicorn.run(Floor(database, client), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
