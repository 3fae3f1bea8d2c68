"""The manifest of trusted documents: written by a command, read at the start, and held to the schema."""

import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from graph.app import OPERATIONS, make_app
from graph.context import Services
from graph.execution import digest_of
from graph.http.schema import Schema
from graph.manifest import ManifestError, read
from graph.settings import Settings
from tests.support.steward import Steward

NAME: Final = "query Name { viewer { name } }"


def manifest(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"a": NAME},
        {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "a", "body": NAME}]},
    ],
    ids=["plain", "Apollo's"],
)
def test_manifests_are_read_as_frontends_make_them(tmp_path: Path, content: Any) -> None:
    assert read(manifest(tmp_path / "m.json", content)) == {"a": NAME}


@pytest.mark.parametrize(
    "content", [[], {"a": 1}, {"": NAME}, {"operations": [{"id": "a"}]}, {"operations": [{}]}, None]
)
def test_what_is_no_manifest_is_one_sentence(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ManifestError, match="must hold documents by their ids"):
        read(manifest(tmp_path / "m.json", content))
    with pytest.raises(ManifestError, match="cannot be read as JSON"):
        read(tmp_path / "nothing.json")


@pytest.fixture
def steward(tmp_path: Path) -> Steward:
    return Steward(tmp_path / "state")


def test_the_command_writes_what_the_server_takes(steward: Steward, tmp_path: Path) -> None:
    path = tmp_path / "trusted.json"
    done = steward.run("trust-documents", str(OPERATIONS), "--output", str(path))
    texts = [each.read_text("utf-8") for each in sorted(OPERATIONS.glob("*.graphql"))]
    assert done.stdout == f"{path} holds {len(texts)} documents.\n", done.stderr
    assert read(path) == {digest_of(text): text for text in texts}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"a": "{ nothing }"}, "TRUSTED_DOCUMENTS: the document a is not valid: Cannot query field 'nothing'"),
        ({"a": "{ nothing"}, "TRUSTED_DOCUMENTS: the document a cannot be parsed: Syntax Error"),
        ({"a": 1}, "TRUSTED_DOCUMENTS: "),
    ],
)
def test_a_manifest_that_cannot_be_served_is_one_sentence(
    migrated: Steward, tmp_path: Path, content: Any, sentence: str
) -> None:
    steward = Steward(tmp_path / "state", like=migrated)
    try:
        refused = steward.run("serve", TRUSTED_DOCUMENTS=str(manifest(tmp_path / "m.json", content)))
    finally:
        steward.end()
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"steward: {sentence}")
    assert refused.stderr.count("\n") == 1


def test_a_mode_without_a_manifest_is_one_sentence(steward: Steward) -> None:
    refused = steward.run("serve", ONLY_TRUSTED_DOCUMENTS="true")
    assert refused.stderr == (
        "steward: ONLY_TRUSTED_DOCUMENTS: goes with TRUSTED_DOCUMENTS, which names their manifest.\n"
    )


async def test_trusted_documents_are_served_and_no_others_where_so_set(
    settings: Settings, services: Services, schema: Schema, tmp_path: Path
) -> None:
    path = manifest(tmp_path / "m.json", {"name": NAME})
    own = settings.model_copy(update={"trusted_documents": path, "only_trusted_documents": True})
    transport = httpx.ASGITransport(make_app(own, services, schema=schema))
    async with httpx.AsyncClient(transport=transport, base_url="http://steward.test") as client:
        known = await client.post("/graphql", json={"documentId": "name"})
        assert known.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        other = await client.post("/graphql", json={"query": "{ __typename }"})
        assert (other.status_code, other.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
