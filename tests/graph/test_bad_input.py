import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from typing import Any, Final
from uuid import UUID

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from domain.access import Role
from graph.ids import encode, id_of
from tests.factories import ledger, people, talks, trading
from tests.factories.firm import SignedIn
from tests.support.gql import Answer
from tests.support.inputs import Inputs, Leaf, Path, document
from tests.support.lists import Listing, listings
from tests.support.stage import Stage
from tests.support.story import Story


def encode_of(prefix: str) -> str:
    """An id of a type, of nothing."""
    return encode(prefix, UUID(int=0))


INPUTS: Final = Inputs(encode_of)
LISTS: Final = [listing for listing in listings(INPUTS.schema) if listing.filter]
# Each of these letters is several when it is folded, and no two are alike, so that an index cannot compress them.
SWELLING: Final = "".join(map(chr, range(0x3300, 0x33C8)))

NASTY: Final[dict[str, list[Any]]] = {
    "String": [
        "a\x00b",
        "\ud800",
        "",
        "' or 1=1 --",
        "\\%_\u202e\u200b",
        "😀" * 200,
        SWELLING,
        "ﷺ" * 200,
        "x" * 100_000,
    ],
    "ID": ["", "\x00", "\ud800", "client_", "' or 1=1 --", "x" * 100_000, 1.5],
    "Int": [0, -1, 2**31 - 1, -(2**31), 2**31, 10**400, 1.5, 1e300, "1", True],
    "Float": [0, -1, 1e308, "1"],
    "Decimal": [
        *("NaN", "sNaN", "-Infinity", "1e999999", "0x1", "", "1,5", "１", "\x00", "9" * 20, "9" * 40, "-1", "-0", "0"),
        *("0." + "0" * 19 + "1", "99999999999999999999.99999999999999999999", "1" * 100_000, 1, 1.5, {}),
    ],
    "Date": [
        *("0001-01-01", "9999-12-31", "2026-02-30", "0000-01-01", "10000-01-01", "2026-1-1", "2026-W01-1"),
        *("2026-01-01T00:00:00Z", "٢٠٢٦-٠١-٠١", "", "\x00", "\ud800", 5, {}),
    ],
    "DateTime": [
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        *("2026-01-05", "2026-01-05T04:00:00", "2026-01-05T25:00Z", "2026-01-05T04:00:00+99:00", "", "\x00"),
        *("\ud800", 5, {}),
    ],
    "Boolean": ["true", 0, {}],
    "JSON": ["", [], 5, 1e308, {"a": [[]] * 20_000}, {"": ""}, {"a": 10**30}, {"a": {"b": "\x00"}}, {"\ud800": 1}],
}
CODES: Final = {"VALIDATION_ERROR", "NOT_FOUND", "UNAUTHENTICATED"}


def nasty(leaf: Leaf) -> list[Any]:
    """What could be wrong with the values of a type."""
    if isinstance(leaf.kind, GraphQLEnumType):
        return ["NOBODY", next(iter(leaf.kind.values)).lower(), "\x00", 5, {}, None]
    if leaf.prefix:
        return [*NASTY["ID"], encode_of("client"), encode_of("book"), None]
    return [*NASTY[leaf.kind.name], None]


