"""The price of one operation: a pure function of weights, document, operation and variables.

Fields are merged as execution merges them, so that a field which several fragments ask for costs once. Where types that
no object can be together ask for different things under one key, the dearest of them is the price. Equal sets of
selections are priced once and remembered, and a document that holds more than can honestly be asked for costs the
most there is: neither time nor numbers grow with what fragments multiply.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

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
        return points(_came(self.fields, [data] if data else []))

    @property
    def whole(self) -> int | None:
        """What an answer costs to which everything has come, in hundredths; none if that depends on how long lists are.

        No answer costs more.
        """
        return _whole(self.fields)


def price(
    weights: Weights,
    root: str,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
) -> Priced:
    """Price an operation of a valid document before it runs; `root` names the type that it begins at."""
    fields, fixed, _ = _Pricing(weights, document, operation, variables or {}).of(((root, operation.selection_set),))
    own = sum(field.weight.own for field in fields)
    by_address = sum(_total(field) for field in fields if field.weight.by_address)
    return Priced(points(fixed), points(own), points(by_address), fields)


def _bounded(hundredths: int) -> int:
    return min(hundredths, _MOST)


def points(hundredths: int) -> int:
    """Whole points, rounded up."""
    return -(-_bounded(hundredths) // HUNDREDTHS)


def _total(field: Field) -> int:
    """A field's part of its parent's cost; of `nodes` and `edges`, for one row."""
    count = field.weight.size if field.weight.kind is Kind.LIST else 1
    return _bounded(field.weight.own + (count if isinstance(count, int) else 1) * field.object_cost)


def _whole(fields: Iterable[Field]) -> int | None:
    total = 0
    for field in fields:
        beneath = _whole(field.fields)
        if beneath is None or field.weight.kind not in {Kind.SCALAR, Kind.ONE}:
            return None
        total += field.weight.own + field.weight.each + beneath
    return total


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
# Sets of selections that are asked of one object, each with the type that it is asked of.
_Sets = tuple[tuple[str, SelectionSetNode], ...]


class _Asked(NamedTuple):
    """A field that costs anything, as one place asks for it of a type."""

    on: str
    weight: Weight
    node: FieldNode


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
        self._known: dict[tuple[tuple[str, int], ...], _Selection] = {}
        self._left = MOST_SELECTIONS

    def of(self, sets: _Sets) -> _Selection:
        """The fields of these sets together, asked of one object."""
        key = tuple((on, id(selection_set)) for on, selection_set in sets)
        if key not in self._known:
            # A cycle of fragments ends here; another rule has refused it.
            self._known[key] = ((), 0, 0)
            self._known[key] = self._summed(sets)
        return self._known[key]

    def _summed(self, sets: _Sets) -> _Selection:
        fields = []
        fixed = paged = 0
        for key, asked in self._merged(sets).items():
            alternatives = []
            # A loop, for a comprehension takes a frame more at each level of a deep document.
            for each in self._by_type(asked):
                alternatives.append(self._field(key, each))  # noqa: PERF401
            dearest = max(alternatives, key=_total)
            if dearest.weight.kind is Kind.PAGE:
                fixed, paged = fixed + dearest.weight.own, paged + dearest.object_cost
            else:
                fixed += _total(dearest)
            # What comes may be of any of the types, and is looked through once, for what each of them asks.
            fields.append(dearest if len(alternatives) == 1 else self._field(key, asked))
        if self._left < 0:
            return (), _MOST, 0
        return tuple(fields), _bounded(fixed), _bounded(paged)

    def _field(self, key: str, asked: Sequence[_Asked]) -> Field:
        """The field that answers to a key, of one object that all of these are asked of."""
        beneath: _Selection = ((), 0, 0)
        if sets := tuple((each.weight.type_name, each.node.selection_set) for each in asked if each.node.selection_set):
            beneath = self.of(sets)
        weight = asked[0].weight
        if any(each.weight is not weight for each in asked):
            own, each_object = max(a.weight.own for a in asked), max(a.weight.each for a in asked)
            weight = msgspec.structs.replace(weight, own=own, each=each_object)
        page = 1
        if weight.kind is Kind.CONNECTION:
            page = max(_page(self._arguments(each.node)) for each in asked)
        elif weight.kind is Kind.LIST:
            size = max(_expected(each.weight, self._arguments(each.node)) for each in asked)
            weight = msgspec.structs.replace(weight, size=size)
        return Field(key, weight, page, *beneath)

    def _merged(self, sets: _Sets) -> Mapping[str, list[_Asked]]:
        """The fields that cost anything, each from all its places, by the key that they answer to."""
        merged: dict[str, list[_Asked]] = {}
        for on, node in self._selected(sets):
            weight = self._weights.of_type(on).get(node.name.value)
            if weight is not None:
                merged.setdefault((node.alias or node.name).value, []).append(_Asked(on, weight, node))
        return merged

    def _by_type(self, asked: list[_Asked]) -> Iterable[list[_Asked]]:
        """What one object of each type is asked for: an object is of one type, and of interfaces besides."""
        types = {each.on for each in asked if not self._weights.is_interface(each.on)}
        if len(types) <= 1:
            return [asked]
        shared = [each for each in asked if self._weights.is_interface(each.on)]
        by_type = {name: [*shared] for name in sorted(types)}
        for each in asked:
            if each.on in types:
                by_type[each.on].append(each)
        return by_type.values()

    def _selected(self, sets: _Sets) -> Iterator[tuple[str, FieldNode]]:
        """Each field that these sets ask for, with the type it is asked of; each fragment is entered once."""
        entered: set[str] = set()
        stack = list(sets)
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
