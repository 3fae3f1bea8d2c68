"""The servers whose fan-out is measured, each a process on one core: `main(KIND, PORT, DATABASE, HOME)`.

`GET /publish?rate=…&seconds=…&how=…` has a server publish so many events a second to each stream that is followed, each
due at its moment: what is due when it looks is published at once, as what a reading of the log finds. `how` is `live`,
behind the log, or `log`, which appends each batch to the log in a transaction and lets the subscriptions read it.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
import strawberry
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL

from domain.access import SYSTEM
from domain.orders import Order, OrderStatus
from graph.app import make_app, open_services
from graph.context import Services
from graph.fanout import Batch, Group, Happening, Telling, rendered
from graph.follow import StreamCursor
from graph.orders.live import OrderChange
from graph.server import lighten_collections
from graph.settings import Environment, Settings
from graph.wire import Wire
from graph.wire_sockets import SocketWire
from persistence.work import Work
from tests.factories.trading import submitted
from tests.support.probing import GENEROUS, SECRETS

CORE: Final = 0
TICK: Final = 0.001
STREAM: Final = "orders:0192f000-0000-7000-8000-000000000000"
# Publishes events that were due at these moments.
Publish = Callable[[Sequence[datetime]], Awaitable[None]]


async def paced(publish: Publish, rate: float, seconds: float) -> int:
    """Publish so many a second, each as soon as it is due; gives how many there were."""
    total, done, began = int(rate * seconds), 0, time.time() + 0.05
    while done < total:
        due = min(total, int((time.time() - began) * rate) + 1)
        if due > done:
            await publish([datetime.fromtimestamp(began + at / rate, UTC) for at in range(done, due)])
            done = due
        await asyncio.sleep(max(0.0, min(TICK, began + done / rate - time.time())))
    return total


class Control:
    """An application that publishes when it is told to."""

    def __init__(
        self, app: ASGIApp, live: Publish, log: Callable[[str, Sequence[datetime]], Awaitable[None]] | None = None
    ) -> None:
        self._app = app
        self._live = live
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http" or scope["path"] != "/publish":
            await self._app(scope, receive, send)
            return
        asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        live, log = self._live, self._log
        publish = live if asked["how"] == "live" or log is None else partial(log, asked["order"])
        total = await paced(publish, float(asked["rate"]), float(asked["seconds"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(total).encode()})


def an_order() -> Order:
    """An order as it may be read from the database."""
    some = UUID(int=7)
    portfolio: Any = SimpleNamespace(id=some, client_id=some, book_id=some)
    return submitted(some, portfolio, some, some, datetime.now(UTC))


class Steward:
    """The application, and what is published on it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._order = an_order()

    async def live(self, due: Sequence[datetime]) -> None:
        """Hand events to every group, as if they had been read."""
        for group in list(self._services.fanout.groups.values()):
            await self._hand(group, due)

    async def _hand(self, group: Group, due: Sequence[datetime]) -> None:
        first = group.place + 1
        events = [Happening(first + at, moment, self._change(first + at, moment)) for at, moment in enumerate(due)]
        batch = Batch(events, first + len(due) - 1)
        told = await rendered(next(iter(group.members)).rendering, batch, None)
        group.hand(Telling.of(told, batch.place))

    def _change(self, place: int, moment: datetime) -> OrderChange:
        cursor = StreamCursor(STREAM, place).encode()
        return OrderChange(cursor, OrderStatus.SUBMITTED, 1, moment, self._order)

    async def log(self, order: str, due: Sequence[datetime]) -> None:
        """Append events to the log, of an order that there is."""
        await self._services.doors.write(SYSTEM, "benchmark", appended, order, len(due))


async def appended(work: Work, order: str, count: int) -> None:
    """Tell of changes of an order."""
    portfolio, order_id = (UUID(hex=each.rpartition("_")[2]) for each in order.split("/"))
    for version in range(count):
        work.append(f"orders:{portfolio}", OrderStatus.SUBMITTED.value, order_id, version)


