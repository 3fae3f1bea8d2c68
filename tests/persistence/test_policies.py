"""The wall of row-level security, proven by itself: plain SQL as the application role, on every table there is.

Each test is one transaction that is rolled back, in which the application has all rights on all tables and no trigger
helps: what is held back there, the policies alone hold back.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from sqlalchemy import BinaryExpression, Column, bindparam
from sqlalchemy.sql import operators, visitors

from graph.settings import Settings
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.repository import Listed
from persistence.sql import DIALECT
from persistence.tables import metadata
from tests.conftest import Databases
from tests.factories.house import house
from tests.support.stage import staged
from tests.support.wall import COMMANDS, DONE, NOTHING, POLICIES, REFUSED, Wall, fill

TABLES: Final = sorted(metadata.tables)
SIGNED_IN: Final = "coalesce(current_setting('steward.user', true), '') <> ''"
# What whoever has signed in gets done on behalf of no book at all.
OPEN: Final[Mapping[str, set[str]]] = {
    # Some are for everybody.
    "announcements": {"select"},
    "audit_events": {"insert"},
    # Who leads a team is asked by the verb: a book that was just opened is in nobody's sight yet.
    "books": {"insert"},
    "events": {"insert"},
    "event_streams": {"select", "insert", "update", "delete"},
    "fx_rates": {"select"},
    "instruments": {"select"},
    "market_days": {"select"},
    # For others, who are told of what one does.
    "notifications": {"insert"},
    # Sealed by the key of the firm, which the database does not have.
    "person_keys": {"select", "insert", "update", "delete"},
    "prices": {"select"},
    "teams": {"select"},
    "units": {"select"},
    # The staff know each other.
    "users": {"select"},
}
# What runs past the policies, as its owner, at the application's word.
VETTED: Final[Mapping[str, str]] = {
    "blank_account": "Blanks what a user left whose key is destroyed; refuses for any other.",
    "blank_client": "Blanks what was written of a client whose key is destroyed; refuses for any other.",
    "blank_messages": "As blank_client.",
    "book_behind": "Tells the staff in which book a client is, and in which unit a book.",
    "destroy_key": "For those who see everything alone.",
    "forget_conversation": "Deletes the events of a conversation that is gone.",
    "forget_expired": "Deletes what is past its time.",
    "forget_links": "As forget_expired.",
    "forget_participants": "As forget_expired.",
    "forget_provider_flows": "As forget_expired.",
    "forget_sign_ins": "As forget_expired.",
    "forget_steps": "Deletes the steps of an answer that is there.",
    "forget_windows": "As forget_expired.",
    "enter_as": "Tells the policies a viewer, if its session is still what it was said to be.",
    "give_back_to_window": "Counts requests under a key.",
    "is_retried": "Tells who has signed in whether a run was tried again.",
    "note_use": "Notes that a session is in use.",
    "open_runs": "Tells who has asked how many of its runs have not ended.",
    "open_runs_of": "Tells the owner of a conversation which runs end with it.",
    "rename_conversation": "Changes the title of a conversation of one's own.",
    "search_messages": "Tells of messages in conversations that who asks takes part in.",
    "owns_conversation": "Tells whether a conversation is one's own.",
    "seal_audit": "Seals rows of the trail, and changes none.",
    "sees_all": "Tells who has signed in whether somebody sees some clients.",
    "session_stands": "Tells whether a session stands, before there is a viewer.",
    "takes_part": "Tells whether who asks takes part in a conversation.",
    "take_from_window": "As give_back_to_window.",
    "viewer_of": "Tells whose a session is, before there is a viewer.",
    "window_of": "As give_back_to_window.",
}
EXECUTABLE: Final = """
select p.proname, p.prosecdef, coalesce(p.proconfig, '{}') from pg_proc p
where p.pronamespace = any(array['public', 'queue']::regnamespace[]) and p.prorettype <> 'trigger'::regtype
    and has_function_privilege('steward_app', p.oid, 'execute')
    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
