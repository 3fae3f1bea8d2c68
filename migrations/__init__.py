"""The environment of alembic and its revisions, each a pair of SQL scripts."""
