"""Everything about Freshdesk that is not confirmed, as switches: run a connector's tests with each setting.

Each names the open question of HELPDESK-APIS section 9 (or the O row of section 7) that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deskloom.sandbox.switches import SharedSwitches


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches(SharedSwitches):
    """How this Freshdesk account behaves where the vendor does not say."""

    contacts_filter: Literal["updated_since", "_updated_since", "both"] = "updated_since"
    """How the update filter of contacts is spelled; the other spelling is an unknown member, so 400 (8)."""

    archive_after_days: int | None = None
    """Tickets closed and untouched for so long are archived (documented: 120); None: only by the control API (6)."""

    archived_listed: bool = False
    """Archived tickets appear in `/tickets` (6)."""

    archived_view: Literal[404, 200] = 404
    """What `/tickets/[id]` answers for an archived ticket (5)."""

    merge_bumps: bool = True
    """Merging moves `updated_at` of the tickets involved (4)."""

    due_again: bool = False
    """`due_by` is recalculated seconds after every update, as on accounts made after August 2025 (2.4)."""

    due_fill_bumps: bool = False
    """Filling in `due_by` seconds later moves `updated_at` (2.4, the ticket that moved 8 s later)."""

    solutions_nested: bool = False
    """A category's folder list holds nested folders too, as in the docs' sample; real data has roots only (2.12)."""

    subfolders: bool = True
    """`/subfolders` works; False: 404, as on accounts without 'Flexible Hierarchy' (2.12)."""

    article_shows: Literal["live", "draft"] = "live"
    """What a published article with a newer draft shows (9)."""

    other_companies: Literal["ids", "objects"] = "ids"
    """How a contact list shows `other_companies` (2.8)."""

    executed_inclusive: bool = True
    """`executed_after` and `executed_before` of time entries mean at or after, and at or before (11)."""

    hours_window: bool = False
    """The list of time entries without dates has those of the last 30 days only (11)."""

    company_field_prefix: Literal["", "cf_"] = ""
    """Prefix of the keys in a company's `custom_fields` (12)."""
