"""How many calls of functions something takes: what it costs, on any machine and however busy that is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Calls:
    """The calls within the block, of Python's functions and of those in C."""

    def __init__(self) -> None:
        self.count = 0

    def seen(self, _: FrameType, event: str, __: Any) -> None:
        """Count this event, if it is a call."""
        self.count += event in {"call", "c_call"}


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Count the calls of this thread within the block."""
    calls = Calls()
    sys.setprofile(calls.seen)
    try:
        yield calls
    finally:
        sys.setprofile(None)
