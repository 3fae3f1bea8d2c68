"""The places of several processes of one server, and the metrics of all of them, whichever is asked.

Each process tells its own on a socket beside the others'; whoever is asked for them asks all, and names in the label
`worker` whose each is. So a counter is never that of one process now and of another at the next scrape, and what
cannot be added up (memory, connections) stays apart.
"""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

LABEL: Final = "worker"
# One that is stuck is left out, rather than have the scrape fail.
PATIENCE: Final = 1.0
PIECE: Final = 1 << 16


class Family(msgspec.Struct, frozen=True, array_like=True):
    """The series of one metric of a process: names, labels and values."""

    name: str
    text: str
    kind: str
    samples: Sequence[tuple[str, dict[str, str], float]]


def _families(registry: CollectorRegistry) -> list[Family]:
    return [
        Family(each.name, each.documentation, each.type, [(one.name, one.labels, one.value) for one in each.samples])
        for each in registry.collect()
    ]


class Seat(msgspec.Struct, frozen=True):
    """The place of one process among its siblings; who takes the place of one that has died has the same."""

    number: int
    count: int
    directory: Path

    @property
    def first(self) -> bool:
        """Whether what one process does for all is its business."""
        return self.number == 1

    @property
    def all(self) -> list[Self]:
        """Those of all siblings, this one among them."""
        return [msgspec.structs.replace(self, number=number) for number in range(1, self.count + 1)]

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics of all processes, asked for whenever somebody reads them; that blocks."""
        registry = CollectorRegistry()
        registry.register(_Everybody(self.all))
        return registry

    @asynccontextmanager
    async def told(self, registry: CollectorRegistry) -> AsyncIterator[None]:
        """Tell the metrics of this process to the others, until the end of the block."""

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Who has given up waiting needs none.
            try:
                with suppress(OSError):
                    writer.write(msgspec.msgpack.encode(_families(registry)))
                    await writer.drain()
            finally:
                writer.close()

        # There is one if the process before was killed.
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(answer, self._path)
        try:
            yield
        finally:
            server.close()

    def asked(self) -> list[Family]:
        """What the process in this place tells; nothing if there is none at present."""
        told = bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.settimeout(PATIENCE)
                asking.connect(str(self._path))
                while piece := asking.recv(PIECE):
                    told += piece
            return msgspec.msgpack.decode(bytes(told), type=list[Family])
        except (OSError, msgspec.DecodeError):
            return []

    def clear(self) -> None:
        """Remove the directory of all of them: its owner is gone."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _path(self) -> Path:
        return self.directory / str(self.number)


@contextmanager
def seats(count: int) -> Iterator[list[Seat]]:
    """Places for so many processes, until the end of the block. Their directory is its owner's alone."""
    with tempfile.TemporaryDirectory(prefix="steward-", ignore_cleanup_errors=True) as directory:
        yield Seat(1, count, Path(directory)).all


class _Everybody(Collector):
    def __init__(self, asked: Sequence[Seat]) -> None:
        self._asked = asked

    def collect(self) -> list[Metric]:
        found: dict[str, Metric] = {}
        for seat in self._asked:
            for family in seat.asked():
                metric = found.setdefault(family.name, Metric(family.name, family.text, family.kind))
                for name, labels, value in family.samples:
                    metric.add_sample(name, {**labels, LABEL: str(seat.number)}, value)
        return list(found.values())
