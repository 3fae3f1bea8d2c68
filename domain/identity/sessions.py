"""Sessions: how they begin, go on and end."""

import secrets
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.errors import Unauthenticated
from domain.identity.entities import Grant, RefreshToken, Session, User, UserStatus
from domain.identity.tokens import Lives, Tokens, digest_of
from domain.origin import Origin
from domain.work import Work


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
    if user.status is not UserStatus.ACTIVE:
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
    text, stored = _new_token(work, session, tokens.lives)
    await work.identities.add_session(session, stored)
    return _grant(tokens, user, session, text, stored)


async def refresh(work: Work, tokens: Tokens, text: str) -> Grant | Unauthenticated:
    """Exchange a refresh token, once.

    Its second use means that it was copied, so the whole session ends: that must be committed, which is why the
    refusal is returned and not raised. A refreshed session lives on for the refresh token's full life.
    """
    found = await work.identities.locked_token(digest_of(text))
    if found is None:
        return Unauthenticated("The refresh token is not valid.", reason="INVALID")
    used, session = found
    if session.revoked_at is not None:
        return Unauthenticated("The session has ended.", reason="REVOKED")
    if used.used_at is not None:
        await end_session(work, session.id)
        return Unauthenticated("The refresh token was used before, so the session has ended.", reason="REVOKED")
    if min(used.expires_at, session.idle_until) <= work.now:
        return Unauthenticated("The refresh token has expired; sign in again.", reason="EXPIRED")
    user = await work.identities.user(session.user_id)
    if user.status is not UserStatus.ACTIVE:
        return Unauthenticated("The session has ended.", reason="REVOKED")
    longer = msgspec.structs.replace(
        session,
        expires_at=work.now + tokens.lives.refresh,
        last_used_at=work.now,
        idle_until=work.now + tokens.lives.idle,
    )
    new_text, stored = _new_token(work, longer, tokens.lives)
    await work.identities.rotate(used, longer, stored)
    return _grant(tokens, user, longer, new_text, stored)


def granted(outcome: Grant | Unauthenticated) -> Grant:
    """The grant, or the refusal raised, now that what it changed is committed."""
    if isinstance(outcome, Unauthenticated):
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
    """End the viewer's own session."""
    await end_session(work, viewer.session_id)
