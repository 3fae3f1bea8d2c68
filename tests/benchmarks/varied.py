"""`python -m tests.benchmarks.varied`: `steward serve` with what no setting says put in its place for a benchmark."""

import os
from typing import Any

import asyncpg

from graph import cli, server


def vary() -> None:
    """Put the cache of the driver and the threshold of the collector in place of the server's own."""
    if kept := os.environ.get("VARIED_CACHE"):
        create = asyncpg.create_pool

        def create_pool(**given: Any) -> Any:
            return create(**given, statement_cache_size=int(kept))

        asyncpg.create_pool = create_pool  # type: ignore[assignment] # one of its signatures is ours
    if threshold := os.environ.get("VARIED_COLLECTION"):
        # At 0 there is no collector.
        server.FIRST_COLLECTION = int(threshold)  # type: ignore[misc] # for this process alone


if __name__ == "__main__":
    vary()
    cli.main(["serve"])
