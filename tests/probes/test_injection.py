"""Texts that mean something to somebody else, in every place that takes a text: they stay texts."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument

from domain.access import Role
from graph.ids import encode, id_of
from tests.factories.firm import SignedIn
from tests.probes.test_documents import sized
from tests.support.inputs import Inputs, document, replaced
from tests.support.payloads import PAYLOADS, storable
from tests.support.probing import MOST_GROWTH, PATIENCE, Target, clean

INPUTS: Final = Inputs(lambda prefix: encode(prefix, UUID(int=1)))
SAMPLE: Final = 1
AT_ONCE: Final = 8
# Megabytes of the passwords that are hashed at once.
HASHING: Final = 2 * 64
# Whatever a text says, it is a text: nothing breaks, and nothing is found that was not there.
CODES: Final = {"VALIDATION_ERROR", "NOT_FOUND", "UNAUTHENTICATED", "FORBIDDEN", "RATE_LIMITED"}
LOCK: Final = asyncio.Lock()
TAKING_TEXT: Final = {"String", "ID"}


class Place(msgspec.Struct, frozen=True):
    """A place that takes a text: a query with the variables around it."""

    name: str
    query: str
    variables: dict[str, Any]
    path: tuple[str | int, ...]

    def body(self, text: str) -> bytes:
        """The request that puts a text there; half surrogates too, which JSON can say."""
        variables = replaced(self.variables, self.path, text)
        return json.dumps({"query": self.query, "variables": variables}, ensure_ascii=True).encode()

    def about(self, objects: dict[str, str]) -> "Place":
        """The same of an object that there is, where there is one of the type."""
        name = self.variables.get("id")
        if name not in objects:
            return self
        return msgspec.structs.replace(self, variables={**self.variables, "id": objects[name]})


def inputs() -> Iterator[Place]:
    """Every place of every mutation's input, the ids' and the enums' too."""
    for mutation in INPUTS.mutations:
        kind = INPUTS.kind_of(mutation)
        full = {"input": INPUTS.of(kind, full=True)}
        for leaf in INPUTS.leaves(kind):
            yield Place(f"{mutation} {leaf}", document(mutation), full, ("input", *leaf.path))


def arguments() -> Iterator[Place]:
    """Every argument that takes a text, or an input that holds some, of every field at the root of a query."""
    assert INPUTS.schema.query_type
    for name, field in INPUTS.schema.query_type.fields.items():
        below = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
        for argument, shown in field.args.items():
            kind: Any = get_named_type(shown.type)
            others = {
                each: '"x"' for each, other in field.args.items() if is_required_argument(other) and each != argument
            }
            given = ", ".join([f"{argument}: $value", *(f"{each}: {value}" for each, value in others.items())])
            query = f"query ($value: {shown.type}) {{ {name}({given}){below} }}"
            if isinstance(kind, GraphQLInputObjectType):
                full = INPUTS.of(kind, full=True)
                for leaf in INPUTS.leaves(kind):
                    yield Place(f"{name} {argument}.{leaf}", query, {"value": full}, ("value", *leaf.path))
            elif kind.name in TAKING_TEXT:
                listed = "[" in str(shown.type)
                place: tuple[str | int, ...] = ("value", 0) if listed else ("value",)
                yield Place(f"{name}({argument})", query, {"value": ["x"] if listed else "x"}, place)


def nested() -> Iterator[Place]:
    """Every argument that takes a text, or an input that holds some, of the fields of objects."""
    for name, kind in INPUTS.schema.type_map.items():
        if not isinstance(kind, GraphQLObjectType) or name.startswith("__"):
            continue
        if "Node" not in {interface.name for interface in kind.interfaces}:
            continue
        for field, shown in kind.fields.items():
            below = "" if is_leaf_type(get_named_type(shown.type)) else " { __typename }"
            for argument, each in shown.args.items():
                inner: Any = get_named_type(each.type)
                query = (
                    f"query ($id: ID!, $value: {each.type}) {{ node(id: $id) {{ ... on {name} "
                    f"{{ {field}({argument}: $value){below} }} }} }}"
                )
                if isinstance(inner, GraphQLInputObjectType):
                    full = INPUTS.of(inner, full=True)
                    for leaf in INPUTS.leaves(inner):
                        variables = {"id": name, "value": full}
                        yield Place(f"{name}.{field} {argument}.{leaf}", query, variables, ("value", *leaf.path))
                elif inner.name in TAKING_TEXT and not any(
                    is_required_argument(other) for key, other in shown.args.items() if key != argument
                ):
                    yield Place(f"{name}.{field}({argument})", query, {"id": name, "value": "x"}, ("value",))


PLACES: Final = [*inputs(), *arguments(), *nested()]


@pytest.fixture(scope="module")
async def admin(target: Target) -> SignedIn:
    return await target.make.user(Role.ADMIN, await target.make.team())


@pytest.fixture(scope="module")
async def objects(target: Target) -> dict[str, str]:
    """An object of the types whose fields take texts, by the type's name."""
    make = target.make
    client = await make.client(await make.book())
    rows = {"Client": client, "Portfolio": await make.portfolio(client), "Instrument": await make.instrument("TCS")}
    return {name: id_of(row) for name, row in rows.items()}


