"""Conversations, their messages, and the runs that answer."""

from migrations.scripts import run_script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_script("0016_conversations.up.sql")


def downgrade() -> None:
    run_script("0016_conversations.down.sql")
