"""The keys of service accounts, as requests bring them."""

from collections import OrderedDict
from typing import Final

from domain.identity import Claims
from domain.service_accounts import ServiceKey, check_standing, no_such_key
from persistence.doors import Doors
from persistence.identity import Identities
from persistence.service_accounts import ServiceKeys

MOST: Final = 1000


class KnownKeys:
    """Whose a key is, by its digest.

    The keys used last are kept in mind, for what they stand for never changes: whether one still stands is asked with
    its viewer, at each request. Unknown ones are not, or they would push out the others.
    """

    def __init__(self, doors: Doors, most: int = MOST) -> None:
        self._doors = doors
        self._most = most
        self._known: OrderedDict[str, Claims] = OrderedDict()

    async def claims(self, digest: str) -> Claims:
        """What a key says; raises Unauthenticated for one that is none, or has ended as far as is known here."""
        known = self._known.get(digest)
        if known is None or known.expires_at <= self._doors.clock():
            return await self.read(digest)
        self._known.move_to_end(digest)
        return known

    async def read(self, digest: str) -> Claims:
        """As `claims`, as it is stored now. Raises Unauthenticated with the reason."""
        self._known.pop(digest, None)
        key = await self._doors.read(None, ServiceKeys.by_digest, digest)
        if key is None:
            raise no_such_key()
        now = self._doors.clock()
        check_standing(key, now)
        if key.last_used_at is None:
            await self._doors.read(None, Identities.note_use, key.id, now, now)
        return self._kept(key)

    def _kept(self, key: ServiceKey) -> Claims:
        claims = Claims(key.user_id, key.id, key.expires_at)
        self._known[key.digest] = claims
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return claims
