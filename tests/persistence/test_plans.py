"""What the lists cost in a firm of twenty thousand clients, as the application role, under the policies.

Those of orders have a file of their own.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import msgspec
import pytest

from domain.access import Role, Viewer
from domain.books import BookFilter
from domain.break_glass import GlassAccessFilter
from domain.clients import ClientFilter, Segment
from domain.households import HouseholdFilter
from domain.ledger import TransactionKind
from domain.notifications import NotificationFilter, NotificationKind
from domain.paging import Direction, Order, PageRequest
from domain.portfolios import PortfolioFilter
from domain.transactions import TransactionFilter
from persistence.books import Books
from persistence.break_glass import GlassAccesses
from persistence.clients import Clients
from persistence.households import Households
from persistence.listing import Listing
from persistence.notifications import Notifications
from persistence.portfolios import Portfolios
from persistence.repository import Listed
from persistence.transactions import Transactions
from tests.factories import ledger, partners, people
from tests.support.plans import most_rows, plan
from tests.support.stage import Stage

BOOKS: Final = 50
CLIENTS: Final = 20_000
# A row is written out as often as is wanted, each copy in another book, for another client, some days apart.
OTHERWISE: Final = {
    "id": "gen_random_uuid()",
    "book_id": "b.id",
    "sort_name": "'row ' || lpad(n::text, 6, '0')",
    "segment": "(array['AFFLUENT', 'HNI', 'RETAIL'])[1 + n % 3]",
    "created_at": "t.created_at - n * interval '1 minute'",
    "updated_at": "t.updated_at - n * interval '1 minute'",
    "opened_on": "t.opened_on - n % 3000",
    "account_number": "'COPY-' || n",
    "traded_on": "t.traded_on - n % 1000",
    "recorded_at": "t.recorded_at - n * interval '1 minute'",
    "granted_at": "t.granted_at - n * interval '1 minute'",
    "seq": "t.seq + n",
}


class Firm(msgspec.Struct):
    """A firm with many rows, and who looks at them."""

    stage: Stage
    advisor: Viewer
    admin: Viewer
    supervisor: Viewer
    keys: dict[str, Any]


async def copied(stage: Stage, table: str, row: Any, number: int, joined: str = "", **others: str) -> None:
    """Write a row out many times."""
    names = list(row.__struct_fields__)
    values = ", ".join(others.get(name, OTHERWISE.get(name, f"t.{name}")) for name in names)
    await stage.owner.execute(
        f"insert into {table} ({', '.join(names)}) select {values} from {table} t, generate_series(1, $1) n "  # noqa: S608 - our own names
        f"join (select id, row_number() over (order by id) - 1 as at from books) b on b.at = n % {BOOKS} {joined} "
        "where t.id = $2",
        number,
        row.id,
    )


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> Firm:
    make = stage.make
    team, elsewhere = await make.team(), await make.team()
    books = [await make.book(team if at < BOOKS // 2 else elsewhere) for at in range(BOOKS)]
    advisor = await make.user(Role.ADVISOR, team, books[0])
    supervisor, admin = await make.user(Role.SUPERVISOR, team), await make.user(Role.ADMIN)
    client = await make.client(books[0])
    await copied(stage, "clients", client, CLIENTS)
    await stage.owner.execute(
        "insert into client_words select id, case when at % 400 = 0 then 'rare' else 'common' || at % 50 end, book_id "
        "from (select *, row_number() over (order by sort_name) as at from clients) c on conflict do nothing"
    )
    of_client = "join (select id, book_id, row_number() over (order by sort_name) as at from clients) c on c.at = n"
    portfolio = await make.portfolio(client)
    await copied(stage, "portfolios", portfolio, CLIENTS, of_client, client_id="c.id", book_id="c.book_id")
    entry = await ledger.deposit(make, portfolio, admin.user)
    of_portfolio = (
        "join (select id, client_id, book_id, row_number() over (order by id) - 1 as at from portfolios limit 200) p "
        "on p.at = n % 200"
    )
    own = {"portfolio_id": "p.id", "client_id": "p.client_id", "book_id": "p.book_id"}
    await copied(stage, "transactions", entry, 3 * CLIENTS, of_portfolio, **own)
    await copied(stage, "households", await people.household(make, books[0]), CLIENTS)
    told = await people.notification(make, advisor.user)
    await copied(stage, "notifications", told, CLIENTS, "", book_id="t.book_id")
    other = await people.notification(make, admin.user)
    await copied(stage, "notifications", other, CLIENTS, "", book_id="t.book_id")
    await copied(stage, "glass_accesses", await partners.glass(make, admin.user, books[0]), CLIENTS)
    for table in ("clients", "client_words", "portfolios", "transactions", "households", "notifications"):
        await stage.owner.execute(f"vacuum analyze {table}")
    await stage.owner.execute("vacuum analyze glass_accesses")
    return Firm(
        stage,
        advisor=await make.viewer(advisor),
        admin=await make.viewer(admin),
        supervisor=await make.viewer(supervisor),
        keys={"portfolio_id": [portfolio.id], "book": [books[0].id], "client": [client.id], "user": [admin.user.id]},
    )


FILTERS: Final[dict[type[Listed[Any]], type[msgspec.Struct]]] = {
    Books: BookFilter,
    Clients: ClientFilter,
    GlassAccesses: GlassAccessFilter,
    Households: HouseholdFilter,
    Notifications: NotificationFilter,
    Portfolios: PortfolioFilter,
    Transactions: TransactionFilter,
}
CUTS: Final[dict[type[Listed[Any]], list[dict[str, Any]]]] = {
    Clients: [
        {"text": "rare"},
        {"text": "common7"},
        {"segments": (Segment.HNI,)},
        {"kyc_expires_before": date(2031, 1, 1)},
    ],
    Notifications: [{"unread": True}, {"kinds": (NotificationKind.KYC_CHANGED,)}],
    Portfolios: [{"account_number": "COPY-77"}, {"base_currencies": ("INR",)}],
}


def cases() -> Iterator[Any]:
    """Each order of each list, and some filters, in the list's first order."""
    for repository in FILTERS:
        listing: Listing[Any] = repository.listing
        if repository is Transactions:
            continue
        for order in listing.orders:
            yield pytest.param(repository, order, {}, id=f"{repository.__name__} by {order}")
        for cut in CUTS.get(repository, []):
            first = next(iter(listing.orders))
            yield pytest.param(repository, first, cut, id=f"{repository.__name__} with {next(iter(cut))} {cut}")


