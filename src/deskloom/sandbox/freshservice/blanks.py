"""The members every Freshservice row has, with the values they take when nothing was said (HELPDESK-APIS 3.5-3.11).

Rows are stored without them, so that 20,000 tickets stay small, and get them when they are sent.
"""

from __future__ import annotations

from deskloom.sandbox.rows import Row

TICKET: Row = {
    "subject": None, "group_id": None, "department_id": None, "category": None, "sub_category": None,
    "item_category": None, "requester_id": None, "responder_id": None, "due_by": None, "fr_escalated": False,
    "deleted": False, "spam": False, "email_config_id": None, "fwd_emails": [], "reply_cc_emails": [], "cc_emails": [],
    "is_escalated": False, "fr_due_by": None, "id": 0, "priority": 1, "status": 2, "source": 2, "created_at": None,
    "updated_at": None, "requested_for_id": None, "to_emails": None, "type": "Incident", "description": None,
    "description_text": None, "custom_fields": {}, "workspace_id": 2,
}  # fmt: skip

TICKET_VIEW: Row = {
    "bcc_emails": None, "sla_policy_id": None, "urgency": 1, "impact": 1, "attachments": [], "resolution_notes": None,
    "resolution_notes_html": None, "created_within_business_hours": False, "applied_business_hours": None,
    "approval_status": 4, "approval_status_name": "Not Requested", "planned_start_date": None,
    "planned_end_date": None, "planned_effort": None, "tasks_dependency_type": 0,
}  # fmt: skip
"""Members that list rows lack (3.5)."""

STATS: Row = {
    "ticket_id": 0, "opened_at": None, "created_at": None, "updated_at": None, "group_escalated": False,
    "inbound_count": 0, "outbound_count": 0, "status_updated_at": None, "pending_since": None, "resolved_at": None,
    "closed_at": None, "first_assigned_at": None, "assigned_at": None, "agent_responded_at": None,
    "requester_responded_at": None, "first_responded_at": None, "first_resp_time_in_secs": None,
    "resolution_time_in_secs": None,
}  # fmt: skip

CONVERSATION: Row = {
    "id": 0, "user_id": None, "to_emails": [], "body": None, "body_text": None, "ticket_id": 0, "created_at": None,
    "updated_at": None, "incoming": False, "private": False, "support_email": None, "source": 0, "from_email": None,
    "cc_emails": [], "bcc_emails": None, "attachments": [],
}  # fmt: skip

TIME_ENTRY: Row = {
    "id": 0, "created_at": None, "updated_at": None, "start_time": None, "timer_running": False, "billable": True,
    "time_spent": "00:00", "executed_at": None, "task_id": None, "workspace_id": 2, "note": None, "agent_id": None,
    "custom_fields": {},
}  # fmt: skip

DEPARTMENT: Row = {
    "id": 0, "name": None, "description": None, "head_user_id": None, "prime_user_id": None, "domains": [],
    "custom_fields": {}, "workspace_id": 2, "created_at": None, "updated_at": None,
}  # fmt: skip

REQUESTER: Row = {
    "id": 0, "first_name": None, "last_name": None, "job_title": None, "primary_email": None, "secondary_emails": [],
    "work_phone_number": None, "mobile_phone_number": None, "department_ids": [], "department_names": [],
    "can_see_all_tickets_from_associated_departments": False,
    "can_see_all_changes_from_associated_departments": False, "reporting_manager_id": None, "address": None,
    "time_zone": "UTC", "time_format": "24h", "language": "en", "location_id": None, "location_name": None,
    "background_information": None, "custom_fields": {}, "active": True, "has_logged_in": False, "is_agent": False,
    "external_id": None, "vip_user": False, "work_schedule_id": None, "created_at": None, "updated_at": None,
}  # fmt: skip

AGENT: Row = {
    "id": 0, "first_name": None, "last_name": None, "email": None, "occasional": False, "job_title": None,
    "work_phone_number": None, "mobile_phone_number": None, "department_ids": [], "member_of": [], "observer_of": [],
    "member_of_pending_approval": [], "observer_of_pending_approval": [], "roles": [], "active": True,
    "has_logged_in": True, "vip_user": False, "can_see_all_tickets_from_associated_departments": False,
    "reporting_manager_id": None, "address": None, "auto_assign_tickets": True, "time_zone": "UTC",
    "time_format": "24h", "language": "en", "location_id": None, "background_information": None,
    "scoreboard_level_id": 1, "signature": None, "last_login_at": None, "last_active_at": None, "custom_fields": {},
    "workspace_ids": [2], "api_key_enabled": True, "external_id": None, "created_at": None, "updated_at": None,
}  # fmt: skip

GROUP: Row = {
    "id": 0, "name": None, "description": None, "escalate_to": None, "unassigned_for": "30m",
    "business_hours_id": None, "auto_ticket_assign": False, "restricted": False, "approval_required": False,
    "members": [], "observers": [], "leaders": [], "members_pending_approval": [], "observers_pending_approval": [],
    "leaders_pending_approval": [], "workspace_id": 2, "created_at": None, "updated_at": None,
}  # fmt: skip

WORKSPACE: Row = {
    "id": 0, "name": None, "description": None, "type": "workspace", "primary": False, "restricted": False,
    "state": "active", "template_name": None, "created_at": None, "updated_at": None,
}  # fmt: skip

REQUESTED_ITEM: Row = {
    "id": 0, "created_at": None, "updated_at": None, "quantity": 1, "stage": 1, "loaned": False,
    "cost_per_request": 0.0, "remarks": None, "delivery_time": None, "is_parent": False, "service_item_id": 0,
    "custom_fields": {}, "attachments": [],
}  # fmt: skip

CATEGORY: Row = {
    "id": 0, "name": None, "description": None, "position": 1, "default_category": False, "visible_in_portals": [],
    "workspace_id": 2, "created_at": None, "updated_at": None,
}  # fmt: skip

FOLDER: Row = {
    "id": 0, "name": None, "description": None, "category_id": None, "position": 1, "visibility": 1,
    "default_folder": False, "approval_settings": None, "manage_by_group_ids": [], "workspace_id": 2,
    "created_at": None, "updated_at": None,
}  # fmt: skip

ARTICLE: Row = {
    "description": None, "id": 0, "created_at": None, "updated_at": None, "title": None, "status": 1,
    "approval_status": None, "position": 1, "folder_id": None, "category_id": None, "thumbs_up": 0, "thumbs_down": 0,
    "modified_by": None, "modified_at": None, "inserted_into_tickets": 0, "url": None, "article_type": 1,
    "agent_id": None, "views": 0, "description_text": None, "keywords": [], "review_date": None, "workspace_id": 2,
}  # fmt: skip

ARTICLE_VIEW: Row = {"tags": [], "attachments": [], "cloud_files": [], "approvals": []}
"""Members that list rows lack (3.11)."""
