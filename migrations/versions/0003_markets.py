"""Market calendars: the special days that the exchanges announce."""

from migrations.scripts import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_script("0003_markets.up.sql")


def downgrade() -> None:
    run_script("0003_markets.down.sql")
