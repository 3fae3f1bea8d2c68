"""What every repository shares: reads under scope, changes that are audited, versions that are checked."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, cast
from uuid import UUID

import msgspec
from sqlalchemy import Select, Table, Update, any_, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from domain.access import Sight, Viewer
from domain.entities import Entity
from domain.errors import NotFound, Refusal, RefusalCode
from domain.paging import Page, PageRequest
from persistence.database import Lent
from persistence.listing import Listing
from persistence.metadata import UUIDS
from persistence.scope import scoped, viewer_values
from persistence.sql import Statement, chosen, columns, compile_statement, read_all, values_of

E = TypeVar("E", bound=Entity)
P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound="Repository")


class Change(msgspec.Struct, frozen=True):
    """A row as it was and as it is; one of the two is None where it was added or removed."""

    before: Entity | None
    after: Entity | None


@lru_cache(maxsize=2048)
def _scoped(statement: Select[Any], sight: Sight) -> Statement:
    return compile_statement(scoped(statement, sight))


@lru_cache(maxsize=2048)
def _narrowed(entity: type[Entity], statement: Select[Any], names: frozenset[str], sight: Sight) -> Statement:
    """The statement with those of its columns that have these names; it begins with the entity's, in order."""
    narrowed = statement.with_only_columns(*chosen(entity, statement.selected_columns, names))
    return compile_statement(scoped(narrowed, sight))


def narrowing(method: Callable[Concatenate[R, P], Awaitable[T]]) -> Callable[Concatenate[R, P], Awaitable[T]]:
    """Mark a method of a repository that looks at no column of its rows, so that some may be left out."""
    method.narrows = True  # type: ignore[attr-defined] # read by `narrows`
    return method


def narrows(method: Callable[..., Any]) -> bool:
    """Whether a method fetches but those columns that are asked for (`Lent.columns`)."""
    return bool(getattr(method, "narrows", False))


@lru_cache(maxsize=256)
def by_id(entity: type[Entity], table: Table, *, locking: bool = False) -> Select[Any]:
    """One row by its id; `locking` takes its row lock as well."""
    statement = select(*columns(entity, table)).where(table.c.id == bindparam("id", type_=Uuid))
    return statement.with_for_update(of=table) if locking else statement


@lru_cache(maxsize=256)
def by_ids(entity: type[Entity], table: Table) -> Select[Any]:
    """Rows by their ids."""
    return select(*columns(entity, table)).where(table.c.id == any_(bindparam("keys", type_=UUIDS)))


@lru_cache(maxsize=256)
def _insertion(entity: type[Entity], table: Table, *, once: bool) -> Statement:
    from sqlalchemy.dialects.postgresql import insert as insert_or_not  # noqa: PLC0415 - shadows the generic one

    values = {name: bindparam(name, type_=table.c[name].type) for name in entity.__struct_fields__}
    if not once:
        return compile_statement(insert(table).values(values))
    return compile_statement(insert_or_not(table).values(values).on_conflict_do_nothing().returning(table.c.id))


@lru_cache(maxsize=64)
def _mass_insertion(entity: type[Entity], table: Table) -> Statement:
    names = entity.__struct_fields__
    values = [bindparam(name, type_=ARRAY(table.c[name].type)) for name in names]
    rows = func.unnest(*values).table_valued(*names, name="given").render_derived()
    return compile_statement(insert(table).from_select(names, select(*(rows.c[name] for name in names))))


def _update(entity: type[Entity], table: Table) -> Update:
    names = [name for name in entity.__struct_fields__ if name != "id"]
    return (
        update(table)
        .where(table.c.id == bindparam("old_id", type_=Uuid))
        .values({name: bindparam(name, type_=table.c[name].type) for name in names})
    )


@lru_cache(maxsize=256)
def _replacement(entity: type[Entity], table: Table) -> Statement:
    unchanged = table.c.version == bindparam("old_version")
    return compile_statement(_update(entity, table).where(unchanged).returning(table.c.id))


@lru_cache(maxsize=256)
def _overwriting(entity: type[Entity], table: Table) -> Statement:
    return compile_statement(_update(entity, table))


def _id(entity: Entity) -> UUID:
    """The id of a row: every table that is written by entity has one."""
    return cast("UUID", getattr(entity, "id"))  # noqa: B009 - Entity itself names no field


@lru_cache(maxsize=256)
def _deletion(table: Table) -> Statement:
    return compile_statement(delete(table).where(table.c.id == bindparam("id", type_=Uuid)).returning(table.c.id))


