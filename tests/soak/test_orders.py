"""A thousand orders from several connections, while the server is killed again and again in the middle of it."""

import asyncio
import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from graph.app import open_services
from graph.demo_firm import DEMO_PASSWORD
from graph.ids import decode
from graph.settings import Environment, Settings
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from tests.support.balance import as_the_broker_has_it, balanced
from tests.support.probing import GENEROUS
from tests.support.steward import Steward, ask, sign_in

PLACEMENTS = int(os.environ.get("SOAK_ORDERS", "1000"))
KILLS = int(os.environ.get("SOAK_ORDER_KILLS", "20"))
DESKS = 5
SETTINGS = {"PAPER_LARGEST_FILL": "4", "JOB_HEARTBEAT": "1", "ACCESS_MINUTES": "1440", **GENEROUS}
PLACE = """mutation ($input: PlaceOrderInput!) {
    placeOrder(input: $input) { order { id status quantity } userErrors { code message } }
}"""
CANCEL = """mutation ($input: CancelOrderInput!) {
    cancelOrder(input: $input) { order { id } userErrors { code message } }
}"""
OPEN = "mutation ($input: OpenPortfolioInput!) { openPortfolio(input: $input) { portfolio { id } } }"
DEPOSIT = """mutation ($input: RecordTransactionInput!) {
    recordTransaction(input: $input) { transaction { id } userErrors { code message } }
}"""
PREVIEW = "query ($input: PreviewOrderInput!) { previewOrder(input: $input) { accepted } }"
CLIENTS = "{ clients(first: 50, filter: {statuses: [ACTIVE], kycStatuses: [VERIFIED]}) { nodes { id } } }"
SHARES = '{ instruments(first: 100, filter: {exchanges: ["XNSE"], currencies: ["INR"]}) { nodes { id kind } } }'
STILL_OPEN = "query ($ids: [ID!]) { orders(filter: {openOnly: true, portfolioIds: $ids}) { totalCount } }"

TAKEN_AGAIN = "select count(*) - count(distinct job_id) from queue.pgqueuer_log where status = 'picked'"

pytestmark = pytest.mark.soak


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state")
    assert made.run("demo", "--clients", "20").returncode == 0
    yield made
    made.end()


