"""What policies ask once a statement."""

from migrations.scripts import run_script

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_script("0014_policies.up.sql")


def downgrade() -> None:
    run_script("0014_policies.down.sql")
