"""The load generator puts answers together, however they come."""

import re

import pytest

from tests.benchmarks.load import LoadError, Reader, request

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nserver: x\r\n\r\nhello world"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS], ids=["length", "chunks"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_answer_comes_in_pieces_of_any_size(answer: bytes, size: int) -> None:
    reader = Reader()
    for _ in range(3):
        *before, last = [reader.feed(answer[at : at + size]) for at in range(0, len(answer), size)]
        assert set(before) <= {None}
        assert last == b"hello world"


@pytest.mark.parametrize("head", [b"HTTP/1.1 500 X\r\ncontent-length: 0", b"HTTP/1.1 200 OK\r\nserver: x"])
def test_another_status_or_an_answer_without_a_length_ends_it(head: bytes) -> None:
    with pytest.raises(LoadError):
        Reader().feed(head + b"\r\n\r\n")


def test_a_request_tells_its_length() -> None:
    head, _, body = request("/graphql", {"authorization": "Bearer x"}, b"{}").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /graphql HTTP/1.1\r\n")
    assert body == b"{}"
    assert re.search(rb"content-length: 2\r\n", head + b"\r\n")
