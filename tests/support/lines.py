"""What is logged while a test runs, as the server writes it."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from graph.logs import LogFormat, formatter


class Lines:
    """Log lines, as objects."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        """All that was written."""
        return self.stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        """Each line."""
        return [msgspec.json.decode(line) for line in self.text.splitlines()]

    def of(self, logger: str) -> list[dict[str, Any]]:
        """Those of one logger."""
        return [line for line in self.all if line["logger"] == logger]

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The lines of operations and of requests that were turned away."""
        return self.of("steward.access")


@contextmanager
def logged(level: int = logging.INFO) -> Iterator[Lines]:
    """Collect what is logged until the end of the block, in JSON."""
    lines, root = Lines(), logging.getLogger()
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(formatter(LogFormat.JSON))
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
