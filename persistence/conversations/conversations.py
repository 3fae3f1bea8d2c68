"""Conversations, who takes part in them, and what they are called."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Boolean, Text, bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.conversations.entities import Conversation, MessageRole, Participant, Title
from persistence.clients import clients
from persistence.conversations.tables import conversations, message_clients, messages, participants, titles
from persistence.listing import Listing, plain
from persistence.metadata import MOMENT, UUIDS
from persistence.repository import Listed, by_ids
from persistence.sql import columns

OF_CONVERSATIONS: Final = (
    select(*columns(Participant, participants))
    .where(participants.c.conversation_id.in_(select(func.unnest(bindparam("keys", type_=UUIDS)))))
    .order_by(participants.c.joined_at, participants.c.id)
)
TOUCH: Final = (
    update(conversations)
    .where(conversations.c.id == bindparam("conversation_id", type_=Uuid))
    .values(updated_at=func.greatest(conversations.c.updated_at, bindparam("at", type_=MOMENT)))
)
ENTITLE: Final = (
    insert_or_not(titles)
    .values(
        id=bindparam("id", type_=Uuid),
        title=bindparam("title", type_=Text),
        message_id=bindparam("message_id", type_=Uuid),
    )
    .on_conflict_do_nothing()
)
_CALLED_BY_QUESTION: Final = exists(
    select(messages.c.id).where(messages.c.id == titles.c.message_id, messages.c.role == MessageRole.USER.value)
)
IS_CALLED_BY_QUESTION: Final = select(titles.c.id).where(
    titles.c.id == bindparam("conversation_id", type_=Uuid), _CALLED_BY_QUESTION
)
# Whoever renames it meanwhile has the row's lock: then its title is of no message any more.
ENTITLE_ANEW: Final = (
    update(titles)
    .where(titles.c.id == bindparam("conversation_id", type_=Uuid), _CALLED_BY_QUESTION)
    .values(title=bindparam("title", type_=Text), message_id=bindparam("answer_id", type_=Uuid))
)
# Under the policy of clients, each by its key: those that the viewer does not see are told apart.
MENTIONED: Final = (
    select(message_clients.c.client_id, clients.c.id.is_not(None))
    .select_from(message_clients.outerjoin(clients, clients.c.id == message_clients.c.client_id))
    .where(message_clients.c.conversation_id == bindparam("conversation_id", type_=Uuid))
    .distinct()
)
# Vetted functions: a policy would hide from one user what another sees, or who owns a conversation what it is called by
# a message that it sees no longer, and let nobody forget events.
RENAME: Final = select(
    func.rename_conversation(bindparam("conversation_id", type_=Uuid), bindparam("title", type_=Text))
)
SEES_ALL: Final = select(
    func.sees_all(
        bindparam("user_id", type_=Uuid), bindparam("client_ids", type_=UUIDS), bindparam("now", type_=MOMENT)
    )
)
FORGET_EVENTS: Final = select(func.forget_conversation(bindparam("conversation_id", type_=Uuid)))


class Conversations(Listed[Conversation]):
    """The conversations that the viewer takes part in."""

    entity = Conversation
    table = conversations
    listing = Listing(
        Conversation,
        conversations,
        orders={"UPDATED_AT": conversations.c.updated_at, "CREATED_AT": conversations.c.created_at},
        filters=dict(
            [
                plain("module", lambda: conversations.c.module == bindparam("module", type_=Text)),
                plain("mode", lambda: conversations.c.mode == bindparam("mode", type_=Text)),
                plain(
                    "archived",
                    lambda: conversations.c.archived_at.is_not(None) == bindparam("archived", type_=Boolean),
                ),
            ]
        ),
    )

    async def touch(self, conversation_id: UUID, at: datetime) -> None:
        """Note that something was said."""
        await self.lent.rows(TOUCH, {"conversation_id": conversation_id, "at": at})

    async def participants(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Participant]:
        """Those who take part in these conversations, the first ones first."""
        return await self.many(Participant, OF_CONVERSATIONS, viewer, keys=keys)

    async def participants_by_ids(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Participant]:
        """These participations."""
        return await self.many(Participant, by_ids(Participant, participants), viewer, keys=keys)

    async def join(self, participant: Participant) -> bool:
        """Have somebody take part; tells whether it did not already."""
        return await self.insert_once(participants, participant)

    async def part(self, participant: Participant) -> None:
        """Have somebody take part no longer."""
        await self.delete(participants, participant)

    async def titles(self, viewer: Viewer, keys: Sequence[UUID]) -> list[Title]:
        """What these conversations are called, as far as the viewer may know."""
        return await self.many(Title, by_ids(Title, titles), viewer, keys=keys)

    async def entitle(self, title: Title) -> None:
        """Give a conversation a title, unless it has one."""
        await self.lent.rows(ENTITLE, {"id": title.id, "title": title.title, "message_id": title.message_id})

    async def entitle_anew(self, title: Title) -> None:
        """Give a conversation that is called by a question another title; whatever else it is called stays."""
        values = {"conversation_id": title.id, "title": title.title, "answer_id": title.message_id}
        await self.lent.rows(ENTITLE_ANEW, values)

    async def rename(self, conversation_id: UUID, title: str) -> None:
        """Give a conversation of the viewer's own another title, whoever may see the one that it has."""
        await self.lent.rows(RENAME, {"conversation_id": conversation_id, "title": title})

    async def is_called_by_question(self, conversation_id: UUID) -> bool:
        """Whether a conversation's title was made of a question, as far as the transaction's viewer sees it."""
        return bool(await self.lent.rows(IS_CALLED_BY_QUESTION, {"conversation_id": conversation_id}))

    async def mentioned(self, conversation_id: UUID) -> dict[UUID, bool]:
        """The clients whose data a conversation holds, and whether the transaction's viewer sees them at present."""
        rows = await self.lent.rows(MENTIONED, {"conversation_id": conversation_id})
        return {row[0]: row[1] for row in rows}

    async def sees_all(self, user_id: UUID, client_ids: Collection[UUID], now: datetime) -> bool:
        """Whether a user, of whatever session, sees all of these clients, and may sign in at all."""
        values = {"user_id": user_id, "client_ids": list(client_ids), "now": now}
        (row,) = await self.lent.rows(SEES_ALL, values)
        return bool(row[0])

    async def remove(self, conversation: Conversation) -> None:
        """Delete a conversation with all that was said."""
        await self.delete(conversations, conversation)

    async def forget(self, conversation_id: UUID) -> None:
        """Forget the events of a conversation that is gone."""
        await self.lent.rows(FORGET_EVENTS, {"conversation_id": conversation_id})
