"""Keyset paging: what a page asks for, what it answers, and the cursor between them."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from domain.entities import Entity
from domain.errors import Invalid

E = TypeVar("E", bound=Entity)

DEFAULT_SIZE: Final = 25
LARGEST_SIZE: Final = 200
LARGEST_NESTED_SIZE: Final = 50


class Direction(StrEnum):
    """Which way a list runs.

    ASC: From the smallest, earliest or alphabetically first.
    DESC: From the largest, latest or alphabetically last.
    """

    ASC = "ASC"
    DESC = "DESC"


class Order(msgspec.Struct, frozen=True):
    """What a list is ordered by; ties are broken by id in the same direction."""

    field: str
    direction: Direction = Direction.ASC


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list: the order and filter it belongs to, and the key of the row."""

    field: str
    direction: Direction
    filter_digest: str
    value: Any
    id: UUID

    def encode(self) -> str:
        """Opaque text for clients."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, field: str) -> "Cursor":
        """Read a cursor from the argument `field`; raises Invalid for anything that `encode` did not make."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            cursor = msgspec.msgpack.decode(raw, type=cls)
        except (ValueError, RecursionError) as error:
            raise Invalid.of(field, "is not a cursor of this list") from error
        if cursor.encode() != text:
            raise Invalid.of(field, "is not a cursor of this list")
        return cursor


class PageRequest(msgspec.Struct, frozen=True):
    """One page of a list, forward with `first` and `after`, or backward with `last` and `before`.

    `filter` is a frozen struct of the list, whose unset fields are None.
    """

    order: Order
    filter: msgspec.Struct
    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def size(self) -> int:
        """Rows wanted."""
        return self.last if self.last is not None else self.first if self.first is not None else DEFAULT_SIZE

    @property
    def backward(self) -> bool:
        """Whether the page is counted from the end."""
        return self.last is not None

    def check(self, largest: int = LARGEST_SIZE) -> "PageRequest":
        """Itself, or Invalid where sizes or cursors contradict each other."""
        if self.first is not None and self.last is not None:
            raise Invalid.of("last", "cannot be given together with first")
        name = "last" if self.backward else "first"
        if not 1 <= self.size <= largest:
            raise Invalid.of(name, f"must be between 1 and {largest}")
        if self.backward and self.after is not None:
            raise Invalid.of("after", "goes with first, not with last")
        if not self.backward and self.before is not None:
            raise Invalid.of("before", "goes with last, not with first")
        return self

    @property
    def filter_digest(self) -> str:
        """Short digest of the filter, so that a cursor is refused under another one."""
        return _digest(self.filter)

    def cursor(self) -> Cursor | None:
        """The place to go on from, if any; raises Invalid if it belongs to another order or filter."""
        field, text = ("before", self.before) if self.backward else ("after", self.after)
        if text is None:
            return None
        cursor = Cursor.decode(text, field)
        if (cursor.field, cursor.direction) != (self.order.field, self.order.direction):
            raise Invalid.of(field, "belongs to another order of this list")
        if cursor.filter_digest != self.filter_digest:
            raise Invalid.of(field, "belongs to another filter of this list")
        return cursor

    def cursor_of(self, value: Any, row_id: UUID) -> str:
        """The cursor of a row, given the value it is ordered by."""
        return Cursor(self.order.field, self.order.direction, self.filter_digest, value, row_id).encode()


class Edge(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """A row of a page and its place in the list, of which a cursor is made when it is asked for."""

    node: E
    value: Any
    request: PageRequest

    @property
    def cursor(self) -> str:
        """The row's place."""
        return self.request.cursor_of(_portable(self.value), getattr(self.node, "id"))  # noqa: B009 - Entity itself names no field


class Page(msgspec.Struct, Generic[E], frozen=True):
    """One page: its rows in the list's order, and whether there are more on either side.

    `values` are what the rows are ordered by, unless nobody asks for cursors; `parent` is what the list hangs on, for a
    page beneath a list.
    """

    rows: Sequence[E]
    values: Sequence[Any] | None
    has_next: bool
    has_previous: bool
    request: PageRequest
    parent: UUID | None = None

    @property
    def edges(self) -> list[Edge[E]]:
        """The rows with their cursors."""
        if self.values is None:
            raise TypeError("the page was read without what cursors are made of")
        return [Edge(row, value, self.request) for row, value in zip(self.rows, self.values, strict=True)]


@lru_cache(maxsize=1024)
def _digest(chosen: msgspec.Struct) -> str:
    return hashlib.blake2s(msgspec.msgpack.encode(chosen), digest_size=6).hexdigest()


def _portable(value: Any) -> Any:
    """An ordered-by value as a cursor holds it: text for what MessagePack has no exact form of its own."""
    return value if isinstance(value, str | int) else msgspec.to_builtins(value)