def placed(given: dict[str, Any], full: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The input with a value at a place; what the place lies in comes from a full input where it is missing."""
    changed = deepcopy(given)
    changed.setdefault(str(path[0]), deepcopy(full[str(path[0])]))
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


async def asked(stage: Stage, admin: SignedIn, query: str, **variables: Any) -> Answer:
    """The answer to variables that hold anything that JSON can say, half surrogates too."""
    response = await stage.gql.client.post(
        "/graphql",
        content=json.dumps({"query": query, "variables": variables}, ensure_ascii=True),
        headers={"authorization": f"Bearer {admin.token}", "content-type": "application/json"},
    )
    return Answer(response.json())


@pytest.fixture(scope="module")
async def admin(stage: Stage) -> SignedIn:
    return await stage.make.user(Role.ADMIN, await stage.make.team())


def checked(answer: Answer, value: Any, place: str) -> None:
    """An answer says what is wrong, and where."""
    assert set(answer.codes) <= CODES, (place, value, answer)
    for error in answer.get("errors", []):
        assert len(error["message"]) < 1000
        if error["extensions"]["code"] == "VALIDATION_ERROR":
            details = error["extensions"]["details"]
            assert details, (place, str(value)[:60], answer)
            assert all(detail["field"] for detail in details), (place, str(value)[:60], answer)
    if isinstance(value, str) and any(mark in value for mark in ("\x00", "\ud800")):
        assert answer.codes == ["VALIDATION_ERROR"], (place, value)


def leaves() -> Iterator[Any]:
    """Every place of every mutation's input."""
    for mutation in INPUTS.mutations:
        for leaf in INPUTS.leaves(INPUTS.kind_of(mutation)):
            yield pytest.param(mutation, leaf, id=f"{mutation} {leaf}")


@pytest.mark.parametrize(("mutation", "leaf"), [*leaves()])
async def test_no_input_of_a_mutation_is_an_internal_error(
    stage: Stage, admin: SignedIn, mutation: str, leaf: Leaf
) -> None:
    story = Story(stage.make, stage.gql.as_(admin), admin)
    full = INPUTS.of(INPUTS.kind_of(mutation), full=True)
    given = None
    for value in nasty(leaf):
        if given is None:
            given = await story.scene(mutation)()
        answer = await asked(stage, story.admin, document(mutation), input=placed(given, full, leaf.path, value))
        checked(answer, value, f"{mutation} {leaf}")
        payload = (answer.get("data") or {}).get(mutation)
        if payload and not payload["userErrors"]:
            # It was done, so that the next value needs a new scene.
            given = None


@pytest.mark.parametrize("listing", LISTS, ids=repr)
async def test_no_filter_of_a_list_is_an_internal_error(
    stage: Stage, admin: SignedIn, known: dict[str, str], listing: Listing
) -> None:
    assert listing.filter
    parent = {"id": known[listing.parent]} if listing.nested else {}
    for leaf in INPUTS.leaves(listing.filter):
        for value in nasty(leaf):
            wanted = placed({}, INPUTS.of(listing.filter, full=True), leaf.path, value)
            checked(await asked(stage, admin, listing.document, filter=wanted, first=2, **parent), value, f"{leaf}")


@pytest.fixture(scope="module")
async def known(stage: Stage, admin: SignedIn) -> dict[str, str]:
    """An object of each type that has fields with arguments, by the type's name."""
    make = stage.make
    book = await make.book()
    household = await people.household(make, book)
    client = await make.client(book, household_id=household.id)
    portfolio = await make.portfolio(client)
    instrument = await make.instrument("INFY")
    await make.price(instrument, date(2025, 1, 6), "100")
    await ledger.position(make, portfolio, instrument)
    await ledger.deposit(make, portfolio, admin.user)
    rows = {
        "Book": book,
        "Client": client,
        "Conversation": await talks.conversation(make, admin.user),
        "Household": household,
        "Instrument": instrument,
        "Order": await trading.order(make, portfolio, instrument, admin.user),
        "Portfolio": portfolio,
        "User": admin.user,
    }
    return {name: id_of(row) for name, row in rows.items()}


# Where the fields of a type are found, if not beneath a node.
PLACES: Final = {"Query": "{}", "Market": 'market(exchange: "XNSE") {{ {} }}'}


def arguments() -> Iterator[Any]:
    """Every argument of every field of the schema, but for those of lists and mutations."""
    for name, kind in INPUTS.schema.type_map.items():
        if not isinstance(kind, GraphQLObjectType) or name.startswith(("__", "Mutation", "Subscription")):
            continue
        for field, shown in kind.fields.items():
            plain = {name for name, each in shown.args.items() if is_leaf_type(get_named_type(each.type))}
            for argument in sorted(plain) if "first" not in shown.args else ():
                yield pytest.param(name, field, argument, id=f"{name}.{field}({argument})")


@pytest.mark.parametrize(("parent", "field", "argument"), [*arguments()])
async def test_no_argument_of_a_field_is_an_internal_error(
    stage: Stage, admin: SignedIn, known: dict[str, str], parent: str, field: str, argument: str
) -> None:
    kind = INPUTS.schema.type_map[parent]
    assert isinstance(kind, GraphQLObjectType)
    shown = kind.fields[field]
    others = [
        f'{name}: "2025-01-06"' for name, each in shown.args.items() if is_required_argument(each) and name != argument
    ]
    below = "" if is_leaf_type(get_named_type(shown.type)) else " { __typename }"
    asked_for = f"{field}({', '.join([f'{argument}: $value', *others])}){below}"
    text = PLACES.get(parent, f"node(id: $id) {{{{ ... on {parent} {{{{ {{}} }}}} }}}}").format(asked_for)
    of_parent = {} if parent in PLACES else {"id": known[parent]}
    head = f"$value: {shown.args[argument].type}" + (", $id: ID!" if of_parent else "")
    inner = get_named_type(shown.args[argument].type)
    assert isinstance(inner, GraphQLScalarType | GraphQLEnumType)
    for value in nasty(Leaf((argument,), inner)):
        wanted = [value] if "[" in str(shown.args[argument].type) else value
        answer = await asked(stage, admin, f"query ({head}) {{ {text} }}", value=wanted, **of_parent)
        checked(answer, value, f"{parent}.{field}({argument})")


PREVIEW: Final = INPUTS.schema.type_map["PreviewOrderInput"]


@pytest.mark.parametrize("leaf", [*INPUTS.leaves(PREVIEW)], ids=repr)  # type: ignore[arg-type] # an input type by its name
async def test_no_place_of_a_preview_is_an_internal_error(
    stage: Stage, admin: SignedIn, known: dict[str, str], leaf: Leaf
) -> None:
    query = "query ($input: PreviewOrderInput!) { previewOrder(input: $input) { accepted checks { error { code } } } }"
    given = {
        "portfolioId": known["Portfolio"],
        "instrumentId": known["Instrument"],
        "side": "BUY",
        "kind": "LIMIT",
        "quantity": "1",
        "limitPrice": "100",
    }
    assert (await asked(stage, admin, query, input=given)).codes == []
    for value in nasty(leaf):
        checked(await asked(stage, admin, query, input=given | {leaf.field: value}), value, f"preview {leaf}")


@pytest.mark.parametrize("listing", LISTS, ids=repr)
async def test_no_argument_of_a_list_is_an_internal_error(
    stage: Stage, admin: SignedIn, known: dict[str, str], listing: Listing
) -> None:
    parent = {"id": known[listing.parent]} if listing.nested else {}
    for name, kind in (("first", "Int"), ("last", "Int"), ("after", "String"), ("before", "String")):
        for value in NASTY[kind]:
            answer = await asked(stage, admin, listing.document, **{name: value}, **parent)
            checked(answer, value, name)
    orders: list[Any] = [{}, {"field": "NOBODY"}, {"field": "\x00"}, {"direction": "ASC"}, 5, "x", []]
    for order in orders:
        checked(await asked(stage, admin, listing.document, orderBy=order, **parent), order, "orderBy")
