"""Verifying the trail: every digest is made anew, here and not by the database, whose functions could be replaced too.

A row is digested as the migration's `audit_digest` does, a seal as its `seal_audit`; both are compared with what is
stored, and each seal with the one before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Integer, Text, any_, bindparam, exists, extract, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from domain.access import Viewer
from domain.audit import AuditFindingKind, Finding, Verified
from persistence.audit.tables import audit_events, audit_sealed, audit_seals, audit_unsealed
from persistence.metadata import MOMENT, UUIDS
from persistence.repository import Repository

# As many seals as are read at once, and rows after which a piece of the verification ends.
SEALS: Final = 20
ROWS: Final = 20_000
# Rows that are read and digested at once, before others have their turn.
PART: Final = 2_000
MOST_MISSING: Final = 100
# The sealer is late after that time: it works by the second.
LATE: Final = timedelta(minutes=5)
MOST_UNSEALED: Final = 1_000

_PARTS: Final = [
    "actor_id",
    "session_id",
    "request_id",
    "action",
    "object_type",
    "object_id",
    "before",
    "after",
    "reason",
    "client_id",
    "book_id",
    "user_id",
    "person_id",
]
SEALS_FROM: Final = (
    select(
        audit_seals.c.number,
        audit_seals.c.previous,
        audit_seals.c.digest,
        extract("epoch", audit_seals.c.sealed_at).cast(Text),
        audit_seals.c.event_ids,
    )
    .where(audit_seals.c.number >= bindparam("first", type_=BigInteger))
    .order_by(audit_seals.c.number)
    .limit(bindparam("most", type_=Integer))
)
# All casts are to text that no setting of the session changes.
_ROW: Final = [
    audit_events.c.id.label("event_id"),
    audit_events.c.id.cast(Text).label("id_text"),
    extract("epoch", audit_events.c.occurred_at).cast(Text).label("occurred_text"),
    *(audit_events.c[name].cast(Text).label(name) for name in _PARTS),
]
EVENTS: Final = select(*_ROW).where(audit_events.c.id == any_(bindparam("keys", type_=UUIDS)))
MEMBERS: Final = select(audit_sealed.c.event_id, audit_sealed.c.seal, audit_sealed.c.digest).where(
    audit_sealed.c.seal == any_(bindparam("numbers", type_=ARRAY(BigInteger)))
)
DIGESTS: Final = select(audit_seals.c.number, audit_seals.c.digest)
BEFORE: Final = select(audit_seals.c.digest).where(audit_seals.c.number == bindparam("number", type_=BigInteger))
STRAY: Final = (
    select(audit_sealed.c.event_id, audit_sealed.c.seal)
    .where(~exists().where(audit_seals.c.number == audit_sealed.c.seal))
    .order_by(audit_sealed.c.event_id)
    .limit(MOST_UNSEALED)
)
# No seal is made with such a number, so the chain does not lead to it, nor to what lies under it.
BEFORE_FIRST: Final = (
    select(audit_seals.c.number).where(audit_seals.c.number < 1).order_by(audit_seals.c.number).limit(MOST_UNSEALED)
)
UNDER_BEFORE_FIRST: Final = (
    select(audit_sealed.c.event_id, audit_sealed.c.seal)
    .where(audit_sealed.c.seal < 1)
    .order_by(audit_sealed.c.event_id)
    .limit(MOST_UNSEALED)
)
# Neither sealed nor waiting: nobody has written it as rows are written. Or it waits for too long.
UNSEALED: Final = (
    select(audit_events.c.id)
    .where(
        ~exists().where(audit_sealed.c.event_id == audit_events.c.id),
        or_(
            ~exists().where(audit_unsealed.c.event_id == audit_events.c.id),
            audit_events.c.occurred_at < bindparam("late", type_=MOMENT),
        ),
    )
    .order_by(audit_events.c.id)
    .limit(MOST_UNSEALED)
)
LOST: Final = (
    select(audit_unsealed.c.event_id)
    .where(~exists().where(audit_events.c.id == audit_unsealed.c.event_id))
    .order_by(audit_unsealed.c.event_id)
    .limit(MOST_UNSEALED)
)


class StoredSeal(msgspec.Struct, frozen=True):
    """A seal as it is stored; its moment as the text that its digest is of."""

    number: int
    previous: bytes
    digest: bytes
    sealed_at: str
    event_ids: list[UUID]


def _part(value: str | None) -> bytes:
    if value is None:
        return b"-"
    encoded = value.encode()
    return b"%d:%b" % (len(encoded), encoded)


def digest_of_row(row: Any) -> bytes:
    """The digest of a row of `EVENTS`."""
    parts = (row["id_text"], row["occurred_text"], *(row[name] for name in _PARTS))
    return sha256(b"audit row 1" + b"".join(map(_part, parts))).digest()


def digest_of_seal(seal: StoredSeal, digests: Mapping[UUID, bytes]) -> bytes:
    """The digest of a seal over the digests of its rows."""
    head = (str(seal.number), seal.previous.hex(), seal.sealed_at, str(len(digests)))
    rows = b"".join(event_id.bytes + digests[event_id] for event_id in sorted(digests))
    return sha256(b"audit seal 1" + b"".join(map(_part, head)) + rows).digest()


def _of_seal(seal: StoredSeal, stored: Mapping[UUID, bytes], rows: Mapping[UUID, bytes]) -> Iterator[Finding]:
    """What is wrong with a seal and its rows, given the digests that are stored of these and those they have now."""
    named = set(seal.event_ids)
    # In their order, and each once, as they were sealed.
    sound = seal.event_ids == sorted(stored) and digest_of_seal(seal, stored) == seal.digest
    # Where the rows still add up to the seal, what was altered is what is stored of them.
    rows_are_right = not sound and seal.event_ids == sorted(rows) and digest_of_seal(seal, rows) == seal.digest
    if not sound:
        yield Finding(AuditFindingKind.SEAL_ALTERED, seal.number)
    for event_id in sorted(named | stored.keys()):
        if event_id in named and event_id not in rows:
            yield Finding(AuditFindingKind.ROW_MISSING, seal.number, event_id)
        elif event_id not in stored or event_id not in named or (rows_are_right and stored[event_id] != rows[event_id]):
            yield Finding(AuditFindingKind.SEAL_ALTERED, seal.number, event_id)
        elif stored[event_id] != rows[event_id]:
            yield Finding(AuditFindingKind.ROW_ALTERED, seal.number, event_id)


def _parts_of(seals: Sequence[StoredSeal]) -> Iterator[list[StoredSeal]]:
    """Seals in parts of some thousand rows, at least one in each."""
    part: list[StoredSeal] = []
    for seal in seals:
        part.append(seal)
        if sum(len(each.event_ids) for each in part) >= PART:
            yield part
            part = []
    if part:
        yield part


class Place(msgspec.Struct, frozen=True):
    """Where in the chain a verification is: the number that comes next, and the digest before it, if that is known."""

    number: int
    previous: bytes | None


def _of_chain(seal: StoredSeal, place: Place) -> Iterator[Finding]:
    """What is wrong with a seal's place in the chain."""
    for missing in range(place.number, min(seal.number, place.number + MOST_MISSING)):
        yield Finding(AuditFindingKind.SEAL_MISSING, missing)
    if seal.number == place.number and place.previous not in {None, seal.previous}:
        yield Finding(AuditFindingKind.CHAIN_BROKEN, seal.number)


