"""What operations cost before they run: a function of the schema, the document and the variables."""

from typing import Any, Final

import pytest
from graphql import get_introspection_query, parse, validate

from graph.cost import MOST_COST
from graph.graphiql import Operation
from graph.http.schema import Schema
from graph.limits import Limits
from graph.rates import Allowance
from tests.support.calls import counted_calls
from tests.support.costs import SAMPLES, cost_of, known, priced

DEFAULT: Final = 25
ROOT_PAGE: Final = 10  # what a searching list at the root costs beside its rows
CONNECTION: Final = 1
MOST_CALLS: Final = 10**6


def estimate(schema: Schema, query: str, **variables: Any) -> int:
    return priced(schema, query, **variables).estimate


def of_rows(rows: int, each: int = 1) -> int:
    """What a list at the root comes to."""
    return ROOT_PAGE + CONNECTION + rows * each


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        ("{ __typename }", 0),
        ("{ unreadNotificationCount }", 0),
        ("{ viewer { role locale } }", 1),
        ("{ viewer { role user { name email } } }", 2),
        ("{ clients { nodes { id name } } }", of_rows(DEFAULT)),
        ("{ clients(first: 3) { nodes { id } } }", of_rows(3)),
        ("{ clients(last: 7) { nodes { id } } }", of_rows(7)),
        ("{ clients(first: 3) { edges { cursor node { id } } pageInfo { hasNextPage } } }", of_rows(3)),
        ("{ clients(first: 3) { nodes { id } edges { node { id } } } }", of_rows(6)),
        ("{ clients(first: 0) { nodes { id } } }", of_rows(0)),
        ("{ clients(first: 3) { pageInfo { endCursor } } }", of_rows(0)),
    ],
)
def test_scalars_are_free_and_objects_cost_one_each(schema: Schema, query: str, cost: int) -> None:
    assert estimate(schema, query) == cost


def test_pages_multiply(schema: Schema) -> None:
    nested = "{ clients(first: 10) { nodes { orders(first: %s) { nodes { id } } } } }"
    assert estimate(schema, nested % 20) == of_rows(10, each=1 + CONNECTION + 20)
    assert estimate(schema, nested % 40) - estimate(schema, nested % 20) == 10 * 20


def test_aliases_add_up(schema: Schema) -> None:
    one = estimate(schema, "{ clients(first: 10) { nodes { id } } }")
    many = " ".join(f"a{number}: clients(first: 10) {{ nodes {{ id }} }}" for number in range(7))
    assert estimate(schema, f"{{ {many} }}") == 7 * one


def test_a_count_costs_beside_its_page(schema: Schema) -> None:
    page = estimate(schema, "{ clients(first: 5) { nodes { id } } }")
    assert estimate(schema, "{ clients(first: 5) { totalCount nodes { id } } }") == page + 5
    nested = "{ clients(first: 5) { nodes { orders(first: 1) { %s nodes { id } } } } }"
    assert estimate(schema, nested % "totalCount") - estimate(schema, nested % "") == 5 * 5


@pytest.mark.parametrize(
    ("variables", "rows"),
    [
        ({"first": 7}, 7),
        ({"first": 7.0}, 7),
        ({}, 4),
        ({"first": None}, DEFAULT),
        ({"first": 1_000_000}, 200),
        ({"first": -5}, 0),
        ({"first": "many"}, DEFAULT),
    ],
)
def test_page_sizes_come_from_variables(schema: Schema, variables: dict[str, Any], rows: int) -> None:
    query = "query ($first: Int = 4) { clients(first: $first) { nodes { id } } }"
    assert estimate(schema, query, **variables) == of_rows(rows)


@pytest.mark.parametrize(
    ("directive", "variables", "there"),
    [
        ("@skip(if: true)", {}, False),
        ("@skip(if: $flag)", {"flag": True}, False),
        ("@skip(if: $flag)", {"flag": False}, True),
        ("@include(if: $flag)", {"flag": False}, False),
        ("@include(if: $flag)", {"flag": True}, True),
        ("@include(if: $flag)", {}, False),
        ("@include(if: true) @skip(if: true)", {}, False),
    ],
)
@pytest.mark.parametrize("where", ["field", "inline", "spread"])
def test_what_is_left_out_is_free(
    schema: Schema, directive: str, variables: dict[str, Any], *, there: bool, where: str
) -> None:
    selected = {
        "field": f"clients(first: 10) {directive} {{ nodes {{ id }} }}",
        "inline": f"... {directive} {{ clients(first: 10) {{ nodes {{ id }} }} }}",
        "spread": f"...Page {directive}",
    }[where]
    fragment = "fragment Page on Query { clients(first: 10) { nodes { id } } }" if where == "spread" else ""
    query = f"query ($flag: Boolean = false) {{ viewer {{ role }} {selected} }} {fragment}"
    assert estimate(schema, query, **variables) == 1 + (of_rows(10) if there else 0)


