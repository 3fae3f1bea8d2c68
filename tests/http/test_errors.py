"""Each error has a code and names its place; what nobody foresaw says nothing."""

import json
import logging
from typing import Any

import pytest

from tests.http.conftest import Served
from tests.http.talk import code, events, talk

GRAPHQL = {"Accept": "application/graphql-response+json"}
HALF = "\ud800"


def details(answer: Any) -> list[tuple[str, str]]:
    return [(found["field"], found["issue"]) for found in answer["errors"][0]["extensions"]["details"]]


@pytest.mark.parametrize(
    ("query", "variables", "field"),
    [
        ("query ($n: Int!) { count(number: $n) }", {"n": "many"}, "n"),
        ("query ($n: Int!) { count(number: $n) }", {"n": 2**31}, "n"),
        ("query ($n: Int!) { count(number: $n) }", {"n": 10**400}, "n"),
        ("query ($n: Int!) { count(number: $n) }", {"n": 1.5}, "n"),
        ("query ($n: Int!) { count(number: $n) }", {}, "n"),
        ("query ($n: Int = 3) { count(number: $n) }", {"n": None}, "number"),
        ("query ($d: DayInput!) { day(input: $d) }", {"d": {"day": "2026-02-30"}}, "d.day"),
        ("query ($d: DayInput!) { day(input: $d) }", {"d": {"day": 3}}, "d.day"),
        ("query ($d: DayInput!) { day(input: $d) }", {"d": {"day": "2026-02-01", "tags": ["a", 1]}}, "d.tags[1]"),
        ("query ($d: DayInput!) { day(input: $d) }", {"d": {"day": "2026-02-01", "nope": 1}}, "d"),
        ('{ day(input: {day: "2026-02-30"}) }', {}, "input.day"),
        ('{ day(input: {day: "2026-02-01", tags: ["a", 1]}) }', {}, "input.tags[1]"),
        ("{ day(input: {}) }", {}, "input"),
        ('{ picky(even: "odd") }', {}, "even"),
        ("query ($e: Even!) { picky(even: $e) }", {"e": "odd"}, "e"),
        ('{ picky(even: "bug") }', {}, "even"),
        ("query ($e: Even!) { picky(even: $e) }", {"e": "bug"}, "e"),
        ("{ count(number: 99999999999) }", {}, "number"),
        (f"{{ count(number: {'9' * 5_000}) }}", {}, "number"),
        ("{ nope }", {}, "nope"),
        ("{ hello(nope: 1) }", {}, "nope"),
        ("query ($n: Nope) { hello }", {}, "n"),
        ("{ hello", {}, ""),
        ("query ($n: Int!) { ratio(number: $n) }", {"n": 1}, "n"),
    ],
)
async def test_bad_input_is_a_validation_error_at_its_place(
    api: Served, query: str, variables: dict[str, Any], field: str
) -> None:
    answer = (await api.post(query, variables=variables)).json()
    assert code(answer) == "VALIDATION_ERROR"
    assert details(answer)[0][0] == field
    assert len(answer["errors"][0]["message"]) < 600
    assert "hunter2" not in str(answer)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400 + ".0"])
@pytest.mark.parametrize("query", ["query ($n: Float!) { ratio(number: $n) }", "query ($n: Even!) { picky(even: $n) }"])
async def test_numbers_out_of_range_are_named(api: Served, query: str, number: str) -> None:
    body = json.dumps({"query": query, "variables": {"n": "NUMBER"}}).replace('"NUMBER"', number)
    answer = await api.http.post("/", content=body, headers={"Content-Type": "application/json", **GRAPHQL})
    assert (answer.status_code, code(answer.json())) == (400, "VALIDATION_ERROR")
    assert details(answer.json())[0][0] == "n"


@pytest.mark.parametrize("text", ["a\x00b", HALF, f"a{HALF}b", "\udfff"])
@pytest.mark.parametrize(
    ("query", "shape", "field"),
    [
        ("query ($a: String!) { hello(name: $a) }", lambda text: {"a": text}, "a"),
        ("query ($a: JSON) { hello }", lambda text: {"x": 1, "a": {"b": [0, {"c": text}]}}, "a.b[1].c"),
        ("query ($a: JSON) { hello }", lambda text: {"a": {text: 1}}, "a"),
    ],
)
async def test_text_that_cannot_be_stored_is_refused(
    api: Served, text: str, query: str, shape: Any, field: str
) -> None:
    body = json.dumps({"query": query, "variables": shape(text)})
    answer = await api.http.post("/", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, code(answer.json())) == (400, "VALIDATION_ERROR")
    assert details(answer.json())[0][0] == field


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ('{ hello(name: "a\\u0000b") }', "name"),
        ('{ hello(name: "\\u{0}") }', "name"),
        ('{ day(input: {day: "2026-02-01", tags: ["\\u0000"]}) }', "tags"),
        ('{ hello(name: "a\x00b") }', "query"),
        ('{ hello(name: """a\x00b""") }', "query"),
        (f'{{ hello(name: "{HALF}") }}', "query"),
        ('{ hello(name: "\\uD800") }', ""),
        (f"# {HALF}\n{{ hello }}", "query"),
    ],
)
async def test_literals_that_cannot_be_stored_are_refused(api: Served, query: str, field: str) -> None:
    body = json.dumps({"query": query})
    answer = await api.http.post("/", content=body, headers={"Content-Type": "application/json", **GRAPHQL})
    assert (answer.status_code, code(answer.json())) == (400, "VALIDATION_ERROR")
    assert details(answer.json())[0][0] == field


