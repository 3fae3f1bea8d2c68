"""OpenID Connect: what a provider publishes of itself, and what its ID tokens prove."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped] # Authlib has no types
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from domain.providers.configuration import ProviderConfig, safe
from domain.providers.entities import FlowSecrets, Proof
from domain.providers.gateway import Configured, Exchange, NotProven
from domain.providers.kept import Kept
from domain.providers.outside import Outside

# Of public keys alone: neither "none", nor the HMAC of a secret, for which a public key could be passed off.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
SKEW: Final = timedelta(seconds=60)
# For how long what a provider publishes is taken as true, and how often its keys are read again for an unknown one.
KEPT: Final = timedelta(hours=1)
KEYS_AGAIN: Final = timedelta(minutes=1)
MOST_KEYS: Final = 100
SHORTEST_RSA: Final = 2048  # bits
LONGEST_SUBJECT: Final = 255
# What a token that is not what it should be makes the libraries raise.
MALFORMED: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class Published(msgspec.Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery), as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    @property
    def method(self) -> str:
        """How the client shows its secret."""
        basic = "client_secret_basic"
        return basic if basic in self.token_endpoint_auth_methods_supported else "client_secret_post"


class OpenId(Configured):
    """A provider that speaks OpenID Connect."""

    def __init__(self, config: ProviderConfig, outside: Outside) -> None:
        super().__init__(config, outside)
        self._published: Kept[Published] = Kept()
        self._keys: Kept[KeySet] = Kept()

    async def authorization_url(self, kept: FlowSecrets, now: datetime, *, anew: bool) -> str:
        """Where the person goes. Raises Unavailable."""
        published = await self._publication(now)
        more = {"prompt": "login", "max_age": "0"} if anew else {}
        return self._exchange(published).url(published.authorization_endpoint, kept, nonce=kept.nonce, **more)

    async def proof(self, code: str, issuer: str | None, kept: FlowSecrets, now: datetime) -> Proof:
        """Who has brought the code back. Raises NotProven, Unavailable."""
        published = await self._publication(now)
        # A code of another provider, brought here, must not be shown to this one.
        if issuer != published.issuer and (issuer or published.authorization_response_iss_parameter_supported):
            raise NotProven("ISSUER")
        given = await self._exchange(published).tokens(published.token_endpoint, code, kept)
        token, access = given.get("id_token"), given.get("access_token")
        if not isinstance(token, str):
            raise NotProven("NO_ID_TOKEN")
        claims = await self._claims(token, access, kept, now)
        return self._told(claims)

    def _exchange(self, published: Published) -> Exchange:
        return Exchange(self._outside, self._config, method=published.method)

    async def _publication(self, now: datetime) -> Published:
        return await self._published.get(self._read_publication, now, KEPT)

    async def _read_publication(self) -> Published:
        base = self._config.base
        stated = await self._outside.json(self.name, f"{base.rstrip('/')}/.well-known/openid-configuration")
        try:
            published = msgspec.convert(stated, Published)
        except msgspec.ValidationError as error:
            raise self._outside.down(self.name, "a document of another form") from error
        if published.issuer != base:
            raise self._outside.down(self.name, "a document of another issuer")
        named = (published.authorization_endpoint, published.token_endpoint, published.jwks_uri)
        if not all(safe(url, beside=base) for url in named):
            raise self._outside.down(self.name, "a document that names addresses that are not https")
        return published

    async def _claims(self, token: str, access: Any, kept: FlowSecrets, now: datetime) -> Mapping[str, Any]:
        """What the ID token says, its signature by a key that the provider publishes now. Raises NotProven."""
        read = partial(self._read_keys, await self._publication(now))
        keys = await self._keys.get(read, now, KEPT)
        try:
            try:
                return self._checked(token, access, keys, kept, now)
            except InvalidKeyIdError:
                return self._checked(token, access, await self._keys.get(read, now, KEYS_AGAIN), kept, now)
        except MALFORMED as error:
            raise NotProven(_why(error)) from None

    def _checked(self, token: str, access: Any, keys: KeySet, kept: FlowSecrets, now: datetime) -> Mapping[str, Any]:
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        decoded = jwt.decode(token, keys, registry=registry)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": self._config.base},
                "aud": {"essential": True, "value": self._config.client_id},
            },
            params={"nonce": kept.nonce, "client_id": self._config.client_id, "access_token": access},
        )
        claims.validate(int(now.timestamp()), int(SKEW.total_seconds()))
        return dict(claims)

    async def _read_keys(self, published: Published) -> KeySet:
        stated = await self._outside.json(self.name, published.jwks_uri)
        listed = stated.get("keys") if isinstance(stated, dict) else None
        if not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise self._outside.down(self.name, "a document that holds no keys")
        return KeySet([key for each in listed if (key := _key(each))])

    def _told(self, claims: Mapping[str, Any]) -> Proof:
        subject = claims["sub"]
        if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise NotProven("SUBJECT")
        return Proof(
            provider=self.name,
            subject=subject,
            email=_text(claims.get("email")) if claims.get("email_verified") is True else None,
            name=_text(claims.get("name")),
            picture_url=_text(claims.get("picture")),
            authenticated_at=_moment(claims.get("auth_time")),
        )


def _key(stated: Any) -> Key | None:
    """A public key that signs, if that is what it is: others may be published beside it."""
    try:
        kind, public = stated["kty"], {name: value for name, value in stated.items() if name != "d"}
        if kind == "EC":
            return ECKey.import_key(public)
        # Six bits a sign; the library only warns of a short one.
        if kind == "RSA" and len(public["n"]) * 6 >= SHORTEST_RSA:
            return RSAKey.import_key(public)
    except MALFORMED:
        return None
    return None


def _why(error: Exception) -> str:
    """A word on what is wrong with a token: of the library's errors their class, which holds nothing of the token."""
    claim = getattr(error, "claim", None)
    return f"TOKEN_{claim.upper()}" if isinstance(claim, str) and claim.isalpha() else type(error).__name__


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    try:
        return datetime.fromtimestamp(value, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return None
