"""The audit trail as the tests look at it, seal it and tamper with it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg import Connection, Record

from domain.access import SYSTEM, Viewer
from domain.audit import AuditFindingKind, Finding, Trace, Verified, note
from graph.context import Services
from persistence.audit import Verification, seal
from persistence.database import driver_arguments


@asynccontextmanager
async def superuser(url: str) -> AsyncIterator["Connection[Record]"]:
    """Somebody whom nothing in the database holds back: no policy, no grant, and no trigger."""
    connection = await asyncpg.connect(**driver_arguments(url))
    await connection.execute("set session_replication_role = replica")
    yield connection
    await connection.close()


async def verified(services: Services, first: int = 1, ahead: timedelta = timedelta(0)) -> Verified:
    """A piece of the trail, verified some time from now."""
    return await services.doors.read(SYSTEM, Verification.piece, SYSTEM, first, datetime.now(UTC) + ahead)


async def findings(services: Services, ahead: timedelta = timedelta(0)) -> list[Finding]:
    """What is wrong with the trail."""
    return list((await verified(services, ahead=ahead)).findings)


async def found(services: Services) -> set[tuple[AuditFindingKind, int | None, UUID | None]]:
    """The same, as plain values."""
    return {(each.kind, each.seal, each.event_id) for each in await findings(services)}


async def told(services: Services, count: int = 1, viewer: Viewer = SYSTEM) -> None:
    """Write so many rows, each in a transaction of its own."""
    for number in range(count):
        trace = Trace("tests.told", "Nothing", facts={"number": number, "word": 'Ü\u2028\t"x"', "amount": "1.50"})
        await services.doors.write(viewer, f"request {number}", note, viewer, trace)


async def sealed(services: Services, seals: int = 1, rows: int = 1) -> list[int]:
    """Write and seal so many rows under each of some seals; gives the seals' numbers."""
    numbers = []
    for _ in range(seals):
        await told(services, rows)
        numbers += [each.number for each in await seal(services.doors.database, datetime.now(UTC))]
    return numbers


async def ids_under(connection: "Connection[Record]", number: int) -> Sequence[UUID]:
    """The rows under a seal."""
    rows: Any = await connection.fetchval("select event_ids from audit_seals where number = $1", number)
    return list(rows)
