"""The advisory core."""

from migrations.scripts import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_script("0001_core.up.sql")


def downgrade() -> None:
    run_script("0001_core.down.sql")
