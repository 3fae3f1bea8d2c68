"""The database that the settings mean, for as long as a command or a server uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from graph.settings import Settings
from persistence.embedded import EmbeddedServer


class Place(msgspec.Struct, frozen=True):
    """Where the database is, and where secrets that no setting gives are kept beside it."""

    url: str
    home: Path


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Place]:
    """The database of the settings: an outside one, or the embedded one, which ends with its last user."""
    if settings.database_url is not None:
        yield Place(settings.database_url, settings.state_directory)
        return
    server = await asyncio.to_thread(EmbeddedServer.start, settings.state_directory)
    try:
        yield Place(server.url(), Path(server.home))
    finally:
        await asyncio.to_thread(server.close, wait=True)
