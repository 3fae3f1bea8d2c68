"""Watching what the server does: each request, operation, statement and job is counted, logged and traced here."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Final, Self

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph.http.request_id import request_id
from graph.logs import log_info
from graph.metrics import WAITS, Metrics
from graph.running import Running, current, running
from graph.tallies import add
from graph.traces import Traces
from persistence.database import Watch

access: Final = logging.getLogger("steward.access")

FIRST_ERROR: Final = 400
FAILED: Final = 500

# What serves a request.
Serve = Callable[[Running], Awaitable[None]]


class Observer(Watch):
    """Whoever watches one application. It asks the database nothing, and keeps nothing of what passes by."""

    def __init__(self, metrics: Metrics | None = None, traces: Traces | None = None) -> None:
        self.metrics = metrics or Metrics()
        self.traces = traces or Traces()
        self.sockets = 0
        self._statements = self.metrics.statements.count()
        self._waits = self.metrics.pool_wait.seen()

    def statement(self, text: str) -> AbstractContextManager[object] | None:
        """A statement that a repository runs."""
        self._statements[0] += 1
        if (now := running()) is not None:
            now.statements += 1
        return None if self.traces.silent else self.traces.statement(text)

    def waited(self, seconds: float) -> None:
        """How long somebody has waited for a connection of the pool."""
        add(self._waits, WAITS, seconds)

    async def request(self, scope: Scope, serve: Serve) -> None:
        """An HTTP request, to the last byte of its answer; whoever serves it notes the status."""
        made, method = Running(request_id(scope)), scope["method"]
        if not self.traces.silent:
            serve = self._traced(scope, serve)
        with current(made):
            try:
                await serve(made)
            except Exception:
                # What nobody caught is answered further out.
                made.status = made.status or FAILED
                raise
            finally:
                seconds = made.seconds
                self.metrics.answered(method, made, seconds)
                if made.asked or (made.status or FIRST_ERROR) >= FIRST_ERROR:
                    log_access(made, seconds, method, made.status)
                made.end()

    def _traced(self, scope: Scope, serve: Serve) -> Serve:
        async def traced(made: Running) -> None:
            with self.traces.request(scope, made.request_id) as span:
                try:
                    await serve(made)
                except Exception:
                    # The span is told of it before `request` is.
                    made.status = made.status or FAILED
                    raise
                finally:
                    span.set_attribute("http.response.status_code", made.status or 0)

        return traced

    @contextmanager
    def socket(self) -> Iterator[None]:
        """A WebSocket, from its opening to its end."""
        self.sockets += 1
        try:
            with self.metrics.sockets.track_inprogress():
                yield
        finally:
            self.sockets -= 1

    @contextmanager
    def message(self, of_request: str) -> Iterator[Running]:
        """An operation on a socket."""
        made = Running(of_request)
        with current(made):
            try:
                yield made
            finally:
                seconds = made.seconds
                self.metrics.done(made, seconds)
                log_access(made, seconds)
                made.end()

    def operation(self) -> AbstractContextManager[object]:
        """The operation that runs, while it is executed."""
        return self.traces.operation(running())

    def subscription(self) -> "Subscribed":
        """A subscription, while it is open."""
        now = running()
        return Subscribed(self.metrics, now.field if now else "unknown")

    @contextmanager
    def job(self, name: str, number: int) -> Iterator["Attempted"]:
        """An attempt at a job; whoever makes it says what comes of it."""
        made = Running(f"job {number}", name)
        attempted = Attempted()
        with current(made), self.traces.span(f"job {name}", job=number) as span:
            try:
                yield attempted
            finally:
                if attempted.outcome != "done":
                    span.failed()
                self.metrics.jobs.labels(name, attempted.outcome).inc()
                self.metrics.job_seconds.labels(name).observe(made.seconds)


class Subscribed:
    """An open subscription, as it delivers events."""

    __slots__ = ("_delivered", "_lag", "_open")

    def __init__(self, metrics: Metrics, field: str) -> None:
        self._lag = metrics.event_lag
        self._delivered = metrics.events.labels(field)
        self._open = metrics.subscriptions.labels(field)

    def __enter__(self) -> Self:
        """From here on it is open."""
        self._open.inc()
        return self

    def __exit__(self, *_: object) -> None:
        """To here."""
        self._open.dec()

    def delivers(self, lag: timedelta | None) -> None:
        """Before some events are handed over; `lag` is how old the last is, unless it was only caught up with."""
        if lag is not None:
            self._lag.observe(lag.total_seconds())

    def delivered(self, events: int) -> None:
        """When so many have been taken."""
        self._delivered.inc(events)


class Attempted:
    """What has come of an attempt at a job: done, failed, dead or cut."""

    __slots__ = ("outcome",)

    def __init__(self) -> None:
        self.outcome = "failed"


def noting(running: Running, send: Send) -> Send:
    """A `send` that notes the status of what it sends."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            running.status = message["status"]
        return send(message)

    return sending


def log_access(made: Running, seconds: float, method: str | None = None, status: int | None = None) -> None:
    """The one line of an operation, or of a request that was turned away: never its variables or its text."""
    if not access.isEnabledFor(logging.INFO):
        return
    told: dict[str, Any] = {}
    if method is not None:
        told["method"] = method
    if status is not None:
        told["status"] = status
    if asked := made.asked:
        told["type"] = kind = made.kind
        told["statements"] = made.statements
        if made.cost is not None:
            told["cost"] = made.cost
        if kind == "subscription":
            told["events"] = made.results
    if made.codes:
        told["codes"] = tuple(made.codes)
    log_info(access, "operation" if asked else "request", told, {"ms": round(seconds * 1000, 1)})


class Observing:
    """The ASGI middleware around the whole application, by which the observer sees requests and sockets."""

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self._app = app
        self._observer = observer

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve, and watch."""
        if scope["type"] == "http":
            return self._observer.request(scope, lambda running: self._app(scope, receive, noting(running, send)))
        if scope["type"] == "websocket":
            return self._socket(scope, receive, send)
        return self._app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._observer.socket():
            await self._app(scope, receive, send)
