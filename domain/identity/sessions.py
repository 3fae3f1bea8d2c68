"""Sessions: how they begin, go on and end."""

import secrets
from collections.abc import Collection
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.access import Action, Role, Viewer, require
from domain.errors import Fault, Refusal, Unauthenticated
from domain.identity.entities import Grant, RefreshToken, Session, User, UserStatus
from domain.identity.tokens import Lives, Tokens, digest_of
from domain.origin import Origin
from domain.work import Work

T = TypeVar("T")


def _new_token(work: Work, session: Session, lives: Lives) -> tuple[str, RefreshToken]:
    text = secrets.token_urlsafe(32)
    expires_at = min(work.now + lives.refresh, session.expires_at)
    return text, RefreshToken(work.new_id(), session.id, digest_of(text), work.now, expires_at, None)


def _grant(tokens: Tokens, user: User, session: Session, text: str, stored: RefreshToken) -> Grant:
    access, expires_at = tokens.access(user.id, session.id, stored.issued_at)
    return Grant(user, access, expires_at, text, stored.expires_at)


async def open_session(
    work: Work, tokens: Tokens, user_id: UUID, origin: Origin, *, second_factor: bool = False
) -> Grant:
    """Begin a session for a user who has proved to be who it is; raises Unauthenticated for one who is not active."""
    user = await work.identities.user(user_id)
    # A partner's program has no sessions: it acts by its keys.
    if user.status is not UserStatus.ACTIVE or user.role is Role.SERVICE:
        raise Unauthenticated("The address or the password is wrong.", reason="INVALID")
    session = Session(
        id=work.new_id(),
        user_id=user.id,
        created_at=work.now,
        expires_at=work.now + tokens.lives.refresh,
        revoked_at=None,
        last_used_at=work.now,
        idle_until=work.now + tokens.lives.idle,
        authenticated_at=work.now,
        second_factor=second_factor,
        device=origin.device,
        address=origin.address,
    )
    work.acts_for(user.id, session.id)
    text, stored = _new_token(work, session, tokens.lives)
    await work.identities.add_session(session, stored)
    return _grant(tokens, user, session, text, stored)


async def refresh(
    work: Work, tokens: Tokens, text: str, needing_factor: Collection[Role] = ()
) -> Grant | Unauthenticated:
    """Exchange a refresh token, once.

    Its second use means that it was copied, so the whole session ends: that must be committed, which is why the
    refusal is returned and not raised. A refreshed session lives on for the refresh token's full life. One without a
    second factor does not, where the user's role has come to need one.
    """
    found = await work.identities.locked_token(digest_of(text))
    if found is None:
        return Unauthenticated("The refresh token is not valid.", reason="INVALID")
    used, session = found
    if fault := await _ended(work, used, session):
        return fault
    user = await work.identities.user(session.user_id)
    if user.status is not UserStatus.ACTIVE:
        return Unauthenticated("The session has ended.", reason="REVOKED")
    if user.role in needing_factor and not session.second_factor:
        return Unauthenticated("Sign in again, with a second factor.", reason="REVOKED")
    work.acts_for(user.id, session.id)
    longer = msgspec.structs.replace(
        session,
        expires_at=work.now + tokens.lives.refresh,
        last_used_at=work.now,
        idle_until=work.now + tokens.lives.idle,
    )
    new_text, stored = _new_token(work, longer, tokens.lives)
    await work.identities.rotate(used, longer, stored)
    return _grant(tokens, user, longer, new_text, stored)


async def _ended(work: Work, used: RefreshToken, session: Session) -> Unauthenticated | None:
    """Why a session does not go on by a refresh token, if it does not; one whose token was copied ends with that."""
    if session.revoked_at is not None:
        return Unauthenticated("The session has ended.", reason="REVOKED")
    if used.used_at is not None:
        work.acts_for(session.user_id, session.id)
        await end_session(work, session.id)
        return Unauthenticated("The refresh token was used before, so the session has ended.", reason="REVOKED")
    if min(used.expires_at, session.idle_until) <= work.now:
        return Unauthenticated("The refresh token has expired; sign in again.", reason="EXPIRED")
    return None


def settled(outcome: T | Fault | Refusal) -> T:
    """The outcome of a verb, or its refusal raised, now that what the verb changed is committed."""
    if isinstance(outcome, Fault | Refusal):
        raise outcome
    return outcome


def session_topic(session_id: UUID) -> str:
    """What wakes those who must know that the session has ended."""
    return f"session:{session_id}"


async def end_session(work: Work, session_id: UUID) -> None:
    """End a session at once, on open sockets too."""
    await work.identities.revoke(session_id, work.now)
    work.wake(session_topic(session_id))


async def sign_out(work: Work, viewer: Viewer) -> None:
    """End the viewer's own session; a key of a service account is revoked instead."""
    require(viewer, Action.MANAGE_ACCOUNT)
    await end_session(work, viewer.session_id)


async def revoke_session(work: Work, viewer: Viewer, session_id: UUID) -> Session:
    """End one of the viewer's sessions, its own among them; one that has ended already stays so. Raises NotFound."""
    require(viewer, Action.MANAGE_ACCOUNT)
    session = await work.identities.locked_session(viewer.user_id, session_id)
    if session.revoked_at is not None:
        return session
    return await _revoked(work, session)


async def revoke_other_sessions(work: Work, viewer: Viewer) -> int:
    """End all sessions of the viewer but its own, and tell how many."""
    require(viewer, Action.MANAGE_ACCOUNT)
    return await end_other_sessions(work, viewer)


async def end_other_sessions(work: Work, viewer: Viewer) -> int:
    """End all sessions of the viewer but its own, and the sign-ins that wait for a second factor; tell how many."""
    await work.factors.end_challenges(viewer.user_id, work.now)
    others = await work.identities.other_sessions(viewer.user_id, viewer.session_id, work.now)
    for session in others:
        await _revoked(work, session)
    return len(others)


async def _revoked(work: Work, session: Session) -> Session:
    revoked = msgspec.structs.replace(session, revoked_at=work.now)
    await work.identities.change_session(session, revoked)
    work.wake(session_topic(session.id))
    return revoked


async def authenticated(work: Work, viewer: Viewer, *, second_factor: bool) -> Session:
    """Note that the viewer has proved anew who it is, whatever by; raises NotFound for what has no session."""
    session = await work.identities.locked_session(viewer.user_id, viewer.session_id)
    proved = msgspec.structs.replace(
        session, authenticated_at=work.now, second_factor=second_factor or session.second_factor
    )
    await work.identities.change_session(session, proved)
    return proved
