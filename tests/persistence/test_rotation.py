"""Exchange of the firm's key, beside whoever works, killed and gone on with."""

import asyncio
import base64
import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import pytest
from cryptography.exceptions import InvalidTag

from domain.access import SYSTEM, Role
from graph.context import Services
from graph.settings import ROOT, Environment, Settings
from persistence.embedded import EmbeddedServer
from persistence.keyring import KeyRing, fingerprint
from persistence.rotation import Check, Rotation, check, rotate
from persistence.vault import Vault
from tests.factories.firm import Make
from tests.support.backups import backed_up, refused, started
from tests.support.gql import Gql
from tests.support.stage import staged
from tests.support.steward import Steward
from tests.support.story import DETAILS, Story

OLD, NEW, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
BOTH: Final = KeyRing(NEW, OLD)
UNDER: Final = "select count(*) from person_keys where key_id = $1"


async def sealed(services: Services, ring: KeyRing, persons: list[UUID]) -> dict[UUID, bytes]:
    """A text of each person, as a server with these keys seals it."""
    async with services.doors.database.lend(SYSTEM) as lent:
        vault = Vault(lent, ring)
        return {person: await vault.seal(person, f"the text of {person}") for person in persons}


async def opened(services: Services, ring: KeyRing, texts: dict[UUID, bytes]) -> bool:
    """Whether a server with these keys opens them all."""
    async with services.doors.database.lend(SYSTEM) as lent:
        vault = Vault(lent, ring)
        return all([await vault.open(person, text) == f"the text of {person}" for person, text in texts.items()])


async def test_afterwards_the_new_key_alone_opens_everything(make: Make, services: Services, database_url: str) -> None:
    persons = [make.new_id() for _ in range(60)]
    texts = await sealed(services, KeyRing(OLD), persons)
    # As it was before keys were told apart.
    await make.connection.execute("update person_keys set key_id = null where person_id = any($1)", persons[::7])
    assert await check(database_url, BOTH) == Check(60, 60)

    assert await rotate(database_url, BOTH, make.now, batch=7) == Rotation(60, 0)

    assert await opened(services, KeyRing(NEW), texts)
    assert await check(database_url, BOTH, batch=7) == Check(60, 0)
    with pytest.raises(InvalidTag):
        await opened(services, KeyRing(OLD), texts)
    assert await rotate(database_url, BOTH, make.now) == Rotation(0, 0)
    told = await make.connection.fetchval("select after from audit_events where action = 'command.rotate_field_key'")
    assert msgspec.json.decode(told) == {"key_id": fingerprint(NEW), "resealed": 60, "lost": 0}


async def test_a_key_that_nobody_has_is_told_of_and_keeps_no_others(
    make: Make, services: Services, database_url: str
) -> None:
    known = await sealed(services, KeyRing(OLD), [make.new_id() for _ in range(10)])
    lost = await sealed(services, KeyRing(THIRD), [make.new_id() for _ in range(3)])
    assert await rotate(database_url, BOTH, make.now, batch=2) == Rotation(10, 3)
    assert await check(database_url, BOTH) == Check(13, 3)
    assert await opened(services, KeyRing(NEW), known)
    assert await rotate(database_url, KeyRing(NEW, THIRD), make.now) == Rotation(3, 0)
    assert await opened(services, KeyRing(NEW), known | lost)


async def test_a_destroyed_key_stays_destroyed(make: Make, services: Services, database_url: str) -> None:
    persons = [make.new_id() for _ in range(3)]
    texts = await sealed(services, KeyRing(OLD), persons)
    async with services.doors.database.lend(SYSTEM) as lent:
        assert await Vault(lent, KeyRing(OLD)).destroy(persons[0], make.now)
    gone = {persons[0]: texts.pop(persons[0])}
    assert await rotate(database_url, BOTH, make.now) == Rotation(2, 0)
    assert await check(database_url, BOTH) == Check(2, 0)
    assert await opened(services, KeyRing(NEW), texts)
    with pytest.raises(InvalidTag):
        await opened(services, BOTH, gone)


async def test_to_open_makes_no_key(make: Make, services: Services) -> None:
    with pytest.raises(InvalidTag):
        await opened(services, BOTH, {make.new_id(): b"x" * 40})
    assert await make.connection.fetchval("select count(*) from person_keys") == 0


KILLED: Final = """
import asyncio, sys
from datetime import UTC, datetime
from persistence.keyring import KeyRing
from persistence.rotation import rotate
ring = KeyRing(bytes([2]) * 32, bytes([1]) * 32)
asyncio.run(rotate(sys.argv[1], ring, datetime.now(UTC), batch=1))
"""


