"""What PostgreSQL does for each list of the schema, in each order and under each filter, on a firm of many rows.

The lists are found in the schema, so that a new one, a new order or a new filter is held to this without anybody
thinking of it; a new list needs rows in `tests/support/plenty.py`. Each is asked as an admin, who sees everything, and
as an advisor of one book of fifty, and each statement is explained as it runs: as the application role, under the
policies, by PostgreSQL's own choice of a plan, which nothing keeps from reading a table from end to end but that there
is something better.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import pytest
from graphql import GraphQLEnumType

from domain.paging import Direction
from persistence.database import Lent
from tests.strategies.lists import INPUTS
from tests.support.gql import Gql
from tests.support.inputs import Leaf
from tests.support.lists import Listing, listings
from tests.support.plenty import Plenty, plenty
from tests.support.stage import Stage

LISTINGS: Final = sorted(listings(INPUTS.schema), key=repr)
# In rows that a step reads, those that it throws away included, however often it runs; tables that grow with the firm
# have four times as many. A page has 25 rows: those of one book in fifty that pass a filter as one in three does are
# met among 3,750, which PostgreSQL may find cheaper than to sort the book's.
MOST: Final = 5_000
PAGE: Final = "{ pageInfo { endCursor } nodes { id } }"
VALUES: Final = {
    "accountNumber": "ACC-77",
    "actions": "orders.place",
    "baseCurrencies": "SGD",
    "currencies": "EUR",
    "currency": "USD",
    "exchanges": "XNYS",
    "kycExpiresBefore": "2030-03-01",
    "names": "y.count",
    "search": "rare",
    "sectors": "Materials",
    "tag": "esg",
    "text": "rare",
    "Instrument.text": "s777",
    "tradedFrom": "2024-12-01",
    "tradedTo": "2024-12-01",
}

# What is not held to it, by who asks, and why.
TEXT: Final = "Words are found by their own index; for who sees everything all clients are then held against them."
HASHED: Final = "Whose end clients are in sight is asked of all clients at once, by an index alone, not user by user."
EXCEPTIONS: Final = {
    "admin": {
        "Query.clients by NAME with text": TEXT,
        "Query.clients by CREATED_AT with text": TEXT,
        "Query.clients by UPDATED_AT with text": TEXT,
        "Query.instruments by NAME with text": "A firm knows thousands of instruments, and looks at each.",
        "Query.instruments by SYMBOL with text": "As by NAME.",
        "Query.orders by PLACED_AT with tradesTo": "Looks past what is later; by TRADES_ON it is a range of its index.",
    },
    "advisor": {
        "Query.instruments by NAME with text": "As for the admin.",
        "Query.instruments by SYMBOL with text": "As for the admin.",
        "Query.users by NAME": HASHED,
        "Query.users by NAME with statuses": HASHED,
        "Query.users by CREATED_AT": HASHED,
        "Query.users by CREATED_AT with statuses": HASHED,
    },
}
# An order that waits is of one status, and nobody approves an own one.
EMPTY: Final = {
    f"Query.ordersAwaitingApproval by {by} with {cut}"
    for by in ("PLACED_AT", "TRADES_ON")
    for cut in ("placedByMe", "statuses")
}
ENUMS: Final = {
    "MessageRole": "ASSISTANT",
    "OrderStatus": "FILLED",
    "Role": "VIEWER",
    "TransactionKind": "DIVIDEND",
    "UserStatus": "ACTIVE",
}


class Step(msgspec.Struct, frozen=True):
    """A step of a plan: of which table it reads how many rows, in all of its runs."""

    kind: str
    table: str
    rows: float


def steps(plan: Mapping[str, Any]) -> Iterator[Step]:
    """All steps of a plan."""
    removed = sum(number for name, number in plan.items() if name.startswith("Rows Removed by"))
    rows = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    yield Step(plan["Node Type"], plan.get("Relation Name", ""), rows)
    for below in plan.get("Plans", ()):
        yield from steps(below)


class Explained:
    """The plans of what is asked meanwhile, and what is wrong with them."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.count = 0
        self.wrong: dict[str, list[str]] = {}
        self.asked = ""
        self.empty: set[str] = set()

    def look(self, plan: Mapping[str, Any]) -> None:
        self.count += 1
        for step in steps(plan):
            whole = step.kind == "Seq Scan" and self.sizes.get(step.table, 0) > MOST
            if whole or step.rows > MOST:
                wrong = f"{step.kind} {step.table} of {step.rows:.0f} rows"
                self.wrong.setdefault(self.asked, []).append(wrong)


