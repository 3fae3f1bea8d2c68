"""Signing in by other providers of identity: OpenID Connect, Google and GitHub."""

from domain.providers.entities import (
    FLOW_TIME,
    FlowSecrets,
    Proof,
    ProviderFlow,
    ProviderIdentity,
    ProviderKind,
    Providers,
    Purpose,
)

__all__ = [
    "FLOW_TIME",
    "FlowSecrets",
    "Proof",
    "ProviderFlow",
    "ProviderIdentity",
    "ProviderKind",
    "Providers",
    "Purpose",
]
