"""Households: several clients seen as one."""

from typing import ClassVar, Protocol
from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require
from domain.entities import Entity
from domain.money import as_currency
from domain.text import fold, named
from domain.work import Work


class Household(Entity, frozen=True):
    """Several clients seen as one; it lies in a book, and `currency` is the one its totals are stated in."""

    id: UUID
    book_id: UUID
    name: str
    sort_name: str
    currency: str
    version: int

    personal: ClassVar[frozenset[str]] = frozenset({"name", "sort_name"})


class HouseholdFilter(msgspec.Struct, frozen=True):
    """Which households a list holds."""

    book_ids: tuple[UUID, ...] | None = None


class Households(Protocol):
    """The storage of households."""

    async def one(self, viewer: Viewer, household_id: UUID) -> Household: ...  # noqa: D102 - the signature says it
    async def locked(self, viewer: Viewer, household_id: UUID) -> Household: ...  # noqa: D102

    async def members(self, viewer: Viewer, household_id: UUID) -> list[UUID]:
        """The clients that belong to it, as far as the viewer sees them."""
        ...

    async def add(self, household: Household) -> None: ...  # noqa: D102
    async def replace(self, before: Household, after: Household) -> Household: ...  # noqa: D102


class NewHousehold(msgspec.Struct, frozen=True):
    """What makes a household."""

    book_id: UUID
    name: str
    currency: str = "INR"


async def create(work: Work, viewer: Viewer, new: NewHousehold) -> Household:
    """Make a household in a book; clients join it by `updateClient`. Refuses: INVALID_VALUE."""
    require(viewer, Action.CREATE_CLIENT)
    book = await work.books.one(viewer, new.book_id)
    name = named(new.name, "name")
    household = Household(work.new_id(), book.id, name, fold(name), as_currency(new.currency), 1)
    await work.households.add(household)
    return household


async def rename(work: Work, viewer: Viewer, household_id: UUID, version: int, name: str) -> Household:
    """Give a household another name. Refuses: INVALID_VALUE, STALE_VERSION."""
    require(viewer, Action.UPDATE_CLIENT)
    before = await work.households.locked(viewer, household_id)
    checked = named(name, "name")
    after = msgspec.structs.replace(before, name=checked, sort_name=fold(checked), version=before.version + 1)
    return await work.households.replace(msgspec.structs.replace(before, version=version), after)
