"""Variables and arguments come out as graphql-core and Strawberry have them, whichever way they go."""

from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
import strawberry
from graphql import FieldNode, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from strawberry import ID, Maybe
from strawberry.relay import GlobalID
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_arguments

from graph.execution.arguments import Arguments
from graph.execution.variables import MOST_COERCION_ERRORS, Variables
from graph.http.schema import Schema
from graph.scalars import JSON, SCALARS


@strawberry.enum
class Colour(Enum):
    RED = 1
    GREEN = 2


@strawberry.input
class Wanted:
    name: str
    colour: Colour | None = None


@strawberry.type
class Query:
    @strawberry.field
    def take(
        self,
        id: ID | None = None,
        whole: int = 7,
        colour: Colour = Colour.RED,
        amount: Decimal | None = None,
        own: JSON | None = None,
        names: list[str] | None = None,
        wanted: Wanted | None = None,
    ) -> str:
        return repr(locals())

    @strawberry.field
    def wrap(self, maybe: Maybe[str], global_id: GlobalID | None = None) -> str:
        return repr(locals())

    @strawberry.field
    def must(self, id: ID, *, snake_case: bool) -> str:
        return repr(locals())


SCHEMA = Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))
CORE = SCHEMA.documents.host.schema
TYPES = ["ID", "String!", "Int", "Boolean", "Decimal", "Colour", "JSON", "[ID!]!", "[Int]", "[[Colour!]]", "Wanted"]
DEFAULTS = [
    "Int = 3",
    "Int = null",
    'ID = "x"',
    "Colour = GREEN",
    "[Int!] = [1, 2]",
    "JSON = {a: 1}",
    "Boolean! = true",
]
VALUES: list[Any] = [None, "a", "", 1, 2**31, 1.0, 1.5, float("nan"), True, "RED", "1.50", "no", ["a"], [1], [None]]
VALUES += [[], [[]], [["RED"]], [["RED"], None], [["x"]], {"name": "a"}, {"name": 1}, {}, ("a",)]


def operation_of(text: str) -> OperationDefinitionNode:
    (found,) = parse(text).definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def told(values: Any) -> Any:
    """What can be compared; no two numbers that are none are equal."""
    if isinstance(values, list):
        return [(each.message, each.locations, repr(each.original_error)) for each in values]
    sources = {name: (str(each.signature.type), each.value) for name, each in values.sources.items()}
    return repr(values.coerced), repr(sources)


@pytest.mark.parametrize("declared", TYPES + DEFAULTS)
def test_a_variable_is_coerced_as_graphql_core_does(declared: str) -> None:
    operation = operation_of(f"query ($v: {declared}, $other: Int!) {{ __typename }}")
    variables = Variables(CORE, operation)
    nodes = operation.variable_definitions or ()
    gave: list[dict[str, Any]] = [{"other": 1}, {"undeclared": 1}, *({"v": value, "other": 1} for value in VALUES)]
    for given in gave:
        expected = get_variable_values(CORE, nodes, given, max_errors=MOST_COERCION_ERRORS)
        assert told(variables.coerced(given)) == told(expected), given


