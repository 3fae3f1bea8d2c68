"""The stored values of days behind the value series, and who was told that a client's KYC ends."""

from migrations.scripts import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_script("0005_day_values.up.sql")


def downgrade() -> None:
    run_script("0005_day_values.down.sql")
