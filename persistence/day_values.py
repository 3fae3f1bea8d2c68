"""The stored values of days, which the value series of a portfolio is read from."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Date, Delete, ForeignKey, Index, Numeric, Select, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from domain.access import Viewer
from domain.valuation.days import DayValue
from persistence.metadata import UUIDS, table, unnested
from persistence.portfolios import portfolios
from persistence.positions import positions
from persistence.repository import Repository
from persistence.scope import through
from persistence.sql import Statement, compile_statement

day_values = table(
    "day_values",
    # Never listed alone: a series is read by the ids of portfolios that were read under scope. Their book in each of a
    # thousand rows would make the move of a client a rewriting of years; and the planner asks the portfolio for each
    # row where they are few, and gathers the portfolios once where they are many.
    through("portfolios", "portfolio_id"),
    Column("portfolio_id", Uuid, ForeignKey("portfolios.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    # With the places of an amount, and no bound: what units, price and rate may be, their product may exceed.
    Column("value", Numeric),
    # What is forgotten from a day on is forgotten of all portfolios.
    Index(None, "day"),
)

# Any number that no other advisory lock has: those before it are of set-up, the workers' election, seals and erasures.
QUOTES_LOCK: Final = 7_839_277

SINCE: Final = day_values.c.day >= bindparam("since", type_=Date)


def _forgetting(statement: Delete) -> Select[Any]:
    """How many rows it has removed, and not the rows."""
    gone = statement.returning(day_values.c.portfolio_id).cte("gone")
    return select(func.count()).select_from(gone)


def _adding() -> Statement:
    names = DayValue.__struct_fields__
    arrays = (bindparam(name, type_=ARRAY(day_values.c[name].type)) for name in names)
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    return compile_statement(day_values.insert().from_select(names, select(*(rows.c[name] for name in names))))


def _reached() -> Select[Any]:
    keys = unnested("keys", UUIDS)
    last = select(func.max(day_values.c.day)).where(day_values.c.portfolio_id == keys.c.value).scalar_subquery()
    return select(keys.c.value, last)


HOLDERS: Final = select(positions.c.portfolio_id).where(
    positions.c.instrument_id == any_(bindparam("keys", type_=UUIDS))
)
FORGET: Final = _forgetting(
    delete(day_values).where(day_values.c.portfolio_id == bindparam("portfolio_id", type_=Uuid), SINCE)
)
FORGET_HELD: Final = _forgetting(delete(day_values).where(day_values.c.portfolio_id.in_(HOLDERS), SINCE))
FORGET_ALL: Final = _forgetting(delete(day_values).where(SINCE))
ADD: Final = _adding()
REACHED: Final = _reached()
LACKING: Final = (
    select(portfolios.c.id)
    .where(
        ~select(day_values.c.portfolio_id)
        .where(portfolios.c.id == day_values.c.portfolio_id, day_values.c.day == bindparam("day", type_=Date))
        .exists()
    )
    .order_by(portfolios.c.id)
)
HOLD: Final = (
    select(portfolios.c.id)
    .where(portfolios.c.id == any_(bindparam("keys", type_=UUIDS)))
    .order_by(portfolios.c.id)
    .with_for_update(key_share=True, of=portfolios)
)
QUOTES_STAND: Final = select(func.pg_advisory_xact_lock_shared(QUOTES_LOCK))
QUOTES_CHANGE: Final = select(func.pg_advisory_xact_lock(QUOTES_LOCK))


class DayValues(Repository):
    """The stored values of days, as far as the viewer sees their portfolio."""

    async def forget(self, portfolio_id: UUID, since: date) -> bool:
        """Remove what is stored of a portfolio from a day on, and tell whether there was any; its lock is held."""
        return await self._forget(FORGET, {"portfolio_id": portfolio_id, "since": since})

    async def forget_holders(self, instrument_ids: Sequence[UUID], since: date) -> bool:
        """The same of all portfolios that have, or have had, one of these instruments."""
        await self.lent.rows(QUOTES_CHANGE, {})
        return await self._forget(FORGET_HELD, {"keys": instrument_ids, "since": since})

    async def forget_all(self, since: date) -> bool:
        """The same of every portfolio."""
        await self.lent.rows(QUOTES_CHANGE, {})
        return await self._forget(FORGET_ALL, {"since": since})

    async def _forget(self, statement: Select[Any], values: Mapping[str, Any]) -> bool:
        return bool((await self.lent.rows(statement, values))[0][0])

    async def lacking(self, viewer: Viewer, day: date) -> list[UUID]:
        """The portfolios whose value of a day is not stored."""
        return [row[0] for row in await self.rows(LACKING, viewer, day=day)]

    async def hold(self, viewer: Viewer, portfolio_ids: Sequence[UUID]) -> None:
        """Keep quotes and the ledgers of these portfolios from changing until the end of the transaction.

        Statements after this one see all changes that were before it.
        """
        # Quotes first: whoever changes them asks for no portfolio's lock afterwards.
        await self.lent.rows(QUOTES_STAND, {})
        await self.rows(HOLD, viewer, keys=portfolio_ids)

    async def reached(self, portfolio_ids: Sequence[UUID]) -> dict[UUID, date | None]:
        """The last day that is stored of each of these portfolios."""
        return dict(await self.lent.rows(REACHED, {"keys": portfolio_ids}))  # type: ignore[arg-type] # records are pairs

    async def add(self, values: Sequence[DayValue]) -> None:
        """Store values that are not stored yet."""
        names = DayValue.__struct_fields__
        columns: dict[str, list[UUID | date | Decimal | None]] = {
            name: [getattr(value, name) for value in values] for name in names
        }
        await self.lent.rows(ADD, columns)
