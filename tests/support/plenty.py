"""A firm with so many rows in every list that reading a table from end to end shows.

One row of each table is made as all tests make theirs, and written out as often as is wanted, some minutes apart, in
fifty books in turn.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final
from zlib import crc32

import msgspec

from domain.access import Role
from domain.clients import ClientKind, ClientStatus, KycStatus, RiskProfile, Segment
from domain.conversations.entities import Mode, Module
from domain.notifications import NotificationKind
from domain.orders import OrderStatus, Side
from domain.portfolios import PortfolioStatus
from domain.valuation import AssetClass
from graph.ids import encode, id_of
from tests.factories import announcements, jobs, ledger, partners, people, talks, trading, trail
from tests.factories.firm import SignedIn
from tests.support.stage import Stage

BOOKS: Final = 50
ROWS: Final = 20_000
# Some lists are short by nature: staff and their books, announcements, jobs that an admin has to look after; partners
# are fewer still.
FEW: Final = 1_500
PARTNERS: Final = 40
# So many portfolios are traded in, in so many instruments.
TRADED: Final = 500
HELD: Final = 40
# Of so many orders or notifications one is open, or unread.
OPEN: Final = 50
# What has a history of its own.
KINDS: Final = ("Book", "Client", "Household", "Portfolio", "Order", "User")
USERS: Final = 20
# Of an advisor, and of an admin, to whom more is said than a page is worth; and what is said in the longest.
TALKS: Final = 30
MANY_TALKS: Final = 800
LONG: Final = 1_000
TAKING_PART: Final = """
insert into conversation_participants
select gen_random_uuid(), id, owner_id, owner_id, created_at from conversations on conflict do nothing
"""
MENTIONS: Final = """
insert into message_clients select m.conversation_id, m.id, c.client_id from messages m, message_clients c
where c.message_id = $1 and hashint4(extract(epoch from m.created_at)::int) % 3 = 0 on conflict do nothing
"""
WORDS: Final = """
update messages set words = to_tsvector('simple', case when hashint4(extract(epoch from created_at)::int) % 400 = 0
    then 'rare' else 'common' end)
