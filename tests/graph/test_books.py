from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.access import Role
from domain.books import Book, Membership, MembershipKind
from graph.ids import encode, id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.stage import Stage
from tests.support.statements import Statements

DAY = timedelta(days=1)
BOOKS = """
query ($first: Int, $filter: BookFilter) {
    books(first: $first, filter: $filter) {
        totalCount
        nodes {
            id name openedOn team { name unit { name } } unit { name } memberships { kind user { name } book { id } }
        }
    }
}
"""
MEMBERSHIP = "membership { id kind startsOn endsOn version user { name } book { name } }"


# One database for the module: each test has a team, and so books, of its own.
@pytest.fixture
def make(stage: Stage) -> Make:
    return stage.make


@pytest.fixture
def gql(stage: Stage) -> Gql:
    return stage.gql


@pytest.fixture
async def supervisor(make: Make) -> SignedIn:
    """A supervisor whose team has one book."""
    team = await make.team()
    found = await make.user(Role.SUPERVISOR, team)
    return SignedIn(found.user, found.session, found.token, await make.book(team))


@pytest.fixture
def book(supervisor: SignedIn) -> Book:
    assert supervisor.book
    return supervisor.book


@pytest.fixture
async def today(make: Make, supervisor: SignedIn) -> date:
    return (await make.viewer(supervisor)).today(make.now)


async def add(gql: Gql, by: SignedIn, **given: Any) -> Any:
    return await gql.as_(by).change("addMember", MEMBERSHIP, **given)


def declined(payload: Any) -> list[tuple[str, str]]:
    """Code and field of each user error."""
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


async def test_a_book_is_opened_in_a_team_of_ones_own(gql: Gql, supervisor: SignedIn, book: Book, today: date) -> None:
    team = encode("team", book.team_id)
    payload = await gql.as_(supervisor).change(
        "openBook", "book { id name openedOn version team { id } }", name="  Müller   & Sons ", teamId=team
    )
    assert payload["userErrors"] == []
    opened = payload["book"]
    assert opened.pop("id").startswith("book_")
    assert opened == {"name": "Müller & Sons", "openedOn": today.isoformat(), "version": 1, "team": {"id": team}}
    listed = (await gql.as_(supervisor).run(BOOKS))["books"]
    assert [node["name"] for node in listed["nodes"]] == [book.name, "Müller & Sons"]


async def test_a_manager_opens_books_in_the_teams_of_its_unit(gql: Gql, make: Make) -> None:
    inside, outside = await make.team(), await make.team()
    manager = await make.user(Role.BU_MANAGER, inside)
    for team, codes in ((inside, []), (outside, ["NOT_FOUND"])):
        document = "mutation ($input: OpenBookInput!) { openBook(input: $input) { book { id } } }"
        assert (await gql.as_(manager).ask(document, input={"name": "x", "teamId": id_of(team)})).codes == codes


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
async def test_a_book_needs_a_name(gql: Gql, supervisor: SignedIn, book: Book, name: str) -> None:
    payload = await gql.as_(supervisor).change(
        "openBook", "book { id }", name=name, teamId=encode("team", book.team_id)
    )
    assert payload["book"] is None
    assert declined(payload) == [("INVALID_VALUE", "input.name")]


async def test_a_member_is_added_from_today_on(
    gql: Gql, make: Make, supervisor: SignedIn, book: Book, today: date
) -> None:
    advisor = await make.user(Role.ADVISOR)
    payload = await add(gql, supervisor, bookId=id_of(book), userId=advisor.id, kind="ASSISTANT")
    membership = payload["membership"]
    assert membership.pop("id").startswith("membership_")
    assert membership == {
        "kind": "ASSISTANT",
        "startsOn": today.isoformat(),
        "endsOn": None,
        "version": 1,
        "user": {"name": advisor.user.name},
        "book": {"name": book.name},
    }
    assert (await gql.as_(advisor).run(BOOKS))["books"]["totalCount"] == 1


