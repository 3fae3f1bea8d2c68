"""What has happened in a conversation since somebody looked, read at once: each lending is a round trip more."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, func, select, true
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.conversations.entities import EventKind, Message, Participant, Run, Step
from persistence.clients import clients
from persistence.conversations.conversations import Conversations
from persistence.conversations.messages import Messages
from persistence.conversations.runs import Runs
from persistence.conversations.tables import message_clients, participants
from persistence.events import Event, Events
from persistence.repository import Repository

OF_STEPS: Final = frozenset({EventKind.TEXT_DELTA, EventKind.AGENT_STATUS})
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
    select(func.array_agg(clients.c.id).filter(clients.c.id.is_not(None)))
    .select_from(participants.outerjoin(_MENTIONED, true()).outerjoin(clients, clients.c.id == _MENTIONED.c.client_id))
    .where(
        participants.c.conversation_id == bindparam("conversation_id", type_=Uuid),
        participants.c.user_id == bindparam("viewer_id", type_=Uuid),
    )
    .group_by(participants.c.id)
)


class News(msgspec.Struct, frozen=True):
    """Events, and what they speak of, as far as the viewer sees it.

    `in_sight` are the clients whose data the conversation holds that the viewer sees at present; none if it takes no
    part in the conversation, or no longer.
    """

    events: Sequence[Event]
    in_sight: frozenset[UUID] | None
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
        return frozenset(rows[0][0] or ()) if rows else None

    async def since(self, viewer: Viewer, stream: str, conversation_id: UUID, place: int) -> News:
        """What follows a place in a conversation's stream."""
        events = await Events(self.lent).since(viewer, stream, place)
        # Also where there is nothing: to whoever takes part no longer the log shows no events at all.
        in_sight = await self.in_sight(viewer, conversation_id)
        if not events:
            return News(events, in_sight)
        messages = await self._messages(viewer, _about(events, OF_MESSAGES))
        return News(
            events,
            in_sight,
            {message.id: message for message in messages},
            await self._ended(viewer, events, messages),
            await self._steps(viewer, events),
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

    async def _steps(self, viewer: Viewer, events: Sequence[Event]) -> Mapping[tuple[UUID, int], Step]:
        """The steps of running answers, by the answers and their numbers."""
        numbers = [event.seq for event in events if event.kind in OF_STEPS]
        if not numbers:
            return {}
        steps = await Runs(self.lent).steps(viewer, _about(events, OF_STEPS), min(numbers), max(numbers))
        return {(step.message_id, step.seq): step for step in steps}

    async def _joined(self, viewer: Viewer, events: Sequence[Event]) -> Mapping[UUID, Participant]:
        joined = _about(events, frozenset({EventKind.PARTICIPANT_JOINED}))
        found = await Conversations(self.lent).participants_by_ids(viewer, joined) if joined else []
        return {participant.id: participant for participant in found}
