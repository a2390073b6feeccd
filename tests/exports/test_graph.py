"""The graph of a record: what is in it, what is not, and in which order it comes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.exports.graph_desk import ACCOUNT, GONE, NOW, SECRET, records
from tests.rig import Install

from deskloom.errors import NotFound
from deskloom.exports.graph import Graph
from deskloom.exports.graph_lines import End, Head, Item
from deskloom.exports.graph_nodes import FIELDS, Node, Relation
from deskloom.exports.graph_similar import Alike
from deskloom.exports.markdown import ticket_markdown
from deskloom.model import Company, Kind, Ticket, TicketState
from deskloom.record import Record, store
from deskloom.record.histories import History
from deskloom.record.snapshot import BATCH, Snapshot, open_snapshot
from deskloom.record.sources import bind_source
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.generate import generate


@pytest.fixture
async def made(record: Record, record_url: str) -> str:
    """The URL of a record that holds `records`, of a source bound to its account."""
    async with record.transaction() as tx:
        await bind_source(tx, "freshdesk", "freshdesk", ACCOUNT, now=NOW)
        await store(tx, "freshdesk", records(), now=NOW)
        await store(tx, "freshdesk", [GONE], now=NOW)
    return record_url


def graph_of(snapshot: Snapshot, *, alike: Alike | None = None, notes: bool = False) -> Graph:
    def link(source: str, kind: Kind, key: str) -> str:
        return f"https://{source}/{kind.value}/{key}"

    def document(history: History) -> str:
        return ticket_markdown(history, url=None, default_hours=Decimal("0.25"), notes=notes)

    return Graph(snapshot, link, document, notes, alike)


async def items(url: str, *, company: str | None = None, alike: Alike | None = None, notes: bool = False) -> list[Item]:
    async with open_snapshot(url, account_number=company) as snapshot:
        return [item async for batch in graph_of(snapshot, alike=alike, notes=notes).read() for item in batch]


def arrows(found: list[Item]) -> dict[str, list[tuple[str, str]]]:
    """Relations by type, as pairs of ids without the source, in order."""
    by_type: dict[str, list[tuple[str, str]]] = {}
    for one in found:
        if isinstance(one, Relation):
            ends = (one.start.removeprefix("freshdesk:"), one.end.removeprefix("freshdesk:"))
            by_type.setdefault(one.type, []).append(ends)
    return by_type


def ids(found: list[Item]) -> list[str]:
    return [one.id.removeprefix("freshdesk:") for one in found if isinstance(one, Node)]


async def test_every_node_comes_before_every_relation_and_both_are_counted(made: str) -> None:
    """Head, nodes, relations, end; ids begin with the source; every node has exactly its label's properties."""
    found = await items(made)
    assert [type(one) for one in found] == sorted((type(one) for one in found), key=[Head, Node, Relation, End].index)
    assert found[0] == Head({"freshdesk": ACCOUNT}, whole=True)
    nodes = [one for one in found if isinstance(one, Node)]
    assert found[-1] == End(len(nodes), sum(isinstance(one, Relation) for one in found))
    assert all(one.id.startswith("freshdesk:") for one in nodes)
    assert {one.id: list(one.properties) for one in nodes} == {one.id: list(FIELDS[one.label]) for one in nodes}
    assert len({one.id for one in nodes}) == len(nodes)


async def test_the_graph_has_what_is_there_and_what_a_ticket_still_names(made: str) -> None:
    """Spam is not there; a deleted contact is, as long as a ticket of theirs is."""
    assert ids(await items(made)) == [
        "folder:companies",
        "folder:companies/none",
        "folder:companies/none/tickets",
        "company:31",
        "folder:companies/31",
        "folder:companies/31/tickets",
        "company:32",
        "folder:companies/32",
        "folder:companies/32/tickets",
        "contact:88",
        "contact:89",
        "contact:90",
        "folder:categories",
        "folder:categories/none",
        "folder:categories/none/none",
        "folder:categories/5",
        "folder:categories/5/51",
        "article:701:de",
        "document:article/701:de",
        "article:701:en",
        "document:article/701:en",
        "article:702:en",
        "document:article/702:en",
        "ticket:1",
        "document:ticket/1",
        "ticket:2",
        "document:ticket/2",
        "ticket:3",
        "document:ticket/3",
    ]


