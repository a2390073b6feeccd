"""Words of points, for an index whose store has no sparse vectors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "word_lists",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("copy", CleanText(), nullable=False),
        sa.Column("name", CleanText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_word_lists"),
        sa.UniqueConstraint("copy", "name", name="uq_word_lists_copy_name"),
    )
    op.create_table(
        "word_points",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("copy", CleanText(), nullable=False),
        sa.Column("point", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_word_points"),
        sa.UniqueConstraint("copy", "point", name="uq_word_points_copy_point"),
    )
    op.create_table(
        "word_postings",
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("list", sa.Integer(), nullable=False),
        sa.Column("point", sa.Integer(), nullable=False),
        sa.Column("weight", sa.REAL(), nullable=False),
        sa.PrimaryKeyConstraint("list", "token", "point", name="pk_word_postings"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_word_postings_point", "word_postings", ["point"])
    if op.get_bind().dialect.name == "postgresql":  # as 0003 does for the tables before these
        for table in ("word_lists", "word_points", "word_postings"):
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
