"""What is no request that the endpoint takes, and what it says to it."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest

from domain.errors import Invalid
from graph.http.values import check_values, decode_json
from tests.http.conftest import LIMITS, Served
from tests.http.talk import code

JSON = {"Content-Type": "application/json"}
HELLO = json.dumps({"query": "{ hello }"})


def refused(answer: Any, status: int) -> Any:
    """The one error of a refusal, checked for what every error has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"errors"}
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR"
    assert error["extensions"]["requestId"] == answer.headers["x-request-id"]
    assert datetime.fromisoformat(error["extensions"]["timestamp"]).tzinfo is not None
    return error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"12",
        b"true",
        b'"{ hello }"',
        b"[]",
        b'[{"query": "{ hello }"}]',
        b"{}",
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": 1}',
        b'{"query": ["{ hello }"]}',
        b'{"query": "{ hello }", "variables": "a"}',
        b'{"query": "{ hello }", "variables": [1]}',
        b'{"query": "{ hello }", "operationName": 1}',
        b'{"query": "{ hello }", "extensions": 1}',
        b'{"query": "{ hello }", "variables": {"a": NaN}}',
        b'{"query": "{ hello }", "variables": {"a": -Infinity}}',
        b'{"query": "{ hello }", "extensions": {"a": Infinity}}',
        b'{"query": "{ hello }", "variables": {"a": %s}}' % (b"9" * 5_000),
        b'{"query": "{ hello }", "variables": {"a": %s}}' % (b"[" * 40_000 + b"]" * 40_000),
        b"[" * 90_000,
        '{"query": "{ hello }"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"query": "{ hello }"}',
        b'{"query": "{ hello }\xff"}',
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_body_that_is_no_request_is_answered_400(api: Served, body: bytes) -> None:
    refused(await api.http.post("/", content=body, headers=JSON), 400)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": "{ hello }", "variables": 1}, "variables"),
        ({"query": "{ hello }", "operationName": 1}, "operationName"),
    ],
)
async def test_the_key_at_fault_is_named(api: Served, body: dict[str, Any], field: str) -> None:
    error = refused(await api.http.post("/", json=body), 400)
    assert [detail["field"] for detail in error["extensions"]["details"]] == [field]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "text/plain; a=application/json"},
        {"Content-Type": "application/graphql"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
async def test_another_content_type_is_answered_415(api: Served, headers: dict[str, str]) -> None:
    body = json.dumps({"query": "mutation { change }"}).encode()
    refused(await api.http.post("/", content=body, headers=headers), 415)
    assert api.sessions.seen.ran == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_is_json_however_it_is_written(api: Served, content_type: str) -> None:
    answer = await api.http.post("/", content=HELLO, headers={"Content-Type": content_type})
    assert answer.json() == {"data": {"hello": "Hello, world."}}


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1_000):
        yield b" " * 1_000


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_is_answered_413(api: Served, chunked: bool) -> None:  # noqa: FBT001 - a case, no flag
    size = LIMITS.body_bytes * 30
    content = chunks(size) if chunked else b" " * size
    refused(await api.http.post("/", content=content, headers=JSON), 413)
    assert (await api.post("{ hello }")).status_code == 200


async def test_a_body_that_is_announced_as_large_is_not_waited_for(api: Served) -> None:
    reader, writer = await asyncio.open_connection(*api.host.split(":"))
    writer.write(f"POST / HTTP/1.1\r\nHost: {api.host}\r\nContent-Type: application/json\r\n".encode())
    writer.write(b"Content-Length: 999999999999\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_body_of_just_the_limit_is_taken(api: Served) -> None:
    body = HELLO.encode().ljust(LIMITS.body_bytes)
    assert (await api.http.post("/", content=body, headers=JSON)).status_code == 200
    refused(await api.http.post("/", content=body + b" ", headers=JSON), 413)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
async def test_another_method_is_answered_405(api: Served, method: str) -> None:
    answer = await api.http.request(method, "/")
    refused(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


async def test_options_lists_the_methods(api: Served) -> None:
    answer = await api.http.options("/")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


async def test_queries_by_get_run(api: Served) -> None:
    query = "query A($name: String!) { hello(name: $name) } query B { count }"
    parameters = {"query": query, "operationName": "A", "variables": '{"name": "Ravi"}', "extensions": ""}
    answer = await api.http.get("/", params=parameters)
    assert answer.json() == {"data": {"hello": "Hello, Ravi."}}
    head = await api.http.head("/", params=parameters)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("parameters", [{}, {"query": ""}, {"query": "{ hello }", "variables": "{"}])
async def test_get_without_a_readable_query_is_answered_400(api: Served, parameters: dict[str, str]) -> None:
    refused(await api.http.get("/", params=parameters), 400)


async def test_mutations_by_get_are_answered_405(api: Served) -> None:
    answer = await api.http.get("/", params={"query": "mutation { change }"})
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert api.sessions.seen.ran == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_subscriptions_without_a_stream_are_refused(api: Served, method: str) -> None:
    query = {"query": "subscription { ticks }"}
    refused(await (api.http.get("/", params=query) if method == "GET" else api.http.post("/", json=query)), 400)
    assert not api.sessions.seen.closed.is_set()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("query A { hello } mutation B { change }", None),
        ("mutation B { change } query A { hello }", None),
        ("query A { hello } mutation B { change }", "C"),
        ("fragment F on Query { hello }", None),
    ],
)
async def test_nothing_runs_if_it_is_not_clear_what(api: Served, query: str, name: str | None) -> None:
    accept = {"Accept": "application/graphql-response+json"}
    answer = await api.post(query, operationName=name, headers=accept)
    assert (answer.status_code, code(answer.json())) == (400, "VALIDATION_ERROR")
    assert "data" not in answer.json()
    assert api.sessions.seen.ran == []


