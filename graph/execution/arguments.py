"""The arguments of a field in a document, of which it is found out once how each is had.

Most are a variable, a constant or left out. Of a scalar or an enum such a value is what the resolver takes, for
variables have been coerced before. Everything else is coerced by graphql-core and converted by Strawberry for each
operation: input objects, lists, and whatever is wrong.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLNonNull,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    is_leaf_type,
    is_required_argument,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.relay import GlobalID
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryMaybe
from strawberry.types.field import StrawberryField

# What Strawberry has made a field or an argument of.
OURS: Final = GraphQLCoreConverter.DEFINITION_BACKREF


class Varying(msgspec.Struct, frozen=True, eq=False):
    """An argument that is a variable.

    `left_out` is what stands for it, by its name, if the variable is not given: its default, or nothing. There is none
    if that is an error.
    """

    name: str
    variable: str
    nullable: bool
    left_out: Mapping[str, Any] | None


class Arguments:
    """The arguments of a field of Strawberry's, by the names that its resolver takes them under."""

    def __init__(self, definition: GraphQLField, node: FieldNode, converter: GraphQLCoreConverter) -> None:
        self._definition = definition
        self._node = node
        self._converter = converter
        self._constant: dict[str, Any] = {}
        self._varying: list[Varying] = []
        given = {each.name.value: each.value for each in node.arguments or ()}
        self._plain = all(self._is_plain(each, given.get(name)) for name, each in definition.args.items())

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """The arguments of one operation. Raises GraphQLError for what is none of their types."""
        made = self._plainly(variables.coerced) if self._plain else None
        return self._converted(variables) if made is None else made

    def _plainly(self, coerced: Mapping[str, Any]) -> dict[str, Any] | None:
        """All of them; nothing if any of them may be an error."""
        made = {**self._constant}
        for each in self._varying:
            if each.variable in coerced:
                value = made[each.name] = coerced[each.variable]
                if value is None and not each.nullable:
                    return None
            elif each.left_out is None:
                return None
            else:
                made |= each.left_out
        return made

    def _converted(self, variables: VariableValues) -> dict[str, Any]:
        given = get_argument_values(self._definition, self._node, variables)
        ours: StrawberryField = self._definition.extensions[OURS]
        converter = self._converter
        return convert_arguments(given, ours.arguments, converter.scalar_registry, converter.config)

    def _is_plain(self, argument: GraphQLArgument, given: ValueNode | None) -> bool:
        """Note how an argument is had, if that is the same for all operations."""
        name = argument.extensions[OURS].python_name
        left_out = _left_out(name, argument)
        if given is None:
            self._constant |= left_out or {}
            return left_out is not None
        if not _taken_as_it_is(argument):
            return False
        if isinstance(given, VariableNode):
            nullable = not isinstance(argument.type, GraphQLNonNull)
            self._varying.append(Varying(name, given.name.value, nullable, left_out))
            return True
        if isinstance(given, ListValueNode | ObjectValueNode):
            # A scalar may be written so, with variables in it.
            return False
        value = self._constant[name] = coerce_input_literal(given, argument.type)
        return _is_fixed(value)


def _left_out(name: str, argument: GraphQLArgument) -> Mapping[str, Any] | None:
    """What stands for an argument that is not given, by its name; none if that has to be found out each time."""
    if is_required_argument(argument):
        return None
    default = coerce_default_value(argument)
    if default is Undefined:
        return {}
    # Null is null, of whichever type.
    same = not _wraps(argument) if default is None else _taken_as_it_is(argument) and _is_fixed(default)
    return {name: default} if same else None


def _taken_as_it_is(argument: GraphQLArgument) -> bool:
    """Whether a resolver takes the coerced value: that of a scalar or an enum, unless Strawberry wraps it."""
    kind = argument.type
    return is_leaf_type(kind.of_type if isinstance(kind, GraphQLNonNull) else kind) and not _wraps(argument)


def _wraps(argument: GraphQLArgument) -> bool:
    """Whether Strawberry makes an object of its own of the value."""
    ours = argument.extensions[OURS].type
    return isinstance(ours, StrawberryMaybe) or GlobalID in (ours, getattr(ours, "of_type", None))


def _is_fixed(value: Any) -> bool:
    """Whether a value can be kept for all operations: what could be changed is made for each."""
    return value is not Undefined and not isinstance(value, list | dict)


def arguments_of(definition: GraphQLField, node: FieldNode, converter: GraphQLCoreConverter) -> Arguments | None:
    """The arguments of a field; none if it takes none."""
    if not definition.args or OURS not in definition.extensions:
        return None
    return Arguments(definition, node, converter)
