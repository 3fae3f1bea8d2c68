import json
import re
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from domain.access import ALLOWED, Role
from graph.ids import ENTITIES, PREFIXES, encode, id_of
from persistence.database import Lent
from persistence.identity import Identities
from persistence.repository import Listed
from persistence.tables import metadata
from tests.factories import ledger, people
from tests.factories.firm import Make
from tests.factories.house import EVERYBODYS, House, Person, house
from tests.graph.test_access import NEEDS
from tests.strategies.documents import documents, in_full, nodes
from tests.strategies.lists import INPUTS, filters
from tests.support.doors import DOORS, GROWING, ROOT, SHOWN, Firm, all_of, may, told
from tests.support.forgotten import forgotten_scope
from tests.support.gql import Answer, Gql
from tests.support.inputs import Inputs, document, replaced
from tests.support.lists import Listing
from tests.support.served import Served, served, socket_to
from tests.support.sight import TABLES
from tests.support.stage import Stage

PEOPLE: Final = [
    "admin",
    "auditor",
    "manager A",
    "manager B",
    *(f"{role} {team}" for role in ("supervisor", "viewer") for team in ("A1", "A2", "B1")),
    *(f"advisor {team}{letter}" for team in ("A1", "A2", "B1") for letter in "xy"),
    "analyst",
    "service",
    "idle",
    "stand-in",
    "breaker",
    "end client",
    "loner",
]
# Lists and filters that mean another list for each who asks.
OWN_LISTS: Final = {"conversations", "messages", "notifications"}
OWN_WORDS: Final = {"placedByMe", "awaitingMe"}
# What a frontend may ask for by an id that nobody has shown to it.
REACHING: Final = {"breakGlass"}
# Not shrunk: an example is short as it is, and shrinking one that is asked over HTTP takes minutes.
MANY: Final = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> House:
    return await house(stage.make)


def test_everybody_is_asked(firm: House) -> None:
    assert sorted(firm.people) == sorted(PEOPLE)
    assert {person.user.user.role for person in firm.people.values()} == set(Role)
    assert set(firm.by_prefix) == set(ENTITIES)


def leaked(firm: House, person: Person, answer: Any) -> set[str]:
    """What an answer tells of rows that the person may not see."""
    if may(person, "auditEvents"):
        # What others have asked for stands in the trail by its id, though it may be another's own.
        answer = without(answer, "fields")
    return {row_id for row_id in told(firm, answer) if not firm.sees(person, row_id)}


def without(answer: Any, name: str) -> Any:
    """An answer without what any object says under a name."""
    if isinstance(answer, dict):
        return {key: without(value, name) for key, value in answer.items() if key != name}
    return [without(each, name) for each in answer] if isinstance(answer, list) else answer


@pytest.fixture(scope="module")
async def address(stage: Stage) -> AsyncIterator[Served]:
    """Where the application on the firm listens."""
    async with served(stage.app) as listening:
        yield listening


# Somebody of each kind, for what the policies alone hold back.
SOME: Final = {"auditor", "manager B", "supervisor A1", "viewer B1", "analyst", "service", "breaker", "loner", "idle"}
# The one suite: whoever asks, through whichever door, with the repositories' predicates and without.
WALKS: Final = [
    pytest.param(door, scope, name, id=f"{door}, scope {scope}, {name}")
    for door in DOORS
    for scope in ("kept", "forgotten")
    for name in PEOPLE
    if scope == "kept" or (door != "plain SQL" and name in SOME)
]


@pytest.mark.parametrize(("door", "scope", "name"), WALKS)
async def test_through_every_door_one_gets_at_ones_rows_and_at_no_others(
    stage: Stage, firm: House, address: Served, door: str, scope: str, name: str
) -> None:
    with forgotten_scope() if scope == "forgotten" else nullcontext():
        reached, meant = await DOORS[door](Firm(stage, firm, address), firm.people[name])
    assert reached - meant == set()
    assert meant - reached == set()


@MANY
@given(data=st.data())
async def test_nobody_reads_a_row_of_others_through_any_field(stage: Stage, firm: House, data: st.DataObject) -> None:
    await ask_anything(stage, firm, data)


