"""Helpdesk budgets and publishing that several workers share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText, UtcTime, json_type

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_help",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("counts", json_type(), nullable=False),
        sa.Column("errors", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run_help"),
    )
    op.create_index("ix_run_help_run_id", "run_help", ["run_id"])
    op.create_table(
        "budgets",
        sa.Column("account", CleanText(), nullable=False),
        sa.Column("purse", CleanText(), nullable=False),
        sa.Column("total", sa.Float(), nullable=True),
        sa.Column("remaining", sa.Float(), nullable=True),
        sa.Column("renewed_by", UtcTime(), nullable=True),
        sa.Column("window_seconds", sa.Float(), nullable=False),
        sa.Column("paused_until", UtcTime(), nullable=True),
        sa.Column("spent", json_type(), nullable=False),
        sa.Column("held", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("account", "purse", name="pk_budgets"),
    )
    if op.get_bind().dialect.name == "postgresql":  # as 0003 does for the tables before these
        for table in ("run_help", "budgets"):
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
