"""The composition root: settings in, an ASGI application out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from domain.clock import Clock, system_clock
from domain.entities import IdMaker
from domain.identity import Admissions, Passwords, Tokens
from domain.orders.terms import ApprovalLimits
from domain.transactions import LargeAmounts
from graph.context import Contexts, Services
from graph.graphiql import DemoSignIn, Explorer, operations
from graph.http.endpoint import Endpoint
from graph.http.schema import Schema
from graph.office import Gateways
from graph.schema import make_schema
from graph.settings import ROOT, Background, Settings
from graph.worker import Pace, Worker
from persistence.bell import Bell
from persistence.database import Database
from persistence.doors import Doors
from persistence.housekeeping import keep_house
from persistence.paper_broker import PaperBroker, PaperRules

OPERATIONS: Final = ROOT / "graph" / "operations"
WEB: Final = ROOT / "web"


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
        tokens = Tokens(settings.signing_secret(home), settings.lives)
        yield Services(
            doors=Doors(database, bell, clock=clock, ids=IdMaker(), field_key=settings.field_key_bytes(home)),
            tokens=tokens,
            admissions=Admissions(tokens),
            passwords=Passwords(),
            large_amounts=LargeAmounts(settings.large_amounts),
            approval_limits=ApprovalLimits(settings.approval_limits),
            gateways=Gateways(broker=PaperBroker(database, clock, rules), kyc_notice=settings.kyc_notice),
            turns=asyncio.Semaphore(max(1, settings.database_pool - 2)),
        )


def make_app(
    settings: Settings,
    services: Services,
    sign_ins: Sequence[DemoSignIn] = (),
    *,
    schema: Schema | None = None,
    alone: bool = True,
) -> Starlette:
    """The application: the API, GraphiQL and the health checks.

    Unless it is `alone`, what belongs beside a server runs with it: housekeeping, background work, and the bundling of
    GraphiQL. Tests hand in a schema that is made once for all of them.
    """
    explorer = Explorer(WEB, operations(OPERATIONS), sign_ins, development=settings.development)
    endpoint = Endpoint(
        schema or make_schema(open_schema=settings.development),
        Contexts(services),
        page=explorer.page,
        allowed_origins=list(settings.allowed_origins),
    )
    routes: list[BaseRoute] = [
        Route("/", _home, methods=["GET"]),
        Route("/graphql", endpoint),
        WebSocketRoute("/graphql", endpoint),
        Route("/healthz", _healthy, methods=["GET"]),
        Route("/readyz", _ready, methods=["GET"]),
        *explorer.routes,
    ]
    lifespan = None if alone else partial(_beside, settings, explorer, services)
    app = Starlette(routes=routes, middleware=_cors(settings), lifespan=lifespan)
    app.state.database = services.doors.database
    return app


def make_worker(settings: Settings, services: Services, *, elected: bool) -> Worker:
    """What runs jobs and schedules; one that is `elected` waits until no other elected one does."""
    pace = Pace(heartbeat=timedelta(seconds=settings.job_heartbeat))
    connections = max(1, settings.database_pool // 2)
    return Worker(services.doors, services.gateways, pace=pace, elected=elected, connections=connections)


@asynccontextmanager
async def _beside(settings: Settings, explorer: Explorer, services: Services, _: Starlette) -> AsyncIterator[None]:
    """What runs beside the server, without delaying its start: GraphiQL's bundling, housekeeping, background work."""
    doors = services.doors
    tasks = [
        asyncio.create_task(explorer.prepare()),
        asyncio.create_task(keep_house(doors.database, doors.clock)),
    ]
    worker = make_worker(settings, services, elected=True)
    working = asyncio.create_task(worker.run()) if settings.jobs is Background.SERVER else None
    yield
    worker.stop()
    if working:
        await working
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


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
            expose_headers=["x-request-id"],
            max_age=600,
        )
    ]


async def _home(_: Request) -> Response:
    return RedirectResponse("/graphql")


async def _healthy(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def _ready(request: Request) -> Response:
    """The database answers too, so that requests can be sent here."""
    if await request.app.state.database.answers():
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "unavailable"}, status_code=503, headers={"Retry-After": "5"})
