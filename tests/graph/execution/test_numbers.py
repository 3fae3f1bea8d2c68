"""Numbers that only go out are written by the database, exactly as they would be written here."""

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
