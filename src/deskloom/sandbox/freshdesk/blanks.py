"""The members every Freshdesk row has, with the values they take when nothing was said (HELPDESK-APIS 2.5-2.12).

Rows are stored without them, so that 20,000 tickets stay small, and get them when they are sent.
"""

from __future__ import annotations

from deskloom.sandbox.rows import Row

TICKET: Row = {
    "cc_emails": [],
    "fwd_emails": [],
    "reply_cc_emails": [],
    "ticket_cc_emails": [],
    "fr_escalated": False,
    "spam": False,
    "email_config_id": None,
    "group_id": None,
    "priority": 1,
    "requester_id": None,
    "responder_id": None,
    "source": 2,
    "company_id": None,
    "status": 2,
    "subject": None,
    "association_type": None,
    "support_email": None,
    "to_emails": None,
    "product_id": None,
    "id": 0,
    "type": None,
    "due_by": None,
    "fr_due_by": None,
    "is_escalated": False,
    "custom_fields": {},
    "created_at": None,
    "updated_at": None,
    "associated_tickets_count": None,
    "tags": [],
    "nr_due_by": None,
    "nr_escalated": False,
    "structured_description": None,
    "sentiment_score": None,
    "initial_sentiment_score": None,
}

STATS: Row = {
    "agent_responded_at": None,
    "requester_responded_at": None,
    "first_responded_at": None,
    "status_updated_at": None,
    "reopened_at": None,
    "resolved_at": None,
    "closed_at": None,
    "pending_since": None,
}

CONVERSATION: Row = {
    "body": None,
    "body_text": None,
    "id": 0,
    "incoming": False,
    "private": False,
    "user_id": None,
    "support_email": None,
    "source": 0,
    "category": 3,
    "to_emails": [],
    "from_email": None,
    "cc_emails": [],
    "bcc_emails": [],
    "email_failure_count": None,
    "outgoing_failures": None,
    "thread_id": None,
    "thread_message_id": None,
    "created_at": None,
    "updated_at": None,
    "last_edited_at": None,
    "last_edited_user_id": None,
    "attachments": [],
    "automation_id": None,
    "automation_type_id": None,
    "auto_response": False,
    "ticket_id": 0,
    "source_additional_info": None,
}

CONTACT: Row = {
    "active": True,
    "address": None,
    "company_id": None,
    "description": None,
    "email": None,
    "first_name": None,
    "id": 0,
    "job_title": None,
    "language": "en",
    "last_name": None,
    "mobile": None,
    "name": None,
    "org_contact_id": None,
    "phone": None,
    "time_zone": "UTC",
    "twitter_id": None,
    "facebook_id": None,
    "unique_external_id": None,
    "visitor_id": None,
    "contact_type": "contact",
    "csat_rating": None,
    "preferred_source": "email",
    "other_companies": [],
    "other_phone_numbers": [],
    "custom_fields": {},
    "created_at": None,
    "updated_at": None,
}

CONTACT_VIEW: Row = {"view_all_tickets": False, "other_emails": [], "tags": [], "avatar": None}
"""Members that real list rows lack (HELPDESK-APIS 2.8)."""

COMPANY: Row = {
    "id": 0,
    "name": None,
    "description": None,
    "note": None,
    "domains": [],
    "created_at": None,
    "updated_at": None,
    "custom_fields": {},
    "health_score": None,
    "account_tier": None,
    "renewal_date": None,
    "industry": None,
}

AGENT: Row = {
    "available": True,
    "occasional": False,
    "signature": None,
    "id": 0,
    "ticket_scope": 1,
    "type": "support_agent",
    "skill_ids": [],
    "group_ids": [],
    "role_ids": [],
    "available_since": None,
    "focus_mode": True,
    "deactivated": False,
    "last_active_at": None,
    "created_at": None,
    "updated_at": None,
    "contact": {},
}

AGENT_CONTACT: Row = {
    "active": True,
    "email": None,
    "job_title": None,
    "language": "en",
    "last_login_at": None,
    "mobile": None,
    "name": None,
    "phone": None,
    "time_zone": "UTC",
    "created_at": None,
    "updated_at": None,
}

CATEGORY: Row = {"id": 0, "name": None, "description": None, "visible_in_portals": [], "created_at": None, "updated_at": None}

FOLDER: Row = {
    "id": 0,
    "name": None,
    "description": None,
    "parent_folder_id": None,
    "category_id": None,
    "visibility": 1,
    "created_at": None,
    "updated_at": None,
}

ARTICLE: Row = {
    "id": 0,
    "type": 1,
    "status": 1,
    "agent_id": None,
    "created_at": None,
    "category_id": None,
    "folder_id": None,
    "title": None,
    "updated_at": None,
    "description": "",
    "description_text": "",
    "seo_data": {"meta_title": "", "meta_description": ""},
    "tags": [],
    "attachments": [],
    "cloud_files": [],
    "thumbs_up": 0,
    "thumbs_down": 0,
    "hits": 0,
    "suggested": 0,
    "feedback_count": 0,
}

TIME_ENTRY: Row = {
    "billable": True,
    "note": "",
    "id": 0,
    "timer_running": False,
    "agent_id": None,
    "ticket_id": 0,
    "company_id": None,
    "time_spent": "00:00",
    "executed_at": None,
    "start_time": None,
    "created_at": None,
    "updated_at": None,
    "time_spent_in_seconds": 0,
}
