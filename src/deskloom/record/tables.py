"""Every table of the record. The migrations, run one after another, make exactly these."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    Uuid,
    text,
)

from deskloom.record.columns import CleanText, Exact, UtcTime, json_type, serial_type

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

VERSION_TABLE = "deskloom_revision"
"""Alembic's bookkeeping, under a name of our own: a database on PostgreSQL may be shared with other programs."""

ACTIVE_RUN = text("state IN ('queued', 'running')")
PENDING_DOCUMENT = text("state IN ('stale', 'gone')")
ALIVE = text("deleted_at IS NULL")


def _written() -> list[Column]:  # type: ignore[type-arg]
    """What every copied object has: its change mark, the fingerprint of what matters, and when we wrote it."""
    return [
        Column("stamp", CleanText),
        Column("fingerprint", CleanText, nullable=False),
        Column("version", Integer, nullable=False),
        Column("deleted_at", UtcTime),
        Column("stored_at", UtcTime, nullable=False),
        Column("raw", json_type(), nullable=False),
    ]


sources = Table(
    "sources",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("kind", CleanText, nullable=False),
    Column("account", CleanText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

companies = Table(
    "companies",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("name", CleanText),
    Column("description", CleanText),
    Column("account_number", CleanText),
    Column("workspace_id", BigInteger),
    Column("domains", json_type(), nullable=False),
    Column("custom_fields", json_type(), nullable=False),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    *_written(),
    PrimaryKeyConstraint("source", "external_id"),
)
# Hash indexes: names and numbers come from outside, and PostgreSQL refuses entries over 2,700 bytes in a b-tree.
Index(None, companies.c.account_number, postgresql_using="hash")
Index(None, companies.c.name, postgresql_using="hash")

contacts = Table(
    "contacts",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("name", CleanText),
    Column("email", CleanText),
    Column("other_emails", json_type(), nullable=False),
    Column("phone", CleanText),
    Column("mobile", CleanText),
    Column("company_id", BigInteger),
    Column("other_company_ids", json_type(), nullable=False),
    Column("language", CleanText),
    Column("job_title", CleanText),
    Column("deleted", Boolean, nullable=False),
    Column("custom_fields", json_type(), nullable=False),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    *_written(),
    PrimaryKeyConstraint("source", "external_id"),
)
Index(None, contacts.c.source, contacts.c.company_id)
Index(None, contacts.c.email, postgresql_using="hash")

agents = Table(
    "agents",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("name", CleanText),
    Column("email", CleanText),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    *_written(),
    PrimaryKeyConstraint("source", "external_id"),
)

codes = Table(
    "codes",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("field", CleanText, nullable=False),
    Column("code", BigInteger, nullable=False),
    Column("label", CleanText, nullable=False),
    Column("stamp", CleanText),
    PrimaryKeyConstraint("source", "field", "code"),
)

tickets = Table(
    "tickets",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("subject", CleanText),
    Column("description_html", CleanText),
    Column("description_text", CleanText),
    Column("status", BigInteger),
    Column("priority", BigInteger),
    Column("channel", BigInteger),
    Column("type", CleanText),
    Column("requester_id", BigInteger),
    Column("requester_name", CleanText),
    Column("requester_email", CleanText),
    Column("responder_id", BigInteger),
    Column("group_id", BigInteger),
    Column("company_id", BigInteger),
    Column("customer_id", BigInteger),  # its company, or else its requester's only one (`customers.py`)
    Column("workspace_id", BigInteger),
    Column("resolution_html", CleanText),
    Column("resolution_text", CleanText),
    Column("tags", json_type(), nullable=False),
    Column("custom_fields", json_type(), nullable=False),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    Column("due_by", UtcTime),
    Column("first_responded_at", UtcTime),
    Column("resolved_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("listed_at", UtcTime, nullable=False),  # updated_at, else created_at, else 1970: what lists are sorted by
    Column("messages_fingerprint", CleanText),  # NULL: the messages could not be read yet
    *_written(),
    PrimaryKeyConstraint("source", "external_id"),
)
Index(
    None,
    tickets.c.listed_at,
    tickets.c.source,
    tickets.c.external_id,
    sqlite_where=ALIVE,
    postgresql_where=ALIVE,
)
Index(None, tickets.c.source, tickets.c.customer_id)
Index(None, tickets.c.source, tickets.c.requester_id)

messages = Table(
    "messages",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("ticket_id", BigInteger, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("incoming", Boolean, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("body_html", CleanText),
    Column("body_text", CleanText),
    Column("from_email", CleanText),
    Column("to_emails", json_type()),
    Column("cc_emails", json_type()),
    Column("support_email", CleanText),
    Column("author_id", BigInteger),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    Column("fingerprint", CleanText, nullable=False),
    Column("raw", json_type(), nullable=False),
    PrimaryKeyConstraint("source", "ticket_id", "external_id"),
    ForeignKeyConstraint(["source", "ticket_id"], ["tickets.source", "tickets.external_id"], ondelete="CASCADE"),
)

time_entries = Table(
    "time_entries",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("ticket_id", BigInteger, nullable=False),  # no foreign key: an entry may be listed before its ticket
    Column("agent_id", BigInteger),
    Column("billable", Boolean, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("worked_at", UtcTime),
    Column("note", CleanText),
    Column("started_at", UtcTime),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    *_written(),
    PrimaryKeyConstraint("source", "external_id"),
)
Index(None, time_entries.c.source, time_entries.c.ticket_id)
Index(None, time_entries.c.source, time_entries.c.worked_at)

articles = Table(
    "articles",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", BigInteger, nullable=False),
    Column("language", CleanText, nullable=False),
    Column("title", CleanText),
    Column("body_html", CleanText),
    Column("body_text", CleanText),
    Column("summary", CleanText),
    Column("published", Boolean, nullable=False),
    Column("visibility", CleanText, nullable=False),
    Column("folder_id", BigInteger),
    Column("folder_name", CleanText),
    Column("category_id", BigInteger),
    Column("category_name", CleanText),
    Column("author_id", BigInteger),
    Column("tags", json_type(), nullable=False),
    Column("url", CleanText),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    Column("listed_at", UtcTime, nullable=False),
    *_written(),
    PrimaryKeyConstraint("source", "external_id", "language"),
)
Index(
    None,
    articles.c.listed_at,
    articles.c.source,
    articles.c.external_id,
    articles.c.language,
    sqlite_where=ALIVE,
    postgresql_where=ALIVE,
)

table_rows = Table(
    "table_rows",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("external_id", CleanText, nullable=False),
    Column("entries", json_type(), nullable=False),  # language → what the index should hold of the row in it
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    *_written(),
    PrimaryKeyConstraint("source", "external_id"),
)

documents = Table(
    "documents",
    metadata,
    Column("collection", CleanText, nullable=False),
    Column("source", CleanText, nullable=False),
    Column("item_id", CleanText, nullable=False),
    Column("language", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),  # stale, gone, ready, failed
    Column("version", BigInteger, nullable=False),
    Column("published", json_type(), nullable=False),  # section → hash of the text the index holds
    Column("payload_hash", CleanText),
    Column("embedder", CleanText),
    Column("rules", Integer),
    Column("visibility", CleanText),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcTime),
    Column("last_error", CleanText),
    Column("claimed_by", CleanText),
    Column("claimed_until", UtcTime),
    Column("stale_since", UtcTime, nullable=False),
    Column("published_at", UtcTime),
    PrimaryKeyConstraint("collection", "source", "item_id", "language"),
)
Index(
    "ix_documents_pending",
    documents.c.stale_since,
    sqlite_where=PENDING_DOCUMENT,
    postgresql_where=PENDING_DOCUMENT,
)
Index(None, documents.c.claimed_by)

embeddings = Table(
    "embeddings",
    metadata,
    Column("model", CleanText, nullable=False),
    Column("hash", CleanText, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("vectors", LargeBinary, nullable=False),  # float32, little endian, part after part
    Column("weights", LargeBinary),  # word weights of the same pass, where the model gives any
    PrimaryKeyConstraint("model", "hash"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source", CleanText, nullable=False),
    Column("stream", CleanText, nullable=False),
    Column("mode", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),  # queued, running, succeeded, partial, failed, cancelled
    Column("requested_by", CleanText),
    Column("since", UtcTime),
    Column("item_limit", Integer),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("progress", json_type(), nullable=False),
    Column("counts", json_type(), nullable=False),
    Column("errors", json_type(), nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("owner", CleanText),
    Column("lease_until", UtcTime),
    Column("fence", BigInteger, nullable=False),
    Column("takeovers", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("options", json_type(), nullable=False, server_default=text("'{}'")),  # what a mode needs beside `since`
    Column("report", json_type()),  # what a verify, sweep or reindex found
)
Index(
    "uq_runs_active",
    runs.c.source,
    runs.c.stream,
    unique=True,
    sqlite_where=ACTIVE_RUN,
    postgresql_where=ACTIVE_RUN,
)
Index(None, runs.c.created_at, runs.c.id)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("source", CleanText, nullable=False),
    Column("stream", CleanText, nullable=False),
    Column("cursor", json_type(), nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("completed_at", UtcTime),
    PrimaryKeyConstraint("source", "stream"),
)

sync_logs = Table(
    "sync_logs",
    metadata,
    Column("id", serial_type(), primary_key=True),
    Column("collection", CleanText, nullable=False),
    Column("item_id", CleanText, nullable=False),
    Column("item_type", CleanText, nullable=False),
    Column("synced_at", UtcTime, nullable=False),
)
Index(None, sync_logs.c.collection, sync_logs.c.synced_at)

failures = Table(
    "failures",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source", CleanText, nullable=False),
    Column("stream", CleanText, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("key", CleanText, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_failed_at", UtcTime, nullable=False),
    Column("last_failed_at", UtcTime, nullable=False),
    Column("next_attempt_at", UtcTime),  # NULL: only a change at the source can mend it
    UniqueConstraint("source", "stream", "kind", "key"),
)
Index(None, failures.c.next_attempt_at)

collections = Table(
    "collections",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("embedder", json_type(), nullable=False),  # the choice of model its points were made with
    Column("previous", json_type()),  # the choice behind the copy that is kept after a reindex
    Column("state", CleanText, nullable=False),  # serving; closed: claims rest while a rebuilt copy takes its place
    Column("rebuild", json_type()),  # a copy being built: its embedder, its name in the index, since when
    Column("updated_at", UtcTime, nullable=False),
)

index_copies = Table(
    "index_copies",
    metadata,
    Column("copy", CleanText, nullable=False),  # a copy of a collection beside the serving one: `rebuilds` names it
    Column("source", CleanText, nullable=False),
    Column("item_id", CleanText, nullable=False),
    Column("language", CleanText, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("published", json_type(), nullable=False),  # as in `documents`
    Column("payload_hash", CleanText),
    Column("visibility", CleanText),
    Column("error", CleanText),
    PrimaryKeyConstraint("copy", "source", "item_id", "language"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source", CleanText, nullable=False),
    Column("stream", CleanText, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("gone", BigInteger, nullable=False),  # how many objects the listing lacked
    Column("known", BigInteger, nullable=False),  # of how many
    Column("keys", json_type(), nullable=False),  # which: a person's word covers exactly these
    Column("reason", CleanText, nullable=False),
    Column("held_at", UtcTime, nullable=False),
    Column("allowed_at", UtcTime),
    Column("allowed_by", CleanText),
    UniqueConstraint("source", "stream", "kind"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source", CleanText, nullable=False),
    Column("stream", CleanText, nullable=False),
    Column("mode", CleanText, nullable=False),
    Column("cron", CleanText, nullable=False),
    Column("timezone", CleanText, nullable=False),
    Column("jitter_seconds", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("options", json_type(), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("next_at", UtcTime),
    Column("last_at", UtcTime),
    Column("last_run_id", Uuid),
    Column("last_error", CleanText),
    UniqueConstraint("source", "stream", "mode"),
)
Index(None, schedules.c.next_at)

run_help = Table(
    "run_help",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("run_id", Uuid, nullable=False),
    Column("counts", json_type(), nullable=False),  # what a helper did in one step, until the run's worker adds it
    Column("errors", json_type(), nullable=False),
)
Index(None, run_help.c.run_id)

budgets = Table(
    "budgets",
    metadata,
    Column("account", CleanText, nullable=False),
    Column("purse", CleanText, nullable=False),  # a class of endpoints; "" is the account itself
    Column("total", Float),  # credits in a window, as the helpdesk told; NULL: not known yet
    Column("remaining", Float),  # what the helpdesk said is left, until `renewed_by`
    Column("renewed_by", UtcTime),
    Column("window_seconds", Float, nullable=False),
    Column("paused_until", UtcTime),
    Column("spent", json_type(), nullable=False),  # [seconds since the epoch, credits], oldest first
    Column("held", json_type(), nullable=False),  # process → [until when, credits]: lent, not accounted for yet
    PrimaryKeyConstraint("account", "purse"),
)

billing_terms = Table(
    "billing_terms",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_number", CleanText, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),  # the last day; NULL: no end
    Column("rate", Exact, nullable=False),
    Column("currency", CleanText, nullable=False),
    Column("prepaid_monthly_hours", Exact, nullable=False),
    Column("prepaid_yearly_hours", Exact, nullable=False),
    Column("year_start", Date),  # a contract year begins on this day and its anniversaries; NULL: 1 January
    Column("increment_minutes", Integer, nullable=False),
    Column("increment_per", CleanText, nullable=False),  # entry, ticket
    Column("payment_days", Integer, nullable=False),
    Column("item", CleanText, nullable=False),
    Column("customer_name", CleanText),
    Column("receivable_account", CleanText, nullable=False),
    Column("income_account", CleanText, nullable=False),
    Column("list_unbilled", Boolean, nullable=False),
)
Index(None, billing_terms.c.account_number, postgresql_using="hash")

invoices = Table(
    "invoices",
    metadata,
    Column("number", CleanText, primary_key=True),
    Column("account_number", CleanText, nullable=False),
    Column("month", Date, nullable=False),  # its first day
    Column("position", Integer, nullable=False),  # the account's invoices in the order they were issued, from 1
    Column("issued_at", UtcTime, nullable=False),
    Column("issued_by", CleanText),
    Column("invoice_date", Date, nullable=False),
    Column("due_date", Date, nullable=False),
    Column("currency", CleanText, nullable=False),
    Column("total", Exact, nullable=False),
    Column("covers_from", Date, nullable=False),  # the first day whose work had a say in it
    Column("rules", json_type(), nullable=False),  # the settings that it was made by
    Column("statement", json_type(), nullable=False),  # as callers saw it when it was issued
    Column("csv", LargeBinary, nullable=False),
    Column("iif", LargeBinary, nullable=False),
    UniqueConstraint("account_number", "month"),
    UniqueConstraint("account_number", "position"),
)

invoice_work = Table(
    "invoice_work",
    metadata,
    Column("number", CleanText, nullable=False),
    Column("source", CleanText, nullable=False),
    Column("ticket_id", BigInteger, nullable=False),
    Column("entry_id", BigInteger, nullable=False),  # 0: what a ticket without time entries counts as
    Column("day", Date, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("billable", Boolean, nullable=False),
    Column("gone", Boolean, nullable=False),  # an earlier invoice counted it, and it is no longer there
    PrimaryKeyConstraint("number", "source", "ticket_id", "entry_id"),
    ForeignKeyConstraint(["number"], ["invoices.number"], ondelete="CASCADE"),
)

word_lists = Table(
    "word_lists",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("copy", CleanText, nullable=False),  # a copy of a collection, as an index without sparse vectors calls it
    Column("name", CleanText, nullable=False),  # a word vector, or "=" and the field that its postings are values of
    UniqueConstraint("copy", "name"),
)

word_points = Table(
    "word_points",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("copy", CleanText, nullable=False),
    Column("point", Uuid, nullable=False),
    UniqueConstraint("copy", "point"),
)

word_postings = Table(
    "word_postings",
    metadata,
    Column("token", BigInteger, nullable=False),
    Column("list", Integer, nullable=False),
    Column("point", Integer, nullable=False),  # word_points.id
    Column("weight", REAL, nullable=False),
    PrimaryKeyConstraint("list", "token", "point"),
    sqlite_with_rowid=False,
)
Index(None, word_postings.c.point)
