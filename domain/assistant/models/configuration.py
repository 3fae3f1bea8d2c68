"""Which endpoints of language models a firm uses, as its settings state them."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from domain.assistant.models.endpoints import BASES, Endpoint, Preset, Prices
from domain.providers.configuration import safe

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}")
RESOURCE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
EXAMPLE: Final = '[{"preset": "openai", "model": "…", "keyFile": "/run/secrets/openai"}]'

Seconds = Annotated[float, msgspec.Meta(gt=0, le=600)]


class Secrets(msgspec.Struct, frozen=True):
    """Where keys come from that are named, not given: the variables of the environment, and what reads a file."""

    environment: Mapping[str, str]
    read: Callable[[Path], str]


class _Stated(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    model: str
    preset: Preset = Preset.COMPATIBLE
    name: str | None = None
    base_url: str | None = None
    resource: str | None = None
    api_version: str | None = None
    key: str | None = None
    key_env: str | None = None
    key_file: str | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = 0.2
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 4096
    connect_seconds: Seconds = 5
    chunk_seconds: Seconds = 60
    input_price: Decimal | None = None
    output_price: Decimal | None = None


def configured(stated: str | bytes, secrets: Secrets) -> tuple[Endpoint, ...]:
    """The endpoints of a setting, JSON, in order of preference.

    Raises ValueError with one sentence that repeats no key.
    """
    try:
        entries = msgspec.json.decode(stated, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"must be JSON such as {EXAMPLE}") from None
    made = tuple(_numbered(number, each, secrets) for number, each in enumerate(entries, 1))
    names = [each.name for each in made]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two models are called {name}; give each a name of its own")
    return made


def _numbered(number: int, entry: msgspec.Raw, secrets: Secrets) -> Endpoint:
    try:
        return _endpoint(msgspec.json.decode(entry, type=_Stated), secrets)
    except (msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"the model {number}: {error}") from None


def _endpoint(stated: _Stated, secrets: Secrets) -> Endpoint:
    name = stated.name or stated.model
    if not NAME.fullmatch(name):
        raise ValueError("name has letters, digits and ._:/- alone; give one where that of the model has others")
    if stated.api_version is not None and stated.preset is not Preset.AZURE:
        raise ValueError("apiVersion goes with the preset azure")
    return Endpoint(
        name=name,
        base_url=_base(stated),
        model=stated.model,
        key=_key(stated, secrets),
        preset=stated.preset,
        api_version=stated.api_version,
        temperature=stated.temperature,
        max_tokens=stated.max_tokens,
        connect_seconds=stated.connect_seconds,
        chunk_seconds=stated.chunk_seconds,
        prices=_prices(stated),
    )


def _base(stated: _Stated) -> str:
    if stated.resource is not None:
        return _azure(stated)
    base = stated.base_url or BASES.get(stated.preset)
    if base is None:
        needed = "resource or baseUrl" if stated.preset is Preset.AZURE else "baseUrl"
        raise ValueError(f"{needed} is needed with the preset {stated.preset}")
    return address(base)


def _azure(stated: _Stated) -> str:
    if stated.preset is not Preset.AZURE or stated.base_url is not None:
        raise ValueError("resource goes with the preset azure, and without baseUrl")
    if not RESOURCE.fullmatch(stated.resource or ""):
        raise ValueError("resource is the first word of https://….openai.azure.com, in small letters")
    origin = f"https://{stated.resource}.openai.azure.com"
    # The dated API lies beside its newer one, and the SDK adds its path.
    return origin if stated.api_version else f"{origin}/openai/v1/"


def address(url: str) -> str:
    """The URL, if prompts may be sent there: over https, or within this machine or a private network.

    Raises ValueError.
    """
    try:
        parts = urlsplit(url)
        good = safe(url) or (parts.scheme == "http" and parts.username is None and _private(parts))
    except ValueError:
        raise ValueError("baseUrl is no address") from None
    if not good or parts.query or parts.fragment:
        raise ValueError("baseUrl must be an https address without ? and #; http is for private networks alone")
    return url


def _private(parts: SplitResult) -> bool:
    """Whether a host can only be near: a private address, or a name of one word, as containers have."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return bool(host) and "." not in host


def _key(stated: _Stated, secrets: Secrets) -> str | None:
    given = [each for each in (stated.key, stated.key_env, stated.key_file) if each is not None]
    if len(given) > 1:
        raise ValueError("only one of key, keyEnv and keyFile may be given")
    if stated.key_env is not None:
        key = secrets.environment.get(stated.key_env)
        if not key:
            raise ValueError(f"keyEnv: the environment has no {stated.key_env}")
    else:
        key = secrets.read(Path(stated.key_file)) if stated.key_file is not None else stated.key
    if key is None and stated.preset is not Preset.COMPATIBLE:
        raise ValueError(f"key, keyEnv or keyFile is needed with the preset {stated.preset}")
    return None if key is None else readable(key)


def readable(key: str) -> str:
    """The key, if a header can hold it; raises ValueError, which does not repeat it."""
    if not key.strip() or not key.isascii() or not key.isprintable():
        raise ValueError("the key must be in plain letters")
    return key.strip()


def _prices(stated: _Stated) -> Prices | None:
    if (stated.input_price is None) is not (stated.output_price is None):
        raise ValueError("inputPrice goes with outputPrice; give both or neither")
    if stated.input_price is None or stated.output_price is None:
        return None
    if not all(price.is_finite() and price >= 0 for price in (stated.input_price, stated.output_price)):
        raise ValueError("inputPrice and outputPrice are US dollars for a million tokens, 0 or more")
    return Prices(stated.input_price, stated.output_price)
