"""Status, media type and bytes of an answer, as the GraphQL-over-HTTP specification has them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from graphql import GraphQLError
from starlette.responses import Response
from strawberry.types import ExecutionResult

from domain.errors import ErrorCode
from graph.errors import is_request_error
from graph.http.accept import JSON, STREAM
from graph.http.headers import Pair, block, encoded
from graph.running import running

# The status of an operation that never ran; 400 for what is not listed.
STATUS: Final[Mapping[str, int]] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
_ENCODER: Final = msgspec.json.Encoder()
# With application/json a well-formed request is answered with 200, for clients of that age look for errors
# nowhere else; but what is no fault of the request shows in the status always, for balancers and monitors.
NEVER_OK = frozenset({429, 500, 503})


@lru_cache(maxsize=16)
def _typed(media: str) -> bytes:
    return b"%s; charset=utf-8" % media.encode("ascii")


class Encoded(Response):
    """An answer in bytes, whose headers are made once."""

    def __init__(self, body: bytes, status: int, media: str, headers: Mapping[str, str]) -> None:
        # Not Starlette's own, which reads headers by letters to find what is missing.
        self.body: bytes = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", _typed(media)),
            *(encoded(headers) if headers else ()),
        ]

    @property
    def lines(self) -> bytes:
        """The headers as they go over the wire."""
        (_, length), (_, media), *more = self.raw_headers
        own = b"content-length: %b\r\ncontent-type: %b\r\n" % (length, media)
        return own + block(tuple(more)) if more else own

    def reencode(self, body: bytes, *headers: Pair) -> None:
        """Put other bytes in the place of the body, with headers that say what they are."""
        self.body = body
        self.raw_headers[0] = (b"content-length", b"%d" % len(body))
        self.raw_headers += headers


def respond(result: ExecutionResult, media: str) -> Encoded:
    """The answer to an operation, run or not."""
    status = 200
    if not result.errors:
        return Encoded(encode(payload(result)), status, JSON if media == STREAM else media, {})
    if is_request_error(result.errors):
        code = _extensions(result.errors).get("code", "")
        status = STATUS.get(code, 400)
        if media == JSON and status not in NEVER_OK:
            status = 200
    return _response(payload(result), status, media, _hints(status, result.errors))


def refuse(error: GraphQLError, status: int, media: str, headers: Mapping[str, str]) -> Encoded:
    """The answer to a request that is no GraphQL request."""
    if (now := running()) is not None:
        now.failed(str((error.extensions or {}).get("code", ErrorCode.INTERNAL)))
    return _response({"errors": [error.formatted]}, status, media, {**_hints(status, [error]), **headers})


def payload(result: ExecutionResult) -> dict[str, Any]:
    """What a result says, on every transport: no `data` if the operation never ran. It is noted as answered."""
    if (now := running()) is not None:
        now.saw(result)
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    if not result.errors or not is_request_error(result.errors):
        answer["data"] = result.data
    if result.extensions:
        answer["extensions"] = result.extensions
    return answer


def encode(data: object) -> bytes:
    """JSON in UTF-8, of the structs that planned execution makes as of plain values."""
    return _ENCODER.encode(data)


def _response(body: dict[str, Any], status: int, media: str, headers: Mapping[str, str]) -> Encoded:
    # Whoever asked for a stream, and gets none, gets JSON.
    shown = JSON if media == STREAM else media
    return Encoded(encode(body), status, shown, headers)


def _hints(status: int, errors: Sequence[GraphQLError]) -> dict[str, str]:
    if status == STATUS[ErrorCode.UNAUTHENTICATED]:
        return {"WWW-Authenticate": "Bearer"}
    wait = _extensions(errors).get("retryAfter")
    return {"Retry-After": str(wait)} if wait is not None and status in NEVER_OK else {}


def _extensions(errors: Sequence[GraphQLError]) -> dict[str, Any]:
    return dict(errors[0].extensions or {}) if errors else {}
