"""The price of one operation: a pure function of weights, document, operation and variables.

Fields are merged as execution merges them, so that a field which several fragments ask for costs once. Equal sets of
selections are priced once and remembered, and a document that holds more than can honestly be asked for costs the
most there is: neither time nor numbers grow with what fragments multiply.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)

from domain.paging import DEFAULT_SIZE, LARGEST_SIZE
from graph.cost.weights import HUNDREDTHS, Kind, Weight, Weights

# In points. What costs more is said to cost this.
MOST_COST: Final = 1_000_000_000
_MOST: Final = MOST_COST * HUNDREDTHS
# Of one document; Limits refuses what is far smaller.
MOST_SELECTIONS: Final = 20_000
# Digits of an integer that is worth reading.
LONGEST_INTEGER: Final = 9


class Field(msgspec.Struct, frozen=True):
    """A field of an answer and what one of its objects costs: `fixed`, and `paged` for each row of its page."""

    key: str
    weight: Weight
    page: int
    fields: tuple["Field", ...]
    fixed: int
    paged: int

    @property
    def object_cost(self) -> int:
        """What one of its objects costs with all beneath."""
        return _bounded(self.weight.each + self.fixed + self.paged * self.page)


class Priced(msgspec.Struct, frozen=True):
    """An operation with its price, in points; `own` is what it costs to begin, whatever comes."""

    estimate: int
    own: int
    by_address: int
    fields: tuple[Field, ...]

    def actual(self, data: Mapping[str, Any] | None) -> int:
        """What an answer has cost, by the lengths of the lists that really came."""
        return _points(_came(self.fields, [data] if data else []))


def price(
    weights: Weights,
    root: str,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
) -> Priced:
    """Price an operation of a valid document before it runs; `root` names the type that it begins at."""
    fields, fixed, _ = _Pricing(weights, document, operation, variables or {}).of(root, (operation.selection_set,))
    own = sum(field.weight.own for field in fields)
    by_address = sum(_total(field) for field in fields if field.weight.by_address)
    return Priced(_points(fixed), _points(own), _points(by_address), fields)


def _bounded(hundredths: int) -> int:
    return min(hundredths, _MOST)


def _points(hundredths: int) -> int:
    return -(-_bounded(hundredths) // HUNDREDTHS)


def _total(field: Field) -> int:
    """A field's part of its parent's cost; of `nodes` and `edges`, for one row."""
    count = field.weight.size if field.weight.kind is Kind.LIST else 1
    return _bounded(field.weight.own + (count if isinstance(count, int) else 1) * field.object_cost)


def _came(fields: Iterable[Field], parents: Sequence[Mapping[str, Any]]) -> int:
    """The cost of what came, level by level: each level's values are one column."""
    total = 0
    for field in fields:
        values = [parent[field.key] for parent in parents if field.key in parent]
        weight = field.weight
        total += weight.own * len(values)
        if weight.kind is Kind.SCALAR:
            continue
        if weight.kind in {Kind.LIST, Kind.PAGE}:
            values = [item for value in values if value for item in value]
        objects = [value for value in values if value is not None]
        total += weight.each * len(objects)
        if field.fields and objects:
            total += _came(field.fields, objects)
    return total


# A type's fields, and what one of its objects costs: what is fixed, and what is for each row of a page.
_Selection = tuple[tuple[Field, ...], int, int]


