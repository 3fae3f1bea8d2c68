"""The keys of service accounts."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Text
from sqlalchemy.types import Uuid

from persistence.metadata import MOMENT, TEXTS, table
from persistence.scope import EVERYTHING, IDENTITY, Scope, shared

service_keys = table(
    "service_keys",
    Scope(see=f"{EVERYTHING} or {IDENTITY}", add=EVERYTHING, change=EVERYTHING, predicate=shared().predicate),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("actions", TEXTS, nullable=False),
    Column("created_by", Uuid, ForeignKey("users.id"), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("last_used_at", MOMENT),
    Column("revoked_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index(None, "user_id", "created_at"),
)
