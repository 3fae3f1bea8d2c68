"""Bodies that are large, slow, packed, garbled or from elsewhere."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator

import pytest

from tests.probes.test_documents import sized
from tests.support.probing import PATIENCE, Target, clean, codes

JSON = {"content-type": "application/json"}
CHANGE = "mutation { signOut(input: {}) { userErrors { code } } }"
MEGABYTE = 1_000_000


async def chunks(megabytes: int) -> AsyncIterator[bytes]:
    yield b'{"query": "'
    for _ in range(megabytes * 10):
        yield b"x" * (MEGABYTE // 10)


@pytest.mark.parametrize("megabytes", sized(5, 200))
async def test_a_large_body_that_says_so(target: Target, megabytes: int) -> None:
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", content=b" " * (megabytes * MEGABYTE), headers=JSON)
        assert (answer.status_code, codes(answer.text)) == (413, ["VALIDATION_ERROR"])


@pytest.mark.parametrize("megabytes", sized(5, 500))
async def test_a_large_body_in_chunks(target: Target, megabytes: int) -> None:
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", content=chunks(megabytes), headers=JSON)
        assert (answer.status_code, codes(answer.text)) == (413, ["VALIDATION_ERROR"])


async def test_an_announced_body_is_not_waited_for(target: Target) -> None:
    async with target.watched(), target.raw() as (reader, writer):
        writer.write(f"POST /graphql HTTP/1.1\r\nHost: {target.host}\r\nContent-Type: application/json\r\n".encode())
        writer.write(b"Content-Length: 5000000\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("count", sized(30, 1_000))
async def test_slow_bodies(target: Target, count: int) -> None:
    """Clients that send a byte now and then hold nobody up."""
    head = f"POST /graphql HTTP/1.1\r\nHost: {target.host}\r\nContent-Type: application/json\r\n"
    await drip(target, count, f"{head}Content-Length: 999\r\n\r\n".encode(), b" ")


@pytest.mark.parametrize("count", sized(30, 1_000))
async def test_slow_headers(target: Target, count: int) -> None:
    await drip(target, count, f"POST /graphql HTTP/1.1\r\nHost: {target.host}\r\nX-A: ".encode(), b"a")


async def drip(target: Target, count: int, head: bytes, drop: bytes) -> None:
    async with target.watched(), asyncio.TaskGroup() as slow:
        for _ in range(count):
            slow.create_task(one_slow(target, head, drop))


async def one_slow(target: Target, head: bytes, drop: bytes) -> None:
    async with target.raw() as (_, writer):
        writer.write(head)
        for _ in range(8):
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.25)


@pytest.mark.parametrize("megabytes", sized(20, 1_000))
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-unknown"])
async def test_packed_bodies_are_not_unpacked(target: Target, megabytes: int, encoding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * MEGABYTE) for _ in range(megabytes)) + packer.flush()
    assert len(bomb) < megabytes * MEGABYTE / 500
    headers = {**JSON, "content-encoding": encoding}
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", content=bomb[: MEGABYTE // 2], headers=headers)
        assert (answer.status_code, codes(answer.text)) == (415, ["VALIDATION_ERROR"])
        # Nor without saying so.
        answer = await http.post("/graphql", content=gzip.compress(b'{"query": "{ __typename }"}'), headers=JSON)
        assert (answer.status_code, codes(answer.text)) == (400, ["VALIDATION_ERROR"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "{ __typename }\xff"}',
        b'{"query": "\xc0\x80"}',
        b'{"query": "{ __typename } #\xed\xa0\x80"}',
        b'{"query": "\xf5\x80\x80\x80"}',
        '{"query": "{ __typename }"}'.encode("utf-16"),
        '{"query": "{ __typename }"}'.encode("utf-32"),
        b'{"query": "{ __typename }", "variables": {"a": "\\ud800"}}',
        b'{"query": "{ __typename }", "variables": {"a": "\\u0000"}}',
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": %s}}' % (b"9" * 100_000),
        b'{"query": "{ __typename }", "variables": %s}' % (b'{"a":' * 100_000),
        b"[" * 900_000,
        b"null",
        b"\x00" * 1_000,
        b"",
    ],
    ids=lambda body: repr(body)[:48],
)
async def test_garbled_bodies(target: Target, body: bytes) -> None:
    async with target.watched(), target.client() as http:
        answer = await http.post("/graphql", content=body, headers=JSON)
        assert (answer.status_code, codes(answer.text)) == (400, ["VALIDATION_ERROR"])
        assert len(answer.text) < 2_000


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 5_000 + b"\r\n\r\n",
        b"GET /graphql HTTP/9.9\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\rX-Evil: b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda request: repr(request)[:60],
)
async def test_garbled_requests(target: Target, request_bytes: bytes) -> None:
    async with target.watched(), target.raw() as (reader, writer):
        try:
            writer.write(request_bytes)
            await writer.drain()
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(20_000), PATIENCE)
        except OSError:
            # The server has closed before all of it had come.
            return
        clean(answer.decode("latin-1"))
        assert b" 500 " not in answer.split(b"\r\n", 1)[0]
        assert b"X-Evil" not in answer


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/html"])
async def test_mutations_by_get(target: Target, accept: str) -> None:
    user = await target.make.advisor()
    async with target.client(user.token) as http:
        answer = await http.get("/graphql", params={"query": CHANGE}, headers={"accept": accept})
        clean(answer.text)
        assert '"data"' not in answer.text
        # The session stands: nothing was changed.
        standing = await http.post("/graphql", json={"query": "{ viewer { name } }"})
        assert "errors" not in standing.json()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({**JSON, "origin": "https://evil.example"}, 403),
        ({**JSON, "origin": "null"}, 403),
        ({**JSON, "sec-fetch-site": "cross-site"}, 403),
        ({**JSON, "sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
    ],
)
async def test_cross_site_posts(target: Target, headers: dict[str, str], status: int) -> None:
    user = await target.make.advisor()
    async with target.client(user.token) as http:
        answer = await http.post("/graphql", content=json.dumps({"query": CHANGE}), headers=headers)
        assert answer.status_code == status
        assert codes(answer.text) in (["VALIDATION_ERROR"], ["FORBIDDEN"])
        assert "access-control-allow-origin" not in answer.headers
        standing = await http.post("/graphql", json={"query": "{ viewer { name } }"})
        assert "errors" not in standing.json()


async def test_a_preflight_from_elsewhere_is_granted_nothing(target: Target) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with target.client() as http:
        answer = await http.options("/graphql", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/../../etc/passwd",
        "/graphiql/%2e%2e/%2e%2e/etc/passwd",
        "/graphiql/..%2f..%2f..%2fetc%2fpasswd",
        "/graphiql/src/..%5c..%5cbuild.js",
        "/graphiql/src/%00",
        "/graphiql//etc/passwd",
        "//etc/passwd",
        "/.env",
        "/.git/config",
        "/graphql/../.env",
        "/%",
        "/graphiql/src/" + "a" * 5_000,
    ],
)
async def test_paths_lead_nowhere(target: Target, path: str) -> None:
    async with target.raw() as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {target.host}\r\nConnection: close\r\n\r\n".encode())
        answer = (await asyncio.wait_for(reader.read(), PATIENCE)).decode("latin-1")
    assert answer.split(" ")[1] in {"400", "404", "414"}, answer[:200]
    assert "root:" not in clean(answer)


@pytest.mark.parametrize("name", ["a b", "<script>", "x" * 65, "a;b", "${jndi:ldap://x}", "é"])
async def test_request_ids_do_not_pass_as_they_are(target: Target, name: str) -> None:
    async with target.client() as http:
        answer = await http.post("/graphql", json={"query": "{ nope }"}, headers=[(b"x-request-id", name.encode())])
    assert name not in answer.text
    assert name not in str(answer.headers)
