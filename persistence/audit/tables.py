"""The tables of the audit trail: its rows, the queue of those that are to be sealed, and the seals."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    FromClause,
    Index,
    LargeBinary,
    Text,
    and_,
    any_,
    bindparam,
    exists,
    false,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Uuid

from domain.access import Sight
from persistence.clients import clients
from persistence.metadata import MOMENT, UUIDS, table
from persistence.scope import BOOKS, END_CLIENT, EVERYTHING, IDENTITY, OWN, SIGNED_IN, USER, Scope

# Staff see the history of what they see: of a client as long as it is in their sight, wherever it has moved, of a book
# that is theirs, and of their own sign-in. What the staff have done is not for end clients.
SEEN: Final = (
    f"{EVERYTHING} or not {END_CLIENT} and (user_id = {USER} or client_id is null and book_id in ({BOOKS}) "
    f"or exists (select from clients where clients.id = {OWN}.client_id))"
)


def _whose(rows: FromClause, sight: Sight) -> ColumnElement[bool]:
    if sight is not Sight.BOOKS:
        return true() if sight is Sight.EVERYTHING else false()
    books = any_(bindparam("viewer_books", type_=ARRAY(Uuid)))
    return or_(
        rows.c.user_id == bindparam("viewer_id", type_=Uuid),
        and_(rows.c.client_id.is_(None), rows.c.book_id == books),
        exists().where(clients.c.id == rows.c.client_id, clients.c.book_id == books),
    )


def _all_or_none(_: FromClause, sight: Sight) -> ColumnElement[bool]:
    return true() if sight is Sight.EVERYTHING else false()


# Written by vetted functions of the migration alone.
SEALING: Final = Scope(see=EVERYTHING, add="false", change="false", predicate=_all_or_none)

audit_events = table(
    "audit_events",
    Scope(see=SEEN, add=f"{SIGNED_IN} or {IDENTITY}", change="false", predicate=_whose),
    Column("id", Uuid, primary_key=True),
    Column("occurred_at", MOMENT, nullable=False),
    Column("actor_id", Uuid),
    Column("session_id", Uuid),
    Column("request_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Uuid),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("reason", Text),
    # Whose the object is: they refer to nothing, for what they name may be deleted later.
    Column("client_id", Uuid),
    Column("book_id", Uuid),
    Column("user_id", Uuid),
    # By whose key its personal fields are sealed.
    Column("person_id", Uuid),
    # The history of an object, and the whole trail by each of its filters, in order of time.
    Index(None, "object_id", "occurred_at", "id"),
    Index(None, "occurred_at", "id"),
    Index(None, "actor_id", "occurred_at", "id"),
    Index(None, "client_id", "occurred_at", "id"),
    Index(None, "action", "occurred_at", "id"),
    Index(None, "request_id"),
)

# What is committed and not sealed yet.
audit_unsealed = table("audit_unsealed", SEALING, Column("event_id", Uuid, primary_key=True))

audit_seals = table(
    "audit_seals",
    SEALING,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # The digest of the seal before it; of the first one, nothing.
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sealed_at", MOMENT, nullable=False),
    # Named here too, so that a row whose every trace is removed is still missed by its name.
    Column("event_ids", UUIDS, nullable=False),
    # Verification begins at the first.
    CheckConstraint("number > 0", name="number"),
)

audit_sealed = table(
    "audit_sealed",
    SEALING,
    Column("event_id", Uuid, primary_key=True),
    Column("seal", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Index(None, "seal"),
)
