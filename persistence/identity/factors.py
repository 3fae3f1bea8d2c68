"""Second factors, their recovery codes, and the sign-ins that wait for them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Text, bindparam, delete, func, select, update
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.identity.factors import NO_STEP, FactorState, RecoveryCode, SecondFactor, SignInChallenge
from persistence.metadata import MOMENT, table
from persistence.repository import Repository, by_id
from persistence.scope import IDENTITY, USER, Scope, by_user, internal
from persistence.sql import columns


def _own(column: str) -> Scope:
    """Rows that their user may know of, and that only sign-in and its verbs write."""
    see = f"{IDENTITY} or {column} = {USER}"
    return Scope(see=see, add=IDENTITY, change=IDENTITY, predicate=by_user(column).predicate)


second_factors = table(
    "second_factors",
    _own("id"),
    Column("id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("sealed", LargeBinary),
    Column("pending", LargeBinary),
    Column("confirmed_at", MOMENT),
    Column("last_step", BigInteger, nullable=False),
)

recovery_codes = table(
    "recovery_codes",
    _own("user_id"),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
    Index(None, "user_id"),
)

sign_in_challenges = table(
    "sign_in_challenges",
    internal(),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)

OF_USER: Final = bindparam("user_id", type_=Uuid)
CODE: Final = (
    select(*columns(RecoveryCode, recovery_codes))
    .where(
        recovery_codes.c.user_id == OF_USER,
        recovery_codes.c.digest == bindparam("digest"),
        recovery_codes.c.used_at.is_(None),
    )
    .with_for_update()
)
REMOVE_CODES: Final = delete(recovery_codes).where(recovery_codes.c.user_id == OF_USER)
END_CHALLENGES: Final = (
    update(sign_in_challenges)
    .where(
        sign_in_challenges.c.user_id == OF_USER,
        sign_in_challenges.c.used_at.is_(None),
        sign_in_challenges.c.expires_at > bindparam("now", type_=MOMENT),
    )
    .values(expires_at=bindparam("now", type_=MOMENT))
)
_LEFT: Final = (
    select(func.count())
    .where(recovery_codes.c.user_id == second_factors.c.id, recovery_codes.c.used_at.is_(None))
    .scalar_subquery()
)
STATE: Final = select(second_factors.c.confirmed_at, _LEFT).where(second_factors.c.confirmed_at.is_not(None))


class Factors(Repository):
    """Second factors; all but their state needs the door of identity."""

    async def state(self, viewer: Viewer) -> FactorState | None:
        """What the viewer may know of its second factor, if it has one."""
        found = await self.many(FactorState, STATE, viewer)
        return found[0] if found else None

    async def find(self, user_id: UUID) -> SecondFactor | None:
        """The user's second factor, as it stands."""
        found = await self.lent.many(SecondFactor, by_id(SecondFactor, second_factors), {"id": user_id})
        return found[0] if found else None

    async def held(self, user_id: UUID) -> SecondFactor:
        """The user's second factor, an empty one if there is none, with its row lock."""
        statement = by_id(SecondFactor, second_factors, locking=True)
        found = await self.lent.many(SecondFactor, statement, {"id": user_id})
        if found:
            return found[0]
        await self.insert_once(second_factors, SecondFactor(user_id, None, None, None, NO_STEP))
        return (await self.lent.many(SecondFactor, statement, {"id": user_id}))[0]

    async def save(self, before: SecondFactor, after: SecondFactor) -> None:
        """Store a second factor whose lock is held."""
        await self.overwrite(second_factors, before, after)

    async def replace_codes(self, user_id: UUID, codes: Sequence[RecoveryCode]) -> None:
        """Store recovery codes in the place of all that there were; whoever does so tells the trail of it."""
        await self.lent.rows(REMOVE_CODES, {"user_id": user_id})
        await self.insert_unaudited(recovery_codes, codes)

    async def unused_code(self, user_id: UUID, digest: str) -> RecoveryCode | None:
        """A recovery code that was not used yet, with its row lock."""
        found = await self.lent.many(RecoveryCode, CODE, {"user_id": user_id, "digest": digest})
        return found[0] if found else None

    async def use_code(self, before: RecoveryCode, after: RecoveryCode) -> None:
        """Store a used recovery code."""
        await self.overwrite(recovery_codes, before, after)

    async def ask(self, challenge: SignInChallenge) -> None:
        """Store a challenge."""
        await self.insert(sign_in_challenges, challenge)

    async def asked(self, challenge_id: UUID) -> SignInChallenge | None:
        """A challenge, with its row lock."""
        statement = by_id(SignInChallenge, sign_in_challenges, locking=True)
        found = await self.lent.many(SignInChallenge, statement, {"id": challenge_id})
        return found[0] if found else None

    async def answer(self, before: SignInChallenge, after: SignInChallenge) -> None:
        """Store an answered challenge."""
        await self.overwrite(sign_in_challenges, before, after)

    async def end_challenges(self, user_id: UUID, now: datetime) -> None:
        """Have no sign-in of a user wait for its second factor any longer."""
        await self.lent.rows(END_CHALLENGES, {"user_id": user_id, "now": now})
