"""Traces to an OpenTelemetry collector. Imported only where a setting asks for it, for it takes long to import."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as OtlpSpan
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from graph.metrics import UNNAMED
from graph.running import Running
from graph.traces import Traces

Network = IPv4Network | IPv6Network

LONGEST_STATEMENT: Final = 2_000
# How long the end of the server waits for the collector.
FLUSH_MILLISECONDS: Final = 3_000


class OtlpTraces(Traces):
    """Spans for requests, operations, statements and jobs, sent in batches by a thread of their own.

    `endpoint` is the collector's base address; `share` of the traces that begin here are kept, from 0 to 1. A caller
    from one of the networks `trusted` may continue a trace of its own; the word of any other is not taken, for it would
    write into traces that are not its own, and have all of its requests kept.
    """

    silent = False

    def __init__(self, endpoint: str, *, share: float = 1.0, trusted: Sequence[Network] = ()) -> None:
        # Made from what is said here alone, and nothing of it global.
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource({SERVICE_NAME: "steward"}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=FLUSH_MILLISECONDS / 1000)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("steward")
        self._propagator = TraceContextTextMapPropagator()
        self._trusted = trusted

    @contextmanager
    def request(self, scope: Scope, request_id: str) -> Iterator["Told"]:
        """The span of a request, or of a socket's opening."""
        facts = {
            "http.request.method": str(scope.get("method", "GET")),
            "url.path": str(scope.get("path", "")),
            "steward.request_id": request_id,
        }
        name = f"{facts['http.request.method']} {facts['url.path']}"
        with self._started(name, SpanKind.SERVER, facts, self._parent(scope)) as told:
            yield told

    @contextmanager
    def operation(self, running: Running | None) -> Iterator[None]:
        """The span of an operation."""
        with self.span("operation") as told:
            try:
                yield
            finally:
                if running is not None:
                    _describe(told, running)

    @contextmanager
    def span(self, name: str, **facts: str | int) -> Iterator["Told"]:
        """A span within the present one."""
        named = {f"steward.{key}": value for key, value in facts.items()}
        with self._started(name, SpanKind.INTERNAL, named) as told:
            yield told

    @contextmanager
    def statement(self, text: str) -> Iterator["Told"]:
        """The span of a statement."""
        facts = {"db.system.name": "postgresql", "db.query.text": " ".join(text.split())[:LONGEST_STATEMENT]}
        with self._started(text.split(None, 1)[0].lower(), SpanKind.CLIENT, facts) as told:
            yield told

    def close(self) -> None:
        """Send what is left, for a few seconds."""
        self._provider.force_flush(FLUSH_MILLISECONDS)
        self._provider.shutdown()

    @contextmanager
    def _started(
        self, name: str, kind: SpanKind, facts: dict[str, Any], parent: Context | None = None
    ) -> Iterator["Told"]:
        # An exception's text may hold anything: the log has it, masked.
        with self._tracer.start_as_current_span(
            name, parent, kind, facts, record_exception=False, set_status_on_exception=False
        ) as span:
            told = Told(span)
            try:
                yield told
            except Exception:
                told.failed()
                raise

    def _parent(self, scope: Scope) -> Context | None:
        """The caller's trace, if it has one and is trusted; an empty context else, so that a new trace begins."""
        if not self._trusts(scope):
            return Context()
        carried = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in {b"traceparent", b"tracestate"}
        }
        return self._propagator.extract(carried, Context())

    def _trusts(self, scope: Scope) -> bool:
        try:
            caller = ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(caller in network for network in self._trusted)


class Told:
    """A span, as far as we speak of it."""

    def __init__(self, span: OtlpSpan) -> None:
        self._span = span

    def set_attribute(self, key: str, value: Any) -> None:
        """Note a fact of it."""
        self._span.set_attribute(key, value)

    def rename(self, name: str) -> None:
        """Call it otherwise."""
        self._span.update_name(name)

    def failed(self) -> None:
        """Note that it has failed."""
        self._span.set_status(StatusCode.ERROR)


def _describe(told: Told, running: Running) -> None:
    told.rename(f"{running.kind} {running.operation or UNNAMED}")
    told.set_attribute("graphql.operation.type", running.kind)
    told.set_attribute("graphql.operation.name", running.operation or "")
    told.set_attribute("steward.statements", running.statements)
    if running.codes:
        told.set_attribute("steward.codes", running.codes)
        told.failed()
