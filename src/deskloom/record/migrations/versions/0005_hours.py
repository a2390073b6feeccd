"""Time entries, what Freshservice tells of a ticket beside them, and rows of a team's own tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from deskloom.record.columns import CleanText, UtcTime, json_type

revision = "0005"
down_revision = "0004"
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
    ROUND((SELECT COALESCE(SUM(e.seconds), 0) FROM time_entries AS e WHERE e.source = t.source AND
        e.ticket_id = t.external_id AND e.deleted_at IS NULL) / 3600.0, 4) AS total_hours_spent,
    (SELECT json_group_array(json(o.entry)) FROM (SELECT json_object('id', m.external_id, 'body',
        m.body_text, 'body_html', m.body_html, 'from_email', m.from_email, 'to_emails', json(m.to_emails),
        'created_at', m.created_at, 'updated_at', m.updated_at, 'incoming', json(CASE WHEN m.incoming THEN
        'true' ELSE 'false' END), 'private', json(CASE WHEN m.private THEN 'true' ELSE 'false' END),
        'user_id', m.author_id, 'support_email', m.support_email) AS entry FROM messages AS m WHERE
        m.source = t.source AND m.ticket_id = t.external_id AND NOT m.private ORDER BY m.created_at IS
        NULL, m.created_at, m.external_id) AS o) AS conversations,
    (SELECT json_group_array(json(o.entry)) FROM (SELECT json_object('id', m.external_id, 'body',
        m.body_text, 'from_email', m.from_email, 'created_at', m.created_at, 'private', json(CASE WHEN
        m.private THEN 'true' ELSE 'false' END), 'user_id', m.author_id) AS entry FROM messages AS m WHERE
        m.source = t.source AND m.ticket_id = t.external_id AND m.private ORDER BY m.created_at IS NULL,
        m.created_at, m.external_id) AS o) AS notes,
    t.source AS source
FROM tickets AS t
LEFT JOIN companies AS co ON co.source = t.source AND co.external_id = t.customer_id
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
    ROUND((SELECT COALESCE(SUM(e.seconds), 0) FROM time_entries AS e WHERE e.source = t.source AND
        e.ticket_id = t.external_id AND e.deleted_at IS NULL) / 3600.0, 4) AS total_hours_spent,
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', m.external_id, 'body', m.body_text, 'body_html',
        m.body_html, 'from_email', m.from_email, 'to_emails', m.to_emails, 'created_at',
        to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'updated_at',
        to_char(m.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'incoming', m.incoming,
        'private', m.private, 'user_id', m.author_id, 'support_email', m.support_email) ORDER BY
        m.created_at IS NULL, m.created_at, m.external_id), '[]'::jsonb) FROM messages AS m WHERE m.source
        = t.source AND m.ticket_id = t.external_id AND NOT m.private) AS conversations,
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', m.external_id, 'body', m.body_text, 'from_email',
        m.from_email, 'created_at', to_char(m.created_at AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'private', m.private, 'user_id', m.author_id) ORDER BY
        m.created_at IS NULL, m.created_at, m.external_id), '[]'::jsonb) FROM messages AS m WHERE m.source
        = t.source AND m.ticket_id = t.external_id AND m.private) AS notes,
    t.source AS source
FROM tickets AS t
LEFT JOIN companies AS co ON co.source = t.source AND co.external_id = t.customer_id
LEFT JOIN contacts AS c ON c.source = t.source AND c.external_id = t.requester_id
LEFT JOIN agents AS a ON a.source = t.source AND a.external_id = t.requester_id
LEFT JOIN codes AS st ON st.source = t.source AND st.field = 'status' AND st.code = t.status
LEFT JOIN codes AS pr ON pr.source = t.source AND pr.field = 'priority' AND pr.code = t.priority
WHERE t.deleted_at IS NULL
""",
}

_CUSTOMERS = """
UPDATE tickets SET customer_id = coalesce(company_id, (
    SELECT c.company_id FROM contacts AS c
    WHERE c.source = tickets.source AND c.external_id = tickets.requester_id AND c.other_company_ids = '[]'
))
"""
INVOKER_SINCE = 150000
GRANTEES = """
SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = to_regclass('ticket_details') AND a.grantee <> c.relowner
"""


def upgrade() -> None:
    op.add_column("companies", sa.Column("workspace_id", sa.BigInteger(), nullable=True))
    for name in ("workspace_id", "customer_id"):
        op.add_column("tickets", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in ("resolution_html", "resolution_text"):
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
    op.create_table(
        "table_rows",
        sa.Column("source", CleanText(), nullable=False),
        sa.Column("external_id", CleanText(), nullable=False),
        sa.Column("entries", json_type(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("stamp", CleanText(), nullable=True),
        sa.Column("fingerprint", CleanText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("stored_at", UtcTime(), nullable=False),
        sa.Column("raw", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_table_rows"),
    )
    op.drop_index("ix_tickets_source_company_id", "tickets")
    op.create_index("ix_tickets_source_customer_id", "tickets", ["source", "customer_id"])
    op.execute(_CUSTOMERS)
    bind = op.get_bind()
    op.execute("DROP VIEW ticket_details")
    bind.exec_driver_sql(_TICKET_DETAILS[bind.dialect.name])  # as 0001 says why
    if bind.dialect.name != "postgresql":
        return
    for table in ("time_entries", "table_rows"):  # as 0003 does for the tables before them, and for the view
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    if int(bind.execute(sa.text("SHOW server_version_num")).scalar_one()) >= INVOKER_SINCE:
        op.execute("ALTER VIEW ticket_details SET (security_invoker = true)")
        return
    for (grantee,) in bind.execute(sa.text(GRANTEES)).all():
        op.execute(f"REVOKE ALL ON ticket_details FROM {grantee}")
