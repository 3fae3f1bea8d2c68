"""How valuations find prices and holdings, as the application's role and under the policies."""

import re
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.access import Viewer
from domain.valuation import Owner
from persistence.instruments import LAST_PRICES
from persistence.positions import SETTLED
from persistence.sql import Statement, compile_statement
from persistence.valuation import CLOSES, DAILY_CLOSES, ENTRIES, HOLDINGS, RATES
from tests.factories import ledger
from tests.support.stage import Stage

TODAY = date(2026, 1, 5)
DAY = timedelta(days=1)
FILL = (
    """
    insert into instruments select gen_random_uuid(), 'S' || n, 'I' || n, 'n', 'n', 'EQUITY', 's', 'XNSE', 'INR', 1,
        'ACTIVE', 'SHARE', 0.05, 'HIGH' from generate_series(1, 100) n
    """,
    """
    insert into prices select i.id, date '2026-01-05' - day, 100 + day
        from instruments i, generate_series(0, 399) day where i.symbol like 'S%'
    """,
    """
    insert into fx_rates select code, date '2026-01-05' - day, 0.01
        from unnest(array['INR', 'EUR', 'GBP', 'SGD']) code, generate_series(0, 1999) day
    """,
    """
    insert into portfolios select gen_random_uuid(), c.id, c.book_id, 'p', 'p', 'ACC-7' || n || row_number() over (),
        'INR', null, '2024-01-01', 'OPEN', 1 from clients c, generate_series(1, 10) n
    """,
    """
    insert into positions select gen_random_uuid(), p.id, p.client_id, p.book_id, i.id, i.symbol, 1, 1, 0, 0, 'INR', 1
        from portfolios p, instruments i where i.symbol like 'S1%'
    """,
    """
    insert into cash_balances select gen_random_uuid(), p.id, p.client_id, p.book_id, 'INR', 1, 1 from portfolios p
    """,
    """
    insert into transactions select gen_random_uuid(), p.id, p.client_id, p.book_id, 'BUY', i.id, 1, 1, -1, 'INR',
        0, 0, 0, 0, null, null, null, null, '2025-01-01', '2025-01-02', now(), t.recorded_by, null, null, null
        from portfolios p, instruments i, transactions t where i.symbol like 'S1%'
    """,
    "analyze",
)


class Firm(msgspec.Struct, frozen=True):
    """A firm large enough that indexes pay: an advisor of half of it, and ids to ask for."""

    stage: Stage
    viewer: Viewer
    instruments: list[UUID]
    portfolios: list[UUID]
    clients: list[UUID]

    async def plan(self, statement: Statement, **values: Any) -> str:
        """How the statement runs as the viewer, in the application's role."""
        async with self.stage.services.doors.database.lend(self.viewer) as lent:
            explained = Statement(f"explain (costs off) {statement.text}", statement.names, statement.literals)
            rows = await lent.rows(explained, values)
        return "\n".join(row[0] for row in rows)


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> Firm:
    make = stage.make
    advisor = await make.advisor(clients=40)
    other = await make.advisor(clients=40)
    assert advisor.book
    client = await make.client(advisor.book)
    await ledger.deposit(make, await make.portfolio(client), other.user)
    for statement in FILL:
        await stage.owner.execute(statement)
    rows = await stage.owner.fetch("select id, client_id from portfolios where client_id = $1 limit 5", client.id)
    held = await stage.owner.fetch("select id from instruments limit 40")
    return Firm(
        stage,
        await make.viewer(advisor),
        [row["id"] for row in held],
        [row["id"] for row in rows],
        [client.id],
    )


async def test_prices_are_found_by_their_primary_key(firm: Firm) -> None:
    spans = {"keys": firm.instruments, "day": TODAY, "days": [TODAY], "first": TODAY - 30 * DAY, "last": TODAY}
    for select in (LAST_PRICES, CLOSES, DAILY_CLOSES):
        plan = await firm.plan(compile_statement(select), **spans)
        assert "Seq Scan on prices" not in plan
        # The policy leaves the comparison of days to the index: one step back from the day, whatever the history.
        assert re.search(r"prices_pkey.*\n\s*Index Cond: .*instrument_id.*priced_on <= ", plan)


async def test_rates_are_found_by_their_primary_key(firm: Firm) -> None:
    plan = await firm.plan(compile_statement(RATES), codes=["INR", "EUR"], days=[TODAY])
    assert re.search(r"fx_rates_pkey.*\n\s*Index Cond: .*currency.*quoted_on <= ", plan)


@pytest.mark.parametrize("owner", [Owner.PORTFOLIO, Owner.CLIENT])
async def test_holdings_are_found_by_their_owner_alone(firm: Firm, owner: Owner) -> None:
    keys = firm.portfolios if owner is Owner.PORTFOLIO else firm.clients
    for statement in (HOLDINGS[owner], ENTRIES[owner], SETTLED):
        plan = await firm.plan(compile_statement(statement), keys=keys, as_of=TODAY, day=TODAY)
        assert "Seq Scan" not in plan
        # With a predicate on books, the planner would read the books' whole index beside that of the owners.
        assert "book_id" not in "".join(re.findall("Index Cond: .*", plan))


@pytest.mark.parametrize("owner", [Owner.PORTFOLIO, Owner.CLIENT])
async def test_what_lies_ahead_is_found_without_reading_ledgers(firm: Firm, owner: Owner) -> None:
    keys = firm.portfolios if owner is Owner.PORTFOLIO else firm.clients
    plan = await firm.plan(compile_statement(HOLDINGS[owner]), keys=keys, as_of=TODAY)
    assert re.search(r"Index Cond: .*traded_on > ", plan), plan