def test_what_several_fragments_ask_for_costs_once(schema: Schema) -> None:
    query = """
    query { clients(first: 10) { ...Name ...Book } clients(first: 10) { nodes { portfolios { id } } } }
    fragment Name on ClientConnection { nodes { id name portfolios { name } } }
    fragment Book on ClientConnection { nodes { book { id } portfolios { id status } ... on Node { id } } }
    """
    assert estimate(schema, query) == of_rows(10, each=1 + 3 + 1)


DEAR: Final = "orders(first: 50) { nodes { id } }"
FREE: Final = "orders(first: 0) { nodes { id } }"


@pytest.mark.parametrize("root", ['node(id: "x")', 'nodes(ids: ["x", "y", "z"])'])
@pytest.mark.parametrize(("client", "portfolio"), [(DEAR, FREE), (FREE, DEAR)])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("spread", [False, True])
def test_types_that_share_a_key_cost_what_the_dearest_does(
    schema: Schema, root: str, client: str, portfolio: str, *, turned: bool, spread: bool
) -> None:
    types = [("Client", client), ("Portfolio", portfolio)]
    if turned:
        types.reverse()
    inline = " ".join(f"... on {name} {{ {asked} }}" for name, asked in types)
    fragments = " ".join(f"fragment On{name} on {name} {{ {asked} }}" for name, asked in types)
    spreads = " ".join(f"...On{name}" for name, _ in types)
    query = f"{{ {root} {{ {spreads} }} }} {fragments}" if spread else f"{{ {root} {{ {inline} }} }}"
    assert not validate(schema._schema, parse(query))  # noqa: SLF001 - Strawberry has no public name for it
    objects = 3 if root.startswith("nodes") else 1
    bare = estimate(schema, f"{{ {root} {{ id }} }}")
    assert estimate(schema, query) == bare + objects * (CONNECTION + 50)


@pytest.mark.parametrize("turned", [False, True])
def test_what_stands_beneath_a_shared_key_is_of_its_own_type(schema: Schema, *, turned: bool) -> None:
    # The larger page is not the dearer one, and neither lends the other its rows.
    types = [
        "... on Client { orders(first: 9) { nodes { id } } }",
        "... on Portfolio { orders(first: 8) { nodes { client { id book { id } } } } }",
    ]
    asked = " ".join(reversed(types) if turned else types)
    bare = estimate(schema, '{ node(id: "x") { id } }')
    assert estimate(schema, f'{{ node(id: "x") {{ {asked} }} }}') == bare + CONNECTION + 8 * 3


def test_interfaces_are_asked_of_each_type_besides(schema: Schema) -> None:
    query = """{ node(id: "x") { ... on Node { ... on Client { orders(first: 5) { nodes { id } } } }
        ... on Client { orders(first: 5) { nodes { book: client { id } } } ... on Node { id } }
        ... on Portfolio { orders(first: 7) { nodes { id } } } } }"""
    assert estimate(schema, query) == estimate(schema, '{ node(id: "x") { id } }') + CONNECTION + 5 * 2


@pytest.mark.parametrize("turned", [False, True])
def test_what_came_under_a_shared_key_is_counted_once(schema: Schema, *, turned: bool) -> None:
    types = [
        "... on Client { orders(first: 50) { nodes { id } } list: orders { nodes { id } } }",
        "... on Portfolio { orders(first: 2) { nodes { client { id } } } list: transactions { nodes { id } } }",
    ]
    asked = priced(schema, f'{{ nodes(ids: ["x", "y"]) {{ {" ".join(reversed(types) if turned else types)} }} }}')
    bare = priced(schema, '{ nodes(ids: ["x", "y"]) { id } }').actual({"nodes": [{"id": "x"}, {"id": "y"}]})
    client = {"orders": {"nodes": [{"id": "1"}] * 6}, "list": {"nodes": [{"id": "1"}]}}
    portfolio = {"orders": {"nodes": [{"client": {"id": "c"}}] * 2}, "list": {"nodes": [{"id": "1"}] * 3}}
    came = asked.actual({"nodes": [client, portfolio]})
    assert came == bare + (CONNECTION + 6) + (CONNECTION + 1) + (CONNECTION + 2 * 2) + (CONNECTION + 3)


