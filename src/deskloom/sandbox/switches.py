"""What is not confirmed about either product, as switches; each product adds its own (HELPDESK-APIS, section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSwitches:
    """How an account behaves where the vendor does not say, as far as the question is open for both products.

    Numbers name the question of HELPDESK-APIS section 9, or its section.
    """

    updated_since_inclusive: bool = True
    """`updated_since` means at or after; False: after (question 1)."""

    rate_total: Literal["account", "endpoint"] = "account"
    """Whether `X-RateLimit-Total` and `-Remaining` tell the account's window or the endpoint's (7)."""

    sublimits_count: Literal["requests", "credits"] = "requests"
    """What an endpoint's window counts (7)."""

    view_conversations_credits: Literal[2, 3] = 2
    """Credits of a ticket view with `include=conversations`, in all (7)."""

    delete_bumps: bool = True
    """Deleting a ticket, or marking it as spam, moves its `updated_at` (4)."""

    restore_bumps: bool = True
    """Restoring a ticket moves its `updated_at` (4)."""

    note_edit_bumps: bool = True
    """Editing a note moves the ticket's `updated_at` (4)."""

    note_delete_bumps: bool = True
    """Deleting a note or reply moves the ticket's `updated_at` (4)."""

    customer_edit_bumps: bool = False
    """Editing a person or an organisation moves `updated_at` of their tickets (2.4)."""

    time_entry_bumps: bool = False
    """Adding, changing or deleting a time entry moves the ticket's `updated_at` (4)."""

    sla_bumps: bool = True
    """An SLA pass that escalates a ticket moves its `updated_at`: Freshdesk's does (2.4), Freshservice's not (3.4)."""

    deleted_window: bool = False
    """The 30-day window applies with `filter=deleted` and `filter=spam` too (4)."""

    deleted_view: Literal[200, 403, 404] = 200
    """What `/tickets/[id]` answers for a deleted ticket: itself with `deleted: true`, or an error (5, T20)."""

    sla_on_clock: bool = False
    """An SLA pass runs with the clock, once a minute; else only by the control API."""

    solutions_paged: bool = True
    """The solutions lists are paged; False: they send everything and refuse `page` (9)."""

    link_space: bool = True
    """The Link header has a space after `<`, as the docs print it (2.4)."""

    not_found_body: bool = False
    """404, 405 and 406 carry a JSON body; else they are empty (3)."""

    refusal_html: bool = False
    """429 carries an HTML page rather than JSON (3)."""

    per_page_message: str = "must be greater than 0 and less than or equal to 100"
    """The message for `per_page` out of range (3)."""

    search_lag: int = 0
    """Seconds until a changed row shows in searches; the docs say a few minutes (2.4)."""

    suspended: bool = False
    """The account is suspended: every write answers 403 `account_suspended` (3)."""

    gated: tuple[str, ...] = ()
    """Endpoints that the account's plan lacks, such as `tickets/[id]/time_entries`: 403 `require_feature` (3.2)."""
