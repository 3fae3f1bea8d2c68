"""Counting statements."""

from collections.abc import Iterator
from contextlib import contextmanager

from persistence.database import Database


class Statements:
    """What repositories ask the database, the lending of connections apart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements that ran within."""
        seen: list[str] = []
        with self._database.observed(seen.append):
            yield seen