class Repository:
    """The SQL of one context, on a lent connection.

    `changes` is where a transaction collects what its audit rows tell; a read has none.
    """

    def __init__(self, lent: Lent, changes: list[Change] | None = None) -> None:
        self.lent = lent
        self._changes = changes

    def __init_subclass__(cls) -> None:
        """Let `context.read(Clients.one, …)` find the class that a method belongs to."""
        super().__init_subclass__()
        for method in vars(cls).values():
            if inspect.iscoroutinefunction(method):
                method.repository = cls

    async def many(self, entity: type[E], statement: Select[Any], viewer: Viewer, /, **values: Any) -> list[E]:
        """The rows that the viewer may see, as entities."""
        return read_all(entity, await self.rows(statement, viewer, **values))

    async def narrow(self, entity: type[E], statement: Select[Any], viewer: Viewer, /, **values: Any) -> list[E]:
        """As `many`, with those columns alone that were asked for; for methods that are `narrowing`."""
        names = self.lent.columns
        if names is None:
            return await self.many(entity, statement, viewer, **values)
        ready = _narrowed(entity, statement, names, viewer.sight)
        return read_all(entity, await self.lent.rows(ready, viewer_values(viewer) | values), names)

    async def first(self, entity: type[E], statement: Select[Any], viewer: Viewer, /, **values: Any) -> E:
        """The one row, or NotFound: there is none, or none for this viewer."""
        found = await self.many(entity, statement, viewer, **values)
        if not found:
            raise NotFound
        return found[0]

    async def rows(self, statement: Select[Any], viewer: Viewer, /, **values: Any) -> Sequence[Any]:
        """Rows that are no entity, under scope."""
        return await self.lent.rows(_scoped(statement, viewer.sight), viewer_values(viewer) | values)

    async def insert(self, table: Table, entity: Entity) -> None:
        """Add a row."""
        await self.lent.rows(_insertion(type(entity), table, once=False), values_of(entity))
        self.record(None, entity)

    async def insert_unaudited(self, table: Table, entities: Sequence[Entity]) -> None:
        """Add rows in one statement that tell of what has its own audit row, such as notifications."""
        if entities:
            entity = type(entities[0])
            values = {name: [getattr(each, name) for each in entities] for name in entity.__struct_fields__}
            await self.lent.rows(_mass_insertion(entity, table), values)

    async def insert_once(self, table: Table, entity: Entity) -> bool:
        """Add a row unless a unique value of it is taken; tells which."""
        added = bool(await self.lent.rows(_insertion(type(entity), table, once=True), values_of(entity)))
        if added:
            self.record(None, entity)
        return added

    async def replace_row(self, table: Table, before: E, after: E) -> E:
        """Write a changed row; raises Refusal STALE_VERSION if it is no longer the one that was read."""
        values = values_of(after) | {"old_id": _id(before), "old_version": getattr(before, "version")}  # noqa: B009
        if not await self.lent.rows(_replacement(type(after), table), values):
            raise stale()
        self.record(before, after)
        return after

    async def overwrite(self, table: Table, before: E, after: E) -> None:
        """Write a row that has no version of its own, because another row's lock guards it."""
        await self.lent.rows(_overwriting(type(after), table), values_of(after) | {"old_id": _id(after)})
        self.record(before, after)

    async def delete(self, table: Table, entity: Entity) -> None:
        """Remove a row."""
        if not await self.lent.rows(_deletion(table), {"id": _id(entity)}):
            raise NotFound
        self.record(entity, None)

    def record(self, before: Entity | None, after: Entity | None) -> None:
        """Remember a change for the audit trail."""
        if self._changes is None:
            raise TypeError("a read changes nothing: write through context.write")
        self._changes.append(Change(before, after))


def stale() -> Refusal:
    """The answer to an edit of a version that is no longer the last."""
    return Refusal(
        RefusalCode.STALE_VERSION,
        "Somebody else has changed this in the meantime; read it again.",
        ("input", "version"),
    )


class Listed(Repository, Generic[E]):
    """The repository of an entity that has ids, pages and versions: most have nothing more to say of these."""

    entity: ClassVar[type[Entity]]
    table: ClassVar[Table]
    listing: ClassVar[Listing[Any]]

    def __init_subclass__(cls) -> None:
        """Give each repository its own copy of what it inherits, so that each method tells whose it is."""
        for name, method in vars(Listed).items():
            if inspect.iscoroutinefunction(method) and name not in vars(cls):
                copied = FunctionType(
                    method.__code__, method.__globals__, name, method.__defaults__, method.__closure__
                )
                copied.__kwdefaults__ = method.__kwdefaults__
                copied.__dict__.update(method.__dict__)
                setattr(cls, name, copied)
        super().__init_subclass__()

    async def one(self, viewer: Viewer, row_id: UUID) -> E:
        """The row; raises NotFound."""
        return await self.first(cast("type[E]", self.entity), by_id(self.entity, self.table), viewer, id=row_id)

    async def locked(self, viewer: Viewer, row_id: UUID) -> E:
        """The row, with its lock; raises NotFound."""
        statement = by_id(self.entity, self.table, locking=True)
        return await self.first(cast("type[E]", self.entity), statement, viewer, id=row_id)

    @narrowing
    async def by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[E]:
        """These rows, in any order, those left out that the viewer may not see."""
        entity: Any = self.entity
        if len(keys) == 1:
            # The driver takes longer to write a list than all else, and PostgreSQL to look into it.
            return await self.narrow(entity, by_id(entity, self.table), viewer, id=keys[0])
        return await self.narrow(entity, by_ids(entity, self.table), viewer, keys=keys)

    @narrowing
    async def page(self, viewer: Viewer, request: PageRequest) -> Page[E]:
        """A page of the list."""
        return await self.listing.page(self.lent, viewer, request)

    async def count(self, viewer: Viewer, request: PageRequest) -> int:
        """How many rows match."""
        return await self.listing.count(self.lent, viewer, request)

    @narrowing
    async def pages(self, viewer: Viewer, keys: Sequence[UUID], request: PageRequest) -> list[Page[E]]:
        """A page beneath each parent, in one statement."""
        return await self.listing.pages(self.lent, viewer, keys, request)

    async def counts(self, viewer: Viewer, keys: Sequence[UUID], request: PageRequest) -> list[tuple[UUID, int]]:
        """How many rows match beneath each parent, in one statement."""
        return await self.listing.counts(self.lent, viewer, keys, request)

    async def add(self, row: E) -> None:
        """Store a new row."""
        await self.insert(self.table, row)

    async def replace(self, before: E, after: E) -> E:
        """Store a changed row; refuses STALE_VERSION."""
        return await self.replace_row(self.table, before, after)


def repository_of(method: Callable[Concatenate[R, P], Awaitable[T]]) -> type[R]:
    """The repository class of an unbound method."""
    found: type[R] = method.repository  # type: ignore[attr-defined] # set when the class was made
    return found
