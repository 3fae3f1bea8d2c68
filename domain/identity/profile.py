"""What users say of themselves, and what they prefer."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from domain.access import Action, Viewer, require
from domain.identity.accounts import UserPreferences
from domain.identity.entities import User
from domain.identity.users import check_locale, check_zone
from domain.text import fold, invalid, named
from domain.work import Work

LARGEST_PREFERENCES: Final = 16 * 1024
DEEPEST_PREFERENCES: Final = 16
LONGEST_ADDRESS: Final = 2000
_PRINTABLE: Final = re.compile(r"[!-~]+")


class ProfileChange(msgspec.Struct, frozen=True):
    """What changes a user's own profile; what is left out stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    picture_url: str | msgspec.UnsetType | None = msgspec.UNSET
    locale: str | msgspec.UnsetType = msgspec.UNSET
    time_zone: str | msgspec.UnsetType = msgspec.UNSET
    preferences: Any = msgspec.UNSET


async def update_profile(work: Work, viewer: Viewer, change: ProfileChange) -> User:
    """Change the viewer's own profile. Refuses: INVALID_VALUE."""
    require(viewer, Action.MANAGE_ACCOUNT)
    before = await work.accounts.locked(viewer.user_id)
    changed = await _checked(work, change)
    if change.preferences is not msgspec.UNSET:
        text = check_preferences(change.preferences)
        await work.accounts.set_preferences(viewer, UserPreferences(viewer.user_id, text, work.now))
    if not changed:
        return before
    return await work.accounts.replace(before, msgspec.structs.replace(before, **changed, version=before.version + 1))


async def _checked(work: Work, change: ProfileChange) -> dict[str, Any]:
    """The fields of a user that change."""
    changed: dict[str, Any] = {}
    if change.name is not msgspec.UNSET:
        name = named(change.name, "name")
        changed |= {"name": name, "sort_name": fold(name)}
    if change.picture_url is not msgspec.UNSET:
        changed["picture_url"] = check_picture(change.picture_url)
    if change.locale is not msgspec.UNSET:
        changed["locale"] = check_locale(change.locale)
    if change.time_zone is not msgspec.UNSET:
        changed["time_zone"] = await check_zone(work, change.time_zone)
    return changed


def check_picture(url: str | None) -> str | None:
    """Where a picture can be loaded, or none. Refuses: INVALID_VALUE."""
    if url is None or not url.strip():
        return None
    picture = url.strip()
    try:
        parts = urlsplit(picture)
        is_good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_good = False
    if not is_good or len(picture) > LONGEST_ADDRESS or not _PRINTABLE.fullmatch(picture):
        raise invalid("pictureUrl", "A picture has an address such as https://example.com/me.jpg.")
    return picture


def check_preferences(value: object) -> str:
    """Preferences as they are stored. Refuses: INVALID_VALUE."""
    if not isinstance(value, dict):
        raise invalid("preferences", "Preferences are an object.")
    if _depth(value) > DEEPEST_PREFERENCES:
        raise invalid("preferences", f"Preferences are nested at most {DEEPEST_PREFERENCES} deep.")
    try:
        text = msgspec.json.encode(value)
    except (OverflowError, TypeError, ValueError) as error:
        raise invalid("preferences", "These preferences hold what cannot be stored.") from error
    if len(text) > LARGEST_PREFERENCES:
        raise invalid("preferences", f"Preferences take at most {LARGEST_PREFERENCES} bytes of JSON.")
    return text.decode()


def _depth(value: object, sofar: int = 0) -> int:
    """How deep a value is nested, counted no further than it may be."""
    if sofar > DEEPEST_PREFERENCES or not isinstance(value, dict | list):
        return sofar
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(each, sofar + 1) for each in inner), default=sofar + 1)
