"""The graph in a database that executes openCypher, through the official driver.

`cypher_engine` says which one. Every test has accounts of its own, so that a server with other things on it will do.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from tests.exports import cypher_engine
from tests.exports.cypher_engine import PASSWORD, READER, Engine

from deskloom.errors import AccessRefused, CredentialsRefused, DeskloomError, GraphUnavailable, SettingInvalid
from deskloom.exports import neo4j
from deskloom.exports.graph_lines import End, Head, Item
from deskloom.exports.graph_nodes import FIELDS, Node, Relation
from deskloom.exports.neo4j import Executor, Pushed, Target
from deskloom.model import Json

SERVERS = ["arcadedb"] + ["neo4j"] * (cypher_engine.given() is not None)


@pytest.fixture(scope="module", params=SERVERS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server that executes openCypher; and the one that `NEO4J_URI` names, if it does."""
    if request.param == "neo4j":
        found = cypher_engine.given()
        assert found is not None
        yield found
        return
    with cypher_engine.running(tmp_path_factory.mktemp("arcadedb")) as started:
        yield started


@pytest.fixture
async def database(engine: Engine) -> AsyncIterator[Executor]:
    """The server, connected to."""
    async with neo4j.connect(engine.target) as connected:
        yield connected


@pytest.fixture
async def account(database: Executor) -> AsyncIterator[str]:
    """An account that nothing is there of, before or after."""
    name = f"{uuid4().hex}.example"
    yield name
    await database.run("MATCH (n) WHERE n.deskloom = $account DETACH DELETE n", account=name)


def node(id: str, label: str, **values: object) -> Node:
    empty = {name: [] if kind == "string[]" else None for name, kind in FIELDS[label].items()}
    return Node(f"freshdesk:{id}", label, {**empty, "source": "freshdesk", **values})


def arrow(type: str, start: str, end: str, **values: object) -> Relation:
    return Relation(type, f"freshdesk:{start}", f"freshdesk:{end}", values)


COMPANY = node("company:31", "Company", name="Mill & Sons", domains=["mill.example"], external_id=31)
TICKET = node(
    "ticket:412",
    "Ticket",
    subject='Quotes " and \\ and $rows',
    status="Open",
    hours=1.5,
    created_at="2025-01-31T09:00:00Z",
    closed_at="2025-02-01T09:00:00Z",
)
OTHER = node("ticket:413", "Ticket", subject="Other")
DOCUMENT = node("document:ticket/412", "Document", path="Companies/Mill & Sons/Tickets/Ticket_412.md", content="# One")
WHOLE = [
    COMPANY,
    TICKET,
    OTHER,
    DOCUMENT,
    arrow("BELONGS_TO", "ticket:412", "company:31"),
    arrow("DESCRIBES", "document:ticket/412", "ticket:412"),
    arrow("SIMILAR_TO", "ticket:412", "ticket:413", score=0.75),
]


async def push(database: Executor, account: str, parts: list[Node | Relation], *, whole: bool = True) -> Pushed:
    async def stream() -> AsyncIterator[Item]:
        yield Head({"freshdesk": account}, whole)
        for part in parts:
            yield part
        yield End(sum(isinstance(part, Node) for part in parts), sum(isinstance(part, Relation) for part in parts))

    return await neo4j.push(stream(), database)


async def standing(database: Executor, account: str) -> Json:
    """What stands of an account: labels and properties by id (without the run), and relations."""
    nodes = await database.run("MATCH (n:Deskloom {deskloom: $account}) RETURN labels(n) AS labels, n", account=account)
    found: Json = {}
    for row in nodes:
        values = {name: value for name, value in dict(row["n"]).items() if name not in ("deskloom", "deskloom_run")}
        found[values.pop("id")] = (sorted(set(row["labels"]) - {"Deskloom"}), values)
    arrows = await database.run(
        "MATCH (a:Deskloom {deskloom: $account})-[r]->(b) "
        "RETURN a.id AS start, type(r) AS type, b.id AS end, r.score AS score",
        account=account,
    )
    found["relations"] = sorted((row["start"], row["type"], row["end"], row["score"]) for row in arrows)
    return found


async def test_the_graph_stands_as_it_was_said(database: Executor, account: str) -> None:
    """Labels, properties with their types, relations; what has no value is no property."""
    assert await push(database, account, WHOLE) == Pushed(4, 3, 0, 0)
    stands = await standing(database, account)
    assert list(stands["freshdesk:ticket:412"][0]) == ["Ticket"]
    values = stands["freshdesk:ticket:412"][1]
    # ArcadeDB keeps times without their zone, in UTC.
    times = {name: values.pop(name).to_native().replace(tzinfo=UTC) for name in ("created_at", "closed_at")}
    assert times == {
        "created_at": datetime(2025, 1, 31, 9, tzinfo=UTC),
        "closed_at": datetime(2025, 2, 1, 9, tzinfo=UTC),
    }
    assert values == {
        "source": "freshdesk",
        "subject": 'Quotes " and \\ and $rows',
        "status": "Open",
        "hours": 1.5,
        "tags": [],
    }
    assert stands["freshdesk:company:31"][1]["domains"] == ["mill.example"]
    assert stands["relations"] == [
        ("freshdesk:document:ticket/412", "DESCRIBES", "freshdesk:ticket:412", None),
        ("freshdesk:ticket:412", "BELONGS_TO", "freshdesk:company:31", None),
        ("freshdesk:ticket:412", "SIMILAR_TO", "freshdesk:ticket:413", 0.75),
    ]