class Verification(Repository):
    """Reads the trail piece by piece and tells what is wrong with it, for whoever sees everything."""

    async def piece(self, viewer: Viewer, first: int, moment: datetime) -> Verified:
        """Verify the seals from a number on, some at once; after the last one also what has no seal."""
        place = Place(first, await self._digest_before(viewer, first))
        seals_checked = rows_checked = 0
        findings: list[Finding] = []
        while rows_checked < ROWS:
            seals = [StoredSeal(*row) for row in await self.rows(SEALS_FROM, viewer, first=place.number, most=SEALS)]
            for part in _parts_of(seals):
                findings += await self._checked(viewer, part, place)
                place = Place(part[-1].number + 1, part[-1].digest)
                seals_checked += len(part)
                rows_checked += sum(len(seal.event_ids) for seal in part)
            if len(seals) < SEALS:
                findings += await self._without_seal(viewer, moment)
                return Verified(first, place.number - 1, seals_checked, rows_checked, tuple(findings), None)
        return Verified(first, place.number - 1, seals_checked, rows_checked, tuple(findings), place.number)

    async def digests(self, viewer: Viewer) -> dict[int, bytes]:
        """The digests of all seals by their numbers, to be held against those of a log."""
        return {row[0]: row[1] for row in await self.rows(DIGESTS, viewer)}

    async def _digest_before(self, viewer: Viewer, number: int) -> bytes | None:
        """The digest of the seal before a number; of the first, nothing; none where that seal is missing."""
        if number <= 1:
            return b""
        rows = await self.rows(BEFORE, viewer, number=number - 1)
        return rows[0][0] if rows else None

    async def _checked(self, viewer: Viewer, seals: Sequence[StoredSeal], place: Place) -> list[Finding]:
        keys = [event_id for seal in seals for event_id in seal.event_ids]
        rows = {row["event_id"]: digest_of_row(row) for row in await self.rows(EVENTS, viewer, keys=keys)}
        stored: dict[int, dict[UUID, bytes]] = {seal.number: {} for seal in seals}
        for event_id, number, digest in await self.rows(MEMBERS, viewer, numbers=[seal.number for seal in seals]):
            stored[number][event_id] = digest
        findings: list[Finding] = []
        for seal in seals:
            own = {event_id: rows[event_id] for event_id in seal.event_ids if event_id in rows}
            findings += [*_of_chain(seal, place), *_of_seal(seal, stored[seal.number], own)]
            place = Place(seal.number + 1, seal.digest)
        return findings

    async def _without_seal(self, viewer: Viewer, moment: datetime) -> list[Finding]:
        before = await self.rows(BEFORE_FIRST, viewer)
        under = await self.rows(UNDER_BEFORE_FIRST, viewer)
        stray = await self.rows(STRAY, viewer)
        unsealed = await self.rows(UNSEALED, viewer, late=moment - LATE)
        lost = await self.rows(LOST, viewer)
        return [
            *(Finding(AuditFindingKind.SEAL_ALTERED, row[0]) for row in before),
            *(Finding(AuditFindingKind.SEAL_ALTERED, row[1], row[0]) for row in under),
            *(Finding(AuditFindingKind.SEAL_MISSING, row[1], row[0]) for row in stray),
            *(Finding(AuditFindingKind.ROW_UNSEALED, None, row[0]) for row in unsealed),
            *(Finding(AuditFindingKind.ROW_MISSING, None, row[0]) for row in lost),
        ]
