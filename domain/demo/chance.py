"""Chance that is the same every time: each part of the demo firm draws from a generator of its own."""

from random import Random


def chance(*key: object) -> Random:
    """The generator of a part of the firm, named by its natural key.

    A part's draws depend on no other part, so that a larger firm begins with the smaller one.
    """
    return Random(":".join(map(str, key)))  # noqa: S311 - the same firm every time is the point, no secret
