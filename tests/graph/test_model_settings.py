"""The assistant's models, as settings state them."""

import json
import os
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from domain.assistant.models import Ask, Formed, Line, ModelDown, Piece, Speaker, Text
from domain.assistant.models.endpoints import Endpoint, Preset, Prices
from graph.model_settings import SIMPLE_MODEL, opened_model
from graph.settings import ROOT, Settings, SettingsError, load_settings
from tests.support.language_model import KEY, LanguageModel, fails, says, speaking

T = TypeVar("T")

ASK = Ask((Line(Speaker.USER, "Hello."),))
OPENAI = {"preset": "openai", "model": "gpt-x", "key": "sk-hush"}
LOCAL = {"model": "llama", "baseUrl": "http://localhost:11434/v1"}


class ByRules:
    """Stands for the embedded model."""

    name = "embedded"

    async def answer(self, _: Ask) -> AsyncGenerator[Piece]:
        yield Text("By rules.")

    async def structured(self, _: Ask, shape: type[T]) -> Formed[T]:
        return Formed(shape())


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither an environment nor a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Settings:
    for name, value in settings.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> str:
    with pytest.raises(SettingsError) as wrong:
        loaded(monkeypatch, **settings)
    assert "\n" not in str(wrong.value)
    assert "hush" not in str(wrong.value)
    return str(wrong.value)


async def said(settings: Settings) -> str:
    async with opened_model(settings, ByRules()) as model:
        return "".join([piece.text async for piece in model.answer(ASK) if isinstance(piece, Text)])


def test_without_any_there_is_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_settings()
    assert (found.endpoints, found.assistant_fallback, found.context_tokens) == ((), True, 32_000)
    assert loaded(monkeypatch, OPENAI_API_KEY="", OPENAI_BASE_URL="", OPENAI_MODEL="", MODELS="").endpoints == ()


def test_a_key_is_enough_for_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    found = loaded(monkeypatch, OPENAI_API_KEY=" sk-hush")
    assert found.endpoints == (
        Endpoint(
            name=SIMPLE_MODEL,
            base_url="https://api.openai.com/v1",
            model=SIMPLE_MODEL,
            key="sk-hush",
            preset=Preset.OPENAI,
        ),
    )
    assert "hush" not in repr(found) + repr(found.endpoints)


def test_a_key_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-hush\n")
    path.chmod(0o600)
    (endpoint,) = loaded(monkeypatch, OPENAI_API_KEY_FILE=str(path), OPENAI_MODEL="gpt-x").endpoints
    assert (endpoint.key, endpoint.model, endpoint.name) == ("sk-hush", "gpt-x", "gpt-x")


@pytest.mark.parametrize(
    ("url", "preset"),
    [
        ("https://models.example/v1", Preset.COMPATIBLE),
        ("https://api.openai.com/v1/", Preset.OPENAI),
        ("http://127.0.0.1:8000/v1", Preset.COMPATIBLE),
        ("http://10.0.0.5/v1", Preset.COMPATIBLE),
        ("http://ollama:11434/v1", Preset.COMPATIBLE),
    ],
)
def test_a_base_url_is_enough_for_others(monkeypatch: pytest.MonkeyPatch, url: str, preset: Preset) -> None:
    (endpoint,) = loaded(monkeypatch, OPENAI_BASE_URL=url, OPENAI_MODEL="m").endpoints
    assert (endpoint.base_url, endpoint.key, endpoint.preset) == (url, None, preset)


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/v1",
        "http://8.8.8.8/v1",
        "https://u:p@models.example",
        "http://u:p@ollama",
        "ftp://x",
        "x",
        "https://x/?a=b",
        "https://x/#a",
        "https://[x",
        "http://",
    ],
)
def test_prompts_are_sent_in_clear_within_private_networks_alone(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert refused(monkeypatch, OPENAI_BASE_URL=url).startswith(("OPENAI_BASE_URL: must be an", "OPENAI_BASE_URL: is"))
    assert "the model 1: baseUrl " in refused(monkeypatch, OPENAI_BASE_URL="", MODELS=[{**LOCAL, "baseUrl": url}])


def test_a_model_goes_with_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, OPENAI_MODEL="m") == "OPENAI_MODEL: goes with OPENAI_API_KEY or OPENAI_BASE_URL."


def test_a_key_that_no_header_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, OPENAI_API_KEY="sk-hüsh") == "OPENAI_API_KEY: the key must be in plain letters"


