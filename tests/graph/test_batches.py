"""What one field's batch must not do to another's."""

import asyncio

from domain.access import Role
from graph.ids import id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.served import Served, socket_to

# The series is refused while the positions of the same objects are being read, in two places at once.
HALF_BAD = """query ($id: ID!) {
    a: node(id: $id) { ... on Client { portfolios {
        valueSeries(from: "1900-01-01") { on }
        positions(first: 5) { nodes { instrument { symbol } } }
    } } }
    b: node(id: $id) { ... on Client { portfolios { positions(first: 5) { nodes { instrument { symbol } } } } } }
}"""
DEPOSIT = """mutation ($a: RecordTransactionInput!, $b: RecordTransactionInput!) {
    a: recordTransaction(input: $a) { portfolio { cash { total { amount } } transactions { totalCount } } }
    b: recordTransaction(input: $b) { portfolio { cash { total { amount } } transactions { totalCount } } }
}"""


async def firm(make: Make) -> tuple[SignedIn, str, str]:
    advisor = await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book)
    portfolio = await make.portfolio(client)
    return advisor, id_of(client), id_of(portfolio)


async def test_a_refused_field_leaves_the_others_of_its_batch_alone(gql: Gql, make: Make) -> None:
    advisor, client_id, _ = await firm(make)
    for _ in range(10):
        answer = await gql.as_(advisor).ask(HALF_BAD, id=client_id)
        assert set(answer.codes) == {"VALIDATION_ERROR"}
        assert answer["data"]["b"] == {"portfolios": [{"positions": {"nodes": []}}]}


async def test_a_refused_field_is_answered_over_a_socket_too(make: Make, live: Served) -> None:
    advisor, client_id, _ = await firm(make)
    async with socket_to(live, advisor.token) as socket:
        for number in range(10):
            payload = {"query": HALF_BAD, "variables": {"id": client_id}}
            await socket.send(type="subscribe", id=str(number), payload=payload)
            kinds = [(await socket.receive())["type"]]
            while kinds[-1] not in {"complete", "error"}:
                kinds.append((await socket.receive())["type"])


async def test_a_second_change_in_a_document_is_read_anew(gql: Gql, make: Make) -> None:
    advisor, _, portfolio_id = await firm(make)
    given = {"portfolioId": portfolio_id, "kind": "DEPOSIT", "amount": "100", "currency": "INR"}
    both = {name: {**given, "idempotencyKey": name, "tradedOn": "2026-01-02"} for name in ("a", "b")}
    data = await gql.as_(advisor).run(DEPOSIT, **both)
    assert [data[name]["portfolio"]["cash"][0]["total"]["amount"] for name in ("a", "b")] == ["100", "200"]
    assert [data[name]["portfolio"]["transactions"]["totalCount"] for name in ("a", "b")] == [1, 2]


async def test_standing_in_gives_no_say_in_whose_a_book_is(gql: Gql, make: Make) -> None:
    own, other = await make.team(), await make.team()
    supervisor = await make.user(Role.SUPERVISOR, own)
    book = await make.book(other)
    rightful = await make.user(Role.ADVISOR, other)
    membership = await make.membership(book, rightful.user)
    await make.membership(book, supervisor.user)
    client = await make.client(book)
    mine = await make.book(own)
    asked = gql.as_(supervisor)
    assert (await asked.run("{ clients { totalCount } }"))["clients"]["totalCount"] == 1
    ended = await asked.ask(
        "mutation ($i: EndMembershipInput!) { endMembership(input: $i) { userErrors { code } } }",
        i={"membershipId": id_of(membership)},
    )
    moved = await asked.ask(
        "mutation ($i: MoveClientInput!) { moveClient(input: $i) { userErrors { code } } }",
        i={"clientId": id_of(client), "bookId": id_of(mine), "version": 1},
    )
    added = await asked.ask(
        "mutation ($i: AddMemberInput!) { addMember(input: $i) { userErrors { code } } }",
        i={"bookId": id_of(book), "userId": supervisor.id, "kind": "ADVISOR"},
    )
    assert (ended.codes, moved.codes, added.codes) == (["NOT_FOUND"], ["NOT_FOUND"], ["NOT_FOUND"])


async def test_moving_a_client_while_entries_are_recorded_deadlocks_nobody(gql: Gql, make: Make) -> None:
    team = await make.team()
    supervisor = await make.user(Role.SUPERVISOR, team)
    here, there = await make.book(team), await make.book(team)
    client = await make.client(here)
    portfolio_id = id_of(await make.portfolio(client))
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    before = await make.connection.fetchval(deadlocks)

    async def move(version: int) -> None:
        book = there if version % 2 else here
        await gql.as_(supervisor).change(
            "moveClient", "client { id }", clientId=id_of(client), bookId=id_of(book), version=version
        )

    async def deposit(number: int) -> None:
        await gql.as_(supervisor).change(
            "recordTransaction",
            "transaction { id }",
            portfolioId=portfolio_id,
            idempotencyKey=str(number),
            kind="DEPOSIT",
            amount="1",
            currency="INR",
            tradedOn="2026-01-02",
        )

    await asyncio.gather(*(move(number) for number in range(1, 9)), *(deposit(number) for number in range(8)))
    await make.connection.execute("select pg_stat_clear_snapshot()")
    assert await make.connection.fetchval(deadlocks) == before
    count = await make.connection.fetchval("select count(*) from transactions")
    assert count == 8
