"""Positions, lots and cash: what the ledger folds to, stored so that it need not be folded at each reading."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import Entity
from domain.ledger import average_cost
from domain.money import arithmetic


class Position(Entity, frozen=True):
    """A holding of an instrument; costs and gains are in `currency`, the instrument's.

    Derived: its id is that of its portfolio and instrument, so it is the same position after every fold. One that
    was sold out stays, with a quantity of zero, for its realised gain.
    """

    id: UUID
    portfolio_id: UUID
    client_id: UUID
    book_id: UUID
    instrument_id: UUID
    symbol: str
    quantity: Decimal
    total_cost: Decimal
    realised_gain: Decimal
    dividends: Decimal
    currency: str
    version: int

    @property
    def average_cost(self) -> Decimal | None:
        """Cost of one unit, unrounded; none when nothing is held."""
        return average_cost(self.total_cost, self.quantity)


class Lot(Entity, frozen=True):
    """What is left of one acquisition, with its cost in `currency`, the instrument's; oldest first by `ordinal`."""

    id: UUID
    position_id: UUID
    ordinal: int
    opened_on: date
    quantity: Decimal
    cost: Decimal
    currency: str


class CashBalance(Entity, frozen=True):
    """A portfolio's cash in a currency by trade date, settled or not."""

    id: UUID
    portfolio_id: UUID
    client_id: UUID
    book_id: UUID
    currency: str
    amount: Decimal
    version: int


class PositionFilter(msgspec.Struct, frozen=True):
    """Which positions a list holds; those that were sold out are left out unless `closed` asks for them."""

    closed: bool = False
    instrument_ids: tuple[UUID, ...] | None = None


class Positions(Protocol):
    """The storage of positions."""

    async def available(
        self, viewer: Viewer, portfolio_id: UUID, currency: str, instrument_id: UUID
    ) -> tuple[Decimal, Decimal]:
        """What a portfolio has: the cash in a currency by trade date, and the units of an instrument."""
        ...

    async def store(self, position: Position, held: Sequence[Lot]) -> None:
        """Write a folded position and its lots, with the next version if anything differs."""
        ...


class Cash(Protocol):
    """The storage of cash balances."""

    async def settled(self, viewer: Viewer, portfolio_ids: Sequence[UUID], day: date, /) -> "list[Settled]":
        """The cash of these portfolios, which were read under scope, at the end of a day, by currency."""
        ...

    async def store(self, balance: CashBalance) -> None:
        """Write a folded balance, with the next version if it differs."""
        ...


class Settled(msgspec.Struct, frozen=True):
    """Cash in one currency on a day: what has settled, and what is still to come or to go."""

    portfolio_id: UUID
    currency: str
    settled: Decimal
    unsettled: Decimal

    @property
    def total(self) -> Decimal:
        """Cash by trade date, settled or not."""
        with arithmetic():
            return self.settled + self.unsettled
