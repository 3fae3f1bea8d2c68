"""Users, their credentials and sessions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Record
from sqlalchemy import bindparam, func, select, true, update
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.errors import NotFound, Unauthenticated
from domain.identity import Account, Credential, RefreshToken, Session, User
from persistence.identity.tables import credentials, refresh_tokens, sessions, users
from persistence.metadata import MOMENT, UUIDS
from persistence.repository import Repository, by_id, by_ids
from persistence.sql import columns

# Nobody reads more at once; whoever has more ends all others.
MOST_SESSIONS: Final = 100

ACCOUNT = select(users.c.id, users.c.email, users.c.status, credentials.c.password_hash).select_from(
    users.outerjoin(credentials, users.c.id == credentials.c.id)
)
ACCOUNT_AT = ACCOUNT.where(users.c.email == bindparam("email"))
ACCOUNT_OF = ACCOUNT.where(users.c.id == bindparam("user_id", type_=Uuid))
LIVING = (
    select(*columns(Session, sessions))
    .where(
        sessions.c.user_id == bindparam("user_id", type_=Uuid),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now", type_=MOMENT),
        sessions.c.idle_until > bindparam("now", type_=MOMENT),
    )
    .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
    .limit(MOST_SESSIONS)
)
OTHERS = (
    select(*columns(Session, sessions))
    .where(
        sessions.c.user_id == bindparam("user_id", type_=Uuid),
        sessions.c.id != bindparam("kept", type_=Uuid),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now", type_=MOMENT),
    )
    .order_by(sessions.c.id)
    .with_for_update()
)
LOCKED_SESSION = (
    select(*columns(Session, sessions))
    .where(sessions.c.id == bindparam("session_id", type_=Uuid), sessions.c.user_id == bindparam("user_id", type_=Uuid))
    .with_for_update()
)
TOKEN = (
    select(*columns(RefreshToken, refresh_tokens))
    .where(refresh_tokens.c.digest == bindparam("digest"))
    .with_for_update()
)
REVOKE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id", type_=Uuid), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at", type_=MOMENT))
)
EXTEND = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id", type_=Uuid))
    .values(
        expires_at=bindparam("ends", type_=MOMENT),
        last_used_at=bindparam("used", type_=MOMENT),
        idle_until=bindparam("idle", type_=MOMENT),
    )
)
USE = (
    update(refresh_tokens)
    .where(refresh_tokens.c.id == bindparam("token_id", type_=Uuid))
    .values(used_at=bindparam("at", type_=MOMENT))
)
_TOLD: Final = (
    "user_id",
    "session_id",
    "role",
    "team_id",
    "unit_id",
    "locale",
    "time_zone",
    "book_ids",
    "client_ids",
    "granted",
    "authenticated_at",
    "last_used_at",
    "glass_ids",
)
# A vetted function of the migration: without a viewer the application role sees neither books nor members.
VIEWER = select(
    func.viewer_of(bindparam("session_id", type_=Uuid), bindparam("now", type_=MOMENT)).table_valued(*_TOLD)
)
# The same of several sessions at once.
_GIVEN: Final = func.unnest(bindparam("session_ids", type_=UUIDS)).table_valued("id", name="given").render_derived()
_EACH: Final = func.viewer_of(_GIVEN.c.id, bindparam("now", type_=MOMENT)).table_valued(*_TOLD, name="told").lateral()
VIEWERS = select(_EACH).select_from(_GIVEN.join(_EACH, true()))
# Another one, which also tells of the last use of a service account's key.
USED = select(
    func.note_use(
        bindparam("session_id", type_=Uuid), bindparam("now", type_=MOMENT), bindparam("idle_until", type_=MOMENT)
    )
)


def viewer_in(rows: Sequence[Record]) -> Viewer:
    """The viewer that `viewer_of` tells of; raises Unauthenticated if it tells of none, for its session has ended."""
    if not rows:
        raise Unauthenticated("The session has ended.", reason="REVOKED")
    return _viewer(rows[0])


def _viewer(row: Record) -> Viewer:
    told = {name: row[name] for name in Viewer.__struct_fields__}
    glass = set(told["glass_ids"]).difference(told["book_ids"])
    told |= {"book_ids": [*told["book_ids"], *glass], "glass_ids": [*glass]}
    return msgspec.convert(told, Viewer, strict=False, from_attributes=False)


class Identities(Repository):
    """Users and sessions; all but the directory needs the door of identity."""

    async def viewer(self, session_id: UUID, now: datetime) -> Viewer:
        """Whoever the session belongs to, and what it sees now; raises Unauthenticated if it has ended."""
        return viewer_in(await self.lent.rows(VIEWER, {"session_id": session_id, "now": now}))

    async def viewers(self, session_ids: Sequence[UUID], now: datetime) -> dict[UUID, Viewer]:
        """Whoever these sessions belong to, and what they see now; those that have ended are left out."""
        rows = await self.lent.rows(VIEWERS, {"session_ids": session_ids, "now": now})
        return {viewer.session_id: viewer for viewer in map(_viewer, rows)}

    async def note_use(self, session_id: UUID, now: datetime, idle_until: datetime) -> None:
        """Note that a session, or the key of a service account, is in use, so that it does not end as an idle one."""
        await self.lent.rows(USED, {"session_id": session_id, "now": now, "idle_until": idle_until})

    async def by_ids(self, viewer: Viewer, user_ids: Sequence[UUID]) -> list[User]:
        """These users."""
        return await self.many(User, by_ids(User, users), viewer, keys=user_ids)

    async def user(self, user_id: UUID) -> User:
        """The user; raises NotFound."""
        found = await self.lent.many(User, by_id(User, users), {"id": user_id})
        if not found:
            raise NotFound
        return found[0]

    async def add_user(self, user: User, credential: Credential) -> bool:
        """Store a user, unless the address is taken; tells which."""
        if not await self.insert_once(users, user):
            return False
        await self.insert(credentials, credential)
        return True

    async def add_session(self, session: Session, token: RefreshToken) -> None:
        """Store a session and its first refresh token."""
        await self.insert(sessions, session)
        await self.insert(refresh_tokens, token)

    async def locked_token(self, digest: str) -> tuple[RefreshToken, Session] | None:
        """A refresh token with its row lock, and its session."""
        found = await self.lent.many(RefreshToken, TOKEN, {"digest": digest})
        if not found:
            return None
        statement = by_id(Session, sessions, locking=True)
        (session,) = await self.lent.many(Session, statement, {"id": found[0].session_id})
        return found[0], session

    async def rotate(self, used: RefreshToken, session: Session, token: RefreshToken) -> None:
        """Mark one token as used, store the next, and let the session live on."""
        await self.lent.rows(USE, {"token_id": used.id, "at": token.issued_at})
        lives_on = {"ends": session.expires_at, "used": session.last_used_at, "idle": session.idle_until}
        await self.lent.rows(EXTEND, {"session_id": session.id, **lives_on})
        await self.insert(refresh_tokens, token)

    async def revoke(self, session_id: UUID, at: datetime) -> None:
        """End a session."""
        await self.lent.rows(REVOKE, {"session_id": session_id, "at": at})
        (session,) = await self.lent.many(Session, by_id(Session, sessions), {"id": session_id})
        self.record(msgspec.structs.replace(session, revoked_at=None), session)

    async def account(self, address: str) -> Account | None:
        """What a sign-in by an address rests on, whatever the user's status."""
        found = await self.lent.many(Account, ACCOUNT_AT, {"email": address})
        return found[0] if found else None

    async def account_of(self, user_id: UUID) -> Account:
        """What a user's sign-in rests on."""
        (found,) = await self.lent.many(Account, ACCOUNT_OF, {"user_id": user_id})
        return found

    async def living_sessions(self, viewer: Viewer, now: datetime) -> list[Session]:
        """The viewer's sessions that have not ended, the one that was used last before the others."""
        return await self.many(Session, LIVING, viewer, user_id=viewer.user_id, now=now)

    async def sessions(self, viewer: Viewer, session_ids: Sequence[UUID]) -> list[Session]:
        """Sessions by their ids: the viewer's own, or anybody's for those who see everything."""
        return await self.many(Session, by_ids(Session, sessions), viewer, keys=session_ids)

    async def locked_session(self, user_id: UUID, session_id: UUID) -> Session:
        """A session of a user, with its row lock; raises NotFound."""
        found = await self.lent.many(Session, LOCKED_SESSION, {"user_id": user_id, "session_id": session_id})
        if not found:
            raise NotFound
        return found[0]

    async def other_sessions(self, user_id: UUID, kept: UUID, now: datetime) -> list[Session]:
        """All sessions of a user that have not ended, but for one, with their row locks."""
        return await self.lent.many(Session, OTHERS, {"user_id": user_id, "kept": kept, "now": now})

    async def change_session(self, before: Session, after: Session) -> None:
        """Write a changed session whose row lock is held."""
        await self.overwrite(sessions, before, after)
