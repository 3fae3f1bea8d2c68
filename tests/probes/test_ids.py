"""Trying ids: what is another's, what never was and what lies next to one's own are answered alike."""

import json
import time
from collections.abc import Iterable
from statistics import median
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest

from domain.access import Role
from graph.ids import ENTITIES, encode, id_of
from tests.factories.firm import Make, SignedIn
from tests.factories.house import House, house
from tests.support.gql import Gql
from tests.support.inputs import Inputs, Leaf, document, replaced
from tests.support.probing import Target, clean, codes
from tests.support.statements import Statements

NODE: Final = "query ($id: ID!) { node(id: $id) { id __typename } }"
NODES: Final = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
# What is there to reach what is others', and is told of to somebody.
REACHING: Final = {"breakGlass"}
INPUTS: Final = Inputs(lambda prefix: encode(prefix, uuid4()))


@pytest.fixture(scope="module")
async def firm(target: Target) -> House:
    return await house(target.make)


@pytest.fixture(scope="module")
async def stranger(target: Target) -> SignedIn:
    """An advisor who looks after nobody yet."""
    return await target.make.advisor()


def others(firm: House, prefix: str) -> list[str]:
    """Ids of a kind that there are, and that somebody who looks after nobody does not see."""
    return firm.hidden(firm.people["loner"], prefix)


def neighbours(row_id: str) -> Iterable[str]:
    """Ids that come before and after one."""
    prefix, _, digits = row_id.rpartition("_")
    for step in (-2, -1, 1, 2, 1 << 64, -(1 << 64)):
        yield encode(prefix, UUID(int=(int(digits, 16) + step) % (1 << 128)))


def alike(answer: httpx.Response) -> Any:
    """What an answer says, its cost too, but for when it says it, to which request, and what is left of a budget."""
    assert answer.status_code == 200
    said = json.loads(clean(answer.text))
    for error in said.get("errors", ()):
        del error["extensions"]["timestamp"], error["extensions"]["requestId"]
    del said["extensions"]["cost"]["remaining"], said["extensions"]["cost"]["resetAt"]
    return said


async def ask(http: httpx.AsyncClient, query: str, **variables: Any) -> httpx.Response:
    return await http.post("/graphql", json={"query": query, "variables": variables})


@pytest.mark.parametrize("prefix", sorted({"client", "portfolio", "book", "order", "transaction", "household", "job"}))
async def test_ids_of_others_are_as_if_they_were_not(
    target: Target, firm: House, stranger: SignedIn, prefix: str
) -> None:
    theirs = others(firm, prefix)[:5]
    assert theirs
    tried = [*theirs, *neighbours(theirs[0]), *(encode(prefix, uuid4()) for _ in range(5)), encode(prefix, UUID(int=0))]
    async with target.client(stranger.token) as http:
        said = [alike(await ask(http, NODE, id=each)) for each in tried]
        assert said == [said[0]] * len(said)
        assert [error["extensions"]["code"] for error in said[0]["errors"]] == ["NOT_FOUND"]
        together = alike(await ask(http, NODES, ids=tried[:10]))
        assert (together["data"]["nodes"], together.get("errors")) == ([None] * 10, None)


@pytest.mark.parametrize("prefix", sorted(ENTITIES))
async def test_strangers_learn_of_no_id(target: Target, firm: House, prefix: str) -> None:
    tried = [*firm.ids(prefix)[:2], encode(prefix, uuid4())]
    async with target.client() as http:
        for each in tried:
            assert codes((await ask(http, NODE, id=each)).text) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize(
    "text", ["", "client_", "client_1", "client", "_", "Client:1", "Q2xpZW50OjE=", "job_" + "g" * 32]
)
async def test_what_is_no_id_is_told_as_such(target: Target, stranger: SignedIn, text: str) -> None:
    async with target.client(stranger.token) as http:
        assert codes((await ask(http, NODE, id=text)).text) == ["VALIDATION_ERROR"]


def places() -> list[Any]:
    """Every place of a mutation's input that takes an id of what belongs to somebody."""
    belonging = {"client", "portfolio", "book", "order", "transaction", "household", "membership", "notification"}
    return [
        pytest.param(mutation, leaf, id=f"{mutation} {leaf}")
        for mutation in INPUTS.mutations
        if mutation not in REACHING
        for leaf in INPUTS.leaves(INPUTS.kind_of(mutation))
        if leaf.prefix in belonging
    ]


@pytest.mark.parametrize(("mutation", "leaf"), places())
async def test_changes_of_what_is_others_are_as_if_it_were_not(
    target: Target, firm: House, stranger: SignedIn, mutation: str, leaf: Leaf
) -> None:
    assert leaf.prefix
    given = INPUTS.of(INPUTS.kind_of(mutation), full=True)
    theirs = others(firm, leaf.prefix)
    async with target.client(stranger.token) as http:
        said = [
            alike(await ask(http, document(mutation), input=replaced(given, leaf.path, each)))
            for each in (*theirs[:2], encode(leaf.prefix, uuid4()), encode(leaf.prefix, UUID(int=0)))
        ]
    assert said == [said[0]] * len(said)


async def test_no_more_is_asked_of_the_database_for_one_than_for_the_other(
    gql: Gql, make: Make, statements: Statements
) -> None:
    """The same statements for what is another's and for what never was: so they take alike on any machine."""
    firm = await house(make)
    stranger = gql.as_(await make.advisor())
    for prefix in ("client", "portfolio", "book", "order", "transaction", "household"):
        seen = []
        for each in (others(firm, prefix)[0], encode(prefix, uuid4())):
            with statements.counted() as asked:
                assert (await stranger.ask(NODE, id=each)).codes == ["NOT_FOUND"]
            seen.append(list(asked))
        assert seen[0] == seen[1] != [], prefix


@pytest.mark.soak
async def test_it_takes_no_longer_for_one_than_for_the_other(target: Target, firm: House, stranger: SignedIn) -> None:
    taken: dict[str, list[float]] = {"theirs": [], "nobody's": []}
    theirs = others(firm, "client")
    async with target.client(stranger.token) as http:
        for number in range(1_000):
            for kind, each in (("theirs", theirs[number % len(theirs)]), ("nobody's", encode("client", uuid4()))):
                begun = time.perf_counter()
                await ask(http, NODE, id=each)
                taken[kind].append(time.perf_counter() - begun)
    ratio = median(taken["theirs"]) / median(taken["nobody's"])
    assert 0.8 < ratio < 1.25, ratio


async def test_an_admin_sees_what_the_stranger_does_not(target: Target, firm: House) -> None:
    """That the ids above are of rows that there are."""
    admin = await target.make.user(Role.ADMIN)
    async with target.client(admin.token) as http:
        for prefix in ("client", "portfolio", "book", "order", "transaction", "household"):
            row_id = others(firm, prefix)[0]
            assert (await ask(http, NODE, id=row_id)).json()["data"]["node"]["id"] == row_id
    assert id_of(admin.user) == admin.id