@pytest.fixture(scope="module")
async def firm(stage: Stage) -> Plenty:
    return await plenty(stage)


@pytest.fixture
async def explained(firm: Plenty, monkeypatch: pytest.MonkeyPatch) -> Explained:
    sizes = await firm.stage.owner.fetch("select relname, reltuples::bigint from pg_class where relkind = 'r'")
    made = Explained(dict(map(tuple, sizes)))
    original = Lent.fetched

    async def fetched(lent: Lent, connection: Any, text: str, arguments: Sequence[Any], shown: str) -> Sequence[Any]:
        explain = f"explain (analyze, timing off, summary off, format json) {text}"
        (found,) = msgspec.json.decode(await connection.fetchval(explain, *arguments))
        made.look(found["Plan"])
        return await original(lent, connection, text, arguments, shown)

    monkeypatch.setattr(Lent, "fetched", fetched)
    return made


def value_of(listing: Listing, leaf: Leaf, firm: Plenty) -> Any:
    """What a filter asks for: something that some rows have."""
    values = VALUES | firm.values
    for name in (f"{listing.node}.{leaf.field}", leaf.field):
        if name in values:
            return values[name]
    if leaf.prefix:
        return firm.ids[leaf.prefix]
    if isinstance(leaf.kind, GraphQLEnumType):
        return ENUMS.get(leaf.kind.name, list(leaf.kind.values)[-1])
    if leaf.kind.name == "Boolean":
        return True
    raise AssertionError(f"{leaf} needs a value that some rows have")


def cuts(listing: Listing, firm: Plenty) -> Iterator[dict[str, Any]]:
    """Each field of the list's filter by itself."""
    for leaf in INPUTS.leaves(listing.filter) if listing.filter else ():
        value = value_of(listing, leaf, firm)
        yield {str(leaf.path[0]): [value] if len(leaf.path) > 1 else value}


async def page(explained: Explained, gql: Gql, listing: Listing, **asked: Any) -> Any:
    """A page of a list; nothing where the whole list is forbidden."""
    by, cut = asked["orderBy"]["field"], "".join(asked.get("filter", ()))
    explained.asked = f"{listing} by {by}{' with ' if cut else ''}{cut}"
    answer = await gql.ask(listing.asking(PAGE), **asked)
    if answer.codes in (["FORBIDDEN"], ["NOT_FOUND"]):
        return None
    return answer.data["node"][listing.name] if listing.nested else answer.data[listing.name]


def asked_of(listing: Listing, firm: Plenty) -> Iterator[dict[str, Any]]:
    """Each order in both directions, and each filter in each order."""
    for field in listing.orders:
        for direction in Direction:
            yield {"orderBy": {"field": field, "direction": direction}}
        for cut in cuts(listing, firm):
            yield {"orderBy": {"field": field, "direction": "DESC"}, "filter": cut}


@pytest.mark.parametrize("who", ["admin", "advisor"])
async def test_no_list_reads_more_than_a_page_is_worth(firm: Plenty, explained: Explained, who: str) -> None:
    gql = firm.stage.gql.as_(getattr(firm, who))
    for listing in LISTINGS:
        parent = {"id": firm.parents[listing.parent]} if listing.nested else {}
        for asked in asked_of(listing, firm):
            given = await page(explained, gql, listing, **parent, **asked)
            if given is None:
                continue
            if not given["nodes"] and not listing.nested:
                explained.empty.add(explained.asked)
            elif given["nodes"] and "filter" not in asked:
                await page(explained, gql, listing, **parent, **asked, after=given["pageInfo"]["endCursor"])
    assert explained.count > 5 * len(LISTINGS)
    if who == "admin":
        # Whoever sees everything finds something by each filter: to find nothing would be no proof.
        assert explained.empty == EMPTY
    found = [f"{asked}: {', '.join(each)}" for asked, each in explained.wrong.items() if asked not in EXCEPTIONS[who]]
    assert not found, "\n".join(found)
    assert EXCEPTIONS[who].keys() <= explained.wrong.keys(), "an exception that is none any more"
