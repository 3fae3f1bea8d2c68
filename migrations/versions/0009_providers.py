"""Sign-in by other providers of identity."""

from migrations.scripts import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_script("0009_providers.up.sql")


def downgrade() -> None:
    run_script("0009_providers.down.sql")
