"""Billing: what was agreed with each company, the invoices that were issued, and the work that each of them counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText, Exact, UtcTime, json_type

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "billing_terms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_number", CleanText(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("rate", Exact(), nullable=False),
        sa.Column("currency", CleanText(), nullable=False),
        sa.Column("prepaid_monthly_hours", Exact(), nullable=False),
        sa.Column("prepaid_yearly_hours", Exact(), nullable=False),
        sa.Column("year_start", sa.Date(), nullable=True),
        sa.Column("increment_minutes", sa.Integer(), nullable=False),
        sa.Column("increment_per", CleanText(), nullable=False),
        sa.Column("payment_days", sa.Integer(), nullable=False),
        sa.Column("item", CleanText(), nullable=False),
        sa.Column("customer_name", CleanText(), nullable=True),
        sa.Column("receivable_account", CleanText(), nullable=False),
        sa.Column("income_account", CleanText(), nullable=False),
        sa.Column("list_unbilled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_billing_terms"),
    )
    op.create_index("ix_billing_terms_account_number", "billing_terms", ["account_number"], postgresql_using="hash")
    op.create_table(
        "invoices",
        sa.Column("number", CleanText(), nullable=False),
        sa.Column("account_number", CleanText(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("issued_at", UtcTime(), nullable=False),
        sa.Column("issued_by", CleanText(), nullable=True),
        sa.Column("invoice_date", sa.Date(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("currency", CleanText(), nullable=False),
        sa.Column("total", Exact(), nullable=False),
        sa.Column("covers_from", sa.Date(), nullable=False),
        sa.Column("rules", json_type(), nullable=False),
        sa.Column("statement", json_type(), nullable=False),
        sa.Column("csv", sa.LargeBinary(), nullable=False),
        sa.Column("iif", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_invoices"),
        sa.UniqueConstraint("account_number", "month", name="uq_invoices_account_number_month"),
        sa.UniqueConstraint("account_number", "position", name="uq_invoices_account_number_position"),
    )
    op.create_table(
        "invoice_work",
        sa.Column("number", CleanText(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("billable", sa.Boolean(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["invoices.number"], name="fk_invoice_work_invoices", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", "source", "ticket_id", "entry_id", name="pk_invoice_work"),
    )
    if op.get_bind().dialect.name == "postgresql":  # as 0003 does for the tables before these
        for table in ("billing_terms", "invoices", "invoice_work"):
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
