"""A desk that can trade: a client in good standing with cash, instruments with prices, and whoever approves."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from domain.access import Role
from domain.books import Book, Team
from domain.clients import Client, RiskProfile
from domain.identity import User
from domain.instruments import Instrument, InstrumentKind, RiskLevel
from domain.ledger import Transaction
from domain.orders import Fill, Order, OrderKind, OrderStatus, Side, TimeInForce
from domain.portfolios import Portfolio
from graph.ids import id_of
from persistence import orders
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql

ORDER = "order { id version status quantity filledQuantity remainingQuantity cancelRequested attention reason }"
OPEN = ["SUBMITTED", "PARTIALLY_FILLED", "PENDING_APPROVAL"]


class Desk(msgspec.Struct):
    """An advisor, the supervisor of the team, and a client's portfolio with cash."""

    team: Team
    book: Book
    advisor: SignedIn
    supervisor: SignedIn
    client: Client
    portfolio: Portfolio
    share: Instrument
    fund: Instrument
    gql: Gql

    async def place(self, **given: Any) -> Any:
        """The payload of placing an order: by default a purchase of ten shares at the market."""
        return await self.ticket("placeOrder", **given)

    async def ticket(self, mutation: str, **given: Any) -> Any:
        """The payload of placing or drafting an order, likewise."""
        values = {
            "idempotencyKey": f"key {next(KEYS)}",
            "portfolioId": id_of(self.portfolio),
            "instrumentId": id_of(self.share),
            "side": "BUY",
            **given,
        }
        if "quantity" not in values and "amount" not in values:
            values["quantity"] = "10"
        return await self.gql.as_(self.advisor).change(mutation, ORDER, **values)

    async def do(self, mutation: str, who: SignedIn | None = None, **given: Any) -> Any:
        """The payload of another mutation of orders, by default the advisor's."""
        return await self.gql.as_(who or self.advisor).change(mutation, ORDER, **given)

    async def order(self, order_id: str) -> Any:
        """An order as it stands."""
        document = """query ($id: ID!) { node(id: $id) { ... on Order {
            id version status quantity filledQuantity remainingQuantity cancelRequested attention reason
            averagePrice { amount } reservedCash { amount } fills { quantity price { amount } charges { amount }
            transaction { id amount { amount } settlesOn tradedOn } }
        } } }"""
        return (await self.gql.as_(self.advisor).run(document, id=order_id))["node"]

    async def holdings(self) -> tuple[Decimal, dict[str, Decimal]]:
        """The cash in rupees, and the units by symbol."""
        document = """query ($id: ID!) { node(id: $id) { ... on Portfolio {
            cash { currency total { amount } } positions(first: 50) { nodes { quantity instrument { symbol } } }
        } } }"""
        found = (await self.gql.as_(self.advisor).run(document, id=id_of(self.portfolio)))["node"]
        cash = next(
            (Decimal(each["total"]["amount"]) for each in found["cash"] if each["currency"] == "INR"), Decimal(0)
        )
        units = {each["instrument"]["symbol"]: Decimal(each["quantity"]) for each in found["positions"]["nodes"]}
        return cash, units


def _keys() -> Any:
    number = 0
    while True:
        number += 1
        yield number


KEYS = _keys()


async def desk(make: Make, gql: Gql, cash: str = "1000000", **client: Any) -> Desk:
    """The desk; the cash was deposited through the ledger itself."""
    team = await make.team()
    supervisor = await make.user(Role.SUPERVISOR, team)
    book = await make.book(team)
    advisor = await make.user(Role.ADVISOR, team, book)
    kept = await make.client(book, **{"risk_profile": RiskProfile.AGGRESSIVE, **client})
    portfolio = await make.portfolio(kept)
    number = next(make.numbers)
    share = await make.instrument(f"SHARE{number}")
    fund = await make.instrument(
        f"FUND{number}",
        kind=InstrumentKind.FUND,
        lot_size=Decimal("0.001"),
        tick_size=Decimal("0.0001"),
        risk=RiskLevel.MODERATE,
    )
    yesterday = make.now.date() - timedelta(days=1)
    await make.price(share, yesterday, "100")
    await make.price(fund, yesterday, "50")
    made = Desk(team, book, advisor, supervisor, kept, portfolio, share, fund, gql)
    if Decimal(cash):
        paid = await gql.as_(advisor).change(
            "recordTransaction",
            "transaction { id }",
            idempotencyKey=f"cash {number}",
            portfolioId=id_of(portfolio),
            kind="DEPOSIT",
            currency="INR",
            amount=cash,
            tradedOn="2026-01-05",
        )
        assert paid["userErrors"] == []
    return made


def submitted(row_id: UUID, portfolio: Portfolio, instrument_id: UUID, by: UUID, moment: datetime) -> Order:
    """A limit order for one unit, at the broker."""
    return Order(
        id=row_id,
        portfolio_id=portfolio.id,
        client_id=portfolio.client_id,
        book_id=portfolio.book_id,
        instrument_id=instrument_id,
        side=Side.BUY,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(1),
        amount=None,
        limit_price=Decimal(1),
        currency="INR",
        status=OrderStatus.SUBMITTED,
        notional=Decimal(1),
        filled_quantity=Decimal(0),
        filled_value=Decimal(0),
        reserved_cash=Decimal(0),
        reserved_quantity=Decimal(0),
        trades_on=moment.date(),
        expires_at=moment + timedelta(days=300),
        placed_by=by,
        terms_by=by,
        placed_at=moment,
        approved_by=None,
        approved_at=None,
        closed_at=None,
        checked_at=moment,
        ending=None,
        revision=1,
        sent_revision=1,
        attention=None,
        reason=None,
        version=1,
    )


async def order(make: Make, portfolio: Portfolio, instrument: Instrument, by: User, **given: Any) -> Order:
    """An order row as an owner of the tables could add it: a limit order for one unit, at the broker."""
    made = msgspec.structs.replace(submitted(make.new_id(), portfolio, instrument.id, by.id, make.now), **given)
    await make.add(orders.orders, made)
    return made


async def fill(make: Make, filled: Order, entry: Transaction) -> Fill:
    """A fill row of an order, booked as a ledger entry."""
    made = Fill(
        make.new_id(),
        filled.id,
        f"fill {next(make.numbers)}",
        *(Decimal(1),) * 2,
        Decimal(0),
        "INR",
        make.now,
        entry.id,
    )
    await make.add(orders.fills, made)
    return made
