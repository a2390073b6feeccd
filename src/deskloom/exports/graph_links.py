"""Which tickets and articles a text links to: by their addresses in the helpdesk, or in its portal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from deskloom.exports.graph_nodes import Relation, node_id
from deskloom.model import Article, Kind
from deskloom.record.histories import History
from deskloom.record.snapshot import Snapshot

_ADDRESS = re.compile(r"https?://([^\s/\"'<>\\?#]+)(/[^\s\"'<>?#)\]\\]*)", re.I)
_TICKET = re.compile(r"/(?:a|helpdesk|support)/tickets/(\d{1,18})(?![\w-])")
_ARTICLE = re.compile(r"(?:/([a-z]{2,3}(?:-[a-z]{2,4})?))?/(?:a/|support/)?solutions?/articles/(\d{1,18})(?!\w)", re.I)
_HELPDESKS = (".freshdesk.com", ".freshservice.com")


@dataclass(frozen=True, slots=True)
class Target:
    """What an address leads to. `source` None: a portal with a name of its own, of whichever source has the article."""

    kind: Kind
    source: str | None
    id: int
    language: str | None = None


def ticket_texts(history: History, *, notes: bool) -> Iterator[str]:
    """Everything that was written in a ticket; private notes only if asked for."""
    ticket = history.ticket
    yield ticket.description_html or ticket.description_text or ""
    yield ticket.resolution_html or ticket.resolution_text or ""
    for message in ticket.messages or ():
        if notes or not message.private:
            yield message.body_html or message.body_text or ""


def article_texts(article: Article) -> Iterator[str]:
    yield article.body_html or article.body_text or ""


def targets(texts: Iterable[str], hosts: Mapping[str, str]) -> list[Target]:
    """What the texts link to, each once, in order. `hosts`: the host of each account, and its source.

    Ids of tickets are small numbers, which every account has: only its own host tells whose. Ids of articles are
    unique among accounts, so that a portal's own name will do; another account's will not.
    """
    found: dict[Target, None] = {}
    for text in texts:
        # Mail programs wrap addresses in those of their own, percent-encoded.
        for each in (text, unquote(text)) if "%2F" in text or "%2f" in text else (text,):
            for host, path in _ADDRESS.findall(each):
                if target := _target(host.rpartition("@")[2].partition(":")[0].lower(), path, hosts):
                    found[target] = None
    return list(found)


def _target(host: str, path: str, hosts: Mapping[str, str]) -> Target | None:
    source = hosts.get(host)
    if source is not None and (ticket := _TICKET.match(path)):
        return Target(Kind.TICKET, source, int(ticket[1]))
    if (source is not None or not host.endswith(_HELPDESKS)) and (article := _ARTICLE.match(path)):
        return Target(Kind.ARTICLE, source, int(article[2]), article[1] and article[1].lower())
    return None


async def link_relations(
    snapshot: Snapshot, source: str, kind: Kind, texts: Mapping[str, Iterable[str]]
) -> list[Relation]:
    """The links of these objects, by key, of one kind to what the snapshot has."""
    hosts = {account: name for name, account in sorted(snapshot.accounts.items(), reverse=True)}
    wanted = await asyncio.to_thread(lambda: {key: targets(each, hosts) for key, each in texts.items()})
    there = await _resolve(snapshot, {target for each in wanted.values() for target in each}, prefer=source)
    made: dict[tuple[str, str], Relation] = {}
    for key, each in wanted.items():
        start = node_id(source, kind, key)
        for target in each:
            end = there.get(target)
            if end is not None and _object(end) != _object(start):
                made[start, end] = Relation("LINKS_TO", start, end)
    return list(made.values())


def _object(node: str) -> list[str]:
    """What a node is of, whatever its language."""
    return node.split(":")[:3]


async def _resolve(snapshot: Snapshot, wanted: set[Target], *, prefer: str) -> dict[Target, str]:
    """Target → the node it is, for those that are there."""
    found: dict[Target, str] = {}
    order = sorted(snapshot.accounts, key=lambda name: (name != prefer, name))
    for source in order:
        mine = [one for one in wanted if one not in found and one.source in (source, None)]
        tickets = [one for one in mine if one.kind is Kind.TICKET]
        present = await snapshot.present(Kind.TICKET, source, (one.id for one in tickets)) if tickets else set()
        found |= {one: node_id(source, Kind.TICKET, one.id) for one in tickets if one.id in present}
        articles = [one for one in mine if one.kind is Kind.ARTICLE]
        spoken = await snapshot.languages(source, (one.id for one in articles)) if articles else {}
        for one in articles:
            if languages := spoken.get(one.id):
                language = next((name for name in languages if name.lower() == one.language), languages[0])
                found[one] = node_id(source, Kind.ARTICLE, f"{one.id}:{language}")
    return found
