"""Sessions that end when idle, keys of service accounts, and sight of a book by a broken glass."""

from migrations.scripts import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_script("0006_protection.up.sql")


def downgrade() -> None:
    run_script("0006_protection.down.sql")