async def test_a_second_time_changes_nothing_but_what_changed(database: Executor, account: str) -> None:
    """No node or relation twice; a property that lost its value is gone; what others added to a node stays."""
    await push(database, account, WHOLE)
    first = await standing(database, account)
    assert await push(database, account, WHOLE) == Pushed(4, 3, 0, 0)
    assert await standing(database, account) == first
    await database.run(
        "MATCH (n:Deskloom {deskloom: $account, id: 'freshdesk:ticket:412'}) SET n.mine = 1", account=account
    )
    changed = replace(TICKET, properties=TICKET.properties | {"status": "Closed", "hours": None})
    await push(database, account, [changed if part is TICKET else part for part in WHOLE])
    values = first["freshdesk:ticket:412"][1]
    del values["hours"]
    assert await standing(database, account) == first | {
        "freshdesk:ticket:412": (["Ticket"], values | {"status": "Closed", "mine": 1})
    }


async def test_what_is_gone_is_removed_and_nothing_else(database: Executor, account: str) -> None:
    """Of this account only what the whole graph lacks; other accounts, others' nodes and others' relations stay."""
    other = f"other-{account}"
    await push(database, account, WHOLE)
    await push(database, other, WHOLE)
    await database.run(
        "MATCH (c:Deskloom {deskloom: $account, id: 'freshdesk:company:31'}) MATCH (t:Deskloom {deskloom: $account, "
        "id: 'freshdesk:ticket:412'}) CREATE (c)-[:LINKS_TO]->(t) CREATE (c)-[:OWNS]->(:Ticket {mine: $account})",
        account=account,
    )
    assert await push(database, account, [COMPANY, TICKET]) == Pushed(2, 0, 2, 3)
    stands = await standing(database, account)
    assert set(stands) == {"freshdesk:company:31", "freshdesk:ticket:412", "relations"}
    assert [one[1] for one in stands["relations"]] == ["LINKS_TO", "OWNS"]
    assert len((await standing(database, other))["relations"]) == 3
    await database.run(
        "MATCH (n) WHERE n.deskloom = $other OR n.mine = $mine DETACH DELETE n", other=other, mine=account
    )


async def test_a_part_of_the_graph_removes_nothing(database: Executor, account: str) -> None:
    """One customer's graph proves nothing about the others'."""
    await push(database, account, WHOLE)
    assert await push(database, account, [COMPANY], whole=False) == Pushed(1, 0, None, None)
    assert len(await standing(database, account)) == 5


async def test_an_export_that_breaks_off_removes_nothing_and_the_next_one_mends_it(
    database: Executor, account: str
) -> None:
    """Without its end the graph is not known to be whole."""
    await push(database, account, WHOLE)

    async def broken() -> AsyncIterator[Item]:
        yield Head({"freshdesk": account}, whole=True)
        yield COMPANY

    with pytest.raises(GraphUnavailable, match="broke off"):
        await neo4j.push(broken(), database)
    assert len(await standing(database, account)) == 5
    assert await push(database, account, WHOLE) == Pushed(4, 3, 0, 0)


async def test_of_two_exports_at_once_neither_removes_what_the_other_saw(database: Executor, account: str) -> None:
    """The one that began first writes last, before the other removes: nodes stay as new as the second made them."""
    begun, wrote, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def older() -> AsyncIterator[Item]:
        yield Head({"freshdesk": account}, whole=True)
        begun.set()
        await wrote.wait()
        yield COMPANY
        yield TICKET
        yield End(2, 0)

    async def newer() -> AsyncIterator[Item]:
        yield Head({"freshdesk": account}, whole=True)
        yield COMPANY
        yield TICKET
        yield arrow("BELONGS_TO", "ticket:412", "company:31")
        wrote.set()
        await done.wait()
        yield End(2, 1)

    first = asyncio.create_task(neo4j.push(older(), database))
    await begun.wait()
    second = asyncio.create_task(neo4j.push(newer(), database))
    assert await first == Pushed(2, 0, 0, 0)
    done.set()
    assert await second == Pushed(2, 1, 0, 0)
    assert set(await standing(database, account)) == {COMPANY.id, TICKET.id, "relations"}


