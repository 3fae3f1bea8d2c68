"""What the lists of orders cost on a hundred thousand of them, as the application role asks, under the policies."""

from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from domain.access import Role, Viewer
from domain.orders import AwaitingFilter, OrderFilter, OrderStatus, Side
from domain.orders import Order as DomainOrder
from domain.paging import Direction, Order, PageRequest
from graph.context import Services
from persistence.listing import Listing
from persistence.orders import ClientOrders, Orders
from persistence.sql import Statement
from tests.factories.firm import Make
from tests.factories.trading import order
from tests.support.plans import most_rows, plan
from tests.support.stage import Stage

ORDERS: Final = 100_000
BOOKS: Final = 50
OTHERWISE: Final = {
    "id": "gen_random_uuid()",
    "portfolio_id": "p.id",
    "client_id": "p.client_id",
    "book_id": "p.book_id",
    "status": "(array['FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'FILLED'])[1 + n % 5]",
    "placed_at": "o.placed_at - n * interval '3 minutes'",
    "trades_on": "o.trades_on - n / 200",
    "side": "(array['BUY', 'SELL'])[1 + n % 2]",
}
# One order, written out as often as is wanted, each in another book, portfolio and state, some minutes apart.
COPIES: Final = f"""
insert into orders ({", ".join(DomainOrder.__struct_fields__)})
select {", ".join(OTHERWISE.get(name, f"o.{name}") for name in DomainOrder.__struct_fields__)}
from orders o, generate_series(1, $1) n
join (select *, row_number() over (order by id) - 1 as number from portfolios) p on p.number = n % 200
where o.id = $2
"""  # noqa: S608 - our own names


class Firm(msgspec.Struct):
    """A firm with many orders, and who looks at them."""

    services: Services
    advisor: Viewer
    admin: Viewer
    supervisor: Viewer
    portfolio_id: Any
    client_id: Any
    instrument_id: Any


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> Firm:
    make: Make = stage.make
    team = await make.team()
    books = [await make.book(team) for _ in range(BOOKS)]
    advisor = await make.user(Role.ADVISOR, team, books[0])
    supervisor, admin = await make.user(Role.SUPERVISOR, team), await make.user(Role.ADMIN)
    portfolios = [await make.portfolio(await make.client(book)) for book in books for _ in range(4)]
    instrument = await make.instrument("INFY")
    first = await order(make, portfolios[0], instrument, advisor.user)
    await stage.owner.execute(COPIES, ORDERS, first.id)
    for number in range(40):
        status = [OrderStatus.PENDING_APPROVAL, OrderStatus.SUBMITTED][number % 2]
        placed_at = make.now - timedelta(minutes=number)
        await order(make, portfolios[number % 8], instrument, advisor.user, status=status, placed_at=placed_at)
    await stage.owner.execute("vacuum analyze orders")
    return Firm(
        services=stage.services,
        advisor=await make.viewer(advisor),
        admin=await make.viewer(admin),
        supervisor=await make.viewer(supervisor),
        portfolio_id=portfolios[0].id,
        client_id=portfolios[0].client_id,
        instrument_id=instrument.id,
    )


def asked(by: str = "PLACED_AT", **cut: Any) -> PageRequest:
    return PageRequest(order=Order(by, Direction.DESC), filter=OrderFilter(**cut), first=25)


ROOT: Final = {
    "by default": asked(),
    "by session": asked("TRADES_ON"),
    "open": asked(open_only=True),
    "awaiting": PageRequest(order=Order("PLACED_AT", Direction.DESC), filter=AwaitingFilter(), first=25),
    "filled": asked(statuses=(OrderStatus.FILLED,)),
    "sides": asked(sides=(Side.SELL,)),
    "mine": asked(placed_by_me=True),
    "uncertain": asked(uncertain_only=True),
    "of a day": asked("TRADES_ON", trades_from=date(2025, 6, 2), trades_to=date(2025, 6, 2)),
}


@pytest.mark.parametrize("name", ROOT)
@pytest.mark.parametrize("who", ["advisor", "admin"])
async def test_a_page_reads_no_more_than_it_needs(firm: Firm, name: str, who: str) -> None:
    told = await plan(firm.services, getattr(firm, who), Orders.listing, ROOT[name])
    text = "\n".join(told)
    assert "Seq Scan on orders" not in text, text
    # One of fifty books: rows of others are passed over on the way, and never all of them.
    assert most_rows(told) <= ORDERS / 10, text


@pytest.mark.parametrize("who", ["advisor", "admin"])
async def test_orders_of_an_instrument_are_found_by_it(firm: Firm, who: str) -> None:
    for instrument_id in (firm.instrument_id, UUID(int=7)):
        told = await plan(firm.services, getattr(firm, who), Orders.listing, asked(instrument_ids=(instrument_id,)))
        assert "Seq Scan on orders" not in "\n".join(told), told


@pytest.mark.parametrize(("listing", "key"), [(Orders.listing, "portfolio_id"), (ClientOrders.listing, "client_id")])
@pytest.mark.parametrize("request_", [asked(), asked(open_only=True)], ids=["by default", "open"])
async def test_a_page_beneath_a_parent_reads_no_more_than_it_needs(
    firm: Firm, listing: Listing[Any], key: str, request_: PageRequest
) -> None:
    told = await plan(firm.services, firm.supervisor, listing, request_, keys=[getattr(firm, key)])
    assert "Seq Scan on orders" not in "\n".join(told), told
    assert most_rows(told) <= 100, told


async def test_what_open_orders_reserve_is_read_from_the_open_ones_alone(firm: Firm) -> None:
    async with firm.services.doors.database.lend(firm.advisor) as lent:
        repository = Orders(lent)
        seen: list[str] = []
        original = lent.rows

        async def rows(statement: Statement, given: Any) -> Any:
            text = f"explain (analyze, costs off, timing off, summary off) {statement.text}"
            seen.extend(row[0] for row in await lent.connection.fetch(text, *statement.arguments(given)))
            return await original(statement, given)

        lent.rows = rows  # type: ignore[method-assign, assignment] # asks for the plan as well
        await repository.reserved(firm.advisor, firm.portfolio_id, "INR", firm.instrument_id)
    assert any("orders_open_portfolio_idx" in line for line in seen), seen
