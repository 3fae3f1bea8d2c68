"""Orders, their fills, and what an order must know of an instrument."""

from migrations.scripts import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_script("0004_orders.up.sql")


def downgrade() -> None:
    run_script("0004_orders.down.sql")
