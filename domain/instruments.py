"""Instruments that can be held, and what they are worth."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import Entity
from domain.paging import Page, PageRequest
from domain.valuation import AssetClass


class InstrumentStatus(StrEnum):
    """Whether an instrument is traded.

    ACTIVE: The instrument is traded.
    SUSPENDED: Trading is suspended for the time being.
    DELISTED: The instrument is traded no more.
    """

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELISTED = "DELISTED"


class InstrumentKind(StrEnum):
    """What an instrument is in trading.

    SHARE: A share of a company, or a unit of a listed trust.
    ETF: A fund that is traded on an exchange.
    FUND: A fund whose units are bought from and sold to the fund itself, at its next net asset value.
    BOND: A bond that is traded on an exchange.
    """

    SHARE = "SHARE"
    ETF = "ETF"
    FUND = "FUND"
    BOND = "BOND"


class RiskLevel(StrEnum):
    """How much an instrument's value swings.

    LOW: Hardly at all, such as a liquid or a government bond fund.
    MODERATE: Somewhat, such as gold or property.
    HIGH: Much, such as shares.
    VERY_HIGH: Very much, such as commodities.
    """

    LOW = "LOW"
    MODERATE = "MODERATE"
    HIGH = "HIGH"
    VERY_HIGH = "VERY_HIGH"


class Instrument(Entity, frozen=True):
    """Something that can be held; `exchange` is a market identifier code of ISO 10383.

    It is traded in multiples of `lot_size`, at prices that are multiples of `tick_size`.
    """

    id: UUID
    symbol: str
    isin: str
    name: str
    sort_name: str
    asset_class: AssetClass
    sector: str
    exchange: str
    currency: str
    lot_size: Decimal
    status: InstrumentStatus
    kind: InstrumentKind
    tick_size: Decimal
    risk: RiskLevel


class Price(Entity, frozen=True):
    """A raw closing price in the instrument's currency, for one unit."""

    instrument_id: UUID
    priced_on: date
    close: Decimal


class ClosingPrice(msgspec.Struct, frozen=True, gc=False):
    """The raw closing price of one unit of an instrument on a day, in its currency."""

    instrument_id: UUID
    on: date
    price: Decimal
    currency: str


class FxRate(Entity, frozen=True):
    """What one unit of a currency is worth in US dollars on a day."""

    currency: str
    quoted_on: date
    usd: Decimal


class InstrumentFilter(msgspec.Struct, frozen=True):
    """Which instruments a list holds; `text` finds beginnings of words of symbols, names and ISINs."""

    text: str | None = None
    asset_classes: tuple[AssetClass, ...] | None = None
    sectors: tuple[str, ...] | None = None
    exchanges: tuple[str, ...] | None = None
    currencies: tuple[str, ...] | None = None


class Instruments(Protocol):
    """The storage of instruments."""

    async def one(self, viewer: Viewer, instrument_id: UUID) -> Instrument: ...  # noqa: D102 - the signature says it, here and below
    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Instrument]: ...  # noqa: D102
    async def page(self, viewer: Viewer, request: PageRequest) -> Page[Instrument]: ...  # noqa: D102


class Quotes(Protocol):
    """The storage of prices and rates."""

    async def last_prices(self, viewer: Viewer, instrument_ids: Sequence[UUID], day: date) -> list[ClosingPrice]:
        """The last closing price of each of these instruments on or before a day."""
        ...

    async def prices(
        self, viewer: Viewer, instrument_ids: Sequence[UUID], first: date, last: date
    ) -> list[ClosingPrice]:
        """The closing prices of these instruments from one day to another, in order of time."""
        ...

    async def rates(self, viewer: Viewer, day: date) -> list[FxRate]:
        """The last rate of each currency on or before a day."""
        ...
