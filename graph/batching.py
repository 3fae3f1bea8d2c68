"""Relations are declared, not coded: `portfolios: list[Portfolio] = batched(Portfolios.of_clients, key="id", by=…)`.

The function takes the keys of a whole level, asks one statement on a connection of its own, and returns a flat list;
the primitive groups it by `by`, keeps order and fills misses. Under it lies a data loader (`graph/loading.py`), made
per operation and, in a subscription, per event. Arguments become a frozen struct, so that they can key a batch.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, NamedTuple

from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.field import StrawberryField

from domain.errors import NotFound
from domain.paging import PageRequest
from graph.context import Context, Info
from graph.cost import COST, Cost
from graph.execution.needs import Needs
from graph.lists import Listed, Lists
from persistence.repository import narrows

Load = Callable[..., Awaitable[Sequence[Any]]]


class Reading(NamedTuple):
    """What is read of the rows: for a list which page, and which of their columns."""

    request: PageRequest | None
    columns: Needs


class Batched(StrawberryField):
    """A field that is loaded for all objects of a level at once."""

    load: Load
    key: Callable[[Any], Any]
    key_name: str
    by: Callable[[Any], Any]
    by_name: str
    count: Load | None = None
    lists: Lists | None = None
    leads_to_several = False

    @property
    def is_basic_field(self) -> bool:
        """Never: it needs the context."""
        return False

    @property
    def is_async(self) -> bool:
        """Always: it waits for its batch."""
        return True

    @property
    def arguments(self) -> list[StrawberryArgument]:
        """Those of a list, if it is one."""
        return self.lists.arguments if self.lists else []

    @arguments.setter
    def arguments(self, _: list[StrawberryArgument]) -> None:
        raise AttributeError("a batched field's arguments are those of its list")

    def __copy__(self) -> "Batched":
        """Strawberry copies a field for each specialisation of a generic type."""
        copied = super().__copy__()
        copied.load, copied.key, copied.by = self.load, self.key, self.by
        copied.key_name, copied.by_name = self.key_name, self.by_name
        copied.count, copied.lists = self.count, self.lists
        return copied

    @property
    def many(self) -> bool:
        """Whether it holds several objects rather than one."""
        kind = self.type
        return isinstance(kind.of_type if isinstance(kind, StrawberryOptional) else kind, StrawberryList)

    async def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:  # noqa: ARG002 - Strawberry's signature
        """The value for one object, out of the batch of its level."""
        if info is None:
            raise TypeError("a batched field needs the context")
        (value,) = await self.column([source], info.context, kwargs, None)
        if isinstance(value, Exception):
            raise value
        return value

    @property
    def reads(self) -> Needs:
        """The column of an object that its rows are found by."""
        return frozenset({self.key_name})

    async def column(
        self, sources: Sequence[Any], context: Context, arguments: Mapping[str, Any], needed: Needs
    ) -> list[Any]:
        """The values for objects of a level, or the exceptions that stand for them."""
        keys = list(map(self.key, sources))
        reading = Reading(self.lists.request(arguments, nested=True) if self.lists else None, self._columns(needed))
        # By their types, for ids take long to compare with what is none.
        if NoneType not in set(map(type, keys)):
            return await self._loaded(context, keys, reading)
        there = iter(await self._loaded(context, [key for key in keys if key is not None], reading))
        return [([] if self.many else None) if key is None else next(there) for key in keys]

    def _columns(self, needed: Needs) -> Needs:
        """What to fetch: no less than what the rows are told apart by."""
        if needed is None or not narrows(self.load):
            return None
        return needed | {"id"} if self.lists else needed | {"id", self.by_name}

    async def _loaded(self, context: Context, keys: list[Any], reading: Reading) -> list[Any]:
        if reading.request is not None:
            return await self._listed(context, keys, reading.request, reading.columns)

        async def load(keys: list[Any]) -> list[Any]:
            return self._grouped(keys, await context.read_columns(reading.columns, self.load, keys))

        # Fields that load the same by the same share a batch: a user is read once, as actor and as member.
        found = await context.load_all((self.load, self.by_name, self.many, reading.columns), load, keys)
        if None in found and not isinstance(self.type, StrawberryOptional):
            return [NotFound() if value is None else value for value in found]
        return found

    def _grouped(self, keys: Sequence[Any], rows: Sequence[Any]) -> list[Any]:
        if not self.many:
            found = dict(zip(map(self.by, rows), rows, strict=True))
            return list(map(found.get, keys))
        groups: dict[Any, list[Any]] = {key: [] for key in keys}
        for row in rows:
            groups[self.by(row)].append(row)
        return [groups[key] for key in keys]

    async def _listed(self, context: Context, keys: list[Any], request: PageRequest, columns: Needs) -> list[Any]:
        async def load(keys: list[Any]) -> list[Any]:
            pages = await context.read_columns(columns, self.load, keys, request)
            by_key = {self.by(page): page for page in pages}
            return [by_key[key] for key in keys]

        async def count(keys: list[Any]) -> list[int]:
            counts = dict(await context.read(self.count or self.load, keys, request))
            return [counts[key] for key in keys]

        def counted(key: Any) -> Callable[[], Awaitable[int]]:
            return lambda: context.load((self, request, "count"), count, key)

        pages = await context.load_all((self, request, columns), load, keys)
        return [Listed(page, counted(key)) for key, page in zip(keys, pages, strict=True)]


def batched(
    load: Load,
    *,
    key: str,
    by: str,
    count: Load | None = None,
    lists: Lists | None = None,
    description: str | None = None,
    size: int | None = None,
    cost: Cost | None = None,
) -> Any:
    """A relation to what `load` gives for the values of `key`, told apart by the attribute `by`.

    `load` is a method of a repository: it takes the viewer and all keys of a level, and for a connection, whose
    `lists` names its filter and orders, the page request as well; `count` then counts by key. `size` is how many
    objects a list bounded by nature is expected to hold, `cost` all that can be said of what it costs.
    """
    field = Batched(description=description, metadata={COST: cost or Cost(size=size)})
    field.load, field.key, field.by = load, attrgetter(key), attrgetter(by)
    field.key_name, field.by_name = key, by
    field.count, field.lists = count, lists
    return field