async def test_the_relations_say_who_asked_what_belongs_where_and_what_links_to_what(made: str) -> None:
    """Links are found behind wrappers and portals, in the language asked for; never to oneself or to what is gone."""
    assert arrows(await items(made)) == {
        "DESCRIBES": [
            ("folder:companies/31", "company:31"),
            ("folder:companies/32", "company:32"),
            ("document:article/701:de", "article:701:de"),
            ("document:article/701:en", "article:701:en"),
            ("document:article/702:en", "article:702:en"),
            ("document:ticket/1", "ticket:1"),
            ("document:ticket/2", "ticket:2"),
            ("document:ticket/3", "ticket:3"),
        ],
        "CONTAINS": [
            ("folder:companies", "folder:companies/none"),
            ("folder:companies/none", "folder:companies/none/tickets"),
            ("folder:companies", "folder:companies/31"),
            ("folder:companies/31", "folder:companies/31/tickets"),
            ("folder:companies", "folder:companies/32"),
            ("folder:companies/32", "folder:companies/32/tickets"),
            ("folder:categories", "folder:categories/none"),
            ("folder:categories/none", "folder:categories/none/none"),
            ("folder:categories", "folder:categories/5"),
            ("folder:categories/5", "folder:categories/5/51"),
            ("folder:categories/5/51", "document:article/701:de"),
            ("folder:categories/5/51", "document:article/701:en"),
            ("folder:categories/none/none", "document:article/702:en"),
            ("folder:companies/31/tickets", "document:ticket/1"),
            ("folder:companies/31/tickets", "document:ticket/2"),
            ("folder:companies/none/tickets", "document:ticket/3"),
        ],
        "BELONGS_TO": [
            ("contact:88", "company:31"),
            ("contact:89", "company:32"),
            ("contact:89", "company:31"),
            ("contact:90", "company:31"),
            ("ticket:1", "company:31"),
            ("ticket:2", "company:31"),
        ],
        "REQUESTED": [("contact:88", "ticket:1"), ("contact:90", "ticket:2")],
        "LINKS_TO": [
            ("article:702:en", "article:701:de"),
            ("ticket:1", "article:701:en"),
            ("ticket:2", "ticket:1"),
        ],
    }


async def test_private_notes_are_in_documents_and_links_only_if_asked_for(made: str) -> None:
    """Without `notes` nothing in the graph tells of one: neither its words nor what it links to."""
    plain, whole = await items(made), await items(made, notes=True)
    assert ("ticket:1", "ticket:3") not in arrows(plain)["LINKS_TO"]
    assert ("ticket:1", "ticket:3") in arrows(whole)["LINKS_TO"]
    said = {item.id for item in whole if isinstance(item, Node) and SECRET in str(item.properties)}
    assert said == {"freshdesk:document:ticket/1"}
    assert SECRET not in str(plain)


async def test_nodes_tell_what_the_record_knows(made: str) -> None:
    """Labels of codes, times in UTC, addresses at the source, the document as content, paths from the root."""
    found = {item.id: item for item in await items(made) if isinstance(item, Node)}
    assert found["freshdesk:ticket:1"] == Node(
        "freshdesk:ticket:1",
        "Ticket",
        {
            "source": "freshdesk",
            "external_id": 1,
            "subject": "Printer offline",
            "status": "Open",
            "priority": "Low",
            "type": None,
            "channel": None,
            "state": "active",
            "tags": [],
            "hours": None,
            "billable_hours": None,
            "created_at": "2025-01-31T09:00:00Z",
            "updated_at": "2025-01-31T09:00:00Z",
            "url": "https://freshdesk/ticket/1",
            "resolved_at": None,
            "closed_at": "2025-01-31T09:00:00Z",
        },
    )
    document = found["freshdesk:document:ticket/1"].properties
    assert (document["name"], document["path"]) == ("Ticket_1.md", "Companies/Mill & Sons/Tickets/Ticket_1.md")
    assert "# Printer offline" in document["content"]
    assert "Switch it off." in document["content"]
    assert found["freshdesk:document:ticket/3"].properties["path"] == "Companies/No company/Tickets/Ticket_3.md"
    article = found["freshdesk:document:article/701:en"].properties
    assert article["path"] == "Categories/Hardware/Printers ∕ scanners/Article_701.en.md"
    assert article["content"] == "# Reconnect a printer\n\n**Steps**\n\nSwitch it on.\n"
    assert found["freshdesk:article:702:en"].properties["status"] == "draft"


