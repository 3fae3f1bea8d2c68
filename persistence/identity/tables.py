"""The tables of users, their credentials and sessions."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    Text,
    any_,
    bindparam,
    column,
    exists,
    or_,
    true,
)
from sqlalchemy import table as lightweight
from sqlalchemy.types import Uuid

from domain.access import Role, Sight
from domain.identity import UserStatus
from persistence.metadata import MOMENT, UUIDS, enum_column, table
from persistence.scope import END_CLIENT, EVERYTHING, IDENTITY, SIGNED_IN, USER, Scope, by_user, internal

# The staff know each other, and the end clients whose client they see; an end client knows itself. For who sees
# everything all clients would else be read each time.
KNOWN: Final = (
    f"{EVERYTHING} or {IDENTITY} or id = {USER} or {SIGNED_IN} and not {END_CLIENT} "
    "and (client_id is null or exists (select from clients where clients.id = users.client_id))"
)
# The table of clients refers to users through its books, and cannot be imported here.
CLIENTS: Final = lightweight("clients", column("id", Uuid), column("book_id", Uuid))


def _known(source: FromClause, sight: Sight) -> ColumnElement[bool]:
    if sight is Sight.EVERYTHING:
        return true()
    if sight is Sight.CLIENTS:
        return source.c.id == bindparam("viewer_id", type_=Uuid)
    theirs = CLIENTS.c.book_id == any_(bindparam("viewer_books", type_=UUIDS))
    return or_(source.c.client_id.is_(None), exists().where(CLIENTS.c.id == source.c.client_id, theirs))


users = table(
    "users",
    Scope(see=KNOWN, add=IDENTITY, change=IDENTITY, predicate=_known),
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("picture_url", Text),
    Column("locale", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    *enum_column("role", Role),
    Column("unit_id", Uuid, ForeignKey("units.id")),
    Column("team_id", Uuid, ForeignKey("teams.id")),
    # Set for end clients alone; a plain reference, for the client's own row names its book.
    Column("client_id", Uuid, ForeignKey("clients.id", use_alter=True)),
    *enum_column("status", UserStatus),
    Column("created_at", MOMENT, nullable=False),
    Column("email_verified_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index(None, "team_id", "role"),
    Index(None, "unit_id", "sort_name", "id"),
    Index(None, "sort_name", "id"),
    Index(None, "created_at", "id"),
)

credentials = table(
    "credentials",
    internal(),
    Column("id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("password_hash", Text, nullable=False),
)

# A user knows its own sessions, and those who see everything know all; only sign-in and its verbs write them.
OWN_SESSION: Final = f"{IDENTITY} or {EVERYTHING} or user_id = {USER}"


def _own_or_all(rows: FromClause, sight: Sight) -> ColumnElement[bool]:
    return true() if sight is Sight.EVERYTHING else by_user().predicate(rows, sight)


sessions = table(
    "sessions",
    Scope(see=OWN_SESSION, add=IDENTITY, change=IDENTITY, predicate=_own_or_all),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
    Column("last_used_at", MOMENT, nullable=False),
    Column("idle_until", MOMENT, nullable=False),
    Column("authenticated_at", MOMENT, nullable=False),
    Column("second_factor", Boolean, nullable=False),
    Column("device", Text, nullable=False),
    Column("address", Text, nullable=False),
    Index(None, "user_id"),
)

refresh_tokens = table(
    "refresh_tokens",
    internal(),
    Column("id", Uuid, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id"), nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("issued_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
    Index(None, "session_id"),
)
