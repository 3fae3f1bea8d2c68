import asyncio
from typing import Any
from uuid import uuid4

import pytest

from domain.access import Role
from graph.ids import encode, id_of
from tests.factories import people
from tests.factories.firm import Make, SignedIn
from tests.support.desk import declined, made
from tests.support.gql import Gql
from tests.support.statements import Statements

HOUSEHOLD = "household { id name currency version book { id } clients { totalCount nodes { name } } }"
LIST = """
query ($filter: HouseholdFilter, $orderBy: HouseholdOrder) {
    households(filter: $filter, orderBy: $orderBy) { totalCount nodes { name book { id } } }
}
"""


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor()


async def create(gql: Gql, by: SignedIn, **given: Any) -> Any:
    assert by.book
    return await gql.as_(by).change("createHousehold", HOUSEHOLD, **({"bookId": id_of(by.book)} | given))


async def test_a_household_is_made_and_clients_join_it(gql: Gql, make: Make, advisor: SignedIn) -> None:
    assert advisor.book
    household = made(await create(gql, advisor, name="  The  Raos ", currency="USD"), "household")
    assert (household["name"], household["currency"], household["version"]) == ("The Raos", "USD", 1)
    assert (household["book"], household["clients"]["totalCount"]) == ({"id": id_of(advisor.book)}, 0)
    client = await make.client(advisor.book, name="Asha Rao")
    joined = await gql.as_(advisor).change(
        "updateClient",
        "client { household { clients { totalCount nodes { name } } } }",
        clientId=id_of(client),
        version=1,
        details={"householdId": household["id"]},
    )
    assert made(joined, "client")["household"]["clients"] == {"totalCount": 1, "nodes": [{"name": "Asha Rao"}]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": " "}, ("INVALID_VALUE", "input.name")),
        ({"name": "x" * 201}, ("INVALID_VALUE", "input.name")),
        ({"name": "Raos", "currency": "rupees"}, ("INVALID_VALUE", "input.currency")),
    ],
)
async def test_what_no_household_can_be(
    gql: Gql, advisor: SignedIn, given: dict[str, str], expected: tuple[str, str]
) -> None:
    assert declined(await create(gql, advisor, **given)) == [expected]


async def test_of_two_new_names_one_wins(gql: Gql, make: Make, advisor: SignedIn) -> None:
    assert advisor.book
    household = await people.household(make, advisor.book)
    given = {"householdId": id_of(household), "version": 1}
    payloads = await asyncio.gather(
        *(gql.as_(advisor).change("renameHousehold", HOUSEHOLD, name=name, **given) for name in ("A", "B"))
    )
    assert sorted(payload["household"]["version"] for payload in payloads if payload["household"]) == [2]
    errors = [(error["code"], error["field"]) for payload in payloads for error in payload["userErrors"]]
    assert errors == [("STALE_VERSION", ["input", "version"])]


async def test_households_are_listed_by_book_and_name(gql: Gql, make: Make) -> None:
    team = await make.team()
    supervisor = await make.user(Role.SUPERVISOR, team)
    books = [await make.book(team), await make.book(team), await make.book()]
    for book, name in zip(books, ("Zoe", "émile", "Foreign"), strict=True):
        await people.household(make, book, name=name)

    async def names(**given: Any) -> list[str]:
        found = (await gql.as_(supervisor).run(LIST, **given))["households"]
        assert found["totalCount"] == len(found["nodes"])
        return [node["name"] for node in found["nodes"]]

    assert await names() == ["émile", "Zoe"]
    assert await names(orderBy={"field": "NAME", "direction": "DESC"}) == ["Zoe", "émile"]
    assert await names(filter={"bookIds": [id_of(books[0]), id_of(books[2])]}) == ["Zoe"]


async def test_an_end_client_sees_its_own_household_and_changes_nothing(gql: Gql, make: Make) -> None:
    book, other = await make.book(), await make.book()
    household = await people.household(make, book, name="The Raos")
    await people.household(make, book, name="The Sens")
    await make.client(book, household_id=household.id, name="Asha")
    # A member whose client lies in another book than the household itself.
    own = await make.client(other, household_id=household.id, name="Ravi")
    viewer = gql.as_(await make.user(Role.CLIENT, client_id=own.id))
    found = (await viewer.run(LIST))["households"]
    assert found == {"totalCount": 1, "nodes": [{"name": "The Raos", "book": None}]}
    document = "query ($id: ID!) { node(id: $id) { ... on Household { clients { nodes { name } } } } }"
    node = (await viewer.run(document, id=id_of(household)))["node"]
    assert [each["name"] for each in node["clients"]["nodes"]] == ["Asha", "Ravi"]
    document = "mutation ($input: RenameHouseholdInput!) { renameHousehold(input: $input) { household { id } } }"
    answer = await viewer.ask(document, input={"householdId": id_of(household), "version": 1, "name": "Ours"})
    assert answer.codes == ["FORBIDDEN"]
    alone = await make.client(book)
    assert (await gql.as_(await make.user(Role.CLIENT, client_id=alone.id)).run(LIST))["households"]["nodes"] == []


async def test_what_lies_outside_the_scope_is_not_there(gql: Gql, make: Make, advisor: SignedIn) -> None:
    foreign = await people.household(make, await make.book())
    document = "mutation ($input: RenameHouseholdInput!) { renameHousehold(input: $input) { household { id } } }"
    for household_id in (id_of(foreign), encode("household", uuid4())):
        answer = await gql.as_(advisor).ask(document, input={"householdId": household_id, "version": 1, "name": "A"})
        assert answer.codes == ["NOT_FOUND"]
    document = "mutation ($input: CreateHouseholdInput!) { createHousehold(input: $input) { household { id } } }"
    given = {"bookId": encode("book", foreign.book_id), "name": "Mine"}
    assert (await gql.as_(advisor).ask(document, input=given)).codes == ["NOT_FOUND"]


@pytest.mark.parametrize("households", [1, 5])
async def test_members_cost_the_same_for_one_and_for_many(
    gql: Gql, make: Make, advisor: SignedIn, statements: Statements, households: int
) -> None:
    assert advisor.book
    for _ in range(households):
        household = await people.household(make, advisor.book)
        await make.client(advisor.book, household_id=household.id)
    document = "{ households { nodes { book { name } clients(first: 5) { totalCount nodes { name } } } } }"
    with statements.counted() as seen:
        data = await gql.as_(advisor).run(document)
    assert [node["clients"]["totalCount"] for node in data["households"]["nodes"]] == [1] * households
    # Households, books, a page of each, and their counts.
    assert len(seen) == 4
