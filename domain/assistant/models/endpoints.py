"""An endpoint that speaks OpenAI's protocol: where it is, which model, and what it may cost."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

MILLION: Final = 1_000_000


class Preset(StrEnum):
    """Whose endpoint it is, which says where it lies and in what it differs from the others."""

    OPENAI = "openai"
    AZURE = "azure"
    ANTHROPIC = "anthropic"
    COMPATIBLE = "compatible"


# Azure has an address for each customer, and what is merely compatible may lie anywhere.
BASES: Final[Mapping[Preset, str]] = {
    Preset.OPENAI: "https://api.openai.com/v1",
    Preset.ANTHROPIC: "https://api.anthropic.com/v1/",
}
# These keep what they are asked unless they are told not to, and have a newer word for the bound of an answer; the
# others know neither word, and some decline a request that has one.
KEEPING: Final = frozenset({Preset.OPENAI, Preset.AZURE})


class Prices(msgspec.Struct, frozen=True):
    """What a million tokens cost in US dollars: those of the prompt, and those of the answer."""

    input: Decimal
    output: Decimal

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """What so many tokens cost, in US dollars, exactly."""
        return (self.input * input_tokens + self.output * output_tokens) / MILLION


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint and one of its models; times in seconds.

    With `api_version` it is asked as Azure's older, dated API wants it: `base_url` is then the resource's address, and
    `model` the name of a deployment. Without `temperature` none is sent: some models take none.
    """

    name: str
    base_url: str
    model: str
    key: str | None = None
    preset: Preset = Preset.COMPATIBLE
    api_version: str | None = None
    temperature: float | None = 0.2
    max_tokens: int = 4096
    connect_seconds: float = 5
    chunk_seconds: float = 60
    prices: Prices | None = None

    def __repr__(self) -> str:
        """As it may be shown: without the key."""
        return f"Endpoint({self.name!r})"
