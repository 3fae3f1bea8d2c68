"""The composition root: settings in, an ASGI application out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.assistant.answering import ModelAssistant
from domain.assistant.models.embedded import EmbeddedModel
from domain.assistant.prompting import ContextWindow
from domain.clock import Clock, system_clock
from domain.entities import IdMaker
from domain.identity import Admissions, Passwords, Tokens
from domain.identity.links import Links
from domain.office import RUNS
from domain.orders.terms import ApprovalLimits
from domain.providers import opening as providers
from domain.transactions import LargeAmounts
from graph import manifest
from graph.api import Api, is_program
from graph.audit_csv import AuditCsv
from graph.context import Services
from graph.contexts import Contexts
from graph.graphiql import DemoSignIn, Explorer, Operation, operations
from graph.health import Health
from graph.http.endpoint import Endpoint
from graph.http.headers import SafeAnswers
from graph.http.meters import EXPOSED
from graph.http.schema import Schema
from graph.limits import Limits
from graph.metrics import Metrics, MetricsPage, names_in
from graph.model_settings import opened_model
from graph.observing import Observer, Observing
from graph.office import Gateways
from graph.rate_settings import RateStorage
from graph.rates import Rates
from graph.renewal import renews
from graph.schema import make_schema
from graph.seats import Seat
from graph.settings import ROOT, Background, Settings, SettingsError
from graph.traces import Traces
from graph.worker import Pace, Worker
from persistence.audit import keep_sealing
from persistence.bell import Bell
from persistence.conversations.pen import Pen
from persistence.database import Database
from persistence.doors import Doors
from persistence.housekeeping import keep_house
from persistence.paper_broker import PaperBroker, PaperRules
from persistence.rates import DatabaseWindows, MemoryWindows, Windows

OPERATIONS: Final = ROOT / "graph" / "operations"
WEB: Final = ROOT / "web"


@cache
def _samples() -> Sequence[Operation]:
    return operations(OPERATIONS)


@asynccontextmanager
async def open_services(
    settings: Settings, url: str, home: Path, clock: Clock = system_clock
) -> AsyncIterator[Services]:
    """The services on a migrated database, until they are no longer needed; raises Unavailable.

    `home` is where secrets that no setting gives are kept.
    """
    async with AsyncExitStack() as stack:
        database = await Database.open(url, size=settings.database_pool)
        stack.push_async_callback(database.close)
        bell = Bell(database)
        await bell.start()
        stack.push_async_callback(bell.close)
        rules = PaperRules(
            largest_fill=settings.paper_largest_fill,
            rejected=frozenset(settings.paper_rejects),
            in_sessions=settings.paper_in_sessions,
        )
        observer = _observer(settings, database, stack)
        ids = IdMaker()
        model = await stack.enter_async_context(opened_model(settings, EmbeddedModel(pace=settings.embedded_pace)))
        pen = Pen(database, bell, clock)
        tokens = Tokens(settings.signing_secret(home), settings.lives, settings.older_signing_secrets)
        yield Services(
            doors=Doors(database, bell, clock=clock, ids=ids, ring=settings.key_ring(home)),
            tokens=tokens,
            admissions=Admissions(tokens, settings.second_factor_roles),
            passwords=Passwords(),
            large_amounts=LargeAmounts(settings.large_amounts),
            approval_limits=ApprovalLimits(settings.approval_limits),
            gateways=Gateways(
                broker=PaperBroker(database, clock, rules),
                mail=settings.mail(settings.mail_directory),
                links=Links(settings.signing_secret(home), settings.link_base, settings.older_signing_secrets),
                kyc_notice=settings.kyc_notice,
                assistant=ModelAssistant(model, pen, ContextWindow(settings.context_tokens), ids.make),
            ),
            registration=settings.registration,
            retention_years=settings.kept_years,
            providers=await stack.enter_async_context(providers.opened(settings.sign_in_providers)),
            observer=observer,
            rates=Rates(_windows(settings, database, clock), settings.allowance, clock),
            turns=asyncio.Semaphore(max(1, settings.database_pool - 2)),
        )


def _windows(settings: Settings, database: Database, clock: Clock) -> Windows:
    """Where it is counted what callers have used."""
    return DatabaseWindows(database) if settings.rate_storage is RateStorage.DATABASE else MemoryWindows(clock)


def _observer(settings: Settings, database: Database, stack: AsyncExitStack) -> Observer:
    """Whoever watches: the samples' names are told apart in metrics, and traces go where the settings say."""
    metrics = Metrics(names_in(sample.query for sample in _samples()))
    metrics.watch_pool(lambda: database.pooled)
    observer = Observer(metrics, _traces(settings))
    stack.push_async_callback(asyncio.to_thread, observer.traces.close)
    database.watch = observer
    return observer


def _traces(settings: Settings) -> Traces:
    if settings.otel_exporter_otlp_endpoint is None:
        return Traces()
    from graph.otlp import OtlpTraces  # noqa: PLC0415 - long to import, and seldom wanted

    endpoint = str(settings.otel_exporter_otlp_endpoint)
    return OtlpTraces(endpoint, share=settings.trace_share, trusted=settings.trace_callers)


