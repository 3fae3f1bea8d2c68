"""What viewers have used of their budgets, where several processes share them."""

from migrations.scripts import run_script

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_script("0011_rates.up.sql")


def downgrade() -> None:
    run_script("0011_rates.down.sql")
