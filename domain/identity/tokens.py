"""Access tokens, which are signed, and refresh tokens, which are stored."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
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
    """Signs and reads access tokens, and statements of other audiences: JWT with HS256.

    The newest secret signs. Older ones are still read, until what they have signed has expired.
    """

    def __init__(self, secret: str, lives: Lives, older: Sequence[str] = ()) -> None:
        self._secret = secret
        self._older = tuple(older)
        self.lives = lives

    def access(self, user_id: UUID, session_id: UUID, now: datetime) -> tuple[str, datetime]:
        """A signed access token and the moment it ends."""
        return self.stating(ISSUER, {"sub": str(user_id), "sid": str(session_id)}, now, self.lives.access)

    def stating(self, audience: str, claims: Mapping[str, str], now: datetime, life: timedelta) -> tuple[str, datetime]:
        """A signed statement that is good for one audience, and the moment it ends. Whoever has it can read it."""
        expires_at = (now + life).replace(microsecond=0)
        whole = {**claims, "iat": now, "exp": expires_at, "iss": ISSUER, "aud": audience}
        return jwt.encode(whole, self._secret, algorithm="HS256"), expires_at

    def read(self, token: str, now: datetime) -> Claims:
        """Check a token. Raises Unauthenticated, with reason EXPIRED for a good one that has ended, else INVALID."""
        payload, ends = self._verified(ISSUER, token, ("sub", "sid"), now)
        try:
            claims = Claims(UUID(payload["sub"]), UUID(payload["sid"]), ends)
        except (ValueError, TypeError, AttributeError) as error:
            raise Unauthenticated("The access token is not valid.", reason="INVALID") from error
        # The end is checked by the clock that was passed in, not by the library's own.
        if claims.expires_at <= now:
            raise Unauthenticated("The access token has expired; refresh it.", reason="EXPIRED")
        return claims

    def stated(self, audience: str, token: str, names: Sequence[str], now: datetime) -> Mapping[str, str]:
        """The claims of these names in a statement to an audience; raises Unauthenticated as `read` does."""
        payload, ends = self._verified(audience, token, names, now)
        if ends <= now:
            raise Unauthenticated("The token has expired; begin again.", reason="EXPIRED")
        return {name: str(payload[name]) for name in names}

    def blinded(self, text: str) -> str:
        """A digest that nobody can make or undo by trying texts who has not the secret."""
        return hmac.digest(self._secret.encode(), b"steward: blinded " + text.encode(), "sha256").hex()

    def _verified(
        self, audience: str, token: str, names: Sequence[str], now: datetime
    ) -> tuple[Mapping[str, Any], datetime]:
        """What a token says, and when it ends, whichever secret has signed it; raises Unauthenticated."""
        try:
            payload = self._decoded(audience, token, names)
            return payload, datetime.fromtimestamp(payload["exp"], tz=now.tzinfo)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError) as error:
            raise Unauthenticated("The access token is not valid.", reason="INVALID") from error

    def _decoded(self, audience: str, token: str, names: Sequence[str]) -> Mapping[str, Any]:
        required: Any = {"require": [*names, "exp", "iat", "iss", "aud"], "verify_exp": False, "verify_iat": False}
        for secret in (self._secret, *self._older):
            with suppress(jwt.InvalidSignatureError):
                return jwt.decode(token, secret, ["HS256"], audience=audience, issuer=ISSUER, options=required)
        raise jwt.InvalidSignatureError


def digest_of(token: str) -> str:
    """How a refresh token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()
