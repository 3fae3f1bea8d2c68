import itertools
from base64 import urlsafe_b64encode
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from graphql import GraphQLEnumType
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.access import Role
from domain.announcements import AnnouncementKind
from domain.conversations.entities import Conversation, MessageRole, Module
from domain.ledger import TransactionKind
from domain.notifications import NotificationKind
from domain.orders import OrderStatus
from domain.paging import Cursor, Direction
from domain.text import fold
from graph.ids import encode, id_of
from persistence.listing import ROWS
from tests.factories import announcements, jobs, ledger, partners, people, talks, trading, trail
from tests.factories.firm import SignedIn
from tests.strategies.lists import filters
from tests.support.gql import Gql
from tests.support.inputs import Inputs
from tests.support.lists import Listing, listings
from tests.support.stage import Stage

INPUTS: Final = Inputs(str)
LISTINGS: Final = sorted(listings(INPUTS.schema), key=repr)
ROOT: Final = [listing for listing in LISTINGS if not listing.nested]
NESTED: Final = [listing for listing in LISTINGS if listing.nested]
# Names that are equal, that differ in case or accents alone, and that sort differently by code point.
NAMES: Final = ["Zoe", "zoë", "ZOE", "Zoë", "", "Ärzte", "Arzte", "b", "B", "ß", "ss", "李", "😀", "a b", "a-b", "Zoe"]
# What has a history of its own.
HISTORIES: Final = ("Book", "Client", "Household", "Portfolio", "Order", "User")
DAYS: Final = [date(2025, 1, 6) + timedelta(days=number % 4) for number in range(30)]


class Known(msgspec.Struct, frozen=True):
    """A firm to page through: whoever sees all of it, ids to filter by, and a parent of each nested list."""

    admin: SignedIn
    ids: dict[str, list[str]]
    parents: dict[str, str]


