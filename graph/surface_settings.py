"""The settings of what the server shows to the outside: how much it tells of itself, and how it is reached."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from graph.disclosure import Disclosure, Introspection
from graph.setting_parts import parts_of


def _networks(value: Any) -> Any:
    parts = parts_of(value)
    for part in parts:
        try:
            length = ipaddress.ip_network(part).prefixlen
        except ValueError:
            length = 0
        # Nor a network that is everybody: whoever is believed chooses the address that limits and the audit see.
        if not length:
            raise ValueError(f"must be addresses or networks such as 10.0.0.5 or 10.0.0.0/8, not {part}")
    return tuple(parts)


class SurfaceSettings(BaseSettings):
    """Those of the settings that whoever looks at the server from outside would notice."""

    introspection: Introspection | None = None
    suggestions: bool | None = None
    trusted_documents: Path | None = None
    only_trusted_documents: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_networks), NoDecode] = ()

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("TLS_CERTIFICATE: goes with TLS_KEY; set both or neither.")
        return self

    @model_validator(mode="after")
    def _check_trusted(self) -> Self:
        if self.only_trusted_documents and self.trusted_documents is None:
            raise ValueError("ONLY_TRUSTED_DOCUMENTS: goes with TRUSTED_DOCUMENTS, which names their manifest.")
        return self

    def disclosure_in(self, *, development: bool) -> Disclosure:
        """How much the API tells of itself: all of it in development, unless a setting says otherwise."""
        open_at_home = Introspection.OPEN if development else Introspection.SIGNED_IN
        return Disclosure(
            introspection=self.introspection or open_at_home,
            suggestions=development if self.suggestions is None else self.suggestions,
            debug=development,
        )

    def exposed_on(self, host: str) -> bool:
        """Whether passwords and tokens may cross a network in clear, as far as the settings can tell."""
        return not (is_loopback(host) or self.tls_certificate or self.trusted_proxies)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
