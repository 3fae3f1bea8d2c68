"""What PostgreSQL does for a page, as the application role asks, under the policies."""

from typing import Any

from domain.access import Viewer
from domain.paging import PageRequest
from graph.context import Services
from persistence.database import Lent
from persistence.listing import Listing
from persistence.sql import Statement


async def plan(
    services: Services, viewer: Viewer, listing: Listing[Any], request: PageRequest, **values: Any
) -> list[str]:
    """What PostgreSQL does for a page, line by line; with `keys`, for the pages beneath these parents."""
    told: list[str] = []

    async with services.doors.database.lend(viewer) as lent:
        explaining = Lent(lent.connection, lambda _: None)

        async def rows(statement: Statement, given: Any) -> list[Any]:
            text = f"explain (analyze, costs off, timing off, summary off) {statement.text}"
            found = await lent.connection.fetch(text, *statement.arguments({**given, **values}))
            told.extend(row[0] for row in found)
            return []

        explaining.rows = rows  # type: ignore[method-assign, assignment] # asks for the plan instead of the rows
        if values:
            await listing.pages(explaining, viewer, values["keys"], request)
        else:
            await listing.page(explaining, viewer, request)
    return told


def most_rows(told: list[str]) -> int:
    """The most rows that any step of a plan has read, those that it threw away included."""
    numbers = [0]
    for line in told:
        for mark in ("rows=", "Rows Removed by Filter: "):
            if mark in line:
                digits = line.rpartition(mark)[2].split()[0].rstrip(")")
                numbers.append(int(float(digits)))
    return max(numbers)
