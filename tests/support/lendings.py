"""Counting how often a connection of the pool is lent."""

from persistence.database import Watch


class Lendings(Watch):
    """Counts while it watches a database: `database.watch = Lendings()`."""

    def __init__(self) -> None:
        self.count = 0

    def waited(self, seconds: float) -> None:  # noqa: ARG002 - as it is told
        """One more."""
        self.count += 1
