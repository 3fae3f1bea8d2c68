"""Announcements and maintenance windows."""

from migrations.scripts import run_script

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_script("0012_announcements.up.sql")


def downgrade() -> None:
    run_script("0012_announcements.down.sql")