@pytest.mark.soak
@settings(MANY, max_examples=3000)
@given(data=st.data())
async def test_nobody_reads_a_row_of_others_in_thousands_of_queries(
    stage: Stage, firm: House, data: st.DataObject
) -> None:
    await ask_anything(stage, firm, data)


async def ask_anything(stage: Stage, firm: House, data: st.DataObject) -> None:
    person = firm.people[data.draw(st.sampled_from(PEOPLE))]
    query = data.draw(documents(firm.by_prefix))
    answer = await stage.gql.as_(person.user).ask(query)
    assert leaked(firm, person, answer.get("data")) == set()
    if answer.codes == ["QUERY_TOO_COMPLEX"]:
        return
    # Nothing that one sees leads to what is not there for one: it would blank the answer.
    asked = re.findall(r"q\d: (\w+)", query)
    # Where two are forbidden the answer ends with the first.
    assert set(answer.codes) == {"FORBIDDEN" for name in asked if not may(person, name)}


@pytest.mark.parametrize("listing", ROOT, ids=repr)
async def test_every_field_of_what_one_sees_can_be_read_and_leads_nowhere_else(
    stage: Stage, firm: House, listing: Listing
) -> None:
    since = stage.make.now.date() - timedelta(days=3)
    query = f"{{ {listing.name}(first: 12) {{ nodes {{ {in_full(listing.node, 2, since)} }} }} }}"
    for person in {person.user.user.role: person for person in firm.people.values()}.values():
        answer = await stage.gql.as_(person.user).ask(query)
        if not may(person, listing.name):
            assert answer.codes == ["FORBIDDEN"]
            continue
        assert answer.codes == [], answer["errors"][0]
        assert leaked(firm, person, answer["data"]) == set()


@MANY
@given(data=st.data())
async def test_nobody_reads_a_row_of_others_by_its_id(stage: Stage, firm: House, data: st.DataObject) -> None:
    person = firm.people[data.draw(st.sampled_from(PEOPLE))]
    query = data.draw(nodes(firm.by_prefix, SHOWN))
    answer = await stage.gql.as_(person.user).ask(query)
    # Some ask for more at once than anybody may.
    assume(answer.codes != ["QUERY_TOO_COMPLEX"])
    assert answer.codes == []
    wanted = json.loads(query[query.index("[") : query.index("]") + 1])
    found = [node and node["id"] for node in answer["data"]["nodes"]]
    assert found == [row_id if firm.sees(person, row_id) else None for row_id in wanted]
    for node in answer["data"]["nodes"]:
        assert leaked(firm, person, node) == set()


@MANY
@given(data=st.data())
async def test_lists_and_counts_are_cut_to_what_one_sees(stage: Stage, firm: House, data: st.DataObject) -> None:
    person = firm.people[data.draw(st.sampled_from(PEOPLE))]
    listing = data.draw(st.sampled_from(ROOT))
    cut = data.draw(filters(listing.filter, firm.by_prefix))
    if not may(person, listing.name) or listing.name in GROWING:
        return
    mine, count = await all_of(stage.gql.as_(person.user), listing, cut)
    assert len(mine) == count
    if listing.name in OWN_LISTS or OWN_WORDS & set(cut or ()):
        assert mine & set(firm.rows) <= {row_id for row_id in firm.rows if firm.sees(person, row_id)}
        return
    everything, _ = await all_of(stage.gql.as_(firm.people["admin"].user), listing, cut)
    assert mine == {row_id for row_id in everything if row_id not in firm.rows or firm.sees(person, row_id)}


async def test_totals_of_a_household_are_those_of_its_members_that_one_sees(stage: Stage, firm: House) -> None:
    document = """
    query ($id: ID!) { node(id: $id) { ... on Household {
        wealth { cash { amount } } clients { totalCount nodes { wealth { cash { amount } } } }
    } } }
    """
    shared = id_of(firm.households[-1])
    seen = {}
    for name in ("admin", "manager A", "supervisor A1", "advisor A1x"):
        found = (await stage.gql.as_(firm.people[name].user).run(document, id=shared))["node"]
        members = [int(node["wealth"]["cash"]["amount"]) for node in found["clients"]["nodes"]]
        assert int(found["wealth"]["cash"]["amount"]) == sum(members)
        seen[name] = (found["clients"]["totalCount"], sum(members))
    assert seen["admin"] == seen["manager A"]
    assert seen["supervisor A1"] == seen["advisor A1x"]
    assert [seen[name][0] for name in ("admin", "supervisor A1")] == [2, 1]


