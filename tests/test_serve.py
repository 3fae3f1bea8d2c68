"""The commands as their users run them: processes, signals, sockets and files."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded import EmbeddedServer, program
from tests.support.steward import Steward, ask, sign_in

PASSWORD = "a password of some length"


@pytest.fixture
def steward(migrated: Steward, tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state", like=migrated)
    yield made
    made.end()


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Steward]:
    """Nothing was started in it."""
    made = Steward(tmp_path / "state")
    yield made
    made.end()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Steward]:
    """As somebody has it who has just fetched it, and types the commands."""
    made = Steward(tmp_path / "state", anew=True)
    yield made
    made.end()


def create_user(steward: Steward) -> None:
    made = steward.run("create-user", "a@steward.example", "Asha Mehta", "--password-stdin", stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "a@steward.example can sign in as ADMIN.\n"


@pytest.mark.parametrize("module", ["backup", "demo_firm", "new_user", "place", "rotation", "verification"])
def test_a_command_imports_neither_schema_nor_server(module: str) -> None:
    code = (
        f"import sys, graph.cli, graph.{module}; sys.exit(bool({{'graph.schema', 'graph.server'}} & {{*sys.modules}}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_server_and_database(steward: Steward, signum: signal.Signals) -> None:
    process, address = steward.serve()
    assert urllib.request.urlopen(f"{address}/readyz", timeout=5).status == 200
    assert steward.postgres()
    process.send_signal(signum)
    assert process.wait(timeout=20) == 0
    assert not steward.postgres()


def test_a_killed_server_leaves_no_database_and_loses_no_row(fresh: Steward) -> None:
    create_user(fresh)
    process, address = fresh.serve()
    token = sign_in(address, "a@steward.example", PASSWORD)
    process.kill()
    assert fresh.gone()
    _, address = fresh.serve()
    assert ask(address, "{ viewer { name } }", token)["data"]["viewer"]["name"] == "Asha Mehta"


def test_two_servers_share_the_database_of_a_checkout(fresh: Steward) -> None:
    first, first_address = fresh.serve()
    second, second_address = fresh.serve()
    assert first_address != second_address
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=20) == 0
    assert urllib.request.urlopen(f"{second_address}/readyz", timeout=5).status == 200
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=20) == 0
    assert not fresh.postgres()


def test_a_port_that_is_taken_is_one_sentence(steward: Steward) -> None:
    _, address = steward.serve()
    port = address.rpartition(":")[2]
    refused = steward.run("serve", PORT=port)
    assert refused.returncode == 2
    assert re.fullmatch(
        rf"steward: 127\.0\.0\.1:{port} cannot be listened on \(.+\); set PORT to another\.\n", refused.stderr
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ENVIRONMENT": "production"}, "steward: JWT_SECRET: must be a random text of at least 32 characters"),
        ({"ENVIRONMENT": "production", "JWT_SECRET": "a" * 64}, "steward: JWT_SECRET: must be a random text"),
        ({"HOST": "0.0.0.0"}, "steward: JWT_SECRET: must be"),  # noqa: S104 - that it is refused is the test
        ({"JWT_SECRET": "short"}, "steward: JWT_SECRET: must be"),
        (
            {"ENVIRONMENT": "production", "JWT_SECRET": "0123456789abcdefghijklmnopqrstuv"},
            "steward: FIELD_KEY: must be 32 random bytes",
        ),
        ({"FIELD_KEY": "short"}, "steward: FIELD_KEY: must be 32 random bytes"),
        ({"PORT": "many"}, "steward: PORT: "),
        ({"LARGE_AMOUNTS": "foo"}, "steward: LARGE_AMOUNTS: must be JSON such as "),
        ({"LARGE_AMOUNTS": "[1]"}, "steward: LARGE_AMOUNTS: "),
        ({"LARGE_AMOUNTS": '{"INR": "much"}'}, "steward: LARGE_AMOUNTS: "),
        ({"LARGE_AMOUNTS": '{"rupees": "1"}'}, "steward: LARGE_AMOUNTS: "),
        ({"ALLOWED_ORIGINS": "nonsense"}, "steward: ALLOWED_ORIGINS: must be *, or origins such as "),
        ({"ALLOWED_ORIGINS": "https://a.example,https://b.example/"}, "steward: ALLOWED_ORIGINS: must be *, or "),
        ({"DATABASE_URL": "mysql://nowhere"}, "steward: DATABASE_URL: must begin with postgresql+asyncpg://"),
        ({"DATABASE_URL": "nonsense"}, "steward: DATABASE_URL: must begin with postgresql+asyncpg://"),
        ({"DATABASE_URL": "postgresql+asyncpg://u:secret@h:abc/db"}, "steward: DATABASE_URL: must begin with "),
        ({"DATABASE_URL": "postgresql+asyncpg://u:secret@h:99999/db"}, "steward: DATABASE_URL: must begin with "),
        (
            {"DATABASE_URL": "postgresql+asyncpg://steward@127.0.0.1:9/steward", "ENVIRONMENT": "development"},
            "steward: The database cannot be reached: ",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(untouched: Steward, settings: dict[str, str], sentence: str) -> None:
    refused = untouched.run("serve", **settings)
    assert refused.returncode == 2
    assert refused.stderr.startswith(sentence)
    assert refused.stderr.count("\n") == 1
    assert "secret@" not in refused.stderr


def test_a_user_that_the_rules_decline_is_one_sentence(steward: Steward) -> None:
    create_user(steward)
    again = steward.run("create-user", "A@steward.example", "Another", "--password-stdin", stdin=PASSWORD + "\n")
    short = steward.run("create-user", "b@steward.example", "Short", "--password-stdin", stdin="short\n")
    nobody = steward.run("create-user", "c@steward.example", "C", "--role", "KING", "--password-stdin", stdin=PASSWORD)
    assert again.stderr == "steward: A user has this address already.\n"
    assert short.stderr == "steward: A password has at least 12 characters.\n"
    assert nobody.stderr.startswith("steward: There is no role KING; there are ADMIN, ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--role", "SUPERVISOR"], "A user with the role SUPERVISOR needs a team."),
        (["--role", "ADVISOR", "--unit", "West"], "A user with the role ADVISOR needs a team."),
        (["--role", "VIEWER"], "A user with the role VIEWER needs a team."),
        (["--role", "BU_MANAGER"], "A user with the role BU_MANAGER needs a business unit."),
        (["--role", "CLIENT"], "A user with the role CLIENT cannot be made here."),
        (["--role", "SERVICE"], "A user with the role SERVICE cannot be made here."),
    ],
)
def test_a_user_without_its_place_is_one_sentence(untouched: Steward, options: list[str], sentence: str) -> None:
    refused = untouched.run("create-user", "a@b.example", "A", "--password-stdin", *options, stdin=PASSWORD)
    assert (refused.returncode, refused.stderr) == (2, f"steward: {sentence}\n")


def test_users_are_made_in_their_unit_and_team(steward: Steward) -> None:
    def add(email: str, role: str, *options: str) -> str:
        made = steward.run("create-user", email, "A", "--role", role, *options, "--password-stdin", stdin=PASSWORD)
        return made.stdout + made.stderr

    _, address = steward.serve()
    nowhere = add("s@steward.example", "SUPERVISOR", "--team", "Mumbai 1")
    assert nowhere == "steward: There is no team Mumbai 1; name the business unit that it is to be made in.\n"
    made = add("s@steward.example", "SUPERVISOR", "--unit", "West", "--team", "Mumbai 1", "--locale", "en_GB")
    assert made == "s@steward.example can sign in as SUPERVISOR.\n"
    assert "can sign in" in add("v@steward.example", "VIEWER", "--team", "Mumbai 1", "--time-zone", "Asia/Dubai")
    assert "can sign in" in add("m@steward.example", "BU_MANAGER", "--unit", "West")
    elsewhere = add("x@steward.example", "VIEWER", "--unit", "East", "--team", "Mumbai 1")
    assert elsewhere == "steward: The team Mumbai 1 is in another business unit.\n"
    assert "not a time zone" in add("x@steward.example", "ADMIN", "--time-zone", "Mars/Olympus")
    assert "not a locale" in add("x@steward.example", "ADMIN", "--locale", "english")
    seen = []
    for email in ("s@steward.example", "v@steward.example", "m@steward.example"):
        token = sign_in(address, email, PASSWORD)
        query = "{ viewer { user { locale timeZone team { name } unit { name } } } }"
        seen.append(ask(address, query, token)["data"]["viewer"]["user"])
    team, unit = {"name": "Mumbai 1"}, {"name": "West"}
    assert seen == [
        {"locale": "en_GB", "timeZone": "Asia/Kolkata", "team": team, "unit": unit},
        {"locale": "en_IN", "timeZone": "Asia/Dubai", "team": team, "unit": unit},
        {"locale": "en_IN", "timeZone": "Asia/Kolkata", "team": None, "unit": unit},
    ]


def test_migrating_twice_does_nothing(fresh: Steward) -> None:
    first, second = fresh.run("migrate"), fresh.run("migrate")
    assert first.stdout == "The database is at the newest revision.\n"
    assert second.stdout == "Nothing to do.\n"


def test_an_outside_database_is_not_filled_unasked(untouched: Steward) -> None:
    refused = untouched.run(
        "demo", DATABASE_URL="postgresql+asyncpg://steward@127.0.0.1:9/steward", ENVIRONMENT="development"
    )
    assert refused.returncode == 2
    assert "--yes" in refused.stderr


def test_a_production_database_is_not_filled_unasked(untouched: Steward) -> None:
    secrets = {
        "JWT_SECRET": "vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e",
        "FIELD_KEY": "c3Rld2FyZC1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk=",
    }
    refused = untouched.run("demo", ENVIRONMENT="production", **secrets)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert not untouched.state.exists()


def test_an_outside_database_is_served_as_production(untouched: Steward, cluster: EmbeddedServer) -> None:
    subprocess.run(
        [program("psql"), "-h", cluster.host, "-U", "steward", "-d", "postgres", "-qc", "create database outside"],
        check=True,
    )
    secrets = {
        "JWT_SECRET": "vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e",
        "FIELD_KEY": "c3Rld2FyZC1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk=",
    }
    outside = {"DATABASE_URL": cluster.url("outside"), "DEMO": "true", **secrets}
    made = untouched.run(
        "create-user", "a@steward.example", "Asha", "--password-stdin", stdin=PASSWORD + "\n", **outside
    )
    assert made.returncode == 0, made.stderr
    process, address = untouched.serve(**outside)
    token = sign_in(address, "a@steward.example", PASSWORD)
    # No demo firm was made, and the anonymous cannot read the schema.
    assert ask(address, "{ clients { totalCount } }", token)["data"]["clients"]["totalCount"] == 0
    assert "errors" in ask(address, "{ __schema { queryType { name } } }")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert not untouched.postgres()
