"""How many there are at once, by whom."""

from typing import Self

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
        self.what = what
        self.most = most
        self.there: dict[str, int] = {}

    def one(self, whose: str) -> "One":
        """One more, for a block or until it leaves; entering the block raises Crowded."""
        return One(self, whose)


class One:
    """One of a crowd, while its block runs, or from its coming until it leaves."""

    __slots__ = ("_crowd", "_whose")

    def __init__(self, crowd: Crowd, whose: str) -> None:
        self._crowd = crowd
        self._whose = whose

    def __enter__(self) -> None:
        self.come()

    def __exit__(self, *_: object) -> None:
        self.leave()

    def come(self) -> Self:
        """Be one of them; raises Crowded."""
        crowd = self._crowd
        there = crowd.there.get(self._whose, 0)
        if there >= crowd.most:
            raise Crowded(crowd.what, crowd.most)
        crowd.there[self._whose] = there + 1
        return self

    def leave(self) -> None:
        """Be one of them no longer."""
        there = self._crowd.there
        there[self._whose] -= 1
        if not there[self._whose]:
            del there[self._whose]
