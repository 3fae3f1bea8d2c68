"""The documents of the typed clients fit the schema; that the clients work is for `make examples`."""

import re
import tomllib

import pytest
from graphql import GraphQLScalarType, GraphQLSchema, build_schema, parse, specified_scalar_types, validate

from graph.settings import ROOT

EXAMPLES = ROOT / "examples"
DOCUMENTS = (EXAMPLES / "operations.graphql").read_text()


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((ROOT / "schema.graphql").read_text())


def test_the_documents_of_the_examples_fit_the_schema(schema: GraphQLSchema) -> None:
    assert validate(schema, parse(DOCUMENTS)) == []


def test_a_field_that_is_gone_is_found(schema: GraphQLSchema) -> None:
    (error,) = validate(schema, parse(DOCUMENTS.replace("settlesOn", "dueOn")))
    assert error.message.startswith("Cannot query field 'dueOn' on type 'OrderPreview'.")


def test_every_scalar_is_mapped_in_each_language(schema: GraphQLSchema) -> None:
    builtin = set(specified_scalar_types)
    scalars = {name for name, kind in schema.type_map.items() if isinstance(kind, GraphQLScalarType)} - builtin
    python = tomllib.loads((EXAMPLES / "python" / "pyproject.toml").read_text())["tool"]["ariadne-codegen"]["scalars"]
    typescript = re.search(r"scalars: \{(.*)\}", (EXAMPLES / "typescript" / "codegen.ts").read_text())
    assert typescript
    assert set(python) == scalars == set(re.findall(r"(\w+):", typescript[1])) - builtin


@pytest.mark.parametrize("lock", ["typescript/package-lock.json", "python/requirements.lock"])
def test_a_lock_names_no_registry(lock: str) -> None:
    text = (EXAMPLES / lock).read_text()
    assert '"resolved"' not in text
    assert not re.search(r"registry|--index-url|pypi|npmjs", text)
