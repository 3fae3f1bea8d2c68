"""Links that are mailed to people: each works once, for a time, and what makes it work is stored nowhere.

Its token holds the id of a row and a signature of that id, so that a job which knows the id alone can write the letter,
and whoever reads the database cannot.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

from domain.entities import Entity
from domain.errors import Refusal, RefusalCode


class LinkKind(StrEnum):
    """What a link is for.

    INVITATION: Choosing a password, and so becoming a user.
    PASSWORD_RESET: Choosing another password.
    EMAIL_VERIFICATION: Showing that an address is one's own.
    """

    INVITATION = "INVITATION"
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 - a kind
    EMAIL_VERIFICATION = "EMAIL_VERIFICATION"


LIVES: Final[Mapping[LinkKind, timedelta]] = {
    LinkKind.INVITATION: timedelta(days=7),
    LinkKind.PASSWORD_RESET: timedelta(minutes=30),
    LinkKind.EMAIL_VERIFICATION: timedelta(days=1),
}
# Where a frontend shows what the link is for.
PATHS: Final[Mapping[LinkKind, str]] = {
    LinkKind.INVITATION: "accept-invite",
    LinkKind.PASSWORD_RESET: "reset-password",
    LinkKind.EMAIL_VERIFICATION: "verify-email",
}
ID_BYTES: Final = 16
TOKEN_BYTES: Final = ID_BYTES + 32


class AccountLink(Entity, frozen=True):
    """A link that was mailed to an address of a user.

    `used_at` is when it was used, or made void. `previous_address` is set where it verifies an address that is to take
    the place of another.
    """

    id: UUID
    user_id: UUID
    kind: LinkKind
    address: str
    previous_address: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None

    personal: ClassVar[frozenset[str]] = frozenset({"address", "previous_address"})
    person: ClassVar[str] = "user_id"

    def works(self, now: datetime) -> bool:
        """Whether it can be used."""
        return self.used_at is None and now < self.expires_at


def dead_link() -> Refusal:
    """The one answer to all links that do not work, whatever the reason."""
    message = "The link is wrong, was used before, or is too old; ask for another."
    return Refusal(RefusalCode.LINK_INVALID, message, ("input", "token"))


class Links:
    """Signs and reads the tokens of links, with a key made of the secret that signs access tokens.

    `base` is where the frontend is. Links of older secrets still work.
    """

    def __init__(self, secret: str, base: str, older: Sequence[str] = ()) -> None:
        self._keys = [hmac.digest(each.encode(), b"steward: mailed links", "sha256") for each in (secret, *older)]
        self._base = base.rstrip("/")

    def token(self, kind: LinkKind, link_id: UUID) -> str:
        """What makes a link work; a secret of whoever gets it."""
        return urlsafe_b64encode(link_id.bytes + _signature(self._keys[0], kind, link_id)).decode()

    def url(self, kind: LinkKind, link_id: UUID) -> str:
        """The link, with its token behind the #, which browsers send to no server and so to no log."""
        return f"{self._base}/{PATHS[kind]}#token={self.token(kind, link_id)}"

    def read(self, kind: LinkKind, token: str) -> UUID:
        """The id of the link that a token makes work. Refuses: LINK_INVALID."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
        except ValueError as error:
            raise dead_link() from error
        if len(raw) != TOKEN_BYTES or urlsafe_b64encode(raw).decode() != token:
            raise dead_link()
        link_id = UUID(bytes=raw[:ID_BYTES])
        signed = [hmac.compare_digest(raw[ID_BYTES:], _signature(key, kind, link_id)) for key in self._keys]
        if not any(signed):
            raise dead_link()
        return link_id


def _signature(key: bytes, kind: LinkKind, link_id: UUID) -> bytes:
    return hmac.digest(key, kind.value.encode() + link_id.bytes, "sha256")