class Office:
    """Where the server is to be found at present, and whoever asks it."""

    def __init__(self, steward: Steward) -> None:
        self.steward = steward
        self.process, self.address = steward.serve(**SETTINGS)
        self.token = sign_in(self.address, "admin@steward.example", DEMO_PASSWORD)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer; raises ValueError where there are none."""
        data = ask(self.address, query, self.token, **variables).get("data")
        if not data or None in data.values():
            raise ValueError("no answer")
        return data

    def killed(self) -> None:
        """Kill the server in the middle of whatever it does, and start it again."""
        self.process.kill()
        self.process.wait()
        self.process, self.address = self.steward.serve(**SETTINGS)


def opened(office: Office, number: int) -> tuple[str, str]:
    """A portfolio with much cash, and a share that its client may buy."""
    shares = [node["id"] for node in office.ask(SHARES)["instruments"]["nodes"] if node["kind"] == "SHARE"]
    for client in office.ask(CLIENTS)["clients"]["nodes"][number:]:
        made = office.ask(OPEN, input={"clientId": client["id"], "name": f"Soak {number}", "openedOn": "2026-01-01"})
        portfolio = made["openPortfolio"]["portfolio"]["id"]
        cash = {"kind": "DEPOSIT", "amount": "1000000000", "currency": "INR", "tradedOn": "2026-01-02"}
        given = {"portfolioId": portfolio, "idempotencyKey": f"cash {portfolio}", **cash}
        assert office.ask(DEPOSIT, input=given)["recordTransaction"]["userErrors"] == []
        for share in shares:
            wanted = {"portfolioId": portfolio, "instrumentId": share, "side": "BUY", "quantity": "10"}
            if office.ask(PREVIEW, input=wanted)["previewOrder"]["accepted"]:
                return portfolio, share
    raise AssertionError("no client may buy anything")


class Trader(threading.Thread):
    """Places orders, each under a key of its own, again and again until it is acknowledged; some once more after it."""

    def __init__(self, office: Office, number: int) -> None:
        super().__init__(name=f"trader-{number}")
        self.office = office
        self.chance = random.Random(number)
        self.portfolio, self.share = opened(office, number)
        self.ids: dict[str, str] = {}
        self.wrong: list[Any] = []

    def run(self) -> None:
        for number in range(PLACEMENTS // DESKS):
            key = f"{self.name}-{number}"
            quantity = str(self.chance.randint(1, 9))
            placed = self._until_answered(PLACE, "placeOrder", self._ticket(key, quantity))
            self.ids[key] = placed["order"]["id"]
            if self.chance.random() < 0.1:
                again = self._until_answered(PLACE, "placeOrder", self._ticket(key, quantity))
                if again["order"]["id"] != self.ids[key]:
                    self.wrong.append((key, again))
            if self.chance.random() < 0.1:
                self._until_answered(CANCEL, "cancelOrder", {"orderId": self.ids[key]})

    def _ticket(self, key: str, quantity: str) -> dict[str, str]:
        given = {"portfolioId": self.portfolio, "instrumentId": self.share, "side": "BUY"}
        return {**given, "idempotencyKey": key, "quantity": quantity}

    def _until_answered(self, mutation: str, name: str, given: dict[str, str]) -> Any:
        while True:
            with contextlib.suppress(OSError, HTTPException, ValueError):
                payload = self.office.ask(mutation, input=given)[name]
                allowed = [[], ["ILLEGAL_STEP"]] if name == "cancelOrder" else [[]]
                if [error["code"] for error in payload["userErrors"]] not in allowed:
                    self.wrong.append((given, payload))
                return payload
            time.sleep(0.02)


def test_no_order_is_lost_and_none_doubled_whatever_is_killed(steward: Steward) -> None:
    chance = random.Random(11)
    office = Office(steward)
    traders = [Trader(office, number) for number in range(DESKS)]
    for trader in traders:
        trader.start()
    kills = 0
    while any(trader.is_alive() for trader in traders):
        time.sleep(chance.uniform(0.2, 1.5))
        if kills < KILLS:
            office.killed()
            kills += 1
    assert [trader.wrong for trader in traders] == [[]] * DESKS
    # Once more when all are placed: what is left is the broker's and the jobs' to do.
    office.killed()
    ids = [trader.portfolio for trader in traders]
    until = time.monotonic() + 600
    while office.ask(STILL_OPEN, ids=ids)["orders"]["totalCount"]:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert kills == KILLS
    office.process.kill()
    office.process.wait()
    asyncio.run(_books(steward, traders))


async def _books(steward: Steward, traders: list[Trader]) -> None:
    """Look at the books themselves, without a server."""
    server = EmbeddedServer.start(steward.state)
    try:
        settings = Settings(environment=Environment.DEVELOPMENT, state_directory=steward.state)
        owner = await asyncpg.connect(**driver_arguments(server.url()))
        async with open_services(settings, server.url(), Path(server.home)) as services:
            for trader in traders:
                await _check(services, owner, trader)
        # The kills hit: some jobs had to be taken up again.
        assert await owner.fetchval(TAKEN_AGAIN) > 0
        await owner.close()
    finally:
        server.close(wait=True)


async def _check(services: Any, owner: Any, trader: Trader) -> None:
    portfolio_id = decode(trader.portfolio, "portfolio", "id")
    rows = await owner.fetch("select * from orders where portfolio_id = $1", portfolio_id)
    # None lost, none doubled: each key is one order, and there are no others.
    assert sorted(row["id"] for row in rows) == sorted(decode(each, "order", "id") for each in trader.ids.values())
    assert len(trader.ids) == len(set(trader.ids.values())) == PLACEMENTS // DESKS
    assert {row["status"] for row in rows} <= {"FILLED", "CANCELLED"}
    assert {row["attention"] for row in rows} == {None}
    assert all(row["filled_quantity"] == row["quantity"] for row in rows if row["status"] == "FILLED")
    free = await balanced(services, owner, portfolio_id)
    assert free.idle
    await as_the_broker_has_it(owner, portfolio_id)
    fills = await owner.fetchval(
        "select sum(f.quantity) from order_fills f join orders o on o.id = f.order_id where portfolio_id = $1",
        portfolio_id,
    )
    held = await owner.fetchval("select sum(quantity) from positions where portfolio_id = $1", portfolio_id)
    assert fills == held > PLACEMENTS // DESKS