async def test_one_customer_s_graph_has_nobody_else_in_it(made: str) -> None:
    """Only their company, people, requesters and tickets, and every article; it says that it is not the whole."""
    found = await items(made, company="10042")
    assert found[0] == Head({"freshdesk": ACCOUNT}, whole=False)
    kinds = ("company", "contact", "ticket", "article")
    assert [one for one in ids(found) if one.startswith(kinds)] == [
        "company:31",
        "contact:88",
        "contact:90",
        "article:701:de",
        "article:701:en",
        "article:702:en",
        "ticket:1",
        "ticket:2",
    ]
    there = {f"freshdesk:{one}" for one in ids(found)}
    assert [one for one in found if isinstance(one, Relation) and not {one.start, one.end} <= there] == []
    with pytest.raises(NotFound, match='account number "777"'):
        await items(made, company="777")


async def test_memory_does_not_grow_with_the_record(made: str, record: Record) -> None:
    """However many tickets there are, what goes on together has a bound; and none is lost between two batches."""
    many = [
        Ticket(external_id=number, stamp="1", subject=f"No. {number}", messages=(), company_id=31, requester_id=88)
        for number in range(1000, 1000 + 2 * BATCH + 1)
    ]
    async with record.transaction() as tx:
        await store(tx, "freshdesk", many, now=NOW)
    async with open_snapshot(made) as snapshot:
        found = [list(batch) async for batch in graph_of(snapshot).read()]
    assert max(map(len, found)) <= 1000
    written = {one.id for batch in found for one in batch if isinstance(one, Node) and one.label == "Ticket"}
    assert written == {f"freshdesk:ticket:{number}" for number in (1, 2, 3, *(one.external_id for one in many))}


async def test_what_changes_meanwhile_is_not_seen(made: str, record: Record) -> None:
    """The graph is of one moment: a ticket that comes while it is read is neither a node nor the end of a relation."""
    async with open_snapshot(made) as snapshot:
        reading = graph_of(snapshot).read()
        await anext(reading)
        async with record.transaction() as tx:
            late = Ticket(external_id=5, stamp="1", subject="Late", messages=(), company_id=31)
            await store(tx, "freshdesk", [late, Company(external_id=33, stamp="1", name="Late")], now=NOW)
        seen = str([batch async for batch in reading])
    assert "Late" not in seen
    assert "freshdesk:ticket:5" not in seen


async def test_alike_are_those_the_index_holds_alike(install: Install) -> None:
    """As many as asked for, best first, above the threshold, within the snapshot; by public texts only."""
    desk = alike_desk()
    async with install(desk) as rig:
        await rig.sync("tickets")
        await rig.sync("kb")
        numbers = sorted(row["id"] for row in desk.tickets)
        url, alike = rig.app.settings.record_url(), Alike(rig.app.index, most=1, at_least=0.5)
        found = await items(url, alike=alike)
        pairs = [
            (one.start, one.end, one.properties["score"])
            for one in found
            if isinstance(one, Relation) and one.type == "SIMILAR_TO"
        ]
        first, second = (f"freshdesk:ticket:{number}" for number in numbers[:2])
        assert [(start, end) for start, end, _ in pairs] == [(first, second), (second, first)]
        assert all(0.5 <= score <= 1 for _, _, score in pairs)
        async with rig.app.record.transaction() as tx:
            gone = [Ticket(external_id=numbers[1], stamp="x", state=TicketState.DELETED, messages=())]
            await store(tx, "freshdesk", gone, now=datetime.now(UTC))
        again = await items(url, alike=alike)
        assert "SIMILAR_TO" not in arrows(again)


def alike_desk() -> Desk:
    """Two tickets about printers, one about something else whose private note speaks of printers as they do."""
    desk = generate(seed=1, tickets=0, articles=0, contacts=1, companies=0, agents=1)
    texts = (
        "The printer in room twelve is offline",
        "The printer in room nine is offline",
        "My calendar lost everything",
    )
    [contact] = desk.contacts
    for text in texts:
        body = {"subject": text, "description": f"<p>{text}</p>", "requester_id": contact["id"]}
        desk.perform({"method": "POST", "path": "tickets", "body": {**body, "status": 2, "priority": 1, "source": 2}})
    last = max(row["id"] for row in desk.tickets)
    note = {"body": f"<p>{texts[0]}</p>", "private": True}
    desk.perform({"method": "POST", "path": f"tickets/{last}/notes", "body": note})
    desk.clock.advance(60)
    return desk
