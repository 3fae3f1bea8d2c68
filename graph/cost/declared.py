"""The cost of a field, declared beside it, in points: one point is one object of the answer."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

import msgspec
import strawberry

COST: Final = "cost"

Points = float
# How many objects a list is expected to hold: a number, the name of the argument whose items it answers, or what tells
# it from the values of the arguments, which may be anything that a client sends.
Told = Callable[[Mapping[str, Any]], int]
Size = int | str | Told


class Cost(msgspec.Struct, frozen=True):
    """What a field costs, in points, to the hundredth.

    `own` is for each time that it is answered, `each` for each object that it gives: left out, what the object's type
    says in its class attribute `cost_points`, else 1. Scalars are free. `size` is how many objects a list is expected
    to hold; a connection's is the page that is asked for. With `by_address` it is charged to the client's address as
    well, whoever has signed in.
    """

    own: Points = 0
    each: Points | None = None
    size: Size | None = None
    by_address: bool = False


def cost(own: Points = 0, *, size: Size | None = None, by_address: bool = False) -> dict[str, Cost]:
    """The metadata of a field: `strawberry.field(metadata=cost(5))`; the words are those of `Cost`."""
    return {COST: Cost(own, size=size, by_address=by_address)}


def sized(size: Size) -> Any:
    """An attribute that is a list bounded by nature, with what it is expected to hold."""
    return strawberry.field(metadata=cost(size=size))


def days(*, usual: int, most: int) -> Told:
    """The size of a list of days between the arguments `from` and `to`: as many, or `usual` if one is left out."""

    def size(arguments: Mapping[str, Any]) -> int:
        try:
            first, last = (date.fromisoformat(arguments[name]) for name in ("from", "to"))
        except (KeyError, TypeError, ValueError):
            return usual
        return max(1, min((last - first).days + 1, most))

    return size


def declared(metadata: Mapping[Any, Any] | None) -> Cost | None:
    """What a field's metadata declare; none where they say nothing of cost."""
    found = (metadata or {}).get(COST)
    return found if isinstance(found, Cost) else None
