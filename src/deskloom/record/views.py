"""The view `ticket_details`: the flat shape reports expect, one row for each ticket that is not deleted or spam.

`conversations` (public messages) and `notes` (private ones) are JSON arrays, oldest first, with the members the API
documents; times in them are ISO 8601 with microseconds and `Z`. `total_hours_spent` is the sum of the seconds of the
ticket's time entries, billable or not, in hours, rounded once to four decimals; 0 for a ticket without entries.
"""

from __future__ import annotations

TICKET_DETAILS = "ticket_details"

_VIEW = """
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
    {hours} AS total_hours_spent,
    {conversations} AS conversations,
    {notes} AS notes,
    t.source AS source
FROM tickets AS t
LEFT JOIN companies AS co ON co.source = t.source AND co.external_id = t.customer_id
LEFT JOIN contacts AS c ON c.source = t.source AND c.external_id = t.requester_id
LEFT JOIN agents AS a ON a.source = t.source AND a.external_id = t.requester_id
LEFT JOIN codes AS st ON st.source = t.source AND st.field = 'status' AND st.code = t.status
LEFT JOIN codes AS pr ON pr.source = t.source AND pr.field = 'priority' AND pr.code = t.priority
WHERE t.deleted_at IS NULL
"""

_CONVERSATION = (
    ("id", "m.external_id"),
    ("body", "m.body_text"),
    ("body_html", "m.body_html"),
    ("from_email", "m.from_email"),
    ("to_emails", "{json}m.to_emails{end}"),
    ("created_at", "{time}m.created_at{zone}"),
    ("updated_at", "{time}m.updated_at{zone}"),
    ("incoming", "{truth}m.incoming{value}"),
    ("private", "{truth}m.private{value}"),
    ("user_id", "m.author_id"),
    ("support_email", "m.support_email"),
)
_NOTE = tuple(
    entry for entry in _CONVERSATION if entry[0] in ("id", "body", "from_email", "created_at", "private", "user_id")
)

# SQLite keeps booleans as numbers, times and JSON as text; ordering inside its aggregate needs version 3.44, so the
# rows are put in order before they are gathered.
_SPELLING = {
    "sqlite": {
        "json": "json(",
        "end": ")",
        "time": "",
        "zone": "",
        "truth": "json(CASE WHEN ",
        "value": " THEN 'true' ELSE 'false' END)",
    },
    "postgresql": {
        "json": "",
        "end": "",
        "time": "to_char(",
        "zone": " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        "truth": "",
        "value": "",
    },
}
_ARRAY = {
    "sqlite": (
        "(SELECT json_group_array(json(o.entry)) FROM (SELECT json_object({members}) AS entry FROM messages AS m "
        "WHERE m.source = t.source AND m.ticket_id = t.external_id AND {which} "
        "ORDER BY m.created_at IS NULL, m.created_at, m.external_id) AS o)"
    ),
    "postgresql": (
        "(SELECT COALESCE(jsonb_agg(jsonb_build_object({members}) "
        "ORDER BY m.created_at IS NULL, m.created_at, m.external_id), '[]'::jsonb) FROM messages AS m "
        "WHERE m.source = t.source AND m.ticket_id = t.external_id AND {which})"
    ),
}


_HOURS = (
    "ROUND((SELECT COALESCE(SUM(e.seconds), 0) FROM time_entries AS e WHERE e.source = t.source "
    "AND e.ticket_id = t.external_id AND e.deleted_at IS NULL) / 3600.0, 4)"
)


def _array(dialect: str, entries: tuple[tuple[str, str], ...], which: str) -> str:
    members = ", ".join(f"'{name}', {column.format(**_SPELLING[dialect])}" for name, column in entries)
    return _ARRAY[dialect].format(members=members, which=which)


def ticket_details(dialect: str) -> str:
    """The statement that makes the view, for `sqlite` or `postgresql`."""
    return _VIEW.format(
        hours=_HOURS,
        conversations=_array(dialect, _CONVERSATION, "NOT m.private"),
        notes=_array(dialect, _NOTE, "m.private"),
    ).strip()
