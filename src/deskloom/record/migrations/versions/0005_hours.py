"""Time entries, and what Freshservice tells of a ticket beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText, UtcTime, json_type

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("companies", sa.Column("workspace_id", sa.BigInteger(), nullable=True))
    op.add_column("tickets", sa.Column("workspace_id", sa.BigInteger(), nullable=True))
    for name in ("resolution_html", "resolution_text", "hours_fingerprint"):
        op.add_column("tickets", sa.Column(name, CleanText(), nullable=True))
    op.create_table(
        "time_entries",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("billable", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("worked_at", UtcTime(), nullable=True),
        sa.Column("note", CleanText(), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_time_entries"),
    )
    op.create_index("ix_time_entries_source_ticket_id", "time_entries", ["source", "ticket_id"])
    op.create_index("ix_time_entries_source_worked_at", "time_entries", ["source", "worked_at"])
    if op.get_bind().dialect.name == "postgresql":  # as 0003 does for the tables before it
        op.execute("ALTER TABLE time_entries ENABLE ROW LEVEL SECURITY")
