"""A ticket as one markdown document: what a knowledge tree, a note program or an assistant reads.

Pure: the same history gives the same text. Secrets are masked as in the index; what a customer wrote stays text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from deskloom.exports.markdown_quotes import Said
from deskloom.exports.markdown_text import one_line, to_markdown
from deskloom.model import Message
from deskloom.record.histories import History
from deskloom.record.hours import in_hours
from deskloom.text.html import html_to_text
from deskloom.text.plain import plain_to_text, printable
from deskloom.text.secrets import mask

RULES = 1
"""Version of how documents are made; part of every mark, so that a change of the rules writes every file again."""
_UNTAGGED = re.compile(r"[^\w/-]+")
_UNPRINTABLE = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")


def ticket_markdown(history: History, *, url: str | None, default_hours: Decimal, notes: bool = False) -> str:
    """The document of a ticket: front matter, its facts, the description, the conversation in order of time.

    `notes`: the internal notes too, in a section of their own. `default_hours` is what a ticket without time entries
    counts as; it is shown as such. Quoted history stands once.
    """
    parts = [
        front_matter(_properties(history, url, default_hours)),
        f"# {_title(history)}",
        "\n".join(_facts(history, url, default_hours)),
        *_sections(history, notes=notes),
    ]
    return "\n\n".join(parts) + "\n"


def mark_of(mark: str, **about: object) -> str:
    """A mark that also changes with the rules and with whatever else the text is made of."""
    made_of = json.dumps([RULES, mark, about], sort_keys=True, default=str)
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]


def front_matter(properties: Mapping[str, object]) -> str:
    """YAML between rules, each value as JSON, which is YAML; times bare, so that programs know them as times.

    Members that are None are left out.
    """
    lines = [f"{name}: {_yaml(value)}" for name, value in properties.items() if value is not None]
    return "\n".join(("---", *lines, "---"))


def _yaml(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str):
        return json.dumps(_UNPRINTABLE.sub("", " ".join(printable(value).split())), ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return json.dumps(value)


def _properties(history: History, url: str | None, default_hours: Decimal) -> dict[str, object]:
    ticket, facts = history.ticket, history.facts
    subject = mask(ticket.subject or "")
    return {
        "source": history.source,
        "ticket_id": ticket.external_id,
        "title": subject or None,
        "aliases": [subject] if subject else None,
        "company": facts.company,
        "account_number": facts.account_number,
        "requester": facts.requester_name,
        "requester_email": facts.requester_email,
        "assigned_to": history.responder,
        "status": facts.status,
        "priority": facts.priority,
        "type": ticket.type,
        "channel": facts.channel,
        "tags": _tags(ticket.tags) or None,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
        "resolved_at": ticket.resolved_at,
        "closed_at": ticket.closed_at,
        "hours": _hours(history.worked.seconds) if history.worked.entries else default_hours,
        "hours_are_default": not history.worked.entries,
        "url": url,
    }


def _tags(tags: Sequence[str]) -> list[str]:
    """As note programs take them: no spaces, not a mere number."""
    slugs = (_UNTAGGED.sub("-", mask(tag)).strip("-/") for tag in tags)
    return list(dict.fromkeys(f"tag-{slug}" if slug.isdigit() else slug for slug in slugs if slug))


def _title(history: History) -> str:
    return one_line(mask(history.ticket.subject or "")) or f"Ticket {history.ticket.external_id}"


def _facts(history: History, url: str | None, default_hours: Decimal) -> Iterator[str]:
    ticket, facts, hours = history.ticket, history.facts, history.worked
    told = f"{_hours(hours.seconds):f} ({_hours(hours.billable):f} billable)"
    for name, value in (
        ("Ticket", f"{ticket.external_id} ({history.source})"),
        ("Link", url),
        ("Company", _both(facts.company, facts.account_number)),
        ("Requester", _both(facts.requester_name, facts.requester_email)),
        ("Assigned to", history.responder),
        ("Status", facts.status),
        ("Priority", facts.priority),
        ("Type", ticket.type),
        ("Tags", ", ".join(mask(tag) for tag in ticket.tags)),
        ("Created", _shown(ticket.created_at)),
        ("Updated", _shown(ticket.updated_at)),
        ("Resolved", _shown(ticket.resolved_at)),
        ("Closed", _shown(ticket.closed_at)),
        ("Hours", told if hours.entries else f"{default_hours:f} (the default: no time was entered)"),
    ):
        if value:
            yield f"- **{name}:** {one_line(value)}"


def _both(name: str | None, other: str | None) -> str | None:
    return f"{name} ({other})" if name and other else name or other


# -------------------------------------------------------------------------------------------------------- sections


def _sections(history: History, *, notes: bool) -> Iterator[str]:
    ticket, said = history.ticket, Said()
    description = said.collapse(_text(ticket.description_html, ticket.description_text))
    yield "## Description"
    yield _markdown(description) or "*No text.*"
    if resolution := said.collapse(_text(ticket.resolution_html, ticket.resolution_text)):
        yield "## Resolution"
        yield _markdown(resolution)
    public = [message for message in ticket.messages or () if not message.private]
    told = [f"{_heading(message, history)}\n\n{text}" for message, text in _told(public, said, description)]
    if ticket.messages is None:
        told = ["*The conversation could not be read yet.*"]
    if told:
        yield "## Conversation"
        yield from told
    private = [message for message in ticket.messages or () if message.private]
    if notes and private:
        yield "## Internal notes"
        for message, text in _told(private, said, ""):
            yield f"{_heading(message, history)}\n\n{text}"


def _told(messages: Sequence[Message], said: Said, description: str) -> Iterator[tuple[Message, str]]:
    """Messages and their texts. A web chat's first message is the description once more (HELPDESK-APIS T34)."""
    described = description.split()
    for message in messages:
        text = _text(message.body_html, message.body_text)
        if message.incoming and described and text.split() == described:
            continue
        yield message, _markdown(said.collapse(text)) or "*No text.*"


def _heading(message: Message, history: History) -> str:
    """`### ← Outgoing · 2025-01-31 09:00 UTC · Noor Lind`."""
    name, email = history.people.get(message.author_id or 0, (None, None))
    address = message.from_email or email
    ours = message.private or not message.incoming
    which = "Note" if message.private else "→ Incoming" if message.incoming else "← Outgoing"
    kind = None if message.kind in ("reply", "note") else message.kind
    sender = (name or address) if ours else _both(name, email or address)
    parts = (which, kind, _shown(message.created_at), sender or "unknown sender")
    return "### " + " · ".join(one_line(part) for part in parts if part)


def _text(html: str | None, text: str | None) -> str:
    """Plain text with its marks; the source's own only where there is no HTML (HELPDESK-APIS T51)."""
    if not html or html.isspace():
        return plain_to_text(text or "")
    return html_to_text(html, mail=True, marks=True) or html_to_text(html, marks=True)


def _markdown(text: str) -> str:
    return to_markdown(mask(text))


# ---------------------------------------------------------------------------------------------------- small things


def _hours(seconds: int) -> Decimal:
    """Hours without zeros at the end: 1.5, 10, 0.0003."""
    hours = in_hours(seconds).normalize()
    return hours.quantize(Decimal(1)) if hours == hours.to_integral_value() else hours


def iso(time: datetime) -> str:
    """`2025-01-31T09:00:00Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _shown(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
