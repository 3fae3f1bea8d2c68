"""The tables of conversations, and who sees their rows.

Whoever takes part in a conversation sees it, of whatever role: what is said is nobody else's, and no admin's. A message
that holds data of clients is seen by those alone who see all of these clients. The firm itself, which has no session,
sees everything, so that it can end what it carries out.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    exists,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.types import BigInteger, Numeric, Uuid

from domain.access import NOBODY, Sight
from domain.conversations.costs import CallPurpose
from domain.conversations.entities import AgentState, MessageRole, Mode, Module, RunError, RunStatus
from persistence.clients import clients
from persistence.metadata import MOMENT, enum_column, table
from persistence.scope import OWN, USER, Scope, scoped, through

FIRM: Final = f"{USER} = '{NOBODY}'"


def _everyone(_: FromClause, __: Sight) -> ColumnElement[bool]:
    return true()


def _taking_part(column: str) -> str:
    """The firm, or whoever takes part in the conversation that the column names."""
    return (
        f"{FIRM} or exists (select from conversation_participants part "
        f"where part.conversation_id = {OWN}.{column} and part.user_id = {USER})"
    )


def _own(column: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Whether the viewer takes part in the conversation that the column names."""
    own = select(participants.c.conversation_id).where(participants.c.user_id == bindparam("viewer_id", type_=Uuid))
    return column.in_(own)


def _of_participants(table: FromClause, _: Sight) -> ColumnElement[bool]:
    return _own(table.c.id)


def _in_sight(table: FromClause, sight: Sight) -> ColumnElement[bool]:
    """As the policy of messages has it, for all but the firm, which reads no lists."""
    seen = scoped(select(clients.c.id).where(clients.c.id == message_clients.c.client_id), sight)
    hidden = select(message_clients.c.client_id).where(message_clients.c.message_id == table.c.id, ~exists(seen))
    return and_(_own(table.c.conversation_id), ~exists(hidden))


TAKING_PART: Final = _taking_part("conversation_id")
# Who sees not all clients whose data it holds does not see a message; neither does anybody once such a client is gone.
# With the offset it is asked for each message, by the keys: else PostgreSQL gathers all that is hidden in all messages,
# however few are read.
SEEN: Final = (
    f"{FIRM} or ({_taking_part('conversation_id')}) and not exists (select from message_clients mention "  # noqa: S608 - names of our own
    f"where mention.message_id = {OWN}.id and not exists (select from clients where clients.id = mention.client_id) "
    "offset 0)"
)

conversations = table(
    "conversations",
    Scope(see=_taking_part("id"), add=f"owner_id = {USER}", change=_taking_part("id"), predicate=_of_participants),
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    *enum_column("module", Module),
    *enum_column("mode", Mode),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    Column("archived_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index(None, "owner_id"),
)

# A vetted function tells of the others, for a policy cannot look at its own table. The rows of a conversation that was
# deleted stay as long as the event that says so: they say who may read it.
participants = table(
    "conversation_participants",
    Scope(
        see=f"user_id = {USER} or {FIRM} or takes_part({OWN}.conversation_id)",
        add=f"added_by = {USER} and owns_conversation({OWN}.conversation_id)",
        change=f"user_id = {USER} or {FIRM} or owns_conversation({OWN}.conversation_id)",
        predicate=_everyone,
    ),
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("added_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("joined_at", MOMENT, nullable=False),
    UniqueConstraint("user_id", "conversation_id"),
    Index(None, "conversation_id"),
)

messages = table(
    "messages",
    Scope(see=SEEN, add=TAKING_PART, change=TAKING_PART, predicate=_in_sight),
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    *enum_column("role", MessageRole),
    Column("author_id", Uuid, ForeignKey("users.id")),
    Column("agent", Text),
    Column("reply_to_id", Uuid),
    Column("run_id", Uuid),
    Column("created_at", MOMENT, nullable=False),
    Column("blocks", Text, nullable=False),
    Column("insight", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # The folded words of its texts; found through a vetted function, for a policy would keep the index from use.
    Column("words", TSVECTOR),
    Index(None, "conversation_id", "created_at", "id"),
    Index(None, "created_at", "id"),
    Index("messages_words_idx", "words", postgresql_using="gin"),
)

titles = table(
    "conversation_titles",
    Scope(
        see=f"({_taking_part('id')}) and (message_id is null or exists (select from messages "
        f"where messages.id = {OWN}.message_id))",
        add=_taking_part("id"),
        change=_taking_part("id"),
        predicate=_everyone,
    ),
    Column("id", Uuid, ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("title", Text, nullable=False),
    Column("message_id", Uuid),
)

message_clients = table(
    "message_clients",
    Scope(see=TAKING_PART, add=TAKING_PART, change="false", predicate=_everyone),
    Column("conversation_id", Uuid, nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    # Refers to nothing: a client that is deleted hides what was said of it.
    Column("client_id", Uuid, nullable=False),
    PrimaryKeyConstraint("message_id", "client_id"),
    Index(None, "conversation_id", "client_id"),
    Index(None, "client_id"),
)

runs = table(
    "runs",
    through("messages", "message_id"),
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("question_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("session_id", Uuid, nullable=False),
    *enum_column("status", RunStatus),
    Column("attempt", Integer, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("started_at", MOMENT),
    Column("ended_at", MOMENT),
    *enum_column("error", RunError, nullable=True),
    Column("retry_of", Uuid, unique=True),
    Index(None, "message_id"),
    Index(None, "question_id"),
    Index(None, "conversation_id"),
    Index("runs_open_idx", "user_id", "created_at", "id", postgresql_where="status in ('QUEUED', 'RUNNING')"),
)

tool_uses = table(
    "tool_uses",
    through("messages", "message_id"),
    Column("id", Uuid, primary_key=True),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("block", Integer, nullable=False),
    Column("said", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("used_at", MOMENT, nullable=False),
    UniqueConstraint("run_id", "round", "position"),
    Index(None, "message_id"),
)

model_calls = table(
    "model_calls",
    through("messages", "message_id"),
    Column("id", Uuid, primary_key=True),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    *enum_column("purpose", CallPurpose),
    Column("model", Text, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    # In US dollars; prices are of a million tokens, so that a call has more places than an amount of money.
    Column("cost", Numeric),
    Column("prompt", Text),
    Column("ended_at", MOMENT, nullable=False),
    Index(None, "run_id"),
    Index(None, "message_id"),
)

run_steps = table(
    "run_steps",
    through("messages", "message_id"),
    Column("conversation_id", Uuid, nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    *enum_column("state", AgentState, nullable=True),
    Column("agent", Text, nullable=False),
    Column("block", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("message_id", "seq"),
)
