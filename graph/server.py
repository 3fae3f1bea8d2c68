"""Running the server: the database below it, uvicorn around it, and what it prints."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Final

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry

from graph import logs
from graph.app import make_answerer, make_app, make_worker, open_services
from graph.context import Services
from graph.demo_firm import DEMO_PASSWORD, demo_sign_ins
from graph.graphiql import DemoSignIn
from graph.health import Health
from graph.http.bounds import HttpLimits
from graph.metrics import at_port
from graph.observing import Observer
from graph.place import Place, database
from graph.seats import Seat, seats
from graph.settings import Settings, SettingsError
from graph.supervisor import supervise
from graph.tls import Certificate
from graph.wire import Wire
from graph.wire_sockets import SocketWire
from graph.worker import Worker
from persistence.audit import keep_sealing
from persistence.bell import Bell
from persistence.setup import migrate

# Measured on lists of two thousand objects with sixteen requests in flight.
FIRST_COLLECTION: Final = 10_000
# No refusal: what encrypts before the server (a sidecar, a tunnel, a platform's router) may be unknown to it, and who
# had to name a proxy only to get started would name everybody.
EXPOSED: Final = (
    "%s is served without TLS: passwords, tokens and clients' data cross the network in clear. Set TLS_CERTIFICATE and "
    "TLS_KEY, or name the proxy that encrypts in TRUSTED_PROXIES."
)

log = logging.getLogger(__name__)

# Told of a server that has begun to serve.
Began = Callable[["Server"], None]


async def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM, by as many processes as the settings say; gives the exit code.

    Raises SettingsError if the port is taken.
    """
    logs.set_up(settings.log_form, settings.log_level)
    with _listener(settings) as listener:
        async with database(settings) as place:
            await migrate(place.url)
            sign_ins = await _sign_ins(settings, place)
            if settings.exposed:
                log.warning(EXPOSED, settings.host)
            address = _address(settings, listener)

            def welcome() -> None:
                print(_welcome(address, sign_ins), flush=True)  # noqa: T201 - for whoever started it

            if settings.workers > 1:
                with seats(settings.workers) as places, _metrics(settings, places[0].registry):
                    return await supervise(settings, listener, places, welcome)
            async with open_services(settings, place.url, place.home) as services:
                server = _server(settings, services, sign_ins, lambda _: welcome())
                with _metrics(settings, services.observer.metrics.registry):
                    return await server.served(listener)


async def serve_beside(settings: Settings, listener: socket.socket, seat: Seat, began: Began) -> int:
    """Serve as one of several processes, whose supervisor has bound the socket and made the database ready.

    `began` is called once it serves. Gives the exit code.
    """
    logs.set_up(settings.log_form, settings.log_level)
    async with database(settings) as place:
        sign_ins = await _sign_ins(settings, place)
        async with (
            open_services(settings, place.url, place.home) as services,
            seat.told(services.observer.metrics.registry),
        ):
            return await _server(settings, services, sign_ins, began, seat).served(listener)


async def work(settings: Settings) -> int:
    """Run background work, without a server, until SIGINT or SIGTERM; gives the exit code."""
    logs.set_up(settings.log_form, settings.log_level)
    async with database(settings) as place:
        await migrate(place.url)
        async with open_services(settings, place.url, place.home) as services:
            workers = [make_worker(settings, services, elected=False), make_answerer(settings, services)]
            for each in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(each, _stop, workers)
            print("Steward is working in the background. Ctrl-C stops it.", flush=True)  # noqa: T201 - for whoever started it
            with _metrics(settings, services.observer.metrics.registry):
                await _beside_workers(services, workers)
    return 0


def _stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.stop()


async def _beside_workers(services: Services, workers: Sequence[Worker]) -> None:
    """Work until the workers are stopped, and seal the audit trail meanwhile: there may be no server that does."""
    sealing = asyncio.create_task(keep_sealing(services.doors.database, services.doors.clock))
    try:
        await asyncio.gather(*(worker.run() for worker in workers))
    finally:
        sealing.cancel()
        await asyncio.gather(sealing, return_exceptions=True)


