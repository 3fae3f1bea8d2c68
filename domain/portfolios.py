"""Portfolios: a client's accounts with a custodian, and what they aim at."""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.clients import Client, ClientStatus
from domain.entities import Entity, derived_id
from domain.errors import Refusal, RefusalCode
from domain.money import as_currency
from domain.text import fold, invalid, named
from domain.valuation import AssetClass
from domain.work import Work

ACCOUNT_NUMBER: Final = re.compile(r"ACC-[0-9]{4,16}")
MOST_BENCHMARK: Final = 100
SMALLEST_WEIGHT: Final = Decimal("0.000001")  # numeric(7,6)


class PortfolioStatus(StrEnum):
    """Whether a portfolio takes entries.

    OPEN: The portfolio takes entries.
    CLOSED: The portfolio is empty and takes no entries.
    """

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Portfolio(Entity, frozen=True):
    """An account; values are stated in `base_currency`."""

    id: UUID
    client_id: UUID
    book_id: UUID
    name: str
    sort_name: str
    account_number: str
    base_currency: str
    benchmark: str | None
    opened_on: date
    status: PortfolioStatus
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"name", "sort_name", "account_number"})
    person: ClassVar[str] = "client_id"


class Target(Entity, frozen=True):
    """The share of a portfolio, as a fraction, that an asset class is meant to have."""

    id: UUID
    portfolio_id: UUID
    asset_class: AssetClass
    weight: Decimal


class PortfolioFilter(msgspec.Struct, frozen=True):
    """Which portfolios a list holds."""

    client_ids: tuple[UUID, ...] | None = None
    book_ids: tuple[UUID, ...] | None = None
    account_number: str | None = None
    base_currencies: tuple[str, ...] | None = None
    statuses: tuple[PortfolioStatus, ...] | None = None


