"""Running the server: the database below it, uvicorn around it, and what it prints."""

import argparse
import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import uvicorn

from domain import identity
from domain.access import Role
from domain.clock import system_clock
from domain.identity import NewUser, Passwords, User
from graph.app import make_app, make_worker, open_services
from graph.context import Services
from graph.graphiql import DemoSignIn
from graph.http.bounds import HttpLimits
from graph.settings import Settings, SettingsError
from persistence import demo
from persistence.bell import Bell
from persistence.embedded import EmbeddedServer
from persistence.setup import migrate, organised

# Printed by `make serve` and offered by the page, in development alone: whoever loads the demo elsewhere says --yes.
DEMO_PASSWORD: Final = "steward-demo-2026"  # noqa: S105 - as above, meant to be read
DEMO_CLIENTS: Final = 600
# Measured on lists of two thousand objects with sixteen requests in flight.
FIRST_COLLECTION: Final = 10_000


class Place(msgspec.Struct, frozen=True):
    """Where the database is, and where secrets that no setting gives are kept beside it."""

    url: str
    home: Path


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Place]:
    """The database of the settings: an outside one, or the embedded one, which ends with its last user."""
    if settings.database_url is not None:
        yield Place(settings.database_url, settings.state_directory)
        return
    server = await asyncio.to_thread(EmbeddedServer.start, settings.state_directory)
    try:
        yield Place(server.url(), Path(server.home))
    finally:
        await asyncio.to_thread(server.close, wait=True)


async def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; gives the exit code. Raises SettingsError if the port is taken."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _listener(settings) as listener:
        async with database(settings) as place:
            await migrate(place.url)
            sign_ins = await _demo_firm(settings, place)
            async with open_services(settings, place.url, place.home) as services:
                server = _server(settings, services, sign_ins)
                _stop_by_signals()
                await server.serve([listener])
    return 0 if server.started else 1


async def work(settings: Settings) -> int:
    """Run background work, without a server, until SIGINT or SIGTERM; gives the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    async with database(settings) as place:
        await migrate(place.url)
        async with open_services(settings, place.url, place.home) as services:
            worker = make_worker(settings, services, elected=False)
            for each in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(each, worker.stop)
            print("Steward is working in the background. Ctrl-C stops it.", flush=True)  # noqa: T201 - for whoever started it
            await worker.run()
    return 0


def _listener(settings: Settings) -> socket.socket:
    """The bound socket, before anything else is started: a taken port is the likeliest mistake."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, for asyncio asks the socket for it before it switches Nagle's delay of 40 ms off.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise SettingsError(f"{place} cannot be listened on ({error.strerror}); set PORT to another.") from error
    return listener


def _server(settings: Settings, services: Services, sign_ins: Sequence[DemoSignIn]) -> "_Server":
    config = uvicorn.Config(
        make_app(settings, services, sign_ins, alone=False),
        log_level="warning",
        server_header=False,
        ws_max_size=HttpLimits().message_bytes,
        timeout_graceful_shutdown=5,
    )
    return _Server(config, settings.host, sign_ins, services.doors.bell)


def _stop_by_signals() -> None:
    # uvicorn raises the signal once more when it has stopped; by then it must not kill what is left to clean up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: None)


class _Server(uvicorn.Server):
    """uvicorn, which says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, host: str, sign_ins: Sequence[DemoSignIn], bell: Bell) -> None:
        super().__init__(config)
        self._host = host
        self._sign_ins = sign_ins
        self._bell = bell

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell open streams to go on elsewhere, then wait for what is under way."""
        self._bell.stop()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and print how to get in."""
        await super().startup(sockets)
        if not self.started or not sockets:
            return
        # Every collection walks what is alive: what lives as long as the server is taken out of its way.
        gc.collect()
        gc.freeze()
        gc.set_threshold(FIRST_COLLECTION)
        address = f"http://{self._host}:{sockets[0].getsockname()[1]}"
        print(_welcome(address, self._sign_ins), flush=True)  # noqa: T201 - for whoever started it


def _welcome(address: str, sign_ins: Sequence[DemoSignIn]) -> str:
    lines = ["", f"Steward is serving at {address}/graphql (GraphiQL in a browser)."]
    if sign_ins:
        query = '{"query":"mutation($i:SignInInput!){signIn(input:$i){session{accessToken user{name role}}}}",'
        variables = f'"variables":{{"i":{{"email":"{sign_ins[0].email}","password":"{sign_ins[0].password}"}}}}}}'
        lines += ["", "Sign in as:"]
        lines += [f"  {each.role:<11} {each.email:<32} {each.password}" for each in sign_ins]
        lines += [
            "",
            "Try:",
            f"  curl -s {address}/graphql -H 'content-type: application/json' -d '{query}{variables}'",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops server and database.", ""])


async def _demo_firm(settings: Settings, place: Place) -> list[DemoSignIn]:
    """The demo's sign-ins, the firm made first if need be: only in development, on the embedded database."""
    if not (settings.development and settings.demo and settings.database_url is None):
        return []
    if await demo.is_empty(place.url):
        await _load(settings, place, DEMO_CLIENTS)
    return [
        DemoSignIn(name=each.name, role=each.role, email=each.email, password=DEMO_PASSWORD)
        for each in await demo.sign_ins(place.url)
    ]


async def _load(settings: Settings, place: Place, clients: int) -> demo.DemoSummary:
    key = settings.field_key_bytes(place.home)
    return await demo.load(
        place.url, clients=clients, field_key=key, passwords=Passwords(), now=system_clock(), password=DEMO_PASSWORD
    )


async def load_demo(settings: Settings, clients: int) -> None:
    """Fill an empty database with the demo firm, and say how to get in."""
    async with database(settings) as place:
        await migrate(place.url)
        summary = await _load(settings, place, clients)
    counted = ", ".join(
        f"{summary.counts[name]:,} {name}" for name in ("users", "clients", "portfolios", "transactions")
    )
    print(f"The demo firm has {counted}.")  # noqa: T201 - a command's answer


async def create_user(settings: Settings, options: argparse.Namespace, password: str) -> User:
    """Add a user, and the unit and team that it names if there are none; these stay if the user is then refused.

    Refuses what its rules decline; raises SettingsError for a role that there is not.
    """
    try:
        role = Role(options.role.upper())
    except ValueError as error:
        raise SettingsError(f"There is no role {options.role}; there are {', '.join(Role)}.") from error
    identity.check_place(role, unit=options.unit, team=options.team)
    async with database(settings) as place:
        await migrate(place.url)
        unit_id, team_id = await organised(place.url, options.unit, options.team, system_clock())
        new = NewUser(
            email=options.email,
            name=options.name,
            password=password,
            role=role,
            unit_id=unit_id,
            team_id=team_id,
            locale=options.locale,
            time_zone=options.time_zone,
        )
        async with open_services(settings, place.url, place.home) as services:
            return await services.doors.write(None, "command line", identity.create_user, services.passwords, new)
