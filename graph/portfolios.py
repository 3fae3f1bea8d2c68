"""Portfolios: what they hold, what they are worth, and what they aim at."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

import strawberry
from strawberry import ID, UNSET

from domain import portfolios, positions
from domain.paging import Direction
from domain.paging import Order as Ordering
from domain.portfolios import PortfolioStatus
from domain.valuation import AssetClass
from graph.audit import AuditEvent, changes
from graph.batching import batched
from graph.clients import Client
from graph.context import Info
from graph.cost import cost
from graph.dated import Batch, dated, reading
from graph.described import enum, input_, type_
from graph.inputs import into
from graph.lists import Connection, Lists, listed
from graph.mutations import Payload, mutation
from graph.nodes import Node, OfEntity
from graph.orders import ORDERS, Order, orders_cursor
from graph.positions import POSITIONS, Position
from graph.scalars import money
from graph.transactions import TRANSACTIONS, Transaction
from graph.valuation import PORTFOLIO_VALUES, PortfolioValuation, value_series
from persistence.clients import Clients
from persistence.orders import Orders
from persistence.portfolios import Portfolios
from persistence.positions import Cash, Positions
from persistence.transactions import Transactions

enum(PortfolioStatus)

CASH: Final = Batch(reading(Cash.settled), by="portfolio_id", many=True)


@type_
class CashBalance(OfEntity):
    """A portfolio's cash in one currency at the end of a day.

    currency: The currency, by its code of ISO 4217.
    """

    entity = positions.Settled

    currency: str
    settled = money("settled", "currency", "What has moved by the end of the day.")
    unsettled = money("unsettled", "currency", "What moves later: below zero for purchases yet to be paid.")
    total = money("total", "currency", "Both together: the cash by trade date.")


@type_
class Target(OfEntity):
    """What a target allocation gives to an asset class.

    asset_class: The asset class.
    weight: The share that it is meant to have, as a fraction.
    """

    entity = portfolios.Target

    asset_class: AssetClass
    weight: Decimal


@type_
class Portfolio(Node):
    """An account of a client with a custodian.

    name: What the portfolio is called.
    account_number: The number of the account, unique in the firm: `ACC-` and digits.
    base_currency: The currency that its values are stated in, by its code of ISO 4217.
    benchmark: What its performance is measured against, by name.
    opened_on: The day on which it was opened.
    status: Whether it takes entries.
    version: Rises with each change of the portfolio itself.
    """

    entity = portfolios.Portfolio

    name: str
    account_number: str
    base_currency: str
    benchmark: str | None
    opened_on: date
    status: PortfolioStatus
    version: int
    client: Client = batched(Clients.by_ids, key="client_id", by="id", description="The client whose account it is.")
    targets: list[Target] = batched(
        Portfolios.targets_of,
        key="id",
        by="portfolio_id",
        description="The target allocation, at most one for each asset class; empty if there is none.",
        size=5,
    )
    positions: Connection[Position] = batched(
        Positions.pages,
        key="id",
        by="parent",
        count=Positions.counts,
        lists=POSITIONS,
        description="What it holds today; with `closed`, what it has held as well.",
    )
    transactions: Connection[Transaction] = batched(
        Transactions.pages,
        key="id",
        by="parent",
        count=Transactions.counts,
        lists=TRANSACTIONS,
        description="Its ledger, the latest trade first unless ordered otherwise.",
    )
    orders: Connection[Order] = batched(
        Orders.pages,
        key="id",
        by="parent",
        count=Orders.counts,
        lists=ORDERS,
        description="Its orders, the latest first unless ordered otherwise.",
    )
    orders_cursor = orders_cursor()
    cash = dated(
        CASH,
        list[CashBalance],
        key="id",
        description="Its cash, for each of the few currencies that it has moved.",
        cost=cost(size=2),
    )
    valuation = dated(PORTFOLIO_VALUES, PortfolioValuation, key="id", description="What it is worth.")
    value_series = value_series()
    changes: Connection[AuditEvent] = changes("the portfolio itself")


@enum
class PortfolioOrderField(StrEnum):
    """What portfolios can be ordered by.

    NAME: Their names, case and accents aside.
    OPENED_ON: The day they were opened.
    """

    NAME = "NAME"
    OPENED_ON = "OPENED_ON"


@input_
class PortfolioOrder:
    """What a list of portfolios is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: PortfolioOrderField
    direction: Direction = Direction.ASC