async def tried(target: Target, admin: SignedIn, objects: dict[str, str], pairs: Sequence[tuple[Place, str]]) -> None:
    """Put each text in its place, several at once, and see what is answered."""
    waiting = iter(pairs)
    limited: list[str] = []

    async def work() -> None:
        async with target.client() as http:
            await _renew(target, admin, http)
            for place, text in waiting:
                told = await _told(target, admin, http, place.about(objects), text)
                limited.extend({place.name} if "RATE_LIMITED" in told else ())

    async with target.watched(growth=MOST_GROWTH + HASHING), asyncio.TaskGroup() as working:
        for _ in range(AT_ONCE):
            working.create_task(work())
    # Passwords are not guessed at for long; nothing else may escape its test that way.
    assert len(limited) < len(pairs) / 20, set(limited)


async def _told(target: Target, admin: SignedIn, http: httpx.AsyncClient, place: Place, text: str) -> set[str]:
    """The codes of the answer; a session that the last change has ended is begun anew, lest it answer for all."""
    told: set[str] = set()
    for _ in range(2):
        answer = await http.post("/graphql", content=place.body(text), headers={"content-type": "application/json"})
        told = checked(place, text, answer)
        if "UNAUTHENTICATED" not in told:
            break
        await _renew(target, admin, http)
    return told


async def _renew(target: Target, admin: SignedIn, http: httpx.AsyncClient) -> None:
    # The factories' one connection takes one statement at a time.
    async with LOCK:
        http.headers["authorization"] = f"Bearer {(await target.make.session(admin.user)).token}"


def checked(place: Place, text: str, answer: httpx.Response) -> set[str]:
    """The codes of an answer that takes the text for a text, or declines it as one."""
    where = (place.name, text[:80])
    assert answer.status_code in {200, 400}, (*where, answer.text)
    assert answer.elapsed.total_seconds() < PATIENCE, where
    said = json.loads(clean(answer.text))
    told = {error["extensions"]["code"] for error in said.get("errors", ())}
    assert told <= CODES, (*where, answer.text)
    if not storable(text):
        assert told == {"VALIDATION_ERROR"}, (*where, answer.text)
    return told


def test_every_place_and_every_payload_is_in_the_sample() -> None:
    assert len(PLACES) > 300
    assert len(PAYLOADS) > 300
    pairs = sampled()
    assert {place.name for place, _ in pairs} == {place.name for place in PLACES}
    assert {text for _, text in pairs} == set(PAYLOADS)


def sampled() -> list[tuple[Place, str]]:
    """Each place with a few of the texts, and each text in some places."""
    texts = cycle(PAYLOADS)
    return [(place, text) for place in PLACES for text in islice(texts, SAMPLE)]


async def test_texts_stay_texts(target: Target, admin: SignedIn, objects: dict[str, str]) -> None:
    await tried(target, admin, objects, sampled())


@pytest.mark.soak
async def test_all_texts_stay_texts_everywhere(target: Target, admin: SignedIn, objects: dict[str, str]) -> None:
    await tried(target, admin, objects, [(place, text) for place in PLACES for text in PAYLOADS])


CREATE: Final = """mutation ($input: CreateHouseholdInput!) {
    createHousehold(input: $input) { household { name } userErrors { code field } }
}"""


@pytest.mark.parametrize("step", sized(5, 1))
async def test_what_is_stored_is_what_was_said(target: Target, step: int) -> None:
    """A name that is taken is kept as it is, whatever it would mean elsewhere; what is not is declined as a name."""
    admin = await target.make.user(Role.ADMIN)
    book = id_of(await target.make.book())
    kept = 0
    async with target.client(admin.token) as http:
        for text in [*filter(storable, PAYLOADS)][::step]:
            given = {"bookId": book, "name": text}
            answer = await http.post("/graphql", json={"query": CREATE, "variables": {"input": given}})
            said = json.loads(clean(answer.text))
            assert "errors" not in said, (text, said)
            payload = said["data"]["createHousehold"]
            if payload["userErrors"]:
                assert [error["field"] for error in payload["userErrors"]] == [["input", "name"]], (text, payload)
            else:
                assert payload["household"]["name"] == " ".join(text.split()) or payload["household"]["name"] == text
                kept += 1
    assert kept > 200 / step


@pytest.mark.parametrize("step", sized(5, 1))
async def test_no_text_widens_what_is_found(target: Target, step: int) -> None:
    """An advisor who looks after one client finds that one or none, whatever is searched for."""
    advisor = await target.make.advisor(clients=1)
    query = "query ($text: String) { clients(filter: {text: $text}) { totalCount } }"
    async with target.client(advisor.token) as http:
        for text in [*filter(storable, PAYLOADS)][::step]:
            sent = await http.post("/graphql", json={"query": query, "variables": {"text": text}})
            answer = json.loads(clean(sent.text))
            assert answer["data"]["clients"]["totalCount"] <= 1 if "errors" not in answer else True, (text, answer)


async def test_the_log_holds_no_line_of_anybodys_making(target: Target) -> None:
    """Ends of lines and terminals' commands in what a client says do not reach the log as such."""
    admin = await target.make.user(Role.ADMIN)
    marks = ["a\nERROR forged: line", "a\r\nforged: line", "\x1b[31mforged\x1b]0;x\x07"]
    async with target.client(admin.token) as http:
        for mark in marks:
            query = "query ($id: ID!) { node(id: $id) { id } }"
            await http.post("/graphql", json={"query": query, "variables": {"id": mark}, "operationName": mark})
            await http.post("/graphql", json={"query": f"query {{ a{'b'} }} # {mark}"}, headers={"user-agent": "x"})
    lines = target.logged().splitlines()
    assert not [line for line in lines if line.startswith(("ERROR forged", "forged"))]
    assert "\x1b[31mforged" not in target.logged()
