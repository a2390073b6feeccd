"""Everything about Freshdesk that is not confirmed, as switches: run a connector's tests with each setting.

Each names the open question of HELPDESK-APIS section 9 (or the O row of section 7) that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How this Freshdesk account behaves where the vendor does not say."""

    updated_since_inclusive: bool = True
    """`updated_since` means at or after; False: after (question 1)."""

    contacts_filter: Literal["updated_since", "_updated_since", "both"] = "updated_since"
    """How the update filter of contacts is spelled; the other spelling is an unknown member, so 400 (8)."""

    rate_total: Literal["account", "endpoint"] = "account"
    """Whether `X-RateLimit-Total` and `-Remaining` tell the account's window or the endpoint's (7)."""

    sublimits_count: Literal["requests", "credits"] = "requests"
    """What an endpoint's window counts (7)."""

    view_conversations_credits: Literal[2, 3] = 2
    """Credits of a ticket view with `include=conversations`, in all (7)."""

    archive_after_days: int | None = None
    """Tickets closed and untouched for so long are archived (documented: 120); None: only by the control API (6)."""

    archived_listed: bool = False
    """Archived tickets appear in `/tickets` (6)."""

    archived_view: Literal[404, 200] = 404
    """What `/tickets/[id]` answers for an archived ticket (5)."""

    delete_bumps: bool = True
    """Deleting a ticket, or marking it as spam, moves its `updated_at` (4)."""

    restore_bumps: bool = True
    """Restoring a ticket moves its `updated_at` (4)."""

    merge_bumps: bool = True
    """Merging moves `updated_at` of the tickets involved (4)."""

    note_edit_bumps: bool = True
    """Editing a note moves the ticket's `updated_at` (4)."""

    note_delete_bumps: bool = True
    """Deleting a note or reply moves the ticket's `updated_at` (4)."""

    customer_edit_bumps: bool = False
    """Editing a contact or company moves `updated_at` of its tickets (2.4)."""

    deleted_window: bool = False
    """The 30-day window applies with `filter=deleted` and `filter=spam` too (4)."""

    deleted_view: Literal[200, 403, 404] = 200
    """What `/tickets/[id]` answers for a deleted ticket: itself with `deleted: true`, or an error (5, T20)."""

    due_again: bool = False
    """`due_by` is recalculated seconds after every update, as on accounts made after August 2025 (2.4)."""

    due_fill_bumps: bool = False
    """Filling in `due_by` seconds later moves `updated_at` (2.4, the ticket that moved 8 s later)."""

    sla_on_clock: bool = False
    """An SLA pass runs with the clock, once a minute; else only by the control API."""

    solutions_paged: bool = True
    """The solutions lists are paged; False: they send everything and refuse `page` (9)."""

    solutions_nested: bool = False
    """A category's folder list holds nested folders too, as in the docs' sample; real data has roots only (2.12)."""

    subfolders: bool = True
    """`/subfolders` works; False: 404, as on accounts without 'Flexible Hierarchy' (2.12)."""

    article_shows: Literal["live", "draft"] = "live"
    """What a published article with a newer draft shows (9)."""

    link_space: bool = True
    """The Link header has a space after `<`, as the docs print it (2.4)."""

    other_companies: Literal["ids", "objects"] = "ids"
    """How a contact list shows `other_companies` (2.8)."""

    company_field_prefix: Literal["", "cf_"] = ""
    """Prefix of the keys in a company's `custom_fields` (12)."""

    not_found_body: bool = False
    """404, 405 and 406 carry a JSON body; else they are empty (3)."""

    refusal_html: bool = False
    """429 carries an HTML page rather than JSON (3)."""

    per_page_message: str = "must be greater than 0 and less than or equal to 100"
    """The message for `per_page` out of range (3)."""

    search_lag: int = 0
    """Seconds until a changed ticket shows in `/search/tickets`; the docs say a few minutes (2.4)."""

    suspended: bool = False
    """The account is suspended: every write answers 403 `account_suspended` (3)."""
