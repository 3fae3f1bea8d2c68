"""A connection for readings that follow each other closely: the database is told the viewer once for all of them.

Each round trip costs as much as a small statement. So whoever reads again within a millisecond finds its connection
still lent, and the first statement of all tells at once who the viewer is and whose rows it sees.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from domain.access import NOBODY, SIGHT, Sight, Viewer
from domain.errors import Unauthenticated
from persistence.database import Database, Lent
from persistence.identity.repository import viewer_in
from persistence.sql import Statement

# For how long an idle connection stays lent: nobody holds one while it waits for anything but its own next step.
IDLE_SECONDS: Final = 0.001
# For how long it is taken as told that the session stands.
TOLD_SECONDS: Final = 0.1

# The viewer, and what `LEND` would tell the database of it; a test holds the two equal for every role.
_ENTER: Final = """
select seen.*,
       set_config('steward.user', seen.user_id::text, false),
       set_config('steward.books', array(
           select unnest(seen.book_ids) union select unnest(seen.glass_ids)
       )::text, false),
       set_config('steward.clients', (case
           when cardinality(seen.client_ids) > 0 then seen.client_ids
           when seen.role = any($3::text[]) or not seen.placed then array[$5::uuid]
           else '{}'::uuid[]
       end)::text, false),
       set_config('steward.everything', case
           when seen.role = any($4::text[]) and seen.placed then 'on' else ''
       end, false),
       set_config('steward.identity', '', false)
from (
    select told.*, told.role <> 'VIEWER' or told.team_id is not null as placed from viewer_of($1, $2) told
) seen
"""
OF_CLIENTS: Final = [role.value for role, sight in SIGHT.items() if sight is Sight.CLIENTS]
OF_EVERYTHING: Final = [role.value for role, sight in SIGHT.items() if sight is Sight.EVERYTHING]
ENTER: Final = Statement(
    _ENTER,
    ("session_id", "now", "of_clients", "of_everything", "nobody"),
    {"of_clients": OF_CLIENTS, "of_everything": OF_EVERYTHING, "nobody": NOBODY},
)


class Lane:
    """The readings of one operation. Those that run side by side are lent connections of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: PoolConnectionProxy[Record] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._giving: asyncio.Task[None] | None = None
        self._busy = False
        self._told: Viewer | None = None
        self._told_at = 0.0

    async def viewer(self, session_id: UUID, now: datetime) -> Viewer:
        """Whoever a session belongs to, of whom the database is told; raises Unauthenticated if it has ended."""
        if self._busy:
            # After a change the viewer is asked for anew, whatever still reads.
            async with self._database.untold() as lent:
                return await self._entered(lent, session_id, now)
        async with self._own() as connection:
            viewer = await self._entered(self._database.lent(connection), session_id, now)
            self._tell(viewer)
            return viewer

    @staticmethod
    async def _entered(lent: Lent, session_id: UUID, now: datetime) -> Viewer:
        rows = await lent.rows(ENTER, {"session_id": session_id, "now": now})
        if not rows:
            raise Unauthenticated("The session has ended.", reason="REVOKED")
        return viewer_in(rows[0])

    @asynccontextmanager
    async def lend(self, viewer: Viewer, columns: frozenset[str] | None = None) -> AsyncIterator[Lent]:
        """A connection that sees what the viewer sees, of rows these columns. Raises as `Database.lend` does."""
        if self._busy:
            async with self._database.lend(viewer) as lent:
                lent.columns = columns
                yield lent
            return
        async with self._own() as connection:
            stale = asyncio.get_running_loop().time() - self._told_at > TOLD_SECONDS
            if self._told is not viewer or stale:
                await self._database.tell(connection, viewer)
                self._tell(viewer)
            lent = self._database.lent(connection)
            lent.columns = columns
            yield lent

    def _tell(self, viewer: Viewer) -> None:
        self._told = viewer
        self._told_at = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def _own(self) -> "AsyncIterator[PoolConnectionProxy[Record]]":
        """The lane's connection, given back at once if anything goes wrong, else when it has been idle."""
        self._busy = True
        connection = None
        try:
            connection = self._take() or await self._database.acquire()
            yield connection
        except BaseException:
            self._told = None
            if connection is not None:
                await self._database.give_back(connection)
            raise
        else:
            self._keep(connection)
        finally:
            self._busy = False

    def _take(self) -> "PoolConnectionProxy[Record] | None":
        kept, self._kept = self._kept, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return kept

    def _keep(self, connection: "PoolConnectionProxy[Record]") -> None:
        if self._kept is not None:
            raise RuntimeError("a lane has one connection")
        self._kept = connection
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._let_go)

    def _let_go(self) -> None:
        kept = self._take()
        self._told = None
        if kept is not None:
            self._giving = asyncio.get_running_loop().create_task(self._database.give_back(kept))