@pytest.mark.parametrize(
    ("declared", "given", "coerced"),
    [
        ("ID!", {"v": "a"}, {"v": "a"}),
        ("Int", {"v": 5}, {"v": 5}),
        ("Int", {}, {}),
        ("Int = 3", {}, {"v": 3}),
        ("Int = 3", {"v": None}, {"v": None}),
        ("Decimal!", {"v": "1.5"}, {"v": Decimal("1.5")}),
        ("[Boolean!]!", {"v": [True, False]}, {"v": [True, False]}),
    ],
)
def test_what_is_plainly_right_is_not_walked(
    declared: str, given: dict[str, Any], coerced: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = Variables(CORE, operation_of(f"query ($v: {declared}) {{ __typename }}"))
    monkeypatch.setattr("graph.execution.variables.get_variable_values", None)
    values = variables.coerced(given)
    assert isinstance(values, VariableValues)
    assert values.coerced == coerced


@pytest.mark.parametrize("declared", ["[Int!] = [1, 2]", "JSON = {a: 1}"])
def test_what_can_be_changed_is_made_for_each_request(declared: str) -> None:
    variables = Variables(CORE, operation_of(f"query ($v: {declared}) {{ __typename }}"))
    one, other = variables.coerced({}), variables.coerced({})
    assert isinstance(one, VariableValues)
    assert isinstance(other, VariableValues)
    assert one.coerced["v"] is not other.coerced["v"]


TAKEN = [
    ("take", {}),
    ('take(id: 5, whole: 3, colour: GREEN, amount: "1.5")', {}),
    ("take(id: null, names: null, wanted: null, own: null)", {}),
    ('take(own: {a: [1]}, names: "a", wanted: {name: "a"})', {}),
    ("take(own: {a: $id})", {"id": "x"}),
    ("take(own: $own)", {"own": {"a": 1}}),
    ("take(id: $id, whole: $whole, colour: $colour)", {}),
    ("take(id: $id, whole: $whole, colour: $colour)", {"id": "x", "whole": 1, "colour": "GREEN"}),
    ("take(id: $id, whole: $whole, colour: $colour)", {"id": None, "whole": None}),
    ("take(names: $names, wanted: {name: $id})", {"id": "x", "names": ["a"]}),
    ("wrap(maybe: $id)", {"id": None}),
    ("wrap(maybe: $id)", {"id": "x"}),
    ("wrap(maybe: $id)", {}),
    ('wrap(maybe: "a")', {}),
    ("wrap", {}),
    ("wrap(globalId: $id)", {"id": "VXNlcjox"}),
    ("wrap(globalId: $id)", {"id": "none"}),
    ("must(id: $id, snakeCase: $yes)", {"id": "x", "yes": True}),
    ("must(id: $id, snakeCase: true)", {}),
    ("must(id: $id, snakeCase: true)", {"id": None}),
    ("must(id: 1)", {}),
    ("must(id: null, snakeCase: 5)", {}),
]
DECLARED = "$id: ID, $whole: Int, $colour: Colour, $names: [String!], $own: JSON, $yes: Boolean"


@pytest.mark.parametrize(("asked", "given"), TAKEN)
def test_arguments_are_what_graphql_core_and_strawberry_make_of_them(asked: str, given: dict[str, Any]) -> None:
    operation = operation_of(f"query ({DECLARED}) {{ {asked} }}")
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    assert CORE.query_type
    definition = CORE.query_type.fields[node.name.value]
    converter = SCHEMA.schema_converter
    variables = get_variable_values(CORE, operation.variable_definitions or (), given)
    assert isinstance(variables, VariableValues)

    def theirs() -> Any:
        coerced = get_argument_values(definition, node, variables)
        ours = definition.extensions["strawberry-definition"].arguments
        return convert_arguments(coerced, ours, converter.scalar_registry, converter.config)

    arguments = Arguments(definition, node, converter)
    assert outcome(lambda: arguments.values(variables)) == outcome(theirs)


def outcome(made: Any) -> Any:
    """What a function gives, or says is wrong."""
    try:
        return {name: repr(value) for name, value in made().items()}
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), str(error)


def test_plain_arguments_are_neither_coerced_nor_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = operation_of("query ($id: ID, $whole: Int) { take(id: $id, whole: $whole, colour: GREEN) }")
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    assert CORE.query_type
    arguments = Arguments(CORE.query_type.fields["take"], node, SCHEMA.schema_converter)
    for name in ("get_argument_values", "convert_arguments"):
        monkeypatch.setattr(f"graph.execution.arguments.{name}", None)
    made = arguments.values(VariableValues({}, {"id": "x"}))
    assert (made["id"], made["whole"], made["colour"]) == ("x", 7, Colour.GREEN)
