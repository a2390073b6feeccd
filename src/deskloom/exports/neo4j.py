"""The graph into Neo4j, over its own driver: merged in batches, so that a second time changes nothing but what changed.

Every node and relation of ours carries `deskloom`, the account it is of, and `deskloom_run`, the export that saw it
last. What a whole export did not see is removed; what others put beside it is never touched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from deskloom.errors import AccessRefused, CredentialsRefused, Fatal, GraphRefused, GraphUnavailable, SettingInvalid
from deskloom.exports.graph_lines import End, Head, Item
from deskloom.exports.graph_nodes import FIELDS, RELATIONS, Node, Relation
from deskloom.model import Json

if TYPE_CHECKING:
    from neo4j import AsyncDriver

ROWS = 500
"""Rows in one statement, and so in one transaction."""
CHARACTERS = 2_000_000
"""Characters of documents in one statement: a server holds what one transaction changes in memory."""
_CREDENTIALS = frozenset(
    f"Neo.ClientError.Security.{name}"
    for name in ("Unauthorized", "AuthenticationRateLimit", "CredentialsExpired", "TokenExpired")
)
REMOVED = 1000
"""Nodes or relations removed in one transaction."""
_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_EXAMPLE = "bolt://127.0.0.1:7687 or neo4j+s://example.databases.neo4j.io"

SCHEMA = (
    "CREATE CONSTRAINT deskloom_node IF NOT EXISTS FOR (n:Deskloom) REQUIRE (n.deskloom, n.id) IS UNIQUE",
    "CREATE CONSTRAINT deskloom_export IF NOT EXISTS FOR (e:DeskloomExport) REQUIRE e.deskloom IS UNIQUE",
    "CREATE INDEX deskloom_path IF NOT EXISTS FOR (d:Document) ON (d.path)",
)
"""The first also makes the index that every other statement finds nodes by."""
_BEGIN = """
MERGE (e:DeskloomExport {deskloom: $account})
SET e.run = coalesce(e.run, 0) + 1
RETURN e.run AS run
"""
# An export that began earlier, and is still going on, must not make a node look older than it is.
_SEEN = "CASE WHEN x.deskloom_run > row.run THEN x.deskloom_run ELSE row.run END"
_NODES = {
    label: f"""
UNWIND $rows AS row
MERGE (x:Deskloom:{label} {{deskloom: row.deskloom, id: row.id}})
SET x += row.properties, x.deskloom_run = {_SEEN}
"""
    for label in FIELDS
}
_RELATIONS = {
    type: f"""
UNWIND $rows AS row
MATCH (a:Deskloom {{deskloom: row.deskloom, id: row.start}})
MATCH (b:Deskloom {{deskloom: row.end_deskloom, id: row.end}})
MERGE (a)-[x:{type} {{deskloom: row.deskloom}}]->(b)
SET x += row.properties, x.deskloom_run = {_SEEN}
"""
    for type in RELATIONS
}
_OLD_RELATIONS = """
MATCH (:Deskloom {deskloom: $account})-[x]->()
WHERE x.deskloom = $account AND coalesce(x.deskloom_run, 0) < $run
WITH x LIMIT $most DELETE x
RETURN count(*) AS removed
"""
_OLD_NODES = """
MATCH (x:Deskloom {deskloom: $account})
WHERE coalesce(x.deskloom_run, 0) < $run
WITH x LIMIT $most DETACH DELETE x
RETURN count(*) AS removed
"""


class Executor(Protocol):
    """Runs one statement in a transaction of its own, again if it failed in passing; gives back its rows."""

    async def run(self, cypher: str, **parameters: Any) -> list[Json]: ...


@dataclass(frozen=True, slots=True)
class Pushed:
    """How much the graph has, and how much that was gone was removed; None: a part of the graph proves nothing."""

    nodes: int
    relations: int
    removed_nodes: int | None
    removed_relations: int | None


async def push(items: AsyncIterator[Item], database: Executor) -> Pushed:
    """Make what the database has of these accounts what `items` say. May be repeated, and break off, at any time."""
    for statement in SCHEMA:
        await database.run(statement)
    head, runs = Head({}, whole=False), dict[str, int]()
    nodes, relations = _Rows(database), _Rows(database)
    async for item in items:
        match item:
            case Head():
                head = item
                for account in sorted(set(head.accounts.values())):
                    [begun] = await database.run(_BEGIN, account=account)
                    runs[account] = int(begun["run"])
            case Node():
                account = head.account(item.id)
                await nodes.put(_NODES[item.label], _node_row(item, account, runs[account]))
            case Relation():
                await nodes.flush()  # a relation finds its ends, or is not made
                row = _relation_row(item, head)
                await relations.put(_RELATIONS[item.type], row | {"run": runs[row["deskloom"]]})
            case End():
                await nodes.flush()
                await relations.flush()
                removed = await _remove(database, runs) if head.whole else (None, None)
                return Pushed(item.nodes, item.relations, *removed)
    raise GraphUnavailable("The graph broke off before its end. Nothing was removed; run the export again.")


async def _remove(database: Executor, runs: dict[str, int]) -> tuple[int, int]:
    """Remove nodes and relations of these accounts that this export did not see."""
    counts = []
    for statement in (_OLD_RELATIONS, _OLD_NODES):
        count = 0
        for account, run in runs.items():
            while True:
                [row] = await database.run(statement, account=account, run=run, most=REMOVED)
                count += row["removed"]
                if row["removed"] < REMOVED:
                    break
        counts.append(count)
    relations, nodes = counts
    return nodes, relations


class _Rows:
    """Gathers rows of one statement, and runs it when there are enough of them or another one comes."""

    def __init__(self, database: Executor) -> None:
        self._database = database
        self._rows: dict[str, list[Json]] = {}
        self._weight: dict[str, int] = {}

    async def put(self, statement: str, row: Json) -> None:
        rows = self._rows.setdefault(statement, [])
        rows.append(row)
        self._weight[statement] = self._weight.get(statement, 0) + len(row["properties"].get("content") or "")
        if len(rows) >= ROWS or self._weight[statement] >= CHARACTERS:
            await self._run(statement)

    async def flush(self) -> None:
        for statement in list(self._rows):
            await self._run(statement)

    async def _run(self, statement: str) -> None:
        rows, self._rows[statement], self._weight[statement] = self._rows[statement], [], 0
        if rows:
            await self._database.run(statement, rows=rows)


def _node_row(node: Node, account: str, run: int) -> Json:
    fields = FIELDS[node.label]
    properties = {
        name: datetime.fromisoformat(value) if value is not None and fields[name] == "datetime" else value
        for name, value in node.properties.items()
    }
    return {"deskloom": account, "id": node.id, "run": run, "properties": properties}


def _relation_row(relation: Relation, head: Head) -> Json:
    return {
        "deskloom": head.account(relation.start),
        "start": relation.start,
        "end_deskloom": head.account(relation.end),
        "end": relation.end,
        "properties": relation.properties,
    }


# ---------------------------------------------------------------------------------------------------------- driver


@dataclass(frozen=True, slots=True)
class Target:
    """A Neo4j server and who we are there. `database` None: the user's own."""

    uri: str
    user: str
    password: str
    database: str | None = None

    @property
    def place(self) -> str:
        """The server, as it may be shown."""
        parts = urlsplit(self.uri)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