order by 1
"""
STANDING: Final = "select policyname from pg_policies where tablename = $1 order by 1"
LEAKPROOF: Final = """
select coalesce(bool_or(p.proleakproof), false) from pg_operator o join pg_proc p on p.oid = o.oprcode
where o.oprname = $1 and o.oprleft = $2::text::regtype and o.oprright = $2::text::regtype
"""


@pytest.fixture(scope="module")
async def built(settings: Settings, databases: Databases, cluster: EmbeddedServer) -> AsyncIterator[Wall]:
    async with databases.clone() as url, staged(settings, url, Path(cluster.home)) as stage:
        firm = await house(stage.make)
        connection = await asyncpg.connect(**driver_arguments(url))
        try:
            await fill(connection, metadata.tables)
            yield Wall(connection, firm)
        finally:
            await connection.close()


@pytest.fixture
async def wall(built: Wall) -> AsyncIterator[Wall]:
    transaction = built.connection.transaction()
    await transaction.start()
    await built.connection.execute("grant all on all tables in schema public to steward_app")
    await built.connection.execute("set local session_replication_role = replica")
    yield built
    await transaction.rollback()


async def outcomes(wall: Wall, table: str, row: Mapping[str, Any], *commands: str) -> Mapping[tuple[str, str], str]:
    """What each viewer gets done on a table."""
    found = {
        (name, command): await wall.outcome(table, command, row, told)
        for name, told in (await wall.viewers(row)).items()
        for command in commands
    }
    return found | ({("member", "move"): await wall.moved(table, row)} if "update" in commands else {})


@pytest.mark.parametrize("table", TABLES)
async def test_without_a_viewer_the_application_gets_nothing_done(wall: Wall, table: str) -> None:
    found = await outcomes(wall, table, await wall.row(table), *COMMANDS)
    done = {command: found["nobody", command] for command in COMMANDS}
    assert done == {"select": NOTHING, "insert": REFUSED, "update": NOTHING, "delete": NOTHING}
    assert {command for command in COMMANDS if found["stranger", command] == DONE} == OPEN.get(table, set())
    # Nobody makes what it sees into what it does not see.
    assert found["member", "move"] != DONE or OPEN.get(table) == set(COMMANDS)


def loosened(table: str, policy: str, condition: str) -> str:
    """A policy that says nothing more than this."""
    clauses = {
        "see": f"using ({condition})",
        "add": f"with check ({condition})",
        "change": f"using ({condition}) with check ({condition})",
        "remove": f"using ({condition})",
    }
    return f"alter policy {table}_{policy} on {table} {clauses[policy]}"


def ways(table: str, policy: str) -> Iterator[tuple[str, str]]:
    """How a policy may be spoiled."""
    yield "true", loosened(table, policy, "true")
    yield "signed in", loosened(table, policy, SIGNED_IN)
    yield "dropped", f"drop policy {table}_{policy} on {table}"
    if policy == "change":
        yield "unchecked", f"alter policy {table}_change on {table} with check (true)"


def said_no_more(way: str, base: Mapping[tuple[str, str], str], command: str) -> bool:
    """Whether spoiling a policy that way changes nothing, for what was there said no more."""
    match way:
        case "signed in":
            return base["stranger", command] == DONE
        case "dropped":
            # A policy that lets nobody do anything is as none.
            return base["insider", command] == (REFUSED if command == "insert" else NOTHING)
        case "unchecked":
            # What is not seen is not changed; and what everybody may change has no check.
            return REFUSED not in (base["member", "move"], *(base[name, command] for name in ("stranger", "insider")))
    return False


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("table", TABLES)
async def test_a_policy_that_is_loosened_or_lost_is_noticed(wall: Wall, table: str, policy: str) -> None:
    command, row = POLICIES[policy], await wall.row(table)
    base = await outcomes(wall, table, row, command)
    standing = await wall.connection.fetch(STANDING, table)
    assert len(standing) == len(POLICIES)
    for way, statement in ways(table, policy):
        await wall.connection.execute("savepoint spoiled")
        await wall.connection.execute(statement)
        found = await outcomes(wall, table, row, command)
        left = await wall.connection.fetch(STANDING, table)
        await wall.connection.execute("rollback to savepoint spoiled")
        assert (found == base) == said_no_more(way, base, command), (way, base, found)
        assert (left == standing) == (way != "dropped")


async def test_few_functions_run_past_the_policies_and_each_is_vetted(wall: Wall) -> None:
    rows = await wall.connection.fetch(EXECUTABLE)
    assert {row[0] for row in rows} == set(VETTED)
    for name, definer, options in rows:
        assert definer, name
        # Whoever may make tables of its own must not lend it another `users`.
        assert "search_path=public, pg_temp" in options, name


# Compared without an index of the policy's making, and few at a time: positions are listed beneath their portfolio.
COUNTED: Final = {("positions.quantity", "<>"), ("positions.total_cost", "<")}
# Tests for null call no function.
NULL_TESTS: Final = {operators.is_, operators.is_not}
SYMBOLS: Final[Mapping[Any, str]] = {
    operators.eq: "=",
    operators.ne: "<>",
    operators.lt: "<",
    operators.le: "<=",
    operators.gt: ">",
    operators.ge: ">=",
    operators.in_op: "=",
    operators.not_in_op: "<>",
    operators.between_op: "<=",
}


def conditions() -> Iterator[Any]:
    """Every condition that a list's filters and orders put beside a policy."""
    for repository in Listed.__subclasses__():
        listing = getattr(repository, "listing", None)
        if listing is None or listing.table.name not in metadata.tables:
            continue
        for name, each in listing.filters.items():
            yield pytest.param(each.condition(), id=f"{repository.__name__} filter {name}")
        for name, column in listing.orders.items():
            # As a cursor asks.
            yield pytest.param(column < bindparam("cursor"), id=f"{repository.__name__} order {name}")


def compared(condition: Any) -> Iterator[tuple[str, str, str]]:
    """Each column that a condition compares: its name, by which operator, and of which type."""
    for part in visitors.iterate(condition):
        if isinstance(part, BinaryExpression) and part.operator not in NULL_TESTS:
            # What has no symbol here is said by its name, which no operator of PostgreSQL has.
            symbol = SYMBOLS.get(part.operator, str(part.operator))
            for column in (each for each in visitors.iterate(part) if isinstance(each, Column)):
                kind = column.type.compile(dialect=DIALECT).removesuffix("[]")
                yield f"{column.table.name}.{column.name}", symbol, kind


@pytest.mark.parametrize("condition", [*conditions()])
async def test_no_list_asks_by_an_operator_that_could_leak(wall: Wall, condition: Any) -> None:
    for column, symbol, kind in compared(condition):
        leakproof = await wall.connection.fetchval(LEAKPROOF, symbol, kind)
        assert leakproof == ((column, symbol) not in COUNTED), (column, symbol, kind)


def test_conditions_are_looked_at() -> None:
    found = {each for condition in conditions() for each in compared(condition.values[0])}
    assert {
        ("client_words.word", "<=", "TEXT"),
        ("clients.tags", "=", "TEXT"),
        ("orders.trades_on", "<", "DATE"),
    } <= found
    assert {each[:2] for each in found} >= COUNTED
