"""From a document to the plan of one of its operations.

Fields are collected by graphql-core itself, so that fragments, aliases, directives and types are merged as it merges
them. Objects whose type is known are planned at once; behind an interface or a union a type is planned when the first
object of it turns up.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    OperationType,
    TypeNameMetaFieldDef,
    get_named_type,
    is_abstract_type,
    is_enum_type,
    is_leaf_type,
    is_object_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.executor import default_type_resolver
from graphql.execution.values import VariableValues

from graph.execution.arguments import arguments_of
from graph.execution.completing import Completion, Leaves, Lists, NonNull, Nullable, Objects, Site, Spots
from graph.execution.leaves import is_decimal
from graph.execution.needs import NOTHING, Needs, NeedsOf, columns_of, entity_of, only_shown
from graph.execution.plan import Field, Level
from graph.execution.reading import Attribute, Compute, Computed, Method, Reader, TypeName, reader_of
from graph.execution.subject import Subject

TYPENAME: Final = "__typename"


class Source:
    """The event itself: what a subscription's field gives of it."""

    waits = False
    reads: Needs = None
    at_once: Compute | None = None

    async def __call__(self, run: Any, field: Any, objects: Sequence[Any], spots: Spots) -> Sequence[Any]:  # noqa: ARG002 - a reader's signature
        """The events as they came."""
        return objects


# What these give is told by the object alone, whoever asks.
IMPERSONAL: Final = (Source, TypeName, Attribute, Computed, Method)


class Unplanned(Exception):  # noqa: N818 - no error: the operation runs on graphql-core
    """The operation asks for what is not planned, and why."""


class Beneath(msgspec.Struct, frozen=True):
    """How what a field gives is completed, whether that may have to wait, and what is read of its rows.

    It is `personal` if who asks may make a difference to any of it. Of an interface or a union `rows_of` tells what is
    read of the rows of an entity.
    """

    complete: Completion
    waits: bool
    rows: Needs
    personal: bool = False
    rows_of: NeedsOf | None = None

    def within(self, wrapper: Callable[[Completion], Completion]) -> "Beneath":
        """The same in a list, or where null may or may not stand."""
        return Beneath(wrapper(self.complete), self.waits, self.rows, self.personal, self.rows_of)


