"""Sight of a book by a broken glass."""

from migrations.scripts import run_script

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_script("0013_break_glass.up.sql")


def downgrade() -> None:
    run_script("0013_break_glass.down.sql")
