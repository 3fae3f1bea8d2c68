"""Documents that are made to cost: refused by their size, before anything runs, in time that does not grow with it."""

import json
from typing import Any, Final

import pytest

from graph.limits import Limits
from tests.support.probing import Target, clean, codes

FULL: Final = pytest.mark.soak
BODY: Final = 1_000_000  # bytes; just below the largest body that is read


def sized(small: int, full: int) -> list[Any]:
    """A small size for every run, and the full one for `make soak`."""
    return [small, pytest.param(full, marks=FULL)]


async def refused(target: Target, query: str, code: str = "QUERY_TOO_COMPLEX", *, most: int = 20_000) -> None:
    """Send a document, and see it refused in few words while others are served."""
    body = json.dumps({"query": query})
    async with target.watched(), target.client() as http:
        for accept, status in (("application/graphql-response+json", 400), ("application/json", 200)):
            answer = await http.post(
                "/graphql", content=body, headers={"accept": accept, "content-type": "application/json"}
            )
            assert (answer.status_code, set(codes(answer.text))) == (status, {code})
            assert "data" not in answer.json()
            assert len(answer.text) < most


def doubling(fragments: int) -> str:
    """Fragments that spread the next one twice each: two to that power of fields."""
    last = f"fragment F{fragments} on Viewer {{ name }}"
    links = (f"fragment F{n} on Viewer {{ ...F{n + 1} ...F{n + 1} }}" for n in range(fragments))
    return " ".join(["{ viewer { ...F0 } }", *links, last])


@pytest.mark.parametrize("count", sized(51, 40_000))
async def test_aliases(target: Target, count: int) -> None:
    await refused(target, "{ viewer { " + " ".join(f"a{n}: name" for n in range(count)) + " } }")


@pytest.mark.parametrize("count", sized(21, 20_000))
async def test_aliased_fields_at_the_root(target: Target, count: int) -> None:
    await refused(target, "{ " + " ".join(f"a{n}: viewer {{ name }}" for n in range(count)) + " }")


@pytest.mark.parametrize("count", sized(21, 5_000))
async def test_aliased_mutations(target: Target, count: int) -> None:
    """Many tries of a password in one request."""
    tries = (
        f'a{n}: signIn(input: {{email: "a@b.example", password: "{n}"}}) {{ userErrors {{ code }} }}'
        for n in range(count)
    )
    await refused(target, "mutation { " + " ".join(tries) + " }")


@pytest.mark.parametrize("count", sized(101, 80_000))
async def test_directives(target: Target, count: int) -> None:
    await refused(target, "{ viewer { name " + "@include(if: true) " * min(count, BODY // 20) + "} }")


@pytest.mark.parametrize("count", sized(10_000, 150_000))
async def test_fields(target: Target, count: int) -> None:
    await refused(target, "{ viewer { " + "name " * count + "} }")


async def test_as_many_fields_as_may_be_parsed(target: Target) -> None:
    await refused(target, "{ viewer { " + "name " * (Limits().tokens - 10) + "} }")


@pytest.mark.parametrize("count", sized(5_001, 300_000))
async def test_comments(target: Target, count: int) -> None:
    await refused(target, "#\n" * count + "{ __typename }")


@pytest.mark.parametrize("depth", sized(50, 100_000))
async def test_depth(target: Target, depth: int) -> None:
    await refused(target, "{ viewer { " + "user { team { " * (depth // 2) + "name" + " } }" * (depth // 2) + " } }")


@pytest.mark.parametrize("depth", sized(500, 300_000))
async def test_depth_of_a_literal(target: Target, depth: int) -> None:
    await refused(target, "{ node(id: " + "[" * depth + "]" * depth + ") { id } }")


@pytest.mark.parametrize("fragments", sized(30, 1_000))
async def test_fragments_that_double(target: Target, fragments: int) -> None:
    await refused(target, doubling(min(fragments, (Limits().tokens - 20) // 14)))


@pytest.mark.parametrize("count", sized(2, 90))
async def test_fragments_in_a_circle(target: Target, count: int) -> None:
    circle = " ".join(f"fragment F{n} on Viewer {{ name ...F{(n + 1) % count} }}" for n in range(count))
    await refused(target, f"{{ viewer {{ ...F0 }} }} {circle}", "VALIDATION_ERROR")


async def test_a_fragment_that_spreads_itself_often(target: Target) -> None:
    await refused(target, "{ viewer { ...F } } fragment F on Viewer { " + "...F " * 1_000 + "}", "VALIDATION_ERROR")


@pytest.mark.parametrize("count", sized(300, 700))
async def test_fields_that_must_be_compared(target: Target, count: int) -> None:
    """Each field is compared with each other of its name: refused before that begins, for it grows by the square."""
    fragments = " ".join(f"fragment F{n} on Viewer {{ x: name user {{ y: name }} }}" for n in range(count))
    await refused(target, f"{{ viewer {{ {' '.join(f'...F{n}' for n in range(count))} }} }} {fragments}")


@pytest.mark.parametrize("count", sized(400, 1_600))
async def test_operations(target: Target, count: int) -> None:
    """Many operations of which one is asked for: bounded by what may be parsed, and the one runs."""
    query = " ".join(f"query Q{n} {{ __typename }}" for n in range(count))
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", json={"query": query, "operationName": "Q7"})
        if count * 5 > Limits().tokens:
            assert codes(answer.text) == ["QUERY_TOO_COMPLEX"]
        else:
            assert answer.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("count", sized(2_000, 100_000))
async def test_mistakes(target: Target, count: int) -> None:
    """A handful of them is told, each in few words."""
    names = " ".join(f"n{n:05}" for n in range(min(count, Limits().fields - 1)))
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", json={"query": f"{{ viewer {{ {names} }} }}"})
        assert codes(answer.text) == ["VALIDATION_ERROR"] * 5
        assert len(answer.text) < 5_000
        answer = await http.post("/graphql", json={"query": "{ " + "x" * BODY + " }"})
        assert codes(answer.text) == ["VALIDATION_ERROR"]
        assert len(answer.text) < 5_000


@pytest.mark.parametrize("count", sized(100, 20_000))
async def test_batches(target: Target, count: int) -> None:
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", json=[{"query": "{ __typename }"}] * count)
        assert (answer.status_code, codes(answer.text)) == (400, ["VALIDATION_ERROR"])
        assert "Batches" in answer.text


async def test_the_schema_is_not_told_to_strangers(target: Target) -> None:
    async with target.client() as http:
        answer = await http.post("/graphql", json={"query": "{ __schema { types { name } } }"})
        assert codes(answer.text) == ["UNAUTHENTICATED"]
        answer = await http.post("/graphql", json={"query": "{ viewe { name } }"})
        assert codes(answer.text) == ["VALIDATION_ERROR"]
        assert "viewer" not in clean(answer.text)


async def test_types_of_types_of_types(target: Target) -> None:
    """What one type is may be asked, but not what its fields' types' fields' types' fields are, without end."""
    query = '{ __type(name: "Client") { ' + "fields { type { " * 30 + "name" + " } }" * 30 + " } }"
    await refused(target, query)
