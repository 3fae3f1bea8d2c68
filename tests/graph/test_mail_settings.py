"""What the settings make of mail."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from domain.mail import FileMail, Security, SmtpMail, SmtpServer
from graph.settings import Environment, Settings


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, environment=Environment.DEVELOPMENT, **given)  # type: ignore[call-arg] # pydantic's own


def server_of(given: Settings, directory: Path) -> SmtpServer:
    mail = given.mail(directory)
    assert isinstance(mail, SmtpMail)
    return mail._server  # noqa: SLF001 - what the settings have made of it


def test_letters_are_files_beside_the_database_unless_there_is_a_mail_server(tmp_path: Path) -> None:
    given = settings(state_directory=tmp_path)
    mail = given.mail(given.mail_directory)
    assert isinstance(mail, FileMail)
    assert mail.directory == tmp_path / "mail"


def test_a_mail_server_is_spoken_to_by_starttls(tmp_path: Path) -> None:
    server = server_of(settings(smtp_host="smtp.example"), tmp_path)
    assert (server.host, server.port, server.user, server.password) == ("smtp.example", 587, None, None)
    assert server.security is Security.STARTTLS


def test_its_password_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text("hunter2\n")
    given = settings(
        smtp_host="smtp.example", smtp_port=465, smtp_security="tls", smtp_user="steward", smtp_password_file=secret
    )
    server = server_of(given, tmp_path)
    assert (server.port, server.user, server.password, server.security) == (465, "steward", "hunter2", Security.TLS)
    assert "hunter2" not in repr(given)


@pytest.mark.parametrize(
    "given",
    [
        {"smtp_user": "steward"},
        {"smtp_password": "hunter2"},
        {"smtp_user": "steward", "smtp_password": "hunter2", "smtp_security": "none"},
        {"smtp_security": "ssl"},
        {"smtp_port": 0},
        {"mail_from": "nobody"},
        {"public_url": "app.example"},
        {"public_url": "ftp://app.example"},
        {"public_url": "https://user@app.example"},
        {"public_url": "https://app.example/?a"},
        {"public_url": "https://app.example/#a"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "::1", "port": 9}, "http://[::1]:9"),
        ({"host": "::"}, "http://localhost:8000"),
        ({"tls_certificate": "tls.crt", "tls_key": "tls.key"}, "https://127.0.0.1:8000"),
        ({"public_url": "https://app.example/desk/"}, "https://app.example/desk"),
    ],
)
def test_links_lead_to_the_frontend(given: dict[str, Any], base: str) -> None:
    assert settings(**given).link_base == base