where words is null
"""


def chance(parts: int, seed: int = 0) -> str:
    """A number below `parts` for each row, of no order; the same for the same seed."""
    return f"(hashint4(n::int + {seed}) & 2147483647) % {parts}"


def spread(values: Iterable[str]) -> str:
    """One of some values for each row."""
    named = [f"'{value}'" for value in values]
    return f"(array[{', '.join(named)}])[1 + {chance(len(named), crc32(''.join(named).encode()) % 10_000)}]"


def one_of(name: str, count: int) -> str:
    """The id of one of some numbered rows for each row."""
    return f"(select id from {name}_at x where x.at = {chance(count, 7)})"  # noqa: S608 - our own names


def before(column: str) -> str:
    """A minute earlier with each row."""
    return f"t.{column} - n * interval '1 minute'"


class Plenty(msgspec.Struct, frozen=True):
    """The firm, who looks at it, a parent of each nested list, and what filters ask for, by prefix and by field."""

    stage: Stage
    admin: SignedIn
    advisor: SignedIn
    parents: dict[str, str]
    ids: dict[str, str]
    values: dict[str, str]


def _copying(table: str, names: Sequence[str], given: dict[str, str]) -> str:
    own = {"id": "gen_random_uuid()", "sort_name": "'row ' || lpad(n::text, 6, '0')", **given}
    values = ", ".join(own.get(name, f"t.{name}") for name in names)
    return f"insert into {table} ({', '.join(names)}) select {values} from {table} t"  # noqa: S608 - our own names


async def copied(stage: Stage, table: str, row: Any, number: int, within: str = "books", **given: str) -> None:
    """Write a row out many times, `n` of them; `o` is the row of another table that has its turn."""
    turn = f"{within}_at o on o.at = n % (select count(*) from {within}_at)"  # noqa: S608 - our own names
    copying = _copying(table, row.__struct_fields__, given)
    await stage.owner.execute(
        f"{copying} cross join generate_series(1, $1::int) n join {turn} where t.id = $2", number, row.id
    )


async def numbered(
    stage: Stage, name: str, table: str, condition: str = "true", most: int = ROWS, order: str = "sort_name, id"
) -> None:
    """Give rows a number each, for others to be theirs in turn."""
    await stage.owner.execute(
        f"create temp table {name}_at as select *, row_number() over (order by {order}) - 1 as at "  # noqa: S608 - our own names
        f"from {table} where {condition} order by {order} limit {most}"
    )
    await stage.owner.execute(f"create index on {name}_at (at); analyze {name}_at")


async def plenty(stage: Stage) -> Plenty:
    """Make the firm. Its rows refer to each other as they should, and nobody checks each of them for it."""
    make = stage.make
    await stage.owner.execute("set role none; set session_replication_role = replica; set role steward_owner")
    team, elsewhere = await make.team(), await make.team()
    books = [await make.book(team if at % 2 else elsewhere, name=f"A book {at:03}") for at in range(BOOKS)]
    await numbered(stage, "books", "books")
    advisor, admin = await make.user(Role.ADVISOR, team, books[0]), await make.user(Role.ADMIN)
    await _people(stage, admin, advisor)
    known = {"Book": books[0], "User": advisor.user, **await _clients(stage, books[0])}
    known |= await _trading(stage, admin, advisor, known["Portfolio"])
    await _told(stage, admin, advisor, books[0])
    known["ServiceAccount"] = await _programs(stage)
    known["Conversation"] = await _talks(stage, admin, advisor)
    request = await _trail(stage, known)
    await stage.owner.execute("set role none; set session_replication_role = origin; set role steward_owner")
    await stage.owner.execute("vacuum analyze")
    ids = {kind.lower(): id_of(row) for kind, row in known.items()}
    ids |= {"team": encode("team", team.id), "unit": encode("unit", team.unit_id)}
    ids["user"] = encode("user", await stage.owner.fetchval("select id from users_at where at = 1"))
    moment = make.now - timedelta(days=7)
    values = {"requestId": request, "occurredFrom": moment.isoformat(), "occurredBefore": moment.isoformat()}
    values |= {"tradesFrom": moment.date().isoformat(), "tradesTo": (moment - timedelta(days=50)).date().isoformat()}
    return Plenty(stage, admin, advisor, {kind: id_of(row) for kind, row in known.items()}, ids, values)


async def _people(stage: Stage, admin: SignedIn, advisor: SignedIn) -> None:
    make = stage.make
    at_home = {"team_id": "o.team_id", "unit_id": "o.unit_id"}
    others = {"email": "'many' || n || '@steward.example'", "created_at": before("created_at")}
    roles = [*["ADVISOR"] * 8, "SUPERVISOR", "VIEWER"]
    await copied(stage, "users", advisor.user, FEW, role=spread(roles), **at_home, **others)
    await numbered(stage, "users", "users", "email like 'many%'", most=USERS)
    book = await make.book(name="Book of many")
    await copied(stage, "books", book, FEW, **at_home, opened_on="t.opened_on + n % 2000")
    announced = await announcements.announcement(make, admin.user)
    kinds = spread(["ANNOUNCEMENT", "MAINTENANCE"])
    await copied(stage, "announcements", announced, FEW, kind=kinds, announced_at=before("announced_at"))


async def _clients(stage: Stage, book: Any) -> dict[str, Any]:
    make = stage.make
    household = await people.household(make, book, name="A household")
    await copied(stage, "households", household, ROWS, book_id="o.id")
    await numbered(stage, "households", "households", most=ROWS // 4)
    client = await make.client(book, name="A client", household_id=household.id)
    told_apart = {"kind": ClientKind, "segment": Segment, "status": ClientStatus, "kyc_status": KycStatus}
    await copied(
        stage,
        "clients",
        client,
        ROWS,
        within="households",
        book_id="o.book_id",
        household_id="o.id",
        **{name: spread(values) for name, values in told_apart.items()},
        risk_profile=spread(RiskProfile),
        kyc_expires_on=f"t.kyc_expires_on + {chance(700)}",
        tags=f"array[{spread(['vip', 'nri', 'esg', 'x'])}]",
        created_at=before("created_at"),
        updated_at=before("updated_at"),
    )
    await stage.owner.execute(
        "insert into client_words select id, case when at % 400 = 0 then 'rare' else 'common' || at % 50 end, book_id "
        "from (select *, row_number() over (order by sort_name) as at from clients) c on conflict do nothing"
    )
    await numbered(stage, "clients", "clients")
    user = (await make.user(Role.CLIENT, client_id=client.id)).user
    others = {"email": "'client' || n || '@steward.example'", "created_at": before("created_at")}
    await copied(stage, "users", user, ROWS, within="clients", client_id="o.id", **others)
    portfolio = await make.portfolio(client, name="A portfolio", account_number="ACC-77")
    await copied(
        stage,
        "portfolios",
        portfolio,
        ROWS,
        within="clients",
        client_id="o.id",
        book_id="o.book_id",
        account_number="'COPY-' || n",
        base_currency=spread(["INR", "USD", "SGD"]),
        status=spread(PortfolioStatus),
        opened_on="t.opened_on - n % 3000",
    )
    await numbered(stage, "portfolios", "portfolios", most=TRADED)
    return {"Household": household, "Client": client, "Portfolio": portfolio}


async def _trading(stage: Stage, admin: SignedIn, advisor: SignedIn, portfolio: Any) -> dict[str, Any]:
    make = stage.make
    instrument = await make.instrument("A1")
    await copied(
        stage,
        "instruments",
        instrument,
        ROWS,
        symbol="'S' || n",
        isin="'X' || n",
        asset_class=spread(AssetClass),
        sector=spread(["Financials", "Energy", "Health", "Materials"]),
        exchange=spread(["XNSE", "XBOM", "XNYS"]),
        currency=spread(["INR", "USD", "EUR"]),
    )
    await numbered(stage, "instruments", "instruments", most=HELD)
    own = {"portfolio_id": "o.id", "client_id": "o.client_id", "book_id": "o.book_id"}
    chosen = one_of("instruments", HELD)
    entry = await ledger.deposit(make, portfolio, admin.user)
    dated = {"traded_on": "t.traded_on - n % 1000", "recorded_at": before("recorded_at")}
    entered = {"kind": spread(["DEPOSIT", "WITHDRAWAL", "DIVIDEND"]), "currency": spread(["INR", "USD"])}
    await copied(stage, "transactions", entry, ROWS, "portfolios", **own, **dated, **entered, instrument_id=chosen)
    held = await ledger.position(make, portfolio, instrument)
    each = {"instrument_id": "i.id", "symbol": "i.symbol", "total_cost": "i.at"}
    await stage.owner.execute(
        f"{_copying('positions', held.__struct_fields__, own | each)}, portfolios_at o, instruments_at i "
        "where t.id = $1 on conflict do nothing",
        held.id,
    )
    order = await trading.order(make, portfolio, instrument, advisor.user)
    await _orders(stage, order, own | {"instrument_id": chosen}, admin)
    return {"Order": order, "Instrument": instrument}


async def _orders(stage: Stage, order: Any, own: dict[str, str], admin: SignedIn) -> None:
    final = spread([OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED])
    by = one_of("users", USERS)
    await copied(
        stage,
        "orders",
        order,
        ROWS,
        within="portfolios",
        **own,
        status=f"case when n % {OPEN} = 0 then {spread(['SUBMITTED', 'PENDING_APPROVAL'])} else {final} end",
        attention=f"case when n % {OPEN} = 0 and {chance(10)} = 0 then 'NO_ANSWER' end",
        side=spread(Side),
        placed_by=f"case {chance(BOOKS, 3)} when 0 then t.placed_by when 1 then '{admin.user.id}' else {by} end",
        placed_at=before("placed_at"),
        trades_on="t.trades_on - n / 200",
    )


async def _told(stage: Stage, admin: SignedIn, advisor: SignedIn, book: Any) -> None:
    make = stage.make
    read = f"case when n % {OPEN} > 0 then t.occurred_at end"
    for who in (admin, advisor):
        told = await people.notification(make, who.user)
        kinds = spread(NotificationKind)
        await copied(stage, "notifications", told, ROWS, seq="t.seq + n", kind=kinds, read_at=read)
    glass = await partners.glass(make, admin.user, book)
    broken = {"book_id": "o.id", "user_id": one_of("users", USERS), "granted_at": before("granted_at")}
    await copied(stage, "glass_accesses", glass, ROWS, **broken)
    await jobs.dead(make)
    names = spread(["books.count", "x.count", "y.count"])
    await stage.owner.execute(
        "insert into queue.pgqueuer (priority, status, entrypoint, payload, attempts, created, updated) "  # noqa: S608 - our own names
        f"select 0, 'failed', {names}, ''::bytea, 2, now(), now() - n * interval '1 minute' "
        "from generate_series(1, $1::int) n",
        FEW,
    )
    await stage.owner.execute(
        "insert into queue.pgqueuer_log (job_id, status, priority, entrypoint, traceback, created) "
        'select id, status, 0, entrypoint, \'{"exception_message": "OSError"}\', updated from queue.pgqueuer'
    )


async def _talks(stage: Stage, admin: SignedIn, advisor: SignedIn) -> Any:
    """Conversations of both and many more of others', in which as much is said; one is longer than the others."""
    make = stage.make
    made = {}
    for who, number in ((admin, MANY_TALKS), (advisor, TALKS), (await make.user(Role.ADVISOR), FEW)):
        talk = made[who.id] = await talks.conversation(make, who.user)
        apart = {"module": spread(Module), "mode": spread(Mode), "updated_at": before("updated_at")}
        archived = f"case when {chance(3)} = 0 then t.created_at end"
        await copied(
            stage, "conversations", talk, number, **apart, archived_at=archived, created_at=before("created_at")
        )
    await stage.owner.execute(TAKING_PART)
    await numbered(stage, "conversations", "conversations", order="id")
    about = await stage.owner.fetch(
        "select id from clients where book_id = $1 limit 2", advisor.book and advisor.book.id
    )
    own = {"role": spread(["USER", "ASSISTANT"]), "created_at": before("created_at")}
    said = await talks.message(make, made[admin.id], "rare", about=[row["id"] for row in about])
    await copied(stage, "messages", said, LONG, **own)
    await copied(stage, "messages", said, ROWS, within="conversations", **own, conversation_id="o.id")
    await stage.owner.execute(MENTIONS, said.id)
    await stage.owner.execute(WORDS)
    return made[admin.id]


