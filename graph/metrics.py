"""What is counted and timed, as Prometheus reads it; each application has a registry of its own."""

import asyncio
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    start_http_server,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from domain.errors import ErrorCode
from graph.running import Running
from graph.tallies import Spread, Tally, add
from persistence.connections import Pooled

# Beyond these an operation is counted as `other`: its name is its client's choice, and each would be a series.
MOST_NAMES: Final = 200
NAMED: Final = re.compile(r"^(?:query|mutation|subscription)\s+(\w+)", re.MULTILINE)
UNNAMED: Final = "unnamed"
OTHER: Final = "other"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WAITS: Final = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
LAGS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
STATEMENTS: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)


def names_in(documents: Iterable[str]) -> list[str]:
    """The names of the operations that these documents hold."""
    return [name for document in documents for name in NAMED.findall(document)]


class Ended(NamedTuple):
    """What an operation that has come to its end adds to; a subscription takes as long as its client likes."""

    times: list[int]
    seconds: list[float] | None
    statements: list[float] | None


class Metrics:
    """The metrics of one application; `names` are operations that are told apart from the first on."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._names = set(names)
        # What each request adds to, found at once: by method and status, and by an operation's name, type and outcome.
        self._answers: dict[tuple[str, int | None], list[int]] = {}
        self._ended: dict[tuple[str, str, str], Ended] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._describe_requests()
        self._describe_live()
        self._describe_database()

    def _describe_requests(self) -> None:
        tally, spread = self._tally, self._spread
        self.requests = tally("requests", "HTTP requests answered.", "method", "status")
        self.request_seconds = spread("request_seconds", "Time to answer an HTTP request.", SECONDS, "method")
        self.operations = tally("operations", "Operations done, on all transports.", "operation", "type", "outcome")
        self.operation_seconds = spread(
            "operation_seconds", "Time of a query or a mutation.", SECONDS, "operation", "type"
        )
        self.operation_statements = spread(
            "operation_statements", "Statements of a query or a mutation.", STATEMENTS, "type"
        )
        self.errors = self._counter("errors", "Errors answered, by their code.", "code")
        for code in ErrorCode:
            # There from the first on, so that an alarm can tell none from not known.
            self.errors.labels(code.value)

    def _describe_live(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.sockets = gauge("sockets_open", "WebSockets that are open.")
        self.subscriptions = gauge("subscriptions_open", "Subscriptions that are open, by their field.", "field")
        self.events = counter("events_delivered", "Events sent to subscribers, by the field.", "field")
        self.event_lag = self._histogram(
            "event_lag_seconds", "From an event's transaction to its delivery to a live subscriber.", LAGS
        )
        self.jobs = counter("jobs", "Attempts at jobs: done, failed, dead (for good) or cut (short).", "job", "outcome")
        self.job_seconds = self._histogram("job_seconds", "Time of an attempt at a job.", SECONDS, "job")

    def _describe_database(self) -> None:
        self.statements = self._tally("statements", "Statements that repositories have run.")
        self.pool_wait = self._spread("pool_wait_seconds", "Wait for a connection of the pool.", WAITS)
        self.pool = self._gauge("pool_connections", "Connections of the pool: in use, idle, and at most.", "state")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"steward_{name}", text, labels, registry=self.registry)

    def _tally(self, name: str, text: str, *labels: str) -> Tally:
        return Tally(self.registry, f"steward_{name}", text, *labels)

    def _spread(self, name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Spread:
        return Spread(self.registry, f"steward_{name}", text, bounds, *labels)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"steward_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"steward_{name}", text, labels, registry=self.registry, buckets=buckets)

    def answered(self, method: str, running: Running, seconds: float) -> None:
        """Count an HTTP request that has taken so long, and the operation that it asked for."""
        known = self._answers.get((method, running.status))
        if known is None:
            label = method if method in METHODS else OTHER
            known = self.requests.count(label, str(running.status or "none"))
            if label is not OTHER:
                self._answers[method, running.status] = known
        known[0] += 1
        if running.kind != "subscription":
            self.request_seconds.observe(seconds, method if method in METHODS else OTHER)
        self.done(running, seconds)

    def done(self, running: Running, seconds: float) -> None:
        """Count an operation that has come to its end, on any transport, if there was one."""
        for code in running.codes:
            self.errors.labels(code).inc()
        if not running.asked:
            return
        key = self._name(running), running.kind, "failed" if running.codes else "answered"
        known = self._ended.get(key) or self._ended.setdefault(key, self._ends(*key))
        known.times[0] += 1
        if known.seconds is not None and known.statements is not None:
            add(known.seconds, SECONDS, seconds)
            add(known.statements, STATEMENTS, running.statements)

    def _ends(self, name: str, kind: str, outcome: str) -> Ended:
        times = self.operations.count(name, kind, outcome)
        if kind == "subscription":
            return Ended(times, None, None)
        return Ended(times, self.operation_seconds.seen(name, kind), self.operation_statements.seen(kind))

    def _name(self, running: Running) -> str:
        """The operation's name as a label: only what users have run makes a new one, and only so many of them do."""
        name = running.operation
        if name is None:
            return UNNAMED
        if name in self._names:
            return name
        if running.viewer is None or running.kind == "unknown" or len(self._names) >= MOST_NAMES:
            return OTHER
        self._names.add(name)
        return name

    def watch_pool(self, pooled: Callable[[], Pooled]) -> None:
        """Tell of a pool, as it is whenever somebody asks."""
        for state in Pooled.__struct_fields__:
            self.pool.labels(state).set_function(partial(_of_pool, pooled, state))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


@contextmanager
def at_port(registry: CollectorRegistry, port: int | None) -> Iterator[None]:
    """Answer on a port of loopback too, by a thread of its own; raises OSError if the port is taken."""
    if port is None:
        yield
        return
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class MetricsPage:
    """What `/metrics` answers: only to who has the token, or, where none is set, to nobody but development's own host.

    A proxy's client may not pass for the host's own: a request that was forwarded needs the token. Of several processes
    `everybody` has the metrics of all, and asks for them when it is read.
    """

    def __init__(
        self, metrics: Metrics, token: str | None, *, development: bool, everybody: CollectorRegistry | None = None
    ) -> None:
        self._metrics = metrics
        self._everybody = everybody
        self._token = token
        self._development = development

    async def answer(self, request: Request) -> Response:
        """The metrics; 401 without the right token, 404 where there is no way to them."""
        if self._token is not None:
            if not self._knows(request.headers):
                return Response(status_code=401, headers={"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})
        elif not (self._development and _is_at_home(request.scope, request.headers)):
            return Response(status_code=404)
        text = await asyncio.to_thread(generate_latest, self._everybody) if self._everybody else self._metrics.text()
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})

    def _knows(self, headers: Headers) -> bool:
        wanted = f"Bearer {self._token}"
        # Headers arrive as Latin-1.
        return hmac.compare_digest(headers.get("authorization", "").encode("latin-1"), wanted.encode())


def _of_pool(pooled: Callable[[], Pooled], state: str) -> float:
    return float(getattr(pooled(), state))


def _is_at_home(scope: Scope, headers: Headers) -> bool:
    peer = (scope.get("client") or ("",))[0]
    forwarded = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    return peer in {"127.0.0.1", "::1"} and not forwarded
