"""The audit trail in the database: how it is written, that nobody changes it, and how it is sealed meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
from asyncpg import Connection, Record

from domain.access import SYSTEM, Role
from domain.audit import Trace, held_against, note
from domain.notifications import Notice, NotificationKind
from domain.work import Work
from graph.app import open_services
from graph.context import Services
from graph.ids import id_of
from graph.settings import Settings
from persistence.audit import keep_sealing, seal
from persistence.audit.sealing import SEAL
from persistence.database import driver_arguments
from persistence.embedded import EmbeddedServer
from persistence.setup import run_alembic
from tests.conftest import Databases
from tests.factories import people
from tests.factories.firm import Make
from tests.support.audit import findings, told, verified
from tests.support.gql import Gql
from tests.support.statements import Statements

TABLES: Final = ["audit_events", "audit_seals", "audit_sealed"]


@pytest.fixture
async def application(database_url: str) -> AsyncIterator["Connection[Record]"]:
    """A connection as the server has it, told that the viewer sees everything."""
    connection = await asyncpg.connect(**driver_arguments(database_url), server_settings={"role": "steward_app"})
    await connection.execute("select set_config('steward.everything', 'on', false)")
    yield connection
    await connection.close()


async def tell_many(work: Work, _: Any, recipients: list[UUID], traces: int) -> None:
    """A verb that tells and traces much."""
    work.tell(Notice(NotificationKind.KYC_CHANGED, frozenset(recipients)))
    for number in range(traces):
        work.trace(Trace("tests.many", "Nothing", facts={"number": number}))


@pytest.mark.parametrize("many", [1, 12])
async def test_what_goes_out_costs_the_same_however_much(
    services: Services, make: Make, statements: Statements, many: int
) -> None:
    users = [(await make.user(Role.ADVISOR)).user.id for _ in range(many)]
    with statements.counted() as seen:
        await services.doors.write(SYSTEM, "one request", tell_many, SYSTEM, users, many)
    # The trail, the streams' numbers, the notifications and the events.
    assert len(seen) == 4, seen
    rows = await make.connection.fetch("select distinct request_id, action from audit_events")
    assert [tuple(row) for row in rows] == [("one request", "tests.many")]
    assert await make.connection.fetchval("select count(*) from audit_events") == many
    numbers = await make.connection.fetch(
        "select n.user_id, n.seq, e.seq from notifications n join events e on e.entity_id = n.id"
    )
    assert sorted(tuple(row) for row in numbers) == sorted((user, 1, 1) for user in users)


async def test_numbers_of_several_notices_to_one_user_follow_their_order(services: Services, make: Make) -> None:
    user = (await make.user(Role.ADVISOR)).user.id

    async def tell_thrice(work: Work, _: Any) -> None:
        for kind in (NotificationKind.CLIENT_LEFT, NotificationKind.KYC_CHANGED, NotificationKind.CLIENT_ARRIVED):
            work.tell(Notice(kind, frozenset([user])))

    tell_thrice.__module__ = "tests.tell"
    await services.doors.write(SYSTEM, "r", tell_thrice, SYSTEM)
    rows = await make.connection.fetch("select kind, seq from notifications order by seq")
    assert [tuple(row) for row in rows] == [("CLIENT_LEFT", 1), ("KYC_CHANGED", 2), ("CLIENT_ARRIVED", 3)]


async def test_rows_say_whose_they_are(gql: Gql, make: Make) -> None:
    admin = await make.user(Role.ADMIN)
    book, other = await make.book(), await make.book()
    client = await make.client(book)
    ask = gql.as_(admin)
    details = {"notes": "Likes zebras.", "taxId": "ABCDE1234F", "name": "Zoe"}
    await ask.change("updateClient", "client { id }", clientId=id_of(client), version=1, details=details)
    await ask.change("moveClient", "client { id }", clientId=id_of(client), bookId=id_of(other), version=2)
    await ask.change("createHousehold", "household { id }", bookId=id_of(book), name="Rao")
    member = {"bookId": id_of(book), "userId": admin.id, "kind": "STAND_IN"}
    await ask.change("addMember", "membership { id }", **member)
    rows = await make.connection.fetch(
        "select object_type, client_id, book_id, user_id, person_id from audit_events order by id"
    )
    whose = {row[0]: tuple(row)[1:4] for row in rows}
    assert whose == {
        # Not the book, for the client's history goes where the client goes.
        "Client": (client.id, None, None),
        "ClientProfile": (client.id, None, None),
        "TaxId": (client.id, None, None),
        "Household": (None, book.id, None),
        "Membership": (None, book.id, admin.user.id),
    }
    assert {row["person_id"] for row in rows if row["client_id"]} == {client.id}


async def test_reading_all_notifications_is_one_row(gql: Gql, make: Make) -> None:
    advisor = await make.user(Role.ADVISOR)
    for _ in range(5):
        await people.notification(make, advisor.user)
    marked = await gql.as_(advisor).change("markAllNotificationsRead", "marked { id }")
    assert len(marked["marked"]) == 5
    (row,) = await make.connection.fetch("select action, object_type, user_id, after from audit_events")
    assert (row["action"], row["object_type"]) == ("notifications.mark_all_read", "Notification")
    assert '"marked": 5' in row["after"]


@pytest.mark.parametrize("table", TABLES)
async def test_nobody_changes_the_trail_or_its_seals(
    services: Services, application: "Connection[Record]", make: Make, table: str
) -> None:
    await told(services)
    await seal(services.doors.database, datetime.now(UTC))
    column = {"audit_events": "action = ''", "audit_seals": "digest = ''", "audit_sealed": "digest = ''"}[table]
    for change in (f"update {table} set {column}", f"delete from {table}", f"truncate {table}"):  # noqa: S608 - our own names
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await make.connection.execute(change)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(change)
    assert await application.fetchval(f"select count(*) from {table}") == 1  # noqa: S608 - as above


async def test_the_application_neither_writes_seals_nor_empties_the_queue(
    services: Services, application: "Connection[Record]"
) -> None:
    await told(services)
    for change in (
        "insert into audit_seals values (1, '', 'x', now(), '{}')",
        "insert into audit_sealed values (gen_random_uuid(), 1, 'x')",
        "delete from audit_unsealed",
        "insert into audit_unsealed values (gen_random_uuid())",
        "select audit_digest(e) from audit_events e",
        "select set_config('steward.everything', '', true); select destroy_key(gen_random_uuid(), now())",
        "select blank_client(gen_random_uuid(), 'x')",
        "select blank_account(gen_random_uuid())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(change)


async def test_seals_follow_each_other_and_each_is_logged(
    services: Services, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="steward.audit")
    for rows in (1, 3, 2):
        await told(services, rows)
        await seal(services.doors.database, datetime.now(UTC))
    seals = await make.connection.fetch("select * from audit_seals order by number")
    assert [(row["number"], len(row["event_ids"])) for row in seals] == [(1, 1), (2, 3), (3, 2)]
    assert [row["previous"] for row in seals] == [b"", seals[0]["digest"], seals[1]["digest"]]
    logged = [record.getMessage() for record in caplog.records if record.name == "steward.audit"]
    told_of = [f"seal {row['number']} {row['digest'].hex()} of {len(row['event_ids'])} rows" for row in seals]
    assert logged == told_of
    assert held_against(logged, {row["number"]: row["digest"] for row in seals}) == []
    checked = await verified(services)
    assert (checked.seals, checked.events, checked.findings, checked.next_seal) == (3, 6, (), None)


async def test_a_seal_takes_so_many_rows_and_the_next_follows_at_once(services: Services, make: Make) -> None:
    await told(services, 7)
    made = await seal(services.doors.database, datetime.now(UTC), most=3)
    assert [(each.number, each.events) for each in made] == [(1, 3), (2, 3), (3, 1)]
    assert await make.connection.fetchval("select count(*) from audit_unsealed") == 0
    assert await findings(services) == []


async def test_an_idle_firm_writes_nothing(services: Services) -> None:
    await told(services)
    await seal(services.doors.database, datetime.now(UTC))
    async with services.doors.database.lend(None) as lent, lent.connection.transaction():
        assert await lent.rows(SEAL, {"moment": datetime.now(UTC), "most": 10}) == []
        # A transaction that has changed a row has a number.
        assert await lent.connection.fetchval("select pg_current_xact_id_if_assigned() is null")


async def test_a_writer_that_takes_its_time_holds_up_neither_others_nor_the_sealer(
    services: Services, make: Make
) -> None:
    written, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        async with services.doors.database.lend(SYSTEM) as lent, lent.connection.transaction():
            await lent.connection.execute(
                "insert into audit_events (id, occurred_at, request_id, action, object_type) "
                "values (gen_random_uuid(), now(), 'slow', 'tests.slow', 'Nothing')"
            )
            written.set()
            await may_end.wait()

    writing = asyncio.create_task(slowly())
    await written.wait()
    async with asyncio.timeout(5):
        await told(services, 2)
        (first,) = await seal(services.doors.database, datetime.now(UTC))
    may_end.set()
    await writing
    (second,) = await seal(services.doors.database, datetime.now(UTC))
    assert (first.events, second.events) == (2, 1)
    under = await make.connection.fetchval(
        "select seal from audit_sealed join audit_events on id = event_id where action = 'tests.slow'"
    )
    assert under == second.number
    assert await findings(services) == []


async def test_two_writers_within_their_transactions_do_not_wait_for_each_other(database_url: str) -> None:
    arguments = driver_arguments(database_url)
    writers = [await asyncpg.connect(**arguments, server_settings={"role": "steward_app"}) for _ in range(4)]
    async with asyncio.timeout(10):
        for writer in writers:
            await writer.execute("select set_config('steward.user', gen_random_uuid()::text, false)")
            await writer.execute("begin")
        # All have written before any has ended: a lock that they shared would stop the second here.
        for writer in writers:
            await writer.execute(
                "insert into audit_events (id, occurred_at, request_id, action, object_type) "
                "values (gen_random_uuid(), now(), 'r', 'a', 'o')"
            )
        for writer in writers:
            await writer.execute("commit")
            await writer.close()


async def test_many_writers_and_several_sealers_leave_one_chain(services: Services, make: Make) -> None:
    async def sealing() -> None:
        for _ in range(15):
            await seal(services.doors.database, datetime.now(UTC))
            await asyncio.sleep(0.01)

    await asyncio.gather(*(told(services, 10) for _ in range(8)), sealing(), sealing())
    await seal(services.doors.database, datetime.now(UTC))
    numbers = [row[0] for row in await make.connection.fetch("select number from audit_seals order by number")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 1
    checked = await verified(services)
    assert (checked.events, checked.findings) == (80, ())


async def test_a_change_that_is_rolled_back_is_never_sealed(services: Services, make: Make) -> None:
    async def failing(work: Work, _: Any) -> None:
        work.trace(Trace("tests.failing", "Nothing"))
        await work.vault.seal(UUID(int=5), "x")
        raise RuntimeError

    failing.__module__ = "tests.failing"
    with pytest.raises(RuntimeError):
        await services.doors.write(SYSTEM, "r", failing, SYSTEM)
    assert await seal(services.doors.database, datetime.now(UTC)) == []
    assert await make.connection.fetchval("select count(*) from audit_events") == 0


async def test_the_sealer_goes_on_by_itself_and_seals_once_more_at_its_end(services: Services, make: Make) -> None:
    sealing = asyncio.create_task(keep_sealing(services.doors.database, services.doors.clock))
    await told(services)
    async with asyncio.timeout(5):
        while not await make.connection.fetchval("select count(*) from audit_seals"):  # noqa: ASYNC110 - another process's rows
            await asyncio.sleep(0.05)
    await told(services)
    sealing.cancel()
    await asyncio.gather(sealing, return_exceptions=True)
    assert await make.connection.fetchval("select count(*) from audit_unsealed") == 0


async def test_digests_depend_on_no_setting_of_the_session(services: Services, make: Make) -> None:
    await told(services, 3)
    digests = set()
    for script in (
        "set timezone = 'UTC'; set datestyle = 'ISO, DMY'",
        "set timezone = 'Asia/Kolkata'; set datestyle = 'German, MDY'; set extra_float_digits = 0",
        "set timezone = 'America/New_York'; set datestyle = 'SQL'; set bytea_output = 'escape'",
    ):
        await make.connection.execute(script)
        rows = await make.connection.fetch("select audit_digest(e) from audit_events e order by id")
        digests.add(tuple(row[0] for row in rows))
    assert len(digests) == 1


async def test_a_late_row_is_told_of_and_one_that_waits_is_not(services: Services) -> None:
    await told(services)
    assert await findings(services) == []
    assert [finding.kind for finding in await findings(services, ahead=timedelta(minutes=6))] == ["ROW_UNSEALED"]


async def test_a_trace_of_nobody_in_particular_keeps_no_personal_words(services: Services, make: Make) -> None:
    trace = Trace("tests.trace", "Nothing", facts={"method": "password"}, personal={"address": "1.2.3.4"})
    await services.doors.write(SYSTEM, "r", note, SYSTEM, trace)
    assert await make.connection.fetchval("select after::text from audit_events") == '{"method": "password"}'


def test_a_log_is_read_in_whatever_form_its_lines_are() -> None:
    digest = "ab" * 32
    lines = [
        f"INFO steward.audit: seal 1 {digest} of 5 rows",
        f'{{"event": "seal 2 {digest} of 1 rows", "level": "info"}}',
        "GET /healthz",
        f"2026-11-21 seal 3 {'cd' * 32} of 2 rows",
    ]
    told_of = {(each.kind.value, each.seal) for each in held_against(lines, {1: bytes.fromhex(digest), 3: b"other"})}
    assert told_of == {("SEAL_CUT", 2), ("SEAL_REPLACED", 3)}


OLD_ROWS: Final = """
insert into audit_events (id, occurred_at, request_id, action, object_type, object_id, after) values
    (gen_random_uuid(), now(), 'r', 'clients.update', 'Client', $1, jsonb_build_object('book_id', $3::uuid)),
    (gen_random_uuid(), now(), 'r', 'orders.place', 'Order', $2, jsonb_build_object('client_id', $1::uuid)),
    (gen_random_uuid(), now(), 'r', 'households.create', 'Household', $2, jsonb_build_object('book_id', $3::uuid)),
    (gen_random_uuid(), now(), 'r', 'identity.open_session', 'Session', $2, jsonb_build_object('user_id', $4::uuid)),
    (gen_random_uuid(), now(), 'r', 'jobs.retry', 'DeadJob', $2, null)
"""


async def test_rows_from_before_say_whose_they_are_and_are_sealed(
    databases: Databases, settings: Settings, cluster: EmbeddedServer
) -> None:
    client, thing, book, user = (UUID(int=number) for number in range(1, 5))
    async with databases.clone() as url:
        await asyncio.to_thread(run_alembic, url, "base")
        await asyncio.to_thread(run_alembic, url, "0009")
        owner = await asyncpg.connect(**driver_arguments(url), server_settings={"role": "steward_owner"})
        await owner.execute(OLD_ROWS, client, thing, book, user)
        await asyncio.to_thread(run_alembic, url, "head")
        rows = await owner.fetch("select object_type, client_id, book_id, user_id, person_id from audit_events")
        await owner.close()
        assert {row[0]: tuple(row)[1:] for row in rows} == {
            "Client": (client, None, None, client),
            "Order": (client, None, None, client),
            "Household": (None, book, None, thing),
            "Session": (None, None, user, user),
            "DeadJob": (None, None, None, None),
        }
        async with open_services(settings, url, Path(cluster.home)) as services:
            (made,) = await seal(services.doors.database, datetime.now(UTC))
            assert made.events == 5
            assert await findings(services) == []