async def test_text_beyond_the_basic_plane_passes(api: Served) -> None:
    answer = await api.post('{ a: hello(name: "\\u{1F600}") }', variables={"x": "😀"})
    assert answer.json() == {"data": {"a": "Hello, 😀."}}
    escaped = '{"query": "query ($a: String!) { hello(name: $a) }", "variables": {"a": "\\ud83d\\ude00"}}'
    answer = await api.http.post("/", content=escaped, headers={"Content-Type": "application/json"})
    assert answer.json() == {"data": {"hello": "Hello, 😀."}}


async def test_a_handful_of_mistakes_is_enough(api: Served) -> None:
    answer = await api.post("{ " + " ".join(f"nope{n}" for n in range(15)) + " }")
    assert len(answer.json()["errors"]) == 5


@pytest.mark.parametrize(
    "query",
    ["{ %s }", "{ hello(%s: 1) }", "query ($%s: Int!) { hello }", "{ ...%s }", "{ hello @%s }", "query %s { nope }"],
)
async def test_what_is_told_of_a_mistake_is_short(api: Served, query: str) -> None:
    answer = await api.post(query % ("x" * 90_000))
    assert code(answer.json()) == "VALIDATION_ERROR"
    assert len(answer.content) < 3_000


async def test_deep_variables_are_no_bug(api: Served) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    body = json.dumps({"query": "query ($n: Int!) { count(number: $n) }", "variables": {"n": deep}})
    answer = await api.http.post("/", content=body, headers={"Content-Type": "application/json"})
    assert code(answer.json()) == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("{ missing }", "NOT_FOUND", {"details": []}),
        ("{ forbidden }", "FORBIDDEN", {"details": []}),
        ("{ away }", "UNAVAILABLE", {"retryAfter": 3}),
        ("{ malformed }", "VALIDATION_ERROR", {"details": [{"field": "id", "issue": "It is no id of a client."}]}),
    ],
)
async def test_expected_errors_keep_their_code_and_are_not_logged(
    api: Served, caplog: pytest.LogCaptureFixture, query: str, expected: str, more: dict[str, Any]
) -> None:
    answer = (await api.post(query)).json()
    extensions = answer["errors"][0]["extensions"]
    assert extensions["code"] == expected
    assert extensions.items() >= more.items()
    assert {"details", "timestamp", "requestId"} <= set(extensions)
    assert caplog.records == []


@pytest.mark.parametrize("query", ["{ boom }", "{ boomRequired }", "{ a: boom b: thing { name } }"])
async def test_unexpected_errors_are_masked_and_logged_once(
    api: Served, caplog: pytest.LogCaptureFixture, query: str
) -> None:
    answer = await api.post(query, headers={"X-Request-Id": "find-me"})
    assert code(answer.json()) == "INTERNAL"
    assert "hunter2" not in answer.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "find-me" in record.getMessage()
    assert record.exc_info
    assert "hunter2" in str(record.exc_info[1])


async def test_one_failed_batch_is_one_line_in_the_log(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    answer = (await api.post("{ a: sameBoom b: sameBoom c: sameBoom }")).json()
    assert [error["path"] for error in answer["errors"]] == [["a"], ["b"], ["c"]]
    assert len(caplog.records) == 1


async def test_a_value_that_cannot_be_written_is_our_bug(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    answer = await api.post("{ unwritable }")
    assert code(answer.json()) == "INTERNAL"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("transport", ["websocket", "sse"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("subscription { breaks(after: 0) }", "INTERNAL"),
        ("subscription { breaks(after: 2) }", "INTERNAL"),
        ("subscription { brokenEvents { name } }", "INTERNAL"),
        ("subscription { unseen }", "NOT_FOUND"),
        ("subscription { unseen(after: 1) }", "NOT_FOUND"),
        ("{ boom }", "INTERNAL"),
    ],
)
async def test_streams_are_masked_too(api: Served, transport: str, query: str, expected: str) -> None:
    if transport == "sse":
        async with events(api, query) as stream:
            told = [data for kind, data in await stream.rest() if kind == "next"][-1]["errors"]
    else:
        async with talk(api) as socket:
            await socket.init()
            message = await socket.run(query)
            while message["type"] == "next" and "errors" not in message["payload"]:
                message = await socket.next()
            told = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert code(told) == expected
    assert "hunter2" not in json.dumps(told)
    assert told[0]["extensions"]["requestId"]
