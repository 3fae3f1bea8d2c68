"""The event log: gapless streams, appended as a transaction's last statements, read from a cursor on.

Sequence numbers are given under the stream's row lock in the transaction that made the event, so that a reader who
has seen number n has seen all below it: a `bigserial` is not in the order of commits. Streams are locked in sorted
order, so that two transactions that append to the same ones do not deadlock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import Uuid

from domain.access import NOBODY, Viewer
from domain.entities import Entity
from persistence.metadata import MOMENT, TEXTS, UUIDS, table
from persistence.repository import Repository
from persistence.scope import SIGNED_IN, USER, Scope, common
from persistence.sql import columns

KEPT_DAYS: Final = 30
# Read with one statement.
MOST_AT_ONCE: Final = 200
# A user's own stream, those of the portfolios that the viewer sees, whose own policy applies in the subquery, and those
# of the conversations that it takes part in.
# Each kind of stream has its own condition.
READABLE: Final = (
    "case when stream like 'orders:%' "  # noqa: S608 - names of our own
    "then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) "
    "when stream like 'conversation:%' "
    f"then {USER} = '{NOBODY}' or exists (select from conversation_participants part "
    f"where part.conversation_id = substr(stream, 14)::uuid and part.user_id = {USER}) "
    f"else stream = 'user:' || ({USER})::text end"
)

event_streams = table(
    "event_streams",
    common(),
    Column("stream", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    # The last number whose event was kept for its time, and is gone.
    Column("forgotten", BigInteger, nullable=False, server_default="0"),
)

events = table(
    "events",
    Scope(see=READABLE, add=SIGNED_IN, change="false", predicate=common().predicate),
    Column("stream", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("entity_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("occurred_at", MOMENT, nullable=False),
    # The first number that the event stands for, where it replaces others.
    Column("since", BigInteger),
    Index(None, "occurred_at"),
)


class Event(Entity, frozen=True):
    """Something that happened, in a stream: small, and rendered only at reading.

    One that replaces others, which the log no longer keeps, stands for all numbers from `since` to its own.
    """

    stream: str
    seq: int
    kind: str
    entity_id: UUID
    version: int
    occurred_at: datetime
    since: int | None = None


ADVANCE = (
    insert(event_streams)
    .from_select(
        ["stream", "last"],
        select(
            func.unnest(bindparam("streams", type_=TEXTS), type_=Text),
            func.unnest(bindparam("counts", type_=TEXTS), type_=Text).cast(BigInteger),
        ),
    )
    .on_conflict_do_update(
        index_elements=["stream"],
        set_={"last": event_streams.c.last + insert(event_streams).excluded["last"]},
    )
    .returning(event_streams.c.stream, event_streams.c.last)
)
SINCE = (
    select(*columns(Event, events))
    .where(events.c.stream == bindparam("stream"), events.c.seq > bindparam("after", type_=BigInteger))
    .order_by(events.c.seq)
    .limit(bindparam("most", type_=BigInteger))
)
BOUNDS = select(event_streams.c.last, event_streams.c.forgotten + 1).where(
    event_streams.c.stream == any_(bindparam("streams", type_=TEXTS))
)
FIRST_OF = select(func.min(func.coalesce(events.c.since, events.c.seq))).where(
    events.c.stream == bindparam("stream"), events.c.entity_id == any_(bindparam("entity_ids", type_=UUIDS))
)
LAST = select(event_streams.c.stream, event_streams.c.last).where(
    event_streams.c.stream == any_(bindparam("streams", type_=TEXTS))
)


class Events(Repository):
    """The log's streams."""

    async def reserve(self, streams: Sequence[str]) -> Mapping[str, int]:
        """Take a number for each mention of a stream; gives the last of each. Their rows stay locked."""
        wanted = Counter(streams)
        ordered = sorted(wanted)
        values = {"streams": ordered, "counts": [str(wanted[stream]) for stream in ordered]}
        return {row[0]: row[1] for row in await self.lent.rows(ADVANCE, values)}

    async def append(self, happened: Sequence[Event]) -> None:
        """Add events under reserved numbers."""
        await self.insert_unaudited(events, happened)

    async def since(self, viewer: Viewer, stream: str, after: int, most: int = MOST_AT_ONCE) -> list[Event]:
        """What follows a number in a stream, in order."""
        return await self.many(Event, SINCE, viewer, stream=stream, after=after, most=most)

    async def last(self, viewer: Viewer, streams: Sequence[str]) -> list[tuple[str, int]]:
        """The last number given in each of these streams; zero where none was."""
        given = {row[0]: row[1] for row in await self.rows(LAST, viewer, streams=streams)}
        return [(stream, given.get(stream, 0)) for stream in streams]

    async def first_of(self, viewer: Viewer, stream: str, entity_ids: Sequence[UUID]) -> int | None:
        """The first number that the log keeps something under of one of these; none if it keeps nothing."""
        ((first,),) = await self.rows(FIRST_OF, viewer, stream=stream, entity_ids=entity_ids)
        return cast("int | None", first)

    async def bounds(self, viewer: Viewer, stream: str) -> tuple[int, int]:
        """The last number given in a stream, and the first that the log still keeps."""
        rows = await self.rows(BOUNDS, viewer, streams=[stream])
        return (rows[0][0], rows[0][1]) if rows else (0, 1)