@pytest.fixture(scope="module")
async def known(stage: Stage) -> Known:
    make = stage.make
    admin, clerk = await make.user(Role.ADMIN), await make.user(Role.ADVISOR)
    books = [await make.book(name=name) for name in NAMES[:6]]
    households = [await people.household(make, book, name=name) for book, name in itertools.product(books[:2], NAMES)]
    kinds = itertools.cycle(["INDIVIDUAL", "TRUST", "HUF"])
    at = make.now
    clients = [
        await make.client(
            books[number % 3],
            name=name,
            kind=next(kinds),
            household_id=households[number % 2].id,
            tags=("vip",) if number % 3 else (),
            created_at=at - timedelta(days=number % 5),
        )
        for number, name in enumerate(NAMES * 2)
    ]
    instruments = [await make.instrument(f"S{number}", name=name) for number, name in enumerate(NAMES)]
    portfolios = [
        await make.portfolio(clients[number % 7], name=name, opened_on=DAYS[number])
        for number, name in enumerate(NAMES)
    ]
    for number, instrument in enumerate(instruments):
        await ledger.position(make, portfolios[0], instrument, quantity=str(number % 3))
    for number, on in enumerate(DAYS):
        kind = list(TransactionKind)[number % 3]
        await ledger.deposit(make, portfolios[0], admin.user, traded_on=on, kind=kind, recorded_at=at)
        kinds_told = list(NotificationKind)
        await people.notification(make, admin.user, kind=kinds_told[number % 3], read_at=at if number % 2 else None)
    statuses = itertools.cycle([OrderStatus.SUBMITTED, OrderStatus.FILLED, OrderStatus.PENDING_APPROVAL])
    for number, on in enumerate(DAYS):
        given = {"status": next(statuses), "trades_on": on, "placed_at": at - timedelta(days=number % 5)}
        await trading.order(make, portfolios[number % 2], instruments[number % 3], clerk.user, **given)
    for number in range(9):
        failed_at = at - timedelta(days=number % 4)
        await jobs.dead(make, name=["books.count", "x.count"][number % 2], failed_at=failed_at)
    programs = [await partners.program(make) for _ in NAMES]
    for number in range(30):
        await partners.key(make, programs[0].user, created_at=at - timedelta(days=number % 5))
        who = programs[number % 3].user
        await partners.glass(make, who, books[number % 4], granted_at=at - timedelta(days=number % 5))
    for number in range(9):
        announced = {"kind": list(AnnouncementKind)[number % 2], "announced_at": at - timedelta(days=number % 4)}
        await announcements.announcement(make, admin.user, **announced)
    talking = [await _talk(stage, admin, at, number) for number in range(9)]
    orders = await stage.owner.fetch("select id from orders order by id limit 2")
    accounts = [program.user for program in programs]
    histories: tuple[Any, ...] = (books, clients, households, portfolios, orders, accounts)
    for history, objects in zip(HISTORIES, histories, strict=True):
        for number in range(8):
            # More of the first than of the second.
            row = objects[number // 7]
            done_at = at - timedelta(days=number % 4)
            await trail.event(make, history, row["id"] if history == "Order" else row.id, occurred_at=done_at)
    rows: dict[str, list[Any]] = {
        "book": books,
        "client": clients,
        "household": households,
        "instrument": instruments,
        "portfolio": portfolios,
        "user": [program.user for program in programs],
    }
    ids: dict[str, list[str]] = {prefix: [id_of(row) for row in found] for prefix, found in rows.items()}
    ids["team"] = [encode("team", book.team_id) for book in books]
    ids["unit"] = [encode("unit", book.unit_id) for book in books]
    parents = {
        "Book": books[0],
        "Client": clients[0],
        "Conversation": talking[0],
        "Household": households[0],
        "Portfolio": portfolios[0],
        "ServiceAccount": programs[0].account,
    }
    parents_of = {kind: id_of(row) for kind, row in parents.items()}
    parents_of |= {"Order": encode("order", orders[0]["id"]), "User": ids["user"][0]}
    return Known(admin, ids, parents_of)


async def _talk(stage: Stage, owner: SignedIn, at: datetime, number: int) -> Conversation:
    """A conversation, the first of them with more messages than the others."""
    said_at = at - timedelta(days=number % 4)
    given = {"module": list(Module)[number % 2], "archived_at": at if number % 3 else None}
    made = await talks.conversation(stage.make, owner.user, updated_at=said_at, created_at=said_at, **given)
    for place in range(9 - number):
        role = list(MessageRole)[place % 3]
        spoken_at = at - timedelta(days=place % 4)
        await talks.message(stage.make, made, "Sana of small things", role=role, created_at=spoken_at)
    return made


@pytest.fixture
def gql(stage: Stage, known: Known) -> Gql:
    """Speaking as whoever sees everything."""
    return stage.gql.as_(known.admin)


def parent_of(listing: Listing, known: Known) -> dict[str, str]:
    """The parent's id, for a nested list."""
    return {"id": known.parents[listing.parent]} if listing.nested else {}


async def walk(gql: Gql, listing: Listing, size: int, *, backward: bool, **asked: Any) -> list[str]:
    """The ids of all rows in the list's order, page by page."""
    count, cursor, more = ("last", "before", "hasPreviousPage") if backward else ("first", "after", "hasNextPage")
    ids: list[str] = []
    place = None
    while True:
        page = await listing.page(gql, **{count: size, cursor: place}, **asked)
        found = [node["id"] for node in page["nodes"]]
        ids = [*found, *ids] if backward else [*ids, *found]
        info = page["pageInfo"]
        # Whoever came here by a cursor came from a row.
        assert info["hasNextPage" if backward else "hasPreviousPage"] == (place is not None)
        assert len(found) == size or not info[more]
        # A page that was promised holds something.
        assert found or place is None
        if not info[more]:
            return ids
        place = info["startCursor" if backward else "endCursor"]


@settings(
    max_examples=50,
    deadline=None,
    # Not shrunk: an example is short as it is, and shrinking one that is asked over HTTP takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_paging_visits_each_row_once_under_any_filter_and_order(
    gql: Gql, known: Known, data: st.DataObject
) -> None:
    listing = data.draw(st.sampled_from(LISTINGS))
    order = {"field": data.draw(st.sampled_from(listing.orders)), "direction": data.draw(st.sampled_from(Direction))}
    asked: dict[str, Any] = {"orderBy": order, "filter": data.draw(filters(listing.filter, known.ids))}
    asked |= parent_of(listing, known)
    whole = await listing.page(gql, first=50, **asked)
    ids = [node["id"] for node in whole["nodes"]]
    assert len(set(ids)) == len(ids) == whole["totalCount"]
    size = data.draw(st.integers(min_value=max(1, len(ids) // 3), max_value=50))
    assert await walk(gql, listing, size, backward=False, **asked) == ids
    assert await walk(gql, listing, size, backward=True, **asked) == ids
    turned = asked | {"orderBy": order | {"direction": "ASC" if order["direction"] == "DESC" else "DESC"}}
    assert [node["id"] for node in (await listing.page(gql, first=50, **turned))["nodes"]] == ids[::-1]
    if ids:
        at = data.draw(st.integers(min_value=0, max_value=len(ids) - 1))
        place = whole["edges"][at]["cursor"]
        after = await listing.page(gql, first=50, after=place, **asked)
        before = await listing.page(gql, last=50, before=place, **asked)
        assert [node["id"] for page in (before, after) for node in page["nodes"]] == [*ids[:at], *ids[at + 1 :]]


@pytest.mark.parametrize("listing", LISTINGS, ids=repr)
async def test_pages_of_one_row_visit_each_row_once(gql: Gql, known: Known, listing: Listing) -> None:
    asked = parent_of(listing, known)
    whole = await listing.page(gql, **asked, first=50)
    # The firm has something to page through in every list: a new one needs rows above.
    assert len(whole["nodes"]) > 5
    ids = [node["id"] for node in whole["nodes"]]
    assert await walk(gql, listing, 1, backward=True, **asked) == ids
    # What is asked for without a size is a page of the default size, from the beginning.
    assert [node["id"] for node in (await listing.page(gql, **asked))["nodes"]] == ids[:25]


@pytest.mark.parametrize("direction", Direction)
async def test_names_sort_by_letters_and_not_by_code_points(gql: Gql, direction: Direction) -> None:
    document = "query ($by: ClientOrder) { clients(first: 200, orderBy: $by) { nodes { id name } } }"
    nodes = (await gql.run(document, by={"field": "NAME", "direction": direction}))["clients"]["nodes"]
    keys = [(fold(node["name"]), node["id"]) for node in nodes]
    assert keys == sorted(keys, reverse=direction is Direction.DESC)
    names = [node["name"] for node in nodes]
    assert abs(names.index("Zoe") - names.index("zoë")) < 10


def issues(answer: Any) -> list[tuple[str, str]]:
    """The fields that a VALIDATION_ERROR names, with what is wrong with each."""
    assert answer.codes == ["VALIDATION_ERROR"]
    return [(each["field"], each["issue"]) for each in answer["errors"][0]["extensions"]["details"]]


@pytest.mark.parametrize("listing", LISTINGS, ids=repr)
async def test_sizes_have_bounds(gql: Gql, known: Known, listing: Listing) -> None:
    asked = parent_of(listing, known)
    largest = 50 if listing.nested else 200
    for name, size in itertools.product(("first", "last"), (0, -1, largest + 1, 2**31 - 1, -(2**31))):
        answer = await listing.ask(gql, **{name: size}, **asked)
        assert issues(answer) == [(name, f"must be between 1 and {largest}")]
    assert "errors" not in await listing.ask(gql, first=largest, **asked)
    assert issues(await listing.ask(gql, first=1, last=1, **asked)) == [("last", "cannot be given together with first")]
    cursor = (await listing.page(gql, first=1, **asked))["pageInfo"]["endCursor"]
    assert issues(await listing.ask(gql, last=1, after=cursor, **asked))[0][0] == "after"
    assert issues(await listing.ask(gql, first=1, before=cursor, **asked))[0][0] == "before"
    assert issues(await listing.ask(gql, before=cursor, **asked))[0][0] == "before"


@pytest.mark.parametrize("listing", LISTINGS, ids=repr)
async def test_a_cursor_belongs_to_its_order_and_filter(gql: Gql, known: Known, listing: Listing) -> None:
    asked = parent_of(listing, known)
    for field, direction in itertools.product(listing.orders, Direction):
        order = {"field": field, "direction": direction}
        page = await listing.page(gql, first=1, orderBy=order, **asked)
        others = [
            {"field": other, "direction": turned}
            for other, turned in itertools.product(listing.orders, Direction)
            if (other, turned) != (field, direction)
        ]
        for other in others:
            for size, place in (("first", "after"), ("last", "before")):
                found = {size: 1, place: page["pageInfo"]["endCursor"], "orderBy": other}
                assert issues(await listing.ask(gql, **found, **asked)) == [
                    (place, "belongs to another order of this list")
                ]
    if listing.filter:
        cut = INPUTS.of(listing.filter, full=True)
        leaves = list(INPUTS.leaves(listing.filter))
        plain = (leaf for leaf in leaves if isinstance(leaf.kind, GraphQLEnumType) or leaf.prefix)
        leaf = next(plain, leaves[0])
        wanted = {str(leaf.path[0]): [known.ids[leaf.prefix][0]] if leaf.prefix else cut[str(leaf.path[0])]}
        if leaf.prefix and len(leaf.path) == 1:
            wanted = {str(leaf.path[0]): known.ids[leaf.prefix][0]}
        page = await listing.page(gql, first=1, **asked)
        answer = await listing.ask(gql, first=1, after=page["pageInfo"]["endCursor"], filter=wanted, **asked)
        assert issues(answer) == [("after", "belongs to another filter of this list")]


def packed(*parts: Any) -> str:
    """Parts as a cursor is packed."""
    return urlsafe_b64encode(msgspec.msgpack.encode(parts)).rstrip(b"=").decode()


GARBAGE: Final = [
    "",
    "x",
    "=",
    "ä",
    "a" * 100_000,
    packed(),
    packed("NAME"),
    packed("NAME", "ASC", "", "x", "no id"),
    packed("NAME", "SIDEWAYS", "", "x", UUID(int=1)),
    packed(1, 2, 3, 4, 5),
    packed(*["x"] * 50),
    # Nested more deeply than a reader's stack.
    urlsafe_b64encode(b"\x95\xa4NAME\xa3ASC\xa2aa" + b"\x91" * 100_000 + b"\x00").rstrip(b"=").decode(),
]


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: text[:20])
async def test_what_is_no_cursor_is_said_to_be_none(gql: Gql, text: str) -> None:
    (clients,) = [listing for listing in ROOT if listing.name == "clients"]
    for size, place in (("first", "after"), ("last", "before")):
        answer = await clients.ask(gql, **{size: 1, place: text})
        assert issues(answer) == [(place, "is not a cursor of this list")]


@pytest.mark.parametrize("listing", LISTINGS, ids=repr)
async def test_an_altered_cursor_is_refused_or_is_a_place(gql: Gql, known: Known, listing: Listing) -> None:
    asked = parent_of(listing, known)
    for field in listing.orders:
        order = {"field": field, "direction": "ASC"}
        text = (await listing.page(gql, first=1, orderBy=order, **asked))["pageInfo"]["endCursor"]
        cursor = Cursor.decode(text, "after")
        # Well formed, and of another type than the list is ordered by, or beyond what can be stored.
        for value in (None, 5, -(2**63), 1.5, "x", "\0", "NaN", "9" * 400, b"x", [1], {"a": 1}, True, "0001-01-01"):
            forged = msgspec.structs.replace(cursor, value=value).encode()
            answer = await listing.ask(gql, first=1, after=forged, orderBy=order, **asked)
            assert set(answer.codes) <= {"VALIDATION_ERROR"}, value
        for at in range(0, len(text), 15):
            altered = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            answer = await listing.ask(gql, first=1, after=altered, orderBy=order, **asked)
            assert set(answer.codes) <= {"VALIDATION_ERROR"}, altered


async def test_a_cursor_of_another_list_is_refused(gql: Gql) -> None:
    places = {}
    for listing in ROOT:
        order = {"field": listing.orders[0], "direction": "ASC"}
        places[listing.name] = (await listing.page(gql, first=1, orderBy=order))["pageInfo"]["endCursor"]
    for listing, (name, place) in itertools.product(ROOT, places.items()):
        order = {"field": listing.orders[0], "direction": "ASC"}
        if listing.name != name:
            assert issues(await listing.ask(gql, first=1, after=place, orderBy=order))[0][0] == "after"


@pytest.mark.parametrize("listing", NESTED, ids=repr)
async def test_nested_pages_of_all_parents_are_one_statement(stage: Stage, gql: Gql, listing: Listing) -> None:
    seen: list[str] = []
    children = f"{listing.parent[0].lower()}{listing.parent[1:]}s"
    document = (
        f"{{ {children}(first: 50) {{ nodes {{ id "
        f"a: {listing.name}(first: 3) {{ totalCount nodes {{ id }} }} "
        f"b: {listing.name}(last: 2) {{ nodes {{ id }} }} }} }} }}"
    )
    with stage.services.doors.database.observed(seen.append):
        nodes = (await gql.run(document))[children]["nodes"]
    # The viewer, the parents, a page each for the two aliases, and the counts.
    assert len(seen) == 5
    for node in nodes:
        alone = await listing.page(gql, id=node["id"], first=3)
        assert node["a"] == {"totalCount": alone["totalCount"], "nodes": alone["nodes"]}
        assert node["b"]["nodes"] == (await listing.page(gql, id=node["id"], last=2))["nodes"]
    assert len({node["a"]["totalCount"] for node in nodes}) > 1


@pytest.mark.parametrize("size", [1, 5, 6, 7, 30, 50, 51, 200])
async def test_pages_of_any_size_are_planned_once_and_hold_no_more(stage: Stage, size: int) -> None:
    """A limit that is a parameter is planned anew by PostgreSQL for each page; written out, there are a few of them."""
    advisor = await stage.make.advisor(clients=9)
    seen: list[str] = []
    with stage.services.doors.database.observed(seen.append):
        found = await stage.gql.as_(advisor).run(
            "query ($n: Int!) { clients(first: $n) { nodes { id } pageInfo { hasNextPage } } }", n=size
        )
    assert len(found["clients"]["nodes"]) == min(size, 9)
    assert found["clients"]["pageInfo"]["hasNextPage"] is (size < 9)
    (limit,) = [int(text.rsplit("LIMIT", 1)[1]) for text in seen if "LIMIT" in text]
    assert limit in ROWS
    assert limit > size
