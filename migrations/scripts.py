"""Revisions are SQL scripts: triggers, policies, grants and functions read best as what they are."""

from pathlib import Path

from alembic import op

VERSIONS = Path(__file__).parent / "versions"


def run_script(name: str) -> None:
    """Run a script of several statements in the migration's transaction."""
    script = (VERSIONS / name).read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    if connection is None:
        raise RuntimeError("a migration runs on a connection, not offline")
    # asyncpg prepares what SQLAlchemy executes, and takes one statement at a time there; this is its simple protocol.
    connection.run_async(lambda driver: driver.execute(script))
