"""The variables of an operation, of which it is found out once how each is coerced.

graphql-core looks up the type of each variable and walks it beside the value, for every request. Here a value that is
plainly right for a scalar, an enum or a list of those passes at once. All the others are graphql-core's, input objects
among them: it coerces them, or refuses them with its own errors.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    VariableDefinitionNode,
    is_leaf_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

MOST_COERCION_ERRORS: Final = 50

# Gives Undefined for what is not plainly right. Never asked of null.
Coerce = Callable[[Any], Any]

# Scalars that take values of one class as they are.
AS_IT_IS: Final[Mapping[GraphQLInputType, type]] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class Plain(msgspec.Struct, frozen=True, eq=False):
    """How values of a scalar, an enum or a list of those are coerced; those of the class `ready` stay as they are."""

    nullable: bool
    ready: type | None
    coerce: Coerce

    def of(self, value: Any) -> Any:
        """The value as resolvers take it; Undefined unless it is plainly right."""
        if value is None:
            return None if self.nullable else Undefined
        return value if type(value) is self.ready else self.coerce(value)


class Variable(msgspec.Struct, frozen=True, eq=False):
    """A variable as an operation declares it.

    `left_out` is what stands for it, by its name, if a request does not give it: its default, or nothing. There is none
    if graphql-core has to see to that.
    """

    name: str
    signature: GraphQLVariableSignature
    plain: Plain
    unused: VariableValueSource
    left_out: Mapping[str, Any] | None


class Variables:
    """The variables that an operation declares."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._nodes = operation.variable_definitions or ()
        declared = [_declared(schema, node) for node in self._nodes]
        self._plain = [each for each in declared if each is not None]
        self._all_plain = len(self._plain) == len(declared)

    def coerced(self, given: dict[str, Any]) -> VariableValues | list[GraphQLError]:
        """What a request has given, as resolvers take it, or why it cannot be taken."""
        values = self._plainly(given) if self._all_plain else None
        if values is not None:
            return values
        return get_variable_values(self._schema, self._nodes, given, max_errors=MOST_COERCION_ERRORS)

    def _plainly(self, given: Mapping[str, Any]) -> VariableValues | None:
        """The values if all of them are plainly right."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for each in self._plain:
            name = each.name
            if name in given:
                value = given[name]
                made = each.plain.of(value)
                if made is Undefined:
                    return None
                sources[name] = VariableValueSource(each.signature, value)
                coerced[name] = made
            elif each.left_out is None:
                return None
            else:
                sources[name] = each.unused
                coerced |= each.left_out
        return VariableValues(sources, coerced)


def _declared(schema: GraphQLSchema, node: VariableDefinitionNode) -> Variable | None:
    """A variable; none if it is graphql-core's to coerce."""
    signature = get_variable_signature(schema, node)
    if isinstance(signature, GraphQLError) or (plain := _plain(signature.type)) is None:
        return None
    without = get_variable_values(schema, [node], {})
    left_out = None if isinstance(without, list) else without.coerced
    if left_out and isinstance(left_out[signature.name], list | dict):
        # What can be changed is made for each request.
        left_out = None
    return Variable(signature.name, signature, plain, VariableValueSource(signature), left_out)


def _plain(kind: GraphQLInputType) -> Plain | None:
    """How values of a type are coerced; none for input objects, and lists of them."""
    nullable = not isinstance(kind, GraphQLNonNull)
    bare = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(bare, GraphQLList):
        of = _plain(bare.of_type)
        return of and Plain(nullable, None, _items(of))
    if not is_leaf_type(bare):
        return None
    return Plain(nullable, AS_IT_IS.get(bare), _leaf(bare.coerce_input_value))


def _leaf(coerce_input_value: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        try:
            return coerce_input_value(value)
        except Exception:  # noqa: BLE001 - whatever a scalar raises, graphql-core is to say so
            return Undefined

    return coerce


def _items(of: Plain) -> Coerce:
    def coerce(value: Any) -> Any:
        if type(value) is not list:
            # Of a single value graphql-core makes a list.
            return Undefined
        made = [of.of(item) for item in value]
        return Undefined if any(item is Undefined for item in made) else made

    return coerce
