"""The manifest of trusted documents: what frontends may ask, by the ids that they ask it under."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from graphql import GraphQLError, parse, validate

from graph.execution import digest_of
from graph.http.document import RULES
from graph.http.schema import Schema


class ManifestError(Exception):
    """A manifest that cannot be used; its message is one sentence."""


def read(path: Path) -> dict[str, str]:
    """The documents by their ids, of a plain object or of Apollo's manifest. Raises ManifestError."""
    try:
        found: Any = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise ManifestError(f"{path} cannot be read as JSON ({type(error).__name__}).") from error
    if isinstance(found, dict) and isinstance(found.get("operations"), list):
        found = {each.get("id"): each.get("body") for each in found["operations"] if isinstance(each, dict)}
    if not isinstance(found, dict) or not all(
        isinstance(each, str) and each for pair in found.items() for each in pair
    ):
        raise ManifestError(f"{path} must hold documents by their ids.")
    return found


def trust(schema: Schema, documents: Mapping[str, str]) -> None:
    """Have a schema keep documents for good. Raises ManifestError for one that is not valid."""
    for name, text in documents.items():
        try:
            node = parse(text, max_tokens=schema.rules.tokens)
        except GraphQLError as error:
            raise ManifestError(f"the document {name} cannot be parsed: {error.message}") from error
        host = schema.documents.host
        errors = validate(host.schema, node, (*schema.rules.for_whom(signed_in=True), *RULES))
        if errors:
            raise ManifestError(f"the document {name} is not valid: {errors[0].message}")
        document = schema.documents.document(node)
        # Who may read the schema itself is asked each time.
        if not document.introspects:
            schema.documents.trust(text, document)


def write(sources: Iterable[Path], path: Path) -> int:
    """Write the manifest of the documents `*.graphql` in files and directories; gives how many there are."""
    texts = (file.read_text("utf-8") for file in _files(sources))
    documents = {digest_of(text): text for text in texts}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(documents, order="sorted"), indent=2) + b"\n")
    return len(documents)


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        yield from sorted(source.glob("**/*.graphql")) if source.is_dir() else [source]
