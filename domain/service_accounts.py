"""Service accounts: partners' programs, which act by keys that allow some actions on the books they are members of."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.access import Action
from domain.entities import Entity


class ServiceKey(Entity, frozen=True):
    """A key of a service account, stored as the SHA-256 of its secret, which has 256 random bits.

    `prefix` is what people tell keys apart by. A key that was rotated goes on until its `expires_at`, so that the
    program can change over to its successor.
    """

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    digest: str
    actions: tuple[Action, ...]
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    version: int

    secret: ClassVar[frozenset[str]] = frozenset({"digest"})