def same(answer: Answer) -> Answer:
    """An answer without what differs from request to request."""
    for error in answer.get("errors", []):
        del error["extensions"]["timestamp"], error["extensions"]["requestId"]
    answer.pop("extensions", None)
    return answer


@pytest.mark.parametrize("prefix", sorted(set(ENTITIES) - EVERYBODYS))
async def test_what_one_may_not_see_is_as_what_there_is_not(stage: Stage, firm: House, prefix: str) -> None:
    person = firm.people["end client"]
    query = "query ($id: ID!) { node(id: $id) { id } }"
    hidden = firm.hidden(person, prefix)[0]
    answers = [
        same(await stage.gql.as_(person.user).ask(query, id=row_id)) for row_id in (hidden, encode(prefix, UUID(int=3)))
    ]
    assert answers[0].codes == ["NOT_FOUND"]
    assert json.dumps(answers[0]) == json.dumps(answers[1])


ORDERING: Final = {"placeOrder", "draftOrder"}
PLACES: Final = [
    pytest.param(mutation, leaf, id=f"{mutation} {leaf}")
    for mutation in INPUTS.mutations
    for leaf in INPUTS.leaves(INPUTS.kind_of(mutation))
    if leaf.prefix and mutation not in REACHING
]


@pytest.mark.parametrize(("mutation", "leaf"), PLACES)
async def test_no_mutation_reaches_what_one_may_not_see(stage: Stage, firm: House, mutation: str, leaf: Any) -> None:
    person = firm.people["supervisor A1"]
    gql = stage.gql.as_(person.user)
    ids = {prefix: next(iter(firm.visible(person, prefix)), encode(prefix, UUID(int=3))) for prefix in ENTITIES}
    ids["team"] = encode("team", person.user.user.team_id or UUID(int=0))
    ids["conversation"] = firm.talks.owned[person.user.user.id]
    inputs = Inputs(ids.__getitem__)
    kind = inputs.kind_of(mutation)
    well_formed = inputs.of(kind) | {str(leaf.path[0]): inputs.of(kind, full=True)[str(leaf.path[0])]}
    hidden = [*firm.hidden(person, leaf.prefix), *({"team": _others(firm, person)}.get(leaf.prefix, []))]
    before = await _rows(stage)
    answers = [
        same(await gql.ask(document(mutation), input=replaced(well_formed, leaf.path, row_id)))
        for row_id in (*hidden[:2], encode(leaf.prefix, UUID(int=3)))
    ]
    assert {json.dumps(answer) for answer in answers} == {json.dumps(answers[0])}
    if leaf.prefix == "instrument" and mutation in ORDERING:
        # Everybody knows of all instruments, so that an order may say that there is no such one.
        assert [error["code"] for error in answers[0]["data"][mutation]["userErrors"]] == ["UNKNOWN_INSTRUMENT"]
    else:
        needed = NEEDS[mutation]
        allowed = needed is None or needed in ALLOWED[person.user.user.role]
        assert answers[0].codes == ["NOT_FOUND" if allowed else "FORBIDDEN"]
    assert await _rows(stage) == before


def _others(firm: House, person: Person) -> list[str]:
    return [team for team in firm.ids("team") if team != encode("team", person.user.user.team_id or UUID(int=0))]


async def _rows(stage: Stage) -> dict[str, int]:
    """How many rows there are in each table."""
    return {name: await stage.owner.fetchval(f"select count(*) from {name}") for name in metadata.tables}  # noqa: S608 - our own names


def test_every_table_is_looked_at() -> None:
    assert sorted(TABLES) == sorted(metadata.tables)


@pytest.mark.parametrize("repository", Listed.__subclasses__(), ids=lambda repository: repository.__name__)
async def test_a_repository_by_itself_gives_no_more(stage: Stage, firm: House, repository: type[Listed[Any]]) -> None:
    prefix = PREFIXES[repository.entity]
    row_ids = [UUID(hex=row_id.rpartition("_")[2]) for row_id in firm.ids(prefix)]
    # A connection of the owner's is past the policies: nothing but the repository's predicate stands between.
    # A view cannot be had past its own condition.
    await stage.owner.execute("select set_config('steward.everything', 'on', false)")
    found_by = repository(Lent(stage.owner, lambda _: None))  # type: ignore[arg-type] # a pool's proxy and a connection are used alike
    for person in firm.people.values():
        found = await found_by.by_ids(await stage.make.viewer(person.user), row_ids)
        assert {id_of(row) for row in found} == firm.visible(person, prefix)