def make_app(
    settings: Settings,
    services: Services,
    sign_ins: Sequence[DemoSignIn] = (),
    *,
    schema: Schema | None = None,
    alone: bool = True,
    seat: Seat | None = None,
) -> Starlette:
    """The application: the API, GraphiQL and the health checks.

    Unless it is `alone`, what belongs beside a server runs with it: housekeeping, background work, and the bundling of
    GraphiQL. Tests hand in a schema that is made once for all of them. `seat` is the place of one of several processes.
    """
    introspection = settings.disclosure.introspection
    explorer = Explorer(WEB, _samples(), sign_ins, introspection=introspection, development=settings.development)
    contexts = Contexts(services)
    schema = schema or make_schema(Limits(cost=settings.max_cost), disclosure=settings.disclosure)
    endpoint = Endpoint(
        schema,
        contexts,
        page=explorer.page,
        limits=settings.http_limits,
        allowed_origins=list(settings.allowed_origins),
        observer=services.observer,
        gate=contexts,
        renews=renews,
        trusted=_trusted(settings, schema),
        trusted_only=settings.only_trusted_documents,
    )
    health = Health(services.doors)
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    everybody = seat.registry if seat else None
    metrics = MetricsPage(services.observer.metrics, token, development=settings.development, everybody=everybody)
    routes: list[BaseRoute] = [
        Route("/", _home, methods=["GET"]),
        Route("/graphql", endpoint),
        WebSocketRoute("/graphql", endpoint),
        Route("/audit.csv", AuditCsv(contexts).answer, methods=["GET"]),
        Route("/healthz", health.alive, methods=["GET"]),
        Route("/readyz", health.ready, methods=["GET"]),
        Route("/metrics", metrics.answer, methods=["GET"]),
        *explorer.routes,
    ]
    lifespan = None if alone else partial(_beside, settings, explorer, services, seat)
    app = Starlette(routes=routes, middleware=_around(settings, services), lifespan=lifespan)
    app.state.health = health
    # Around all of it, for Starlette answers what failed outside of any middleware.
    always_tls = _always_tls(settings)
    safe = SafeAnswers(app.build_middleware_stack(), always_tls=always_tls)
    app.middleware_stack = Straight(Api(endpoint, services.observer, always_tls=always_tls), safe)
    return app


class Straight:
    """Leads what programs send to the API straight to it.

    Routes, other sites' pages and files are none of their business, and cost as much as a small query. No coroutine of
    its own: whatever a request waits for is handed through each that stands around it.
    """

    def __init__(self, api: ASGIApp, app: ASGIApp) -> None:
        self._api = api
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve the application, or its API alone."""
        return (self._api if is_program(scope) else self._app)(scope, receive, send)


def _trusted(settings: Settings, schema: Schema) -> Mapping[str, str]:
    """The documents that clients may name, valid for this schema. Raises SettingsError."""
    if settings.trusted_documents is None:
        return {}
    try:
        documents = manifest.read(settings.trusted_documents)
        manifest.trust(schema, documents)
    except manifest.ManifestError as error:
        raise SettingsError(f"TRUSTED_DOCUMENTS: {error}") from error
    return documents


# A run of a killed server is taken up again within so long, and a poll.
RUN_HEARTBEAT: Final = timedelta(seconds=10)
MANY_LIVES: Final = 1_000


def make_worker(settings: Settings, services: Services, *, elected: bool) -> Worker:
    """What runs jobs and schedules; one that is `elected` waits until no other elected one does."""
    pace = Pace(heartbeat=timedelta(seconds=settings.job_heartbeat))
    connections = max(1, settings.database_pool // 2)
    return Worker(
        services.doors,
        services.gateways,
        pace=pace,
        elected=elected,
        connections=connections,
        observer=services.observer,
    )


def make_answerer(settings: Settings, services: Services) -> Worker:
    """What carries out the runs of conversations: one in each process, for many take long at once."""
    return Worker(
        services.doors,
        services.gateways,
        jobs=RUNS,
        schedules=(),
        # A run counts its attempts itself, and ends after some; one whose job had died before would go on for ever.
        pace=Pace(heartbeat=RUN_HEARTBEAT, poll=timedelta(seconds=1), lives=MANY_LIVES),
        at_once=settings.runs_at_once,
        connections=max(1, settings.database_pool // 2),
        observer=services.observer,
    )


@asynccontextmanager
async def _beside(
    settings: Settings, explorer: Explorer, services: Services, seat: Seat | None, _: Starlette
) -> AsyncIterator[None]:
    """What runs beside the server, without delaying its start: GraphiQL's bundling, housekeeping, background work.

    In each of several processes, for those that bundle, seal or work see to it that one of them does; the house is kept
    by the first.
    """
    doors = services.doors
    tasks = [
        asyncio.create_task(explorer.prepare()),
        asyncio.create_task(keep_sealing(doors.database, doors.clock)),
    ]
    if seat is None or seat.first:
        tasks.append(asyncio.create_task(keep_house(doors.database, doors.clock)))
    worker = make_worker(settings, services, elected=True)
    workers = [worker, make_answerer(settings, services)] if settings.jobs is Background.SERVER else []
    working = [asyncio.create_task(each.run()) for each in workers]
    yield
    for each in workers:
        each.stop()
    await asyncio.gather(*working)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _always_tls(settings: Settings) -> bool:
    return (settings.public_url or "").startswith("https:")


def _around(settings: Settings, services: Services) -> list[Middleware]:
    return [Middleware(Observing, observer=services.observer), *_cors(settings)]


def _cors(settings: Settings) -> list[Middleware]:
    origins = list(settings.allowed_origins)
    if not origins:
        return []
    headers = ["authorization", "content-type", "x-request-id"]
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=headers,
            expose_headers=["x-request-id", *EXPOSED],
            max_age=600,
        )
    ]


async def _home(_: Request) -> Response:
    return RedirectResponse("/graphql")
