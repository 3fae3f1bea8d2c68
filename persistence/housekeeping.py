"""What is kept for a time only is forgotten by the hour: old events, idempotency keys, refresh tokens, done jobs."""

import asyncio
import logging
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, func, select

from domain.clock import Clock
from domain.errors import Fault
from persistence.database import Database
from persistence.jobs import FORGET as FORGET_JOBS
from persistence.metadata import MOMENT
from persistence.rates import FORGET as FORGET_WINDOWS

log = logging.getLogger("steward.housekeeping")

HOUR: Final = 3600.0
# A vetted function of the migration, for the server may delete none of these rows itself.
FORGET: Final = select(func.forget_expired(bindparam("moment", type_=MOMENT)))
FORGET_LINKS: Final = select(func.forget_links(bindparam("moment", type_=MOMENT)))
FORGET_SIGN_INS: Final = select(func.forget_sign_ins(bindparam("moment", type_=MOMENT)))
FORGET_PARTICIPANTS: Final = select(func.forget_participants())
FORGET_FLOWS: Final = select(func.forget_provider_flows(bindparam("moment", type_=MOMENT)))


async def forget(database: Database, moment: datetime) -> None:
    """Forget what has expired by a moment; raises Unavailable."""
    async with database.lend(None) as lent:
        await lent.rows(FORGET, {"moment": moment})
        # After the events, which say how long they are wanted.
        await lent.rows(FORGET_PARTICIPANTS, {})
        await lent.rows(FORGET_LINKS, {"moment": moment})
        await lent.rows(FORGET_SIGN_INS, {"moment": moment})
        await lent.rows(FORGET_FLOWS, {"moment": moment})
        await lent.rows(FORGET_JOBS, {"moment": moment})
        await lent.rows(FORGET_WINDOWS, {"moment": moment})


async def keep_house(database: Database, clock: Clock) -> None:
    """Forget by the hour, until cancelled; an hour in which the database is gone is left out."""
    while True:
        try:
            await forget(database, clock())
        except Fault as error:
            log.warning("nothing was forgotten this hour: %s", error)
        await asyncio.sleep(HOUR)