async def test_a_killed_one_is_gone_on_with(make: Make, services: Services, database_url: str) -> None:
    texts = await sealed(services, KeyRing(OLD), [make.new_id() for _ in range(400)])
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, database_url, cwd=ROOT)
    async with asyncio.timeout(60):
        while not await make.connection.fetchval(UNDER, fingerprint(NEW)):
            pass
    process.kill()
    await process.wait()
    done = await make.connection.fetchval(UNDER, fingerprint(NEW))
    assert 0 < done < 400
    assert await opened(services, BOTH, texts)
    assert await check(database_url, BOTH) == Check(400, 400 - done)
    assert await rotate(database_url, BOTH, make.now) == Rotation(400 - done, 0)
    assert await opened(services, KeyRing(NEW), texts)


async def test_servers_work_on_beside_it(make: Make, services: Services, database_url: str) -> None:
    texts = await sealed(services, KeyRing(OLD), [make.new_id() for _ in range(60)])
    working = True

    async def server(ring: KeyRing) -> None:
        while working:
            # New ones come in, some by servers that have not been started anew, and all are read.
            texts.update(await sealed(services, ring, [make.new_id()]))
            assert await opened(services, BOTH, dict(texts))

    servers = [asyncio.create_task(server(ring)) for ring in (KeyRing(OLD, NEW), BOTH)]
    await rotate(database_url, BOTH, make.now, batch=1)
    working = False
    await asyncio.gather(*servers)
    await rotate(database_url, BOTH, make.now)
    assert len(texts) > 60
    assert await check(database_url, BOTH) == Check(len(texts), 0)
    assert await opened(services, KeyRing(NEW), texts)


async def test_tax_ids_and_the_trail_open_afterwards(
    gql: Gql, make: Make, settings: Settings, database_url: str, cluster: EmbeddedServer
) -> None:
    home = Path(cluster.home)
    admin = await make.user(Role.ADMIN)
    given = await Story(make, gql.as_(admin), admin).create_client()
    assert (await gql.as_(admin).change("createClient", "client { id }", **given))["userErrors"] == []
    client_id = await make.connection.fetchval("select id from clients")
    ring = KeyRing(NEW, settings.field_key_bytes(home))
    assert (await rotate(database_url, ring, make.now)).lost == 0
    own = {"environment": Environment.DEVELOPMENT, "state_directory": home, "field_key": text(NEW)}
    alone = Settings.model_validate(own)
    async with staged(alone, database_url, home) as stage:
        asked = {"clientId": f"client_{client_id.hex}", "reason": "Asked for by the tax office."}
        assert (await stage.gql.as_(admin).change("revealTaxId", "taxId", **asked))["taxId"] == DETAILS["taxId"]
        told = await make.connection.fetchval(
            "select after from audit_events where object_type = 'Client' and object_id = $1", client_id
        )
        name = b64decode(msgspec.json.decode(told)["name"]["sealed"])
        async with stage.services.doors.database.lend(SYSTEM) as lent:
            assert await Vault(lent, KeyRing(NEW)).open(client_id, name) == '"Zyxwvut Qponm"'


def text(key: bytes) -> str:
    """A key as the settings take it."""
    return base64.urlsafe_b64encode(key).decode()


@pytest.fixture
def steward(migrated: Steward, tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state", like=migrated)
    yield made
    made.end()


async def test_the_command_says_what_it_did_and_backups_stay_good(steward: Steward, tmp_path: Path) -> None:
    before = {"FIELD_KEY": text(OLD)}
    during = {"FIELD_KEY": text(NEW), "FIELD_KEYS_OLD": text(OLD)}
    after = {"FIELD_KEY": text(NEW)}
    # Beside a database that is in use, as by a server.
    with started(steward):
        assert steward.run("demo", "--clients", "40", **before).returncode == 0
        backup = backed_up(steward, str(tmp_path / "old.zip"), **before)
        needed = steward.run("rotate-field-key", "--check", **during)
        keys = int(re.findall(r"of (\d+) persons' keys need an older key", needed.stdout)[0])
        assert (needed.returncode, keys >= 40) == (1, True)
        done = steward.run("rotate-field-key", **during)
        assert done.stdout.startswith(f"{keys} persons' keys were sealed anew with FIELD_KEY.")
        lost = steward.run("rotate-field-key", FIELD_KEY=text(THIRD))
        assert lost.returncode == 1
        assert f"{keys} could not be opened: name the key that opens them in FIELD_KEYS_OLD" in lost.stdout
    assert "sealed with another key, which is not in it" in refused(steward, "restore", str(backup), "--yes", **after)
    restored = steward.run("restore", str(backup), "--yes", **during)
    assert restored.returncode == 0, restored.stderr
    checked = steward.run("rotate-field-key", "--check", **after)
    assert (checked.returncode, checked.stdout.startswith(f"FIELD_KEY alone opens all {keys} ")) == (0, True)