async def _programs(stage: Stage) -> Any:
    program = await partners.program(stage.make)
    others = {"email": "'program' || n || '@steward.example'", "created_at": before("created_at")}
    await copied(stage, "users", program.user, PARTNERS, status=spread(["ACTIVE", "DISABLED"]), **others)
    await numbered(stage, "programs", "users", "role = 'SERVICE'")
    key = {"digest": "'digest ' || n", "user_id": "o.id", "created_at": before("created_at")}
    await copied(stage, "service_keys", program.key, FEW, within="programs", **key)
    return program.account


async def _trail(stage: Stage, known: dict[str, Any]) -> str:
    """The audit trail; gives a request that left a row in it."""
    actions = spread(["tests.change", "clients.update", "orders.place", "kyc.expire"])
    done = {"action": actions, "actor_id": one_of("users", USERS), "occurred_at": before("occurred_at")}
    done |= {"request_id": "t.request_id || n"}
    event = await trail.event(stage.make, "Client", known["Client"].id)
    client = {"object_id": "o.id", "client_id": "o.id", "book_id": "o.book_id"}
    await copied(stage, "audit_events", event, ROWS, within="clients", **done, **client)
    for kind in KINDS:
        of_one = await trail.event(stage.make, kind, known[kind].id, book_id=known["Book"].id)
        await copied(stage, "audit_events", of_one, FEW // 5, **done)
    return f"{event.request_id}777"
