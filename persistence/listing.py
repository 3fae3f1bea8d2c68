"""Lists: filters, orders and keyset pages, at the root and beneath a list, each page one statement."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    func,
    lateral,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.types import BigInteger, Uuid

from domain.access import Sight, Viewer
from domain.entities import Entity
from domain.errors import Invalid
from domain.paging import Direction, Page, PageRequest
from persistence.database import Lent
from persistence.metadata import UUIDS, unnested
from persistence.scope import scoped, viewer_values
from persistence.sql import PLACE, Statement, columns, compile_statement, read_all

E = TypeVar("E", bound=Entity)
T = TypeVar("T")

# Statements of one list, each of a few kilobytes.
MOST_TEXTS: Final = 256

Condition = Callable[[], ColumnElement[bool]]
Translate = Callable[[Any], Mapping[str, Any] | None]


class Filter(msgspec.Struct, frozen=True):
    """A field of a list's filter: its condition, and its value as the condition's parameters; none cuts nothing."""

    condition: Condition
    values: Translate


def plain(name: str, condition: Condition) -> tuple[str, Filter]:
    """A filter whose only parameter has the field's name."""
    return name, Filter(condition, lambda value: {name: value})


def one_of(name: str, column: ColumnElement[Any], type_: Any) -> tuple[str, Filter]:
    """Rows whose column is among the given values."""
    return plain(name, lambda: column == any_(bindparam(name, type_=type_)))


# Pages of the usual sizes, and one row more, which tells whether there is another page.
ROWS: Final = (6, 11, 21, 26, 51, 101, 201)


class Shape(msgspec.Struct, frozen=True, cache_hash=True):
    """What a page's SQL depends on; its values come apart, so that the text is compiled once."""

    sight: Sight
    filters: frozenset[str]
    order: str
    descending: bool
    resumed: bool
    columns: frozenset[str] | None
    # How many rows are read at most. It is written out: what is limited by a parameter PostgreSQL plans anew each time,
    # in a list of some length, which costs it as much as to read the page.
    most: int