def asked(repository: type[Listed[Any]], order: str, cut: dict[str, Any]) -> PageRequest:
    """A page in descending order."""
    return PageRequest(order=Order(order, Direction.DESC), filter=FILTERS[repository](**cut), first=25)


@pytest.mark.parametrize(("repository", "order", "cut"), [*cases()])
@pytest.mark.parametrize("who", ["advisor", "admin"])
async def test_a_page_reads_no_more_than_it_needs(
    firm: Firm, repository: type[Listed[Any]], order: str, cut: dict[str, Any], who: str
) -> None:
    told = await plan(firm.stage.services, getattr(firm, who), repository.listing, asked(repository, order, cut))
    text = "\n".join(told)
    if "text" in cut:
        # Found by the words' own index; who sees everything may then have all clients hashed against them.
        assert "client_words_word_client_id_idx" in text, text
        assert "Seq Scan on client_words" not in text, text
        return
    if repository is not Books:
        assert f"Seq Scan on {repository.table.name}" not in text, text
    # One of fifty books: rows of others may be passed over on the way, but never all of them.
    assert most_rows(told) <= CLIENTS / 10, text


@pytest.mark.parametrize("cut", [{}, {"kinds": (TransactionKind.DEPOSIT,)}, {"traded_to": date(2025, 1, 1)}])
@pytest.mark.parametrize("order", ["TRADED_ON", "RECORDED_AT"])
async def test_the_ledger_of_a_portfolio_is_read_by_its_portfolio(firm: Firm, order: str, cut: dict[str, Any]) -> None:
    request = asked(Transactions, order, cut)
    listing, keys = Transactions.listing, firm.keys["portfolio_id"]
    told = await plan(firm.stage.services, firm.supervisor, listing, request, keys=keys)
    assert "Seq Scan on transactions" not in "\n".join(told), told
    assert most_rows(told) <= CLIENTS / 10, told
