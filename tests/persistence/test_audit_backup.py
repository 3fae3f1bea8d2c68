"""The command that verifies the trail, its log, and backups that keep verifying, as their users run them."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from persistence.database import driver_arguments
from tests.support.backups import EMAIL, PASSWORD, backed_up, started
from tests.support.steward import Steward, ask, sign_in

INTACT = re.compile(r"The audit trail is as it was sealed: ([\d,]+) rows under ([\d,]+) seals(?: and the log)?\.")


class Firm:
    """A demo firm in which something was done, and the log of the server that it was done on."""

    def __init__(self, steward: Steward, directory: Path) -> None:
        self.steward = steward
        self.log = directory / "server.log"
        made = steward.run("demo", "--clients", "10")
        assert made.returncode == 0, made.stderr
        self.work()

    def work(self) -> None:
        """Serve, and do something."""
        process, address = self.steward.serve(LOG_FORMAT="text")
        token = sign_in(address, EMAIL, PASSWORD)
        query = "{ books(first: 1) { nodes { id } } }"
        book = ask(address, query, token)["data"]["books"]["nodes"][0]["id"]
        mutation = "mutation ($i: CreateHouseholdInput!) { createHousehold(input: $i) { userErrors { code } } }"
        for name in ("One", "Two", "Three"):
            answer = ask(address, mutation, token, i={"bookId": book, "name": name})
            assert answer["data"]["createHousehold"] == {"userErrors": []}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        with self.log.open("a", encoding="utf-8") as file:
            file.write(self.steward.printed(process))

    async def tamper(self, script: str) -> None:
        """Run a script past all triggers."""
        with started(self.steward) as server:
            connection = await asyncpg.connect(**driver_arguments(server.url()))
            await connection.execute(f"set session_replication_role = replica; {script}")
            await connection.close()


@pytest.fixture(scope="module")
def firm(migrated: Steward, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    steward = Steward(tmp_path_factory.mktemp("trail") / "state", like=migrated)
    try:
        yield Firm(steward, tmp_path_factory.mktemp("logs"))
    finally:
        steward.end()


def intact(steward: Steward, *arguments: str) -> tuple[str, str]:
    """How many rows under how many seals there are, of a trail in which nothing is amiss."""
    done = steward.run("verify-audit", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found = INTACT.fullmatch(done.stdout.strip().splitlines()[-1])
    assert found, done.stdout
    return found[1], found[2]


async def test_a_trail_verifies_here_and_after_a_restore_and_a_cut_tail_shows(firm: Firm, tmp_path: Path) -> None:
    seals = re.findall(r"seal (\d+) [0-9a-f]{64} of \d+ rows", firm.log.read_text(encoding="utf-8"))
    assert seals
    assert [int(seal) for seal in seals] == list(range(1, len(seals) + 1))
    before = intact(firm.steward, "--from-log", str(firm.log))
    # Nothing was left waiting when the server ended.
    assert before[1] == str(len(seals))
    backup = backed_up(firm.steward)
    firm.work()
    after = intact(firm.steward, "--from-log", str(firm.log))
    assert int(after[0]) > int(before[0])
    restored = firm.steward.run("restore", str(backup), "--yes")
    assert restored.returncode == 0, restored.stderr
    assert intact(firm.steward) == before
    # What was done since is gone, and the log says so.
    done = firm.steward.run("verify-audit", "--from-log", str(firm.log))
    assert done.returncode == 1
    assert f"Seal {after[1]} stands in the log and is missing." in done.stdout
    # It goes on from there; the log tells the two lines of history apart.
    firm.work()
    assert int(intact(firm.steward)[0]) > int(before[0])
    assert (
        "is another one than stands in the log" in firm.steward.run("verify-audit", "--from-log", str(firm.log)).stdout
    )
    elsewhere = Steward(tmp_path / "elsewhere")
    try:
        assert elsewhere.run("restore", str(backup)).returncode == 0
        assert intact(elsewhere) == before
    finally:
        elsewhere.end()


async def test_what_was_tampered_with_is_named_by_the_command(firm: Firm) -> None:
    await firm.tamper("update audit_events set action = 'x' where id = (select id from audit_events limit 1)")
    done = firm.steward.run("verify-audit")
    assert done.returncode == 1
    lines = done.stdout.strip().splitlines()
    assert lines[-2].endswith("1 findings.")
    assert re.fullmatch(r"Row audit_[0-9a-f]{32} \(seal \d+\) was altered after it was sealed\.", lines[-1])
    await firm.tamper("delete from audit_events where action = 'x'")
    assert "is missing." in firm.steward.run("verify-audit").stdout


def test_a_log_that_is_not_there_is_said_to_be_none(firm: Firm, tmp_path: Path) -> None:
    done = firm.steward.run("verify-audit", "--from-log", str(tmp_path / "nothing.log"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"steward: The log {tmp_path}/nothing.log cannot be read")
