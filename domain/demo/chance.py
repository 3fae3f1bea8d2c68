"""Chance that is the same every time: each part of the demo firm draws from a generator of its own."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def chance(*key: object) -> Random:
    """The generator of a part of the firm, named by its natural key.

    A part's draws depend on no other part, so that a larger firm begins with the smaller one.
    """
    return Random(":".join(map(str, key)))  # noqa: S311 - the same firm every time is the point, no secret


def weighted(draws: Random, table: Sequence[tuple[int, T]]) -> T:
    """One of a table's values, each as often as its weight says."""
    return draws.choices([value for _, value in table], [weight for weight, _ in table])[0]
