"""HTTP as it comes from the wire, and goes there.

uvicorn waits for a request's head for ever, and takes one of any size. It parses each, though most are as the one
before (`graph/wire_heads.py`), and makes a task of each, where one can serve a whole connection. An answer it takes in
pieces, whose headers it checks and writes one by one; one that is ready as a whole is written at once here. So is a
body read at once that has come with its head.
"""

from asyncio import CancelledError, Future, Task, TimerHandle, Transport
from typing import Any, Final, cast

from starlette.types import Receive, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from graph.http.headers import SAFE, block
from graph.wire_heads import SameHead, Whole

# Longer than what the slowest honest client needs; balancers and browsers open connections ahead of use.
HEAD_SECONDS: Final = 30.0
HEAD_BYTES: Final = 65_536
CYCLES: Final = frozenset({RequestResponseCycle, Whole})
# A request, and what serves it.
Asked = tuple[RequestResponseCycle, ASGI3Application]
TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Wire(HttpToolsProtocol):
    """uvicorn's protocol, in fewer steps; it ends a connection whose request's head is slow to come, or too large."""

    head_seconds = HEAD_SECONDS
    head_bytes = HEAD_BYTES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: TimerHandle | None = None
        # Whether the head of a request has begun and not ended, and how much has come since.
        self._heading = False
        self._size = 0
        # The head of the last request, if it was such that another may have it.
        self._same: SameHead | None = None
        # The task that serves this connection, and what it waits for when there is nothing to do.
        self._task: Task[None] | None = None
        self._next: Future[Asked | None] | None = None
        # Since when nothing is asked of it; none while anything is.
        self._idle_since: float | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers that every answer has."""
        self.server_state.default_headers, before = list(SAFE), self.server_state.default_headers
        super().send_400_response(msg)
        self.server_state.default_headers = before

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._leave()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to who speaks WebSocket, and know of it no longer."""
        super().handle_websocket_upgrade()
        self._leave()

    def _leave(self) -> None:
        self._come()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._same = None
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    def on_message_begin(self) -> None:
        """The head of a request begins; between two requests uvicorn itself waits."""
        super().on_message_begin()
        self._come()
        self._heading = True
        self._size = 0

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has not ended by now; the parser keeps a header of any length until it ends."""
        # uvicorn has none before the first request, and says otherwise.
        last: RequestResponseCycle | None = self.cycle
        between = self._between
        if between and self._same is not None and self._again(self._same, data):
            return
        super().data_received(data)
        if between and self.cycle is not last:
            self._same = SameHead.of(data, self.cycle)
        elif last is not None and last.response_complete and not self._heading:
            # What belongs to no request that is still to be answered asks for nothing.
            self._rest()
        if self._heading:
            if self._waiting is None:
                self._wait()
            self._size += len(data)
            if self._size > self.head_bytes and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """The head has come."""
        self._heading = False
        self._come()
        super().on_headers_complete()

    @property
    def _between(self) -> bool:
        """Whether all that has come was read and answered, so that what comes now begins with a head."""
        # uvicorn has none before the first request, and says otherwise.
        cycle: RequestResponseCycle | None = self.cycle
        return not self._heading and (cycle is None or (cycle.response_complete and not cycle.more_body))

    def _again(self, same: SameHead, data: bytes) -> bool:
        """Begin to serve a request with the head of the last; false if it has another, or there is more to be told."""
        most = self.limit_concurrency
        if most is not None and (len(self.connections) >= most or len(self.tasks) >= most):
            return False
        found = same.scope_and_body(data, self.app_state)
        if found is None:
            return False
        self._unset_keepalive_if_required()
        self._come()
        self.cycle = Whole(self, *found)
        self._start_asgi_task(self.cycle, self.app)
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Serve a request by the task of this connection, or by another if that is not done with the last."""
        if self._next is not None and self._task is not None and not self._next.done():
            handed, self._next = self._next, None
            handed.set_result((cycle, app))
            self.tasks.add(self._task)
        elif self._task is None and not self.config.reset_contextvars:
            self._task = self.loop.create_task(self._serve((cycle, app)))
            self.tasks.add(self._task)
        else:
            super()._start_asgi_task(cycle, app)

    async def _serve(self, asked: Asked | None) -> None:
        """Serve one request of this connection after the other, by one task.

        Its requests have one context: whoever sets a context variable for a request sets it back, as `current` does.
        """
        task = cast("Task[None]", self._task)
        try:
            while asked is not None:
                cycle, app = asked
                await cycle.run_asgi(app)
                self.tasks.discard(task)
                # What has been served is not kept while nothing comes.
                del asked, cycle, app
                if self.transport.is_closing() or task.cancelling():
                    break
                self._next = coming = self.loop.create_future()
                try:
                    asked = await coming
                except CancelledError:
                    if not coming.cancelled() and (asked := coming.result()):
                        # Whoever cancels the task of what was served means nothing that came since.
                        super()._start_asgi_task(*asked)
                    raise
        finally:
            self.tasks.discard(task)
            self._task = self._next = None

    def on_response_complete(self) -> None:
        """An answer was given. The timer until the next request is not made anew where it still runs from before."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._rest()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection on which nothing was asked for long; look again later at one that was asked since."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Note that something is asked; the timer is left to run, for to make another costs more than to let it."""
        self._idle_since = None

    def _rest(self) -> None:
        """Begin to wait for the next request, for as long as is waited for one."""
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wait(self) -> None:
        self._come()
        self._waiting = self.loop.call_later(self.head_seconds, self._end)

    def _come(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(TOO_SLOW)
            self.transport.close()


def come(receive: Receive) -> bytes | None:
    """The body of a request that has come as a whole, if `receive` is uvicorn's own; none if more is to come.

    It is nobody's afterwards, as if it had been received.
    """
    cycle: Any = getattr(receive, "__self__", None)
    if type(cycle) not in CYCLES or cycle.more_body or cycle.disconnected or cycle.response_complete:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    return body


def written(send: Send, status: int, head: bytes, body: bytes) -> bool:
    """Write a whole answer at once, if `send` is uvicorn's own; else false, and nothing is written.

    `head` are its headers as they go out, its length among them. What waits, or ends with its connection, is left to
    uvicorn.
    """
    cycle: Any = getattr(send, "__self__", None)
    if type(cycle) not in CYCLES or cycle.response_started or cycle.flow.write_paused:
        return False
    if cycle.disconnected:
        return True
    if not cycle.keep_alive:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[status], block(tuple(cycle.default_headers)), head, b"\r\n", body)))
    if "message_event" in vars(cycle):
        cycle.message_event.set()
    cycle.on_response()
    return True
