"""A connection for readings that follow each other closely: the database is told the viewer once for all of them.

Each round trip costs as much as a small statement. So whoever reads again finds its connection as it left it, unless
others had to have it, and the first statement of all tells at once who the viewer is and whose rows it sees.

Of a session that was asked for before, even that goes along with what is read first: the viewer is taken to be as it
was (`Lane.assume`), and that statement reads nothing unless it still is. Whoever assumes must ask at the end whether it
was so (`Lane.stands`), and answer anew if it was not.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Any, Final, NoReturn
from uuid import UUID

import asyncpg
import msgspec
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy.sql.base import Executable

from domain.access import NOBODY, SIGHT, Role, Sight, Viewer
from domain.errors import Unauthenticated
from persistence.database import Database, Lent, words_for
from persistence.identity.repository import viewer_in
from persistence.sql import Statement, compiled

# For how long it is taken as told that the session stands.
TOLD_SECONDS: Final = 0.1
# Sessions that were asked for last.
MOST_SEEN: Final = 4096
# What `enter_as` raises if the viewer is not as it was told.
CHANGED: Final = "ST001"


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
    select told.*, told::text as said, told.role <> 'VIEWER' or told.team_id is not null as placed
    from viewer_of($1, $2) told
) seen
""",  # noqa: S608 - roles of our own
    ("session_id", "now"),
    {},
)


ENTER_AS: Final = "select enter_as($1, $2, $3, $4, $5, $6, $7)"


class Told(msgspec.Struct, frozen=True):
    """A viewer, the words in which the database told of it, and those in which it is told of it."""

    viewer: Viewer
    said: str
    words: tuple[Any, ...]

    @classmethod
    def of(cls, rows: Sequence[Record]) -> "Told":
        """What `ENTER` tells; raises Unauthenticated."""
        viewer = viewer_in(rows)
        return cls(viewer, rows[0]["said"], words_for(viewer)[1:5])


class Seen:
    """What was told of the sessions that were asked for last."""

    def __init__(self) -> None:
        self._told: OrderedDict[UUID, Told] = OrderedDict()

    def get(self, session_id: UUID) -> Told | None:
        """What was told of a session, if it is known."""
        return self._told.get(session_id)

    def keep(self, session_id: UUID, told_of: Told) -> None:
        """Keep it in the place of what is known for the longest."""
        self._told[session_id] = told_of
        self._told.move_to_end(session_id)
        if len(self._told) > MOST_SEEN:
            self._told.popitem(last=False)

    def forget(self, session_id: UUID) -> None:
        """Whatever was told, it is so no longer."""
        self._told.pop(session_id, None)


@lru_cache(maxsize=2048)
def entering(text: str, parameters: int) -> str | None:
    """A statement with what tells the viewer before anything of it is read; none if it cannot be had so.

    PostgreSQL looks at the condition once, and before all beneath it: that is a query of its own, which `offset 0`
    keeps from becoming one with what is around it. What it knows to have no rows it may answer without a look. What
    `enter_as` is given follows the statement's own parameters.
    """
    lower = text.lower()
    if not lower.lstrip().startswith(("select ", "select\n", "with ")) or "offset" in lower:
        return None
    places = ", ".join(f"${parameters + at}" for at in range(1, 8))
    return f"select * from ({text} offset 0) data where (select enter_as({places}))"  # noqa: S608 - our own


class Assumed(msgspec.Struct, frozen=True):
    """Whom a session is taken to belong to, and at what moment."""

    told: Told
    session_id: UUID
    now: datetime

    @property
    def words(self) -> tuple[Any, ...]:
        """What `enter_as` is given."""
        # The session's id as the driver makes ids, which it writes in a tenth of the time.
        told = self.told
        return (told.viewer.session_id, self.now, told.said, *told.words)


