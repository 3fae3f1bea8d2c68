"""A connection for readings that follow each other closely: the database is told the viewer once for all of them.

Each round trip costs as much as a small statement. So whoever reads again finds its connection as it left it, unless
others had to have it, and the first statement of all tells at once who the viewer is and whose rows it sees.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from time import monotonic
from typing import Final
from uuid import UUID

from domain.access import NOBODY, SIGHT, Role, Sight, Viewer
from persistence.database import Database, Lent
from persistence.identity.repository import viewer_in
from persistence.sql import Statement

# For how long it is taken as told that the session stands.
TOLD_SECONDS: Final = 0.1


def _texts(roles: Iterable[Role]) -> str:
    return ", ".join(f"'{role.value}'" for role in roles)


# The viewer, and what `LEND` would tell the database of it; a test holds the two equal for every role. What is the same
# for everybody stands in the text: with more parameters PostgreSQL takes it for worth planning anew each time, which
# costs it three times as much as to run it.
ENTER: Final = Statement(
    f"""
select seen.*,
       set_config('steward.user', seen.user_id::text, false),
       set_config('steward.books', (seen.book_ids || seen.glass_ids)::text, false),
       set_config('steward.clients', (case
           when cardinality(seen.client_ids) > 0 then seen.client_ids
           when seen.role in ({_texts(role for role, sight in SIGHT.items() if sight is Sight.CLIENTS)})
             or not seen.placed then array['{NOBODY}'::uuid]
           else '{{}}'::uuid[]
       end)::text, false),
       set_config('steward.everything', case
           when seen.role in ({_texts(role for role, sight in SIGHT.items() if sight is Sight.EVERYTHING)})
            and seen.placed then 'on' else ''
       end, false),
       set_config('steward.identity', '', false)
from (
    select told.*, told.role <> 'VIEWER' or told.team_id is not null as placed from viewer_of($1, $2) told
) seen
""",  # noqa: S608 - roles of our own
    ("session_id", "now"),
    {},
)


class Lane:
    """The readings of one operation.

    Those that run side by side are lent connections of their own while there are some to spare: where there are none,
    another would be taken from somebody who wants it again, and be told the viewer, only to wait for the same cores.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.reading = asyncio.Lock()
        # Whom the kept connection was told of, and when.
        self._told: Viewer | None = None
        self._told_at = 0.0

    async def viewer(self, session_id: UUID, now: datetime) -> Viewer:
        """Whoever a session belongs to, of whom the database is told; raises Unauthenticated if it has ended."""
        if self.reading.locked():
            # After a change the viewer is asked for anew, whatever still reads.
            async with self.database.untold() as lent:
                return viewer_in(await lent.rows(ENTER, {"session_id": session_id, "now": now}))
        async with Lending(self, None, None) as lent:
            viewer = viewer_in(await lent.rows(ENTER, {"session_id": session_id, "now": now}))
            self.told(viewer)
            return viewer

    def lend(self, viewer: Viewer, columns: frozenset[str] | None = None) -> "Lending":
        """A connection that sees what the viewer sees, of rows these columns. Raises as `Database.lend` does."""
        return Lending(self, viewer, columns)

    def knows(self, viewer: Viewer) -> bool:
        """Whether the kept connection was told of this viewer, lately."""
        return self._told is viewer and monotonic() - self._told_at <= TOLD_SECONDS

    def told(self, viewer: Viewer | None) -> None:
        """Whom the connection that it now has was told of."""
        self._told = viewer
        self._told_at = monotonic()

    def close(self) -> None:
        """Give back what is kept; whoever reads later begins anew."""
        self.database.leave(self)


class Lending:
    """A connection for a block: the lane's, or another while somebody else has that."""

    __slots__ = ("_columns", "_connection", "_lane", "_own", "_viewer")

    def __init__(self, lane: Lane, viewer: Viewer | None, columns: frozenset[str] | None) -> None:
        self._lane = lane
        self._viewer = viewer
        self._columns = columns

    async def __aenter__(self) -> Lent:
        """The connection, told of the viewer if there is one."""
        lane = self._lane
        busy = lane.reading.locked()
        self._own = not (busy and lane.database.spare)
        if self._own:
            await lane.reading.acquire()
        try:
            kept = lane.database.take(lane) if self._own else None
            if self._own and busy and kept is None:
                # What was waited for is gone: nobody else is to wait until another is had, or is not to be had.
                lane.reading.release()
                self._own = False
            # The first of all, which asks who the viewer is, begins when others have come to an end.
            self._connection = kept or await lane.database.acquire(in_turn=self._viewer is None)
        except BaseException:
            if self._own:
                lane.reading.release()
            raise
        try:
            if self._viewer is not None and (kept is None or not lane.knows(self._viewer)):
                await lane.database.tell(self._connection, self._viewer)
                if self._own:
                    lane.told(self._viewer)
        except BaseException:
            self._end(sound=False)
            raise
        lent = lane.database.lent(self._connection)
        lent.columns = self._columns
        return lent

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Keep the lane's for what follows, or give it back."""
        self._end(sound=error is None)

    def _end(self, *, sound: bool) -> None:
        lane = self._lane
        if self._own and sound:
            lane.database.keep(lane, self._connection)
        else:
            lane.database.give_back(self._connection, sound=sound)
        if self._own:
            lane.reading.release()