@asynccontextmanager
async def connect(target: Target, *, patience: float = 30.0) -> AsyncIterator[Executor]:
    """The database behind the official driver, proven to answer. `patience`: seconds that faults in passing may last.

    Raises `SettingInvalid` (address, database, driver missing), `GraphUnavailable`, `CredentialsRefused`,
    `AccessRefused`.
    """
    _require_address(target.uri)
    try:
        from neo4j import AsyncGraphDatabase, NotificationMinimumSeverity
    except ModuleNotFoundError:
        raise SettingInvalid(
            "The export to Neo4j needs one more package. Install it: pip install 'deskloom[neo4j]'", setting="--uri"
        ) from None
    with _told(target):
        driver = AsyncGraphDatabase.driver(
            target.uri,
            auth=(target.user, target.password),
            connection_timeout=min(10.0, patience),
            max_transaction_retry_time=patience,
            # "There is no such label yet" is true of every first export.
            notifications_min_severity=NotificationMinimumSeverity.OFF,
        )
    async with driver:
        with _told(target):
            await driver.verify_connectivity()
        yield _Driver(driver, target)


@dataclass(frozen=True, slots=True)
class _Driver:
    driver: AsyncDriver
    target: Target

    async def run(self, cypher: str, **parameters: Any) -> list[Json]:
        with _told(self.target):
            # Repeats what failed in passing (deadlocks, elections, lost connections) for as long as it was told to.
            answer = await self.driver.execute_query(cypher, parameters, database_=self.target.database)
        return [dict(record) for record in answer.records]


def _require_address(uri: str) -> None:
    # The address itself is not shown: it may hold a password.
    try:
        parts = urlsplit(uri)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and not (parts.username or parts.password)
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise SettingInvalid(
            f"The address of Neo4j is wrong. Write it like {_EXAMPLE}, without user and password, which are "
            "DESKLOOM_NEO4J_USER and DESKLOOM_NEO4J_PASSWORD.",
            setting="DESKLOOM_NEO4J_URI",
        )


@contextmanager
def _told(target: Target) -> Iterator[None]:
    """Tells the driver's errors in our words; never in the server's, which may quote what was sent."""
    from neo4j import exceptions

    place = target.place
    try:
        yield
    except (exceptions.TransientError, exceptions.ServiceUnavailable, exceptions.SessionExpired) as error:
        why = getattr(error, "code", None) or "no answer"
        raise GraphUnavailable(
            f"Neo4j at {place} cannot be used now ({why}). Check the address and that the server runs, and try again: "
            "what was sent already stays."
        ) from None
    except exceptions.Neo4jError as error:
        raise _refusal(target, error.code or "no code") from None
    except (exceptions.DriverError, ValueError) as error:
        raise SettingInvalid(
            f"The connection to Neo4j at {place} cannot be made ({type(error).__name__}). Write the address like "
            f"{_EXAMPLE}.",
            setting="DESKLOOM_NEO4J_URI",
        ) from None


def _refusal(target: Target, code: str) -> Fatal:
    if code in _CREDENTIALS:
        return CredentialsRefused(
            f'Neo4j at {target.place} refused user "{target.user}" ({code}). Set DESKLOOM_NEO4J_USER and '
            "DESKLOOM_NEO4J_PASSWORD."
        )
    if ".Security." in code:
        return AccessRefused(
            f'User "{target.user}" of Neo4j at {target.place} may not do what the export needs ({code}): write nodes '
            "and relations, and create constraints. Grant it the role architect or admin."
        )
    if "DatabaseNotFound" in code:
        return SettingInvalid(
            f'Neo4j at {target.place} has no database "{target.database}". Set DESKLOOM_NEO4J_DATABASE.',
            setting="DESKLOOM_NEO4J_DATABASE",
        )
    return GraphRefused(
        f"Neo4j at {target.place} did not take a statement of the export ({code}). It needs Neo4j 4.4 or later, or "
        "another server that knows its constraints."
    )
