"""What reading the trail costs on two hundred thousand rows, as the application role asks, under the policies."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from domain.access import Role, Viewer
from domain.audit import AuditEventFilter
from domain.paging import Direction, Order, PageRequest
from graph.context import Services
from persistence.audit import AuditTrail
from tests.factories.firm import Make
from tests.support.plans import most_rows, plan
from tests.support.stage import Stage

ROWS: Final = 200_000
BOOKS: Final = 20
# In each book as many clients; each row is of one of them, some minutes apart.
FILL: Final = """
insert into audit_events (id, occurred_at, actor_id, request_id, action, object_type, object_id, client_id, after)
select gen_random_uuid(), now() - n * interval '3 minutes', u.id, 'request ' || n,
    (array['clients.update', 'orders.place', 'orders.approve', 'kyc.expire'])[1 + (n / 20) % 4], 'Client', c.id, c.id,
    '{"name": "x"}'
from generate_series(1, $1::int) n
join (select id, row_number() over (order by id) - 1 as number from clients) c on c.number = n % $2
join (select id, row_number() over (order by id) - 1 as number from users) u on u.number = n % 20
"""


class Firm(msgspec.Struct):
    """A firm with a long trail, and who reads it."""

    services: Services
    admin: Viewer
    advisor: Viewer
    client_id: Any
    others_client_id: Any
    actor_id: Any
    request_id: str
    moment: Any


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> Firm:
    make: Make = stage.make
    team = await make.team()
    books = [await make.book(team) for _ in range(BOOKS)]
    clients = [await make.client(book) for book in books for _ in range(BOOKS)]
    people = [await make.user(Role.ADVISOR, team, book) for book in books]
    admin = await make.user(Role.ADMIN)
    await stage.owner.execute("alter table audit_events disable trigger audit_events_queued")
    await stage.owner.execute(FILL, ROWS, len(clients))
    await stage.owner.execute("vacuum analyze audit_events")
    return Firm(
        services=stage.services,
        admin=await make.viewer(admin),
        advisor=await make.viewer(people[0]),
        client_id=clients[0].id,
        others_client_id=clients[-1].id,
        actor_id=people[3].user.id,
        request_id="request 77777",
        moment=make.now - timedelta(days=200),
    )


def scans(told: list[str]) -> list[str]:
    """Where the trail or its seals were read from end to end; the firm's twenty clients may be."""
    return [line for line in told if "Seq Scan on audit" in line and "never executed" not in line]


def asked(direction: Direction = Direction.DESC, **cut: Any) -> PageRequest:
    return PageRequest(order=Order("OCCURRED_AT", direction), filter=AuditEventFilter(**cut), first=25)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    "name", ["nothing", "actor_id", "client_id", "object_id", "request_id", "actions", "occurred_from", "both"]
)
async def test_a_page_of_the_trail_reads_no_more_than_it_needs(firm: Firm, name: str, direction: Direction) -> None:
    cuts: dict[str, dict[str, Any]] = {
        "nothing": {},
        "actor_id": {"actor_id": firm.actor_id},
        "client_id": {"client_id": firm.client_id},
        "object_id": {"object_id": firm.client_id},
        "request_id": {"request_id": firm.request_id},
        "actions": {"actions": ("kyc.expire",)},
        "occurred_from": {"occurred_from": firm.moment, "occurred_before": firm.moment + timedelta(days=1)},
        "both": {"actor_id": firm.actor_id, "actions": ("orders.place",)},
    }
    told = await plan(firm.services, firm.admin, AuditTrail.listing, asked(direction, **cuts[name]))
    assert scans(told) == [], told
    # Of two filters at once the indexes are laid over each other.
    assert most_rows(told) <= (ROWS / 4 if name == "both" else 1000), told


async def test_a_page_goes_on_where_the_last_one_ended_at_the_same_cost(firm: Firm) -> None:
    request = asked(occurred_before=firm.moment)
    async with firm.services.doors.database.lend(firm.admin) as lent:
        page = await AuditTrail.listing.page(lent, firm.admin, request)
    further = msgspec.structs.replace(request, after=page.edges[-1].cursor)
    told = await plan(firm.services, firm.admin, AuditTrail.listing, further)
    assert scans(told) == [], told
    assert most_rows(told) <= 100, told


@pytest.mark.parametrize("who", ["admin", "advisor"])
@pytest.mark.parametrize("direction", Direction)
async def test_a_history_beneath_its_object_reads_no_more_than_it_needs(
    firm: Firm, who: str, direction: Direction
) -> None:
    # An object has five hundred rows here, of which a page is read, and of another's none is shown.
    told = await plan(
        firm.services,
        getattr(firm, who),
        AuditTrail.listing,
        asked(direction),
        keys=[firm.client_id, firm.others_client_id],
    )
    assert scans(told) == [], told
    assert most_rows(told) <= 1100, told


async def test_a_page_of_seals_is_found_by_its_events(firm: Firm) -> None:
    async with firm.services.doors.database.lend(firm.admin) as lent:
        page = await AuditTrail.listing.page(lent, firm.admin, asked())
        found = await AuditTrail(lent).seals_of(firm.admin, [row.id for row in page.rows])
    assert found == []
