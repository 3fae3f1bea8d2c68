"""What is fetched of rows: no more than an operation shows, in the form that it shows."""

from decimal import Decimal

import pytest

from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make
from tests.factories.ledger import position
from tests.support.desk import Desk
from tests.support.gql import Gql
from tests.support.statements import Statements

QUERY = "query ($id: ID!) { node(id: $id) { ... on Portfolio { positions { nodes { %s } } } } }"
NUMBERS = ["1.5", "10", "1000000", "0.00000001", "123456789012.12345678", "7.10000000"]


@pytest.fixture
async def desk(gql: Gql, make: Make) -> Desk:
    return await Desk.open(gql, make)


@pytest.mark.parametrize(("fields", "written"), [("quantity", True), ("quantity averageCost { amount }", False)])
async def test_numbers_go_out_plainly_whoever_writes_them(
    desk: Desk, services: Services, make: Make, fields: str, *, written: bool
) -> None:
    for at, number in enumerate(NUMBERS):
        await position(make, desk.portfolio, await make.instrument(f"N{at}"), number)
    with Statements(services.doors.database).counted() as seen:
        answer = await desk.gql.run(QUERY % fields, id=id_of(desk.portfolio))
    quantities = [node["quantity"] for node in answer["node"]["positions"]["nodes"]]
    assert sorted(quantities) == sorted(format(Decimal(number).normalize(), "f") for number in NUMBERS)
    assert any("trim_scale(positions.quantity)" in text for text in seen) is written


@pytest.mark.parametrize(
    ("fields", "placed"),
    [("nodes { id }", False), ("nodes { id } pageInfo { hasNextPage }", True), ("edges { cursor node { id } }", True)],
)
async def test_what_cursors_are_made_of_is_read_where_they_are_asked_for(
    desk: Desk, services: Services, fields: str, *, placed: bool
) -> None:
    query = f"{{ portfolios {{ {fields} }} clients {{ nodes {{ orders {{ {fields} }} }} }} }}"
    with Statements(services.doors.database).counted() as seen:
        await desk.gql.run(query)
    lists = [text for text in seen if "portfolios.sort_name" in text or "orders.placed_at" in text]
    assert len(lists) == 2
    assert {"order_value" in text for text in lists} == {placed}
