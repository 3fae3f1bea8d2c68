"""Links that are mailed to people, and what users prefer."""

from migrations.scripts import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_script("0007_accounts.up.sql")


def downgrade() -> None:
    run_script("0007_accounts.down.sql")
