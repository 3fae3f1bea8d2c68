"""The broker: what it is told, and what it answers.

The firm's side asks again whenever it is not sure, so every call is idempotent: an order is known by its own id and
revision, and a report states all that has become of it so far.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from domain.orders.entities import OrderKind, Side


class BrokerUnavailable(Exception):  # noqa: N818 - what has happened, in the trade's words
    """The broker did not answer, and may or may not have done what it was asked."""


class BrokerStatus(StrEnum):
    """Where an order stands at the broker.

    WORKING: It trades, or waits for its price.
    FILLED: It was filled as a whole.
    CANCELLED: It ended before it was filled.
    REJECTED: It was not accepted.
    """

    WORKING = "WORKING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


class Instruction(msgspec.Struct, frozen=True):
    """What the broker is to do: one revision of an order, for a quantity or, of a fund, for an amount.

    `most_units` is how many there are to sell where the amount decides.
    """

    order_id: UUID
    revision: int
    instrument_id: UUID
    side: Side
    kind: OrderKind
    quantity: Decimal | None
    amount: Decimal | None
    most_units: Decimal | None
    limit_price: Decimal | None
    currency: str
    trades_on: date


class BrokerFill(msgspec.Struct, frozen=True):
    """Units that were traded at a price in the instrument's currency, on a day of the market.

    `fill_id` is the broker's own name of it, never given to another. `amount` is the cash that it took, charges
    included, where a purchase was ordered by amount.
    """

    fill_id: str
    quantity: Decimal
    price: Decimal
    traded_on: date
    filled_at: datetime
    amount: Decimal | None = None


class Report(msgspec.Struct, frozen=True):
    """All that has become of an order at the broker so far, and by which revision of it."""

    order_id: UUID
    revision: int
    status: BrokerStatus
    fills: Sequence[BrokerFill] = ()
    reason: str | None = None


class Broker(Protocol):
    """Where orders are executed. Every call may be repeated; each raises BrokerUnavailable."""

    async def submit(self, instruction: Instruction) -> Report:
        """Accept an order, or a later revision of it instead of the earlier one."""
        ...

    async def report(self, order_id: UUID) -> Report | None:
        """What has become of an order; none if the broker has never heard of it."""
        ...

    async def cancel(self, order_id: UUID) -> Report:
        """End an order as far as it is not filled; one that the broker has never heard of is never accepted later."""
        ...
