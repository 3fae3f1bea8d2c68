"""A body in which there is nothing to look into is taken at once, for what it would be taken for otherwise."""

import json
from typing import Any

import msgspec
import pytest
from graphql import parse
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import ErrorCode, Fault
from graph.execution import digest_of
from graph.http.persisted import Persisted
from graph.http.request import Operation
from graph.http.values import decode_json
from tests.http.schema import make_schema

HELLO = "query Hello { hello }"
TWO = "query One { hello } query Two { hello }"


@pytest.fixture(scope="module")
def persisted() -> Persisted:
    schema = make_schema()
    for text in (HELLO, TWO):
        schema.documents.keep(text, schema.documents.document(parse(text)))
    return Persisted(schema.documents, {}, trusted_only=False)


TEXTS = st.sampled_from([HELLO, TWO, "{ unknown }", "", "One", "Two", "Hello", "\0", "\ud800", "é", "\x7f"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMED = st.fixed_dictionaries(
    {"version": st.sampled_from([1, 2]), "sha256Hash": st.sampled_from([digest_of(HELLO), "x"])}
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "query": TEXTS | VALUES,
        "variables": st.dictionaries(TEXTS, VALUES, max_size=3) | VALUES,
        "operationName": TEXTS | VALUES,
        "extensions": st.dictionaries(st.sampled_from(["a", "persistedQuery"]), NAMED | VALUES, max_size=2) | VALUES,
        "documentId": TEXTS | VALUES,
        "other": VALUES,
    },
)


def taken(body: bytes, persisted: Persisted) -> Operation | ErrorCode:
    """What comes of a body that is looked into."""
    try:
        operation = Operation.of(decode_json(body), persisted)
        operation.check()
    except Fault as fault:
        return fault.code
    return operation


def same(one: Operation, other: Any) -> bool:
    assert isinstance(other, Operation), other
    fields = [(getattr(one, name), getattr(other, name)) for name in Operation.__struct_fields__]
    return all(ours == theirs and type(ours) is type(theirs) for ours, theirs in fields)


@given(body=BODIES | VALUES, ascii_only=st.booleans())
@example(body={"query": HELLO, "other": "\ud800"}, ascii_only=False)
@example(body={"query": HELLO, "other": 10**400}, ascii_only=True)
def test_what_is_taken_at_once_is_what_would_be_taken(persisted: Persisted, body: Any, *, ascii_only: bool) -> None:
    sent = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    plain = Operation.plain(sent, persisted)
    assert plain is None or same(plain, taken(sent, persisted))


@pytest.mark.parametrize(
    "body",
    [
        {"query": HELLO},
        {"query": HELLO, "variables": None, "extensions": None, "documentId": None},
        {"query": HELLO, "variables": {"a": {"b": [1, 2.5, "é", None]}}, "operationName": "Hello"},
        {"query": TWO, "operationName": "Two", "extensions": {"clientLibrary": {"name": "a"}}},
        {"query": HELLO, "operationName": ""},
    ],
)
def test_what_most_send_is_taken_at_once(persisted: Persisted, body: dict[str, Any]) -> None:
    sent = msgspec.json.encode(body)
    plain = Operation.plain(sent, persisted)
    assert plain is not None
    assert same(plain, taken(sent, persisted))


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "query Hello { hello }", "variables": {"a": "\\u0000"}}',
        b'{"query": "query Hello { hello }", "variables": {"a": 1e999}}',
        b'{"query": "query Hello { hello }", "variables": []}',
        b'{"query": "query Hello { hello }", "documentId": "x"}',
        b'{"query": "query Hello { hello }", "extensions": {"persistedQuery": {}}}',
        b'{"query": "query Hello { hello }", "operationName": "Other"}',
        b'{"query": "{ unknown }"}',
        b'{"query": "query Hello { hello }", "other": 1}',
        b'{"query": "query Hello { hello }", "other": "\xff"}',
        b'{"query": "query Hello { hello }", "other": 1e999}',
        b'{"query": "query Hello { hello }", "\xff": 1}',
        b"[]",
        b"",
    ],
)
def test_all_else_is_looked_into(persisted: Persisted, body: bytes) -> None:
    assert Operation.plain(body, persisted) is None


def test_where_trusted_documents_alone_are_taken_all_is_looked_into(persisted: Persisted) -> None:
    trusting = Persisted(persisted.documents, {}, trusted_only=True)
    assert Operation.plain(msgspec.json.encode({"query": HELLO}), trusting) is None
