"""Secrets from files, and the providers of sign-in, as settings state them."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.providers import ProviderKind
from graph import secret_settings
from graph.settings import ROOT, Settings, SettingsError, load_settings

KEY, OLD = (base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in (1, 2))
SECRET, OLDER = "vX0c9Yq2Zk7bTn4wRf6hLd8mSa1pUj3e", "eJ3pUa1mSd8hLf6wRn4tTb7kZq2cYx0v"


@pytest.fixture
def held(tmp_path: Path) -> Callable[..., Path]:
    """Puts a secret into a file."""

    def put(text: str, name: str = "secret", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        path.chmod(mode)
        return path

    return put


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither an environment nor a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, **settings: str | Path) -> Settings:
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **settings: str | Path) -> str:
    with pytest.raises(SettingsError) as wrong:
        loaded(monkeypatch, **settings)
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path], end: str) -> None:
    found = loaded(
        monkeypatch,
        JWT_SECRET_FILE=held(SECRET + end, "jwt"),
        JWT_SECRETS_OLD_FILE=held(OLDER + end, "older"),
        FIELD_KEY_FILE=held(KEY + end, "key"),
        FIELD_KEYS_OLD_FILE=held(f"{OLD}\n{KEY}{end}", "keys"),
        DATABASE_URL_FILE=held(f"postgresql+asyncpg://steward:secret@db.example/steward{end}", "url"),
    )
    assert found.signing_secret(Path("unused")) == SECRET
    assert found.older_signing_secrets == (OLDER,)
    assert found.key_ring(Path("unused")).keys == (bytes([1]) * 32, bytes([2]) * 32, bytes([1]) * 32)
    assert found.database_url == "postgresql+asyncpg://steward:secret@db.example/steward"
    # What lies in files is as much production as what does not.
    assert not found.development


def test_every_secret_can_lie_in_a_file_and_the_example_says_so() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in (
        "database_url",
        "jwt_secret",
        "jwt_secrets_old",
        "field_key",
        "field_keys_old",
        "smtp_password",
        "openai_api_key",
        "models",
    ):
        assert f"{name}_file" in Settings.model_fields
        assert f"{name.upper()}_FILE" in example
    assert "SIGN_IN_PROVIDERS_FILE" in example


def test_a_password_of_mail_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path]) -> None:
    found = loaded(monkeypatch, SMTP_USER="steward", SMTP_PASSWORD_FILE=held("of the mail\n"))
    assert found.smtp_password
    assert found.smtp_password.get_secret_value() == "of the mail"


def test_a_file_beside_the_secret_is_one_too_many(monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path]) -> None:
    sentence = refused(monkeypatch, JWT_SECRET=OLDER, JWT_SECRET_FILE=held(SECRET))
    assert sentence == "JWT_SECRET_FILE: JWT_SECRET is set too; set one of the two."


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o666])
def test_a_file_that_others_can_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path], mode: int
) -> None:
    path = held(SECRET, mode=mode)
    assert refused(monkeypatch, JWT_SECRET_FILE=path) == (
        f"JWT_SECRET_FILE: the file {path} is open to others than its owner and group; close it, as by: "
        f"chmod 600 {path}"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_file_that_its_owner_and_group_read_is_not(
    monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path], mode: int
) -> None:
    assert loaded(monkeypatch, JWT_SECRET_FILE=held(SECRET, mode=mode)).signing_secret(Path("unused")) == SECRET


def test_what_docker_mounts_may_be_read_by_all_in_the_container(
    monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path], tmp_path: Path
) -> None:
    monkeypatch.setattr(secret_settings, "MOUNTED", tmp_path)
    assert loaded(monkeypatch, JWT_SECRET_FILE=held(SECRET, mode=0o444)).jwt_secret
    assert "is open to others" in refused(monkeypatch, JWT_SECRET_FILE=held(SECRET, mode=0o446))


def test_what_is_no_such_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path], tmp_path: Path
) -> None:
    nowhere = tmp_path / "none"
    for path, problem in (
        (nowhere, "cannot be read: No such file or directory."),
        (tmp_path, "cannot be read: Is a directory."),
        (held("\n", "empty"), "is empty."),
        (held("x" * 70_000, "large"), "is too large."),
    ):
        assert refused(monkeypatch, FIELD_KEY_FILE=path) == f"FIELD_KEY_FILE: the file {path} {problem}"
    held("").write_bytes(b"\xff\xfe")
    assert refused(monkeypatch, FIELD_KEY_FILE=tmp_path / "secret").endswith("does not hold a text.")


def test_what_a_file_holds_is_checked_as_ever_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path]
) -> None:
    sentence = refused(monkeypatch, JWT_SECRET_FILE=held("short"))
    assert sentence.startswith("JWT_SECRET: must be a random text of at least 32 characters")
    assert "short" not in sentence


def test_older_secrets_go_with_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = refused(monkeypatch, FIELD_KEYS_OLD=OLD)
    assert sentence == "FIELD_KEYS_OLD: goes with FIELD_KEY, which is the one in use."
    monkeypatch.delenv("FIELD_KEYS_OLD")
    assert refused(monkeypatch, JWT_SECRETS_OLD=OLDER).startswith("JWT_SECRETS_OLD: goes with JWT_SECRET")


@pytest.mark.parametrize("name", ["JWT_SECRETS_OLD", "FIELD_KEYS_OLD"])
def test_each_of_the_older_ones_is_checked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sentence = refused(monkeypatch, JWT_SECRET=SECRET, FIELD_KEY=KEY, **{name: f"{OLD if 'KEYS' in name else OLDER},x"})
    assert sentence.startswith(f"{name}: must be ")


GOOGLE = {"preset": "google", "clientId": "id", "clientSecret": "hush", "redirectUri": "https://app.example/in"}
BANK = {
    "issuer": "https://login.bank.example",
    "clientId": "id",
    "clientSecret": "hush",
    "redirectUri": "http://[::1]/x",
}


def test_providers_are_a_setting(monkeypatch: pytest.MonkeyPatch, held: Callable[..., Path]) -> None:
    github = {**GOOGLE, "preset": "github", "clientSecret": None, "clientSecretFile": str(held("from a file\n"))}
    stated = {"google": GOOGLE, "github": github, "our-bank": {**BANK, "scopes": ["openid"]}}
    found = loaded(monkeypatch, SIGN_IN_PROVIDERS=json.dumps(stated))
    google, hub, bank = found.sign_in_providers
    assert (google.name, google.kind, google.base) == ("google", ProviderKind.GOOGLE, "https://accounts.google.com")
    assert google.scopes == ("openid", "email", "profile")
    assert (hub.kind, hub.base, hub.api) == (ProviderKind.GITHUB, "https://github.com", "https://api.github.com")
    assert hub.client_secret == "from a file"
    assert (bank.name, bank.kind, bank.scopes) == ("our-bank", ProviderKind.OPENID, ("openid",))
    assert "hush" not in repr(found) + repr(google) + str(bank)


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ("no JSON", "must be JSON such as "),
        ([GOOGLE], "must be JSON such as "),
        ({"Google": GOOGLE}, "a provider's name has small letters, digits and hyphens"),
        ({"x": "y"}, "the provider x: "),
        ({"x": {**GOOGLE, "preset": "facebook"}}, "the provider x: "),
        ({"x": {**GOOGLE, "clientId": ""}}, "the provider x: clientId is needed"),
        ({"x": {"preset": "google"}}, "the provider x: Object missing required field `clientId`"),
        ({"x": {**GOOGLE, "secret": "hush"}}, "the provider x: Object contains unknown field `secret`"),
        ({"x": {**GOOGLE, "clientSecret": None}}, "the provider x: either clientSecret or clientSecretFile is needed"),
        ({"x": {**GOOGLE, "clientSecretFile": "/x"}}, "the provider x: either clientSecret or clientSecretFile"),
        (
            {"x": {**GOOGLE, "clientSecret": None, "clientSecretFile": "/none"}},
            "the provider x: clientSecretFile: the file /none cannot be read: ",
        ),
        ({"x": {**BANK, "issuer": None}}, "the provider x: issuer is needed, unless preset is google or github"),
        ({"x": {**BANK, "issuer": "http://login.bank.example"}}, "the provider x: issuer must be an https address"),
        ({"x": {**BANK, "issuer": "https://bank.example/?a=b"}}, "the provider x: issuer must be an https address"),
        ({"x": {**BANK, "issuer": "https://u:p@bank.example"}}, "the provider x: issuer must be an https address"),
        ({"x": {**BANK, "redirectUri": "http://app.example"}}, "the provider x: redirectUri must be an https address"),
        ({"x": {**BANK, "redirectUri": "https://app.example/#x"}}, "the provider x: redirectUri must be an https"),
        ({"x": {**GOOGLE, "preset": "github", "baseUrl": "ftp://x"}}, "the provider x: baseUrl must be an https"),
    ],
    ids=str,
)
def test_a_provider_that_is_stated_wrongly_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, stated: Any, sentence: str
) -> None:
    text = stated if isinstance(stated, str) else json.dumps(stated)
    said = refused(monkeypatch, SIGN_IN_PROVIDERS=text)
    assert said.startswith(f"SIGN_IN_PROVIDERS: {sentence}")
    assert "hush" not in said