class Compiler:
    """Plans one operation, for one outcome of its `@skip` and `@include`, on which `conditions` decide."""

    def __init__(self, subject: Subject, conditions: VariableValues) -> None:
        self.schema = subject.host.schema
        self._host = subject.host
        self._operation = subject.operation
        self._fragments = {name: FragmentDetails(each) for name, each in subject.fragments.items()}
        self._conditions = conditions
        self._levels: dict[tuple[str, tuple[int, ...]], Level] = {}

    def root(self) -> Level:
        """What is asked of the root. Raises Unplanned."""
        kind = self._operation.operation
        root = self.schema.get_root_type(kind)
        if root is None:
            raise Unplanned(kind.value)
        grouped, *_ = collect_fields(
            self.schema, self._fragments, self._conditions, root, self._operation, hide_suggestions=True
        )
        return Level(self._fields(root, grouped), serially=kind is OperationType.MUTATION)

    def level(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Level:
        """What is asked of objects of a type beneath a field, planned once."""
        key = kind.name, tuple(id(each.node) for each in details)
        if key not in self._levels:
            grouped, *_ = collect_subfields(
                self.schema, self._fragments, self._conditions, self._operation, kind, details, hide_suggestions=True
            )
            self._levels[key] = Level(self._fields(kind, grouped))
        return self._levels[key]

    def _fields(self, parent: GraphQLObjectType, grouped: GroupedFieldSet) -> list[Field]:
        made = (self._field(parent, key, details) for key, details in grouped.items())
        return [field for field in made if field is not None]

    def _field(self, parent: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Field | None:
        """A field of the plan; none for one that the schema does not have."""
        nodes = [each.node for each in details]
        name = nodes[0].name.value
        if name.startswith("__") and name != TYPENAME:
            raise Unplanned("introspection")
        definition = TypeNameMetaFieldDef if name == TYPENAME else parent.fields.get(name)
        if definition is None:
            return None
        weight = self._host.weights.of_type(parent.name).get(name)
        beneath = self._beneath(definition.type, details, weight.each if weight else 0)
        read: Reader = TypeName()
        if name != TYPENAME:
            read = self._reader(parent, definition, beneath)
        return Field(
            key=key,
            parent=parent,
            definition=definition,
            site=Site(parent.name, name, nodes),
            arguments=arguments_of(definition, nodes[0], self._host.converter),
            read=read,
            complete=beneath.complete,
            waits=beneath.waits or read.waits,
            spends=weight.own if weight else 0,
            reads=_reads(read, definition.type, columns_of(parent)),
            rows=beneath.rows,
            personal=beneath.personal or not isinstance(read, IMPERSONAL),
        )

    def _reader(self, parent: GraphQLObjectType, definition: GraphQLField, beneath: Beneath) -> Reader:
        """How a field is had; a subscription's own is what it is executed for."""
        if parent is self.schema.subscription_type:
            return Source()
        return reader_of(definition, handled=self._host.handled, rows=beneath.rows, rows_of=beneath.rows_of)

    def _beneath(self, kind: GraphQLOutputType, details: list[FieldDetails], each: int) -> Beneath:
        """What stands beneath a field of this type."""
        if isinstance(kind, GraphQLNonNull):
            return self._bare(kind.of_type, details, each).within(NonNull)
        return self._bare(kind, details, each).within(Nullable)

    def _bare(self, kind: GraphQLOutputType, details: list[FieldDetails], each: int) -> Beneath:
        if isinstance(kind, GraphQLList):
            return self._beneath(kind.of_type, details, each).within(Lists)
        if is_leaf_type(kind):
            return Beneath(Leaves(kind), waits=False, rows=NOTHING)
        if is_abstract_type(kind):
            any_of = AnyOf(self, kind, details, each)
            return Beneath(Objects(any_of), waits=True, rows=None, personal=True, rows_of=any_of.rows_of)
        if not is_object_type(kind):
            raise TypeError(f"{get_named_type(kind)} is no type of an answer")
        levels = OneOf(self, kind, details, each)
        rows = levels.level.needs if columns_of(kind) else levels.level.rows
        return Beneath(Objects(levels), levels.level.waits, rows, levels.level.personal)


def _reads(read: Reader, kind: GraphQLOutputType, columns: frozenset[str]) -> Needs:
    """The columns of its objects that a field reads; None if it may read anything."""
    if read.reads is None or not read.reads <= columns:
        return None
    bare = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    as_text = is_decimal(bare) or is_enum_type(bare)
    return only_shown(read.reads) if isinstance(read, Attribute) and as_text else read.reads


class OneOf:
    """Objects of one type."""

    def __init__(self, compiler: Compiler, kind: GraphQLObjectType, details: list[FieldDetails], each: int) -> None:
        self.kind = kind
        self.level = compiler.level(kind, details)
        self.each = each
        self._known: set[type] = set()

    def known(self, kind: type) -> Level | None:
        """The type's own, for a class that it was found to show."""
        return self.level if kind in self._known else None

    def level_of(self, run: Any, value: Any, at: int, spots: Spots) -> Level:
        """The type's own. Raises GraphQLError for an object of a class that the type does not show."""
        if type(value) not in self._known:
            _check(self.kind, value, run.raw_info(spots.site, self.kind, spots.path(at)))
            self._known.add(type(value))
        return self.level


class AnyOf:
    """Objects of the types that an interface or a union stands for."""

    def __init__(self, compiler: Compiler, kind: GraphQLAbstractType, details: list[FieldDetails], each: int) -> None:
        self._compiler = compiler
        self._kind = kind
        self._details = details
        self.each = each
        self._known: dict[type, Level] = {}
        self._rows: dict[type, Needs] = {}

    def rows_of(self, entity: type) -> Needs:
        """The columns that are read of rows of an entity; None for all of them."""
        if entity not in self._rows:
            kinds = [kind for kind in self._compiler.schema.get_possible_types(self._kind) if entity_of(kind) is entity]
            self._rows[entity] = self._compiler.level(kinds[0], self._details).needs if len(kinds) == 1 else None
        return self._rows[entity]

    def known(self, kind: type) -> Level | None:
        """That of the type that a class was found to be of."""
        return self._known.get(kind)

    def level_of(self, run: Any, value: Any, at: int, spots: Spots) -> Level:
        """That of the object's type. Raises whatever telling the type raises."""
        known = self._known.get(type(value))
        if known is None:
            info = run.raw_info(spots.site, self._kind, spots.path(at))
            found = (self._kind.resolve_type or default_type_resolver)(value, info, self._kind)
            kind = self._compiler.schema.get_type(found) if isinstance(found, str) else None
            if not isinstance(kind, GraphQLObjectType) or not self._compiler.schema.is_sub_type(self._kind, kind):
                raise GraphQLError(f"'{self._kind}' stands for no type of a {type(value).__name__}.")
            _check(kind, value, info)
            known = self._known[type(value)] = self._compiler.level(kind, self._details)
        return known


def _check(kind: GraphQLObjectType, value: Any, info: Any) -> None:
    if isinstance(value, Exception):
        raise value
    if kind.is_type_of and not kind.is_type_of(value, info):
        raise GraphQLError(f"Expected value of type '{kind}' but got a {type(value).__name__}.")
