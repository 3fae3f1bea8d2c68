import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, build_schema

from graph import schema_file
from graph.schema import schema_text
from graph.settings import ROOT

FILE = ROOT / "schema.graphql"
SENTENCE = re.compile(r"[A-Z`].*[.)]", re.DOTALL)


@pytest.fixture(scope="module")
def text() -> str:
    """The schema as the code has it."""
    return schema_text()


def described(text: str) -> Iterator[tuple[str, str | None]]:
    """Everything that a stranger reads in the schema, by its place, with its description."""
    for name, kind in build_schema(text).type_map.items():
        if name.startswith("__") or name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        yield name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{name}.{value}", each.description) for value, each in kind.values.items())
        if isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", each.description) for field, each in kind.fields.items())
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field, shown in kind.fields.items():
                yield f"{name}.{field}", shown.description
                yield from ((f"{name}.{field}({argument})", each.description) for argument, each in shown.args.items())


def wanting(text: str) -> list[str]:
    """The places whose description is missing, or is no sentence."""
    return [place for place, words in described(text) if not SENTENCE.fullmatch((words or "").strip())]


def test_everything_has_a_description_in_sentences(text: str) -> None:
    assert wanting(text) == []


def test_a_missing_description_is_found() -> None:
    bare = '"A query." type Query { "A field." a("no sentence" b: Int): C } enum C { "One." ONE TWO }'
    assert wanting(bare) == ["Query.a(b)", "C", "C.TWO"]


@pytest.mark.skipif(not FILE.exists(), reason="schema.graphql is not written yet")
def test_the_file_equals_the_code() -> None:
    assert schema_file.check(FILE) == 0


def test_the_schema_is_written_in_a_steady_order(tmp_path: Path, text: str) -> None:
    assert schema_file.write(tmp_path / "schema.graphql") == 0
    assert schema_file.check(tmp_path / "schema.graphql") == 0
    names = re.findall(r"^type (\w+)", text, re.MULTILINE)
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (r"  role: Role!\n", "  duty: Role!\n"),
        (r"(  kycExpiresOn: Date)\n", r"\1!\n"),
        (r"AUDITOR\n", "INSPECTOR\n"),
        (r"input SignInInput \{", "input SignInInput {\n  code: String!"),
    ],
    ids=["a field that is gone", "an input that is needed", "an enum's value that is gone", "a new needed input"],
)
def test_a_breaking_change_is_named(text: str, line: str, instead: str) -> None:
    after = re.sub(line, instead, text)
    assert after != text
    assert schema_file.breaking_changes(text, after) != []
    assert schema_file.breaking_changes(after, after) == []


def test_a_file_that_the_code_has_broken_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "schema.graphql"
    file.write_text(text.replace("type Query {", "type Query {\n  gone: Int", 1))
    assert schema_file.check(file) == 1
    assert "breaks clients: Field Query.gone was removed" in capsys.readouterr().err


def test_a_file_that_is_missing_is_no_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert schema_file.check(tmp_path / "schema.graphql") == 1
    assert "differs" in capsys.readouterr().err
