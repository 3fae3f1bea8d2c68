"""Where an object of a level stands in the answer, told only when an error has to say so."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

Path = tuple[str | int, ...]


class Place(Protocol):
    """The places of a level's objects."""

    def path(self, at: int) -> Path:
        """The path of the object at an index of its level."""


class Root:
    """The one object that an operation begins at."""

    def path(self, at: int) -> Path:  # noqa: ARG002 - there is but one
        """Nothing lies above it."""
        return ()


class Items:
    """The items of a level's lists, laid end to end."""

    __slots__ = ("_lengths", "_lists")

    def __init__(self, lists: Place, lengths: Sequence[int]) -> None:
        self._lists = lists
        self._lengths = lengths

    def owner(self, at: int) -> tuple[int, int]:
        """Which list an item is in, and its index there."""
        ends = list(accumulate(self._lengths))
        which = bisect_right(ends, at)
        return which, at - (ends[which] - self._lengths[which])

    def path(self, at: int) -> Path:
        """The list's path and the item's index."""
        which, index = self.owner(at)
        return (*self._lists.path(which), index)


class Some:
    """Some of a level's objects: those that are there, or are of one type."""

    __slots__ = ("_all", "_chosen")

    def __init__(self, every: Place, chosen: Sequence[int]) -> None:
        self._all = every
        self._chosen = chosen

    def path(self, at: int) -> Path:
        """The object's path among all."""
        return self._all.path(self._chosen[at])
