"""Second factors, and the failed attempts to sign in."""

from migrations.scripts import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_script("0008_factors.up.sql")


def downgrade() -> None:
    run_script("0008_factors.down.sql")