async def test_the_operation_named_is_the_one_that_runs(api: Served) -> None:
    query = "mutation B { change } query A { hello }"
    assert (await api.post(query, operationName="A")).json() == {"data": {"hello": "Hello, world."}}
    assert api.sessions.seen.ran == []


async def test_browsers_get_the_page(api: Served) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = await api.http.get("/", headers={"Accept": browser})
    assert answer.text == "<title>the page</title>"
    queried = await api.http.get("/", params={"query": "{ hello }"}, headers={"Accept": browser})
    assert queried.json() == {"data": {"hello": "Hello, world."}}


@pytest.mark.parametrize("path", ["?query={hello}", "?query={", ""])
async def test_every_answer_is_guarded(api: Served, path: str) -> None:
    headers = (await api.http.get(f"/{path}")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("req-1_a.b:c=d", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("<script>", False), ("", False)],
)
async def test_a_sane_request_id_is_kept(api: Served, sent: str, kept: bool) -> None:  # noqa: FBT001 - an expectation
    answer = await api.post("{ missing }", headers={"X-Request-Id": sent})
    received = answer.headers["x-request-id"]
    assert answer.json()["errors"][0]["extensions"]["requestId"] == received
    assert (received == sent) is kept
    assert received


async def test_two_requests_have_two_ids(api: Served) -> None:
    assert len({(await api.post("{ hello }")).headers["x-request-id"] for _ in range(3)}) == 3


def read(reader: Callable[[str], object], text: str) -> str:
    """What a reader of JSON makes of a text."""
    try:
        return repr(reader(text))
    except (Invalid, ValueError):
        return "refused"


@pytest.mark.parametrize(
    "text",
    [
        *("-0", "-0.0", "1.0", "1E5", "0e0", "01", "1.", ".5", "+1", "-"),
        *("18446744073709551616", "-9223372036854775809", "9" * 400, "9007199254740993.0", "9" * 5000),
        *("5e-324", "1e-400", "1e400", "-1e400", "9" * 400 + ".5", "2.2250738585072011e-308"),
        *(r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', r'"\u12"', r'"\x41"', r'"\/"'),
        *('"\x00"', '"\x1f"', '"\t"', '"\x7f"', '"é"', "'a'"),
        *('{"a": 1, "a": 2}', '{"": 1}', "{1: 2}", '{"a": 1,}', "[1,]", '{"a": 1} x', "", "nulL"),
        *(" [1 , 2 ]\r\n\t", "\x0b1", "1\x0c", "\ufeff{}"),
    ],
)
def test_json_is_read_as_python_reads_it(text: str) -> None:
    assert read(decode_json, text) == read(json.loads, text)
    assert read(lambda text: decode_json(text.encode()), text) == read(json.loads, text)


@pytest.mark.parametrize("text", [b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"NaN", b"[Infinity]", b"-Infinity"])
def test_what_is_no_json_in_utf_8_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        decode_json(text)


def test_what_lies_deep_takes_as_little_room_as_what_does_not() -> None:
    value: Any = ["\x00", *[0] * 5_000]
    for _ in range(500):
        value = [value]
    tracemalloc.start()
    try:
        with pytest.raises(Invalid) as caught:
            check_values({"a": value})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5_000_000
    assert caught.value.details[0][0] == "a" + "[0]" * 501
