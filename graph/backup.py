"""The commands `backup` and `restore`: which key the personal fields are under, and what is said in the end."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

from graph.settings import Settings, SettingsError
from persistence.embedded import EmbeddedServer
from persistence.embedded.archive import KEY, BackupError, Manifest, checked
from persistence.embedded.backup import back_up, restore
from persistence.setup import head

COUNTED: Final = ("users", "clients", "portfolios", "transactions")
MEGABYTE: Final = 1_000_000


async def make_backup(settings: Settings, path: Path | None, now: datetime) -> str:
    """Back the embedded database up, into the state directory unless a path is given. Gives what is to be said.

    Raises SettingsError where it is not ours, EmbeddedError where it cannot be done.
    """
    _refuse_outside(settings, "back it up")
    if not (settings.state_directory / "cluster").exists():
        raise BackupError(f"There is no embedded database in {settings.state_directory}.")
    target = await asyncio.to_thread(_target, settings, path, now)
    server = await asyncio.to_thread(EmbeddedServer.start, settings.state_directory)
    try:
        ring = settings.key_ring(server.home)
        manifest = await back_up(server, target, ring, now, with_key=settings.field_key is None)
    finally:
        await asyncio.to_thread(server.close, wait=True)
    size = await asyncio.to_thread(lambda: target.stat().st_size)
    held = f"{_counts(manifest)}, at revision {manifest.revision}"
    return f"{_shown(target)} ({size / MEGABYTE:,.1f} MB) holds {held}.\n{_key(manifest)}"


async def restore_backup(settings: Settings, path: Path, *, replace: bool) -> str:
    """Put a backup in the place of the embedded database. Gives what is to be said.

    Raises SettingsError where the database is not ours, EmbeddedError or SetupError where it cannot be done.
    """
    _refuse_outside(settings, "restore it")
    manifest = await asyncio.to_thread(checked, path)
    server = await asyncio.to_thread(EmbeddedServer.start_alone, settings.state_directory)
    try:
        await restore(server, path, manifest, settings.key_ring(server.home), replace=replace)
    finally:
        await asyncio.to_thread(server.close, wait=True)
    moment, newest = f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC", head()
    upgraded = f", upgraded from {manifest.revision}" if manifest.revision != newest else ""
    return f"The database is that of {moment}: {_counts(manifest)}, at revision {newest}{upgraded}."


def _refuse_outside(settings: Settings, doing: str) -> None:
    if settings.database_url is not None:
        raise SettingsError(
            f"DATABASE_URL names a PostgreSQL that is not the embedded one: {doing} with its provider's tools, or with "
            "pg_dump and pg_restore."
        )


def _target(settings: Settings, path: Path | None, now: datetime) -> Path:
    name = f"steward-{now:%Y%m%d-%H%M%S}.zip"
    if path is None:
        return settings.state_directory / "backups" / name
    return path / name if path.is_dir() else path


def _shown(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _counts(manifest: Manifest) -> str:
    counted = [f"{manifest.rows.get(f'public.{name}', 0):,} {name}" for name in COUNTED]
    return f"{', '.join(counted[:-1])} and {counted[-1]}"


def _key(manifest: Manifest) -> str:
    if KEY in manifest.sums:
        return "The key of the personal fields is in it: whoever has the file reads everything."
    return "FIELD_KEY is not in it: keep it elsewhere, for without it nobody reads the personal fields."
