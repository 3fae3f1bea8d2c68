"""Somebody whom nothing in the database holds back tampers with the trail: each time it is found, and named."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from asyncpg import CheckViolationError, Connection, Record
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from domain.access import SYSTEM
from domain.audit import AuditFindingKind, held_against
from graph.app import open_services
from graph.context import Services
from graph.settings import Environment, Settings
from persistence.audit import Verification, seal
from persistence.database import Lent
from persistence.embedded import EmbeddedServer
from tests.conftest import Databases
from tests.support.audit import findings, found, ids_under, sealed, superuser, told, verified

ALTERED, MISSING, UNSEALED = (
    AuditFindingKind.ROW_ALTERED,
    AuditFindingKind.ROW_MISSING,
    AuditFindingKind.ROW_UNSEALED,
)
SEAL_ALTERED, SEAL_MISSING, BROKEN = (
    AuditFindingKind.SEAL_ALTERED,
    AuditFindingKind.SEAL_MISSING,
    AuditFindingKind.CHAIN_BROKEN,
)


@pytest.fixture
async def intruder(database_url: str) -> AsyncIterator["Connection[Record]"]:
    async with superuser(database_url) as connection:
        yield connection


COLUMNS: Final = {
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "actor_id": "gen_random_uuid()",
    "session_id": "gen_random_uuid()",
    "request_id": "request_id || ' '",
    "action": "'clients.update'",
    "object_type": "'Client'",
    "object_id": "gen_random_uuid()",
    "before": "'null'",
    "after": "after || '{\"number\": 9}'",
    "reason": "''",
    "client_id": "gen_random_uuid()",
    "book_id": "gen_random_uuid()",
    "user_id": "gen_random_uuid()",
    "person_id": "gen_random_uuid()",
}


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_row_that_was_altered_is_named(services: Services, intruder: "Connection[Record]", column: str) -> None:
    await sealed(services, seals=2, rows=3)
    victim = (await ids_under(intruder, 1))[1]
    await intruder.execute(f"update audit_events set {column} = {COLUMNS[column]} where id = $1", victim)  # noqa: S608 - ours
    assert await found(services) == {(ALTERED, 1, victim)}


async def test_every_column_of_a_row_is_under_its_seal(services: Services, intruder: "Connection[Record]") -> None:
    rows = await intruder.fetch(
        "select column_name from information_schema.columns where table_name = 'audit_events' and column_name <> 'id'"
    )
    assert {row[0] for row in rows} == set(COLUMNS)
    assert await findings(services) == []


async def test_a_row_that_is_missing_is_named(services: Services, intruder: "Connection[Record]") -> None:
    await sealed(services, rows=3)
    victim = (await ids_under(intruder, 1))[0]
    await intruder.execute("delete from audit_events where id = $1", victim)
    assert await found(services) == {(MISSING, 1, victim)}


async def test_a_row_whose_every_trace_is_removed_is_still_named(
    services: Services, intruder: "Connection[Record]"
) -> None:
    await sealed(services, rows=3)
    victim = (await ids_under(intruder, 1))[2]
    await intruder.execute("delete from audit_events where id = $1", victim)
    await intruder.execute("delete from audit_sealed where event_id = $1", victim)
    assert (MISSING, 1, victim) in await found(services)
    # Even out of the seal's own list, which then is another than was sealed.
    await intruder.execute("update audit_seals set event_ids = array_remove(event_ids, $1)", victim)
    assert await found(services) == {(SEAL_ALTERED, 1, None)}


async def test_a_digest_that_was_made_to_fit_does_not_fit_the_seal(
    services: Services, intruder: "Connection[Record]"
) -> None:
    await sealed(services, seals=2, rows=2)
    victim = (await ids_under(intruder, 2))[0]
    await intruder.execute("update audit_events set action = 'x' where id = $1", victim)
    await intruder.execute(
        "update audit_sealed s set digest = audit_digest(e) from audit_events e where e.id = event_id"
    )
    assert await found(services) == {(SEAL_ALTERED, 2, None)}


async def test_a_row_that_was_moved_under_another_id_is_missed(
    services: Services, intruder: "Connection[Record]"
) -> None:
    await sealed(services)
    (victim,) = await ids_under(intruder, 1)
    await intruder.execute("update audit_events set id = gen_random_uuid()")
    kinds = {(kind, number) for kind, number, _ in await found(services)}
    assert kinds == {(MISSING, 1), (UNSEALED, None)}
    assert (MISSING, 1, victim) in await found(services)


@pytest.mark.parametrize(
    "change",
    [
        "digest = sha256('x')",
        "previous = sha256('x')",
        "sealed_at = sealed_at + interval '1 second'",
        "event_ids = event_ids || gen_random_uuid()",
    ],
)
async def test_a_seal_that_was_altered_is_named(
    services: Services, intruder: "Connection[Record]", change: str
) -> None:
    await sealed(services, seals=3)
    await intruder.execute(f"update audit_seals set {change} where number = 2")  # noqa: S608 - ours
    told_of = await found(services)
    assert (SEAL_ALTERED, 2, None) in told_of
    assert {number for _, number, _ in told_of} <= {2, 3}


async def test_what_is_stored_of_a_row_is_told_from_the_row(services: Services, intruder: "Connection[Record]") -> None:
    await sealed(services, rows=2)
    victim = (await ids_under(intruder, 1))[0]
    await intruder.execute("update audit_sealed set digest = sha256('x') where event_id = $1", victim)
    assert await found(services) == {(SEAL_ALTERED, 1, None), (SEAL_ALTERED, 1, victim)}


async def test_a_seal_that_is_missing_is_named(services: Services, intruder: "Connection[Record]") -> None:
    await sealed(services, seals=4)
    await intruder.execute("delete from audit_seals where number = 2")
    kinds = {(kind, number) for kind, number, _ in await found(services)}
    assert kinds == {(SEAL_MISSING, 2)}
    # With all that it has sealed.
    await intruder.execute("delete from audit_sealed where seal = 2")
    kinds = {(kind, number) for kind, number, _ in await found(services)}
    assert kinds == {(SEAL_MISSING, 2), (UNSEALED, None)}


async def test_a_number_that_leaps_costs_no_more(services: Services, intruder: "Connection[Record]") -> None:
    await sealed(services, seals=2)
    await intruder.execute("update audit_seals set number = 9000000000000 where number = 2")
    told_of = await findings(services)
    assert 0 < len(told_of) < 200
    assert (SEAL_ALTERED, 9000000000000, None) in await found(services)


@pytest.mark.parametrize("number", [0, -1, -9000000000000])
async def test_nothing_hides_under_a_number_before_the_first(
    services: Services, intruder: "Connection[Record]", number: int
) -> None:
    await sealed(services)
    hidden = UUID(int=7)
    await intruder.execute(
        "insert into audit_events (id, occurred_at, request_id, action, object_type) values ($1, now(), 'r', 'a', 'o')",
        hidden,
    )
    await intruder.execute(
        "insert into audit_sealed select id, $1, audit_digest(e) from audit_events e where id = $2", number, hidden
    )
    assert await found(services) == {(SEAL_ALTERED, number, hidden), (SEAL_MISSING, number, hidden)}
    add = "insert into audit_seals values ($1, '', sha256('x'), now(), array[$2::uuid])"
    with pytest.raises(CheckViolationError, match="audit_seals_number_check"):
        await intruder.execute(add, number, hidden)
    await intruder.execute("alter table audit_seals drop constraint audit_seals_number_check")
    await intruder.execute(add, number, hidden)
    assert await found(services) == {(SEAL_ALTERED, number, None), (SEAL_ALTERED, number, hidden)}
    # Each alone, too.
    await intruder.execute("delete from audit_sealed where seal = $1", number)
    await intruder.execute("delete from audit_events where id = $1", hidden)
    assert await found(services) == {(SEAL_ALTERED, number, None)}


async def test_a_chain_that_was_made_anew_from_the_middle_on_is_broken(
    services: Services, intruder: "Connection[Record]"
) -> None:
    await sealed(services, seals=3)
    # The second seal, digested anew over what it says now; the third goes on from what was.
    await intruder.execute("update audit_seals set sealed_at = sealed_at + interval '1 hour' where number = 2")
    await intruder.execute(
        """
        update audit_seals s set digest = sha256(convert_to(
            'audit seal 1' || audit_part(number::text) || audit_part(encode(previous, 'hex'))
            || audit_part(extract(epoch from sealed_at)::text) || audit_part(cardinality(event_ids)::text), 'UTF8')
            || (select string_agg(uuid_send(event_id) || digest, ''::bytea order by event_id)
                from audit_sealed where seal = s.number))
        where number = 2
        """
    )
    assert await found(services) == {(BROKEN, 3, None)}


async def test_a_row_that_was_slipped_in_is_named_at_once(services: Services, intruder: "Connection[Record]") -> None:
    await sealed(services)
    slipped = UUID(int=7)
    await intruder.execute(
        "insert into audit_events (id, occurred_at, request_id, action, object_type) "
        "values ($1, now() + interval '1 year', 'r', 'a', 'o')",
        slipped,
    )
    assert await found(services) == {(UNSEALED, None, slipped)}


async def test_a_row_that_is_removed_while_it_waits_is_named(
    services: Services, intruder: "Connection[Record]"
) -> None:
    await told(services)
    (victim,) = [row[0] for row in await intruder.fetch("select event_id from audit_unsealed")]
    await intruder.execute("delete from audit_events")
    assert await seal(services.doors.database, datetime.now(UTC)) == []
    assert await found(services) == {(MISSING, None, victim)}


async def test_a_tail_that_was_cut_off_shows_in_the_log_alone(
    services: Services, intruder: "Connection[Record]", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="steward.audit")
    await sealed(services, seals=3)
    log = [record.getMessage() for record in caplog.records]
    await intruder.execute(
        "delete from audit_events where id in (select event_id from audit_sealed where seal = 3); "
        "delete from audit_sealed where seal = 3; delete from audit_seals where number = 3"
    )
    assert await findings(services) == []
    async with services.doors.database.lend(None) as lent:
        await lent.connection.execute("select set_config('steward.everything', 'on', false)")
        digests = {row[0]: row[1] for row in await lent.connection.fetch("select number, digest from audit_seals")}
    assert [(each.kind, each.seal) for each in held_against(log, digests)] == [(AuditFindingKind.SEAL_CUT, 3)]
    # Whoever goes on from there gives the number to another seal.
    await sealed(services)
    digests |= {3: (await intruder.fetchval("select digest from audit_seals where number = 3"))}
    assert [(each.kind, each.seal) for each in held_against(log, digests)] == [(AuditFindingKind.SEAL_REPLACED, 3)]


async def test_a_trail_is_verified_piece_by_piece(
    services: Services, intruder: "Connection[Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    await sealed(services, seals=12, rows=2)
    monkeypatch.setattr("persistence.audit.verification.SEALS", 3)
    monkeypatch.setattr("persistence.audit.verification.ROWS", 8)
    pieces = []
    first: int | None = 1
    while first is not None:
        pieces.append(await verified(services, first))
        first = pieces[-1].next_seal
    assert len(pieces) >= 3
    assert sum(piece.seals for piece in pieces) == 12
    assert sum(piece.events for piece in pieces) == 24
    assert not any(piece.findings for piece in pieces)
    # A piece begins where the chain was before it.
    await intruder.execute("update audit_seals set digest = sha256('x') where number = $1", pieces[1].first_seal - 1)
    assert [each.kind for each in (await verified(services, pieces[1].first_seal)).findings] == [BROKEN]


TAMPERINGS: Final = {
    "alter a row": "update audit_events set {column} = {value} where id = $1",
    "remove a row": "delete from audit_events where id = $1",
    "alter a digest": "update audit_sealed set digest = sha256(digest) where event_id = $1",
    "remove a digest": "delete from audit_sealed where event_id = $1",
    "move a digest": "update audit_sealed set seal = seal + 1 where event_id = $1",
    "queue a row again": "update audit_sealed set event_id = gen_random_uuid() where event_id = $1",
    "alter a seal": "update audit_seals set digest = sha256(digest) where $1 = any(event_ids)",
    "unlink a seal": "update audit_seals set previous = sha256(previous) where $1 = any(event_ids)",
    "renumber a seal": "update audit_seals set number = number + 100 where $1 = any(event_ids)",
    "redate a seal": "update audit_seals set sealed_at = sealed_at - interval '1 ms' where $1 = any(event_ids)",
    "shorten a seal": "update audit_seals set event_ids = array_remove(event_ids, $1) where $1 = any(event_ids)",
    "double a row in a seal": "update audit_seals set event_ids = event_ids || $1 where $1 = any(event_ids)",
}


class Trail(msgspec.Struct, frozen=True):
    """A sealed trail, and a way to tamper with it."""

    services: Services
    url: str
    rows: tuple[UUID, ...]


@pytest.fixture(scope="module")
async def trail(databases: Databases, cluster: EmbeddedServer) -> AsyncIterator[Trail]:
    given_settings = Settings(environment=Environment.DEVELOPMENT, state_directory=Path(cluster.home), database_pool=3)
    async with databases.clone() as url, open_services(given_settings, url, Path(cluster.home)) as services:
        await sealed(services, seals=4, rows=3)
        async with superuser(url) as connection:
            rows = await connection.fetch("select event_id from audit_sealed order by event_id")
        yield Trail(services, url, tuple(row[0] for row in rows))


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    names=st.lists(st.sampled_from(sorted(TAMPERINGS)), min_size=1, max_size=3, unique=True),
    column=st.sampled_from(sorted(COLUMNS)),
    row=st.integers(0, 11),
)
async def test_whatever_is_tampered_with_is_found(trail: Trail, names: list[str], column: str, row: int) -> None:
    victim = trail.rows[row]
    async with superuser(trail.url) as intruder:
        transaction = intruder.transaction()
        await transaction.start()
        for name in names:
            await intruder.execute(TAMPERINGS[name].format(column=column, value=COLUMNS[column]), victim)
        lent: Any = Lent(intruder, lambda _: None)  # type: ignore[arg-type] # a pool's proxy and a connection are used alike
        told_of = (await Verification(lent).piece(SYSTEM, 1, datetime.now(UTC))).findings
        await transaction.rollback()
    assert told_of, names
    if names in (["alter a row"], ["remove a row"]):
        assert [each.event_id for each in told_of] == [victim]
    assert await findings(trail.services) == []
