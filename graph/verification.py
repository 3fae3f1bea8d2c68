"""The command `verify-audit`: the whole audit trail, and the log beside it, and what is said in the end."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from domain.access import SYSTEM
from domain.audit import LOGGED, AuditFindingKind, Finding, held_against
from graph.ids import encode
from graph.place import database
from graph.settings import Settings, SettingsError
from persistence.audit import Verification, seal
from persistence.database import Database, Lent
from persistence.setup import migrate

SAID: Final = {
    AuditFindingKind.ROW_ALTERED: "was altered after it was sealed",
    AuditFindingKind.ROW_MISSING: "is missing",
    AuditFindingKind.ROW_UNSEALED: "was never sealed",
    AuditFindingKind.SEAL_ALTERED: "was altered",
    AuditFindingKind.SEAL_MISSING: "is missing",
    AuditFindingKind.CHAIN_BROKEN: "does not go on from the seal before it",
    AuditFindingKind.SEAL_CUT: "stands in the log and is missing",
    AuditFindingKind.SEAL_REPLACED: "is another one than stands in the log",
}


async def verify_audit(settings: Settings, logs: Sequence[Path], now: datetime) -> tuple[str, int]:
    """Verify all of the trail, against logs too if there are any. Gives what is to be said, and the exit code.

    Raises SettingsError for a log that cannot be read, SetupError where the database is out of reach.
    """
    lines = [line for path in logs for line in _lines(path)]
    async with database(settings) as place:
        await migrate(place.url)
        opened = await Database.open(place.url, size=2)
        try:
            # What a server that was stopped has left waiting is sealed first, so that only what is amiss shows.
            made = await seal(opened, now)
            async with opened.lend(SYSTEM) as lent:
                said, code = await _verified(lent, lines, now, with_log=bool(logs))
        finally:
            await opened.close()
    # In no log, so it is said here.
    return "\n".join([*(f"seal {each.number} {each.digest.hex()} of {each.events} rows" for each in made), said]), code


async def _verified(lent: Lent, lines: Sequence[str], now: datetime, *, with_log: bool) -> tuple[str, int]:
    verification = Verification(lent)
    seals = events = 0
    findings: list[Finding] = []
    first: int | None = 1
    while first is not None:
        piece = await verification.piece(SYSTEM, first, now)
        findings += piece.findings
        seals, events, first = seals + piece.seals, events + piece.events, piece.next_seal
    findings += held_against(lines, await verification.digests(SYSTEM))
    beside = " and the log" if with_log else ""
    if findings:
        said = [_said(finding) for finding in dict.fromkeys(findings)]
        return "\n".join([f"The audit trail is not as it was sealed: {len(said):,} findings.", *said]), 1
    return f"The audit trail is as it was sealed: {events:,} rows under {seals:,} seals{beside}.", 0


def _said(finding: Finding) -> str:
    what = f"Row {encode('audit', finding.event_id)}" if finding.event_id else f"Seal {finding.seal}"
    under = f" (seal {finding.seal})" if finding.event_id and finding.seal is not None else ""
    return f"{what}{under} {SAID[finding.kind]}."


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (line for line in file if LOGGED.search(line))
    except OSError as error:
        raise SettingsError(f"The log {path} cannot be read: {error.strerror}.") from error
