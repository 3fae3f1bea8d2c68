"""Counting statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from persistence.database import Database

# What tells the viewer goes along with what is read, or by itself where the session is not known yet.
TELLING: Final = ("viewer_of(", "enter_as(")


class Statements:
    """What repositories ask the database, apart from what only tells it who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements that ran within."""
        seen: list[str] = []

        def note(text: str) -> None:
            if not any(name in text for name in TELLING):
                seen.append(text)

        with self._database.observed(note):
            yield seen
