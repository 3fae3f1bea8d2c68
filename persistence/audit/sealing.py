"""The sealer: what is committed in the trail is chained by hash, in batches of about a second.

It runs beside every server and worker, and one of them at a time seals; whoever writes never waits for it.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Integer, bindparam, func, select

from domain.clock import Clock
from domain.errors import Fault
from persistence.database import Database
from persistence.metadata import MOMENT

log = logging.getLogger("steward.audit")

PAUSE: Final = 1.0
# As many rows as one seal takes: more wait for the next, which follows at once.
MOST: Final = 2_000
LAST_WORDS: Final = 2.0
# A vetted function of the migration, for the server may write none of these rows itself.
SEAL: Final = select(
    func.seal_audit(bindparam("moment", type_=MOMENT), bindparam("most", type_=Integer)).table_valued(
        "made", "hash", "events"
    )
)


class Sealed(msgspec.Struct, frozen=True):
    """A seal that was made: its number, its digest, and how many rows it is of."""

    number: int
    digest: bytes
    events: int


async def seal(database: Database, moment: datetime, most: int = MOST) -> Sequence[Sealed]:
    """Seal all that waits, and log each seal, so that a trail whose end is cut off shows; raises Unavailable."""
    made: list[Sealed] = []
    while not made or made[-1].events == most:
        async with database.lend(None) as lent:
            rows = await lent.rows(SEAL, {"moment": moment, "most": most})
        if not rows:
            break
        sealed = Sealed(*rows[0])
        # `verify-audit --from-log` reads this line.
        log.info("seal %d %s of %d rows", sealed.number, sealed.digest.hex(), sealed.events)
        made.append(sealed)
    return made


async def keep_sealing(database: Database, clock: Clock) -> None:
    """Seal by the second, until cancelled, and once more then."""
    try:
        while True:
            await _attempt(database, clock)
            await asyncio.sleep(PAUSE)
    finally:
        async with asyncio.timeout(LAST_WORDS):
            await _attempt(database, clock)


async def _attempt(database: Database, clock: Clock) -> None:
    try:
        await seal(database, clock())
    except Fault as error:
        log.warning("nothing could be sealed: %s", error)
    except Exception:
        # Whatever it is, the next second may do better; what waits stays in the queue.
        log.exception("nothing could be sealed")
