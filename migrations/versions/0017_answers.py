"""What answers cost."""

from migrations.scripts import run_script

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_script("0017_answers.up.sql")


def downgrade() -> None:
    run_script("0017_answers.down.sql")
