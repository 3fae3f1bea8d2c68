"""Backup and restore as their users run them, on a firm with data."""

import asyncio
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from graph.settings import ROOT, Settings
from persistence.embedded import archive
from persistence.embedded.archive import DUMP, KEY, MANIFEST, BackupError, checked, pieces
from persistence.embedded.places import Places
from persistence.setup import ROLES, head, run_alembic
from tests.support.backups import (
    EMAIL,
    PASSWORD,
    backed_up,
    change,
    clients,
    fetch,
    photograph,
    refused,
    served,
    started,
)
from tests.support.steward import Steward, sign_in

OTHER_KEY: Final = "c3Rld2FyZC1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk="
THIRD_KEY: Final = "YW5vdGhlci1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk="
SEALED: Final = "select id, sealed, sealed_key from client_tax_ids join person_keys on person_id = id"
CHANGES: Final = """
update clients set name = 'Somebody Else', version = version + 1;
delete from notifications;
delete from client_tax_ids;
update person_keys set sealed_key = 'nonsense';
select nextval('account_numbers');
drop policy clients_see on clients;
create table stray (id int);
"""


class Firm:
    """A demo firm in a state directory of its own, and a backup of it."""

    def __init__(self, steward: Steward) -> None:
        self.steward = steward
        made = self.steward.run("demo", "--clients", "40")
        assert made.returncode == 0, made.stderr
        self.backup = backed_up(self.steward)


@pytest.fixture(scope="module")
def firm(migrated: Steward, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    steward = Steward(tmp_path_factory.mktemp("firm") / "state", like=migrated)
    try:
        yield Firm(steward)
    finally:
        steward.end()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Steward]:
    """Another machine, with nothing on it."""
    steward = Steward(tmp_path / "elsewhere")
    yield steward
    steward.end()


def opened(key: bytes, sealed: bytes, person_id: UUID) -> bytes:
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], person_id.bytes)


async def tax_ids(steward: Steward, field_key: str | None = None) -> dict[UUID, bytes]:
    """The tax ids in the clear: by a key that is set, else by the one beside the database."""
    with started(steward) as server:
        firm = Settings(field_key=field_key).field_key_bytes(server.home)  # type: ignore[arg-type] # pydantic makes it a secret
        rows = await fetch(server, SEALED)
    return {row[0]: opened(opened(firm, row[2], row[0]), row[1], row[0]) for row in rows}


async def test_a_restore_brings_everything_back(firm: Firm) -> None:
    steward = firm.steward
    before, secrets = await photograph(steward), await tax_ids(steward)
    assert len(secrets) == 40
    await change(steward, CHANGES)
    assert await photograph(steward) != before

    done = steward.run("restore", str(firm.backup), "--yes")

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"The database is that of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: \d+ users, 40 clients, \d+ portfolios and "
        rf"[\d,]+ transactions, at revision {head()}\.\n",
        done.stdout,
    )
    assert await photograph(steward) == before
    assert await tax_ids(steward) == secrets
    with served(steward) as address:
        assert clients(address) == 40


def test_a_backup_is_private_and_says_what_it_holds(firm: Firm, tmp_path: Path) -> None:
    done = firm.steward.run("backup", str(tmp_path / "new" / "one.zip"))
    assert re.fullmatch(
        rf"{tmp_path}/new/one\.zip \(\d\.\d MB\) holds \d+ users, 40 clients, \d+ portfolios and [\d,]+ transactions, "
        rf"at revision {head()}\.\nThe key of the personal fields is in it: whoever has the file reads everything\.\n",
        done.stdout,
    )
    made = tmp_path / "new" / "one.zip"
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert firm.backup.parent == firm.steward.state / "backups"
    assert re.fullmatch(r"steward-\d{8}-\d{6}\.zip", firm.backup.name)
    with zipfile.ZipFile(made) as file:
        assert sorted(file.namelist()) == sorted([DUMP, KEY, MANIFEST])
    manifest = checked(made)
    assert manifest.rows["public.clients"] == 40
    assert manifest.postgresql.startswith("18.")


def test_a_file_that_is_there_is_kept(firm: Firm, tmp_path: Path) -> None:
    taken = tmp_path / "taken.zip"
    taken.write_text("mine")
    assert refused(firm.steward, "backup", str(taken)) == f"There is a file {taken} already."
    assert taken.read_text() == "mine"
    assert "cannot be written: " in refused(firm.steward, "backup", str(taken / "below.zip"))
    assert list(tmp_path.iterdir()) == [taken]


