"""Mail, through a real mail server on loopback and into files."""

import asyncio
import contextlib
import email
import ipaddress
import logging
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.errors import Unavailable
from domain.mail import FileMail, Letter, Security, SmtpMail, SmtpServer, as_sender
from tests.support.post import Post, office

SENDER = as_sender("Steward <steward@firm.example>")
LINK = "https://app.example/reset-password#token=" + "s3cret-" * 9 + "x"


def letter(**given: Any) -> Letter:
    """A letter with a long link in it."""
    made = Letter(
        id=uuid4(),
        address="asha@people.example",
        name="Asha Rao",
        subject="A new password",
        text=f"Asha Rao,\n\nchoose another password here:\n\n{LINK}\n",
        written_at=datetime(2026, 1, 5, 4, 30, tzinfo=UTC),
    )
    return msgspec.structs.replace(made, **given)


class Contexts(msgspec.Struct):
    """What both ends of an encrypted conversation need."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """A certificate of our own for 127.0.0.1, and a client that trusts it and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = tmp_path_factory.mktemp("tls")
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (place / "crt").write_bytes(pem)
    (place / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place / "crt", place / "key")
    return Contexts(server, ssl.create_default_context(cadata=pem.decode()))


@pytest.fixture
def post() -> Post:
    return Post()


def mail_to(port: int, **given: Any) -> SmtpMail:
    return SmtpMail(SmtpServer("127.0.0.1", port, **{"seconds": 2.0, **given}), SENDER)


async def test_a_letter_arrives_as_it_was_written(post: Post) -> None:
    sent = letter(name="Zoë Rao", subject="Süß, \u0939\u093f", text=f"Zoë,\n\n{LINK}\n.\nfrom a line with a dot\n")
    async with office(post) as port:
        await mail_to(port, security=Security.NONE).send(sent)
    ((sender, recipients, message),) = post.arrived
    assert (sender, recipients) == ("steward@firm.example", ["asha@people.example"])
    assert str(message["From"]) == "Steward <steward@firm.example>"
    assert message["To"].addresses[0].display_name == "Zoë Rao"
    assert message["Subject"] == "Süß, \u0939\u093f"
    assert message["Message-ID"] == f"<{sent.id}@firm.example>"
    assert message["Date"].datetime == sent.written_at
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().replace("\r\n", "\n") == sent.text


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_letter_arrives_encrypted_and_signed_in(post: Post, contexts: Contexts, security: Security) -> None:
    def let_in(_: SMTP, session: Session, __: Envelope, ___: str, given: Any) -> AuthResult:
        assert session.ssl or security is Security.TLS
        assert isinstance(given, LoginPassword)
        post.users.append(given.login)
        return AuthResult(success=given.password == b"right", handled=False)

    tls: dict[str, Any] = {"ssl": contexts.server} if security is Security.TLS else {"tls_context": contexts.server}
    # aiosmtpd takes a conversation that was encrypted from its beginning for one in clear.
    wanted = {"auth_required": True} if security is Security.STARTTLS else {"auth_require_tls": False}
    async with office(post, **tls, **wanted, authenticator=let_in) as port:
        given = {"security": security, "user": "steward", "context": contexts.client}
        await mail_to(port, **given, password="right").send(letter())
        with pytest.raises(Unavailable, match="SMTPAuthenticationError") as caught:
            await mail_to(port, **given, password="wr0ng").send(letter())
    assert len(post.arrived) == 1
    assert set(post.users) == {b"steward"}
    assert "wr0ng" not in str(caught.value)


async def test_a_server_that_takes_starttls_away_gets_no_letter(post: Post, contexts: Contexts) -> None:
    async with office(post) as port:
        with pytest.raises(Unavailable, match="SMTPException"):
            await mail_to(port, security=Security.STARTTLS, context=contexts.client).send(letter())
    assert post.arrived == []


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_server_with_an_unknown_certificate_gets_no_letter(
    post: Post, contexts: Contexts, security: Security
) -> None:
    tls: dict[str, Any] = {"ssl": contexts.server} if security is Security.TLS else {"tls_context": contexts.server}
    async with office(post, **tls) as port:
        with pytest.raises(Unavailable):
            await mail_to(port, security=security).send(letter())
    assert post.arrived == []


@pytest.mark.parametrize("answer", ["451 later", "554 asha@people.example is no friend of ours"])
async def test_what_a_server_says_of_the_letter_is_not_repeated(post: Post, answer: str) -> None:
    post.answer = answer
    async with office(post) as port:
        with pytest.raises(Unavailable) as caught:
            await mail_to(port, security=Security.NONE).send(letter())
    assert str(caught.value) == "The mail server does not take letters: SMTPDataError."


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where something listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_server_that_is_not_there_or_says_nothing_is_unavailable(silent: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for dead in (port, silent):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(mail_to(dead, security=Security.NONE, seconds=0.3).send(letter()), 5)


async def test_a_file_holds_the_letter_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sent = letter()
    mail = FileMail(tmp_path / "deep" / "mail", SENDER)
    for _ in range(2):
        await mail.send(sent)
    (path,) = mail.directory.iterdir()
    assert path.name == f"{sent.id}.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(mail.directory.stat().st_mode) == 0o700
    # On a line of its own, whole, for whoever copies it.
    assert LINK in path.read_text().splitlines()
    message = email.message_from_bytes(path.read_bytes(), policy=default)
    assert message["To"].addresses[0].addr_spec == "asha@people.example"
    assert str(path) in caplog.text
    for secret in ("s3cret", "asha", "Asha"):
        assert secret not in caplog.text


async def test_letters_at_once_are_files_of_their_own(tmp_path: Path) -> None:
    mail = FileMail(tmp_path / "mail", SENDER)
    await asyncio.gather(*(mail.send(letter()) for _ in range(20)))
    assert len(list(mail.directory.glob("*.eml"))) == len(list(mail.directory.iterdir())) == 20


@pytest.mark.parametrize("show", [repr, str], ids=["repr", "str"])
def test_neither_letters_nor_servers_show_their_secrets(show: Callable[[Any], str]) -> None:
    assert "s3cret" not in show(letter())
    assert "asha" not in show(letter())
    assert "hunter2" not in show(SmtpServer("smtp.example", user="steward", password="hunter2"))


@pytest.mark.parametrize("text", ["", "steward", "Steward", "@example", "a@", "a b@example", "x" * 10 + "@"])
def test_what_is_no_sender_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        as_sender(text)


@pytest.mark.parametrize("name", ["Asha\r\nBcc: all@people.example", 'A "B" <c@d.example>, E', "x" * 200])
async def test_a_name_adds_neither_header_nor_recipient(post: Post, name: str) -> None:
    async with office(post) as port:
        # What no header can hold is refused before it is sent.
        with contextlib.suppress(ValueError):
            await mail_to(port, security=Security.NONE).send(letter(name=name))
    for _, recipients, message in post.arrived:
        assert recipients == ["asha@people.example"]
        assert message["Bcc"] is None
        assert len(message["To"].addresses) == 1
