"""Relations with an argument of their own, such as a day: declared and loaded as `batched` ones are."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date
from operator import attrgetter
from typing import Annotated, Any

import strawberry

from domain.errors import Invalid, NotFound
from graph.context import Context, Info
from graph.execution.needs import reading as reads

Load = Callable[[Context, Sequence[Any], Any], Awaitable[Iterable[Any]]]

AsOf = Annotated[
    date | None,
    strawberry.argument(description="The day at whose close things stand; the viewer's today if it is left out."),
]


class Batch:
    """What is loaded at once for all objects of a level that ask with the same argument.

    `load` takes the context, the keys and the argument, which must be hashable, and gives a flat list; `by` names
    the attribute that says which key a row belongs to.
    """

    def __init__(self, load: Load, by: str, *, many: bool = False) -> None:
        self._load = load
        self._by = attrgetter(by)
        self._many = many

    async def of(self, context: Context, key: Any, argument: Hashable = None) -> Any:
        """The rows of one key, or its one row; raises NotFound if there is none that the viewer may see."""

        async def load(keys: list[Any]) -> list[Any]:
            return self._grouped(keys, await self._load(context, keys, argument))

        found = await context.load((self, argument), load, key)
        if found is None:
            raise NotFound
        return found

    async def of_each(self, context: Context, keys: Iterable[Any], argument: Hashable = None) -> list[Any]:
        """The one row of each of these keys."""
        return await asyncio.gather(*(self.of(context, key, argument) for key in keys))

    def _grouped(self, keys: Sequence[Any], rows: Iterable[Any]) -> list[Any]:
        if not self._many:
            found = {self._by(row): row for row in rows}
            return [found.get(key) for key in keys]
        groups: dict[Any, list[Any]] = {key: [] for key in keys}
        for row in rows:
            groups[self._by(row)].append(row)
        return [groups[key] for key in keys]


def reading(method: Any) -> Load:
    """The load that a repository's method is: it takes the viewer, the keys and, if there is one, the argument."""

    async def load(context: Context, keys: Sequence[Any], argument: Any) -> Iterable[Any]:
        given = () if argument is None else (argument,)
        rows: Iterable[Any] = await context.read(method, keys, *given)
        return rows

    return load


async def past_day(context: Context, given: date | None, name: str) -> date:
    """The day that an argument names, by default the viewer's today; raises Invalid for one in the future."""
    today = await context.today()
    if given is not None and given > today:
        raise Invalid.of(name, "lies in the future")
    return given or today


def dated(batch: Batch, kind: Any, *, key: str, description: str, cost: Mapping[str, Any] | None = None) -> Any:
    """A relation as of a day: what `batch` gives for the values of `key`, its argument the day."""
    key_of = attrgetter(key)

    async def resolve(root: Any, info: Info, as_of: AsOf = None) -> Any:
        day = await past_day(info.context, as_of, "asOf")
        return await batch.of(info.context, key_of(root), day)

    return strawberry.field(
        resolver=resolve, graphql_type=kind, description=description, metadata={**(cost or {}), **reads(key)}
    )
