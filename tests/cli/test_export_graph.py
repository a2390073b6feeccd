"""`deskloom export graph`: into files, and into a database that executes openCypher."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest
from tests.cli.terminal import Terminal
from tests.exports import cypher_engine
from tests.exports.cypher_engine import DATABASE, PASSWORD, Engine

from deskloom.exports import neo4j

ENV = {
    "DESKLOOM_NEO4J_USER": "root",
    "DESKLOOM_NEO4J_PASSWORD": PASSWORD,
    "DESKLOOM_NEO4J_DATABASE": DATABASE,
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    folder = tmp_path / "arcadedb"
    folder.mkdir()
    with cypher_engine.running(folder) as started:
        yield started


async def counted(engine: Engine) -> tuple[int, int]:
    async with neo4j.connect(engine.target) as database:
        [nodes] = await database.run("MATCH (n:Deskloom) RETURN count(n) AS n")
        [relations] = await database.run("MATCH (:Deskloom)-[r]->() RETURN count(r) AS n")
    return nodes["n"], relations["n"]


@pytest.mark.slow
def test_the_graph_is_the_same_in_files_and_in_a_database(terminal: Terminal, engine: Engine) -> None:
    """Both have as many nodes and relations as the command says; again, neither changes."""
    assert terminal.run("sync", "all").status == 0
    files = terminal.run("export", "graph", "--to", "out", "--similar", "2", "--at-least", "0.2", "--json")
    assert files.status == 0, files.err
    said = files.json()
    assert said["files"] == ["out/deskloom.graphml"]
    graph = networkx.read_graphml(terminal.folder / "out" / "deskloom.graphml", force_multigraph=True)
    assert (said["nodes"], said["relations"]) == (graph.number_of_nodes(), graph.number_of_edges())
    arguments = ("export", "graph", "--uri", engine.target.uri, "--similar", "2", "--at-least", "0.2", "--json")
    counts = {"nodes": said["nodes"], "relations": said["relations"], "removed": {"nodes": 0, "relations": 0}}
    for _ in range(2):
        pushed = terminal.run(*arguments, **ENV)
        assert (pushed.status, pushed.json()) == (0, counts), pushed.err
        assert asyncio.run(counted(engine)) == (said["nodes"], said["relations"])
    refused = terminal.run(*arguments, **ENV | {"DESKLOOM_NEO4J_PASSWORD": "wrong-secret"})
    assert refused.status == 1
    assert 'refused user "root"' in refused.err
    assert "wrong-secret" not in refused.err + refused.out


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ([], {}, "Say where to: deskloom export graph --uri bolt://127.0.0.1:7687, or --to DIR"),
        (["--uri", "bolt://127.0.0.1:1", "--to", "out"], {}, "Give --uri or --to, not both"),
        (["--uri", "bolt://127.0.0.1:1"], {}, "The password of Neo4j is not set: DESKLOOM_NEO4J_PASSWORD"),
        (["--uri", "http://127.0.0.1:1"], ENV, "The address of Neo4j is wrong. Write it like bolt://127.0.0.1:7687"),
        (["--to", "out", "--similar", "51"], {}, '"51" is not a whole number from 0 to 50'),
        (["--to", "out", "--at-least", "2"], {}, '"2" is not a number from 0 to 1'),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(
    terminal: Terminal, arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    """Exit status 2 and a sentence; the data folder is not even made."""
    ended = terminal.run("export", "graph", *arguments, **settings)
    assert (ended.status, sentence in ended.err) == (2, True), ended.err
    assert not terminal.home.exists()
    assert not (terminal.folder / "out").exists()
