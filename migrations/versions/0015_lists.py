"""What lists of users read."""

from migrations.scripts import run_script

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_script("0015_lists.up.sql")


def downgrade() -> None:
    run_script("0015_lists.down.sql")
