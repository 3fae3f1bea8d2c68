"""Which providers a firm lets people sign in by, as its settings state them."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from domain.providers.entities import ProviderKind

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
GOOGLE: Final = "https://accounts.google.com"
GITHUB: Final = "https://github.com"
GITHUB_API: Final = "https://api.github.com"
SCOPES: Final[Mapping[ProviderKind, tuple[str, ...]]] = {
    ProviderKind.GOOGLE: ("openid", "email", "profile"),
    ProviderKind.GITHUB: ("read:user", "user:email"),
    ProviderKind.OPENID: ("openid", "email", "profile"),
}


class ProviderConfig(msgspec.Struct, frozen=True):
    """A provider: where it is, and what it knows this server by. `api` is where GitHub tells whom it has proved."""

    name: str
    kind: ProviderKind
    base: str
    api: str
    client_id: str
    client_secret: str
    redirect_uri: str
    scopes: tuple[str, ...]

    def __repr__(self) -> str:
        """As it may be shown: without the secret."""
        return f"ProviderConfig({self.name!r})"


class _Stated(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    client_id: str
    redirect_uri: str
    preset: Literal["google", "github"] | None = None
    issuer: str | None = None
    base_url: str | None = None
    api_url: str | None = None
    client_secret: str | None = None
    client_secret_file: str | None = None
    scopes: tuple[str, ...] | None = None

    @property
    def kind(self) -> ProviderKind:
        return ProviderKind(self.preset.upper()) if self.preset else ProviderKind.OPENID


def configured(stated: Any, read_secret: Callable[[Path], str]) -> tuple[ProviderConfig, ...]:
    """The providers of a setting: JSON, decoded. Raises ValueError with one sentence that names no secret."""
    if not isinstance(stated, Mapping):
        raise ValueError('must be JSON such as {"google": {"preset": "google", "clientId": "…", …}}')  # noqa: TRY004 - as pydantic wants it
    return tuple(_provider(str(name), each, read_secret) for name, each in stated.items())


def _provider(name: str, given: Any, read_secret: Callable[[Path], str]) -> ProviderConfig:
    if not NAME.fullmatch(name):
        raise ValueError("a provider's name has small letters, digits and hyphens, as in google or our-bank")
    try:
        stated = msgspec.convert(given, _Stated)
    except msgspec.ValidationError as error:
        raise ValueError(f"the provider {name}: {error}") from None
    try:
        return ProviderConfig(
            name=name,
            kind=stated.kind,
            base=_base(stated),
            api=_address("apiUrl", stated.api_url or _api(stated)),
            client_id=_text("clientId", stated.client_id),
            client_secret=_secret(stated, read_secret),
            redirect_uri=_redirect(stated.redirect_uri),
            scopes=stated.scopes or SCOPES[stated.kind],
        )
    except ValueError as error:
        raise ValueError(f"the provider {name}: {error}") from None


def _base(stated: _Stated) -> str:
    if stated.kind is ProviderKind.GITHUB:
        return _address("baseUrl", stated.base_url or GITHUB)
    issuer = stated.issuer or (GOOGLE if stated.kind is ProviderKind.GOOGLE else None)
    if issuer is None:
        raise ValueError("issuer is needed, unless preset is google or github")
    return _address("issuer", issuer)


def _api(stated: _Stated) -> str:
    """GitHub's own server for its API, or where GitHub Enterprise has it."""
    return f"{stated.base_url.rstrip('/')}/api/v3" if stated.base_url else GITHUB_API


def _address(field: str, url: str) -> str:
    parts = urlsplit(url)
    if not safe(url) or parts.query or parts.fragment:
        raise ValueError(f"{field} must be an https address without ? and #")
    return url


def _redirect(url: str) -> str:
    if not safe(url) or "#" in url:
        raise ValueError("redirectUri must be an https address, or one on this machine, without #")
    return url


def _text(field: str, text: str) -> str:
    if not text.strip() or not text.isascii() or not text.isprintable():
        raise ValueError(f"{field} is needed, in plain letters")
    return text


def _secret(stated: _Stated, read_secret: Callable[[Path], str]) -> str:
    if (stated.client_secret is None) is (stated.client_secret_file is None):
        raise ValueError("either clientSecret or clientSecretFile is needed")
    if stated.client_secret is None:
        return _text("clientSecretFile", read_secret(Path(stated.client_secret_file or "")))
    return _text("clientSecret", stated.client_secret)


def safe(url: str, *, beside: str | None = None) -> bool:
    """Whether a URL may be called: https, or http on this machine.

    `beside` is the URL that named it: http is for those alone whose namer is on this machine, too.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "http":
            return is_loopback(parts) and (beside is None or is_loopback(urlsplit(beside)))
        return parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        return False


def host_of(url: str) -> str | None:
    """The host that a URL names, if it is one."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def is_loopback(parts: SplitResult) -> bool:
    """Whether a host is this machine."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