async def test_a_time_that_ends_before_it_begins_is_declined(
    gql: Gql, make: Make, supervisor: SignedIn, book: Book
) -> None:
    advisor = await make.user(Role.ADVISOR)
    payload = await add(
        gql,
        supervisor,
        bookId=id_of(book),
        userId=advisor.id,
        kind="STAND_IN",
        startsOn="2026-02-02",
        endsOn="2026-02-01",
    )
    assert declined(payload) == [("INVALID_VALUE", "input.endsOn")]


@pytest.mark.parametrize(
    ("days", "codes"),
    [
        ((10, 20), ["OVERLAPPING_MEMBERSHIP"]),
        ((0, 10), ["OVERLAPPING_MEMBERSHIP"]),
        ((20, None), ["OVERLAPPING_MEMBERSHIP"]),
        ((0, None), ["OVERLAPPING_MEMBERSHIP"]),
        ((0, 9), []),
        ((21, None), []),
    ],
)
async def test_memberships_of_a_person_do_not_overlap(
    gql: Gql, make: Make, supervisor: SignedIn, days: tuple[int, int | None], codes: list[str]
) -> None:
    assert supervisor.book
    advisor = await make.user(Role.ADVISOR)
    first = date(2026, 3, 1)
    await make.membership(supervisor.book, advisor.user, starts_on=first + 10 * DAY, ends_on=first + 20 * DAY)
    starts, ends = [None if day is None else (first + day * DAY).isoformat() for day in days]
    payload = await add(
        gql,
        supervisor,
        bookId=id_of(supervisor.book),
        userId=advisor.id,
        kind="STAND_IN",
        startsOn=starts,
        endsOn=ends,
    )
    assert declined(payload) == [(code, "input.userId") for code in codes]


async def test_an_end_client_is_no_member(gql: Gql, make: Make, supervisor: SignedIn, book: Book) -> None:
    client = await make.client(book)
    user = await make.user(Role.CLIENT, client_id=client.id)
    payload = await add(gql, supervisor, bookId=id_of(book), userId=user.id, kind="ASSISTANT")
    assert declined(payload) == [("INVALID_VALUE", "input.userId")]


async def test_an_unknown_user_is_not_found(gql: Gql, supervisor: SignedIn, book: Book) -> None:
    document = "mutation ($input: AddMemberInput!) { addMember(input: $input) { membership { id } } }"
    given = {"bookId": id_of(book), "userId": encode("user", UUID(int=5)), "kind": "ASSISTANT"}
    assert (await gql.as_(supervisor).ask(document, input=given)).codes == ["NOT_FOUND"]


async def end(gql: Gql, by: SignedIn, membership: Membership, **given: Any) -> Any:
    return await gql.as_(by).change(
        "endMembership", "membership { endsOn version }", membershipId=id_of(membership), **given
    )


async def test_an_ended_membership_counts_no_more(
    gql: Gql, make: Make, supervisor: SignedIn, book: Book, today: date
) -> None:
    advisor = await make.user(Role.ADVISOR)
    membership = await make.membership(book, advisor.user)
    assert (await gql.as_(advisor).run(BOOKS))["books"]["totalCount"] == 1
    payload = await end(gql, supervisor, membership)
    assert payload["membership"]["version"] == 2
    # A day that is over everywhere, whatever the zone of the member.
    assert today - 2 * DAY <= date.fromisoformat(payload["membership"]["endsOn"]) < today
    assert (await gql.as_(advisor).run(BOOKS))["books"]["totalCount"] == 0
    for given in ({}, {"endsOn": (today + 9 * DAY).isoformat()}, {"endsOn": (today - 9 * DAY).isoformat()}):
        assert declined(await end(gql, supervisor, membership, **given)) == [("MEMBERSHIP_ENDED", "input.membershipId")]


