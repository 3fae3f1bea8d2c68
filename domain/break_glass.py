"""Breaking the glass: sight of a book that is not one's own, for an hour and for a stated reason."""

from datetime import datetime
from uuid import UUID

from domain.entities import Entity


class GlassAccess(Entity, frozen=True):
    """A user's sight of a book from `granted_at` until `expires_at`, or until it was ended before."""

    id: UUID
    user_id: UUID
    book_id: UUID
    reason: str
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    version: int
