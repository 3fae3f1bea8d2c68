"""Background work: the queue, its schedules and its log."""

from migrations.scripts import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_script("0002_jobs.up.sql")


def downgrade() -> None:
    run_script("0002_jobs.down.sql")
