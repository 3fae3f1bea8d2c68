"""Access tokens, which are signed, and refresh tokens, which are stored."""

import hashlib
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import jwt
import msgspec

from domain.errors import Unauthenticated
from domain.identity.entities import Claims


class Lives(msgspec.Struct, frozen=True):
    """How long tokens live, and for how long a session may lie unused."""

    access: timedelta = timedelta(minutes=30)
    refresh: timedelta = timedelta(days=7)
    idle: timedelta = timedelta(hours=8)


ISSUER: Final = "steward"


class Tokens:
    """Signs and reads access tokens: JWT with HS256 and one secret."""

    def __init__(self, secret: str, lives: Lives) -> None:
        self._secret = secret
        self.lives = lives

    def access(self, user_id: UUID, session_id: UUID, now: datetime) -> tuple[str, datetime]:
        """A signed access token and the moment it ends."""
        expires_at = (now + self.lives.access).replace(microsecond=0)
        claims = {"sub": str(user_id), "sid": str(session_id), "iat": now, "exp": expires_at}
        return jwt.encode({**claims, "iss": ISSUER, "aud": ISSUER}, self._secret, algorithm="HS256"), expires_at

    def read(self, token: str, now: datetime) -> Claims:
        """Check a token. Raises Unauthenticated, with reason EXPIRED for a good one that has ended, else INVALID."""
        required = {"require": ["sub", "sid", "exp", "iat", "iss", "aud"], "verify_exp": False, "verify_iat": False}
        try:
            payload = jwt.decode(token, self._secret, ["HS256"], audience=ISSUER, issuer=ISSUER, options=required)  # type: ignore[arg-type] # its stub wants a TypedDict that it does not export
            ends = datetime.fromtimestamp(payload["exp"], tz=now.tzinfo)
            claims = Claims(UUID(payload["sub"]), UUID(payload["sid"]), ends)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError) as error:
            raise Unauthenticated("The access token is not valid.", reason="INVALID") from error
        # The end is checked by the clock that was passed in, not by the library's own.
        if claims.expires_at <= now:
            raise Unauthenticated("The access token has expired; refresh it.", reason="EXPIRED")
        return claims


def digest_of(token: str) -> str:
    """How a refresh token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()
