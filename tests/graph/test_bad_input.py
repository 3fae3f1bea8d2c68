import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final
from uuid import UUID

import pytest
from graphql import GraphQLEnumType

from domain.access import Role
from graph.ids import encode, id_of
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
# Text that PostgreSQL or UTF-8 cannot hold: never a matter of rules.
UNSTORABLE: Final = ["\x00", "a\x00b", "\ud800", "a\udfffb"]
# Each of these letters is several when it is folded, and no two are alike, so that an index cannot compress them.
SWELLING: Final = "".join(map(chr, range(0x3300, 0x33C8)))

NASTY: Final[dict[str, list[Any]]] = {
    "String": [
        *UNSTORABLE,
        "",
        " ",
        "' or 1=1 --",
        "\\",
        "%_",
        "\u202e\u200b",
        "😀" * 200,
        SWELLING,
        "ﷺ" * 200,
        "x" * 100_000,
        {},
    ],
    "ID": ["", "x", "\x00", "\ud800", "client_", "' or 1=1 --", "x" * 100_000, "nobody_" + "0" * 32, 1.5],
    "Int": [0, -1, 2**31 - 1, -(2**31), 2**31, 2**63, 10**400, 1.5, 1e300, "1", True, {}],
    "Float": [0, -1, 1e308, "1", {}],
    "Decimal": [
        *(
            "NaN",
            "sNaN",
            "Infinity",
            "-Infinity",
            "1e999999",
            "1E5",
            "0x1",
            "",
            " ",
            "1,5",
            "１",
            "٣",
            "\x00",
            "\ud800",
        ),
        *("9" * 20, "9" * 40, "-1", "-0", "0", "0." + "0" * 19 + "1", "99999999999999999999.99999999999999999999"),
        *("1" * 100_000, 1, 1.5, 10**400, True, {}),
    ],
    "Date": [
        *("0001-01-01", "9999-12-31", "2026-02-30", "2025-02-29", "0000-01-01", "10000-01-01", "2026-1-1", "20260101"),
        *(
            "2026-W01-1",
            "2026-01-01T00:00:00Z",
            "-001-01-01",
            "٢٠٢٦-٠١-٠١",
            "",
            "x" * 100_000,
            "\x00",
            "\ud800",
            5,
            True,
            {},
        ),
    ],
    "Boolean": ["true", 0, "\x00", {}],
}
CODES: Final = {"VALIDATION_ERROR", "NOT_FOUND", "UNAUTHENTICATED"}


def nasty(leaf: Leaf) -> list[Any]:
    """What could be wrong with the values of a type."""
    if isinstance(leaf.kind, GraphQLEnumType):
        return ["", "NOBODY", next(iter(leaf.kind.values)).lower(), "\x00", "\ud800", 5, True, {}]
    if leaf.prefix == "client":
        return [*NASTY["ID"], encode_of("book"), "client_" + "0" * 32]
    return [*NASTY[leaf.kind.name], encode_of("client")] if leaf.prefix else NASTY[leaf.kind.name]


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
            assert all(detail["field"] for detail in error["extensions"]["details"]), (place, str(value)[:60], answer)
            assert error["extensions"]["details"], (place, str(value)[:60], answer)
    if isinstance(value, str) and any(mark in value for mark in ("\x00", "\ud800", "\udfff")):
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
    # A session of its own, for signing out ends it.
    admin = await stage.make.session(admin.user)
    story = Story(stage.make, stage.gql.as_(admin), admin)
    full = INPUTS.of(INPUTS.kind_of(mutation), full=True)
    given = None
    for value in nasty(leaf):
        if given is None:
            given = await story.scene(mutation)()
        answer = await asked(stage, admin, document(mutation), input=placed(given, full, leaf.path, value))
        checked(answer, value, f"{mutation} {leaf}")
        payload = (answer.get("data") or {}).get(mutation)
        if payload and not payload["userErrors"]:
            # It was done, so that the next value needs a new scene; signing out, a new session too.
            given = None
            if mutation == "signOut":
                admin = await stage.make.session(admin.user)


@pytest.mark.parametrize("listing", LISTS, ids=repr)
async def test_no_filter_of_a_list_is_an_internal_error(stage: Stage, admin: SignedIn, listing: Listing) -> None:
    assert listing.filter
    parent = await parents(stage, listing)
    for leaf in INPUTS.leaves(listing.filter):
        for value in nasty(leaf):
            wanted = placed({}, INPUTS.of(listing.filter, full=True), leaf.path, value)
            checked(await asked(stage, admin, listing.document, filter=wanted, first=2, **parent), value, f"{leaf}")


async def parents(stage: Stage, listing: Listing) -> dict[str, str]:
    """The id of something that the list lies beneath."""
    if not listing.nested:
        return {}
    client = await stage.make.client(await stage.make.book())
    portfolio = await stage.make.portfolio(client)
    return {"id": {"Portfolio": id_of(portfolio), "Household": encode_of("household")}[listing.parent]}


@pytest.mark.parametrize("listing", LISTS, ids=repr)
async def test_no_argument_of_a_list_is_an_internal_error(stage: Stage, admin: SignedIn, listing: Listing) -> None:
    parent = await parents(stage, listing)
    for name, kind in (("first", "Int"), ("last", "Int"), ("after", "String"), ("before", "String")):
        for value in NASTY[kind]:
            answer = await asked(stage, admin, listing.document, **{name: value}, **parent)
            checked(answer, value, name)
    orders: list[Any] = [{}, {"field": "NOBODY"}, {"field": "\x00"}, {"direction": "ASC"}, 5, "x", []]
    for order in orders:
        checked(await asked(stage, admin, listing.document, orderBy=order, **parent), order, "orderBy")
