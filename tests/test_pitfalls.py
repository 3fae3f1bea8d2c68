"""What is known to go wrong with this stack (HTTP, limits, errors, sockets, schema), and the tests that hold each."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
)

from graph.settings import ROOT
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.inputs import printed

SECURITY: Final = ROOT / "SECURITY.md"
# The lines that PITFALLS.md has on the surface, by what each says in short.
PITFALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "1 bodies that are no request": (
        "tests/http/test_requests.py::test_a_body_that_is_no_request_is_answered_400",
        "tests/http/test_errors.py::test_deep_variables_are_no_bug",
        "tests/probes/test_bodies.py::test_garbled_bodies",
    ),
    "2 media types and status": (
        "tests/http/test_responses.py::test_the_media_type_is_the_one_preferred",
        "tests/http/test_responses.py::test_the_status_says_whether_the_operation_ran",
        "tests/clients/test_conformance.py::test_every_audit_of_graphql_http_passes",
    ),
    "3 several operations without a name": (
        "tests/http/test_requests.py::test_nothing_runs_if_it_is_not_clear_what",
        "tests/http/test_websocket.py::test_a_bad_operation_ends_alone",
        "tests/http/test_sse.py::test_an_operation_that_cannot_run_is_told_in_the_stream",
    ),
    "4 subscriptions by plain POST": ("tests/http/test_requests.py::test_subscriptions_without_a_stream_are_refused",),
    "5 content types by substring, 405 without Allow": (
        "tests/http/test_requests.py::test_another_content_type_is_answered_415",
        "tests/http/test_requests.py::test_another_method_is_answered_405",
    ),
    "6 bodies without a limit": (
        "tests/http/test_requests.py::test_a_large_body_is_answered_413",
        "tests/http/test_requests.py::test_a_body_of_just_the_limit_is_taken",
        "tests/probes/test_bodies.py::test_a_large_body_in_chunks",
    ),
    "7 refusals in plain text": (
        "tests/http/test_requests.py::test_the_key_at_fault_is_named",
        "tests/http/test_site.py::test_an_operation_from_another_site_is_answered_403",
    ),
    "8 introspection that is off": (
        "tests/http/test_limits.py::test_the_schema_is_for_those_who_signed_in",
        "tests/http/test_limits.py::test_the_anonymous_may_ask_for_one_type",
        "tests/http/test_disclosure.py::test_what_one_type_is_stays_legal_when_the_schema_is_off",
    ),
    "9 missing headers": (
        "tests/http/test_requests.py::test_every_answer_is_guarded",
        "tests/http/test_safety.py::test_every_answer_is_safe",
    ),
    "10 limiters that are a denial of service": (
        "tests/http/test_limits.py::test_each_definition_is_walked_once",
        "tests/http/test_limits.py::test_the_doubling_document_is_refused",
        "tests/probes/test_documents.py::test_fragments_that_double",
    ),
    "11 wide pages under the alias limit": (
        "tests/graph/test_cost.py::test_pages_multiply",
        "tests/graph/test_rates.py::test_what_costs_too_much_is_refused_before_it_runs",
    ),
    "12 long lists of mistakes": (
        "tests/http/test_errors.py::test_a_handful_of_mistakes_is_enough",
        "tests/http/test_errors.py::test_what_is_told_of_a_mistake_is_short",
        "tests/probes/test_documents.py::test_mistakes",
    ),
    "13 errors without a code, texts that leak": (
        "tests/http/test_errors.py::test_bad_input_is_a_validation_error_at_its_place",
        "tests/http/test_errors.py::test_unexpected_errors_are_masked_and_logged_once",
        "tests/http/test_disclosure.py::test_a_bug_says_nothing_in_production",
        "tests/graph/test_bad_input.py::test_no_input_of_a_mutation_is_an_internal_error",
    ),
    "14 texts, cursors and ids at the edge": (
        "tests/http/test_errors.py::test_text_that_cannot_be_stored_is_refused",
        "tests/http/test_errors.py::test_literals_that_cannot_be_stored_are_refused",
        "tests/graph/test_nodes.py::test_what_is_no_id_is_said_to_be_none",
        "tests/graph/test_paging.py::test_what_is_no_cursor_is_said_to_be_none",
    ),
    "15 expected errors in the log": (
        "tests/http/test_errors.py::test_expected_errors_keep_their_code_and_are_not_logged",
    ),
    "16 frames that are no message": (
        "tests/http/test_websocket.py::test_a_frame_that_is_no_message_closes_with_4400",
        "tests/probes/test_sockets.py::test_garbage",
    ),
    "17 ids, variables, null payloads, pings": (
        "tests/http/test_websocket.py::test_a_frame_that_is_no_message_closes_with_4400",
        "tests/http/test_websocket.py::test_the_anonymous_may_open_a_socket",
        "tests/http/test_websocket.py::test_pings_are_answered_with_their_payload",
    ),
    "18 one bad operation closes all": ("tests/http/test_websocket.py::test_a_bad_operation_ends_alone",),
    "19 4401 and 4403": (
        "tests/http/test_websocket.py::test_bad_credentials_close_with_4401",
        "tests/http/test_websocket.py::test_the_end_of_the_session_closes_with_4403",
    ),
    "20 defaults of sockets": (
        "tests/http/test_websocket.py::test_no_init_closes_with_4408",
        "tests/http/test_websocket.py::test_other_protocols_are_refused",
        "tests/http/test_websocket.py::test_a_long_message_closes_with_1009",
    ),
    "21 one context for a whole socket": (
        "tests/http/test_websocket.py::test_each_operation_and_each_event_has_a_context_of_its_own",
        "tests/http/test_sse.py::test_each_event_has_a_context_of_its_own",
    ),
    "22 streams without a hook, an id or an end": (
        "tests/http/test_sse.py::test_the_end_of_the_session_is_told_before_the_stream_completes",
        "tests/test_pitfalls.py::test_every_event_carries_its_cursor",
    ),
    "23 what linters want of a schema": (
        "tests/clients/test_conformance.py::test_the_schema_is_as_the_linters_want_it",
    ),
    "24 what clients make of the types": (
        "tests/test_pitfalls.py::test_lists_are_as_relay_clients_want_them",
        "tests/test_examples.py::test_the_documents_of_the_examples_fit_the_schema",
        "tests/clients/test_conformance.py::test_the_client_finds_what_its_users_rely_on",
    ),
    "25 inputs as keys, enums without words, base64 ids": (
        "tests/graph/test_paging.py::test_nested_pages_of_all_parents_are_one_statement",
        "tests/test_schema_file.py::test_everything_has_a_description_in_sentences",
        "tests/graph/test_nodes.py::test_ids_read_as_they_are_written",
    ),
    "26 mutations that blank each other": (
        "tests/test_pitfalls.py::test_a_mutation_takes_one_input_and_blanks_no_other",
        "tests/test_pitfalls.py::test_a_refused_mutation_leaves_its_sibling",
    ),
}
NAMED: Final = re.compile(r"tests/[\w/]+(?:\.py)?(?:::\w+)?")


@cache
def defined_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def missing(named: Iterator[str]) -> list[str]:
    """Those of the named files, folders and tests that there are not."""

    def there(name: str) -> bool:
        path, _, test = name.partition("::")
        return (ROOT / path).exists() and (not test or test in defined_in(ROOT / path))

    return [name for name in named if not there(name)]


def test_each_pitfall_has_its_tests() -> None:
    assert [int(name.split()[0]) for name in PITFALLS] == [*range(1, 27)]
    assert missing(name for names in PITFALLS.values() for name in names) == []


def test_a_test_that_is_gone_is_found() -> None:
    assert missing(iter(["tests/test_pitfalls.py::test_nothing", "tests/nothing.py", "tests/test_pitfalls.py"])) == [
        "tests/test_pitfalls.py::test_nothing",
        "tests/nothing.py",
    ]


def test_what_the_policy_says_of_tests_is_so() -> None:
    named = NAMED.findall(SECURITY.read_text("utf-8"))
    assert len(named) > 30
    assert missing(iter(named)) == []


@pytest.fixture
def shown() -> GraphQLSchema:
    return printed()


def test_every_event_carries_its_cursor(shown: GraphQLSchema) -> None:
    assert shown.subscription_type
    for name, field in shown.subscription_type.fields.items():
        kind = get_named_type(field.type)
        for event in kind.types if isinstance(kind, GraphQLUnionType) else (kind,):
            assert isinstance(event, GraphQLObjectType)
            assert str(event.fields["cursor"].type) == "String!", name
        assert str(field.args["after"].type) == "String", name


def test_lists_are_as_relay_clients_want_them(shown: GraphQLSchema) -> None:
    info = shown.type_map["PageInfo"]
    assert isinstance(info, GraphQLObjectType)
    assert {name: str(field.type) for name, field in info.fields.items()} == {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    }
    node = shown.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    assert {name: str(field.type) for name, field in node.fields.items()} == {"id": "ID!"}
    connections = [kind for name, kind in shown.type_map.items() if name.endswith("Connection")]
    assert len(connections) > 5
    for kind in connections:
        assert isinstance(kind, GraphQLObjectType)
        row = kind.name.removesuffix("Connection")
        assert str(kind.fields["pageInfo"].type) == "PageInfo!"
        assert str(kind.fields["edges"].type) == f"[{row}Edge!]!"
        edge: Any = shown.type_map[f"{row}Edge"]
        assert str(edge.fields["cursor"].type) == "String!"
        assert str(edge.fields["node"].type) == f"{row}!"


def test_a_mutation_takes_one_input_and_blanks_no_other(shown: GraphQLSchema) -> None:
    assert shown.mutation_type
    for name, field in shown.mutation_type.fields.items():
        assert not isinstance(field.type, GraphQLNonNull), name
        assert list(field.args) == ["input"], name
        given = field.args["input"].type
        assert isinstance(given, GraphQLNonNull), name
        assert isinstance(given.of_type, GraphQLInputObjectType), name
        payload = get_named_type(field.type)
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["userErrors"].type) == "[UserError!]!", name


async def test_a_refused_mutation_leaves_its_sibling(gql: Gql, make: Make) -> None:
    advisor = await make.advisor()
    document = """mutation {
        denied: setMarketDay(input: {exchange: "XNSE", day: "2026-01-26", note: "x"}) { userErrors { code } }
        done: markAllNotificationsRead(input: {}) { userErrors { code } }
    }"""
    answer = await gql.as_(advisor).ask(document)
    assert answer["data"] == {"denied": None, "done": {"userErrors": []}}
    assert answer.codes == ["FORBIDDEN"]
