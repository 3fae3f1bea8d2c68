"""`schema.graphql`: written from the code, and held to it; what breaks clients is named before it lands."""

import sys
from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes

from graph.schema import schema_text


def write(path: Path) -> int:
    """Write the schema; gives the command's exit code."""
    path.write_text(schema_text(), encoding="utf-8")
    return 0


def check(path: Path) -> int:
    """Say how the file differs from the code, breaking changes first; gives the command's exit code."""
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    current = schema_text()
    if written == current:
        return 0
    breaking = breaking_changes(written, current) if written else []
    for change in breaking:
        print(f"breaks clients: {change}", file=sys.stderr)  # noqa: T201 - a command's answer
    print(f"{path} differs from the code; write it with: make schema", file=sys.stderr)  # noqa: T201 - as above
    return 1


def breaking_changes(before: str, after: str) -> list[str]:
    """What a client written for the one schema would miss in the other."""
    changes = find_breaking_changes(build_schema(before), build_schema(after))
    return [change.description for change in changes]
