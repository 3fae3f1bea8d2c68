"""Portfolios and their targets."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    any_,
    bindparam,
    select,
)
from sqlalchemy import (
    Sequence as Counter,
)
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.portfolios import Portfolio, PortfolioStatus, Target
from domain.valuation import AssetClass
from persistence.listing import Listing, one_of, plain
from persistence.metadata import TEXTS, UUIDS, enum_column, metadata, owned_by_client, table
from persistence.repository import Listed, narrowing
from persistence.scope import by_book, through
from persistence.sql import columns

ACCOUNT_NUMBERS: Final = Counter("account_numbers", start=10_000_001, metadata=metadata)

portfolios = table(
    "portfolios",
    by_book(),
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Column("book_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("account_number", Text, nullable=False, unique=True),
    Column("base_currency", Text, nullable=False),
    Column("benchmark", Text),
    Column("opened_on", Date, nullable=False),
    *enum_column("status", PortfolioStatus),
    Column("version", Integer, nullable=False),
    owned_by_client(),
    # What hangs on a portfolio names its client too, and cannot name another.
    UniqueConstraint("id", "client_id"),
    Index(None, "client_id"),
    Index(None, "sort_name", "id"),
    Index(None, "book_id", "sort_name", "id"),
    Index(None, "opened_on", "id"),
    Index(None, "book_id", "opened_on", "id"),
)

targets = table(
    "portfolio_targets",
    through("portfolios", "portfolio_id"),
    Column("id", Uuid, primary_key=True),
    Column("portfolio_id", Uuid, ForeignKey("portfolios.id"), nullable=False),
    *enum_column("asset_class", AssetClass),
    Column("weight", Numeric(7, 6), nullable=False),
    UniqueConstraint("portfolio_id", "asset_class"),
)

OF_CLIENTS = (
    select(*columns(Portfolio, portfolios))
    .where(portfolios.c.client_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(portfolios.c.opened_on, portfolios.c.id)
)
TARGETS = (
    select(*columns(Target, targets))
    .where(targets.c.portfolio_id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(targets.c.asset_class)
)
NEXT_ACCOUNT_NUMBER = select(ACCOUNT_NUMBERS.next_value())


class Portfolios(Listed[Portfolio]):
    """Portfolios, as far as the viewer sees them."""

    entity = Portfolio
    table = portfolios
    listing = Listing(
        Portfolio,
        portfolios,
        orders={"NAME": portfolios.c.sort_name, "OPENED_ON": portfolios.c.opened_on},
        filters=dict(
            [
                one_of("client_ids", portfolios.c.client_id, UUIDS),
                one_of("book_ids", portfolios.c.book_id, UUIDS),
                plain("account_number", lambda: portfolios.c.account_number == bindparam("account_number")),
                one_of("base_currencies", portfolios.c.base_currency, TEXTS),
                one_of("statuses", portfolios.c.status, TEXTS),
            ]
        ),
    )

    @narrowing
    async def of_clients(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[Portfolio]:
        """All portfolios of these clients that the viewer may see, oldest first."""
        return await self.narrow(Portfolio, OF_CLIENTS, viewer, keys=client_ids)

    async def targets_of(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> list[Target]:
        """The target allocations of these portfolios."""
        return await self.many(Target, TARGETS, viewer, keys=portfolio_ids)

    async def next_account_number(self) -> str:
        """A number that no portfolio of the firm has had."""
        return f"ACC-{(await self.lent.rows(NEXT_ACCOUNT_NUMBER, {}))[0][0]}"

    async def add_once(self, portfolio: Portfolio) -> bool:
        """Store a new portfolio, unless its number is taken; tells which."""
        return await self.insert_once(portfolios, portfolio)

    async def replace_targets(self, before: Sequence[Target], after: Sequence[Target]) -> None:
        """Store another target allocation."""
        for target in before:
            await self.delete(targets, target)
        for target in after:
            await self.insert(targets, target)
