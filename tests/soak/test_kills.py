import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from graph.demo_firm import DEMO_PASSWORD
from tests.support.probing import GENEROUS
from tests.support.steward import Steward, ask, sign_in

KILLS = int(os.environ.get("SOAK_KILLS", "100"))
DEPOSIT = """mutation ($input: RecordTransactionInput!) {
    recordTransaction(input: $input) { transaction { id } userErrors { code message } }
}"""
LEDGER = """query ($id: ID!, $after: String) {
    node(id: $id) {
        ... on Portfolio {
            openedOn
            cash { currency settled { amount } }
            transactions(first: 50, after: $after, orderBy: {field: RECORDED_AT}) {
                pageInfo { hasNextPage endCursor }
                nodes { reference }
            }
        }
    }
}"""
FIRST = '{ portfolios(first: 1, filter: {baseCurrencies: ["INR"]}) { nodes { id openedOn } } }'

pytestmark = pytest.mark.soak


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state")
    assert made.run("demo", "--clients", "20").returncode == 0
    yield made
    made.end()


class Writer(threading.Thread):
    """Records deposits of one rupee, each under a key of its own, again and again until it is acknowledged."""

    def __init__(self, portfolio_id: str, day: str, name: str) -> None:
        super().__init__(name=name)
        self.portfolio_id, self.day = portfolio_id, day
        self.address = self.token = ""
        self.acknowledged: set[str] = set()
        self.stopping = False

    def run(self) -> None:
        number = 0
        while not self.stopping:
            number += 1
            self._record(f"{self.name}-{number}")

    def _record(self, reference: str) -> None:
        given = {
            "portfolioId": self.portfolio_id,
            "idempotencyKey": reference,
            "kind": "DEPOSIT",
            "amount": "1",
            "currency": "INR",
            "tradedOn": self.day,
            "reference": reference,
        }
        while not self.stopping:
            with contextlib.suppress(OSError, HTTPException, ValueError):
                answer = ask(self.address, DEPOSIT, self.token, input=given)
                if (answer.get("data") or {}).get("recordTransaction"):
                    assert answer["data"]["recordTransaction"]["userErrors"] == []
                    self.acknowledged.add(reference)
                    return
            time.sleep(0.02)


def recorded(address: str, token: str, portfolio_id: str) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = ask(address, LEDGER, token, id=portfolio_id, after=after)["data"]["node"]["transactions"]
        found += [node["reference"] for node in page["nodes"] if node["reference"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def test_nothing_is_lost_and_nothing_doubled_whatever_is_killed(steward: Steward) -> None:
    chance = random.Random(9)
    process, address = steward.serve(**GENEROUS)
    token = sign_in(address, "admin@steward.example", DEMO_PASSWORD)
    portfolio = ask(address, FIRST, token)["data"]["portfolios"]["nodes"][0]
    before = recorded(address, token, portfolio["id"])
    writers = [Writer(portfolio["id"], portfolio["openedOn"], f"writer-{number}") for number in range(4)]
    for writer in writers:
        writer.address, writer.token = address, token
        writer.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.5))
        process.kill()
        process.wait()
        process, address = steward.serve(**GENEROUS)
        for writer in writers:
            writer.address = address
    for writer in writers:
        writer.stopping = True
        writer.join()
    found = [reference for reference in recorded(address, token, portfolio["id"]) if reference not in before]
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    assert len(found) == len(set(found))
    assert acknowledged <= set(found)
    # At most the one that each writer had under way when it was told to stop is there without its knowing.
    assert len(set(found) - acknowledged) <= len(writers)
    assert len(acknowledged) > KILLS