def test_a_key_that_opens_nothing_is_not_the_firms(firm: Firm, tmp_path: Path) -> None:
    assert refused(firm.steward, "backup", str(tmp_path / "x.zip"), FIELD_KEY=OTHER_KEY) == (
        "The personal fields are sealed with another key than this one: set FIELD_KEY, or unset it, as it is for the "
        "server."
    )
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_backup_left_is_cleared_away(firm: Firm, tmp_path: Path) -> None:
    left, others = tmp_path / ".steward-backup-abc.part", tmp_path / "others.part"
    left.touch()
    others.touch()
    made = backed_up(firm.steward, str(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted([made, others])


def test_a_served_database_is_backed_up_and_not_replaced(firm: Firm, tmp_path: Path) -> None:
    with served(firm.steward) as address:
        sign_in(address, EMAIL, PASSWORD)
        made = backed_up(firm.steward, str(tmp_path))
        assert checked(made).rows["public.clients"] == 40
        assert checked(made).rows["public.sessions"] > 0
        sentence = refused(firm.steward, "restore", str(made), "--yes")
        assert clients(address) == 40
    assert sentence == (
        f"The embedded database in {firm.steward.state} is in use: stop the server, or the command, that uses it."
    )


async def test_a_damaged_backup_is_refused(firm: Firm, tmp_path: Path) -> None:
    before, whole = await photograph(firm.steward), firm.backup.read_bytes()
    half = len(whole) // 2
    spoiled = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
    damaged = tmp_path / "damaged.zip"
    for content in (whole[:half], whole[:-1], spoiled, b""):
        damaged.write_bytes(content)
        sentence = refused(firm.steward, "restore", str(damaged), "--yes")
        assert sentence.startswith(f"{damaged} is no backup, or is damaged: ")
    assert await photograph(firm.steward) == before


def test_no_spoiled_byte_is_restored(firm: Firm, tmp_path: Path) -> None:
    manifest, small, copy = checked(firm.backup), tmp_path / "small.zip", tmp_path / "copy.zip"
    with archive.written(small) as file:
        sums = {name: archive.add(file, name, [b"a piece", name.encode()]) for name in (DUMP, KEY)}
        archive.finish(file, msgspec.structs.replace(manifest, sums=sums))
    whole, wrong = small.read_bytes(), 0
    for position, byte in enumerate(whole):
        copy.write_bytes(whole[:position] + bytes([byte ^ 0x21]) + whole[position + 1 :])
        try:
            read = checked(copy)
        except BackupError:
            wrong += 1
            continue
        # What it lets pass, such as the date of a file, is not what is restored.
        assert read == checked(small)
        assert b"".join(pieces(copy, read, DUMP)) == b"a piece" + DUMP.encode()
    assert wrong > len(whole) * 0.8


def test_what_is_no_file_is_one_sentence(firm: Firm, tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(firm.steward, "restore", str(tmp_path / "none.zip"))
    assert "cannot be read: Is a directory" in refused(firm.steward, "restore", str(tmp_path))


def test_a_firm_is_not_replaced_unasked(firm: Firm) -> None:
    sentence = refused(firm.steward, "restore", str(firm.backup))
    assert sentence == "The embedded database is not empty: say --yes to replace it by the backup."


def test_an_outside_database_is_not_ours_to_back_up(firm: Firm) -> None:
    outside = {"DATABASE_URL": "postgresql+asyncpg://steward@127.0.0.1:9/steward", "ENVIRONMENT": "development"}
    for command in (["backup"], ["restore", str(firm.backup)]):
        assert refused(firm.steward, *command, **outside).startswith("DATABASE_URL names a PostgreSQL that is not the ")


async def test_another_machine_keeps_its_own_key(firm: Firm, elsewhere: Steward, tmp_path: Path) -> None:
    absent = refused(elsewhere, "backup")
    assert absent == f"There is no embedded database in {elsewhere.state}."
    done = elsewhere.run("restore", str(firm.backup), FIELD_KEY=OTHER_KEY)
    assert done.returncode == 0, done.stderr
    there = await tax_ids(elsewhere, OTHER_KEY)
    assert there == await tax_ids(firm.steward)

    made = elsewhere.run("backup", str(tmp_path / "keyless.zip"), FIELD_KEY=OTHER_KEY)
    assert made.stdout.endswith(
        "\nFIELD_KEY is not in it: keep it elsewhere, for without it nobody reads the personal fields.\n"
    )
    keyless = str(tmp_path / "keyless.zip")
    before = await photograph(elsewhere)
    for wrong in ({"FIELD_KEY": THIRD_KEY}, {}):
        sentence = refused(elsewhere, "restore", keyless, "--yes", **wrong)
        assert sentence == (
            f"The personal fields in {keyless} are sealed with another key, which is not in it: set FIELD_KEY to the "
            "one that was set when it was made."
        )
    assert await photograph(elsewhere) == before
    assert elsewhere.run("restore", keyless, "--yes", FIELD_KEY=OTHER_KEY).returncode == 0
    assert await photograph(elsewhere) == before


async def test_an_older_backup_is_upgraded_and_a_newer_one_refused(elsewhere: Steward) -> None:
    old, new = elsewhere.state / "old.zip", elsewhere.state / "new.zip"
    with started(elsewhere) as server:
        assert refused(elsewhere, "backup") == (
            "The embedded database has not been set up yet: there is nothing to back up."
        )
        await change(elsewhere, ROLES)
        run_alembic_apart(server.url(), "0001")
        backed_up(elsewhere, str(old))
        await change(elsewhere, "update alembic_version set version_num = '9999'")
        backed_up(elsewhere, str(new))
    assert checked(old).revision == "0001"

    done = elsewhere.run("restore", str(old))
    assert done.stdout.endswith(f"at revision {head()}, upgraded from 0001.\n"), done.stderr
    assert elsewhere.run("migrate").stdout == "Nothing to do.\n"
    before = await photograph(elsewhere)
    assert refused(elsewhere, "restore", str(new)) == (
        f"The backup {new} is at revision 9999, newer than this version of Steward, which knows {head()}: restore it "
        "with the version that made it, or a later one."
    )
    assert await photograph(elsewhere) == before


def run_alembic_apart(url: str, revision: str) -> None:
    """In a thread: it runs an event loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run_alembic, url, revision).result()


# An index whose function stands still in the database that is being restored, at one statement of it.
HOLD: Final = """
create table holds (id int);
insert into holds values (1);
create function hold(id int) returns int immutable language plpgsql as $$
begin
    if current_database() = 'steward_fresh' and current_query() ilike '{statement}%' then
        perform pg_sleep(600);
    end if;
    return id;
end
$$;
create index holds_hold on holds (hold(id));
"""
SINCE: Final = "drop table holds; drop function hold; update households set name = 'Changed since'"
IS_HELD: Final = "select 1 from pg_stat_activity where datname = 'steward_fresh' and wait_event = 'PgSleep'"


@pytest.mark.parametrize("statement", ["create index", "analyze"], ids=["while it loads", "when the rows are there"])
async def test_a_killed_restore_leaves_the_firm_as_it_was(firm: Firm, tmp_path: Path, statement: str) -> None:
    steward, held = firm.steward, tmp_path / "held.zip"
    await change(steward, HOLD.format(statement=statement))
    backed_up(steward, str(held))
    await change(steward, SINCE)
    before = await photograph(steward)
    with begun(steward, "restore", str(held), "--yes") as restoring:
        await seen(Places.of(steward.state), IS_HELD)
        restoring.send_signal(signal.SIGKILL)
    after = await photograph(steward)
    assert {name for name in before if before[name] != after[name]} == {"databases"}

    with served(steward) as address:
        assert clients(address) == 40
    done = steward.run("restore", str(firm.backup), "--yes")
    assert done.returncode == 0, done.stderr
    assert (await photograph(steward))["databases"] == before["databases"]


def begun(steward: Steward, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "graph.cli", *arguments], cwd=ROOT, env=steward.environment())


async def seen(places: Places, statement: str) -> None:
    """Return when the statement has a row; not through a use of the server, which the restore has to itself."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            connection = await asyncpg.connect(host=str(places.sockets), user="steward", database="postgres", timeout=5)
            try:
                if await connection.fetchval(statement):
                    return
            finally:
                await connection.close()
        await asyncio.sleep(0.05)
    raise AssertionError("not in time")