async def steward(port: int, database: str, home: str) -> None:
    """Serve Steward as in production."""
    given = {name.lower(): value for name, value in (SECRETS | GENEROUS).items()}
    settings = Settings.model_validate({"environment": Environment.PRODUCTION, **given})
    async with open_services(settings, database, Path(home)) as services:
        made = Steward(services)
        await serve(Control(make_app(settings, services), made.live, made.log), port)


class Floor:
    """Bare WebSockets: whatever is published is encoded once and sent to all."""

    def __init__(self) -> None:
        self._sends: list[Send] = []
        self._place = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a socket."""
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        while (message := await receive())["type"] == "websocket.receive":
            kind = msgspec.json.decode(message["text"])["type"]
            if kind == "subscribe":
                self._sends.append(send)
            else:
                answer = {"type": {"connection_init": "connection_ack", "ping": "pong"}[kind]}
                await send({"type": "websocket.send", "text": msgspec.json.encode(answer).decode()})
        self._sends.remove(send)

    async def live(self, due: Sequence[datetime]) -> None:
        """Publish."""
        for moment in due:
            self._place += 1
            event = {**plain(self._place, moment), "order": {"id": "order_7", "status": "SUBMITTED", "filled": "0"}}
            message = {"id": "s100", "type": "next", "payload": {"data": {"orderEvents": event}}}
            text = msgspec.json.encode(message).decode()
            for send in self._sends:
                await send({"type": "websocket.send", "text": text})


def plain(place: int, moment: datetime) -> dict[str, Any]:
    """An event without its order."""
    return {"cursor": f"gqNvcmRlcnM6{place}", "status": "SUBMITTED", "version": 1, "occurredAt": moment}


@strawberry.type
class StockOrder:
    """An order as stock Strawberry shows it."""

    id: strawberry.ID
    status: str
    filled_quantity: str


@strawberry.type
class StockEvent:
    """An event as stock Strawberry shows it."""

    cursor: str
    status: str
    version: int
    occurred_at: datetime
    order: StockOrder


@strawberry.type
class StockQuery:
    """Nothing is asked."""

    nothing: int = 0


FOLLOWERS: Final[list[asyncio.Queue[StockEvent]]] = []


@strawberry.type
class StockSubscription:
    """A queue for each subscriber, as Strawberry's documentation has it."""

    @strawberry.subscription
    async def order_events(self, portfolio_id: strawberry.ID) -> AsyncGenerator[StockEvent, None]:  # noqa: ARG002 - all follow one
        """All that is published."""
        queue: asyncio.Queue[StockEvent] = asyncio.Queue()
        FOLLOWERS.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            FOLLOWERS.remove(queue)


async def stock(due: Sequence[datetime]) -> None:
    """Publish to each queue."""
    order = StockOrder(id=strawberry.ID("order_7"), status="SUBMITTED", filled_quantity="0")
    for moment in due:
        event = StockEvent(cursor="gqNvcmRlcnM6", status="SUBMITTED", version=1, occurred_at=moment, order=order)
        for queue in FOLLOWERS:
            queue.put_nowait(event)


async def serve(app: ASGIApp, port: int) -> None:
    """Serve as the product does."""
    config = uvicorn.Config(
        app,
        port=port,
        lifespan="off",
        log_level="warning",
        http=Wire,
        ws=SocketWire,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
    lighten_collections()
    await uvicorn.Server(config).serve()


def main(kind: str, given: str, *more: str) -> None:
    """Serve until killed."""
    os.sched_setaffinity(0, {CORE})
    port = int(given)
    if kind == "steward":
        uvloop.run(steward(port, *more))
    elif kind == "floor":
        floor = Floor()
        uvloop.run(serve(Control(floor, floor.live), port))
    else:
        schema = strawberry.Schema(StockQuery, subscription=StockSubscription)
        uvloop.run(serve(Control(GraphQL(schema), stock), port))
