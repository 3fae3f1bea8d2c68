"""Failed attempts at proving who one is."""

from datetime import datetime
from typing import Final

from sqlalchemy import Column, Index, Integer, Text, bindparam, func, update
from sqlalchemy.dialects.postgresql import insert

from domain.identity.attempts import Attempts
from persistence.metadata import MOMENT, table
from persistence.repository import Repository
from persistence.scope import internal
from persistence.sql import columns, values_of

sign_in_attempts = table(
    "sign_in_attempts",
    internal(),
    Column("key", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", MOMENT, nullable=False),
    Column("blocked_until", MOMENT, nullable=False),
    Index(None, "last_failed_at"),
)

OF_KEY: Final = sign_in_attempts.c.key == bindparam("of")
# An upsert that changes nothing, for the lock: of two that come at once with a new key, the second waits here too.
LOCKED: Final = (
    insert(sign_in_attempts)
    .values(
        key=bindparam("of"),
        failures=0,
        last_failed_at=bindparam("now", type_=MOMENT),
        blocked_until=bindparam("now", type_=MOMENT),
    )
    .on_conflict_do_update(index_elements=["key"], set_={"key": bindparam("of")})
    .returning(*columns(Attempts, sign_in_attempts))
)
SAVE: Final = (
    update(sign_in_attempts)
    .where(OF_KEY)
    .values(
        failures=bindparam("failures"),
        last_failed_at=bindparam("last_failed_at", type_=MOMENT),
        blocked_until=bindparam("blocked_until", type_=MOMENT),
    )
)
FORGIVE: Final = (
    update(sign_in_attempts)
    .where(OF_KEY)
    .values(
        failures=func.greatest(sign_in_attempts.c.failures - bindparam("forgiven", type_=Integer), 0),
        blocked_until=sign_in_attempts.c.last_failed_at,
    )
)


class AttemptRows(Repository):
    """Failed attempts, by key; they are no part of the audit trail, which tells of each by itself."""

    async def locked(self, key: str, now: datetime) -> Attempts:
        """The attempts under a key, none if it is new, with their row lock."""
        (found,) = await self.lent.many(Attempts, LOCKED, {"of": key, "now": now})
        return found

    async def save(self, attempts: Attempts) -> None:
        """Store attempts whose lock is held."""
        await self.lent.rows(SAVE, {"of": attempts.key, **values_of(attempts)})

    async def forgive(self, key: str, failures: int) -> None:
        """Forget so many failures, and let the next one try at once."""
        await self.lent.rows(FORGIVE, {"of": key, "forgiven": failures})
