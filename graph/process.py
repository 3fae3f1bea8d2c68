"""`python -m graph.process`: one of several processes of a server, as its supervisor starts them."""

import asyncio
import logging
import os
import socket
import sys
import time
from functools import partial
from threading import Thread
from typing import Final

from graph.cli import ended
from graph.seats import Seat
from graph.server import Server, serve_beside, stream_socket
from graph.settings import Settings
from graph.supervisor import SERVING, received

# Seconds beyond what is let finish.
MARGIN: Final = 10


def _tied(line: socket.socket, settings: Settings, seat: Seat, server: Server) -> None:
    """Tell the supervisor that this process serves, and end when it is gone, whatever has killed it."""
    line.sendall(SERVING)
    loop = asyncio.get_running_loop()

    def watch() -> None:
        _wait_for_end(line)
        seat.clear()
        loop.call_soon_threadsafe(server.abandon)
        time.sleep(2 * settings.grace_seconds + MARGIN)
        # What is stuck must not go on without anybody who sees to it.
        logging.shutdown()
        os._exit(1)

    Thread(target=watch, name="supervisor", daemon=True).start()


def _wait_for_end(line: socket.socket) -> None:
    try:
        while line.recv(1):
            pass
    except OSError:
        return


def main(listener: int, line: int) -> None:
    """Serve on a socket that was handed over."""
    for each in (listener, line):
        # Whatever this process starts must not keep the port, nor seem to be the process.
        os.set_inheritable(each, False)  # noqa: FBT003 - the function's signature
    supervisor = socket.socket(fileno=line)
    posting = received(supervisor)
    settings, seat = posting.settings, posting.seat
    began = partial(_tied, supervisor, settings, seat)
    sys.exit(ended(serve_beside(settings, stream_socket(settings, listener), seat, began)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