@contextmanager
def _metrics(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(at_port(registry, settings.metrics_port))
        except OSError as error:
            place = f"127.0.0.1:{settings.metrics_port}"
            raise SettingsError(f"METRICS_PORT: {place} cannot be listened on ({error.strerror}).") from error
        yield


def stream_socket(settings: Settings, descriptor: int | None = None) -> socket.socket:
    """A socket for the settings' host: a new one, or one that was handed over."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, for asyncio asks the socket for it before it switches Nagle's delay of 40 ms off.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, descriptor)


def _listener(settings: Settings) -> socket.socket:
    """The bound socket, before anything else is started: a taken port is the likeliest mistake."""
    listener = stream_socket(settings)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise SettingsError(f"{place} cannot be listened on ({error.strerror}); set PORT to another.") from error
    return listener


def _server(
    settings: Settings,
    services: Services,
    sign_ins: Sequence[DemoSignIn],
    began: Began,
    seat: Seat | None = None,
) -> "Server":
    certificate = _certificate(settings)
    app = make_app(settings, services, sign_ins, alone=False, seat=seat)
    config = uvicorn.Config(
        app,
        ssl_context_factory=(lambda *_: certificate.context()) if certificate else None,
        # Only those that a setting names: uvicorn would believe whatever comes from loopback.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        # Its loggers are set up with all others, and each operation has a line of our own.
        log_config=None,
        access_log=False,
        server_header=False,
        http=Wire,
        ws=SocketWire,
        # What is encoded once for all of them is not compressed for each: that costs more than all the rest.
        ws_per_message_deflate=False,
        ws_max_size=HttpLimits().message_bytes,
        # Messages of a socket that wait to be read; each may be as long as that.
        ws_max_queue=8,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    end = End(app.state.health, services.doors.bell, services.observer, settings.drain, settings.grace_seconds)
    return Server(config, end, began)


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)


class End(msgspec.Struct, frozen=True):
    """How a server ends: who tells balancers of it, who tells open streams, and the seconds between the two.

    Sockets have `grace` seconds to answer what they were asked before, and requests as many after them.
    """

    health: Health
    bell: Bell
    observer: Observer
    drain: float
    grace: float


class Server(uvicorn.Server):
    """uvicorn, which says when it serves, and drains before it ends."""

    def __init__(self, config: uvicorn.Config, end: End, began: Began) -> None:
        super().__init__(config)
        self._end = end
        self._began = began
        self._drain = end.drain
        self._listener: socket.socket | None = None

    async def served(self, listener: socket.socket) -> int:
        """Serve on a bound socket until a signal; gives the exit code."""
        for each in (signal.SIGINT, signal.SIGTERM):
            # None is to be lost before uvicorn listens. And it raises them once more when it has stopped: they must not
            # kill what is left to clean up.
            signal.signal(each, self.handle_exit)
        self._listener = listener
        await self.serve([listener])
        return 0 if self.started else 1

    def abandon(self) -> None:
        """Take nothing more, finish what is under way, and end: nobody else is there to bring it to an end."""
        for server in self.servers:
            server.close()
        if self._listener is not None:
            self._listener.close()
        self._drain = 0.0
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have balancers look elsewhere, tell open streams to go on there, then wait for what is under way.

        In this order: a client that comes back must find another server, and until then this one takes its requests.
        A second SIGINT ends the wait.
        """
        self._end.health.draining = True
        await self._wait(self._drain, lambda: True)
        self._end.bell.stop()
        # uvicorn itself would close sockets in the middle of what they do.
        await self._wait(self._end.grace, lambda: self._end.observer.sockets > 0)
        await super().shutdown(sockets)

    async def _wait(self, seconds: float, there_is_need: Callable[[], bool]) -> None:
        until = monotonic() + seconds
        while monotonic() < until and not self.force_exit and there_is_need():  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.05)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell so."""
        await super().startup(sockets)
        if not self.started:
            return
        lighten_collections()
        self._began(self)


def lighten_collections() -> None:
    """Take what is alive now out of the collector's way, which walks it each time, and let it come by less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(FIRST_COLLECTION)


def _address(settings: Settings, listener: socket.socket) -> str:
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{settings.host}:{listener.getsockname()[1]}"


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


async def _sign_ins(settings: Settings, place: Place) -> list[DemoSignIn]:
    """The demo's sign-ins, as its page and the first lines offer them."""
    return [
        DemoSignIn(name=each.name, role=each.role, email=each.email, password=DEMO_PASSWORD)
        for each in await demo_sign_ins(settings, place)
    ]
