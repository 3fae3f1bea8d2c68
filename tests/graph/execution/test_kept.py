"""What is kept of documents from one request to the next: bounded, whatever clients send."""

import gc
from itertools import combinations
from typing import Any

import msgspec
import pytest
from graphql import parse
from graphql.execution.values import get_variable_values

from domain.paging import Order, PageRequest
from graph.context import Context, Services
from graph.execution.documents import MOST_DOCUMENTS, MOST_PLANS, Document, Memory, Remembered
from graph.http.schema import Schema
from persistence.listing import MOST_TEXTS
from persistence.portfolios import Portfolios
from tests.factories.firm import Make
from tests.support.gql import Gql

LIST = "query ($n: Int) { clients(first: $n) { nodes { id } } }"


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def document(schema: Schema, memory: Memory) -> Any:
    return lambda text: Document(schema.documents.host, parse(text), memory)


def test_a_price_depends_on_declared_variables_alone(document: Any, memory: Memory) -> None:
    operation = document(LIST).operation(None)
    price = operation.price({"n": 5})
    assert all(operation.price({"n": 5, f"x{at}" * 1000: "y" * 1000}) is price for at in range(100))
    assert len(memory.prices) == 1
    assert operation.price({"n": 6}).estimate > price.estimate
    assert operation.price({"n": True}) is not operation.price({"n": 1})


def test_the_least_asked_for_is_forgotten() -> None:
    remembered: Remembered[str] = Remembered(3)
    made: list[int] = []

    def ask(at: int) -> None:
        def make() -> str:
            made.append(at)
            return str(at)

        assert remembered.get((at,), make) == str(at)

    for at in (1, 2, 3, 1, 4, 1, 3, 4):
        ask(at)
    assert made == [1, 2, 3, 4]
    ask(2)
    assert made == [1, 2, 3, 4, 2]


def test_documents_are_as_many_as_fit(schema: Schema) -> None:
    documents = type(schema.documents)(schema.documents.host)
    texts = [f"query Q{at} {{ __typename }}" for at in range(MOST_DOCUMENTS + 50)]
    for text in texts:
        documents.keep(text, documents.document(parse(text)))
    assert [text for text in texts if documents.get(text)] == texts[50:]
    long = "{ __typename " + "#" * 2_000_000
    documents.keep(long, documents.document(parse(texts[0])))
    assert documents.get(long) is None


async def test_plans_are_as_many_as_fit(schema: Schema, memory: Memory, document: Any) -> None:
    for at in range(MOST_PLANS + 20):
        operation = document(f"query Q{at} {{ __typename }}").operation(None)
        values = get_variable_values(schema.documents.host.schema, (), {})
        assert not isinstance(values, list)
        operation.plan(values)
    assert len(memory.plans) == MOST_PLANS


async def test_statements_of_a_list_are_as_many_as_fit(services: Services, make: Make) -> None:
    viewer = await make.viewer(await make.advisor(clients=1))
    names = sorted(set(Portfolios.entity.__struct_fields__) - {"id"})
    lane = services.doors.lane()
    request = PageRequest(Order("NAME"), msgspec.defstruct("Any", [])())
    for chosen in [each for size in range(1, 5) for each in combinations(names, size)][: MOST_TEXTS + 40]:
        columns = frozenset({"id", *chosen})
        await services.doors.read_along(lane, viewer, columns, Portfolios.page, viewer, request)
    assert Portfolios.listing.kept <= MOST_TEXTS


async def test_an_operation_leaves_nothing_to_the_collector(gql: Gql, make: Make) -> None:
    """All that it has read would be held until that comes by."""
    advisor = await make.advisor()
    query = "{ clients { nodes { portfolios { name } } } books { nodes { name } } }"
    await gql.as_(advisor).run(query)
    gc.collect()
    gc.disable()
    try:
        await gql.as_(advisor).run(query)
        left = [each for each in gc.get_objects() if isinstance(each, Context)]
    finally:
        gc.enable()
    assert left == []
