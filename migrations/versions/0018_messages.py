"""What the list of all messages reads."""

from migrations.scripts import run_script

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_script("0018_messages.up.sql")


def downgrade() -> None:
    run_script("0018_messages.down.sql")
