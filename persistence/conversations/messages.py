"""Messages, the clients whose data they hold, and the words they are found by."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Text, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.conversations.entities import MentionedClient, Message
from domain.text import words
from persistence.conversations.tables import message_clients, messages
from persistence.listing import Filter, Listing, one_of
from persistence.metadata import TEXTS, UUIDS
from persistence.repository import Listed, by_id
from persistence.sql import columns, read_all

# Longer words are nobody's, and an index takes no word of more than 2,047 bytes.
LONGEST_WORD: Final = 100

INDEX: Final = (
    update(messages)
    .where(messages.c.id == bindparam("message_id", type_=Uuid))
    .values(words=func.array_to_tsvector(bindparam("words", type_=TEXTS)))
)
CHANGE: Final = (
    update(messages)
    .where(messages.c.id == bindparam("id", type_=Uuid))
    .values(
        blocks=bindparam("blocks", type_=Text),
        insight=bindparam("insight", type_=Text),
        version=bindparam("version", type_=Integer),
    )
)
MENTION: Final = (
    insert_or_not(message_clients)
    .from_select(
        ["conversation_id", "message_id", "client_id"],
        select(
            bindparam("conversation_id", type_=Uuid).cast(Uuid),
            bindparam("message_id", type_=Uuid).cast(Uuid),
            func.unnest(bindparam("client_ids", type_=UUIDS)),
        ),
    )
    .on_conflict_do_nothing()
)
MENTIONS: Final = select(*columns(MentionedClient, message_clients)).where(
    message_clients.c.message_id == any_(bindparam("keys", type_=UUIDS))
)
LATEST: Final = (
    select(*columns(Message, messages))
    .where(messages.c.conversation_id == bindparam("conversation_id", type_=Uuid), messages.c.id < bindparam("before"))
    .order_by(messages.c.created_at.desc(), messages.c.id.desc())
    .limit(bindparam("most", type_=Integer))
)
TRANSCRIPT: Final = (
    select(*columns(Message, messages))
    .where(messages.c.conversation_id == bindparam("conversation_id", type_=Uuid))
    .order_by(messages.c.created_at.desc(), messages.c.id.desc())
    .limit(bindparam("most", type_=Integer))
)


def _searched() -> ColumnElement[bool]:
    found = func.search_messages(bindparam("words_wanted", type_=Text).cast(TSQUERY))
    return messages.c.id.in_(select(found.table_valued("id", name="found").c.id))


def _query(text: str) -> Mapping[str, Any] | None:
    """Messages that hold words which begin with each of those that are searched for."""
    wanted = sorted(words(text))
    if not wanted:
        return None
    return {"words_wanted": " & ".join(f"'{word[:LONGEST_WORD]}':*" for word in wanted)}


class Messages(Listed[Message]):
    """The messages of the conversations that the viewer takes part in, but for those about clients it does not see."""

    entity = Message
    table = messages
    listing = Listing(
        Message,
        messages,
        orders={"CREATED_AT": messages.c.created_at},
        filters=dict([one_of("roles", messages.c.role, TEXTS), ("search", Filter(_searched, _query))]),
        parent="conversation_id",
    )

    async def post(self, message: Message, text: str, client_ids: Collection[UUID]) -> None:
        """Store a message, the words it is found by, and the clients whose data it holds."""
        # What was said is not the audit trail's: conversations are deleted for good, and the trail never is.
        await self.insert_unaudited(messages, [message])
        if text:
            await self.index(message.id, text)
        await self.mention(message, client_ids)

    async def known(self, message_id: UUID) -> Message:
        """The message, which the transaction's viewer is known to see."""
        (found,) = await self.lent.many(Message, by_id(Message, messages), {"id": message_id})
        return found

    async def change(self, after: Message) -> None:
        """Store a changed message whose run's lock is held."""
        values = {"id": after.id, "blocks": after.blocks, "insight": after.insight, "version": after.version}
        await self.lent.rows(CHANGE, values)

    async def index(self, message_id: UUID, text: str) -> None:
        """Have a message found by these words."""
        folded = sorted({word[:LONGEST_WORD] for word in words(text)})
        await self.lent.rows(INDEX, {"message_id": message_id, "words": folded})

    async def mention(self, message: Message, client_ids: Collection[UUID]) -> None:
        """Note clients whose data a message holds: from now on, who does not see them does not see it."""
        if client_ids:
            values = {"conversation_id": message.conversation_id, "message_id": message.id}
            await self.lent.rows(MENTION, {**values, "client_ids": sorted(client_ids)})

    async def mentions(self, viewer: Viewer, keys: Sequence[UUID]) -> list[MentionedClient]:
        """The clients whose data these messages hold."""
        return await self.many(MentionedClient, MENTIONS, viewer, keys=keys)

    async def clients_of(self, message_ids: Sequence[UUID]) -> frozenset[UUID]:
        """The clients whose data these messages hold."""
        return frozenset(row[2] for row in await self.lent.rows(MENTIONS, {"keys": message_ids}))

    async def transcript(self, viewer: Viewer, conversation_id: UUID, most: int) -> list[Message]:
        """The last messages of a conversation, those first that were posted first."""
        return (await self.many(Message, TRANSCRIPT, viewer, conversation_id=conversation_id, most=most))[::-1]

    async def latest(self, conversation_id: UUID, before: UUID, most: int) -> list[Message]:
        """The last messages before one, those first that were posted first, as the transaction's viewer sees them."""
        values = {"conversation_id": conversation_id, "before": before, "most": most}
        return read_all(Message, await self.lent.rows(LATEST, values))[::-1]
