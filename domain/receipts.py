"""Idempotency: what was done under a key is done once, whatever is repeated."""

from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.entities import Entity
from domain.errors import Refusal, RefusalCode
from domain.text import invalid
from domain.work import Work

LONGEST_KEY: Final = 100


class Receipt(Entity, frozen=True):
    """The first result under a key: unique for each user and mutation, and kept for seven days."""

    user_id: UUID
    mutation: str
    key: str
    digest: str
    result_id: UUID
    created_at: datetime


class Receipts(Protocol):
    """The storage of receipts."""

    async def kept(self, viewer: Viewer, receipt: Receipt) -> Receipt:
        """Store the receipt, or give the one that was there first; waits for a concurrent use of the key."""
        ...


async def claim(work: Work, viewer: Viewer, mutation: str, key: str, wanted: msgspec.Struct) -> tuple[UUID, bool]:
    """The id of the result under this key, and whether the result is there already.

    Refuses: INVALID_VALUE, IDEMPOTENCY_CONFLICT where the first use had other input.
    """
    if not 1 <= len(key) <= LONGEST_KEY:
        raise invalid("idempotencyKey", f"A key has 1 to {LONGEST_KEY} characters.")
    mine = Receipt(viewer.user_id, mutation, key, digest(wanted), work.new_id(), work.now)
    first = await work.receipts.kept(viewer, mine)
    if first.digest != mine.digest:
        message = "This key was used before, with other input."
        raise Refusal(RefusalCode.IDEMPOTENCY_CONFLICT, message, ("input", "idempotencyKey"))
    return first.result_id, first.result_id != mine.result_id


def digest(struct: msgspec.Struct) -> str:
    """Digest of an input's canonical form, in which 1.5 and 1.50 are the same."""
    plain = msgspec.to_builtins(struct, builtin_types=(Decimal,))
    return sha256(msgspec.json.encode(_canonical(plain), order="deterministic")).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dict):
        return {name: _canonical(each) for name, each in value.items()}
    return [_canonical(each) for each in value] if isinstance(value, list | tuple) else value
