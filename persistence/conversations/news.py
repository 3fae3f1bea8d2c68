"""What has happened in a conversation since somebody looked, and what of it is in sight, in one statement."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, and_, any_, bindparam, case, func, literal_column, select, true
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.conversations.entities import EventKind, Message, Participant, Run, Step, stream_of
from persistence.clients import clients
from persistence.conversations.conversations import Conversations
from persistence.conversations.messages import Messages
from persistence.conversations.runs import Runs
from persistence.conversations.tables import message_clients, messages, participants, run_steps
from persistence.events import MOST_READ, Event, events
from persistence.metadata import UUIDS
from persistence.repository import Repository
from persistence.sql import columns, read_all

OF_STEPS: Final = frozenset({EventKind.TEXT_DELTA, EventKind.AGENT_STATUS})
ENDS: Final = frozenset({EventKind.RUN_COMPLETED, EventKind.RUN_FAILED})
OF_MESSAGES: Final = frozenset(
    {
        EventKind.RUN_STARTED,
        EventKind.MESSAGE_POSTED,
        EventKind.BLOCK_ADDED,
        EventKind.RUN_COMPLETED,
        EventKind.RUN_FAILED,
    }
)
# Under the policy of clients, each by its key.
_MENTIONED: Final = (
    select(message_clients.c.client_id)
    .where(message_clients.c.conversation_id == bindparam("conversation_id", type_=Uuid))
    .distinct()
    .subquery("mentioned")
)
IN_SIGHT: Final = (
    select(
        func.coalesce(func.array_agg(clients.c.id).filter(clients.c.id.is_not(None)), literal_column("'{}'::uuid[]"))
    )
    .select_from(participants.outerjoin(_MENTIONED, true()).outerjoin(clients, clients.c.id == _MENTIONED.c.client_id))
    .where(
        participants.c.conversation_id == bindparam("conversation_id", type_=Uuid),
        participants.c.user_id == bindparam("viewer_id", type_=Uuid),
    )
    .group_by(participants.c.id)
)
_SHOWN: Final = select(func.array_agg(messages.c.id)).where(messages.c.id == any_(bindparam("known", type_=UUIDS)))
_HEARD: Final = (
    select(*columns(Event, events))
    .where(events.c.stream == bindparam("stream"), events.c.seq > bindparam("after", type_=BigInteger))
    .order_by(events.c.seq)
    # In the text: PostgreSQL plans what it does not know the end of anew each time.
    .limit(literal_column(str(MOST_READ)))
    .subquery("heard")
)
_LOOK: Final = select(IN_SIGHT.scalar_subquery().label("in_sight"), _SHOWN.scalar_subquery().label("shown")).subquery(
    "look"
)
# Events have each their step, if they tell of one; where nothing has happened, what is in sight is told all the same,
# for to whoever takes part no longer the log shows no events at all. It is told once.
_FIRST: Final = func.row_number().over(order_by=_HEARD.c.seq) == literal_column("1")
SINCE: Final = (
    select(
        case((_FIRST, _LOOK.c.in_sight)),
        case((_FIRST, _LOOK.c.shown)),
        *columns(Event, _HEARD),
        *columns(Step, run_steps),
    )
    .select_from(
        _LOOK.outerjoin(_HEARD, true()).outerjoin(
            run_steps, and_(run_steps.c.message_id == _HEARD.c.entity_id, run_steps.c.seq == _HEARD.c.seq)
        )
    )
    .order_by(_HEARD.c.seq)
)


# Where the columns of a step begin.
_STEP: Final = 2 + len(Event.__struct_fields__)


class News(msgspec.Struct, frozen=True):
    """Events, and what they speak of, as far as the viewer sees it.

    `in_sight` are the clients whose data the conversation holds that the viewer sees at present; none if it takes no
    part in the conversation, or no longer. `shown` are those of the answers known before that it sees at present.
    """

    events: Sequence[Event]
    in_sight: frozenset[UUID] | None
    shown: frozenset[UUID] = frozenset()
    messages: Mapping[UUID, Message] = {}
    ended: Mapping[UUID, Run] = {}
    steps: Mapping[tuple[UUID, int], Step] = {}
    participants: Mapping[UUID, Participant] = {}


def _about(events: Sequence[Event], kinds: frozenset[EventKind]) -> list[UUID]:
    return list({event.entity_id for event in events if event.kind in kinds})


class Newsstand(Repository):
    """Where those who follow a conversation look."""

    async def in_sight(self, viewer: Viewer, conversation_id: UUID) -> frozenset[UUID] | None:
        """The clients whose data a conversation holds that the viewer sees at present; none if it takes no part."""
        rows = await self.rows(IN_SIGHT, viewer, conversation_id=conversation_id)
        return frozenset(rows[0][0]) if rows else None

    async def since(self, viewer: Viewer, conversation_id: UUID, after: int, known: Collection[UUID]) -> News:
        """What follows a number in a conversation's stream; and which of the answers known the viewer sees at present.

        Answers that only some words are told of are read as well, unless they are known.
        """
        values = {"conversation_id": conversation_id, "stream": stream_of(conversation_id), "after": after}
        rows = await self.rows(SINCE, viewer, **values, known=list(known))
        in_sight, seen = rows[0][:2]
        events = read_all(Event, [row[2:_STEP] for row in rows if row[2] is not None])
        steps = read_all(Step, [row[_STEP:] for row in rows if row[_STEP] is not None])
        begun = {step.message_id for step in steps}.difference(known)
        messages = await self._messages(viewer, [*begun.union(_about(events, OF_MESSAGES))])
        return News(
            events,
            None if in_sight is None else frozenset(in_sight),
            frozenset(seen or ()),
            {message.id: message for message in messages},
            await self._ended(viewer, events, messages),
            {(step.message_id, step.seq): step for step in steps},
            await self._joined(viewer, events),
        )

    async def _messages(self, viewer: Viewer, message_ids: Sequence[UUID]) -> Sequence[Message]:
        return await Messages(self.lent).by_ids(viewer, message_ids) if message_ids else []

    async def _ended(self, viewer: Viewer, events: Sequence[Event], messages: Sequence[Message]) -> Mapping[UUID, Run]:
        """The runs that have failed, by the answers that they are of."""
        failed = _about(events, frozenset({EventKind.RUN_FAILED}))
        run_ids = [message.run_id for message in messages if message.id in failed and message.run_id]
        runs = await Runs(self.lent).by_ids(viewer, run_ids) if run_ids else []
        return {run.message_id: run for run in runs}

    async def _joined(self, viewer: Viewer, events: Sequence[Event]) -> Mapping[UUID, Participant]:
        joined = _about(events, frozenset({EventKind.PARTICIPANT_JOINED}))
        found = await Conversations(self.lent).participants_by_ids(viewer, joined) if joined else []
        return {participant.id: participant for participant in found}
