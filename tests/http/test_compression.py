"""Large answers are compressed for whoever takes that, and hold the same."""

import gzip

import httpx
import pytest

from graph.http.compression import ASIDE_BYTES, LEAST_BYTES, takes_gzip
from tests.http.conftest import Served

GREETINGS = "query ($name: String!) { a: hello(name: $name) b: hello(name: $name) c: hello(name: $name) }"


async def asked(api: Served, size: int, accepted: str | None) -> httpx.Response:
    """An answer of that size and a little more, as it crossed the wire."""
    body = {"query": GREETINGS, "variables": {"name": "x" * (size // 3)}}
    request = api.http.build_request("POST", "/", json=body)
    request.headers.pop("accept-encoding", None)
    if accepted is not None:
        request.headers["accept-encoding"] = accepted
    return await api.http.send(request, stream=True)


async def raw(answer: httpx.Response) -> bytes:
    return b"".join([chunk async for chunk in answer.aiter_raw()])


@pytest.mark.parametrize("size", [LEAST_BYTES, ASIDE_BYTES + 1])
async def test_a_large_answer_is_compressed_and_the_same(api: Served, size: int) -> None:
    plain, packed = await asked(api, size, None), await asked(api, size, "br, gzip")
    whole, small = await raw(plain), await raw(packed)
    assert len(whole) > size
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(small) == whole
    assert int(packed.headers["content-length"]) == len(small) < len(whole) / 10
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"


async def test_a_small_answer_is_left_as_it_is(api: Served) -> None:
    answer = await asked(api, 3, "gzip")
    assert "content-encoding" not in answer.headers
    assert b"Hello" in await raw(answer)


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("gzip;q=x", False),
        ("identity", False),
        ("br;q=1.0, *;q=0", False),
    ],
)
def test_who_takes_it(accepted: str, takes: bool) -> None:  # noqa: FBT001 - a case
    assert takes_gzip(accepted) is takes