class _Pricing:
    """The pricing of one operation."""

    def __init__(
        self,
        weights: Weights,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._weights = weights
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._variables = variables
        self._defaults = {d.variable.name.value: d.default_value for d in operation.variable_definitions or ()}
        self._known: dict[tuple[str, tuple[int, ...]], _Selection] = {}
        self._left = MOST_SELECTIONS

    def of(self, type_name: str, selection_sets: tuple[SelectionSetNode, ...]) -> _Selection:
        """The fields of these sets together, asked of one object of a type."""
        key = (type_name, tuple(map(id, selection_sets)))
        if key not in self._known:
            # A cycle of fragments ends here; another rule has refused it.
            self._known[key] = ((), 0, 0)
            self._known[key] = self._summed(type_name, selection_sets)
        return self._known[key]

    def _summed(self, type_name: str, selection_sets: tuple[SelectionSetNode, ...]) -> _Selection:
        fields = []
        fixed = paged = 0
        for weight, nodes in self._merged(type_name, selection_sets):
            field = self._field(weight, nodes)
            fields.append(field)
            if weight.kind is Kind.PAGE:
                fixed, paged = fixed + weight.own, paged + field.object_cost
            else:
                fixed += _total(field)
        if self._left < 0:
            return (), _MOST, 0
        return tuple(fields), _bounded(fixed), _bounded(paged)

    def _field(self, weight: Weight, nodes: Sequence[FieldNode]) -> Field:
        first = nodes[0]
        beneath: _Selection = ((), 0, 0)
        if sets := tuple(node.selection_set for node in nodes if node.selection_set):
            beneath = self.of(weight.type_name, sets)
        page = 1
        if weight.kind is Kind.CONNECTION:
            page = _page(self._arguments(first))
        elif weight.kind is Kind.LIST:
            weight = msgspec.structs.replace(weight, size=_expected(weight, self._arguments(first)))
        return Field((first.alias or first.name).value, weight, page, *beneath)

    def _merged(
        self, type_name: str, selection_sets: Iterable[SelectionSetNode]
    ) -> Iterable[tuple[Weight, list[FieldNode]]]:
        """The fields that cost anything, each with all its nodes, under the key that it answers to."""
        merged: dict[tuple[str, str], tuple[Weight, list[FieldNode]]] = {}
        for on, node in self._selected(type_name, selection_sets):
            weight = self._weights.of_type(on).get(node.name.value)
            if weight is not None:
                key = ((node.alias or node.name).value, node.name.value)
                merged.setdefault(key, (weight, []))[1].append(node)
        return merged.values()

    def _selected(self, type_name: str, selection_sets: Iterable[SelectionSetNode]) -> Iterator[tuple[str, FieldNode]]:
        """Each field that these sets ask for, with the type it is asked of; each fragment is entered once."""
        entered: set[str] = set()
        stack = [(type_name, selection_set) for selection_set in selection_sets]
        while stack:
            on, selection_set = stack.pop()
            self._left -= len(selection_set.selections)
            if self._left < 0:
                return
            for selection in selection_set.selections:
                if not self._included(selection):
                    continue
                if isinstance(selection, FieldNode):
                    yield on, selection
                elif isinstance(selection, InlineFragmentNode):
                    condition = selection.type_condition
                    stack.append((condition.name.value if condition else on, selection.selection_set))
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in entered:
                    entered.add(selection.name.value)
                    if fragment := self._fragments.get(selection.name.value):
                        stack.append((fragment.type_condition.name.value, fragment.selection_set))

    def _included(self, selection: SelectionNode) -> bool:
        """Whether `@skip` and `@include` leave it in."""
        directives: Iterable[DirectiveNode] = selection.directives or ()
        for directive in directives:
            name = directive.name.value
            if name in {"skip", "include"}:
                value = next((self._value(a.value) for a in directive.arguments or () if a.name.value == "if"), None)
                if value is (name == "skip"):
                    return False
        return True

    def _arguments(self, node: FieldNode) -> dict[str, Any]:
        return {argument.name.value: self._value(argument.value) for argument in node.arguments or ()}

    def _value(self, node: ValueNode | None) -> Any:
        """A literal's or a variable's value as the client gave it; only lists and plain values are told apart."""
        if isinstance(node, VariableNode):
            name = node.name.value
            return self._variables[name] if name in self._variables else self._value(self._defaults.get(name))
        if isinstance(node, IntValueNode):
            return int(node.value) if len(node.value) <= LONGEST_INTEGER else LARGEST_SIZE
        if isinstance(node, ListValueNode):
            return [self._value(value) for value in node.values]
        return node.value if isinstance(node, BooleanValueNode | StringValueNode) else _plain(node)


def _plain(node: ValueNode | None) -> Any:
    return None if node is None or isinstance(node, NullValueNode) else getattr(node, "value", node)


def _page(arguments: Mapping[str, Any]) -> int:
    """How many rows a connection gives at most; more than it may give is refused when it is read."""
    # JSON's 50.0 is read as an integer too.
    asked = [value for name in ("first", "last") if isinstance(value := arguments.get(name), int | float)]
    return int(max(0, min(max(asked, default=DEFAULT_SIZE), LARGEST_SIZE)))


def _expected(weight: Weight, arguments: Mapping[str, Any]) -> int:
    size = weight.size
    if callable(size):
        return max(0, size(arguments))
    if isinstance(size, str):
        given = arguments.get(size)
        # What is no list is taken as a list of one.
        return len(given) if isinstance(given, list) else int(given is not None)
    return size
