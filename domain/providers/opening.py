"""The providers of the settings, ready to be asked."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from domain.providers.configuration import ProviderConfig
from domain.providers.entities import ProviderKind
from domain.providers.gateway import Provider, SignInProviders
from domain.providers.github import GitHub
from domain.providers.openid import OpenId
from domain.providers.outside import Outside


@asynccontextmanager
async def opened(configs: Sequence[ProviderConfig], outside: Outside | None = None) -> AsyncIterator[SignInProviders]:
    """The providers until the end of the block, then their connections are given back.

    Without any, nothing is made ready to reach them.
    """
    if not configs:
        yield SignInProviders()
        return
    shared = outside or Outside()
    try:
        yield SignInProviders(*(_provider(config, shared) for config in configs))
    finally:
        await shared.close()


def _provider(config: ProviderConfig, outside: Outside) -> Provider:
    return GitHub(config, outside) if config.kind is ProviderKind.GITHUB else OpenId(config, outside)
