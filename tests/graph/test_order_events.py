"""Orders, live: a screen that watches one portfolio."""

import asyncio
from typing import Any, Final

from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make
from tests.factories.trading import desk
from tests.support.gql import Gql
from tests.support.served import Served, socket_to
from tests.support.worker import drained

WATCH: Final = """subscription ($portfolio: ID!, $after: String) { orderEvents(portfolioId: $portfolio, after: $after) {
    cursor status version order { id status filledQuantity }
} }"""


async def test_a_screen_sees_an_order_change_and_goes_on_where_it_was(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    trading = await desk(make, gql)
    watched = id_of(trading.portfolio)
    async with socket_to(live, trading.advisor.token) as socket:
        await socket.subscribe(WATCH, portfolio=watched)
        await asyncio.sleep(0.5)
        placed = (await trading.place())["order"]
        first = (await socket.next())["orderEvents"]
        assert (first["status"], first["order"]["id"]) == ("SUBMITTED", placed["id"])
        await drained(services)
        last: dict[str, Any] = {}
        while last.get("status") != "FILLED":
            last = (await socket.next())["orderEvents"]
        assert (last["order"]["status"], last["order"]["filledQuantity"]) == ("FILLED", "10")
    async with socket_to(live, trading.supervisor.token) as socket:
        await socket.subscribe(WATCH, portfolio=watched, after=first["cursor"])
        seen = []
        while "FILLED" not in seen:
            seen.append((await socket.next())["orderEvents"]["status"])
        assert seen[-1] == "FILLED"
        assert "SUBMITTED" not in seen[1:]


async def test_a_cursor_read_beside_the_orders_misses_nothing(make: Make, gql: Gql, live: Served) -> None:
    trading = await desk(make, gql)
    document = "query ($id: ID!) { node(id: $id) { ... on Portfolio { ordersCursor orders { totalCount } } } }"
    await trading.place(kind="LIMIT", limitPrice="50", quantity="1")
    read = (await gql.as_(trading.advisor).run(document, id=id_of(trading.portfolio)))["node"]
    assert read["orders"]["totalCount"] == 1
    placed = (await trading.place(kind="LIMIT", limitPrice="50", quantity="2"))["order"]
    async with socket_to(live, trading.advisor.token) as socket:
        await socket.subscribe(WATCH, portfolio=id_of(trading.portfolio), after=read["ordersCursor"])
        assert (await socket.next())["orderEvents"]["order"]["id"] == placed["id"]


async def test_nobody_watches_what_one_may_not_see(make: Make, gql: Gql, live: Served) -> None:
    trading, stranger = await desk(make, gql), await make.advisor()
    async with socket_to(live, stranger.token) as socket:
        payload = {"query": WATCH, "variables": {"portfolio": id_of(trading.portfolio)}}
        await socket.send(type="subscribe", id="1", payload=payload)
        told = await socket.receive()
        assert told["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_whoever_loses_the_client_is_told_nothing_more(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    trading = await desk(make, gql)
    other = await make.book(trading.team)
    async with socket_to(live, trading.advisor.token) as socket:
        await socket.subscribe(WATCH, portfolio=id_of(trading.portfolio))
        await asyncio.sleep(0.5)
        await trading.place(kind="LIMIT", limitPrice="50", quantity="1")
        assert (await socket.next())["orderEvents"]["status"] == "SUBMITTED"
        move = {"clientId": id_of(trading.client), "bookId": id_of(other), "version": 1}
        moved = await gql.as_(trading.supervisor).change("moveClient", "client { id }", **move)
        assert moved["userErrors"] == []
        gone = trading.advisor
        trading.advisor = trading.supervisor
        await trading.place(quantity="1")
        await drained(services)
        trading.advisor = gone
        # Nothing arrives any more: what is asked next is the first thing that is answered.
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
