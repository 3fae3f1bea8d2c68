"""The plan of an operation: for each type at each place, which fields are asked for, and how they are had."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from graphql import GraphQLField, GraphQLObjectType

from graph.execution.arguments import Arguments
from graph.execution.completing import AtOnce, Completion, Site, Spots
from graph.execution.needs import Needs, of_rows, together
from graph.execution.reading import Reader


class Field(msgspec.Struct, frozen=True, eq=False):
    """A field as a document asks for it of one type.

    `spends` is what it costs for each object that it is asked of, in hundredths of a point (`graph/cost`), `reads` the
    columns of the object that it reads, and `rows` those that are read of the rows that it leads to. It is `personal`
    if who asks may make a difference to what it gives.
    """

    key: str
    parent: GraphQLObjectType
    definition: GraphQLField
    site: Site
    arguments: Arguments | None
    read: Reader
    complete: Completion
    waits: bool
    spends: int
    reads: Needs
    rows: Needs
    personal: bool

    @property
    def at_once(self) -> AtOnce | None:
        """The usual column, for which nothing has to be waited; none where that is not known."""
        read, complete = self.read.at_once, self.complete.at_once
        if read is None or complete is None or self.waits:
            return None
        return lambda run, objects: complete(run, read(objects))


class Level:
    """The fields that are asked for of objects of one type, and the shape that they take in the answer.

    A shape is a struct: it is made of columns by one call for each object, in C, is encoded as fast as a dictionary,
    and is of no interest to the garbage collector.
    """

    def __init__(self, fields: Sequence[Field], *, serially: bool = False) -> None:
        self.fields = tuple(fields)
        self.waits = any(field.waits for field in fields)
        self.personal = any(field.personal for field in fields)
        self._at_once = [field.at_once for field in fields]
        every = [at_once for at_once in self._at_once if at_once is not None]
        # The same at once, if nothing of it has to be waited for.
        self.at_once = self._whole(every) if len(every) == len(fields) else None
        self._shape = shape_of(tuple(field.key for field in fields))
        self._spends = sum(field.spends for field in fields)
        self.needs = together(field.reads for field in fields)
        # Of a connection or an edge: what is read of the rows of the list.
        self.rows = of_rows([(field.site.name, field.rows) for field in fields])
        waiting = [at for at, field in enumerate(fields) if field.waits]
        self._together = waiting if len(waiting) > 1 and not serially else []

    def _whole(self, fields: Sequence[AtOnce]) -> AtOnce:
        """All fields of the usual objects, none of which has to be waited for."""

        def at_once(run: Any, objects: Sequence[Any]) -> Sequence[Any]:
            run.spend(self._spends * len(objects))
            return self._shaped([field(run, objects) for field in fields], objects)

        return at_once

    def _shaped(self, columns: Sequence[Sequence[Any]], objects: Sequence[Any]) -> list[Any]:
        return list(map(self._shape, *columns)) if columns else [self._shape() for _ in objects]

    async def __call__(self, run: Any, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """The objects as the answer has them; None for one that may not stand, of which its spot is told."""
        run.spend(self._spends * len(objects))
        failing: dict[int, Spots] = {}
        columns: list[Sequence[Any]] = []
        for at, at_once in enumerate(self._at_once):
            column = _usual(at_once, run, objects) if at_once else None
            if column is None:
                column = () if at in self._together else await self._column(at, run, objects, spots, failing)
            columns.append(column)
        if self._together:
            # Several that have to wait are waited for together, after the others.
            waiting = [self._column(at, run, objects, spots, failing) for at in self._together]
            for at, came in zip(self._together, await asyncio.gather(*waiting), strict=True):
                columns[at] = came
        rows = self._shaped(columns, objects)
        for at in sorted(failing):
            _fail(rows, failing[at], spots)
        return rows

    async def _column(
        self, at: int, run: Any, objects: Sequence[Any], spots: Spots, failing: dict[int, Spots]
    ) -> Sequence[Any]:
        """The column of a field, of whose failures it tells."""
        field = self.fields[at]
        under = Spots(field.site, spots, field.key)
        values = await field.read(run, field, objects, under)
        at_once = field.complete.at_once if not under.failures else None
        made = _usual(at_once, run, values) if at_once else None
        if made is None:
            made = await field.complete(run, values, under)
        if under.failures:
            failing[at] = under
        return made


def _usual(at_once: AtOnce, run: Any, values: Sequence[Any]) -> Sequence[Any] | None:
    """A column if all of it is as usual; if not, nothing is spent on it."""
    spent = run.spent
    try:
        return at_once(run, values)
    except Exception:  # noqa: BLE001 - whatever it is, it is found out and told value by value
        run.spent = spent
        return None


def _fail(rows: list[Any], under: Spots, spots: Spots) -> None:
    """Have nothing stand where a field of an object has failed that may not."""
    for at, error in under.failures.items():
        spots.failures.setdefault(at, error)
        rows[at] = None


@lru_cache(maxsize=4096)
def shape_of(keys: tuple[str, ...]) -> type[msgspec.Struct]:
    """The struct of objects with these keys, in this order."""
    names = {f"k{at}": key for at, key in enumerate(keys)}
    return msgspec.defstruct("Shape", [(name, Any) for name in names], rename=names, gc=False, eq=False)
