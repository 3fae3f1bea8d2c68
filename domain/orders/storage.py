"""What orders need of storage."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from domain.access import Viewer
from domain.orders.entities import Fill, Order
from domain.paging import Page, PageRequest


class Orders(Protocol):
    """The storage of orders and their fills."""

    async def one(self, viewer: Viewer, order_id: UUID) -> Order: ...  # noqa: D102 - the signature says it, here and below
    async def locked(self, viewer: Viewer, order_id: UUID) -> Order: ...  # noqa: D102
    async def page(self, viewer: Viewer, request: PageRequest) -> Page[Order]: ...  # noqa: D102
    async def add(self, order: Order) -> None: ...  # noqa: D102
    async def replace(self, before: Order, after: Order) -> Order: ...  # noqa: D102
    async def fills_of(self, viewer: Viewer, order_ids: Sequence[UUID]) -> list[Fill]: ...  # noqa: D102
    async def has_open(self, viewer: Viewer, client_id: UUID) -> bool: ...  # noqa: D102

    async def add_fill_once(self, fill: Fill) -> bool:
        """Store a fill, unless the broker's own name of it was stored before; tells which."""
        ...

    async def reserved(
        self, viewer: Viewer, portfolio_id: UUID, currency: str, instrument_id: UUID | None
    ) -> tuple[Decimal, Decimal]:
        """The cash in a currency and the units of an instrument that open orders of a portfolio reserve."""
        ...

    async def reserved_cash(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> Mapping[tuple[UUID, str], Decimal]:
        """The cash that open orders of these portfolios reserve, by portfolio and currency."""
        ...

    async def take_due(self, checked_before: datetime, now: datetime, most: int) -> list[UUID]:
        """Orders at the broker that were last asked about before a moment, which count as asked about now."""
        ...

    async def ahead(self, viewer: Viewer, day: date) -> list[Order]:
        """Open orders for sessions of a day or later ones, which are not being ended."""
        ...

    async def expired(self, viewer: Viewer, moment: datetime, most: int) -> list[UUID]:
        """Open orders whose time is over, and which are not being ended already."""
        ...
