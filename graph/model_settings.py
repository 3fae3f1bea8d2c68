"""The settings of the assistant's language models."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.assistant.models import Model
from domain.assistant.models.configuration import Secrets, address, configured, readable
from domain.assistant.models.endpoints import BASES, Endpoint, Preset
from domain.assistant.models.opening import opened
from graph.secret_settings import secret_of

SIMPLE_MODEL: Final = "gpt-5.4-mini"
# The system's lines alone take some thousand bytes, and each may count as a token.
SMALLEST_CONTEXT: Final = 8_000


def _models(value: Any) -> tuple[Endpoint, ...]:
    if isinstance(value, tuple):
        return value
    if not str(value).strip():
        return ()
    return configured(str(value), Secrets(os.environ, lambda path: secret_of(path, "keyFile")))


def _base(url: str) -> str:
    try:
        return address(url) if url else url
    except ValueError as error:
        raise ValueError(str(error).removeprefix("baseUrl ")) from None


def _key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    return SecretStr(readable(text)) if text else key


class ModelSettings(BaseSettings):
    """Which models the assistant asks, in order of preference, and how much of a conversation they are shown.

    Either `models`, as JSON, or one by `openai_api_key`, `openai_base_url` and `openai_model`; `.env.example` explains
    each.
    """

    models: Annotated[Any, BeforeValidator(_models), NoDecode, Field(repr=False)] = ()
    models_file: Path | None = None
    openai_api_key: Annotated[SecretStr, AfterValidator(_key)] | None = None
    openai_api_key_file: Path | None = None
    openai_base_url: Annotated[str, AfterValidator(_base)] | None = None
    openai_model: str | None = None
    assistant_fallback: bool = True
    embedded_pace: Annotated[float, Field(ge=0, le=1)] = 0.02
    runs_at_once: Annotated[int, Field(ge=2, le=1_000)] = 100
    context_tokens: Annotated[int, Field(ge=SMALLEST_CONTEXT, le=2_000_000)] = 32_000

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.openai_model and not self.endpoints:
            raise ValueError("OPENAI_MODEL: goes with OPENAI_API_KEY or OPENAI_BASE_URL.")
        return self

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the models are, in order of preference: those of `models`, or the one that is set simply, if any."""
        if self.models:
            return tuple(self.models)
        key = self.openai_api_key.get_secret_value() if self.openai_api_key else ""
        if not key and not self.openai_base_url:
            return ()
        base = self.openai_base_url or BASES[Preset.OPENAI]
        preset = Preset.OPENAI if base.startswith(BASES[Preset.OPENAI]) else Preset.COMPATIBLE
        model = self.openai_model or SIMPLE_MODEL
        return (Endpoint(name=model, base_url=base, model=model, key=key or None, preset=preset),)


@asynccontextmanager
async def opened_model(settings: ModelSettings, embedded: Model) -> AsyncIterator[Model]:
    """The model that the assistant asks, until the end of the block, when its connections are given back.

    The embedded one is the only one where no endpoint is set, and the last resort where the settings allow it.
    """
    endpoints = settings.endpoints
    last_resort = embedded if settings.assistant_fallback or not endpoints else None
    async with opened(endpoints, last_resort) as model:
        yield model
