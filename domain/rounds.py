"""Rounds: what a schedule does for many, each in a transaction of its own."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from domain.access import Viewer
from domain.errors import Unavailable
from domain.jobs import Office
from domain.work import Work

T = TypeVar("T")


async def go_round(office: Office, verb: Callable[[Work, Viewer, T], Awaitable[None]], those: Iterable[T]) -> None:
    """Call a verb for each of them; one that fails keeps none waiting, and is raised when all have had their turn."""
    failures: list[Exception] = []
    for each in those:
        try:
            await office.write(verb, each)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one's own, and is raised below
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of a round have failed", failures)
