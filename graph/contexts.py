"""Contexts made of access tokens and keys, and their callers counted before the database is asked of anything."""

import hashlib
from collections import OrderedDict
from functools import partial
from typing import Final

import msgspec

from domain.errors import Unauthenticated
from domain.identity import Claims
from domain.origin import Origin
from domain.service_accounts import is_key, key_digest
from graph.context import Context, Services
from graph.http.meters import Admitted, Standing
from graph.keys import KnownKeys
from graph.rates import Caller, Kind

# Access tokens of a process that need not be verified again; what they stand for is asked at each lending.
MOST_VERIFIED: Final = 4096


class Verified(msgspec.Struct, frozen=True):
    """An access token that was read: what it says, and whoever pays for what is asked with it."""

    claims: Claims
    caller: Caller


class Contexts:
    """Makes the context of a request or a socket from its access token."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._keys = KnownKeys(services.doors)
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()

    def admit_at_once(self, found: object) -> Standing | None:
        """Count a request to whom was `found` by its token before.

        None, and nothing is counted, if its token has ended, if nothing is left, or if it has to be waited for.
        """
        if not isinstance(found, Verified) or found.claims.expires_at <= self._services.doors.clock():
            return None
        return self._services.rates.request_at_once(found.caller)

    async def admit(self, token: str | None, origin: Origin) -> Admitted:
        """Count a request to whom its token names, else to its address, before the database is asked of anything.

        Raises RateLimited, and Unauthenticated for what has not the form of the key it claims to be. Any other token
        that is none is the address's own affair.
        """
        rates = self._services.rates
        if token is not None and is_key(token):
            await rates.check_failures(Caller.at(origin.address))
            try:
                digest = key_digest(token)
            except Unauthenticated:
                # It has not even the form of a key, and is counted all the same.
                await self.failed(origin)
                raise
            return Admitted(await rates.request(Caller(Kind.KEY, digest)))
        try:
            verified = self._read(token) if token else None
        except Unauthenticated:
            verified = None
        caller = verified.caller if verified else Caller.at(origin.address)
        return Admitted(await rates.request(caller), verified)

    async def failed(self, origin: Origin) -> None:
        """Count a token that was none to the address."""
        await self._services.rates.failed(Caller.at(origin.address))

    def _read(self, token: str) -> Verified:
        """What an access token says, checked once; raises Unauthenticated."""
        digest, now = hashlib.sha256(token.encode()).digest(), self._services.doors.clock()
        known = self._verified.get(digest)
        if known is None or known.claims.expires_at <= now:
            self._verified.pop(digest, None)
            claims = self._services.tokens.read(token, now)
            known = self._verified[digest] = Verified(claims, Caller.of(claims))
            while len(self._verified) > MOST_VERIFIED:
                self._verified.popitem(last=False)
        return known

    def assumed(self, found: object, origin: Origin) -> Context | None:
        """The context of a viewer who is taken for whom it was before; none if that cannot be.

        `found` is what `admit` has found of the token, whose end may have come with the end of the body.
        """
        if not isinstance(found, Verified) or found.claims.expires_at <= self._services.doors.clock():
            return None
        context = Context(self._services, origin, found.claims, caller=found.caller)
        return context if context.assume() else None

    async def of_request(self, token: str | None, origin: Origin, *, assuming: bool = False) -> Context:
        """The context; raises Unauthenticated for a token that is not, or no longer, good."""
        if token is None:
            return Context(self._services, origin, None)
        if is_key(token):
            return await self._of_key(key_digest(token), origin, assuming=assuming)
        known = self._read(token)
        return await self._in_use(Context(self._services, origin, known.claims, caller=known.caller))

    async def _of_key(self, digest: str, origin: Origin, *, assuming: bool) -> Context:
        """The context of a service account's key; raises Unauthenticated."""
        claims = await self._keys.claims(digest)
        renew = partial(self._keys.read, digest)
        context = Context(self._services, origin, claims, renew, caller=Caller(Kind.KEY, digest))
        try:
            return context if assuming and context.assume() else await self._in_use(context)
        except Unauthenticated:
            # Its row tells why it stands no longer, where that is not known by heart.
            await self._keys.read(digest)
            raise

    @staticmethod
    async def _in_use(context: Context) -> Context:
        """A context whose session is noted as in use; raises Unauthenticated."""
        try:
            await context.used()
        except BaseException:
            context.done()
            raise
        return context