async def test_batches_are_small_and_many(database: Executor, account: str) -> None:
    """More nodes than one statement takes, and than one removal takes: none is lost, and all of them go."""
    many = [node(f"ticket:{number}", "Ticket", external_id=number) for number in range(1, neo4j.REMOVED + 3)]
    arrows = [arrow("LINKS_TO", f"ticket:{one}", f"ticket:{one + 1}") for one in range(1, neo4j.REMOVED + 2)]
    largest = 0

    class Counting:
        async def run(self, cypher: str, **parameters: Any) -> list[Json]:
            nonlocal largest
            largest = max(largest, len(parameters.get("rows", ())))
            return await database.run(cypher, **parameters)

    assert await push(Counting(), account, [*many, *arrows]) == Pushed(len(many), len(arrows), 0, 0)
    assert largest == neo4j.ROWS
    assert await push(Counting(), account, [COMPANY]) == Pushed(1, 0, len(many), len(arrows))


async def test_documents_are_sent_in_statements_of_bounded_size() -> None:
    """A statement is run before its documents weigh too much."""
    sent: list[int] = []

    class Weighing:
        async def run(self, cypher: str, **parameters: Any) -> list[Json]:
            if rows := parameters.get("rows"):
                sent.append(len(rows))
            return [{"run": 1, "removed": 0}]

    large = "x" * (neo4j.CHARACTERS // 2)
    documents = [node(f"document:ticket/{number}", "Document", content=large) for number in range(5)]
    await push(Weighing(), "any.example", documents)  # type: ignore[arg-type]
    assert sent == [2, 2, 1]


async def test_a_node_cannot_stand_twice(engine: Engine, database: Executor, account: str) -> None:
    """The constraint is there after the first export."""
    await push(database, account, WHOLE)
    with pytest.raises(DeskloomError, match="ConstraintValidationFailed"):
        await database.run("CREATE (:Deskloom {deskloom: $account, id: 'freshdesk:ticket:412'})", account=account)


@asynccontextmanager
async def _tried(target: Target) -> AsyncIterator[Executor]:
    async with neo4j.connect(target, patience=0.5) as connected:
        yield connected


async def test_wrong_credentials_are_told_apart_from_missing_rights(engine: Engine, account: str) -> None:
    """Each error names the server, the user and what to do, and no password."""
    if not engine.own:
        pytest.skip("a server of somebody's: wrong passwords would be counted there")
    wrong = replace(engine.target, password="wrong-secret")
    with pytest.raises(CredentialsRefused, match=r'refused user "root" .* Set DESKLOOM_NEO4J_USER') as refused:
        async with _tried(wrong):
            pass
    assert "wrong-secret" not in str(refused.value)
    reader = replace(engine.target, user=READER, password=PASSWORD)
    with pytest.raises(AccessRefused, match=r'User "reader" .* may not do what the export needs'):
        async with _tried(reader) as connected:
            await push(connected, account, WHOLE)
    nowhere = replace(engine.target, database="nowhere")
    with pytest.raises(SettingInvalid, match=r'has no database "nowhere"'):
        async with _tried(nowhere) as connected:
            await connected.run("RETURN 1")


async def test_a_server_that_does_not_answer_is_named() -> None:
    """Nothing listens there; and something listens that is no Neo4j."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(GraphUnavailable, match=f"Neo4j at 127.0.0.1:{port} cannot be used now"):
        async with _tried(Target(f"bolt://127.0.0.1:{port}", "neo4j", "secret")):
            pass


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "127.0.0.1:7687",
        "http://127.0.0.1:7474",
        "bolt://",
        "bolt://neo4j:hidden-word@127.0.0.1:7687",
        "bolt://127.0.0.1:port",
    ],
)
async def test_a_wrong_address_is_not_tried(uri: str) -> None:
    """The sentence says how to write one, and does not show it: it may hold a password."""
    with pytest.raises(SettingInvalid, match=r"The address of Neo4j is wrong. Write it like bolt://") as wrong:
        async with _tried(Target(uri, "neo4j", "secret")):
            pass
    assert "hidden-word" not in str(wrong.value)


class Wire:
    """A wire to the server that can be cut, and then leads there again."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.open: list[asyncio.StreamWriter] = []
        self.cuts = 0

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.place.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port)), (reader, writer)
        self.open += [there[1], writer]
        await asyncio.gather(self._copy(back[0], there[1]), self._copy(there[0], back[1]))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        for writer in self.open:
            writer.transport.abort()
        self.open.clear()
        self.cuts += 1


async def test_a_connection_that_is_lost_on_the_way_is_made_again(
    engine: Engine, database: Executor, account: str
) -> None:
    """The statement is sent once more; merged, it does no harm if it had been done already."""
    if not engine.own:
        pytest.skip("the wire leads to an address without encryption or routing")
    wire = Wire(engine.target)
    async with await asyncio.start_server(wire.lead, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with neo4j.connect(replace(engine.target, uri=f"bolt://127.0.0.1:{port}")) as connected:

            class Cutting:
                async def run(self, cypher: str, **parameters: Any) -> list[Json]:
                    if "rows" in parameters and wire.cuts < 2:
                        wire.cut()
                    return await connected.run(cypher, **parameters)

            assert await push(Cutting(), account, WHOLE) == Pushed(4, 3, 0, 0)
        wire.cut()
    assert wire.cuts == 3
    assert len(await standing(database, account)) == 5
