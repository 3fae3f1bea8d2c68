"""Who asks is confirmed and told along with what is read first."""

from migrations.scripts import run_script

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_script("0019_entering.up.sql")


def downgrade() -> None:
    run_script("0019_entering.down.sql")
