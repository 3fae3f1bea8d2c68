"""Settings, from the environment and `.env`; what is wrong stops the start with one clear sentence."""

import base64
import ipaddress
import os
import secrets
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT: Final = Path(__file__).parent.parent
SHORTEST_SECRET: Final = 32
FIELD_KEY_BYTES: Final = 32
SCHEME: Final = "postgresql+asyncpg://"


class SettingsError(Exception):
    """A setting is wrong, in one sentence for whoever runs the server."""


class Environment(StrEnum):
    """What the server is run for."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _split(text: str | list[str]) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


class Settings(BaseSettings):
    """All settings; the names of the environment are the fields' in capitals. `.env.example` explains each."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    database_url: str | None = None
    database_pool: Annotated[int, Field(ge=2, le=200)] = 10
    environment: Environment | None = None
    state_directory: Path = ROOT / ".steward"
    jwt_secret: SecretStr | None = None
    field_key: SecretStr | None = None
    access_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    refresh_days: Annotated[int, Field(ge=1, le=90)] = 7
    allowed_origins: Annotated[list[str] | str, AfterValidator(_split), NoDecode] = []
    large_amounts: dict[str, Decimal] = {
        "INR": Decimal(1_000_000),
        "USD": Decimal(10_000),
        "EUR": Decimal(10_000),
        "GBP": Decimal(10_000),
        "SGD": Decimal(15_000),
    }
    demo: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.database_url is not None and not self.database_url.startswith(SCHEME):
            raise ValueError(f"DATABASE_URL must begin with {SCHEME}")
        if self.environment is None:
            embedded_at_home = self.database_url is None and _is_loopback(self.host)
            self.environment = Environment.DEVELOPMENT if embedded_at_home else Environment.PRODUCTION
        if self.environment is Environment.PRODUCTION:
            _check_secret(self.jwt_secret)
            _check_field_key(self.field_key)
        elif self.jwt_secret is not None:
            _check_secret(self.jwt_secret)
        return self

    @property
    def development(self) -> bool:
        """Whether to print sign-ins and explain more: the default only on the embedded database on loopback."""
        return self.environment is Environment.DEVELOPMENT

    @property
    def access_life(self) -> timedelta:
        """How long an access token lives."""
        return timedelta(minutes=self.access_minutes)

    @property
    def refresh_life(self) -> timedelta:
        """How long a refresh token lives."""
        return timedelta(days=self.refresh_days)

    def signing_secret(self, home: Path) -> str:
        """The secret that signs tokens; in development one that is made once and kept in `home`, beside the data."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        return _kept(home / "jwt-secret")

    def field_key_bytes(self, home: Path) -> bytes:
        """The key that encrypts the keys of personal fields; in development one that is kept in `home`."""
        text = self.field_key.get_secret_value() if self.field_key else _kept(home / "field-key")
        return base64.urlsafe_b64decode(text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_secret(secret: SecretStr | None) -> None:
    text = secret.get_secret_value() if secret else ""
    if len(text) < SHORTEST_SECRET or len(set(text)) < SHORTEST_SECRET // 4:
        raise ValueError(
            f"JWT_SECRET must be a random text of at least {SHORTEST_SECRET} characters, "
            "for example the output of: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )


def _check_field_key(key: SecretStr | None) -> None:
    try:
        length = len(base64.urlsafe_b64decode(key.get_secret_value())) if key else 0
    except ValueError:
        length = 0
    if length != FIELD_KEY_BYTES:
        raise ValueError(
            "FIELD_KEY must be 32 random bytes in URL-safe base64, for example the output of: "
            "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
        )


def _kept(path: Path) -> str:
    """A random secret in a file that only its owner reads, made at the first use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = base64.urlsafe_b64encode(secrets.token_bytes(FIELD_KEY_BYTES)).decode()
    try:
        # Exclusive, so that two servers that start at once agree on one.
        with open(path, "x", opener=_private, encoding="ascii") as file:
            file.write(made)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    return made


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def load_settings() -> Settings:
    """Read the settings; raises SettingsError, which names the first that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"][:1]).upper()
        message = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{name}: {message}" if name else message) from None
