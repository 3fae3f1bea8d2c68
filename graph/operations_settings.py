"""The settings of whoever runs the server: its log, its metrics and traces, and how it ends."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, HttpUrl
from pydantic_settings import BaseSettings, NoDecode

from graph.logs import LogFormat, LogLevel
from graph.secret_settings import Secret
from graph.setting_parts import parts_of


class OperationsSettings(BaseSettings):
    """How the server is watched, and how it ends; `.env.example` explains each."""

    log_format: LogFormat | None = None
    log_level: LogLevel = LogLevel.INFO
    metrics_token: Secret | None = None
    metrics_token_file: Path | None = None
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    otel_exporter_otlp_endpoint: HttpUrl | None = None
    trace_share: Annotated[float, Field(ge=0, le=1)] = 1
    trace_callers: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(parts_of), NoDecode] = ()
    drain_seconds: Annotated[float, Field(ge=0, le=300)] | None = None
    grace_seconds: Annotated[int, Field(ge=1, le=300)] = 10
