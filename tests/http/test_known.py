"""A document that is known goes straight to its execution, and nobody can tell but by the time."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import strawberry
from graphql import parse
from strawberry import Schema as StrawberrySchema
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from graph.http.response import encode
from graph.http.schema import Schema

SAID: list[Any] = []


@strawberry.type
class Query:
    @strawberry.field
    def fine(self) -> str:
        SAID.append("fine")
        return "yes"

    @strawberry.field
    def fails(self) -> str | None:
        raise ValueError("it failed")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def change(self) -> str | None:
        SAID.append("changed")
        return "done"


class Watching(SchemaExtension):
    """Says when it is asked, and what it sees."""

    async def on_operation(self) -> AsyncIterator[None]:
        SAID.append(("operation", self.execution_context.query))
        try:
            yield
        except BaseException as error:
            SAID.append(repr(error))
            raise
        SAID.append(("operation ends", self._seen()))

    async def on_execute(self) -> AsyncIterator[None]:
        SAID.append(("execute", self.execution_context.operation_name, self.execution_context.operation_type))
        self._refuse("before")
        yield
        SAID.append(("execute ends", self._seen()))
        self._refuse("after")

    def get_results(self) -> dict[str, Any]:
        return {"watched": self._seen()}

    def _refuse(self, when: str) -> None:
        if self.execution_context.root_value == when:
            raise ValueError(when)

    def _seen(self) -> Any:
        result = self.execution_context.result
        return result and [error.extensions and error.extensions["code"] for error in result.errors or ()]


class Letting(Watching):
    """The same, which has nothing to do with what is asked in a context that says so."""

    @staticmethod
    def passes(context: Any) -> bool:
        return context is None or bool(context.get("let"))


class Parsing(SchemaExtension):
    async def on_parse(self) -> AsyncIterator[None]:
        SAID.append("parse")
        yield


class Validating(SchemaExtension):
    async def on_validate(self) -> AsyncIterator[None]:
        SAID.append("validate")
        yield


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    SAID.clear()


async def told(schema: Schema, document: str, context: Any = None, **given: Any) -> tuple[Any, list[Any]]:
    """What an operation is answered with, or raises, and what is said meanwhile."""
    SAID.clear()
    try:
        result = await schema.execute(document, context_value=context or {}, **given)
    except Exception as error:  # noqa: BLE001 - compared
        return repr(error), [*SAID]
    errors = [(error.message, error.path) for error in result.errors or ()]
    data = msgspec.json.decode(encode(result.data))
    return (type(result), data, errors, result.extensions), [*SAID]


@pytest.mark.parametrize(
    ("document", "given"),
    [
        ("{ fine }", {}),
        ("{ fine fails }", {}),
        ("{ fine }", {"root_value": "before"}),
        ("{ fine }", {"root_value": "after"}),
        ("query ($n: Boolean!) { fine @skip(if: $n) }", {"variable_values": {"n": "x"}}),
        ("query ($n: Boolean = true) { fine @skip(if: $n) }", {"variable_values": {"n": None}}),
        ("query A { fine } query B { fails }", {"operation_name": "B"}),
        ("query A { fine } query B { fails }", {"operation_name": "C"}),
        ("query A { fine } query B { fails }", {}),
        ("mutation { change }", {}),
        ("mutation { change }", {"allowed_operation_types": {OperationType.QUERY}}),
        ("mutation { change }", {"allowed_operation_types": {OperationType.MUTATION}}),
        ("{ __schema { queryType { name } } }", {}),
        ("{ nothing }", {}),
    ],
)
@pytest.mark.parametrize("extensions", [[], [Watching], [Letting]])
async def test_a_known_document_is_answered_as_it_was(
    document: str, given: dict[str, Any], extensions: list[type[SchemaExtension]]
) -> None:
    schema = Schema(Query, Mutation, extensions=extensions)
    unknown = await told(schema, document, **given)
    assert await told(schema, document, **given) == unknown


async def test_what_may_not_run_is_refused_once_it_is_known() -> None:
    schema = Schema(Query, Mutation)
    await schema.execute("mutation M { change }")
    SAID.clear()
    with pytest.raises(InvalidOperationTypeError):
        await schema.execute("mutation M { change }", allowed_operation_types={OperationType.QUERY})
    with pytest.raises(CannotGetOperationTypeError):
        await schema.execute("mutation M { change }", operation_name="N")
    assert SAID == []


async def test_a_known_document_needs_nothing_of_strawberrys_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = ("{ fine }", "mutation { change }", "query ($n: Boolean!) { fine @skip(if: $n) }")
    for extensions in ([], [Letting]):
        schema = Schema(Query, Mutation, extensions=extensions)
        for document in documents:
            await schema.execute(document, {"n": True})
        with monkeypatch.context() as patch:
            patch.setattr(StrawberrySchema, "execute", None)
            for document in documents:
                assert (await schema.execute(document, {"n": True})).errors is None


async def test_an_extension_is_asked_unless_it_has_nothing_to_do_with_a_context() -> None:
    schema = Schema(Query, Mutation, extensions=[Letting])
    asked = await told(schema, "{ fine }")
    assert await told(schema, "{ fine }") == asked
    assert len(asked[1]) > 1
    assert (await told(schema, "{ fine }", {"let": True}))[1] == ["fine"]
    schema = Schema(Query, Mutation, extensions=[Letting, Watching])
    await told(schema, "{ fine }", {"let": True})
    assert len((await told(schema, "{ fine }", {"let": True}))[1]) > 1


@pytest.mark.parametrize(("extension", "said"), [(Parsing, "parse"), (Validating, "validate")])
async def test_who_watches_parsing_or_validating_is_always_asked(extension: type[SchemaExtension], said: str) -> None:
    schema = Schema(Query, Mutation, extensions=[extension])
    for _ in range(2):
        assert await told(schema, "{ fine }") == (
            (strawberry.types.ExecutionResult, {"fine": "yes"}, [], {}),
            [said, "fine"],
        )


async def test_what_has_no_plan_is_left_to_graphql_core() -> None:
    schema = Schema(Query)
    document = "{ __schema { queryType { name } } }"
    unknown = await told(schema, document)
    schema.documents.trust(document, schema.documents.document(parse(document)))
    assert await told(schema, document) == unknown