@input_
class PortfolioFilter:
    """Which portfolios a list holds: those that fit all that is given.

    client_ids: Portfolios of these clients.
    book_ids: Portfolios of the clients in these books.
    account_number: The portfolio with this account number.
    base_currencies: Portfolios with these base currencies.
    statuses: Portfolios with these statuses.
    """

    client_ids: list[ID] | None = None
    book_ids: list[ID] | None = None
    account_number: str | None = None
    base_currencies: list[str] | None = None
    statuses: list[PortfolioStatus] | None = None


PORTFOLIOS = Lists(PortfolioOrder, Ordering("NAME"), portfolios.PortfolioFilter, PortfolioFilter)


@input_
class TargetInput:
    """What a target allocation gives to an asset class.

    asset_class: The asset class.
    weight: The share that it is meant to have, as a fraction above zero; those of all classes add up to 1.
    """

    asset_class: AssetClass
    weight: Decimal


@input_
class OpenPortfolioInput:
    """What opens a portfolio.

    client_id: The client whose account it is.
    name: What the portfolio is called.
    base_currency: The currency that its values are stated in.
    account_number: The number of the account, `ACC-` and 4 to 16 digits; left out, the firm gives one.
    benchmark: What its performance is measured against, by name.
    opened_on: The day of its opening; the viewer's today if it is left out.
    targets: The target allocation.
    """

    client_id: ID
    name: str
    base_currency: str = "INR"
    account_number: str | None = None
    benchmark: str | None = None
    opened_on: date | None = None
    targets: list[TargetInput] | None = UNSET


@input_
class UpdatePortfolioInput:
    """What changes a portfolio; what is left out stays as it is.

    portfolio_id: The portfolio.
    version: The version that the change was made from.
    name: What the portfolio is called.
    benchmark: What its performance is measured against, by name; null for nothing.
    targets: Another target allocation, instead of that there is; an empty list for none.
    """

    portfolio_id: ID
    version: int
    name: str | None = UNSET
    benchmark: str | None = UNSET
    targets: list[TargetInput] | None = UNSET


@type_
class PortfolioPayload(Payload):
    """A portfolio that was opened or changed.

    portfolio: The portfolio as it is now.
    """

    portfolio: portfolios.Portfolio | None = strawberry.field(default=None, graphql_type=Portfolio | None)


@strawberry.type
class PortfolioQueries:
    """Queries of portfolios."""

    portfolios: Connection[Portfolio] = listed(
        Portfolios.page, Portfolios.count, PORTFOLIOS, "The portfolios that the viewer sees."
    )


@strawberry.type
class PortfolioMutations:
    """Mutations of portfolios."""

    @mutation
    async def open_portfolio(self, info: Info, input: OpenPortfolioInput) -> PortfolioPayload | None:
        """Open an empty portfolio for a client."""
        new = into(portfolios.NewPortfolio, input)
        return PortfolioPayload(portfolio=await info.context.write(portfolios.open_portfolio, new))

    @mutation
    async def update_portfolio(self, info: Info, input: UpdatePortfolioInput) -> PortfolioPayload | None:
        """Change what a portfolio is called and aims at. Two edits of one version: one gets STALE_VERSION."""
        change = into(portfolios.PortfolioChange, input)
        return PortfolioPayload(portfolio=await info.context.write(portfolios.update, change))
