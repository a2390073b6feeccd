"""Freshdesk's endpoints, who may ask them, and what they cost."""

from __future__ import annotations

from collections.abc import Callable

from deskloom.sandbox.answers import Answer, Call
from deskloom.sandbox.freshdesk import account, finding, hours, people, solutions, talk, tickets
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.routes import Routes, ticket_credits

_TABLE: dict[str, Callable[[Desk, Call], Answer]] = {
    "GET tickets": tickets.list_tickets,
    "POST tickets": tickets.create_ticket,
    "GET tickets/[id]": tickets.view_ticket,
    "PUT tickets/[id]": tickets.update_ticket,
    "DELETE tickets/[id]": tickets.delete_ticket,
    "PUT tickets/[id]/restore": tickets.restore_ticket,
    "PUT tickets/merge": tickets.merge_tickets,
    "GET tickets/archived/[id]": tickets.view_archived,
    "DELETE tickets/archived/[id]": tickets.delete_archived,
    "GET tickets/archived/[id]/conversations": talk.list_archived_conversations,
    "GET tickets/[id]/conversations": talk.list_conversations,
    "POST tickets/[id]/reply": talk.reply,
    "POST tickets/[id]/notes": talk.note,
    "PUT conversations/[id]": talk.edit_conversation,
    "DELETE conversations/[id]": talk.delete_conversation,
    "GET tickets/[id]/time_entries": hours.list_of_ticket,
    "POST tickets/[id]/time_entries": hours.create_time_entry,
    "GET time_entries": hours.list_time_entries,
    "PUT time_entries/[id]": hours.update_time_entry,
    "DELETE time_entries/[id]": hours.delete_time_entry,
    "PUT time_entries/[id]/toggle_timer": hours.toggle_timer,
    "GET contacts": people.list_contacts,
    "POST contacts": people.create_contact,
    "GET contacts/[id]": people.view_contact,
    "PUT contacts/[id]": people.update_contact,
    "DELETE contacts/[id]": people.delete_contact,
    "DELETE contacts/[id]/hard_delete": people.hard_delete_contact,
    "PUT contacts/[id]/restore": people.restore_contact,
    "POST contacts/merge": people.merge_contacts,
    "GET companies": people.list_companies,
    "POST companies": people.create_company,
    "GET companies/[id]": people.view_company,
    "PUT companies/[id]": people.update_company,
    "DELETE companies/[id]": people.delete_company,
    "GET companies/autocomplete": finding.autocomplete_companies,
    "GET agents": people.list_agents,
    "GET agents/[id]": people.view_agent,
    "GET agents/me": people.own_agent,
    "GET groups": people.list_groups,
    "GET groups/[id]": people.view_group,
    "GET ticket_fields": account.list_ticket_fields,
    "GET company_fields": account.list_company_fields,
    "GET contact_fields": account.list_contact_fields,
    "GET products": account.list_products,
    "GET roles": account.list_roles,
    "GET account": account.view_account,
    "GET settings/helpdesk": account.view_settings,
    "GET search/tickets": finding.search_tickets,
    "GET search/contacts": finding.search_contacts,
    "GET search/companies": finding.search_companies,
    "GET search/solutions": finding.search_solutions,
    "GET solutions/categories": solutions.list_categories,
    "POST solutions/categories": solutions.create_category,
    "GET solutions/categories/[id]": solutions.view_category,
    "PUT solutions/categories/[id]": solutions.update_category,
    "DELETE solutions/categories/[id]": solutions.delete_category,
    "GET solutions/categories/[id]/folders": solutions.list_folders,
    "POST solutions/categories/[id]/folders": solutions.create_folder,
    "GET solutions/folders/[id]": solutions.view_folder,
    "PUT solutions/folders/[id]": solutions.update_folder,
    "DELETE solutions/folders/[id]": solutions.delete_folder,
    "GET solutions/folders/[id]/subfolders": solutions.list_subfolders,
    "GET solutions/folders/[id]/articles": solutions.list_articles,
    "POST solutions/folders/[id]/articles": solutions.create_article,
    "GET solutions/articles/[id]": solutions.view_article,
    "PUT solutions/articles/[id]": solutions.update_article,
    "DELETE solutions/articles/[id]": solutions.delete_article,
    "GET solutions/categories/[lang]": solutions.list_categories,
    "GET solutions/categories/[id]/[lang]": solutions.view_category,
    "GET solutions/categories/[id]/folders/[lang]": solutions.list_folders,
    "GET solutions/folders/[id]/[lang]": solutions.view_folder,
    "GET solutions/folders/[id]/subfolders/[lang]": solutions.list_subfolders,
    "GET solutions/folders/[id]/articles/[lang]": solutions.list_articles,
    "GET solutions/articles/[id]/[lang]": solutions.view_article,
    "POST solutions/articles/[id]/[lang]": solutions.translate_article,
    "PUT solutions/articles/[id]/[lang]": solutions.translate_article,
}

ROUTES = Routes(
    _TABLE,
    admin=("agents", "groups", "company_fields", "contact_fields", "products", "roles"),
    open_to_all=("agents/me",),
    language_after=("categories", "folders", "subfolders", "articles", "[id]"),
)


def credits_of(desk: Desk, template: str, query: dict[str, str]) -> int:
    """What a GET costs: includes are extra, two each on lists and one each on views (HELPDESK-APIS 2.3)."""
    return ticket_credits(desk, template, query, views=("tickets/[id]", "tickets/archived/[id]"))
