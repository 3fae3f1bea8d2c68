from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import GraphQLObjectType

from domain.access import Role
from domain.identity import Session
from graph.ids import ENTITIES, PREFIXES, decode, encode, id_of, split
from graph.node_queries import BY_IDS, MOST
from tests.factories import announcements, jobs, ledger, partners, people, talks, trading, trail
from tests.factories.firm import Make
from tests.support.gql import Gql
from tests.support.inputs import printed
from tests.support.stage import Stage

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
HEX = "0" * 31 + "7"


# One database for the module: no test minds what another has made.
@pytest.fixture
def make(stage: Stage) -> Make:
    return stage.make


@pytest.fixture
def gql(stage: Stage) -> Gql:
    return stage.gql


def shown_as(entity: type) -> str:
    """The type that an entity is shown as: that of a session's tokens has taken its name."""
    return "UserSession" if entity is Session else entity.__name__


def test_every_type_with_an_id_can_be_read_by_it() -> None:
    types = printed().type_map.values()
    shown = {
        kind.name
        for kind in types
        if isinstance(kind, GraphQLObjectType) and "Node" in {i.name for i in kind.interfaces}
    }
    assert shown == {shown_as(entity) for entity in PREFIXES}
    assert set(BY_IDS) == set(ENTITIES)


async def everything(make: Make) -> tuple[Any, dict[str, str]]:
    """An admin, and one object of each prefix, by its id."""
    admin = await make.advisor(clients=0)
    admin = await make.user(Role.ADMIN, await make.team(), admin.book)
    assert admin.book
    client = await make.client(admin.book)
    portfolio = await make.portfolio(client)
    instrument = await make.instrument(f"S{next(make.numbers)}")
    position = await ledger.position(make, portfolio, instrument)
    program = await partners.program(make)
    talk = await talks.conversation(make, admin.user)
    question = await talks.message(make, talk)
    rows: list[Any] = [
        admin.book,
        client,
        portfolio,
        instrument,
        position,
        admin.user,
        await make.team(),
        await people.household(make, admin.book),
        await ledger.deposit(make, portfolio, admin.user),
        await make.membership(await make.book(), admin.user),
        ledger.lot_of(position),
        await people.party(make, client),
        await people.notification(make, admin.user),
        await jobs.dead(make),
        program.account,
        program.key,
        await partners.glass(make, admin.user, await make.book()),
        await trading.order(make, portfolio, instrument, admin.user),
        await trail.event(make, "Client", client.id),
        await announcements.announcement(make, admin.user),
        admin.session,
        talk,
        question,
        await talks.run(make, question, await talks.answer(make, talk, question, "Nothing.")),
    ]
    ids = {id_of(row).rpartition("_")[0]: id_of(row) for row in rows}
    assert admin.user.unit_id
    return admin, ids | {"unit": encode("unit", admin.user.unit_id)}


async def test_any_object_is_read_again_by_its_id(gql: Gql, make: Make) -> None:
    admin, ids = await everything(make)
    assert set(ids) == set(ENTITIES)
    for prefix, node_id in ids.items():
        found = (await gql.as_(admin).run(NODE, id=node_id))["node"]
        assert found == {"__typename": shown_as(ENTITIES[prefix]), "id": node_id}
    wanted = [*reversed(ids.values()), encode("client", UUID(int=7)), *ids.values()]
    found = (await gql.as_(admin).run(NODES, ids=wanted))["nodes"]
    assert [node and node["id"] for node in found] == [*reversed(ids.values()), None, *ids.values()]


async def test_an_id_under_another_prefix_is_another_id(gql: Gql, make: Make) -> None:
    admin, ids = await everything(make)
    disguised = f"portfolio_{ids['client'].removeprefix('client_')}"
    assert (await gql.as_(admin).ask(NODE, id=disguised)).codes == ["NOT_FOUND"]
    found = (await gql.as_(admin).run(NODES, ids=[ids["client"], disguised]))["nodes"]
    assert found == [{"__typename": "Client", "id": ids["client"]}, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "client",
        "client_",
        f"client_{HEX[:-1]}",
        f"client_{HEX}0",
        f"Client_{HEX}",
        f"client_{HEX.replace('0', 'A')}",
        f"client_{UUID(hex=HEX)}",
        f"client_{{{HEX}}}",
        f"client_urn:uuid:{HEX}",
        f" client_{HEX}",
        f"client_{HEX}\n",
        f"client_{'٠' * 31}٧",
        f"nobody_{HEX}",
        f"_{HEX}",
        HEX,
        "Q2xpZW50OjE=",
        "x" * 100_000,
    ],
    ids=lambda text: text[:40],
)
async def test_what_is_no_id_is_said_to_be_none(gql: Gql, make: Make, text: str) -> None:
    admin = await make.user(Role.ADMIN)
    one = await gql.as_(admin).ask(NODE, id=text)
    assert (one.codes, one["errors"][0]["extensions"]["details"]) == (
        ["VALIDATION_ERROR"],
        [{"field": "id", "issue": "is not an id"}],
    )
    among = await gql.as_(admin).ask(NODES, ids=[f"client_{HEX}", text])
    assert among["errors"][0]["extensions"]["details"] == [{"field": "ids.1", "issue": "is not an id"}]


async def test_an_id_of_another_type_names_the_field(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    document = "query ($ids: [ID!]) { clients(filter: {bookIds: $ids}) { totalCount } }"
    answer = await gql.as_(admin).ask(document, ids=[f"book_{HEX}", f"client_{HEX}"])
    assert answer["errors"][0]["extensions"]["details"] == [
        {"field": "filter.bookIds.1", "issue": "is the id of a client, not of a book"}
    ]


async def test_nodes_are_capped_and_cost_one_statement_a_type(gql: Gql, make: Make) -> None:
    admin, ids = await everything(make)
    clients = [encode("client", uuid4()) for _ in range(MOST - 2)]
    seen: list[str] = []
    with make.services.doors.database.observed(seen.append):
        found = await gql.as_(admin).run(NODES, ids=[*clients, ids["client"], ids["book"]])
    assert [node["id"] for node in found["nodes"] if node] == [ids["client"], ids["book"]]
    assert len(seen) == 1 + 2
    answer = await gql.as_(admin).ask(NODES, ids=[*clients, *ids.values()])
    assert answer.codes == ["VALIDATION_ERROR"]


def test_ids_read_as_they_are_written() -> None:
    for prefix in ENTITIES:
        row_id = uuid4()
        assert split(encode(prefix, row_id), "id") == (prefix, row_id)
        assert decode(encode(prefix, row_id), prefix, "id") == row_id
