"""The audit trail: what it tells beside the changes of rows, which it finds by itself, and how it is read."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from domain.entities import Entity

if TYPE_CHECKING:
    from domain.access import Viewer
    from domain.work import Work

# Marks what is encrypted for a person, in the values and the reasons of the trail.
SEALED: Final = "sealed"


class Trace(msgspec.Struct, frozen=True):
    """Something that changed no row: a sign-in that was tried, a tax id that was read.

    `facts` stand in the trail as they are; `personal` is encrypted for the person `person_id`, or left out where no
    such person is known. `client_id`, `book_id` and `user_id` say whose history it belongs to. `reason` overrides the
    transaction's.
    """

    action: str
    object_type: str
    object_id: UUID | None = None
    facts: Mapping[str, Any] = {}
    personal: Mapping[str, Any] = {}
    person_id: UUID | None = None
    client_id: UUID | None = None
    book_id: UUID | None = None
    user_id: UUID | None = None
    reason: str | None = None


class AuditEvent(Entity, frozen=True):
    """A row of the trail, its personal fields as they are stored: encrypted for `person_id`.

    `before` and `after` are JSON; a trace has its facts in `after`.
    """

    id: UUID
    occurred_at: datetime
    actor_id: UUID | None
    session_id: UUID | None
    request_id: str
    action: str
    object_type: str
    object_id: UUID | None
    before: str | None
    after: str | None
    reason: str | None
    client_id: UUID | None
    book_id: UUID | None
    user_id: UUID | None
    person_id: UUID | None


class AuditEventFilter(msgspec.Struct, frozen=True):
    """Which events a list holds."""

    actor_id: UUID | None = None
    object_id: UUID | None = None
    client_id: UUID | None = None
    actions: tuple[str, ...] | None = None
    occurred_from: datetime | None = None
    occurred_before: datetime | None = None
    request_id: str | None = None


class AuditFindingKind(StrEnum):
    """What is wrong with the audit trail.

    ROW_ALTERED: A sealed row is not what was sealed.
    ROW_MISSING: A row that was sealed, or waited for its seal, is gone.
    ROW_UNSEALED: A row has no seal though it is old, or was never put in line for one.
    SEAL_ALTERED: A seal, or what is stored of the rows under it, is not what was sealed.
    SEAL_MISSING: A seal is gone.
    CHAIN_BROKEN: A seal does not go on from the one before it.
    SEAL_CUT: The log tells of a seal that the trail does not have.
    SEAL_REPLACED: The log tells of a seal with this number and another digest.
    """

    ROW_ALTERED = "ROW_ALTERED"
    ROW_MISSING = "ROW_MISSING"
    ROW_UNSEALED = "ROW_UNSEALED"
    SEAL_ALTERED = "SEAL_ALTERED"
    SEAL_MISSING = "SEAL_MISSING"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    SEAL_CUT = "SEAL_CUT"
    SEAL_REPLACED = "SEAL_REPLACED"


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong with the trail: with a seal, by its number, or with a row under it."""

    kind: AuditFindingKind
    seal: int | None
    event_id: UUID | None = None


class Verified(msgspec.Struct, frozen=True):
    """A piece of the trail that was verified: its seals, and the next one, if there are more."""

    first_seal: int
    last_seal: int
    seals: int
    events: int
    findings: tuple[Finding, ...]
    next_seal: int | None


# As the sealer writes it, in whatever form the rest of the line is.
LOGGED: Final = re.compile(r"\bseal (\d{1,18}) ([0-9a-f]{64}) of \d+ rows")


def held_against(lines: Iterable[str], digests: Mapping[int, bytes]) -> list[Finding]:
    """What is wrong with the seals that a log tells of, given the digests of those that there are."""
    found: dict[Finding, None] = {}
    for line in lines:
        for match in LOGGED.finditer(line):
            number, digest = int(match[1]), bytes.fromhex(match[2])
            if number not in digests:
                found[Finding(AuditFindingKind.SEAL_CUT, number)] = None
            elif digests[number] != digest:
                found[Finding(AuditFindingKind.SEAL_REPLACED, number)] = None
    return list(found)


class AuditSeal(Entity, frozen=True):
    """The seal that an event lies under."""

    event_id: UUID
    number: int
    digest: bytes
    sealed_at: datetime


class FieldChange(msgspec.Struct, frozen=True):
    """A field that an event tells of, as it was and as it is: text, a number or other values as JSON.

    `erased` says that it was personal and its person's key is gone, `secret` that the trail does not hold it.
    """

    name: str
    before: str | None
    after: str | None
    personal: bool = False
    erased: bool = False
    secret: bool = False


class Opened(msgspec.Struct, frozen=True):
    """What an event tells, its personal fields opened, and why it was done if that was said."""

    event_id: UUID
    reason: str | None
    fields: tuple[FieldChange, ...]


Open = Callable[[UUID | None, bytes], bytes | None]
# Told by another field already.
DERIVED: Final = frozenset({"sort_name"})


def opened(event: AuditEvent, open_: Open) -> Opened:
    """What an event tells; `open_` decrypts for a person, or gives none where the key is gone."""
    before, after = (msgspec.json.decode(text) if text else {} for text in (event.before, event.after))
    names = dict.fromkeys([*after, *before])
    changes = (
        _changed(name, before.get(name), after.get(name), lambda sealed: open_(event.person_id, sealed))
        for name in names
        if name not in DERIVED
    )
    return Opened(event.id, _reason(event, open_), tuple(change for change in changes if change))


def _reason(event: AuditEvent, open_: Open) -> str | None:
    marked, _, text = (event.reason or "").partition(":")
    if marked != SEALED:
        return event.reason
    try:
        found = open_(event.person_id, b64decode(text, validate=True))
    except ValueError:
        # Words that begin as the mark does, of somebody who is nobody's person.
        return event.reason
    return found.decode() if found is not None else None


def _changed(name: str, before: Any, after: Any, open_: Callable[[bytes], bytes | None]) -> FieldChange | None:
    if before == after:
        return None
    sides = [side for side in (before, after) if isinstance(side, dict)]
    if any(side.get("secret") is True for side in sides):
        return FieldChange(name, None, None, secret=True)
    personal = any(SEALED in side or "erased" in side for side in sides)
    was, now = _side(before, open_), _side(after, open_)
    if was is _GONE or now is _GONE:
        return FieldChange(name, _text(was), _text(now), personal=True, erased=True)
    return FieldChange(name, _text(was), _text(now), personal=personal) if was != now else None


_GONE: Final = object()


def _side(value: Any, open_: Callable[[bytes], bytes | None]) -> Any:
    """A value in clear, or the mark of one whose key is gone."""
    if isinstance(value, dict) and value.get("erased") is True:
        return _GONE
    if not (isinstance(value, dict) and isinstance(value.get(SEALED), str)):
        return value
    found = open_(b64decode(value[SEALED]))
    return _GONE if found is None else msgspec.json.decode(found)


def _text(value: Any) -> str | None:
    if value is None or value is _GONE:
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def note(work: "Work", viewer: "Viewer", trace: Trace) -> None:  # noqa: ARG001 - a verb's signature
    """Have the trail tell of a reading."""
    work.trace(trace)
