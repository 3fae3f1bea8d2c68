"""The rules of execution that a schema of wealth management alone would not show, each held against graphql-core."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, cast

import msgspec
import pytest
import strawberry
from graphql import parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries
from strawberry.extensions import FieldExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionResult

from graph.execution import executed
from graph.http.response import encode, payload
from graph.http.schema import Schema
from graph.limits import Limits
from graph.scalars import JSON, SCALARS
from tests.graph.execution.comparing import check_equal, check_told_alike


class Shouting(FieldExtension):
    """Answers in capitals."""

    def resolve(self, next_: Any, source: Any, info: Any, **given: Any) -> Any:
        return next_(source, info, **given).upper()


@strawberry.enum
class Colour(Enum):
    RED = 1
    GREEN = 2


class Broken:
    """Has none of what it is asked for."""


@strawberry.interface
class Named:
    name: str

    @strawberry.field
    def length(self) -> int:
        return len(self.name)


@strawberry.type
class Cat(Named):
    colour: Colour | None = Colour.GREEN
    lives: int = 9

    @strawberry.field
    async def friends(self, first: int = 2) -> list["Animal"]:
        await asyncio.sleep(0)
        return [Dog(name=f"{self.name} {at}") if at % 2 else Cat(name="tom") for at in range(max(0, min(first, 3)))]

    @strawberry.field
    def path(self, info: strawberry.Info) -> list[str]:
        path: Any = info.path
        keys = []
        while path is not None:
            keys.append(str(path.key))
            path = path.prev
        return keys


@strawberry.type
class Dog(Named):
    barks: bool = True

    @strawberry.field(extensions=[Shouting()])  # type: ignore[untyped-decorator] # Strawberry's, with extensions
    def call(self, word: str = "come") -> str:
        return f"{word} {self.name}"

    @strawberry.field
    def lost(self) -> str:
        raise ValueError(f"{self.name} is lost")

    @strawberry.field
    async def collar(self) -> str | None:
        raise ValueError(f"{self.name} has none")

    @strawberry.field
    def nothing(self) -> str:
        return None  # type: ignore[return-value]


Animal = Annotated[Cat | Dog, strawberry.union("Animal")]


@strawberry.type
class Shapes:
    whole: int = 1
    large: int = 2**31
    half: float = 0.5
    endless: float = float("inf")
    yes: bool = True
    text: str = "ü\u2028"
    amount: Decimal = Decimal("1.2300")
    own: JSON = strawberry.field(default_factory=lambda: {"a": [1, None, 2**70], "b": {}})
    nothing: str | None = None
    number_for_text: str = 7  # type: ignore[assignment]
    wrong: Colour = 7  # type: ignore[assignment]
    wrong_or_null: Colour | None = 7  # type: ignore[assignment]
    grid: list[list[int]] = strawberry.field(default_factory=lambda: [[1, 2], [], [3]])
    holes: list[list[int | None] | None] = strawberry.field(default_factory=lambda: [[1, None], None, []])
    bad_holes: list[list[int]] | None = strawberry.field(default_factory=lambda: [[1, None], [2]])
    bad_items: list[int | None] = strawberry.field(default_factory=lambda: [1, "x", 3])
    no_list: list[int] | None = 5  # type: ignore[assignment]

    @strawberry.field
    def generated(self) -> list[int]:
        return (at for at in range(3))  # type: ignore[return-value]

    @strawberry.field
    def raised(self) -> int | None:
        return ValueError("returned, not raised")  # type: ignore[return-value]


@strawberry.input
class Wanted:
    names: list[str]
    colour: Colour | None = None
    deep: "Wanted | None" = None


@strawberry.type
class Query:
    @strawberry.field
    async def animals(self, count: int = 3) -> list[Animal]:
        await asyncio.sleep(0)
        return [Cat(name=f"cat {at}") if at % 2 else Dog(name=f"dog {at}") for at in range(max(0, min(count, 3)))]

    @strawberry.field
    def maybe(self) -> list[Animal | None]:
        return [Cat(name="kit"), None, Broken(), Dog(name="rex")]  # type: ignore[list-item]

    @strawberry.field
    def named(self) -> list[Named]:
        return [Dog(name="fido"), Cat(name="mog")]

    @strawberry.field
    def needed(self) -> Dog:
        return Dog(name="bello")

    @strawberry.field
    def optional(self) -> Dog | None:
        return Dog(name="waldi")

    @strawberry.field
    def broken(self) -> Dog | None:
        return Broken()  # type: ignore[return-value]

    @strawberry.field
    def shapes(self) -> Shapes:
        return Shapes()

    @strawberry.field
    def perhaps(self) -> Shapes | None:
        return Shapes()

    @strawberry.field
    async def fails(self) -> Shapes:
        raise ValueError("it failed")

    @strawberry.field
    def echo(self, wanted: Wanted) -> str:
        return repr(wanted)

    @strawberry.field
    def echo_colour(self, colour: Colour = Colour.RED) -> Colour:
        return colour


@strawberry.type
class Counted:
    at: int

    @strawberry.field
    async def later(self) -> int:
        await asyncio.sleep(0)
        return self.at


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def count(self, info: strawberry.Info, *, fail: bool = False) -> Counted | None:
        info.context["counted"] += 1
        at = info.context["counted"]
        await asyncio.sleep(0.001 / at)
        if fail:
            raise ValueError("not counted")
        return Counted(at=at)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def counting(self, to: int) -> AsyncIterator[Counted]:
        for at in range(to):
            yield Counted(at=at)

    @strawberry.subscription
    async def arriving(self, most: int = 3) -> AsyncIterator[Animal]:
        for made in (Dog(name="fido"), Cat(name="mog"), Dog(name="rex"))[:most]:
            yield made

    @strawberry.subscription
    async def perhaps(self) -> AsyncIterator[Dog | None]:
        for made in (Dog(name="waldi"), None, Broken(), ValueError("an event that failed")):
            yield made  # type: ignore[misc]

    @strawberry.subscription
    async def failing(self) -> AsyncIterator[Shapes]:
        yield Shapes()
        raise ValueError("the stream failed")


# graphql-core leaves coroutines of the siblings of what failed unawaited.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine:pytest.PytestUnraisableExceptionWarning"),
]
SHALLOW = Limits(depth=7, cost=10**9)


def made(*, planned: bool) -> Schema:
    config = StrawberryConfig(scalar_map=SCALARS)
    return Schema(Query, Mutation, Subscription, types=[Cat, Dog], config=config, limits=SHALLOW, planned=planned)


@pytest.fixture(scope="module")
def schemas() -> tuple[Schema, Schema]:
    return made(planned=True), made(planned=False)


async def answers(schemas: Sequence[Schema], document: str, **given: Any) -> list[Any]:
    found = []
    for schema in schemas:
        result = await schema.execute(document, context_value={"counted": 0}, **given)
        found.append(msgspec.json.decode(encode(payload(result))))
    return found


async def same(schemas: Sequence[Schema], document: str, **given: Any) -> Any:
    """The answer, which both executions give."""
    planned, again, stock = await answers((schemas[0], *schemas), document, **given)
    check_equal(planned, stock)
    # Known by now, the document goes a way of its own.
    check_equal(again, stock)
    return planned


EVERYTHING = "whole half yes text amount own nothing numberForText grid holes generated"
CASES = {
    "scalars, lists of lists": f"{{ shapes {{ {EVERYTHING} }} }}",
    "a union": '{ animals { __typename ... on Cat { name colour lives } ... on Dog { barks call(word: "sit") } } }',
    "an interface": "{ named { __typename name length ... on Cat { friends { ... on Dog { name } } } } }",
    "a fragment of an interface": "{ animals { ...N } } fragment N on Named { name length }",
    "aliases": "{ a: shapes { x: whole y: whole } b: shapes { whole } }",
    "fields of one key merge": """{ named {
        ... on Cat { friends { ... on Cat { lives } } }
        ... on Cat { friends { ... on Cat { name } } }
    } }""",
    "an argument's default": """{ named {
        ... on Cat { friends { __typename } one: friends(first: 1) { __typename } }
    } }""",
    "an enum as argument": "{ a: echoColour b: echoColour(colour: GREEN) }",
    "an input": '{ echo(wanted: {names: ["a"], colour: GREEN, deep: {names: []}}) }',
    "a path": "{ named { ... on Cat { path } } animals { ... on Cat { friends { ... on Cat { way: path } } } } }",
    "an error where null may stand": "{ named { ... on Dog { name collar } } }",
    "an error that nulls its parent": "{ optional { name lost } needed { name } }",
    "an error that nulls everything": "{ needed { lost } optional { name } }",
    "an async error that nulls everything": "{ fails { whole } shapes { whole } }",
    "null where none may be": "{ optional { nothing } }",
    "an error in one item": "{ maybe { ... on Dog { lost } ... on Cat { lives } } }",
    "an error in an item that may not be null": "{ named { ... on Dog { lost } } shapes { whole } }",
    "a value that is no type's": "{ broken { name } maybe { __typename } }",
    "wrong leaves": "{ perhaps { wrong } shapes { wrongOrNull badItems noList raised } }",
    "no finite number": "{ perhaps { endless } shapes { half } }",
    "no 32-bit integer": "{ perhaps { large } shapes { whole } }",
    "null within lists of lists": "{ shapes { badHoles holes } }",
    "an empty selection": "{ needed { name @skip(if: true) } }",
    "nothing at all": "{ needed @include(if: false) { name } }",
    "no list": "{ animals(count: 0) { __typename } }",
    "introspection": "{ __schema { queryType { name } } shapes { __typename } __typename }",
    "a type": '{ __type(name: "Cat") { fields { name } } }',
    "mutations, one after the other": "mutation { a: count { at later } b: count { at } c: count { later } }",
    "a mutation that fails": "mutation { a: count { at } b: count(fail: true) { at } c: count { at } }",
}


@pytest.mark.parametrize("document", CASES.values(), ids=CASES)
async def test_answers_are_graphql_cores(schemas: tuple[Schema, Schema], document: str) -> None:
    planned, again, stock = await answers((schemas[0], *schemas), document)
    check_equal(planned, stock)
    check_told_alike(planned, stock)
    check_equal(again, stock)
    check_told_alike(again, stock)


@pytest.mark.parametrize("document", [text for text in CASES.values() if not text.startswith("mutation")])
async def test_what_is_had_at_once_costs_no_more(schemas: tuple[Schema, Schema], document: str) -> None:
    """At first no class is known, and all goes the long way; then what is as usual is had at once, or is tried so."""
    operation = schemas[0].documents.document(parse(document)).operation(None)
    assert operation is not None
    if not operation.is_planned({}):
        return
    results: list[Any] = []
    for _ in range(2):
        executing = executed(operation, {}, None)
        results.append(executing if isinstance(executing, ExecutionResult) else await cast("Any", executing))
    first, second = results
    assert first.spent == second.spent
    assert encode(first.data) == encode(second.data)
    assert [error.path for error in first.errors or ()] == [error.path for error in second.errors or ()]


VARIED = {
    "a value": ("query ($n: Int!) { animals(count: $n) { __typename } }", {"n": 2}),
    "a default": ("query ($n: Int = 1) { animals(count: $n) { __typename } }", {}),
    "left out, so the argument's default": ("query ($n: Int) { animals(count: $n) { __typename } }", {}),
    "null for what has a default": ("query ($n: Int) { animals(count: $n) { __typename } }", {"n": None}),
    "of a wrong type": ("query ($n: Int!) { animals(count: $n) { __typename } }", {"n": "x"}),
    "missing": ("query ($n: Int!) { animals(count: $n) { __typename } }", {}),
    "within an input": ('query ($c: Colour) { echo(wanted: {names: ["a"], colour: $c}) }', {"c": "RED"}),
    "left out within an input": ('query ($c: Colour) { echo(wanted: {names: ["a"], colour: $c}) }', {}),
    "an input": ("query ($w: Wanted!) { echo(wanted: $w) }", {"w": {"names": ["x"], "deep": {"names": []}}}),
    "no boolean for a condition": ("query ($c: Boolean = true) { shapes { whole @include(if: $c) yes } }", {"c": None}),
}


@pytest.mark.parametrize(("document", "variables"), VARIED.values(), ids=VARIED)
async def test_variables_are_graphql_cores(
    schemas: tuple[Schema, Schema], document: str, variables: dict[str, Any]
) -> None:
    await same(schemas, document, variable_values=variables)


EVENTS = {
    "each event": "subscription { counting(to: 3) { at later __typename } }",
    "a name of its own": "subscription { mine: counting(to: 1) { a: at at } }",
    "the root's type": "subscription { counting(to: 1) { ... on Counted { at } } }",
    "a union": "subscription { arriving { ... on Cat { lives friends { __typename } } ... on Dog { barks } } }",
    "a path": "subscription { arriving(most: 2) { ... on Cat { path friends { ... on Cat { path } } } } }",
    "errors where null may stand": "subscription { arriving { ... on Dog { name collar } ... on Cat { name } } }",
    "errors that null the event": "subscription { arriving { ... on Dog { name lost } ... on Cat { name } } }",
    "events that are none": "subscription { perhaps { name } }",
    "a stream that fails": "subscription { failing { whole raised } }",
    "a variable that is none": "subscription ($n: Int!) { counting(to: $n) { at } }",
    "no boolean for a condition": "subscription ($c: Boolean = true) { counting(to: 2) { at @include(if: $c) later } }",
}


@pytest.mark.parametrize("document", EVENTS.values(), ids=EVENTS)
async def test_events_are_graphql_cores(schemas: tuple[Schema, Schema], document: str) -> None:
    planned, stock = [await events(schema, document) for schema in schemas]
    assert len(planned) == len(stock) > 0
    for one, other in zip(planned, stock, strict=True):
        check_equal(one, other)
        check_told_alike(one, other)


async def events(schema: Schema, document: str) -> list[Any]:
    results = await schema.stream(document, variable_values={"c": None}, context_value={"counted": 0})
    return [msgspec.json.decode(encode(payload(cast("ExecutionResult", result)))) async for result in results]


async def test_conditions_are_planned_apart(schemas: tuple[Schema, Schema]) -> None:
    document = """query ($a: Boolean!, $b: Boolean!) {
        shapes { whole @include(if: $a) ... @skip(if: $b) { yes } }
        named { ...L @include(if: $a) }
    } fragment L on Named { name @skip(if: $b) length }"""
    seen = set()
    for _ in range(2):
        for a in (True, False):
            for b in (True, False):
                answer = await same(schemas, document, variable_values={"a": a, "b": b})
                seen.add(str(answer["data"]))
    assert len(seen) == 4


async def test_a_condition_of_one_operation_is_anything_in_another(schemas: tuple[Schema, Schema]) -> None:
    document = """query A($x: Boolean!) { __typename @skip(if: $x) }
    query B($x: [String!]!) { echo(wanted: {names: $x}) }"""
    await same(schemas, document, operation_name="B", variable_values={"x": ["a"]})
    await same(schemas, document, operation_name="A", variable_values={"x": True})
    await same(schemas, document, operation_name="A", variable_values={"x": False})


async def test_the_operation_that_is_named_is_run(schemas: tuple[Schema, Schema]) -> None:
    document = "query A { shapes { whole } } query B { shapes { yes } } mutation C { count { at } }"
    for name in ("A", "B", "C"):
        await same(schemas, document, operation_name=name)


async def test_a_document_is_parsed_validated_and_planned_once(
    schemas: tuple[Schema, Schema], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, document = schemas[0], "{ shapes { whole yes text } }"
    await schema.execute(document, context_value={})
    for name in ("strawberry.schema.schema.parse", "strawberry.schema.schema.validate", "graph.http.document.validate"):
        monkeypatch.setattr(name, None)
    monkeypatch.setattr("graph.execution.documents.Compiler", None)
    result = await schema.execute(document, context_value={})
    assert result.errors is None


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    queries(
        made(planned=False).as_str(),
        custom_scalars={name: st.nothing() for name in ("Decimal", "JSON")},
    )
)
async def test_whatever_is_asked_is_answered_alike(schemas: tuple[Schema, Schema], document: str) -> None:
    await same(schemas, document)