def local(day: date, zone: str, hours: float) -> datetime:
    """A moment so many hours into a day, as the clocks of a zone show it."""
    return (datetime.combine(day, time(), ZoneInfo(zone)) + timedelta(hours=hours)).astimezone(UTC)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Pacific/Kiritimati"])
async def test_a_membership_counts_from_midnight_to_midnight_of_ones_own_zone(stage: Stage, zone: str) -> None:
    make = stage.make
    book = await make.book()
    stand_in = await make.user(Role.ADVISOR, time_zone=zone)
    first, last = make.now.date() + timedelta(days=1), make.now.date() + timedelta(days=3)
    await make.membership(book, stand_in.user, starts_on=first, ends_on=last)

    async def sees(moment: datetime) -> bool:
        viewer = await stage.services.doors.read(None, Identities.viewer, stand_in.session.id, moment)
        return book.id in viewer.book_ids

    assert not await sees(local(first, zone, -0.01))
    assert await sees(local(first, zone, 0))
    assert await sees(local(last, zone, 23.99))
    assert not await sees(local(last, zone, 24))


async def test_a_moved_client_is_lost_at_once_with_all_that_is_its(stage: Stage) -> None:
    make, gql = stage.make, stage.gql
    team = await make.team()
    left, arrived = await make.advisor(team=team), await make.advisor(team=team)
    supervisor = await make.user(Role.SUPERVISOR, team)
    assert left.book
    assert arrived.book
    client = await make.client(left.book)
    portfolio = await make.portfolio(client)
    position = await ledger.position(make, portfolio, await make.instrument(f"S{next(make.numbers)}"))
    entry = await ledger.deposit(make, portfolio, left.user)
    party = await people.party(make, client)
    ids = [id_of(row) for row in (client, portfolio, position, ledger.lot_of(position), entry, party)]
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } clients { totalCount } portfolios { totalCount } }"
    move = {"clientId": ids[0], "bookId": id_of(arrived.book), "version": 1}
    assert (await gql.as_(supervisor).change("moveClient", "client { id }", **move))["userErrors"] == []
    for advisor, seen in ((left, False), (arrived, True)):
        found = await gql.as_(advisor).run(document, ids=ids)
        assert [node and node["id"] for node in found["nodes"]] == [row_id if seen else None for row_id in ids]
        assert (found["clients"]["totalCount"], found["portfolios"]["totalCount"]) == (seen, seen)


async def test_a_subscription_tells_of_ones_own_books_alone(live: Served, gql: Gql, make: Make) -> None:
    mine, others = await make.advisor(clients=1), await make.advisor(clients=1)
    follow = "subscription ($after: String) { notifications(after: $after) { cursor notification { client { id } } } }"

    async def change(user: Any) -> str:
        client = (await gql.as_(user).run("{ clients { nodes { id version } } }"))["clients"]["nodes"][0]
        kyc = {"kycStatus": "PENDING" if client["version"] % 2 else "REJECTED"}
        given = {"clientId": client["id"], "version": client["version"], "details": kyc}
        assert (await gql.as_(user).change("updateClient", "client { id }", **given))["userErrors"] == []
        return str(client["id"])

    await change(mine)
    async with socket_to(live, mine.token) as socket:
        await socket.subscribe(follow)
        await socket.send(type="subscribe", id="2", payload={"query": "{ viewer { name } }"})
        while (await socket.receive())["type"] != "complete":
            pass
        await change(others)
        expected_client = await change(mine)
        arrived = (await socket.next())["notifications"]
        assert arrived["notification"]["client"]["id"] == expected_client
    async with socket_to(live, others.token) as socket:
        # A place in somebody else's stream is none of one's own.
        await socket.subscribe(follow, after=arrived["cursor"])
        refused = await socket.receive()
    errors = refused["payload"]["errors"] if isinstance(refused["payload"], dict) else refused["payload"]
    assert [error["extensions"]["code"] for error in errors] == ["VALIDATION_ERROR"]
