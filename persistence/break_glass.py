"""Sight of books by a broken glass."""

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Integer, Text
from sqlalchemy.types import Uuid

from persistence.metadata import MOMENT, table
from persistence.scope import BOOKS, END_CLIENT, EVERYTHING, USER, Scope, shared

# One's own, and those to the books that one sees, by which managers follow them up.
FOLLOWED: Final = f"user_id = {USER} or {EVERYTHING} or book_id in ({BOOKS}) and not {END_CLIENT}"

glass_accesses = table(
    "glass_accesses",
    Scope(see=FOLLOWED, add=f"user_id = {USER}", change=FOLLOWED, predicate=shared().predicate),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("book_id", Uuid, ForeignKey("books.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("granted_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index(None, "user_id", "expires_at"),
    Index(None, "book_id", "granted_at"),
)
