"""The audit trail as a file: who gets it, what is in it, and that no spreadsheet takes it for a formula."""

import asyncio
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from domain.access import Role
from domain.audit import AuditEventFilter, Trace, note
from domain.errors import Forbidden, Unauthenticated
from domain.origin import Origin
from domain.service_accounts import new_text
from graph.audit_csv import COLUMNS, Pages, lines
from graph.context import Services
from graph.contexts import Contexts
from graph.http.schema import Schema
from graph.ids import encode, id_of
from graph.settings import Settings
from persistence.audit import seal
from tests.factories import trail
from tests.factories.firm import Make, SignedIn
from tests.support.budgets import Budgets
from tests.support.gql import Gql
from tests.support.served import Served

PATH: Final = "/audit.csv"


async def fetched(gql: Gql, user: SignedIn | None, **parameters: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {user.token}"} if user else {}
    return await gql.client.get(PATH, params=parameters, headers=headers)


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    """The rows, as any reader of CSV sees them."""
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


@pytest.fixture
async def auditor(make: Make) -> SignedIn:
    return await make.user(Role.AUDITOR)


@pytest.mark.parametrize("role", [None, *Role])
async def test_admins_and_auditors_get_the_file(gql: Gql, make: Make, role: Role | None) -> None:
    answer = await fetched(gql, await make.user(role) if role else None)
    expected = 401 if role is None else 200 if role in {Role.ADMIN, Role.AUDITOR} else 403
    assert answer.status_code == expected
    if expected != 200:
        code = {401: "UNAUTHENTICATED", 403: "FORBIDDEN"}[expected]
        assert answer.json()["errors"][0]["extensions"]["code"] == code
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


async def test_the_file_says_what_it_is(gql: Gql, auditor: SignedIn) -> None:
    answer = await fetched(gql, auditor)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="audit-\d{8}-\d{6}\.csv"', answer.headers["content-disposition"])
    assert answer.text == ",".join(COLUMNS) + "\r\n"


async def test_a_row_tells_what_the_trail_does_but_for_what_is_personal(
    gql: Gql, make: Make, services: Services, auditor: SignedIn
) -> None:
    advisor = await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book, name="Asha Rao")
    details = {"name": "Zoe Rao", "segment": "HNI"}
    await gql.as_(advisor).change("updateClient", "client { id }", clientId=id_of(client), version=1, details=details)
    await seal(services.doors.database, datetime.now(UTC))
    (row,) = [each for each in rows_of(await fetched(gql, auditor)) if each["action"] == "clients.update"]
    assert row["objectId"] == row["clientId"] == id_of(client)
    assert (row["actorId"], row["sessionId"]) == (advisor.id, encode("session", advisor.session.id))
    assert (row["objectType"], row["seal"]) == ("Client", "1")
    assert '"segment":"AFFLUENT"' in row["before"]
    assert '"segment":"HNI"' in row["after"]
    assert '"name":"(personal)"' in row["after"]
    assert datetime.fromisoformat(row["occurredAt"]) <= datetime.now(UTC)
    assert "Rao" not in str(row)


async def test_many_rows_come_in_pages_each_once_and_in_order(
    gql: Gql, make: Make, auditor: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.audit_csv.ROWS", 7)
    book = await make.book()
    at = make.now - timedelta(days=1)
    events = [
        await trail.event(make, "Book", book.id, occurred_at=at + timedelta(seconds=number // 3))
        for number in range(40)
    ]
    rows = rows_of(await fetched(gql, auditor))
    assert [row["id"] for row in rows] == [id_of(event) for event in events]


async def test_the_filters_are_those_of_the_list(gql: Gql, make: Make, auditor: SignedIn) -> None:
    book, client = await make.book(), await make.client(await make.book())
    at = make.now - timedelta(days=2)
    first = await trail.event(make, "Book", book.id, actor_id=auditor.user.id, occurred_at=at, action="books.open_book")
    second = await trail.event(make, "Client", client.id, client_id=client.id, occurred_at=at + timedelta(hours=1))
    third = await trail.event(make, "Book", book.id, occurred_at=at + timedelta(hours=2))
    middle = second.occurred_at.isoformat()
    for cut, expected in (
        ({"actorId": auditor.id, "actions": ["books.open_book"]}, [first]),
        ({"objectId": id_of(book)}, [first, third]),
        ({"clientId": id_of(client)}, [second]),
        ({"actions": ["books.open_book", "tests.change"]}, [first, second, third]),
        ({"occurredFrom": middle}, [second, third]),
        ({"occurredFrom": at.isoformat(), "occurredBefore": middle}, [first]),
        ({"requestId": third.request_id}, [third]),
    ):
        found = [row["id"] for row in rows_of(await fetched(gql, auditor, **cut)) if row["action"] != "audit.export"]
        assert found == [id_of(event) for event in expected], cut


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actorId", "client_" + "0" * 32),
        ("actorId", "x"),
        ("occurredFrom", "yesterday"),
        ("occurredBefore", "2026-01-01"),
        ("objectId", "book_0"),
        ("nothing", "1"),
    ],
)
async def test_a_parameter_that_is_none_is_named(gql: Gql, auditor: SignedIn, name: str, value: str) -> None:
    answer = await fetched(gql, auditor, **{name: value})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR"
    assert error["extensions"]["details"][0]["field"] == name


async def test_an_export_is_a_reading_that_the_trail_tells_of(gql: Gql, make: Make) -> None:
    for role in (Role.ADMIN, Role.AUDITOR):
        user = await make.user(role)
        await fetched(gql, user, actions=["books.open_book"], requestId="abc")
        (row,) = await make.connection.fetch(
            "select after from audit_events where action = 'audit.export' and actor_id = $1", user.user.id
        )
        assert '"abc"' in row["after"]
        assert "books.open_book" in row["after"]


FORMULAS: Final = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_a_formula(text: str) -> None:
    ((first, second),) = csv.reader(io.StringIO(lines([[text, "plain"]]), newline=""))
    assert (first, second) == (f"'{text}", "plain")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
@pytest.mark.parametrize("between", [";", "\t", "\r", "\n", '\t"', ';""'])
def test_nor_does_a_part_of_one_where_other_characters_separate(between: str, sign: str) -> None:
    written = lines([[f"word{between}{sign}1", f"{between}{sign}2"]])
    first, second = next(csv.reader(io.StringIO(written, newline="")))
    assert first == f"word{between}'{sign}1"
    assert second.removeprefix("'") == f"{between}'{sign}2"
    assert second.startswith("'") == (between[0] != ";")
    assert not re.search(r'[;\t\r\n"][=+\-@]', written)


@pytest.mark.parametrize("text", ['say "hello", all', "two\r\nlines", "Ü 李 😀", "a;b", "", " "])
def test_texts_come_back_as_they_were(text: str) -> None:
    ((first, _),) = csv.reader(io.StringIO(lines([[text, "x"]]), newline=""))
    assert first == text


async def test_formulas_that_somebody_wrote_are_told_as_text(
    gql: Gql, make: Make, services: Services, auditor: SignedIn
) -> None:
    viewer = await make.viewer(auditor)
    trace = Trace("tests.formula", "Nothing", facts={"word": "=1+1"}, reason='=HYPERLINK("http://x")')
    await services.doors.write(viewer, "-1+1", note, viewer, trace)
    (row,) = [each for each in rows_of(await fetched(gql, auditor)) if each["action"] == "tests.formula"]
    assert row["reason"] == '\'=HYPERLINK("http://x")'
    assert row["requestId"] == "'-1+1"
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())


