"""Whether the server lives, and whether requests should be sent to it."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from persistence.doors import Doors
from persistence.setup import head

# A listener that has lost the database finds it again within a second or two of its coming back.
LONGEST_DEAF: Final = 10.0
RETRY_SECONDS: Final = 5


class Health:
    """What balancers and orchestrators ask for."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._newest = head()
        self.draining = False

    async def obstacle(self) -> str | None:
        """Why requests should go elsewhere, in a word; none if they are welcome.

        Background work is none of it: it may run elsewhere, and goes on by itself when the database is back.
        """
        if self.draining:
            return "draining"
        revision = await self._doors.database.revision()
        if revision is None:
            return "database"
        if revision < self._newest:
            return "migrations"
        # Requests would be answered, but nothing live would arrive.
        return "listener" if self._doors.bell.deaf_for > LONGEST_DEAF else None

    async def alive(self, _: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """What requests need is there too."""
        reason = await self.obstacle()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse(
            {"status": "unavailable", "reason": reason},
            status_code=503,
            headers={"Retry-After": str(RETRY_SECONDS), "Cache-Control": "no-store"},
        )