class Listing(Generic[E]):
    """A list of an entity: by what it can be filtered and ordered, at the root and, by `parent`, beneath a list.

    Every order's column is stored, not null, and indexed together with the scope's column and the id.
    """

    def __init__(
        self,
        entity: type[E],
        table: Table,
        *,
        orders: Mapping[str, ColumnElement[Any]],
        filters: Mapping[str, Filter] | None = None,
        parent: str | None = None,
    ) -> None:
        self.entity = entity
        self.table = table
        self.orders = orders
        self.filters = filters or {}
        self.parent = parent
        self._texts: OrderedDict[tuple[str, Shape], Statement] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many of its statements are kept compiled."""
        return len(self._texts)

    def _text(self, kind: str, shape: Shape, build: Callable[[Shape], Select[Any]]) -> Statement:
        key = kind, shape
        if (known := self._texts.get(key)) is not None:
            self._texts.move_to_end(key)
            return known
        # What is selected and filtered is the clients' own choice.
        while len(self._texts) >= MOST_TEXTS:
            self._texts.popitem(last=False)
        made = self._texts[key] = compile_statement(build(shape))
        return made

    def _asked(
        self, viewer: Viewer, request: PageRequest, columns: frozenset[str] | None = None, *, counting: bool = False
    ) -> tuple[Shape, dict[str, Any]]:
        """What the SQL of a page depends on, and its values. Raises Invalid for a cursor of another list."""
        given, cursor, backward = self._given(request), request.cursor(), request.backward
        most = 0 if counting else _most(request.size)
        descending = (request.order.direction is Direction.DESC) != backward
        shape = Shape(
            viewer.sight,
            frozenset(given),
            request.order.field,
            descending,
            resumed=cursor is not None,
            columns=columns,
            most=most,
        )
        values: dict[str, Any] = viewer_values(viewer)
        for translated in given.values():
            values |= translated
        if cursor is not None:
            values |= {"cursor_value": self._cursor_value(request, cursor.value), "cursor_id": cursor.id}
        return shape, values

    def _given(self, request: PageRequest) -> dict[str, Mapping[str, Any]]:
        """The parameters of each filter that cuts the list."""
        given: dict[str, Mapping[str, Any]] = {}
        for name, value in msgspec.structs.asdict(request.filter).items():
            if value is None or name not in self.filters:
                continue
            translated = self.filters[name].values(value)
            if translated is not None:
                given[name] = translated
        return given

    def _cursor_value(self, request: PageRequest, value: Any) -> Any:
        """The key as the column's own type: a cursor holds dates, moments and numbers as text. Raises Invalid."""
        try:
            return msgspec.convert(value, type=self.orders[request.order.field].type.python_type, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid.of("before" if request.backward else "after", "is not a cursor of this list") from error

    def _rows(self, shape: Shape) -> Select[Any]:
        """The matching rows, in order, from the cursor on, with the value they are ordered by as the last column."""
        key = self.orders[shape.order]
        place = [key.label("order_value")] if _placed(shape.columns) else []
        statement = scoped(
            self._matching(select(*columns(self.entity, self.table, shape.columns), *place), shape),
            shape.sight,
        )
        if shape.resumed:
            value, row_id = bindparam("cursor_value", type_=key.type), bindparam("cursor_id", type_=Uuid)
            beyond = key < value if shape.descending else key > value
            tie = self.table.c.id < row_id if shape.descending else self.table.c.id > row_id
            # Written out, an index on (key, id) still serves, and the first condition bounds its range.
            at_most = key <= value if shape.descending else key >= value
            statement = statement.where(at_most, or_(beyond, and_(key == value, tie)))
        ordering = (key.desc(), self.table.c.id.desc()) if shape.descending else (key, self.table.c.id)
        return statement.order_by(*ordering).limit(literal_column(str(shape.most), BigInteger))

    def _matching(self, statement: Select[Any], shape: Shape) -> Select[Any]:
        return statement.where(*(self.filters[name].condition() for name in sorted(shape.filters)))

    def _rows_by_parent(self, shape: Shape) -> Select[Any]:
        keys = unnested("keys", UUIDS)
        rows = lateral(self._rows(shape).where(self.table.c[self._parent] == keys.c.value)).alias("page")
        return select(*rows.c).select_from(keys.join(rows, true()))

    @property
    def _parent(self) -> str:
        if self.parent is None:
            raise TypeError(f"{self.entity.__name__} is not listed beneath a parent")
        return self.parent

    async def page(self, lent: Lent, viewer: Viewer, request: PageRequest) -> Page[E]:
        """One page at the root."""
        shape, values = self._asked(viewer, request, lent.columns)
        rows = await lent.rows(self._text("page", shape, self._rows), values)
        places = [row[-1] for row in rows] if _placed(lent.columns) else None
        return _paging(request)(read_all(self.entity, rows, lent.columns), places, None)

    async def pages(self, lent: Lent, viewer: Viewer, keys: Sequence[UUID], request: PageRequest) -> list[Page[E]]:
        """A page for each parent, in one statement."""
        wanted = lent.columns | {self._parent} if lent.columns is not None else None
        shape, values = self._asked(viewer, request, wanted)
        rows = await lent.rows(self._text("pages", shape, self._rows_by_parent), values | {"keys": keys})
        parents = list(map(attrgetter(self._parent), found := read_all(self.entity, rows, wanted)))
        entities, page = _grouped(keys, parents, found), _paging(request)
        if not _placed(wanted):
            return [page(each, None, parent) for parent, each in entities.items()]
        places = _grouped(keys, parents, [row[-1] for row in rows])
        return [page(each, places[parent], parent) for parent, each in entities.items()]

    async def count(self, lent: Lent, viewer: Viewer, request: PageRequest) -> int:
        """How many rows match at the root."""

        def build(shape: Shape) -> Select[Any]:
            return scoped(self._matching(select(func.count()).select_from(self.table), shape), shape.sight)

        shape, values = self._asked(viewer, request, counting=True)
        (row,) = await lent.rows(self._text("count", shape, build), values)
        return int(row[0])

    async def counts(
        self, lent: Lent, viewer: Viewer, keys: Sequence[UUID], request: PageRequest
    ) -> list[tuple[UUID, int]]:
        """How many rows match beneath each parent, in one statement."""
        parent = self.table.c[self._parent]

        def build(shape: Shape) -> Select[Any]:
            counted = select(parent, func.count()).where(parent == any_(bindparam("keys", type_=UUIDS)))
            return scoped(self._matching(counted, shape), shape.sight).group_by(parent)

        shape, values = self._asked(viewer, request, counting=True)
        rows = await lent.rows(self._text("counts", shape, build), values | {"keys": keys})
        found: dict[UUID, int] = {row[0]: row[1] for row in rows}
        return [(key, found.get(key, 0)) for key in keys]


def _most(size: int) -> int:
    """How many rows are read for a page: one more at least, which tells whether there is another page."""
    at = bisect_right(ROWS, size)
    return ROWS[at] if at < len(ROWS) else size + 1


def _placed(names: frozenset[str] | None) -> bool:
    """Whether cursors may be asked for."""
    return names is None or PLACE in names


def _paging(request: PageRequest) -> Callable[[Sequence[E], Sequence[Any] | None, UUID | None], Page[E]]:
    """What makes a page of the rows that were found, by what they are ordered, and the list's parent."""
    size, backward = request.size, request.backward
    resumed = request.before is not None if backward else request.after is not None

    def page(rows: Sequence[E], values: Sequence[Any] | None, parent: UUID | None) -> Page[E]:
        more = len(rows) > size
        rows, values = rows[:size], values if values is None else values[:size]
        if backward:
            rows, values = rows[::-1], values if values is None else values[::-1]
            return Page(rows, values, has_next=resumed, has_previous=more, request=request, parent=parent)
        return Page(rows, values, has_next=more, has_previous=resumed, request=request, parent=parent)

    return page


def _grouped(keys: Sequence[UUID], parents: Sequence[UUID], values: Sequence[T]) -> dict[UUID, list[T]]:
    """The values of each parent, whose rows mostly stand together: to compare two ids costs a third of hashing one."""
    groups: dict[UUID, list[T]] = {key: [] for key in keys}
    last: UUID | None = None
    group: list[T] = []
    for parent, value in zip(parents, values, strict=True):
        if parent != last:
            last, group = parent, groups[parent]
        group.append(value)
    return groups
