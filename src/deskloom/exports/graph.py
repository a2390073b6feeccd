"""The record as a graph: first every node, then every relation between them, in batches that stay small.

Two trees hold the documents, as folders would: Companies / name / Tickets / Ticket_412.md, and
Categories / category / folder / Article_701.en.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from deskloom.exports import graph_nodes as nodes
from deskloom.exports.graph_lines import End, Head, Item, Waiting
from deskloom.exports.graph_links import article_texts, link_relations, ticket_texts
from deskloom.exports.graph_nodes import Link, Node, Relation, folder_id, folder_node, held, node_id
from deskloom.exports.graph_similar import Alike, similar_relations
from deskloom.model import Article, Kind
from deskloom.record.histories import History
from deskloom.record.snapshot import Snapshot

COMPANIES, CATEGORIES, TICKETS = "companies", "categories", "tickets"
NAMES = {COMPANIES: "Companies", CATEGORIES: "Categories", TICKETS: "Tickets"}
TOGETHER = 1000
"""Relations that go on together."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Reads the graph of a snapshot. `document` makes the text of a ticket's document; `notes`: links in private notes
    count too; `alike` None: nothing is said to be similar."""

    snapshot: Snapshot
    link: Link
    document: Callable[[History], str]
    notes: bool = False
    alike: Alike | None = None

    async def read(self) -> AsyncGenerator[Sequence[Item]]:
        """A `Head`, the nodes, the relations, an `End`. Raises what record and index raise."""
        yield [Head(self.snapshot.accounts, self.snapshot.whole)]
        waiting, count = Waiting(), 0
        try:
            for part in (self._companies, self._contacts, self._articles, self._tickets):
                async for found, relations in part():
                    waiting.put(relations)
                    count += len(found)
                    if found:
                        yield found
            for batch in waiting.batches(TOGETHER):
                yield batch
            yield [End(count, waiting.count)]
        finally:
            waiting.close()

    async def _companies(self) -> AsyncIterator[tuple[list[Node], Iterable[Relation]]]:
        """Companies, and the folders for their tickets; tickets without a company have one too."""
        roots = {source: folder_node(source, (COMPANIES,), (NAMES[COMPANIES],)) for source in self.snapshot.accounts}
        for source in await self.snapshot.homeless():
            folders, inside = _company_folders(source, None, "No company")
            yield [roots.pop(source), *folders], inside
        async for source, rows in self.snapshot.companies():
            found = [roots.pop(source)] if source in roots else []
            relations: list[Relation] = []
            for row in rows:
                company = nodes.company_node(source, row, self.link)
                folders, inside = _company_folders(source, row["external_id"], row["name"])
                found += [company, *folders]
                relations += [*inside, Relation("DESCRIBES", folders[0].id, company.id)]
            yield found, relations

    async def _contacts(self) -> AsyncIterator[tuple[list[Node], Iterable[Relation]]]:
        async for source, rows in self.snapshot.contacts():
            belongs = {row["external_id"]: [row["company_id"], *(row["other_company_ids"] or ())] for row in rows}
            there = await self.snapshot.present(
                Kind.COMPANY, source, (one for each in belongs.values() for one in each)
            )
            yield (
                [nodes.contact_node(source, row, self.link) for row in rows],
                [
                    Relation("BELONGS_TO", node_id(source, Kind.CONTACT, key), node_id(source, Kind.COMPANY, company))
                    for key, companies in belongs.items()
                    for company in dict.fromkeys(companies)
                    if company in there
                ],
            )

    async def _articles(self) -> AsyncIterator[tuple[list[Node], Iterable[Relation]]]:
        names: dict[tuple[str, object, object], tuple[str, str]] = {}
        seen: set[str] = set()
        for source, row in await self.snapshot.folders():
            category = row["category_name"] or ("No category" if row["category_id"] is None else "Category")
            folder = row["folder_name"] or ("No folder" if row["folder_id"] is None else "Folder")
            names[source, row["category_id"], row["folder_id"]] = (category, folder)
            path, named = (CATEGORIES, row["category_id"], row["folder_id"]), (NAMES[CATEGORIES], category, folder)
            chain = [folder_node(source, path[:depth], named[:depth]) for depth in (1, 2, 3)]
            found = [one for one in chain if one.id not in seen]
            relations = [held(up, down) for up, down in pairwise(chain) if down.id not in seen]
            seen |= {one.id for one in chain}
            yield found, relations
        async for source, articles in self.snapshot.articles():
            texts = await asyncio.to_thread(lambda many: [nodes.article_markdown(one) for one in many], articles)
            found, relations = [], []
            for article, text in zip(articles, texts, strict=True):
                node = nodes.article_node(source, article, self.link)
                path = (CATEGORIES, article.category_id, article.folder_id)
                within = (NAMES[CATEGORIES], *names[source, article.category_id, article.folder_id])
                name = f"Article_{article.external_id}.{article.language}.md"
                document = nodes.document_node(source, Kind.ARTICLE, article.key, (*within, name), text)
                found += [node, document]
                relations += _filed(folder_id(source, *path), document, node)
            relations += await self._links(source, Kind.ARTICLE, articles)
            yield found, relations + await self._alike(source, Kind.ARTICLE, [one.key for one in articles])

    async def _tickets(self) -> AsyncIterator[tuple[list[Node], Iterable[Relation]]]:
        async for source, histories in self.snapshot.tickets():
            tickets = [history.ticket for history in histories]
            companies = await self.snapshot.present(Kind.COMPANY, source, (one.facts.company_id for one in histories))
            people = await self.snapshot.present(Kind.CONTACT, source, (one.requester_id for one in tickets))
            texts = await asyncio.to_thread(lambda many: [self.document(one) for one in many], histories)
            found: list[Node] = []
            relations: list[Relation] = []
            for history, text in zip(histories, texts, strict=True):
                ticket = history.ticket
                node = nodes.ticket_node(source, history, self.link)
                company = history.facts.company_id if history.facts.company_id in companies else None
                within = _named(company, history.facts.company)
                name = f"Ticket_{ticket.external_id}.md"
                document = nodes.document_node(source, Kind.TICKET, ticket.key, (*within, name), text)
                found += [node, document]
                relations += _filed(folder_id(source, COMPANIES, company, TICKETS), document, node)
                if company is not None:
                    relations.append(Relation("BELONGS_TO", node.id, node_id(source, Kind.COMPANY, company)))
                if ticket.requester_id in people:
                    asked = node_id(source, Kind.CONTACT, str(ticket.requester_id))
                    relations.append(Relation("REQUESTED", asked, node.id))
            relations += await self._links(source, Kind.TICKET, histories)
            yield found, relations + await self._alike(source, Kind.TICKET, [one.key for one in tickets])

    async def _links(self, source: str, kind: Kind, items: Sequence[Article | History]) -> list[Relation]:
        texts = {
            one.key if isinstance(one, Article) else one.ticket.key: (
                article_texts(one) if isinstance(one, Article) else ticket_texts(one, notes=self.notes)
            )
            for one in items
        }
        return await link_relations(self.snapshot, source, kind, texts)

    async def _alike(self, source: str, kind: Kind, keys: Sequence[str]) -> list[Relation]:
        if self.alike is None:
            return []
        return await similar_relations(self.snapshot, self.alike, source, kind, keys)


def _company_folders(source: str, company: int | None, name: str | None) -> tuple[list[Node], list[Relation]]:
    within = _named(company, name)
    folder = folder_node(source, (COMPANIES, company), within[:2])
    tickets = folder_node(source, (COMPANIES, company, TICKETS), within)
    return [folder, tickets], [held(folder_id(source, COMPANIES), folder), held(folder, tickets)]


def _named(company: int | None, name: str | None) -> tuple[str, str, str]:
    """The names from the root to the folder of a company's tickets."""
    own = "No company" if company is None else name or f"Company {company}"
    return NAMES[COMPANIES], own, NAMES[TICKETS]


def _filed(folder: str, document: Node, about: Node) -> list[Relation]:
    return [held(folder, document), Relation("DESCRIBES", document.id, about.id)]
