"""Values of a level become what the answer holds: nulls and errors handled where the specification has them.

A completion takes one column, the values of one field for all objects of a level, and gives the column of the answer.
What fails at an index stands in `failures` until it comes to a place that may be null: there the error is noted and
null takes the place. Places that may not be null pass it on to what they are part of.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate, chain, pairwise
from types import NoneType
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLLeafType,
    located_error,
)
from graphql.pyutils import is_iterable

from graph.execution.leaves import serialised, serialiser
from graph.execution.places import Items, Path, Place, Some

LISTS: Final = frozenset({list, tuple})

# The index of a value, and why nothing can stand in its place.
Failures: TypeAlias = dict[int, GraphQLError]


class Site(msgspec.Struct, frozen=True, eq=False):
    """A field as a document asks for it of a type: what errors are told with."""

    parent: str
    name: str
    nodes: list[FieldNode]

    def located(self, error: Exception, path: Path) -> GraphQLError:
        """The error as it happened here."""
        return located_error(error, self.nodes, list(path))


class Spots:
    """The spots in the answer that one column of values is for, and why nothing can stand in some of them.

    They are places themselves: those of other objects, or what each of these has under a key.
    """

    __slots__ = ("_key", "_places", "failures", "site")

    def __init__(self, site: Site, places: Place, key: str | None = None) -> None:
        self.site = site
        self.failures: Failures = {}
        self._places = places
        self._key = key

    def path(self, at: int) -> Path:
        """The path of the spot at an index."""
        path = self._places.path(at)
        return path if self._key is None else (*path, self._key)

    def fail(self, at: int, error: Exception) -> None:
        """Nothing can stand at an index, for this reason; an earlier one holds."""
        if at not in self.failures:
            self.failures[at] = self.site.located(error, self.path(at))

    def fail_all(self, values: Sequence[Any], error: Exception) -> list[Any]:
        """Nothing can stand anywhere: gives the column of it."""
        for at in range(len(values)):
            self.fail(at, error)
        return [None] * len(values)

    def within(self, places: Place) -> "Spots":
        """Other spots of the same field, such as those of the items of its lists."""
        return Spots(self.site, places)


class Answers(Protocol):
    """The answer in the making, as far as completion cares."""

    def failed(self, error: GraphQLError, path: Path) -> None:
        """Note an error, and that null stands at this path for it."""

    def spend(self, hundredths: int) -> None:
        """Count what objects that came have cost."""


# Makes a column of the answer at once. Raises for any that is not as usual, of which `Completion` finds what is wrong.
AtOnce: TypeAlias = Callable[[Answers, Sequence[Any]], Sequence[Any]]


class Completion(Protocol):
    """Makes a column of the answer out of one of values."""

    @property
    def at_once(self) -> AtOnce | None:
        """The same for the usual column, which need not wait; none where that is not known."""

    @property
    def all_at_once(self) -> AtOnce | None:
        """The same where nothing may be missing, which raises too."""

    def __call__(self, run: Any, values: Sequence[Any], spots: Spots) -> Awaitable[Sequence[Any]]:
        """The column; what fails is told to its spots, and None stands for it."""


class Nullable:
    """A place that may be null: here errors end."""

    def __init__(self, of: Completion) -> None:
        self._of = of
        self.at_once = of.at_once
        self.all_at_once = of.all_at_once

    async def __call__(self, run: Answers, values: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """The column, with null for whatever failed."""
        made = await self._of(run, values, spots)
        if spots.failures:
            made = list(made)
            for at, error in sorted(spots.failures.items()):
                made[at] = None
                run.failed(error, spots.path(at))
            spots.failures.clear()
        return made


class NonNull:
    """A place that may not be null: what is missing has failed, and is left to whatever it is part of."""

    def __init__(self, of: Completion) -> None:
        self._of = of
        self.at_once = self.all_at_once = of.all_at_once

    async def __call__(self, run: Answers, values: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """The column."""
        made = await self._of(run, values, spots)
        if None in made:
            site = spots.site
            for at, value in enumerate(made):
                if value is None:
                    fault = f"Cannot return null for non-nullable field {site.parent}.{site.name}."
                    spots.fail(at, TypeError(fault))
        return made


class Leaves:
    """Scalars and enums."""

    def __init__(self, kind: GraphQLLeafType) -> None:
        self._kind = kind
        self._serialise = serialiser(kind)

    async def __call__(self, run: Answers, values: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """All at once; one by one only where that fails, to find which it is."""
        try:
            return self.at_once(run, values)
        except Exception:  # noqa: BLE001 - whatever a scalar raises is told of the value that it raises it for
            return [self._one(value, at, spots) for at, value in enumerate(values)]

    def at_once(self, run: Answers, values: Sequence[Any]) -> Sequence[Any]:  # noqa: ARG002 - as all are called
        """All of them; raises if any is wrong."""
        # By their classes: to look for None itself compares it with each value, which is dear with decimals.
        kinds = set(map(type, values))
        if NoneType not in kinds:
            return self._serialise(values, kinds)
        there = [value for value in values if value is not None]
        made = iter(self._serialise(there, kinds - {NoneType}))
        return [None if value is None else next(made) for value in values]

    def all_at_once(self, run: Answers, values: Sequence[Any]) -> Sequence[Any]:  # noqa: ARG002 - as above
        """The same where none may be null; no scalar makes null of a value (`graph/execution/leaves.py`)."""
        kinds = set(map(type, values))
        if NoneType in kinds:
            raise ValueError
        return self._serialise(values, kinds)

    def _one(self, value: Any, at: int, spots: Spots) -> Any:
        if value is None:
            return None
        try:
            return serialised(self._kind, value)
        except Exception as error:  # noqa: BLE001 - as above
            spots.fail(at, error)
            return None


class Lists:
    """Lists: the items of all lists of the column are one column."""

    def __init__(self, of: Completion) -> None:
        self._of = of
        items = of.at_once
        self.at_once = self.all_at_once = _lists_of(items) if items else None

    async def __call__(self, run: Answers, values: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """The lists with their items completed."""
        lists = [self._items(value, at, spots) for at, value in enumerate(values)]
        lengths = list(map(len, lists))
        inside = Items(spots, lengths)
        items = spots.within(inside)
        made = await self._of(run, list(chain.from_iterable(lists)), items)
        for at, error in sorted(items.failures.items()):
            spots.failures.setdefault(inside.owner(at)[0], error)
        if len(lists) == 1:
            return [made] if values[0] is not None else [None]
        ends = accumulate(lengths, initial=0)
        cut = [made[start:end] for start, end in pairwise(ends)]
        if None in values:
            return [None if value is None else each for value, each in zip(values, cut, strict=True)]
        return cut

    @staticmethod
    def _items(value: Any, at: int, spots: Spots) -> Sequence[Any]:
        """The items of one list; none of what is no list, which has failed."""
        if type(value) is list or type(value) is tuple:
            return value
        if value is None:
            return ()
        if not isinstance(value, Exception) and is_iterable(value):
            return list(value)
        site = spots.site
        no_list = GraphQLError(f"Expected Iterable, but did not find one for field '{site.parent}.{site.name}'.")
        spots.fail(at, value if isinstance(value, Exception) else no_list)
        return ()


def _lists_of(items: AtOnce) -> AtOnce:
    def at_once(run: Answers, values: Sequence[Any]) -> Sequence[Any]:
        if not LISTS.issuperset(map(type, values)):
            raise TypeError
        if len(values) == 1:
            return [items(run, values[0])]
        made = items(run, list(chain.from_iterable(values)))
        return [made[start:end] for start, end in pairwise(accumulate(map(len, values), initial=0))]

    return at_once


class Level(Protocol):
    """What is asked of all objects of one type."""

    @property
    def at_once(self) -> AtOnce | None:
        """The same for usual objects, if nothing of it has to be waited for; none where that is not known."""

    def __call__(self, run: Any, objects: Sequence[Any], spots: Spots) -> Awaitable[Sequence[Any]]:
        """The objects as the answer has them."""


class Levels(Protocol):
    """What is asked of objects, by the type that each of them turns out to be."""

    # What each object costs that comes, in hundredths of a point (`graph/cost`).
    each: int

    def known(self, kind: type) -> Level | None:
        """What is asked of objects of a class, of which one has been seen before."""

    def level_of(self, run: Any, value: Any, at: int, spots: Spots) -> Level:
        """What is asked of an object. Raises for what is none of the types that may stand here."""


class Objects:
    """Objects: those of one type are one level, whichever interface or union they came by."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels

    def at_once(self, run: Answers, values: Sequence[Any]) -> Sequence[Any]:
        """All of them; raises if any is wrong, of another class than the others, or not to be had at once."""
        kinds = set(map(type, values))
        if NoneType not in kinds:
            return self._of_one(run, kinds, values)
        made = iter(self._of_one(run, kinds - {NoneType}, [value for value in values if value is not None]))
        return [None if value is None else next(made) for value in values]

    def all_at_once(self, run: Answers, values: Sequence[Any]) -> Sequence[Any]:
        """The same where none may be null."""
        return self._of_one(run, set(map(type, values)), values)

    def _of_one(self, run: Answers, kinds: set[type], values: Sequence[Any]) -> Sequence[Any]:
        if not kinds:
            return []
        (kind,) = kinds
        level = self._levels.known(kind)
        at_once = level.at_once if level else None
        if at_once is None:
            raise TypeError
        run.spend(self._levels.each * len(values))
        return at_once(run, values)

    async def __call__(self, run: Answers, values: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """The objects, each with what is asked of its type."""
        run.spend(self._levels.each * (len(values) - values.count(None)))
        if len(set(map(type, values))) == 1 and values[0] is not None:
            level = self._level(run, values, range(len(values)), spots)
            return await level(run, values, spots) if level else [None] * len(values)
        made: list[Any] = [None] * len(values)
        for level, members in self._levels_of(run, values, spots).items():
            some = spots.within(Some(spots, members))
            rows = await level(run, [values[at] for at in members], some)
            for at, row in zip(members, rows, strict=True):
                made[at] = row
            spots.failures |= {members[at]: error for at, error in some.failures.items()}
        return made

    def _levels_of(self, run: Answers, values: Sequence[Any], spots: Spots) -> dict[Level, list[int]]:
        """What is asked of which values; the class of an object says what it is."""
        by_class: dict[type, list[int]] = {}
        for at, value in enumerate(values):
            if value is not None:
                by_class.setdefault(type(value), []).append(at)
        found: dict[Level, list[int]] = {}
        for members in by_class.values():
            if level := self._level(run, values, members, spots):
                found.setdefault(level, []).extend(members)
        return found

    def _level(self, run: Answers, values: Sequence[Any], members: Sequence[int], spots: Spots) -> Level | None:
        """What is asked of values of one class; none if they are nothing that may stand here, and so have failed."""
        first = members[0]
        try:
            return self._levels.level_of(run, values[first], first, spots)
        except Exception as error:  # noqa: BLE001 - the field's own error, whatever tells types apart has raised
            for at in members:
                spots.fail(at, values[at] if isinstance(values[at], Exception) else error)
            return None
