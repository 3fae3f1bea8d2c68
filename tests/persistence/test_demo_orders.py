"""The demo's orders in the database: covered, known to the paper broker, in the event log, and ready to be worked."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from domain.access import SYSTEM
from domain.orders import execution
from graph.demo_firm import DEMO_PASSWORD
from graph.settings import Settings
from migrations import versions
from persistence import demo
from persistence.embedded import EmbeddedServer
from tests.support.gql import Gql
from tests.support.stage import Stage, staged
from tests.support.worker import drained

SIGN_IN: Final = """mutation ($input: SignInInput!) {
    signIn(input: $input) { session { accessToken } userErrors { code } }
}"""
AWAITING: Final = """{ ordersAwaitingApproval { totalCount nodes {
    id version side quantity notional { amount } placedBy { email } instrument { symbol kind }
} } }"""
ORDER: Final = """query ($id: ID!) { node(id: $id) { ... on Order {
    status filledQuantity reservedCash { amount } fills { transaction { id quantity } }
} } }"""
# Everything of an order but when it was last asked about.
KEPT: Final = "select to_jsonb(o) - 'checked_at' as kept from orders o order by id"
SCRIPT: Final = Path(versions.__path__[0], "0004_orders.up.sql").read_text(encoding="utf-8")


@pytest.fixture
async def firm(settings: Settings, database_url: str, cluster: EmbeddedServer) -> AsyncIterator[Stage]:
    """A demo firm of 40 clients that was made just now, with the application on it."""
    home = Path(cluster.home)
    async with staged(settings, database_url, home) as stage:
        await demo.load(
            database_url,
            clients=40,
            field_key=settings.field_key_bytes(home),
            passwords=stage.services.passwords,
            now=datetime.now(UTC),
            password=DEMO_PASSWORD,
        )
        yield stage


async def signed_in(stage: Stage, name: str) -> Gql:
    given = {"email": f"{name}@steward.example", "password": DEMO_PASSWORD}
    answer = await stage.gql.run(SIGN_IN, input=given)
    return Gql(stage.gql.client, stage.services, answer["signIn"]["session"]["accessToken"])


async def kept(stage: Stage) -> list[str]:
    return [row["kept"] for row in await stage.owner.fetch(KEPT)]


async def test_what_is_stored_hangs_together(firm: Stage) -> None:
    fetch = firm.owner.fetchval
    assert await fetch("select count(distinct status) from orders") == 8
    assert not await fetch(
        """select count(*) from (
            select portfolio_id, currency, sum(reserved_cash) as reserved from orders group by 1, 2
        ) r left join cash_balances c using (portfolio_id, currency) where reserved > coalesce(c.amount, 0)"""
    )
    assert not await fetch(
        """select count(*) from (
            select portfolio_id, instrument_id, sum(reserved_quantity) as reserved from orders group by 1, 2
        ) r left join positions p using (portfolio_id, instrument_id) where reserved > coalesce(p.quantity, 0)"""
    )
    # The broker knows each order that works, by the same terms and with the same fills.
    differing = """
        select count(*) from (select * from orders where status in ('SUBMITTED', 'PARTIALLY_FILLED')) o
        full join paper_orders p using (id)
        where (o.side, o.sent_revision, o.trades_on) is distinct from (p.side, p.revision, p.trades_on)
            or p.status <> 'WORKING'
            or (o.quantity, o.amount, o.limit_price) is distinct from (p.quantity, p.amount, p.limit_price)
            or o.filled_quantity <> coalesce((select sum(quantity) from paper_fills where order_id = o.id), 0)
    """
    assert not await fetch(differing)
    assert await fetch("select count(*) from paper_orders where amount is not null") > 0
    assert await fetch("select count(*) from paper_fills") > 0
    assert not await fetch(
        """select count(*) from paper_fills p left join order_fills f
            on f.broker_fill_id = 'PAPER-' || replace(p.order_id::text, '-', '') || '-' || p.number
            and (f.order_id, f.quantity, f.price, f.filled_at) = (p.order_id, p.quantity, p.price, p.filled_at)
            left join transactions t on t.id = f.transaction_id and t.traded_on = p.traded_on where t.id is null"""
    )


async def test_the_log_has_what_was_told_of_the_last_month_without_gaps(firm: Stage) -> None:
    streams: dict[str, list[Any]] = {}
    for row in await firm.owner.fetch("select * from events where stream like 'orders:%' order by stream, seq"):
        streams.setdefault(row["stream"], []).append(row)
    counted = await firm.owner.fetch("select stream, last from event_streams where stream like 'orders:%'")
    assert {row["stream"]: row["last"] for row in counted} == {name: len(rows) for name, rows in streams.items()}
    orders = {row["id"]: row for row in await firm.owner.fetch("select * from orders")}
    newest: dict[Any, Any] = {}
    for name, rows in streams.items():
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        assert [row["occurred_at"] for row in rows] == sorted(row["occurred_at"] for row in rows)
        assert {f"orders:{orders[row['entity_id']]['portfolio_id']}" for row in rows} == {name}
        newest |= {row["entity_id"]: row["kind"] for row in rows}
    assert newest == {key: orders[key]["status"] for key in newest}
    open_ones = [key for key, order in orders.items() if order["status"] == "PENDING_APPROVAL"]
    assert set(open_ones) <= set(newest)


async def test_the_broker_agrees_about_all_that_works(firm: Stage) -> None:
    before = await kept(firm)
    due = await firm.services.doors.write(SYSTEM, "test", execution.ask_again, SYSTEM)
    working = await firm.owner.fetchval("select count(*) from paper_orders")
    assert due == working >= 5
    assert await drained(firm.services) == working
    assert await kept(firm) == before
    assert await firm.owner.fetchval("select count(*) from orders where checked_at > now() - interval '1 minute'")


async def test_a_supervisor_approves_what_waits_and_it_is_filled(firm: Stage) -> None:
    supervisor = await signed_in(firm, "meera.joshi")
    waiting = (await supervisor.run(AWAITING))["ordersAwaitingApproval"]
    assert waiting["totalCount"] == len(waiting["nodes"]) >= 3
    assert {order["placedBy"]["email"] for order in waiting["nodes"]} <= {
        "asha.mehta@steward.example",
        "rohan.deshpande@steward.example",
    }
    for order in waiting["nodes"]:
        approved = await supervisor.change(
            "approveOrder", "order { status }", orderId=order["id"], version=order["version"]
        )
        assert (approved["userErrors"], approved["order"]["status"]) == ([], "SUBMITTED")
    await drained(firm.services)
    for order in waiting["nodes"]:
        filled = (await supervisor.run(ORDER, id=order["id"]))["node"]
        assert (filled["status"], filled["filledQuantity"]) == ("FILLED", order["quantity"])
        assert filled["reservedCash"]["amount"] == "0"
        assert [fill["transaction"]["quantity"] for fill in filled["fills"]] == [order["quantity"]]


async def test_the_kinds_are_those_that_a_firm_of_before_orders_is_given(firm: Stage) -> None:
    found = re.search(r"update instruments set\s+kind = (.*?),\s+tick_size = (.*?),\s+risk = (.*?);", SCRIPT, re.DOTALL)
    assert found
    kind, tick, risk = found.groups()
    compared = (
        f"select symbol from instruments where kind <> 'FUND' and (kind, tick_size, risk) <> ({kind}, {tick}, {risk})"  # noqa: S608 - our own script
    )
    assert await firm.owner.fetch(compared) == []
    reits = await firm.owner.fetch("select kind from instruments where symbol in ('EMBASSY', 'MINDSPACE', 'PGINVIT')")
    assert [row["kind"] for row in reits] == ["SHARE"] * 3
    assert await firm.owner.fetchval("select count(*) from instruments where kind = 'FUND'") == 4