def test_one_fragment_costs_by_the_page_that_it_stands_in(schema: Schema) -> None:
    query = """
    query { a: clients(first: 10) { ...Rows } b: clients(first: 100) { ...Rows } }
    fragment Rows on ClientConnection { nodes { id book { id } } }
    """
    assert estimate(schema, query) == of_rows(10, each=2) + of_rows(100, each=2)


def test_only_the_operation_that_runs_is_priced(schema: Schema) -> None:
    query = "query Cheap { viewer { role } } query Dear { clients(first: 200) { nodes { id } } }"
    assert priced(schema, query, "Cheap").estimate == 1
    assert priced(schema, query, "Dear").estimate == of_rows(200)


def test_lists_of_ids_cost_by_their_length(schema: Schema) -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert estimate(schema, query, ids=["a"] * 40) - estimate(schema, query, ids=["a"] * 10) == 30
    assert estimate(schema, '{ nodes(ids: ["a", "b"]) { id } }') == estimate(schema, query, ids=["a", "b"])


def test_charts_cost_by_their_points(schema: Schema) -> None:
    query = """query ($id: ID!, $from: Date!, $to: Date, $every: Interval!) {
        node(id: $id) { ... on Portfolio { valueSeries(from: $from, to: $to, interval: $every) { on } } }
    }"""
    year = {"id": "x", "from": "2025-01-01", "to": "2025-12-31"}
    days = estimate(schema, query, every="DAY", **year)
    weeks = estimate(schema, query, every="WEEK", **year)
    assert days - weeks == pytest.approx(0.1 * (365 - 53), abs=2)
    for broken in ("yesterday", 5, None, "9999-99-99"):
        assert estimate(schema, query, every="DAY", **{**year, "from": broken}) > 20


def test_what_is_worked_out_costs_more_than_what_is_read(schema: Schema) -> None:
    read = estimate(schema, '{ node(id: "x") { ... on Portfolio { name client { name } } } }')
    valued = estimate(schema, '{ node(id: "x") { ... on Portfolio { name valuation { asOf } } } }')
    assert valued >= read + 9
    assert estimate(schema, "mutation { signOut(input: {}) { signedOut } }") >= 10


def test_sign_in_and_refresh_are_charged_to_the_address(schema: Schema) -> None:
    sign_in = 'mutation { %s: signIn(input: {email: "a", password: "b"}) { session { accessToken } } }'
    once = priced(schema, sign_in % "a")
    assert once.by_address == once.estimate >= 50
    refresh = 'mutation { refreshSession(input: {refreshToken: "a"}) { session { accessToken } } }'
    assert priced(schema, refresh).by_address > 0
    assert priced(schema, "mutation { signOut(input: {}) { signedOut } }").by_address == 0


def test_introspection_costs_by_what_it_shows(schema: Schema) -> None:
    whole = estimate(schema, get_introspection_query())
    assert 100 < whole < Allowance().cost / 10
    assert whole < Allowance().anonymous_cost / 4, "GraphiQL asks before anybody has signed in, and again at each visit"
    nested = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert estimate(schema, nested) > estimate(schema, "{ __schema { types { fields { name } } } }") * 10


def assert_bounded(schema: Schema, document: str) -> None:
    """That whoever asks too much is told so without its being counted to the end."""
    with counted_calls() as calls:
        assert estimate(schema, document) == MOST_COST
    assert calls.count < MOST_CALLS


def spread(depth: int) -> str:
    """A document of fragments each of which asks twice for the next, under another name each time."""
    fragments = [
        f"fragment F{number} on Client {{ a: household {{ clients {{ nodes {{ ...F{number + 1} }} }} }} "
        f"b: household {{ clients {{ nodes {{ ...F{number + 1} }} }} }} }}"
        for number in range(depth)
    ]
    return f"{{ clients {{ nodes {{ ...F0 }} }} }} {' '.join(fragments)} fragment F{depth} on Client {{ id }}"


