"""The API as programs ask it: straight to its endpoint, and the answer at once to the wire.

Routes, other sites' pages and files are none of their business, and each layer around the endpoint costs as much as a
field of the answer. What such a request gets is what all get: the same headers, the same line of the log.
"""

from collections.abc import Awaitable, Sequence
from typing import Final

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.http.crowd import One
from graph.http.endpoint import Endpoint
from graph.http.head import head_of
from graph.http.headers import NOT_KEPT, STRICT, Pair, SafeAnswers, block, guarded, is_encrypted
from graph.http.meters import noted
from graph.http.received import Received
from graph.http.response import Encoded
from graph.observing import Observer, noting
from graph.running import Running
from graph.wire import written

PATH: Final = "/graphql"
OK: Final = 200


def is_program(scope: Scope) -> bool:
    """Whether a request is a program's to the API: no page, no file, and from no other site."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
        return False
    return b"origin" not in head_of(scope).first


class Api:
    """The endpoint for programs. `always_tls` is as in `SafeAnswers`."""

    def __init__(self, endpoint: Endpoint, observer: Observer, *, always_tls: bool) -> None:
        self._endpoint = endpoint
        self._observer = observer
        self._always_tls = always_tls
        self._kept_out: dict[bool, Sequence[Pair]] = {True: [*NOT_KEPT, STRICT], False: NOT_KEPT}
        self._blocks = {encrypted: block(tuple(pairs)) for encrypted, pairs in self._kept_out.items()}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request."""
        return self._observer.request(scope, lambda running: self._serve(scope, receive, send, running))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, running: Running) -> None:
        held: list[One] = []
        try:
            try:
                answer = await self._endpoint.answer(Received(scope, receive), held)
                if type(answer) is Encoded:
                    running.status = answer.status_code
                    if not self._written(answer, scope, send, running.request_id):
                        await self._send(answer, scope, send, running.request_id)
                    return
            except Exception as error:  # noqa: BLE001 - raised again where it is answered
                answer = _raising(error)
            await self._around(answer)(scope, receive, noting(running, send))
        finally:
            for one in held:
                one.leave()

    def _around(self, answer: ASGIApp) -> ASGIApp:
        """Whatever takes its time, such as a stream, with what stands around all else."""

        async def guarding(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(scope, receive, guarded(send, scope))

        return SafeAnswers(ServerErrorMiddleware(guarding), always_tls=self._always_tls)

    def _written(self, answer: Encoded, scope: Scope, send: Send, of_request: str) -> bool:
        """Whether an answer could be written at once; what fails may end its connection, as its headers say."""
        if answer.status_code != OK:
            return False
        standing = noted(scope)
        left = standing.lines if standing is not None else b""
        kept_out = self._blocks[is_encrypted(scope, always=self._always_tls)]
        head = b"%bx-request-id: %b\r\n%b%b" % (answer.lines, of_request.encode("ascii"), left, kept_out)
        return written(send, OK, head, answer.body)

    async def _send(self, answer: Encoded, scope: Scope, send: Send, of_request: str) -> None:
        encrypted = is_encrypted(scope, always=self._always_tls)
        standing = noted(scope)
        own = (*answer.raw_headers, (b"x-request-id", of_request.encode("ascii")))
        if standing is not None:
            own += standing.headers
        headers = [*own, *self._kept_out[encrypted]]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def _raising(error: Exception) -> ASGIApp:
    async def failed(_: Scope, __: Receive, ___: Send) -> None:
        raise error

    return failed