async def test_a_membership_ends_with_the_given_day(
    gql: Gql, make: Make, supervisor: SignedIn, book: Book, today: date
) -> None:
    advisor = await make.user(Role.ADVISOR)
    membership = await make.membership(book, advisor.user)
    assert (await end(gql, supervisor, membership, endsOn=today.isoformat()))["userErrors"] == []
    # The last day is one of the membership.
    assert (await gql.as_(advisor).run(BOOKS))["books"]["totalCount"] == 1
    longer = await end(gql, supervisor, membership, endsOn=(today + 7 * DAY).isoformat())
    assert longer["membership"] == {"endsOn": (today + 7 * DAY).isoformat(), "version": 3}


async def test_a_membership_is_not_lengthened_into_another(
    gql: Gql, make: Make, supervisor: SignedIn, book: Book, today: date
) -> None:
    advisor = await make.user(Role.ADVISOR)
    membership = await make.membership(book, advisor.user, ends_on=today + DAY)
    await make.membership(book, advisor.user, starts_on=today + 5 * DAY)
    longer = await end(gql, supervisor, membership, endsOn=(today + 5 * DAY).isoformat())
    assert declined(longer) == [("OVERLAPPING_MEMBERSHIP", "input.endsOn")]


async def test_a_membership_that_has_not_begun_never_does(
    gql: Gql, make: Make, supervisor: SignedIn, book: Book, today: date
) -> None:
    advisor = await make.user(Role.ADVISOR)
    starts = today + 10 * DAY
    membership = await make.membership(book, advisor.user, starts_on=starts)
    assert declined(await end(gql, supervisor, membership, endsOn=(starts - 2 * DAY).isoformat())) == [
        ("INVALID_VALUE", "input.endsOn")
    ]
    payload = await end(gql, supervisor, membership)
    assert payload["membership"]["endsOn"] == (starts - DAY).isoformat()
    # It holds no day, so it is in nobody's way.
    again = await add(
        gql, supervisor, bookId=id_of(book), userId=advisor.id, kind="STAND_IN", startsOn=today.isoformat()
    )
    assert again["userErrors"] == []


async def test_the_first_day_of_the_calendar_is_a_day(gql: Gql, make: Make, supervisor: SignedIn, book: Book) -> None:
    membership = await make.membership(book, (await make.user(Role.ADVISOR)).user, starts_on=date.min)
    payload = await end(gql, supervisor, membership, endsOn="0001-01-01")
    assert payload["membership"]["endsOn"] == "0001-01-01"


async def test_a_member_of_another_teams_book_is_not_found(gql: Gql, make: Make, supervisor: SignedIn) -> None:
    membership = await make.membership(await make.book(), supervisor.user, ends_on=date(2020, 1, 2))
    document = "mutation ($input: EndMembershipInput!) { endMembership(input: $input) { membership { id } } }"
    given = {"membershipId": id_of(membership)}
    assert (await gql.as_(supervisor).ask(document, input=given)).codes == ["NOT_FOUND"]


async def test_books_are_filtered_by_team(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    mine, others = await make.team(), await make.team()
    for team, name in ((mine, "b"), (mine, "Á"), (others, "c"), (mine, "C")):
        await make.book(team, name=name)
    listed = await gql.as_(admin).run(BOOKS, filter={"teamIds": [id_of(mine)]})
    assert [node["name"] for node in listed["books"]["nodes"]] == ["Á", "b", "C"]
    assert listed["books"]["totalCount"] == 3
    assert (await gql.as_(admin).run(BOOKS, filter={"teamIds": []}))["books"]["totalCount"] == 0


@pytest.mark.parametrize("books", [2, 20])
async def test_the_list_costs_the_same_whatever_its_size(stage: Stage, gql: Gql, make: Make, books: int) -> None:
    team = await make.team()
    supervisor = await make.user(Role.SUPERVISOR, team)
    for _ in range(books):
        book = await make.book(team)
        await make.membership(book, (await make.user(Role.ADVISOR)).user, kind=MembershipKind.STAND_IN)
    with Statements(stage.services.doors.database).counted() as seen:
        assert len((await gql.as_(supervisor).run(BOOKS, first=20))["books"]["nodes"]) == books
    # The page, its count, and one each for teams, units, memberships, their users and their books.
    assert len(seen) == 2 + 5
