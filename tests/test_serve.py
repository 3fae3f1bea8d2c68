"""The commands as their users run them: processes, signals, sockets and files."""

import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded import EmbeddedServer, program
from tests.support.steward import Steward, ask, sign_in

PASSWORD = "a password of some length"


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    made = Steward(tmp_path / "state")
    yield made
    made.end()


def create_user(steward: Steward) -> None:
    made = steward.run("create-user", "a@steward.example", "Asha Mehta", "--password-stdin", stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "a@steward.example can sign in as ADMIN.\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_server_and_database(steward: Steward, signum: signal.Signals) -> None:
    process, address = steward.serve()
    assert urllib.request.urlopen(f"{address}/readyz", timeout=5).status == 200
    assert steward.postgres()
    process.send_signal(signum)
    assert process.wait(timeout=20) == 0
    assert not steward.postgres()


def test_a_killed_server_leaves_no_database_and_loses_no_row(steward: Steward) -> None:
    create_user(steward)
    process, address = steward.serve()
    token = sign_in(address, "a@steward.example", PASSWORD)
    process.kill()
    assert steward.gone()
    _, address = steward.serve()
    assert ask(address, "{ viewer { name } }", token)["data"]["viewer"]["name"] == "Asha Mehta"


def test_two_servers_share_the_database_of_a_checkout(steward: Steward) -> None:
    first, first_address = steward.serve()
    second, second_address = steward.serve()
    assert first_address != second_address
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=20) == 0
    assert urllib.request.urlopen(f"{second_address}/readyz", timeout=5).status == 200
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=20) == 0
    assert not steward.postgres()


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
        ({"ENVIRONMENT": "production"}, "steward: JWT_SECRET must be a random text of at least 32 characters"),
        ({"ENVIRONMENT": "production", "JWT_SECRET": "a" * 64}, "steward: JWT_SECRET must be a random text"),
        ({"HOST": "0.0.0.0"}, "steward: JWT_SECRET must be"),  # noqa: S104 - that it is refused is the test
        ({"JWT_SECRET": "short"}, "steward: JWT_SECRET must be"),
        (
            {"ENVIRONMENT": "production", "JWT_SECRET": "0123456789abcdefghijklmnopqrstuv"},
            "steward: FIELD_KEY must be 32 random bytes",
        ),
        ({"PORT": "many"}, "steward: PORT: "),
        ({"DATABASE_URL": "mysql://nowhere"}, "steward: DATABASE_URL must begin with postgresql+asyncpg://"),
        (
            {"DATABASE_URL": "postgresql+asyncpg://steward@127.0.0.1:9/steward", "ENVIRONMENT": "development"},
            "steward: The database cannot be reached: ",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(steward: Steward, settings: dict[str, str], sentence: str) -> None:
    refused = steward.run("serve", **settings)
    assert refused.returncode == 2
    assert refused.stderr.startswith(sentence)
    assert refused.stderr.count("\n") == 1


def test_a_user_that_the_rules_decline_is_one_sentence(steward: Steward) -> None:
    create_user(steward)
    again = steward.run("create-user", "A@steward.example", "Another", "--password-stdin", stdin=PASSWORD + "\n")
    short = steward.run("create-user", "b@steward.example", "Short", "--password-stdin", stdin="short\n")
    nobody = steward.run("create-user", "c@steward.example", "C", "--role", "KING", "--password-stdin", stdin=PASSWORD)
    assert again.stderr == "steward: A user has this address already.\n"
    assert short.stderr == "steward: A password has at least 12 characters.\n"
    assert nobody.stderr.startswith("steward: There is no role KING; there are ADMIN, ")


def test_migrating_twice_does_nothing(steward: Steward) -> None:
    first, second = steward.run("migrate"), steward.run("migrate")
    assert first.stdout == "The database is at the newest revision.\n"
    assert second.stdout == "Nothing to do.\n"


def test_an_outside_database_is_not_filled_unasked(steward: Steward) -> None:
    refused = steward.run(
        "demo", DATABASE_URL="postgresql+asyncpg://steward@127.0.0.1:9/steward", ENVIRONMENT="development"
    )
    assert refused.returncode == 2
    assert "--yes" in refused.stderr


def test_an_outside_database_is_served_as_production(steward: Steward, cluster: EmbeddedServer) -> None:
    subprocess.run(
        [program("psql"), "-h", cluster.host, "-U", "steward", "-d", "postgres", "-qc", "create database outside"],
        check=True,
    )
    secrets = {
        "JWT_SECRET": "vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e",
        "FIELD_KEY": "c3Rld2FyZC1maWVsZC1rZXktZm9yLXRlc3RzLW9ubHk=",
    }
    outside = {"DATABASE_URL": cluster.url("outside"), "DEMO": "true", **secrets}
    made = steward.run("create-user", "a@steward.example", "Asha", "--password-stdin", stdin=PASSWORD + "\n", **outside)
    assert made.returncode == 0, made.stderr
    process, address = steward.serve(**outside)
    token = sign_in(address, "a@steward.example", PASSWORD)
    # No demo firm was made, and the anonymous cannot read the schema.
    assert ask(address, "{ clients { totalCount } }", token)["data"]["clients"]["totalCount"] == 0
    assert "errors" in ask(address, "{ __schema { queryType { name } } }")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert not steward.postgres()