def test_several_are_stated_in_order_of_preference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    path.chmod(0o600)
    monkeypatch.setenv("THE_KEY", "from-the-environment")
    stated = [
        {**OPENAI, "name": "main", "temperature": None, "maxTokens": 500, "inputPrice": 2.5, "outputPrice": "10"},
        {"preset": "azure", "resource": "our-firm", "model": "advisor", "keyEnv": "THE_KEY"},
        {"preset": "azure", "resource": "our-firm", "model": "older", "key": "k", "apiVersion": "2024-10-21"},
        {"preset": "azure", "baseUrl": "https://gateway.example/openai/v1", "model": "own", "key": "k"},
        {"preset": "anthropic", "model": "claude", "keyFile": str(path), "connectSeconds": 2, "chunkSeconds": 9.5},
        LOCAL,
    ]
    main, azure, dated, gateway, claude, local = loaded(monkeypatch, MODELS=stated, OPENAI_API_KEY="unused").endpoints
    assert (main.name, main.temperature, main.max_tokens) == ("main", None, 500)
    assert main.prices == Prices(Decimal("2.5"), Decimal(10))
    assert (azure.base_url, azure.key) == ("https://our-firm.openai.azure.com/openai/v1/", "from-the-environment")
    assert (dated.base_url, dated.api_version) == ("https://our-firm.openai.azure.com", "2024-10-21")
    assert gateway.base_url == "https://gateway.example/openai/v1"
    assert (claude.base_url, claude.key) == ("https://api.anthropic.com/v1/", "from-a-file")
    assert (claude.connect_seconds, claude.chunk_seconds) == (2, 9.5)
    assert (local.name, local.key, local.temperature, local.max_tokens) == ("llama", None, 0.2, 4096)
    assert (local.connect_seconds, local.chunk_seconds, local.prices) == (5, 60, None)


def test_all_of_them_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "models"
    path.write_text(json.dumps([LOCAL]))
    path.chmod(0o600)
    assert [each.name for each in loaded(monkeypatch, MODELS_FILE=str(path)).endpoints] == ["llama"]


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ("no JSON", "must be JSON such as "),
        (OPENAI, "must be JSON such as "),
        ([OPENAI, "gpt"], "the model 2: Expected `object`"),
        ([{"preset": "openai", "key": "k"}], "the model 1: Object missing required field `model`"),
        ([{**OPENAI, "preset": "acme"}], "the model 1: Invalid enum value 'acme'"),
        ([{**OPENAI, "secret": "hush"}], "the model 1: Object contains unknown field `secret`"),
        ([{**OPENAI, "temperature": 3}], "the model 1: Expected `float` <= 2"),
        ([{**OPENAI, "maxTokens": 0}], "the model 1: Expected `int` >= 1"),
        ([{**OPENAI, "chunkSeconds": 0}], "the model 1: Expected `float` > 0"),
        ([{**OPENAI, "inputPrice": 1}], "the model 1: inputPrice goes with outputPrice"),
        ([{**OPENAI, "inputPrice": -1, "outputPrice": 1}], "the model 1: inputPrice and outputPrice are US dollars"),
        ([{**OPENAI, "inputPrice": 1, "outputPrice": "NaN"}], "the model 1: inputPrice and outputPrice are US dollars"),
        ([{**OPENAI, "key": None}], "the model 1: key, keyEnv or keyFile is needed with the preset openai"),
        ([{**OPENAI, "keyEnv": "THE_KEY"}], "the model 1: only one of key, keyEnv and keyFile may be given"),
        ([{**OPENAI, "key": None, "keyEnv": "NONE"}], "the model 1: keyEnv: the environment has no NONE"),
        (
            [{**OPENAI, "key": None, "keyFile": "/none"}],
            "the model 1: keyFile: the file /none cannot be read: No such file or directory.",
        ),
        ([{**OPENAI, "key": "hush\n"}], "the model 1: the key must be in plain letters"),
        ([{"model": "m"}], "the model 1: baseUrl is needed with the preset compatible"),
        ([{**OPENAI, "preset": "azure"}], "the model 1: resource or baseUrl is needed with the preset azure"),
        ([{**OPENAI, "resource": "x"}], "the model 1: resource goes with the preset azure"),
        ([{**OPENAI, "preset": "azure", "resource": "evil.example/"}], "the model 1: resource is the first word"),
        ([{**OPENAI, "apiVersion": "2024"}], "the model 1: apiVersion goes with the preset azure"),
        ([{**OPENAI, "name": "a b"}], "the model 1: name has letters, digits"),
        ([OPENAI, OPENAI], "two models are called gpt-x"),
    ],
    ids=str,
)
def test_a_model_that_is_stated_wrongly_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, stated: Any, sentence: str
) -> None:
    assert refused(monkeypatch, MODELS=stated).startswith(f"MODELS: {sentence}")


@pytest.mark.parametrize("value", ["7999", "2000001", "many"])
def test_a_context_has_bounds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert refused(monkeypatch, CONTEXT_TOKENS=value).startswith("CONTEXT_TOKENS: ")


def test_the_example_explains_each() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "MODELS", "ASSISTANT_FALLBACK", "CONTEXT_TOKENS"):
        assert f"{name}=" in example
        assert f"`{name}`" in readme


async def test_the_set_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with speaking(LanguageModel(says("Good morning."))) as server:
        assert await said(loaded(monkeypatch, OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY=KEY)) == "Good morning."
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


async def test_without_an_endpoint_the_embedded_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await said(loaded(monkeypatch, ASSISTANT_FALLBACK="false")) == "By rules."


async def test_the_embedded_model_stands_in_where_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    async with speaking(LanguageModel(fails(401), fails(401))) as server:
        stated = {"name": "m", "model": "m", "baseUrl": server.base_url}
        assert await said(loaded(monkeypatch, MODELS=[stated])) == "By rules."
        with pytest.raises(ModelDown):
            await said(loaded(monkeypatch, MODELS=[stated], ASSISTANT_FALLBACK="false"))
