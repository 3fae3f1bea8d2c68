"""Two answers to one operation, which must be equal but for the order of errors that happen side by side."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.support.gql import VARYING


def check_equal(planned: Any, stock: Any) -> None:
    """Fail unless both say the same: data with the order of its keys, nulls, and errors."""
    assert json.dumps(planned.get("data")) == json.dumps(stock.get("data"))
    assert ("data" in planned) == ("data" in stock)
    assert _alone(planned) == _alone(stock)
    # Of several errors that would null one place, each execution tells of the one that it comes by first.
    assert _nulled(planned).keys() == _nulled(stock).keys()


def _alone(answer: Any) -> Counter[str]:
    """The errors of places that are null by themselves, and of operations that did not run."""
    return Counter(_told(error) for error, place in _errors(answer) if place in {None, tuple(error["path"] or ())})


def check_told_alike(planned: Any, stock: Any) -> None:
    """Fail unless both tell the same errors, also of those that null a place above them."""
    assert Counter(map(_told, planned.get("errors", ()))) == Counter(map(_told, stock.get("errors", ())))


def _nulled(answer: Any) -> dict[tuple[Any, ...], set[str]]:
    """The errors that null a place above them, by that place."""
    found: dict[tuple[Any, ...], set[str]] = {}
    for error, place in _errors(answer):
        if place is not None and place != tuple(error["path"]):
            found.setdefault(place, set()).add(_told(error))
    return found


def _errors(answer: Any) -> Iterator[tuple[Any, tuple[Any, ...] | None]]:
    """Each error, and the place that is null for it, or for another above it."""
    for error in answer.get("errors", ()):
        path = error.get("path")
        yield {"path": None, **error}, None if path is None else _null_above(answer.get("data"), path)


def _null_above(data: Any, path: list[Any]) -> tuple[Any, ...]:
    at = data
    for length, key in enumerate(path):
        if at is None:
            return tuple(path[:length])
        at = at[key]
    assert at is None, f"an error at {path}, where there is a value"
    return tuple(path)


def _told(error: Any) -> str:
    extensions = {name: value for name, value in error.get("extensions", {}).items() if name not in VARYING}
    return json.dumps({**error, "extensions": extensions}, sort_keys=True)
