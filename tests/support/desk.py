"""A portfolio with an advisor at its desk, who records what the custodian reports."""

from datetime import date, timedelta
from itertools import count
from typing import Any

import msgspec

from domain.clients import Client
from domain.instruments import Instrument
from domain.portfolios import Portfolio
from graph.ids import id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql

DAY = timedelta(days=1)
RECORDED = """
transaction {
    id kind quantity ratioNew ratioOld tradedOn settlesOn acquiredOn reference note
    amount { amount currency } price { amount } cost { amount }
    charges { brokerage { amount } transactionTax { amount } stampDuty { amount } otherCharges { amount } }
    instrument { symbol } recordedBy { name } reverses { id } reversedBy { id } portfolio { id }
}
portfolio { id name }
"""
HOLDINGS = """
query ($id: ID!, $asOf: Date) {
    node(id: $id) {
        ... on Portfolio {
            cash(asOf: $asOf) { currency settled { amount } unsettled { amount } total { amount } }
            positions(filter: {closed: true}) {
                nodes {
                    quantity version instrument { symbol }
                    averageCost { amount } totalCost { amount } realisedGain { amount } dividends { amount }
                    lots { openedOn quantity cost { amount currency } }
                }
            }
            transactions { totalCount }
        }
    }
}
"""


class Desk(msgspec.Struct):
    """The advisor, a client in its book, and a portfolio of that; `shares` are instruments by symbol."""

    gql: Gql
    make: Make
    advisor: SignedIn
    client: Client
    portfolio: Portfolio
    today: date
    shares: dict[str, Instrument]
    keys: Any

    @classmethod
    async def open(cls, gql: Gql, make: Make) -> "Desk":
        """A desk of a new advisor, with HDFCBANK in rupees and AAPL in dollars."""
        advisor = await make.advisor()
        assert advisor.book
        client = await make.client(advisor.book)
        portfolio = await make.portfolio(client)
        today = (await make.viewer(advisor)).today(make.now)
        shares = {
            "HDFCBANK": await make.instrument("HDFCBANK"),
            "AAPL": await make.instrument("AAPL", currency="USD", exchange="XNAS", sector="Technology"),
        }
        return cls(gql.as_(advisor), make, advisor, client, portfolio, today, shares, count(1))

    async def record(self, kind: str, on: date | str = "2024-03-01", share: str | None = None, **given: Any) -> Any:
        """Record an entry, in rupees or the share's currency unless said otherwise; gives the payload."""
        if share is not None:
            given.setdefault("instrumentId", id_of(self.shares[share]))
            given.setdefault("currency", self.shares[share].currency)
        given.setdefault("idempotencyKey", f"key {next(self.keys)}")
        given.setdefault("portfolioId", id_of(self.portfolio))
        given.setdefault("currency", "INR")
        return await self.gql.change("recordTransaction", RECORDED, kind=kind, tradedOn=str(on), **given)

    async def reverse(self, transaction_id: str, **given: Any) -> Any:
        """Reverse an entry; gives the payload."""
        given.setdefault("idempotencyKey", f"key {next(self.keys)}")
        given.setdefault("reason", "wrong client")
        return await self.gql.change("reverseTransaction", RECORDED, transactionId=transaction_id, **given)

    async def holdings(self, as_of: date | str | None = None) -> Any:
        """What the portfolio holds, as HOLDINGS asks for it."""
        given = None if as_of is None else str(as_of)
        return (await self.gql.run(HOLDINGS, id=id_of(self.portfolio), asOf=given))["node"]

    async def position(self, share: str) -> Any:
        """The position in a share."""
        nodes = (await self.holdings())["positions"]["nodes"]
        return next(node for node in nodes if node["instrument"]["symbol"] == share)

    async def cash(self, as_of: date | str | None = None) -> dict[str, tuple[str, str]]:
        """Settled and unsettled cash by currency."""
        balances = (await self.holdings(as_of))["cash"]
        return {each["currency"]: (each["settled"]["amount"], each["unsettled"]["amount"]) for each in balances}


def declined(payload: Any) -> list[tuple[str, str]]:
    """Code and field of each user error; fails the test if something was changed after all."""
    assert all(value is None for name, value in payload.items() if name != "userErrors")
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


def made(payload: Any, what: str = "transaction") -> Any:
    """What a mutation has changed; fails the test if it was declined."""
    assert payload["userErrors"] == []
    return payload[what]
