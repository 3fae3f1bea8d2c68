"""Several processes of one server on one socket: started, replaced when they die, and brought to an end together.

Each is a fresh interpreter that is handed the socket. Neither uvicorn's supervisor, which knows no pause between two
starts, no drain of ours and no end of its parent, nor a fork, which on macOS breaks the system's libraries, would do.
"""

import asyncio
import logging
import pickle
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import msgspec

from graph.seats import Seat
from graph.settings import Settings

log = logging.getLogger("steward.supervisor")

# Seconds: whoever has lived that long has not died of its start.
STEADY: Final = 30.0
LONGEST_PAUSE: Final = 30.0
# In a row, while nobody else serves: then the server ends, for whoever runs it to see.
MOST_DEATHS: Final = 5
SERVING: Final = b"!"


class Posting(msgspec.Struct, frozen=True):
    """What a process is told when it starts: the settings are those of its siblings, whatever files say by now."""

    settings: Settings
    seat: Seat


class _Place:
    """One of the places, and who is in it at present."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.process: Process | None = None
        self.serving = asyncio.Event()
        self.deaths = 0

    def tell(self, signum: signal.Signals) -> None:
        # One that does not serve yet knows no way of its own to end on Ctrl-C.
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signum if self.serving.is_set() else signal.SIGTERM)


async def supervise(
    settings: Settings, listener: socket.socket, seats: Sequence[Seat], began: Callable[[], None]
) -> int:
    """Have as many processes serve on a bound socket as there are seats, until SIGINT or SIGTERM; gives the exit code.

    `began` is called once, when all of them serve.
    """
    supervisor = Supervisor(settings, listener, seats)
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, supervisor.end, each)
    return await supervisor.run(began)


async def _served(places: Sequence[_Place], keeping: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all of them serve; raises what keeps one from it for good."""
    serving: asyncio.Future[Any] = asyncio.gather(*(each.serving.wait() for each in places))
    waited_for: list[asyncio.Future[Any]] = [serving, *keeping]
    done, _ = await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    for each in done - {serving}:
        each.result()
    await serving


class Supervisor:
    """Keeps the processes of a server running."""

    def __init__(self, settings: Settings, listener: socket.socket, seats: Sequence[Seat]) -> None:
        self._settings = settings
        self._listener = listener
        self._places = [_Place(seat) for seat in seats]
        self._ending = asyncio.Event()
        self._complete = False
        self._code = 1

    async def run(self, began: Callable[[], None]) -> int:
        """Start all, and keep them until the end; gives the exit code.

        The first alone, so that what is wrong with the settings is said once.
        """
        first, *others = self._places
        keeping = [asyncio.create_task(self._keep(first))]
        await _served([first], keeping)
        if not self._ending.is_set():
            keeping += [asyncio.create_task(self._keep(each)) for each in others]
            await _served(others, keeping)
        if not self._ending.is_set():
            self._complete, self._code = True, 0
            began()
        await asyncio.gather(*keeping)
        return self._code

    def end(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Have all processes end, as each would on this signal; a second SIGINT has them end at once."""
        self._ending.set()
        # Nobody new is to wait here for processes that take nothing more; each has the socket for as long as it does.
        self._listener.close()
        for place in self._places:
            place.tell(signum)
            place.serving.set()

    async def _keep(self, place: _Place) -> None:
        """Have a process in this place, again and again until the end."""
        while not self._ending.is_set():
            began = monotonic()
            try:
                code, pid = await self._run(place)
            except OSError as error:
                # No process is to be had, for want of memory or files; there may be one later.
                log.error("worker %d cannot be started: %s", place.seat.number, error)  # noqa: TRY400 - it says why
                code, pid = 1, 0
            if self._ending.is_set():
                return
            if not self._complete:
                # It has said why itself.
                self._fail(code)
                return
            place.deaths = 1 if monotonic() - began > STEADY else place.deaths + 1
            await self._mourn(place, pid, code)

    async def _run(self, place: _Place) -> tuple[int, int]:
        """A process from its start to its end; gives its exit code and its number."""
        loop = asyncio.get_running_loop()
        line, its_line = socket.socketpair()
        with line:
            with its_line:
                process = place.process = await self._started(its_line)
            if self._ending.is_set():
                place.tell(signal.SIGTERM)
            line.settimeout(0)
            # It ends what it was told, or dies before it has heard it.
            with suppress(OSError):
                await loop.sock_sendall(line, _framed(Posting(self._settings, place.seat)))
                if await loop.sock_recv(line, len(SERVING)):
                    place.serving.set()
                    log.log(self._gravity, "worker %d serves as process %d", place.seat.number, process.pid)
            code = await process.wait()
        if not self._ending.is_set():
            place.serving.clear()
        return code, process.pid

    async def _started(self, its_line: socket.socket) -> Process:
        ours = (self._listener.fileno(), its_line.fileno())
        # In a session of its own: a terminal's Ctrl-C is for the supervisor, who passes it on.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "graph.process", *map(str, ours)),
            stdin=DEVNULL,
            pass_fds=ours,
            start_new_session=True,
        )

    async def _mourn(self, place: _Place, pid: int, code: int) -> None:
        """Say who has died, and wait for the time to replace it; or give up."""
        number, how = place.seat.number, _told(code)
        if place.deaths >= MOST_DEATHS and not any(each.serving.is_set() for each in self._places):
            log.error("worker %d (process %d) %s, the last of %d deaths: giving up", number, pid, how, place.deaths)
            self._fail(1)
            return
        pause = min(2.0 ** (place.deaths - 2), LONGEST_PAUSE) if place.deaths > 1 else 0.0
        log.warning("worker %d (process %d) %s: another takes its place in %.0f s", number, pid, how, pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._ending.wait()

    @property
    def _gravity(self) -> int:
        """Of a beginning: who was told of a death is told of the replacement."""
        return logging.WARNING if self._complete else logging.INFO

    def _fail(self, code: int) -> None:
        self._code = code if code > 0 else 1
        self.end()


def _framed(posting: Posting) -> bytes:
    content = pickle.dumps((posting.settings, posting.seat))
    return len(content).to_bytes(8, "big") + content


def received(line: socket.socket) -> Posting:
    """What a process is told by its supervisor; raises EOFError if that is gone."""
    with line.makefile("rb") as stream:
        size = int.from_bytes(stream.read(8), "big")
        content: Any = stream.read(size)
    # Written by the supervisor, on a socket that nobody else has.
    return Posting(*pickle.loads(content))  # noqa: S301 - as above


def _told(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"has ended with exit code {code}"
