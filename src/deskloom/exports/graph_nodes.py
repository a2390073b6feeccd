"""The graph's nouns: nodes and relations, what each kind of node tells, and how they are made of the record's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deskloom.exports.markdown import iso
from deskloom.exports.markdown_text import one_line, to_markdown
from deskloom.model import Article, Json, Kind
from deskloom.record.histories import History
from deskloom.record.hours import in_hours
from deskloom.text.html import html_to_text
from deskloom.text.plain import plain_to_text
from deskloom.text.secrets import mask

Type = Literal["string", "string[]", "long", "double", "datetime"]
"""What a property holds, in the words of neo4j-admin. Times are ISO 8601 with `Z`."""
Link = Callable[[str, Kind, str], str | None]
"""Where a person reads an object: (source, kind, key) → address, if the source is known."""

_OBJECT: dict[str, Type] = {"source": "string", "external_id": "long"}
_TIMES: dict[str, Type] = {"created_at": "datetime", "updated_at": "datetime", "url": "string"}
FIELDS: Mapping[str, Mapping[str, Type]] = {
    "Company": {
        **_OBJECT,
        "name": "string",
        "description": "string",
        "account_number": "string",
        "domains": "string[]",
        **_TIMES,
    },
    "Contact": {**_OBJECT, "name": "string", "email": "string", "job_title": "string", "language": "string", **_TIMES},
    "Article": {
        **_OBJECT,
        "language": "string",
        "title": "string",
        "status": "string",
        "visibility": "string",
        "tags": "string[]",
        **_TIMES,
    },
    "Ticket": {
        **_OBJECT,
        "subject": "string",
        "status": "string",
        "priority": "string",
        "type": "string",
        "channel": "string",
        "state": "string",
        "tags": "string[]",
        "hours": "double",
        "billable_hours": "double",
        **_TIMES,
        "resolved_at": "datetime",
        "closed_at": "datetime",
    },
    "Folder": {"source": "string", "name": "string", "path": "string"},
    "Document": {"source": "string", "name": "string", "path": "string", "content": "string"},
}
"""Label → its properties, in the order they are written in. Every node has exactly these; a value may be None."""
RELATIONS: Mapping[str, Mapping[str, Type]] = {
    "BELONGS_TO": {},
    "REQUESTED": {},
    "CONTAINS": {},
    "DESCRIBES": {},
    "LINKS_TO": {},
    "SIMILAR_TO": {"score": "double"},
}
"""Type → its properties."""
NONE = "none"
"""In ids of folders: of no company, category or folder."""


@dataclass(frozen=True, slots=True)
class Node:
    """Something in the graph. `id` begins with the source's name and never changes while the object is there."""

    id: str
    label: str
    properties: Json


@dataclass(frozen=True, slots=True)
class Relation:
    """An arrow from one node to another, by their ids."""

    type: str
    start: str
    end: str
    properties: Json = field(default_factory=dict)


def node_id(source: str, kind: Kind, key: int | str) -> str:
    """`freshdesk:ticket:412`, `freshdesk:article:701:en`."""
    return f"{source}:{kind.value}:{key}"


def folder_id(source: str, *path: str | int | None) -> str:
    """`freshdesk:folder:companies/31/tickets`."""
    return f"{source}:folder:{'/'.join(NONE if part is None else str(part) for part in path)}"


def company_node(source: str, row: Mapping[str, Any], link: Link) -> Node:
    return _object(source, Kind.COMPANY, row["external_id"], row["external_id"], "Company", row, link)


def contact_node(source: str, row: Mapping[str, Any], link: Link) -> Node:
    return _object(source, Kind.CONTACT, row["external_id"], row["external_id"], "Contact", row, link)


def article_node(source: str, article: Article, link: Link) -> Node:
    values = {name: getattr(article, name, None) for name in FIELDS["Article"]}
    values |= {
        "title": _masked(article.title),
        "status": "published" if article.published else "draft",
        "visibility": article.visibility.value,
        "tags": [mask(tag) for tag in article.tags],
    }
    made = _object(source, Kind.ARTICLE, article.key, article.external_id, "Article", values, link)
    return made if article.url is None else Node(made.id, made.label, made.properties | {"url": article.url})


def ticket_node(source: str, history: History, link: Link) -> Node:
    ticket, facts, worked = history.ticket, history.facts, history.worked
    values = {name: getattr(ticket, name, None) for name in FIELDS["Ticket"]}
    values |= {
        "subject": _masked(ticket.subject),
        "status": facts.status,
        "priority": facts.priority,
        "channel": facts.channel,
        "state": ticket.state.value,
        "tags": [mask(tag) for tag in ticket.tags],
        "hours": float(in_hours(worked.seconds)) if worked.entries else None,
        "billable_hours": float(in_hours(worked.billable)) if worked.entries else None,
    }
    return _object(source, Kind.TICKET, ticket.key, ticket.external_id, "Ticket", values, link)


def folder_node(source: str, path: tuple[str | int | None, ...], names: tuple[str, ...]) -> Node:
    """A folder by what its id is made of, and the names from the root down to its own."""
    return Node(
        folder_id(source, *path), "Folder", {"source": source, "name": names[-1], "path": "/".join(map(_part, names))}
    )


def document_node(source: str, kind: Kind, key: str, names: tuple[str, ...], content: str) -> Node:
    """A file in the tree; `names` from the root down to its own."""
    path = "/".join(map(_part, names))
    properties = {"source": source, "name": names[-1], "path": path, "content": content}
    return Node(f"{source}:document:{kind.value}/{key}", "Document", properties)


def held(parent: Node | str, child: Node) -> Relation:
    return Relation("CONTAINS", parent if isinstance(parent, str) else parent.id, child.id)


def article_markdown(article: Article) -> str:
    """An article as markdown: its title, then its text."""
    html = article.body_html
    text = html_to_text(html, marks=True) if html and not html.isspace() else plain_to_text(article.body_text or "")
    parts = [f"# {one_line(mask(article.title or '')) or f'Article {article.external_id}'}", to_markdown(mask(text))]
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def _object(
    source: str, kind: Kind, key: int | str, number: int, label: str, values: Mapping[str, Any], link: Link
) -> Node:
    told = {**values, "source": source, "external_id": number, "url": link(source, kind, str(key))}
    return Node(node_id(source, kind, key), label, dict(_plain(label, told)))


def _plain(label: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, type in FIELDS[label].items():
        value = values.get(name)
        if type == "datetime" and value is not None:
            value = iso(value)
        yield name, list(value or ()) if type == "string[]" else value


def _masked(text: str | None) -> str | None:
    return None if text is None else " ".join(mask(text).split())


def _part(name: str) -> str:
    """A name within a path, which `/` divides."""
    return name.replace("/", "∕")
