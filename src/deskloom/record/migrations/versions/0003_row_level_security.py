"""Row-level security on PostgreSQL: nobody but the owner of the tables reads or writes them.

Supabase grants its roles `anon` and `authenticated` every table of `public` and shows them on the internet; without
policies, row-level security shows those roles nothing. The owner, and roles with BYPASSRLS, go on as before. A later
migration that makes a table, or makes the view anew, switches this on for it itself; a test holds every one to that.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "agents",
    "articles",
    "checkpoints",
    "codes",
    "collections",
    "companies",
    "contacts",
    "deskloom_revision",
    "documents",
    "embeddings",
    "failures",
    "holds",
    "index_copies",
    "messages",
    "runs",
    "schedules",
    "sources",
    "sync_logs",
    "tickets",
)

INVOKER_SINCE = 150000
GRANTEES = """
SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = to_regclass('ticket_details') AND a.grantee <> c.relowner
"""


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    if int(bind.execute(text("SHOW server_version_num")).scalar_one()) >= INVOKER_SINCE:
        op.execute("ALTER VIEW ticket_details SET (security_invoker = true)")
        return
    # PostgreSQL 14 reads a view's tables with the rights of its owner, so the view itself is closed.
    for (grantee,) in bind.execute(text(GRANTEES)).all():
        op.execute(f"REVOKE ALL ON ticket_details FROM {grantee}")
