"""How the values of a field are had for all objects of a level: read off them, loaded at once, or asked of each.

What goes wrong with one object is told to its spot in the answer, and None stands in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from operator import attrgetter
from types import CoroutineType
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo
from graphql.execution.values import get_argument_values
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from graph.execution.completing import Site, Spots
from graph.execution.needs import NOTHING, READS, Needs, NeedsOf, reading
from graph.execution.places import Path, Place


@runtime_checkable
class Columnar(Protocol):
    """A field of the schema that is read for all objects of a level at once."""

    # The columns of a source that it reads.
    reads: Needs
    leads_to_several: bool

    async def column(
        self, sources: Sequence[Any], context: Any, arguments: Mapping[str, Any], needed: Any
    ) -> Sequence[Any]:
        """The value of each source, or the exception that stands for it; what it raises holds for all of them.

        `needed` are the columns that are read of the rows that it leads to; where these may be of several entities
        (`leads_to_several`), what tells that of each, or None.
        """


class Asking(Protocol):
    """The operation that asks, as far as reading cares."""

    @property
    def context(self) -> Any:
        """What resolvers find in `info.context`."""

    def arguments(self, field: "AskedField") -> dict[str, Any]:
        """The arguments of a field as its resolver takes them. Raises for what is none of their types."""

    def info(self, field: "AskedField", path: Path) -> GraphQLResolveInfo[Any]:
        """What resolvers may know of the execution."""


class AskedField(Protocol):
    """A field as a document asks for it."""

    @property
    def site(self) -> Site:
        """What errors are told with."""

    @property
    def parent(self) -> GraphQLObjectType:
        """The type that it is asked of."""

    @property
    def definition(self) -> GraphQLField:
        """The field of the schema."""


# Asks for the value of an object, given its index too.
Call: TypeAlias = Callable[[Any, int], Any]

# Makes a column of objects.
Compute: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
COMPUTE: Final = "column"


class Reader(Protocol):
    """Gets the values of a field."""

    # Whether it may have to wait: what waits is waited for together.
    waits: bool
    # The columns of the objects that it reads; None if it may read any.
    reads: Needs
    # The same, if it has neither to wait nor to know the field. Raises for what is not as usual.
    at_once: Compute | None

    async def __call__(self, run: Asking, field: AskedField, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """One value for each object."""


class Attribute:
    """An attribute of the objects, read off all of them in one pass."""

    waits = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._get = get = attrgetter(name)
        self.reads: Needs = frozenset({name})
        self.at_once: Compute | None = lambda objects: list(map(get, objects))

    async def __call__(self, run: Asking, field: AskedField, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:  # noqa: ARG002 - a reader's signature, here and below
        """All at once, or one by one to find which object has no such attribute."""
        try:
            return list(map(self._get, objects))
        except Exception:  # noqa: BLE001 - properties may raise anything, which is told of the object that raises it
            return _each(lambda value, _: getattr(value, self._name), objects, spots)


class TypeName:
    """The name of the objects' type."""

    waits = False
    reads: Needs = NOTHING
    at_once: Compute | None = None

    async def __call__(self, run: Asking, field: AskedField, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:  # noqa: ARG002
        """The same for all."""
        return [field.parent.name] * len(objects)


class Together:
    """A field that is read for the whole level at once."""

    waits = True
    at_once: Compute | None = None

    def __init__(self, field: Columnar, needed: Any) -> None:
        self._field = field
        self._needed = needed
        self.reads = field.reads

    async def __call__(self, run: Asking, field: AskedField, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """All at once; what is raised is every object's error."""
        try:
            values = await self._field.column(objects, run.context, run.arguments(field), self._needed)
        except Exception as error:  # noqa: BLE001 - the field's error, whatever it is
            return spots.fail_all(objects, error)
        if any(issubclass(kind, Exception) for kind in set(map(type, values))):
            return [_kept(value, at, spots) for at, value in enumerate(values)]
        return values


class Resolver:
    """A resolver, which is asked for each object; those of one level are waited for together."""

    waits = True
    reads: Needs = None
    at_once: Compute | None = None

    async def __call__(self, run: Asking, field: AskedField, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:
        """Call for each, then wait for all that have to be waited for."""
        try:
            call = self._caller(run, field, spots)
        except Exception as error:  # noqa: BLE001 - as above
            return spots.fail_all(objects, error)
        values = _each(call, objects, spots)
        # Most are coroutines, which need no look at what their class is registered as.
        waiting = [at for at, value in enumerate(values) if type(value) is CoroutineType or isawaitable(value)]
        for at, value in zip(waiting, await _awaited([values[at] for at in waiting]), strict=True):
            values[at] = _kept(value, at, spots)
        return values

    def _caller(self, run: Asking, field: AskedField, places: Place) -> Call:
        """Strawberry's own way, which knows extensions of fields."""
        definition = field.definition
        resolve = definition.resolve
        if resolve is None:
            raise TypeError(f"{field.site.parent}.{field.site.name} has no resolver")
        node, variables = field.site.nodes[0], run.info(field, ()).variable_values
        arguments = get_argument_values(definition, node, variables)
        return lambda value, at: resolve(value, run.info(field, places.path(at)), **arguments)


class PlainResolver(Resolver):
    """A resolver without extensions: its arguments are made once for the level, not for each object."""

    def __init__(self, field: StrawberryField) -> None:
        self._field = field
        self.reads = _said(field)
        resolver = field.base_resolver
        given = resolver and (resolver.parent_parameter or resolver.root_parameter)
        self._first = bool(resolver and resolver.self_parameter)
        self._parent = given.name if given else None
        asks = resolver and resolver.info_parameter
        self._info = asks.name if asks else None
        # What Strawberry's own field does with a resolver is to call it.
        plainly = resolver is not None and type(field).get_result is StrawberryField.get_result
        self._function: Any = resolver.wrapped_func if plainly and resolver else None

    def _caller(self, run: Asking, field: AskedField, places: Place) -> Call:
        arguments = run.arguments(field)
        own, function = self._field, self._function

        def call(value: Any, at: int) -> Any:
            named = dict(arguments)
            if self._parent:
                named[self._parent] = value
            given = [value] if self._first else []
            if function and not self._info:
                return function(*given, **named)
            info: Any = strawberry.Info(_raw_info=run.info(field, places.path(at)), _field=own)
            if self._info:
                named[self._info] = info
            return function(*given, **named) if function else own.get_result(value, info, given, named)

        return call


class Method(Resolver):
    """A resolver that asks for nothing but the object."""

    def __init__(self, field: StrawberryField) -> None:
        resolver = field.base_resolver
        if resolver is None:
            raise TypeError(f"{field.python_name} has no resolver")
        given = resolver.parent_parameter or resolver.root_parameter
        call: Any = resolver.wrapped_func
        if resolver.self_parameter:
            self._call: Call = lambda value, _: call(value)
        elif given:
            name = given.name
            self._call = lambda value, _: call(**{name: value})
        else:
            self._call = lambda *_: call()
        self.waits = field.is_async
        self.reads = _said(field)

    def _caller(self, *_: Any) -> Call:
        return self._call


class Computed:
    """A column that a function makes of the objects, which says so by its field's metadata (`computed`)."""

    waits = False

    def __init__(self, field: StrawberryField, compute: Compute) -> None:
        self._compute = compute
        self.reads = _said(field)
        self.at_once: Compute | None = compute

    async def __call__(self, run: Asking, field: AskedField, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:  # noqa: ARG002
        """All at once, or one by one to find which it fails for."""
        try:
            return self._compute(objects)
        except Exception:  # noqa: BLE001 - the function's own, which is told of the object that it raises it for
            return _each(lambda value, _: self._compute([value])[0], objects, spots)


def computed(compute: Compute, *names: str) -> Mapping[str, Any]:
    """The metadata of a field that can be had of all objects at once, from these attributes of theirs."""
    return {COMPUTE: compute, **reading(*names)}


def _said(field: StrawberryField) -> Needs:
    metadata: Mapping[Any, Any] = field.metadata or {}
    found: Needs = metadata.get(READS)
    return found


def reader_of(definition: GraphQLField, *, handled: bool, rows: Needs, rows_of: NeedsOf | None) -> Reader:
    """How a field's values are had.

    `handled` are those whose exceptions the schema turns into values; `rows` is what is read of the rows beneath, and
    `rows_of` what is of those of an entity.
    """
    field = (definition.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(field, StrawberryField) or field.extensions or field.is_subscription or handled:
        return Resolver()
    if isinstance(field, Columnar):
        return Together(field, rows_of if field.leads_to_several else rows)
    if field.is_basic_field:
        return Attribute(field.python_name)
    metadata: Mapping[Any, Any] = field.metadata or {}
    if compute := metadata.get(COMPUTE):
        return Computed(field, compute)
    resolver = field.base_resolver
    if type(field) is StrawberryField and resolver and not field.arguments and not resolver.info_parameter:
        return Method(field)
    return PlainResolver(field)


async def _awaited(waiting: Sequence[Awaitable[Any]]) -> Sequence[Any]:
    """What each comes to, or the exception that stands for it."""
    if len(waiting) != 1:
        return await asyncio.gather(*waiting, return_exceptions=True) if waiting else ()
    try:
        # A task of its own would cost as much as all else that is done for the field.
        return (await waiting[0],)
    except Exception as error:  # noqa: BLE001 - the field's error, whatever it is
        return (error,)


def _each(call: Call, objects: Sequence[Any], spots: Spots) -> list[Any]:
    values: list[Any] = []
    for at, value in enumerate(objects):
        try:
            values.append(_kept(call(value, at), at, spots))
        except Exception as error:  # noqa: BLE001 - the field's error, whatever it is
            spots.fail(at, error)
            values.append(None)
    return values


def _kept(value: Any, at: int, spots: Spots) -> Any:
    """A value; nothing in the place of an exception, which has failed."""
    if not isinstance(value, BaseException):
        return value
    if not isinstance(value, Exception):
        raise value
    spots.fail(at, value)
    return None
