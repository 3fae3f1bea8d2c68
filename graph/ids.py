"""Ids as clients see them: typed, readable, opaque; and as the domain takes them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from domain.announcements import Announcement
from domain.audit import AuditEvent
from domain.books import Book, Membership, Team, Unit
from domain.break_glass import GlassAccess
from domain.clients import Client
from domain.conversations.entities import Conversation, Message, Run
from domain.entities import Entity
from domain.errors import Invalid
from domain.households import Household
from domain.identity import Session, User
from domain.instruments import Instrument
from domain.jobs import DeadJob
from domain.ledger import Transaction
from domain.notifications import Notification
from domain.orders import Order
from domain.parties import Party
from domain.portfolios import Portfolio
from domain.positions import Lot, Position
from domain.service_accounts import ServiceAccount, ServiceKey
from persistence.sql import key_of

# One registry: a prefix is never given to another type, for frontends and partners keep ids.
PREFIXES: Final[Mapping[type[Entity], str]] = {
    Announcement: "announcement",
    AuditEvent: "audit",
    Book: "book",
    Client: "client",
    Conversation: "conversation",
    DeadJob: "job",
    GlassAccess: "glass_access",
    Household: "household",
    Instrument: "instrument",
    Lot: "lot",
    Membership: "membership",
    Message: "message",
    Notification: "notification",
    Order: "order",
    Party: "party",
    Portfolio: "portfolio",
    Position: "position",
    Run: "run",
    ServiceAccount: "service_account",
    ServiceKey: "service_key",
    Session: "session",
    Team: "team",
    Transaction: "transaction",
    Unit: "unit",
    User: "user",
}
DIGITS: Final = re.compile("[0-9a-f]{32}")
ENTITIES: Final[Mapping[str, type[Entity]]] = {prefix: entity for entity, prefix in PREFIXES.items()}


def encode(prefix: str, row_id: UUID) -> str:
    """An id as clients see it."""
    return f"{prefix}_{row_id.hex}"


def id_of(entity: Any) -> str:
    """The id of an entity as clients see it."""
    return encode(PREFIXES[type(entity)], entity.id)


def ids_of(entities: Sequence[Any]) -> list[str]:
    """The ids of entities of one type as clients see them."""
    prefix = PREFIXES[type(entities[0])]
    return [f"{prefix}_{entity.id.hex}" for entity in entities]


def split(text: str, field: str) -> tuple[str, UUID]:
    """Prefix and key of any id; raises Invalid, naming the field, for what `encode` would not have made."""
    prefix, _, digits = text.rpartition("_")
    # An id that does not re-encode to itself would put one row into a client's cache under two ids.
    if prefix not in ENTITIES or not DIGITS.fullmatch(digits):
        raise Invalid.of(field, "is not an id")
    return prefix, key_of(digits)


def decode(text: str, prefix: str, field: str) -> UUID:
    """The key of an id of one type; raises Invalid, naming the field, for any other."""
    found, row_id = split(text, field)
    if found != prefix:
        raise Invalid.of(field, f"is the id of a {found}, not of a {prefix}")
    return row_id
