"""Encryption on the way: TLS 1.3 and nothing older, and a certificate that is renewed without a restart."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from graph.settings import Environment, Settings, SettingsError
from graph.tls import Certificate
from tests.conftest import Databases
from tests.support.probing import PATIENCE, SECRETS, Target, started


class Pair(msgspec.Struct, frozen=True):
    """Where a certificate and its key lie."""

    chain: Path
    key: Path

    def write(self, *, days: int = 1) -> None:
        """Make a new key, and a certificate that it signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "steward.test")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
            .sign(key, hashes.SHA256())
        )
        plain = serialization.NoEncryption()
        encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        # In this order: the server looks at both whenever it looks.
        self.key.write_bytes(encoded)
        self.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def trusted(self) -> ssl.SSLContext:
        """A client that takes this very certificate, and no other."""
        return ssl.create_default_context(cafile=str(self.chain))

    @property
    def serial(self) -> int:
        """The number of the certificate."""
        return x509.load_pem_x509_certificate(self.chain.read_bytes()).serial_number


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    home = tmp_path_factory.mktemp("tls")
    made = Pair(home / "tls.crt", home / "tls.key")
    made.write()
    return made


@pytest.fixture(scope="module")
async def encrypted(
    databases: Databases, pair: Pair, target: Target, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    """A server process that speaks TLS."""
    files = {"TLS_CERTIFICATE": str(pair.chain), "TLS_KEY": str(pair.key)}
    async with databases.clone() as url, started(tmp_path_factory.mktemp("server"), target.make, url, **files) as made:
        yield made


def handshake(target: Target, context: ssl.SSLContext) -> tuple[str | None, int]:
    """The version that was agreed on, and the number of the server's certificate."""
    host, port = target.host.split(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        given = wrapped.getpeercert(binary_form=True)
        assert given
        return wrapped.version(), x509.load_der_x509_certificate(given).serial_number


async def test_https_is_served_and_browsers_are_told_to_stay(encrypted: Target, pair: Pair) -> None:
    assert encrypted.url.startswith("https://")
    async with httpx.AsyncClient(base_url=encrypted.url, verify=pair.trusted()) as http:
        answer = await http.post("/graphql", json={"query": "{ __typename }"})
    assert answer.json()["data"] == {"__typename": "Query"}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_wss_is_served(encrypted: Target, pair: Pair) -> None:
    url = f"wss://{encrypted.host}/graphql"
    async with connect(url, ssl=pair.trusted(), subprotocols=[Subprotocol("graphql-transport-ws")]) as opened:
        await opened.send('{"type": "connection_init"}')
        assert json.loads(await opened.recv()) == {"type": "connection_ack"}


def test_the_version_is_1_3(encrypted: Target, pair: Pair) -> None:
    assert handshake(encrypted, pair.trusted())[0] == "TLSv1.3"


def test_version_1_2_is_refused(encrypted: Target, pair: Pair) -> None:
    context = pair.trusted()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    # Some event loops close without saying why.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(encrypted, context)


async def test_what_comes_in_clear_is_not_answered(encrypted: Target) -> None:
    host, port = encrypted.host.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert b"HTTP/1.1 200" not in answer


async def test_a_certificate_is_renewed_while_the_server_runs(encrypted: Target, pair: Pair) -> None:
    before = handshake(encrypted, pair.trusted())[1]
    pair.write(days=2)
    assert pair.serial != before
    assert handshake(encrypted, pair.trusted()) == ("TLSv1.3", pair.serial)


async def test_half_a_renewal_keeps_the_certificate_from_before(encrypted: Target, pair: Pair) -> None:
    serial, whole = pair.serial, pair.chain.read_bytes()
    trusted = pair.trusted()
    pair.chain.write_bytes(b"half of it")
    assert handshake(encrypted, trusted) == ("TLSv1.3", serial)
    assert "The certificate from before stays." in encrypted.logged()
    pair.chain.unlink()
    assert handshake(encrypted, trusted) == ("TLSv1.3", serial)
    pair.chain.write_bytes(whole)
    assert handshake(encrypted, trusted) == ("TLSv1.3", serial)


def broken(pair: Pair, home: Path) -> Iterator[tuple[Path, Path]]:
    """Files that are no certificate with its key."""
    other = Pair(home / "other.crt", home / "other.key")
    other.write()
    (home / "empty").write_bytes(b"")
    yield pair.chain, home / "missing"
    yield home / "missing", pair.key
    yield pair.chain, other.key
    yield pair.key, pair.chain
    yield home / "empty", pair.key
    yield home, pair.key
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    (home / "locked").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    yield pair.chain, home / "locked"


def test_files_that_are_no_good_stop_the_start_in_one_sentence(pair: Pair, tmp_path: Path) -> None:
    for chain, key in broken(pair, tmp_path):
        with pytest.raises(SettingsError) as told:
            Certificate(chain, key)
        assert str(told.value).startswith("TLS_CERTIFICATE, TLS_KEY: ")
        assert "\n" not in str(told.value)


def on(host: str, **more: str) -> Settings:
    secrets = {name.lower(): value for name, value in SECRETS.items()}
    return Settings.model_validate({"environment": Environment.PRODUCTION, "host": host, **secrets, **more})


def test_only_what_a_network_may_read_is_warned_of() -> None:
    assert on("0.0.0.0").exposed  # noqa: S104 - that it is warned of is the test
    assert on("::").exposed
    assert on("steward.example").exposed
    assert not on("127.0.0.1").exposed
    assert not on("::1").exposed
    assert not on("localhost").exposed
    assert not on("10.0.0.7", trusted_proxies="10.0.0.1").exposed
    assert not on("10.0.0.7", tls_certificate="a", tls_key="b").exposed


async def test_whoever_serves_a_network_in_clear_is_told_once(
    databases: Databases, target: Target, tmp_path: Path
) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - as above
    async with (
        databases.clone() as url,
        started(tmp_path, target.make, url, HOST=everywhere, TRUSTED_PROXIES="") as exposed,
    ):
        assert exposed.logged().count("is served without TLS") == 1
    assert "is served without TLS" not in target.logged()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"tls_certificate": "/a"}, "TLS_CERTIFICATE: goes with TLS_KEY; set both or neither."),
        ({"tls_key": "/a"}, "TLS_CERTIFICATE: goes with TLS_KEY; set both or neither."),
        ({"trusted_proxies": "proxy.example"}, "must be addresses or networks such as 10.0.0.5 or 10.0.0.0/8, not "),
        ({"trusted_proxies": "10.0.0.1,*"}, "must be addresses or networks"),
        ({"trusted_proxies": "0.0.0.0/0"}, "must be addresses or networks"),
        ({"trusted_proxies": "::/0"}, "must be addresses or networks"),
        ({"trusted_proxies": "10.0.0.1/8"}, "must be addresses or networks"),
        ({"introspection": "maybe"}, "'open', 'signed-in' or 'off'"),
    ],
)
def test_settings_that_would_not_do_what_they_say_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match="1 validation error") as told:
        on("127.0.0.1", **given)
    assert sentence in str(told.value)
