"""Everything about Freshservice that is not confirmed, as switches: run a connector's tests with each setting.

Each names the open question of HELPDESK-APIS section 9, or the section, that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deskloom.sandbox.switches import SharedSwitches


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches(SharedSwitches):
    """How this Freshservice account behaves where the vendor does not say."""

    rate_total: Literal["account", "endpoint"] = "endpoint"
    """Seen: `X-RateLimit-Total` tells the endpoint's window where it has one (3.3)."""

    sla_bumps: bool = False
    """Seen: an SLA pass leaves `updated_at` (3.4)."""

    sort_column: Literal["created_at", "updated_at", "id"] = "created_at"
    """The column by which tickets are listed when nothing is asked for (question 2)."""

    order_by: Literal["refused", "ignored", "honoured"] = "refused"
    """What `order_by` on `/tickets` does: 400 as an unknown member, nothing, or sort (2)."""

    filter_per_page: Literal["refused", "ignored", "honoured"] = "ignored"
    """What `per_page` on `/tickets/filter` does: pages are of 30 unless it is honoured (2)."""

    list_tags: bool = False
    """`include=tags` works on ticket lists; False: 400 (3.5, one connector sends it)."""

    deleted_write: Literal[405, 404, 200] = 405
    """What changing or deleting a deleted or spam ticket answers; 200: it is done (7)."""

    time_spent_seconds: bool = False
    """`time_spent` is written `hh:mm:ss`; else `hh:mm` (3.7)."""

    people_per_page: Literal[30, 10] = 30
    """Rows of a page of departments or requesters when `per_page` is not sent (3.4)."""

    deactivated_listed: bool = True
    """Deactivated requesters stand in the list, with `active: false`; False: only their id leads to them (3.9)."""

    folders_nested: bool = False
    """A category's folder list holds nested folders too (9)."""

    article_language: Literal["never", "view", "always"] = "never"
    """Where an article shows `language` and `parent_id` (9)."""

    author_member: Literal["agent_id", "user_id"] = "agent_id"
    """How an article names its author (3.11)."""

    docs_wrappers: bool = False
    """Bodies are wrapped as in the docs' samples for MSPs: one department under `departments` with its id as a text,
    requesters under `requester`, folders under `folder` (3.1)."""

    department_fields_merge: bool = True
    """A partial `custom_fields` of a department keeps the keys it does not name; False: they become null (12)."""

    requester_moves_department: bool = False
    """Changing a ticket's requester changes its department to the new one's (17)."""
