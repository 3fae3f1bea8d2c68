"""The command `rotate-field-key`: persons' keys under the newest key of the firm, and what is said in the end."""

from datetime import datetime
from typing import Final

from graph.place import database
from graph.settings import Settings
from persistence import rotation
from persistence.setup import migrate

LOST: Final = "name the key that opens them in FIELD_KEYS_OLD, and run this again."


async def rotate_field_key(settings: Settings, now: datetime) -> tuple[str, int]:
    """Seal every person's key with FIELD_KEY. Gives what is to be said, and the exit code.

    Raises SetupError where the database is out of reach.
    """
    async with database(settings) as place:
        await migrate(place.url)
        done = await rotation.rotate(place.url, settings.key_ring(place.home), now)
    said = f"{done.resealed:,} persons' keys were sealed anew with FIELD_KEY."
    if done.lost:
        return f"{said} {done.lost:,} could not be opened: {LOST}", 1
    return f"{said} Run this with --check before you take FIELD_KEYS_OLD away.", 0


async def check_field_key(settings: Settings) -> tuple[str, int]:
    """Whether FIELD_KEY alone opens every person's key. Gives what is to be said, and the exit code."""
    async with database(settings) as place:
        await migrate(place.url)
        found = await rotation.check(place.url, settings.key_ring(place.home))
    if found.others:
        return f"{found.others:,} of {found.keys:,} persons' keys need an older key: run steward rotate-field-key.", 1
    return (
        f"FIELD_KEY alone opens all {found.keys:,} persons' keys: nothing but backups from before needs an older one."
    ), 0
