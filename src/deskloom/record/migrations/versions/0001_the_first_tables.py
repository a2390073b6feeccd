"""The first tables: copies of helpdesk objects, documents, runs and their bookkeeping."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText, UtcTime, json_type, serial_type

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What `views.py` said at this revision.
_TICKET_DETAILS = {
    "sqlite": """
CREATE VIEW ticket_details AS
SELECT
    t.external_id AS ticket_id,
    co.account_number AS company_account_number,
    t.external_id AS ticket_number,
    t.subject AS subject,
    t.description_html AS description,
    t.description_text AS description_text,
    COALESCE(st.label, CAST(t.status AS TEXT)) AS status,
    COALESCE(pr.label, CAST(t.priority AS TEXT)) AS priority,
    COALESCE(c.email, a.email, t.requester_email) AS requester_email,
    COALESCE(c.name, a.name, t.requester_name) AS requester_name,
    t.created_at AS created_at,
    t.updated_at AS last_updated_at,
    t.closed_at AS closed_at,
    CAST(0 AS NUMERIC) AS total_hours_spent,
    (SELECT json_group_array(json(o.entry)) FROM (SELECT json_object('id', m.external_id, 'body', m.body_text,
        'body_html', m.body_html, 'from_email', m.from_email, 'to_emails', json(m.to_emails), 'created_at',
        m.created_at, 'updated_at', m.updated_at, 'incoming', json(CASE WHEN m.incoming THEN 'true' ELSE
        'false' END), 'private', json(CASE WHEN m.private THEN 'true' ELSE 'false' END), 'user_id',
        m.author_id, 'support_email', m.support_email) AS entry FROM messages AS m WHERE m.source = t.source
        AND m.ticket_id = t.external_id AND NOT m.private ORDER BY m.created_at IS NULL, m.created_at,
        m.external_id) AS o) AS conversations,
    (SELECT json_group_array(json(o.entry)) FROM (SELECT json_object('id', m.external_id, 'body', m.body_text,
        'from_email', m.from_email, 'created_at', m.created_at, 'private', json(CASE WHEN m.private THEN 'true'
        ELSE 'false' END), 'user_id', m.author_id) AS entry FROM messages AS m WHERE m.source = t.source AND
        m.ticket_id = t.external_id AND m.private ORDER BY m.created_at IS NULL, m.created_at, m.external_id)
        AS o) AS notes,
    t.source AS source
FROM tickets AS t
LEFT JOIN companies AS co ON co.source = t.source AND co.external_id = t.company_id
LEFT JOIN contacts AS c ON c.source = t.source AND c.external_id = t.requester_id
LEFT JOIN agents AS a ON a.source = t.source AND a.external_id = t.requester_id
LEFT JOIN codes AS st ON st.source = t.source AND st.field = 'status' AND st.code = t.status
LEFT JOIN codes AS pr ON pr.source = t.source AND pr.field = 'priority' AND pr.code = t.priority
WHERE t.deleted_at IS NULL
""",
    "postgresql": """
CREATE VIEW ticket_details AS
SELECT
    t.external_id AS ticket_id,
    co.account_number AS company_account_number,
    t.external_id AS ticket_number,
    t.subject AS subject,
    t.description_html AS description,
    t.description_text AS description_text,
    COALESCE(st.label, CAST(t.status AS TEXT)) AS status,
    COALESCE(pr.label, CAST(t.priority AS TEXT)) AS priority,
    COALESCE(c.email, a.email, t.requester_email) AS requester_email,
    COALESCE(c.name, a.name, t.requester_name) AS requester_name,
    t.created_at AS created_at,
    t.updated_at AS last_updated_at,
    t.closed_at AS closed_at,
    CAST(0 AS NUMERIC) AS total_hours_spent,
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', m.external_id, 'body', m.body_text, 'body_html',
        m.body_html, 'from_email', m.from_email, 'to_emails', m.to_emails, 'created_at', to_char(m.created_at
        AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'updated_at', to_char(m.updated_at AT TIME ZONE
        'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'incoming', m.incoming, 'private', m.private, 'user_id',
        m.author_id, 'support_email', m.support_email) ORDER BY m.created_at IS NULL, m.created_at,
        m.external_id), '[]'::jsonb) FROM messages AS m WHERE m.source = t.source AND m.ticket_id =
        t.external_id AND NOT m.private) AS conversations,
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', m.external_id, 'body', m.body_text, 'from_email',
        m.from_email, 'created_at', to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'private', m.private, 'user_id', m.author_id) ORDER BY m.created_at IS NULL, m.created_at,
        m.external_id), '[]'::jsonb) FROM messages AS m WHERE m.source = t.source AND m.ticket_id =
        t.external_id AND m.private) AS notes,
    t.source AS source
