"""Settings, from the environment and `.env`; what is wrong stops the start with one clear sentence."""

import json
import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.exc import ArgumentError

from domain.access import Role
from domain.identity import Lives
from graph.disclosure import Disclosure
from graph.logs import LogFormat
from graph.mail_settings import MailSettings
from graph.model_settings import ModelSettings
from graph.operations_settings import OperationsSettings
from graph.rate_settings import RateSettings, RateStorage
from graph.secret_settings import FIELD_KEY_NEEDED, SECRET_NEEDED, SecretSettings
from graph.setting_parts import parts_of
from graph.surface_settings import SurfaceSettings, is_loopback
from persistence.database import driver_arguments

ROOT: Final = Path(__file__).parent.parent
# A partner's program has a key, and no second factor.
SIGNING_IN: Final = frozenset(Role) - {Role.SERVICE}
SCHEME: Final = "postgresql+asyncpg://"
LAST_PORT: Final = 65535
# What the law asks for differs; this is more than most of it does.
RETENTION_YEARS: Final = 8
# What balancers need that ask every other second, and believe the second answer.
DRAIN_SECONDS: Final = 5
# As browsers send it: in lower case, without a path or a slash at the end.
ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?|\*")


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
    parts = list(parts_of(text))
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


def _database(url: str) -> str:
    try:
        port = driver_arguments(url)["port"]
    except (ArgumentError, ValueError):
        port = 0
    if not url.startswith(SCHEME) or not 0 < port <= LAST_PORT:
        # What was given is not repeated, for it holds a password.
        raise ValueError(f"must begin with {SCHEME} and go on as user:password@host:port/database")
    return url


def _roles(value: Any) -> Any:
    names = [str(part).upper() for part in parts_of(value)]
    for name in names:
        if name not in SIGNING_IN:
            raise ValueError(f"must be roles that sign in, such as ADMIN,BU_MANAGER, not {name}")
    return frozenset(map(Role, names))


Amount = Annotated[Decimal, Field(ge=0)]
CurrencyCode = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Settings(
    SecretSettings, OperationsSettings, MailSettings, ModelSettings, RateSettings, SurfaceSettings, BaseSettings
):
    """All settings; the names of the environment are the fields' in capitals. `.env.example` explains each."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    database_url: Annotated[str, AfterValidator(_database)] | None = None
    database_pool: Annotated[int, Field(ge=2, le=200)] = 10
    environment: Environment | None = None
    state_directory: Path = ROOT / ".steward"
    access_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    refresh_days: Annotated[int, Field(ge=1, le=90)] = 7
    idle_minutes: Annotated[int, Field(ge=5, le=90 * 24 * 60)] = 8 * 60
    second_factor_roles: Annotated[frozenset[Role], BeforeValidator(_roles), NoDecode] = frozenset()
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
    paper_rejects: Annotated[tuple[str, ...], BeforeValidator(parts_of), NoDecode] = ()
    paper_in_sessions: bool = False
    jobs: Background = Background.SERVER
    job_heartbeat: Annotated[float, Field(ge=1, le=3600)] = 30
    kyc_notice_days: Annotated[int, Field(ge=1, le=365)] = 30
    retention_years: Annotated[int, Field(ge=0, le=100)] | None = None
    demo: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.environment is None:
            embedded_at_home = self.database_url is None and is_loopback(self.host)
            self.environment = Environment.DEVELOPMENT if embedded_at_home else Environment.PRODUCTION
        if self.environment is Environment.PRODUCTION:
            if self.jwt_secret is None:
                raise ValueError(f"JWT_SECRET: {SECRET_NEEDED}")
            if self.field_key is None:
                raise ValueError(f"FIELD_KEY: {FIELD_KEY_NEEDED}")
        return self

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        if self.rate_storage is None:
            self.rate_storage = RateStorage.DATABASE if self.workers > 1 else RateStorage.MEMORY
        elif self.rate_storage is RateStorage.MEMORY and self.workers > 1:
            raise ValueError(
                f"RATE_STORAGE: in memory each of {self.workers} WORKERS would count by itself, and every budget be "
                "as many times as large; leave it out, or say database."
            )
        return self

    @property
    def development(self) -> bool:
        """Whether to print sign-ins and explain more: the default only on the embedded database on loopback."""
        return self.environment is Environment.DEVELOPMENT

    @property
    def disclosure(self) -> Disclosure:
        """How much the API tells of itself."""
        return self.disclosure_in(development=self.development)

    @property
    def log_form(self) -> LogFormat:
        """How log lines are written: for programs in production, for people in development."""
        return self.log_format or (LogFormat.TEXT if self.development else LogFormat.JSON)

    @property
    def drain(self) -> float:
        """For how many seconds a server that is about to end still takes requests, until balancers have noticed."""
        if self.drain_seconds is not None:
            return self.drain_seconds
        return 0 if self.development else DRAIN_SECONDS

    @property
    def exposed(self) -> bool:
        """Whether passwords and tokens may cross a network in clear, as far as the settings can tell."""
        return self.exposed_on(self.host)

    @property
    def lives(self) -> Lives:
        """How long tokens live, and for how long a session may lie unused."""
        return Lives(
            access=timedelta(minutes=self.access_minutes),
            refresh=timedelta(days=self.refresh_days),
            # A session that cannot be refreshed any more has ended, whatever this says.
            idle=min(timedelta(minutes=self.idle_minutes), timedelta(days=self.refresh_days)),
        )

    @property
    def link_base(self) -> str:
        """Where the links in letters lead: to the frontend, or, where none is known, to the server itself."""
        host = "localhost" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not listened on
        place = f"[{host}]" if ":" in host else host
        scheme = "https" if self.tls_certificate else "http"
        return self.public_url or f"{scheme}://{place}:{self.port}"

    @property
    def mail_directory(self) -> Path:
        """Where letters lie if there is no mail server."""
        return self.state_directory / "mail"

    @property
    def kept_years(self) -> int:
        """For how many years a former client's data is kept before it may be erased."""
        if self.retention_years is not None:
            return self.retention_years
        return 0 if self.development else RETENTION_YEARS

    @property
    def kyc_notice(self) -> timedelta:
        """How long before the end of a client's KYC people are told of it."""
        return timedelta(days=self.kyc_notice_days)


def load_settings(**given: Any) -> Settings:
    """Read the settings, but for those that are given; raises SettingsError, which names the first that is wrong."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"][:1]).upper()
        message = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{name}: {message}" if name else message) from None
