"""Settings, from the environment and `.env`; what is wrong stops the start with one clear sentence."""

import base64
import ipaddress
import json
import os
import re
import secrets
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.exc import ArgumentError

from domain.identity import Lives
from persistence.database import driver_arguments

ROOT: Final = Path(__file__).parent.parent
SHORTEST_SECRET: Final = 32
FIELD_KEY_BYTES: Final = 32
SCHEME: Final = "postgresql+asyncpg://"
LAST_PORT: Final = 65535
# As browsers send it: in lower case, without a path or a slash at the end.
ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?|\*")
SECRET_NEEDED: Final = (
    f"must be a random text of at least {SHORTEST_SECRET} characters, "
    "for example the output of: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
)
FIELD_KEY_NEEDED: Final = (
    f"must be {FIELD_KEY_BYTES} random bytes in URL-safe base64, for example the output of: "
    "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
)


class SettingsError(Exception):
    """A setting is wrong, in one sentence for whoever runs the server."""


class Environment(StrEnum):
    """What the server is run for."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Background(StrEnum):
    """Where jobs and schedules run."""

    SERVER = "server"
    APART = "apart"


def _origins(text: str | list[str]) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text
    for part in parts:
        if not ORIGIN.fullmatch(part):
            raise ValueError(
                f"must be *, or origins such as https://app.example or https://app.example:8443, not {part}"
            )
    return parts


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_float=Decimal)
    except ValueError as error:
        raise ValueError('must be JSON such as {"INR": "1000000", "USD": "10000"}') from error


def _symbols(value: Any) -> Any:
    return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value


def _database(url: str) -> str:
    try:
        port = driver_arguments(url)["port"]
    except (ArgumentError, ValueError):
        port = 0
    if not url.startswith(SCHEME) or not 0 < port <= LAST_PORT:
        # What was given is not repeated, for it holds a password.
        raise ValueError(f"must begin with {SCHEME} and go on as user:password@host:port/database")
    return url


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < SHORTEST_SECRET or len(set(text)) < SHORTEST_SECRET // 4:
        raise ValueError(SECRET_NEEDED)
    return secret


def _field_key(key: SecretStr) -> SecretStr:
    try:
        length = len(base64.urlsafe_b64decode(key.get_secret_value()))
    except ValueError:
        length = 0
    if length != FIELD_KEY_BYTES:
        raise ValueError(FIELD_KEY_NEEDED)
    return key


Amount = Annotated[Decimal, Field(ge=0)]
CurrencyCode = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Settings(BaseSettings):
    """All settings; the names of the environment are the fields' in capitals. `.env.example` explains each."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    database_url: Annotated[str, AfterValidator(_database)] | None = None
    database_pool: Annotated[int, Field(ge=2, le=200)] = 10
    environment: Environment | None = None
    state_directory: Path = ROOT / ".steward"
    jwt_secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    field_key: Annotated[SecretStr, AfterValidator(_field_key)] | None = None
    access_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    refresh_days: Annotated[int, Field(ge=1, le=90)] = 7
    idle_minutes: Annotated[int, Field(ge=5, le=90 * 24 * 60)] = 8 * 60
    allowed_origins: Annotated[list[str] | str, AfterValidator(_origins), NoDecode] = []
    large_amounts: Annotated[dict[CurrencyCode, Amount], BeforeValidator(_json), NoDecode] = {
        "INR": Decimal(1_000_000),
        "USD": Decimal(10_000),
        "EUR": Decimal(10_000),
        "GBP": Decimal(10_000),
        "SGD": Decimal(15_000),
    }
    approval_limits: Annotated[dict[CurrencyCode, Amount], BeforeValidator(_json), NoDecode] = {
        "INR": Decimal(2_500_000),
        "USD": Decimal(30_000),
        "EUR": Decimal(30_000),
        "GBP": Decimal(25_000),
        "SGD": Decimal(40_000),
    }
    paper_largest_fill: Annotated[Decimal, Field(gt=0)] | None = None
    paper_rejects: Annotated[tuple[str, ...], BeforeValidator(_symbols), NoDecode] = ()
    paper_in_sessions: bool = False
    jobs: Background = Background.SERVER
    job_heartbeat: Annotated[float, Field(ge=1, le=3600)] = 30
    kyc_notice_days: Annotated[int, Field(ge=1, le=365)] = 30
    demo: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.environment is None:
            embedded_at_home = self.database_url is None and _is_loopback(self.host)
            self.environment = Environment.DEVELOPMENT if embedded_at_home else Environment.PRODUCTION
        if self.environment is Environment.PRODUCTION:
            if self.jwt_secret is None:
                raise ValueError(f"JWT_SECRET: {SECRET_NEEDED}")
            if self.field_key is None:
                raise ValueError(f"FIELD_KEY: {FIELD_KEY_NEEDED}")
        return self

    @property
    def development(self) -> bool:
        """Whether to print sign-ins and explain more: the default only on the embedded database on loopback."""
        return self.environment is Environment.DEVELOPMENT

    @property
    def lives(self) -> Lives:
        """How long tokens live, and for how long a session may lie unused."""
        return Lives(
            access=timedelta(minutes=self.access_minutes),
            refresh=timedelta(days=self.refresh_days),
            idle=timedelta(minutes=self.idle_minutes),
        )

    @property
    def kyc_notice(self) -> timedelta:
        """How long before the end of a client's KYC people are told of it."""
        return timedelta(days=self.kyc_notice_days)

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
