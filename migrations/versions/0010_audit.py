"""The reasons, the seals and the readers of the audit trail."""

from migrations.scripts import run_script

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_script("0010_audit.up.sql")


def downgrade() -> None:
    run_script("0010_audit.down.sql")