class Lane:
    """The readings of one operation.

    Those that run side by side are lent connections of their own while there are some to spare: where there are none,
    another would be taken from somebody who wants it again, and be told the viewer, only to wait for the same cores.
    """

    def __init__(self, database: Database, seen: Seen) -> None:
        self.database = database
        self.reading = asyncio.Lock()
        self._seen = seen
        # Whom the kept connection was told of, and when.
        self._told: Viewer | None = None
        self._told_at = 0.0
        # Whom the viewer is taken to be until that is confirmed, and when.
        self.assumed: Assumed | None = None
        self._refuted = False

    async def viewer(self, session_id: UUID, now: datetime) -> Viewer:
        """Whoever a session belongs to, of whom the database is told; raises Unauthenticated if it has ended."""
        if self.reading.locked():
            # After a change the viewer is asked for anew, whatever still reads.
            async with self.database.untold() as lent:
                return (await self._asked(lent, session_id, now)).viewer
        async with Lending(self, None, None) as lent:
            viewer = (await self._asked(lent, session_id, now)).viewer
            self.told(viewer)
            return viewer

    async def _asked(self, lent: Lent, session_id: UUID, now: datetime) -> Told:
        try:
            found = Told.of(await lent.rows(ENTER, {"session_id": session_id, "now": now}))
        except Unauthenticated:
            self._seen.forget(session_id)
            raise
        self._seen.keep(session_id, found)
        return found

    def assume(self, session_id: UUID, now: datetime, due: Callable[[Viewer], bool]) -> Viewer | None:
        """Take a session to belong to the same viewer as when that was asked last; the first reading of all asks.

        None, and nothing is assumed, if it is not known, or is `due` to be asked for.
        """
        found = self._seen.get(session_id)
        if found is None or due(found.viewer):
            return None
        self.assumed = Assumed(found, session_id, now)
        return found.viewer

    def entered(self, assumed: Assumed, moment: float) -> None:
        """The viewer is whom it was taken for, and the lane's connection was told of it, not before this moment."""
        self.assumed = None
        self._told, self._told_at = assumed.told.viewer, moment

    def refute(self, assumed: Assumed) -> NoReturn:
        """The viewer is not whom it was taken for. Raises Unauthenticated: nothing of this operation may be told."""
        self._seen.forget(assumed.session_id)
        self._refuted = True
        raise Unauthenticated("The session is not what it was.", reason="REVOKED")

    @property
    def settled(self) -> bool:
        """Whether nothing is assumed that was not confirmed."""
        return self.assumed is None and not self._refuted

    async def stands(self) -> bool:
        """Whether all was read as whoever the session belongs to; asks now if nothing was read."""
        if self.assumed is not None and not self._refuted:
            try:
                await self.ascertain()
            except Unauthenticated:
                return False
        return not self._refuted

    async def ascertain(self) -> None:
        """Ask whether the viewer is whom it is taken for; raises Unauthenticated if not."""
        assumed = self.assumed
        if assumed is None:
            return
        if not self.reading.locked():
            async with Lending(self, assumed.told.viewer, None) as lent:
                await lent.tell()
            return
        async with self.database.untold() as lent:
            if (await self._asked(lent, assumed.session_id, assumed.now)).said != assumed.told.said:
                self.refute(assumed)
        self.assumed = None

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


class Untold:
    """Stands for a connection that is not told of who reads: whoever had it before could read on it."""

    def __getattr__(self, name: str) -> Any:
        """Nothing; raises RuntimeError."""
        raise RuntimeError(f"{name} was asked of a connection before its viewer was told")


UNTOLD: Final[Any] = Untold()


class Entering(Lent):
    """A connection whose first statement tells the viewer, and reads nothing unless it is whom it is taken for."""

    def __init__(self, lane: Lane, assumed: Assumed, connection: "PoolConnectionProxy[Record]") -> None:
        database = lane.database
        super().__init__(UNTOLD, database.observe, database.watch)
        self._lane = lane
        self._assumed = assumed
        self._entering: PoolConnectionProxy[Record] | None = connection

    async def rows(self, statement: Statement | Executable, values: Mapping[str, Any]) -> Sequence[Record]:
        """Run a statement, the first of all with what tells the viewer. Raises Unauthenticated and Unavailable."""
        ready = statement if isinstance(statement, Statement) else compiled(statement)
        if (entered := self._entering) is not None:
            text = entering(ready.text, len(ready.names))
            if text is not None:
                arguments = [*ready.arguments(values), *self._assumed.words]
                return await self._enter(entered, text, arguments, ready.text)
            await self.tell()
        return await super().rows(ready, values)

    async def tell(self) -> None:
        """Tell the viewer by a statement of its own. Raises Unauthenticated and Unavailable."""
        if self._entering is not None:
            await self._enter(self._entering, ENTER_AS, self._assumed.words, ENTER_AS)

    async def _enter(
        self, entered: "PoolConnectionProxy[Record]", text: str, arguments: Sequence[Any], shown: str
    ) -> Sequence[Record]:
        assumed, began = self._assumed, monotonic()
        try:
            rows = await self.fetched(entered, text, arguments, shown)
            if not rows:
                # A row has passed the condition. That there is none proves nothing: who asks may not have been looked
                # at.
                began = monotonic()
                await self.fetched(entered, ENTER_AS, assumed.words, ENTER_AS)
        except asyncpg.PostgresError as error:
            if error.sqlstate == CHANGED:
                self._lane.refute(assumed)
            raise
        self.connection, self._entering = entered, None
        self._lane.entered(assumed, began)
        return rows


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
            begins = self._viewer is None or (self._own and lane.assumed is not None)
            database = lane.database
            self._connection = kept or database.at_once(in_turn=begins) or await database.acquire(in_turn=begins)
        except BaseException:
            if self._own:
                lane.reading.release()
            raise
        lent = self._known(kept=kept is not None) or await self._told(self._viewer)
        lent.columns = self._columns
        return lent

    def _known(self, *, kept: bool) -> Lent | None:
        """The connection, if it knows the viewer, or will by what is read first; none if it is to be told."""
        lane, viewer = self._lane, self._viewer
        if viewer is None or (kept and lane.knows(viewer)):
            return lane.database.lent(self._connection)
        if self._own and (assumed := lane.assumed) is not None:
            return Entering(lane, assumed, self._connection)
        return None

    async def _told(self, viewer: Viewer | None) -> Lent:
        lane = self._lane
        try:
            await lane.database.tell(self._connection, viewer)
        except BaseException:
            self._end(sound=False)
            raise
        if self._own:
            lane.told(viewer)
        return lane.database.lent(self._connection)

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
