"""Reports and options of runs, models by collection, held deletions, schedules, cached word weights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText, UtcTime, json_type

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("embeddings", sa.Column("weights", sa.LargeBinary(), nullable=True))
    op.add_column("runs", sa.Column("options", json_type(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("runs", sa.Column("report", json_type(), nullable=True))
    op.create_table(
        "collections",
        sa.Column("name", CleanText(), nullable=False),
        sa.Column("embedder", json_type(), nullable=False),
        sa.Column("previous", json_type(), nullable=True),
        sa.Column("state", CleanText(), nullable=False),
        sa.Column("rebuild", json_type(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_collections"),
    )
    op.create_table(
        "index_copies",
        sa.Column("copy", CleanText(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("item_id", CleanText(), nullable=False),
        sa.Column("language", CleanText(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("published", json_type(), nullable=False),
        sa.Column("payload_hash", CleanText(), nullable=True),
        sa.Column("visibility", CleanText(), nullable=True),
        sa.Column("error", CleanText(), nullable=True),
        sa.PrimaryKeyConstraint("copy", "source", "item_id", "language", name="pk_index_copies"),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("stream", CleanText(), nullable=False),
        sa.Column("kind", CleanText(), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("keys", json_type(), nullable=False),
        sa.Column("reason", CleanText(), nullable=False),
        sa.Column("held_at", UtcTime(), nullable=False),
        sa.Column("allowed_at", UtcTime(), nullable=True),
        sa.Column("allowed_by", CleanText(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sa.UniqueConstraint("source", "stream", "kind", name="uq_holds_source_stream_kind"),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("stream", CleanText(), nullable=False),
        sa.Column("mode", CleanText(), nullable=False),
        sa.Column("cron", CleanText(), nullable=False),
        sa.Column("timezone", CleanText(), nullable=False),
        sa.Column("jitter_seconds", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("options", json_type(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("next_at", UtcTime(), nullable=True),
        sa.Column("last_at", UtcTime(), nullable=True),
        sa.Column("last_run_id", sa.Uuid(), nullable=True),
        sa.Column("last_error", CleanText(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.UniqueConstraint("source", "stream", "mode", name="uq_schedules_source_stream_mode"),
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