class Portfolios(Protocol):
    """The storage of portfolios."""

    async def one(self, viewer: Viewer, portfolio_id: UUID) -> Portfolio: ...  # noqa: D102 - the signature says it, here and below
    async def locked(self, viewer: Viewer, portfolio_id: UUID) -> Portfolio: ...  # noqa: D102
    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Portfolio]: ...  # noqa: D102
    async def of_clients(self, viewer: Viewer, client_ids: Sequence[UUID]) -> list[Portfolio]: ...  # noqa: D102
    async def next_account_number(self) -> str: ...  # noqa: D102
    async def add_once(self, portfolio: Portfolio) -> bool: ...  # noqa: D102
    async def replace(self, before: Portfolio, after: Portfolio) -> Portfolio: ...  # noqa: D102
    async def targets_of(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> list[Target]: ...  # noqa: D102
    async def replace_targets(self, before: Sequence[Target], after: Sequence[Target]) -> None: ...  # noqa: D102


class TargetWeight(msgspec.Struct, frozen=True):
    """What a target allocation gives to an asset class: a fraction."""

    asset_class: AssetClass
    weight: Decimal


class NewPortfolio(msgspec.Struct, frozen=True):
    """What opens a portfolio; without an account number the firm gives one."""

    client_id: UUID
    name: str
    base_currency: str = "INR"
    account_number: str | None = None
    benchmark: str | None = None
    opened_on: date | None = None
    targets: tuple[TargetWeight, ...] = ()


class PortfolioChange(msgspec.Struct, frozen=True):
    """What changes a portfolio, as it stood at `version`; UNSET leaves a field as it is."""

    portfolio_id: UUID
    version: int
    name: str | msgspec.UnsetType = msgspec.UNSET
    benchmark: str | msgspec.UnsetType | None = msgspec.UNSET
    targets: tuple[TargetWeight, ...] | msgspec.UnsetType = msgspec.UNSET


async def open_portfolio(work: Work, viewer: Viewer, new: NewPortfolio) -> Portfolio:
    """Open an empty portfolio. Refuses: INVALID_VALUE, FUTURE_DATE, DUPLICATE, ARCHIVED."""
    require(viewer, Action.OPEN_PORTFOLIO)
    client = await work.clients.locked(viewer, new.client_id)
    if client.status is ClientStatus.ARCHIVED:
        raise Refusal(RefusalCode.ARCHIVED, "The client is archived.", ("input", "clientId"))
    today = viewer.today(work.now)
    opened_on = new.opened_on or today
    if opened_on > today:
        raise Refusal(RefusalCode.FUTURE_DATE, "The date lies in the future.", ("input", "openedOn"))
    name = named(new.name, "name")
    portfolio = Portfolio(
        id=work.new_id(),
        client_id=client.id,
        book_id=client.book_id,
        name=name,
        sort_name=fold(name),
        account_number=_account_number(new.account_number) or await work.portfolios.next_account_number(),
        base_currency=as_currency(new.base_currency, "baseCurrency"),
        benchmark=_benchmark(new.benchmark),
        opened_on=opened_on,
        status=PortfolioStatus.OPEN,
        version=1,
    )
    while not await work.portfolios.add_once(portfolio):
        if new.account_number is not None:
            raise Refusal(RefusalCode.DUPLICATE, "Another portfolio has this number.", ("input", "accountNumber"))
        # Somebody was given the next number by hand.
        number = await work.portfolios.next_account_number()
        portfolio = msgspec.structs.replace(portfolio, account_number=number)
    await work.portfolios.replace_targets([], _targets(portfolio.id, new.targets))
    return portfolio


async def open_for_change(work: Work, viewer: Viewer, portfolio_id: UUID, field: str = "portfolioId") -> Portfolio:
    """A portfolio as `opened` gives it. Raises NotFound. Refuses: ARCHIVED, at the input's field."""
    return (await opened(work, viewer, portfolio_id, field))[1]


async def opened(
    work: Work, viewer: Viewer, portfolio_id: UUID, field: str = "portfolioId"
) -> tuple[Client, Portfolio]:
    """A client and its portfolio with their locks, taken in this order, as a move of the client takes them.

    Raises NotFound. Refuses: ARCHIVED, at the input's field.
    """
    seen = await work.portfolios.one(viewer, portfolio_id)
    client = await work.clients.locked(viewer, seen.client_id)
    if client.status is ClientStatus.ARCHIVED:
        raise Refusal(RefusalCode.ARCHIVED, "The client is archived and takes no changes.", ("input", field))
    portfolio = await work.portfolios.locked(viewer, portfolio_id)
    if portfolio.status is PortfolioStatus.CLOSED:
        raise Refusal(RefusalCode.ARCHIVED, "The portfolio is closed and takes no changes.", ("input", field))
    return client, portfolio


async def update(work: Work, viewer: Viewer, change: PortfolioChange) -> Portfolio:
    """Change what a portfolio is called and aims at. Refuses: INVALID_VALUE, STALE_VERSION, ARCHIVED."""
    require(viewer, Action.OPEN_PORTFOLIO)
    before = await open_for_change(work, viewer, change.portfolio_id)
    name = before.name if isinstance(change.name, msgspec.UnsetType) else named(change.name, "name")
    unchanged = isinstance(change.benchmark, msgspec.UnsetType)
    after = msgspec.structs.replace(
        before,
        name=name,
        sort_name=fold(name),
        benchmark=before.benchmark if unchanged else _benchmark(change.benchmark),
        version=before.version + 1,
    )
    # A version that is no longer the last makes the write itself fail: the database referees.
    await work.portfolios.replace(msgspec.structs.replace(before, version=change.version), after)
    if not isinstance(change.targets, msgspec.UnsetType):
        targets = await work.portfolios.targets_of(viewer, [after.id])
        await work.portfolios.replace_targets(targets, _targets(after.id, change.targets))
    return after


def _account_number(text: str | None) -> str | None:
    if text is not None and not ACCOUNT_NUMBER.fullmatch(text):
        raise invalid("accountNumber", "An account number is ACC- and 4 to 16 digits.")
    return text


def _benchmark(text: object) -> str | None:
    benchmark = str(text or "").strip()
    if len(benchmark) > MOST_BENCHMARK:
        raise invalid("benchmark", f"A benchmark's name has at most {MOST_BENCHMARK} characters.")
    return benchmark or None


def _targets(portfolio_id: UUID, targets: Sequence[TargetWeight]) -> list[Target]:
    weights = {target.asset_class: target.weight for target in targets}
    if len(weights) < len(targets):
        raise invalid("targets", "Each asset class is given once.")
    if any(not 0 < weight <= 1 for weight in weights.values()) or (weights and sum(weights.values()) != 1):
        raise invalid("targets", "Weights are fractions above 0 that add up to 1.")
    if any(weight != weight.quantize(SMALLEST_WEIGHT) for weight in weights.values()):
        raise invalid("targets", "A weight has at most 6 places.")
    return [
        Target(derived_id("target", portfolio_id, asset_class), portfolio_id, asset_class, weight)
        for asset_class, weight in weights.items()
    ]