def test_fragments_are_visited_once_however_they_multiply(schema: Schema) -> None:
    assert_bounded(schema, spread(60))


def test_mixed_fragments_are_bounded_too(schema: Schema) -> None:
    # No two places ask for the same set of selections, so that nothing can be remembered.
    fragments = [
        f"fragment F{n} on Client {{ a: household {{ clients {{ nodes {{ ...F{n + 1} }} }} }} "
        f"b: household {{ clients {{ nodes {{ ...F{n + 1} ...F{n + 2} }} }} }} }}"
        for n in range(40)
    ]
    ends = "fragment F40 on Client { id } fragment F41 on Client { name }"
    assert_bounded(schema, f"{{ clients {{ nodes {{ ...F0 }} }} }} {' '.join(fragments)} {ends}")


def test_types_that_share_keys_are_bounded_too(schema: Schema) -> None:
    fragments = [
        f"fragment F{n} on Query {{ node(id: 1) {{ ... on Client {{ orders(first: 9) {{ nodes {{ ...G{n} }} }} }} "
        f"... on Portfolio {{ orders(first: 8) {{ nodes {{ ...G{n} ...G{n + 1} }} }} }} }} }} "
        f"fragment G{n} on Order {{ client {{ household {{ clients {{ nodes {{ ... on Node {{ "
        f"... on Client {{ orders(first: 9) {{ nodes {{ ...G{n + 1} }} }} }} "
        f"... on Portfolio {{ orders(first: 8) {{ nodes {{ ...G{n + 1} ...G{n + 2} }} }} }} }} }} }} }} }} }}"
        for n in range(20)
    ]
    ends = "fragment G20 on Order { id } fragment G21 on Order { id }"
    assert_bounded(schema, f"{{ ...F0 }} {' '.join(fragments)} {ends}")


def test_circular_fragments_end(schema: Schema) -> None:
    query = "{ viewer { user { ...A } } } fragment A on User { unit { id } ...B } fragment B on User { name ...A }"
    assert estimate(schema, query) >= 2


def test_numbers_stay_small_however_deep(schema: Schema) -> None:
    query = "{ clients(first: 200) { nodes { %s } } }"
    for _ in range(12):
        query %= "household { clients(first: 200) { nodes { %s } } }"
    assert estimate(schema, query % "id") == MOST_COST


def test_what_came_is_counted_by_its_lengths(schema: Schema) -> None:
    query = """{
        clients(first: 50) { totalCount edges { node { id book { id } orders { nodes { id } } } } }
        viewer { role }
    }"""
    asked = priced(schema, query)
    clients = [
        {"node": {"id": "1", "book": {"id": "b"}, "orders": {"nodes": [{"id": "o"}] * 4}}},
        {"node": {"id": "2", "book": None, "orders": {"nodes": []}}},
    ]
    came = {"clients": {"totalCount": 2, "edges": clients}, "viewer": {"role": "ADMIN"}}
    #      list + count + clients + book + order lists + orders + viewer
    assert asked.actual(came) == of_rows(2) + 5 + 1 + 2 * CONNECTION + 4 + 1
    assert asked.actual({"clients": {"totalCount": 0, "edges": []}, "viewer": None}) == of_rows(0) + 5
    assert asked.actual(None) == 0


def test_each_list_says_how_long_it_is_expected_to_be(schema: Schema) -> None:
    unsaid = [
        f"{name}.{field}"
        for name in schema._schema.type_map  # noqa: SLF001 - Strawberry has no public name for it
        for field in schema.weights.unsaid(name)
        if not name.startswith("__")
    ]
    assert unsaid == [], "say it by `size=` beside the field"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda each: each.name)
def test_a_sample_costs_what_it_did(schema: Schema, sample: Operation) -> None:
    assert cost_of(schema, sample) == known().get(sample.name), "if this is meant: python -m tests.support.costs"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda each: each.name)
def test_a_sample_is_affordable(schema: Schema, sample: Operation) -> None:
    cost = cost_of(schema, sample)
    assert cost < Allowance().cost / 2
    assert cost <= Limits().cost
    assert cost > 0


def test_the_table_of_costs_names_the_samples_alone() -> None:
    assert sorted(known()) == sorted(sample.name for sample in SAMPLES)
