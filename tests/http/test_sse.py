"""Server-sent events: the token comes with the request, and its end is told."""

import asyncio
from typing import Any

import pytest

from domain.errors import Unavailable
from tests.http.conftest import LIMITS, Served
from tests.http.talk import PATIENCE, code, events


async def test_events_come_one_by_one_and_then_complete(api: Served) -> None:
    async with events(api, "subscription { ticks(most: 2, pause: 0) }", token="good") as stream:
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store, no-transform"
        assert stream.response.headers["x-content-type-options"] == "nosniff"
        assert await stream.rest() == [
            ("next", {"data": {"ticks": 0}}),
            ("next", {"data": {"ticks": 1}}),
            ("complete", None),
        ]


async def test_a_subscription_by_get_streams_too(api: Served) -> None:
    query = {"query": "subscription { ticks(most: 1) }"}
    answer = await api.http.get("/", params=query, headers={"Accept": "text/event-stream"})
    assert answer.text == 'event: next\ndata: {"data":{"ticks":0}}\n\nevent: complete\ndata:\n\n'


@pytest.mark.parametrize(("query", "data"), [("{ who }", {"who": "good"}), ("mutation { change }", {"change": "x"})])
async def test_other_operations_are_a_stream_of_one(api: Served, query: str, data: dict[str, str]) -> None:
    async with events(api, query, token="good") as stream:
        assert await stream.rest() == [("next", {"data": data}), ("complete", None)]


async def test_mutations_by_get_are_refused_in_streams_too(api: Served) -> None:
    query = {"query": "mutation { change }"}
    answer = await api.http.get("/", params=query, headers={"Accept": "text/event-stream"})
    assert '"code":"VALIDATION_ERROR"' in answer.text
    assert api.sessions.seen.ran == []


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{", {}),
        ("subscription { nope }", {}),
        ("subscription ($n: Int!) { ticks(most: $n) }", {"n": "many"}),
        ("query A { hello } query B { hello }", {}),
    ],
)
async def test_an_operation_that_cannot_run_is_told_in_the_stream(
    api: Served, query: str, variables: dict[str, Any]
) -> None:
    async with events(api, query, variables=variables) as stream:
        (kind, told), last = await stream.rest()
    assert (kind, last) == ("next", ("complete", None))
    assert list(told) == ["errors"]
    assert code(told) == "VALIDATION_ERROR"


async def test_a_request_that_cannot_be_read_is_no_stream(api: Served) -> None:
    answer = await api.post(None, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json; charset=utf-8")


@pytest.mark.parametrize("reason", ["EXPIRED", "REVOKED"])
@pytest.mark.parametrize("field", ["ticks", "quiet"])
async def test_the_end_of_the_session_is_told_before_the_stream_completes(api: Served, field: str, reason: str) -> None:
    async with events(api, f"subscription {{ {field} }}", token="good") as stream:
        await stream.next()
        api.sessions.session.end(reason)
        *_, (kind, told), last = await stream.rest()
    assert (kind, last) == ("next", ("complete", None))
    assert (
        told["errors"][0]["extensions"] | {"code": "UNAUTHENTICATED", "reason": reason}
        == told["errors"][0]["extensions"]
    )
    assert api.sessions.seen.open_streams == 0


@pytest.mark.parametrize(("failure", "told"), [(Unavailable(), "UNAVAILABLE"), (RuntimeError("a bug"), "INTERNAL")])
async def test_a_session_that_nobody_can_vouch_for_is_over(api: Served, failure: Exception, told: str) -> None:
    async with events(api, "subscription { quiet }", token="good") as stream:
        await stream.next()
        api.sessions.session.fail(failure)
        (kind, answer), last = await stream.rest()
    assert (kind, last, code(answer)) == ("next", ("complete", None), told)
    assert "a bug" not in str(answer)


async def test_a_quiet_stream_says_that_it_lives(api: Served) -> None:
    async with events(api, "subscription { quiet }") as stream:
        assert [(await stream.next())[0] for _ in range(3)] == [":"] * 3


@pytest.mark.parametrize("field", ["ticks", "quiet", "floods"])
async def test_a_subscription_ends_with_its_reader(api: Served, field: str) -> None:
    async with events(api, f"subscription {{ {field} }}") as stream:
        await stream.next()
        assert api.sessions.seen.open_streams == 1
    await asyncio.wait_for(api.sessions.seen.closed.wait(), PATIENCE)
    assert api.sessions.seen.open_streams == 0


async def test_the_end_of_a_session_reaches_a_reader_that_sleeps(api: Served) -> None:
    async with events(api, "subscription { floods }", token="good"):
        await asyncio.sleep(0.3)
        produced = len(api.sessions.seen.ran)
        assert 0 < produced < 1_000
        api.sessions.session.end("REVOKED")
        await asyncio.wait_for(api.sessions.seen.closed.wait(), PATIENCE)
        assert len(api.sessions.seen.ran) - produced <= 1
        await asyncio.wait_for(api.idle(), LIMITS.last_words_seconds * 4)


async def test_each_event_has_a_context_of_its_own(api: Served) -> None:
    async with events(api, "subscription { things(most: 2) { visits again: visits } }") as stream:
        told = [data["data"]["things"] for kind, data in await stream.rest() if kind == "next"]
    assert told == [{"visits": 1, "again": 2}] * 2