FROM tickets AS t
LEFT JOIN companies AS co ON co.source = t.source AND co.external_id = t.company_id
LEFT JOIN contacts AS c ON c.source = t.source AND c.external_id = t.requester_id
LEFT JOIN agents AS a ON a.source = t.source AND a.external_id = t.requester_id
LEFT JOIN codes AS st ON st.source = t.source AND st.field = 'status' AND st.code = t.status
LEFT JOIN codes AS pr ON pr.source = t.source AND pr.field = 'priority' AND pr.code = t.priority
WHERE t.deleted_at IS NULL
""",
}


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("name", CleanText(), nullable=True),
        sa.Column("email", CleanText(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_agents"),
    )
    op.create_table(
        "articles",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("language", CleanText(), nullable=False),
        sa.Column("title", CleanText(), nullable=True),
        sa.Column("body_html", CleanText(), nullable=True),
        sa.Column("body_text", CleanText(), nullable=True),
        sa.Column("summary", CleanText(), nullable=True),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("visibility", CleanText(), nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=True),
        sa.Column("folder_name", CleanText(), nullable=True),
        sa.Column("category_id", sa.BigInteger(), nullable=True),
        sa.Column("category_name", CleanText(), nullable=True),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("tags", json_type(), nullable=False),
        sa.Column("url", CleanText(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("listed_at", UtcTime(), nullable=False),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", "language", name="pk_articles"),
    )
    op.create_index(
        "ix_articles_listed_at_source_external_id_language",
        "articles",
        ["listed_at", "source", "external_id", "language"],
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )

    op.create_table(
        "checkpoints",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("stream", CleanText(), nullable=False),
        sa.Column("cursor", json_type(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("completed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("source", "stream", name="pk_checkpoints"),
    )
    op.create_table(
        "codes",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("field", CleanText(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("label", CleanText(), nullable=False),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.PrimaryKeyConstraint("source", "field", "code", name="pk_codes"),
    )
    op.create_table(
        "companies",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("name", CleanText(), nullable=True),
        sa.Column("description", CleanText(), nullable=True),
        sa.Column("account_number", CleanText(), nullable=True),
        sa.Column("domains", json_type(), nullable=False),
        sa.Column("custom_fields", json_type(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_companies"),
    )
    op.create_index("ix_companies_account_number", "companies", ["account_number"], postgresql_using="hash")
    op.create_index("ix_companies_name", "companies", ["name"], postgresql_using="hash")

    op.create_table(
        "contacts",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("name", CleanText(), nullable=True),
        sa.Column("email", CleanText(), nullable=True),
        sa.Column("other_emails", json_type(), nullable=False),
        sa.Column("phone", CleanText(), nullable=True),
        sa.Column("mobile", CleanText(), nullable=True),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("other_company_ids", json_type(), nullable=False),
        sa.Column("language", CleanText(), nullable=True),
        sa.Column("job_title", CleanText(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("custom_fields", json_type(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_contacts"),
    )
    op.create_index("ix_contacts_email", "contacts", ["email"], postgresql_using="hash")
    op.create_index("ix_contacts_source_company_id", "contacts", ["source", "company_id"])

    op.create_table(
        "documents",
        sa.Column("collection", CleanText(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("item_id", CleanText(), nullable=False),
        sa.Column("language", CleanText(), nullable=False),
        sa.Column("state", CleanText(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("published", json_type(), nullable=False),
        sa.Column("payload_hash", CleanText(), nullable=True),
        sa.Column("embedder", CleanText(), nullable=True),
        sa.Column("rules", sa.Integer(), nullable=True),
        sa.Column("visibility", CleanText(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcTime(), nullable=True),
        sa.Column("last_error", CleanText(), nullable=True),
        sa.Column("claimed_by", CleanText(), nullable=True),
        sa.Column("claimed_until", UtcTime(), nullable=True),
        sa.Column("stale_since", UtcTime(), nullable=False),
        sa.Column("published_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("collection", "source", "item_id", "language", name="pk_documents"),
    )
    op.create_index("ix_documents_claimed_by", "documents", ["claimed_by"])
    op.create_index(
        "ix_documents_pending",
        "documents",
        ["stale_since"],
        sqlite_where=sa.text("state IN ('stale', 'gone')"),
        postgresql_where=sa.text("state IN ('stale', 'gone')"),
    )

    op.create_table(
        "embeddings",
        sa.Column("model", CleanText(), nullable=False),
        sa.Column("hash", CleanText(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model", "hash", name="pk_embeddings"),
    )
    op.create_table(
        "failures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("stream", CleanText(), nullable=False),
        sa.Column("kind", CleanText(), nullable=False),
        sa.Column("key", CleanText(), nullable=False),
        sa.Column("reason", CleanText(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", UtcTime(), nullable=False),
        sa.Column("last_failed_at", UtcTime(), nullable=False),
        sa.Column("next_attempt_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_failures"),
        sa.UniqueConstraint("source", "stream", "kind", "key", name="uq_failures_source_stream_kind_key"),
    )
    op.create_index("ix_failures_next_attempt_at", "failures", ["next_attempt_at"])

    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("stream", CleanText(), nullable=False),
        sa.Column("mode", CleanText(), nullable=False),
        sa.Column("state", CleanText(), nullable=False),
        sa.Column("requested_by", CleanText(), nullable=True),
        sa.Column("since", UtcTime(), nullable=True),
        sa.Column("item_limit", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("progress", json_type(), nullable=False),
        sa.Column("counts", json_type(), nullable=False),
        sa.Column("errors", json_type(), nullable=False),
        sa.Column("error_count", sa.Integer(), nullable=False),
        sa.Column("owner", CleanText(), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("takeovers", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_created_at_id", "runs", ["created_at", "id"])
    op.create_index(
        "uq_runs_active",
        "runs",
        ["source", "stream"],
        unique=True,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )

    op.create_table(
        "sources",
        sa.Column("name", CleanText(), nullable=False),
        sa.Column("kind", CleanText(), nullable=False),
        sa.Column("account", CleanText(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sources"),
    )
    op.create_table(
        "sync_logs",
        sa.Column("id", serial_type(), nullable=False),
        sa.Column("collection", CleanText(), nullable=False),
        sa.Column("item_id", CleanText(), nullable=False),
        sa.Column("item_type", CleanText(), nullable=False),
        sa.Column("synced_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sync_logs"),
    )
    op.create_index("ix_sync_logs_collection_synced_at", "sync_logs", ["collection", "synced_at"])

    op.create_table(
        "tickets",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("state", CleanText(), nullable=False),
        sa.Column("subject", CleanText(), nullable=True),
        sa.Column("description_html", CleanText(), nullable=True),
        sa.Column("description_text", CleanText(), nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.BigInteger(), nullable=True),
        sa.Column("channel", sa.BigInteger(), nullable=True),
        sa.Column("type", CleanText(), nullable=True),
        sa.Column("requester_id", sa.BigInteger(), nullable=True),
        sa.Column("requester_name", CleanText(), nullable=True),
        sa.Column("requester_email", CleanText(), nullable=True),
        sa.Column("responder_id", sa.BigInteger(), nullable=True),
        sa.Column("group_id", sa.BigInteger(), nullable=True),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("tags", json_type(), nullable=False),
        sa.Column("custom_fields", json_type(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("due_by", UtcTime(), nullable=True),
        sa.Column("first_responded_at", UtcTime(), nullable=True),
        sa.Column("resolved_at", UtcTime(), nullable=True),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.Column("listed_at", UtcTime(), nullable=False),
        sa.Column("messages_fingerprint", CleanText(), nullable=True),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_tickets"),
    )
    op.create_index(
        "ix_tickets_listed_at_source_external_id",
        "tickets",
        ["listed_at", "source", "external_id"],
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_tickets_source_company_id", "tickets", ["source", "company_id"])
    op.create_index("ix_tickets_source_requester_id", "tickets", ["source", "requester_id"])

    op.create_table(
        "messages",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.BigInteger(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("incoming", sa.Boolean(), nullable=False),
        sa.Column("kind", CleanText(), nullable=False),
        sa.Column("body_html", CleanText(), nullable=True),
        sa.Column("body_text", CleanText(), nullable=True),
        sa.Column("from_email", CleanText(), nullable=True),
        sa.Column("to_emails", json_type(), nullable=True),
        sa.Column("cc_emails", json_type(), nullable=True),
        sa.Column("support_email", CleanText(), nullable=True),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source", "ticket_id"],
            ["tickets.source", "tickets.external_id"],
            name="fk_messages_tickets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("source", "ticket_id", "external_id", name="pk_messages"),
    )
    # Not `op.execute`: it would take the colons in the time format for parameters.
    op.get_bind().exec_driver_sql(_TICKET_DETAILS[op.get_bind().dialect.name])