async def test_other_methods_are_not_taken(gql: Gql, auditor: SignedIn) -> None:
    headers = {"authorization": f"Bearer {auditor.token}"}
    assert (await gql.client.post(PATH, headers=headers)).status_code == 405


async def test_a_reader_that_leaves_leaves_the_server_to_others(
    live: Served, make: Make, gql: Gql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.audit_csv.ROWS", 2)
    book, admin = await make.book(), await make.user(Role.ADMIN)
    for _ in range(30):
        await trail.event(make, "Book", book.id, after=f'{{"name": "{"x" * 20_000}"}}')
    headers = {"authorization": f"Bearer {admin.token}"}
    for _ in range(6):
        async with httpx.AsyncClient() as client, client.stream("GET", f"{live.url}{PATH}", headers=headers) as answer:
            assert answer.status_code == 200
            await anext(answer.aiter_raw())
    assert (await gql.as_(admin).run("{ viewer { role } }"))["viewer"] == {"role": "ADMIN"}


@pytest.mark.parametrize("loss", ["role", "session", "token"])
async def test_an_export_ends_with_the_right_to_it(
    make: Make, services: Services, auditor: SignedIn, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr("graph.audit_csv.ROWS", 2)
    book = await make.book()
    for _ in range(10):
        await trail.event(make, "Book", book.id, occurred_at=make.now - timedelta(days=1))
    context = await Contexts(services).of_request(auditor.token, Origin("request"))
    pages = Pages(context, AuditEventFilter(occurred_before=make.now))
    following = pages.following(await pages.next())
    assert (await anext(following)).count("\r\n") == 3
    assert (await anext(following)).count("\r\n") == 2
    if loss == "role":
        await make.connection.execute("update users set role = 'ANALYST' where id = $1", auditor.user.id)
    elif loss == "session":
        await make.connection.execute("update sessions set revoked_at = now() where id = $1", auditor.session.id)
    else:
        later = services.doors.clock() + services.tokens.lives.access
        monkeypatch.setattr(services.doors, "clock", lambda: later)
    with pytest.raises(Forbidden if loss == "role" else Unauthenticated):
        await anext(following)


async def test_an_export_takes_no_longer_than_it_may(
    settings: Settings,
    services: Services,
    schema: Schema,
    make: Make,
    auditor: SignedIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("graph.audit_csv.ROWS", 2)
    monkeypatch.setattr("graph.audit_csv.LONGEST", timedelta(seconds=1))
    book = await make.book()
    for _ in range(6):
        await trail.event(make, "Book", book.id, occurred_at=make.now - timedelta(days=1))
    # The second page waits for the next minute.
    async with Budgets(settings, services, schema, cost=150).at() as caller, asyncio.timeout(10):
        assert len(rows_of(await fetched(caller, auditor))) == 2


async def test_guessing_keys_is_counted_here_too(settings: Settings, services: Services, schema: Schema) -> None:
    async with Budgets(settings, services, schema, anonymous_requests=3).at() as caller:
        asked = [
            (await caller.client.get(PATH, headers={"authorization": f"Bearer {new_text()}"})).status_code
            for _ in range(5)
        ]
    assert asked == [401, 401, 401, 429, 429]


async def test_a_session_that_has_ended_gets_nothing(gql: Gql, make: Make, auditor: SignedIn) -> None:
    await make.connection.execute("update sessions set revoked_at = now() where id = $1", auditor.session.id)
    answer = await fetched(gql, auditor)
    assert answer.status_code == 401
    assert await make.connection.fetchval("select count(*) from audit_events") == 0
