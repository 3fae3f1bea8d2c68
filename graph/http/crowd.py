"""How many there are at once, by whom."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import RateLimited

# There is no telling when another of them ends: what browsers' clients wait anyway.
AGAIN_SECONDS = 5


class Crowded(RateLimited):
    """As many at once as one may have."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__(f"There are {most} {what} already: end one first.", retry_after=AGAIN_SECONDS)


class Crowd:
    """Counts what is there at once by whose it is, in this process."""

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._there: Counter[str] = Counter()

    @contextmanager
    def one(self, whose: str) -> Iterator[None]:
        """One more, until the end of the block; raises Crowded."""
        if self._there[whose] >= self._most:
            raise Crowded(self._what, self._most)
        self._there[whose] += 1
        try:
            yield
        finally:
            self._there[whose] -= 1
            if not self._there[whose]:
                del self._there[whose]
