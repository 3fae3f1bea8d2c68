"""Status, media type and credentials of answers over HTTP."""

import pytest

from tests.http.conftest import Served
from tests.http.talk import code

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
STREAM = "text/event-stream"
URQL = f"{GRAPHQL}, application/graphql+json, {JSON}, {STREAM}, multipart/mixed"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL),
        (f"{GRAPHQL},{JSON};q=0.9", GRAPHQL),
        (f"{JSON};q=0.9,{GRAPHQL}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{JSON};q=0, */*", GRAPHQL),
        (f"{JSON};q=0.2, application/*;q=0.5", GRAPHQL),
        (f"{JSON};q=nonsense, {GRAPHQL};q=0.1", GRAPHQL),
        (URQL, GRAPHQL),
        (f"text/html, */*;q=0.1, {STREAM};q=0.01", JSON),
    ],
)
async def test_the_media_type_is_the_one_preferred(api: Served, accept: str, media: str) -> None:
    answer = await api.post("{ hello }", headers={"Accept": accept})
    assert answer.headers["content-type"] == f"{media}; charset=utf-8"
    assert answer.json() == {"data": {"hello": "Hello, world."}}


@pytest.mark.parametrize("accept", ["image/png", "text/html", f"{JSON};q=0", "text/*"])
async def test_an_unknown_media_type_is_answered_406(api: Served, accept: str) -> None:
    answer = await api.post("{ hello }", headers={"Accept": accept})
    assert (answer.status_code, code(answer.json())) == (406, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("query", "strict"),
    [
        ("{ hello }", 200),
        ("{ hello missing }", 200),
        ("{ boomRequired }", 200),
        ("{", 400),
        ("{ nope }", 400),
        ("query A { hello } query B { hello }", 400),
        ("query ($n: Int!) { count(number: $n) }", 400),
    ],
)
async def test_the_status_says_whether_the_operation_ran(api: Served, query: str, strict: int) -> None:
    answer = await api.post(query, headers={"Accept": GRAPHQL})
    assert answer.status_code == strict
    assert ("data" in answer.json()) is (strict == 200)
    legacy = await api.post(query, headers={"Accept": JSON})
    assert (legacy.status_code, set(legacy.json())) == (200, set(answer.json()))


async def test_a_field_that_fails_leaves_its_siblings(api: Served) -> None:
    body = (await api.post("{ hello missing forbidden }")).json()
    assert body["data"] == {"hello": "Hello, world.", "missing": None, "forbidden": None}
    assert {error["path"][0]: error["extensions"]["code"] for error in body["errors"]} == {
        "missing": "NOT_FOUND",
        "forbidden": "FORBIDDEN",
    }


async def test_json_of_users_may_hold_integers_of_any_width(api: Served) -> None:
    assert (await api.post("{ wide }")).json() == {"data": {"wide": {"wide": 2**70, "text": "é"}}}


@pytest.mark.parametrize("header", [None, "", "Bearer"])
async def test_without_a_token_the_viewer_is_anonymous(api: Served, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert (await api.post("{ who }", headers=headers)).json() == {"data": {"who": "nobody"}}


@pytest.mark.parametrize("header", ["Bearer good", "bearer   good", "BEARER good"])
async def test_a_token_says_who_asks(api: Served, header: str) -> None:
    assert (await api.post("{ who }", headers={"Authorization": header})).json() == {"data": {"who": "good"}}


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (GRAPHQL, 401), (STREAM, 401)])
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Bearer expired", "EXPIRED"),
        ("Bearer revoked", "REVOKED"),
        ("Bearer invalid", "INVALID"),
        ("Basic Z29vZA==", "INVALID"),
    ],
)
async def test_a_bad_token_is_told(api: Served, header: str, reason: str, accept: str, status: int) -> None:
    answer = await api.post("mutation { change }", headers={"Authorization": header, "Accept": accept})
    (error,) = answer.json()["errors"]
    assert answer.status_code == status
    assert (error["extensions"]["code"], error["extensions"]["reason"]) == ("UNAUTHENTICATED", reason)
    assert "data" not in answer.json()
    assert answer.headers.get("www-authenticate") == (None if status == 200 else "Bearer")
    assert api.sessions.seen.ran == []


@pytest.mark.parametrize("accept", [JSON, GRAPHQL, STREAM])
async def test_an_outage_is_503_and_says_when_to_come_back(api: Served, accept: str) -> None:
    api.sessions.down = True
    answer = await api.post("{ hello }", headers={"Accept": accept})
    assert (answer.status_code, code(answer.json()), answer.headers["retry-after"]) == (503, "UNAVAILABLE", "7")
    api.sessions.down = False
    assert (await api.post("{ hello }")).status_code == 200


async def test_a_bug_before_the_operation_is_masked(api: Served) -> None:
    api.sessions.broken = True
    answer = await api.post("{ hello }")
    assert (answer.status_code, code(answer.json())) == (500, "INTERNAL")
    assert "hunter2" not in answer.text
