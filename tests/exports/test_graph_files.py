"""The graph as files: any reader takes them, and the same graph gives the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Literal

import networkx
import pytest

from deskloom.errors import FolderUnusable, GraphUnavailable
from deskloom.exports.graph_files import write_files
from deskloom.exports.graph_lines import End, Head, Item, from_json, read_items, to_line
from deskloom.exports.graph_nodes import FIELDS, Node, Relation

NASTY = "a <b> & \"c\" 'd' ]]> ; é 漢 \r\n\t\u2028 line,two"


def node(id: str, label: str, **values: object) -> Node:
    return Node(
        id, label, {name: values.get(name, [] if kind == "string[]" else None) for name, kind in FIELDS[label].items()}
    )


ITEMS: list[Item] = [
    Head({"freshdesk": "acme.freshdesk.com"}, whole=True),
    node(
        "freshdesk:company:31", "Company", source="freshdesk", external_id=31, name=NASTY, domains=["a.example", "b;c"]
    ),
    node("freshdesk:ticket:412", "Ticket", source="freshdesk", external_id=2**53 + 1, subject="", hours=1.5),
    node("freshdesk:document:ticket/412", "Document", name="Ticket_412.md", content="# One\n\n\x0b\ufffetwo\n"),
    Relation("BELONGS_TO", "freshdesk:ticket:412", "freshdesk:company:31"),
    Relation("SIMILAR_TO", "freshdesk:ticket:412", "freshdesk:ticket:412", {"score": 0.8125}),
    End(3, 2),
]
FORMATS: tuple[Literal["graphml", "csv"], ...] = ("graphml", "csv")


async def stream(items: list[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


async def test_graphml_is_read_by_any_reader(tmp_path: Path) -> None:
    """networkx finds every node, relation and property, with their types; XML's forbidden characters are replaced."""
    made = await write_files(stream(ITEMS), tmp_path, "graphml")
    assert ([file.name for file in made.files], made.nodes, made.relations) == (["deskloom.graphml"], 3, 2)
    graph = networkx.read_graphml(made.files[0], force_multigraph=True)
    assert dict(graph.nodes(data=True)) == {
        "freshdesk:company:31": {
            "labels": ":Deskloom:Company",
            "deskloom": "acme.freshdesk.com",
            "source": "freshdesk",
            "external_id": 31,
            "name": NASTY,
            "domains": "a.example;b,c",
        },
        "freshdesk:ticket:412": {
            "labels": ":Deskloom:Ticket",
            "deskloom": "acme.freshdesk.com",
            "source": "freshdesk",
            "external_id": 2**53 + 1,
            "subject": "",
            "hours": 1.5,
        },
        "freshdesk:document:ticket/412": {
            "labels": ":Deskloom:Document",
            "deskloom": "acme.freshdesk.com",
            "name": "Ticket_412.md",
            "content": "# One\n\n\ufffd\ufffdtwo\n",
        },
    }
    assert sorted((start, end, data["label"], data.get("score")) for start, end, data in graph.edges(data=True)) == [
        ("freshdesk:ticket:412", "freshdesk:company:31", "BELONGS_TO", None),
        ("freshdesk:ticket:412", "freshdesk:ticket:412", "SIMILAR_TO", 0.8125),
    ]


async def test_csv_is_laid_out_as_neo4j_admin_imports_it(tmp_path: Path) -> None:
    """Headers with `:ID`, types, `:LABEL`, `:START_ID`, `:END_ID`, `:TYPE`; a file for each label, even if empty."""
    made = await write_files(stream(ITEMS), tmp_path, "csv")
    read = {file.name: list(csv.reader(StringIO(file.read_bytes().decode(), newline=""))) for file in made.files}
    assert {name: len(rows) for name, rows in read.items()} == {
        "companies.csv": 2,
        "contacts.csv": 1,
        "articles.csv": 1,
        "tickets.csv": 2,
        "folders.csv": 1,
        "documents.csv": 2,
        "relations.csv": 3,
    }
    header, row = read["companies.csv"]
    assert dict(zip(header, row, strict=True)) == {
        "id:ID": "freshdesk:company:31",
        "deskloom": "acme.freshdesk.com",
        "source": "freshdesk",
        "external_id:long": "31",
        "name": NASTY,
        "description": "",
        "account_number": "",
        "domains:string[]": "a.example;b,c",
        "created_at:datetime": "",
        "updated_at:datetime": "",
        "url": "",
        ":LABEL": "Deskloom;Company",
    }
    assert read["relations.csv"] == [
        [":START_ID", ":END_ID", ":TYPE", "deskloom", "score:double"],
        ["freshdesk:ticket:412", "freshdesk:company:31", "BELONGS_TO", "acme.freshdesk.com", ""],
        ["freshdesk:ticket:412", "freshdesk:ticket:412", "SIMILAR_TO", "acme.freshdesk.com", "0.8125"],
    ]


def contents(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("format", FORMATS)
async def test_the_same_graph_gives_the_same_bytes(tmp_path: Path, format: Literal["graphml", "csv"]) -> None:
    """Into an old folder as into a new one; nothing else is left in it, and what else was there stays."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.txt").write_text("mine")
    first = await write_files(stream(ITEMS), tmp_path / "new" / "deep", format)
    await write_files(stream(ITEMS), tmp_path / "old", format)
    second = await write_files(stream(ITEMS), tmp_path / "old", format)
    assert [file.read_bytes() for file in first.files] == [file.read_bytes() for file in second.files]
    assert {file.name for file in contents(tmp_path / "old")} == {"mine.txt", *(file.name for file in first.files)}


@pytest.mark.parametrize("format", FORMATS)
async def test_a_graph_that_breaks_off_leaves_the_files_of_the_last_time(
    tmp_path: Path, format: Literal["graphml", "csv"]
) -> None:
    """All files or none; nothing unfinished is left behind."""
    made = await write_files(stream(ITEMS), tmp_path, format)
    before = {file: file.read_bytes() for file in made.files}

    async def broken() -> AsyncIterator[Item]:
        yield ITEMS[0]
        yield ITEMS[1]
        raise GraphUnavailable("gone")

    with pytest.raises(GraphUnavailable):
        await write_files(broken(), tmp_path, format)
    assert {file: file.read_bytes() for file in contents(tmp_path)} == before


async def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match="file cannot be written to: "):
        await write_files(stream(ITEMS), tmp_path / "file", "csv")


async def test_lines_come_back_as_what_they_were_and_tell_whether_they_are_all() -> None:
    """Every item survives its line; a stream without its end, or with one that counts otherwise, is refused."""
    lines = [json.loads(to_line(item)) for item in ITEMS]
    assert [from_json(line) for line in lines] == ITEMS
    assert all(line.isascii() and line.count(b"\n") == 1 for line in map(to_line, ITEMS))

    async def parsed(some: list[object]) -> AsyncIterator[dict[str, object]]:
        for line in some:
            yield line  # type: ignore[misc]

    assert [item async for item in read_items(parsed(lines))] == ITEMS
    for broken in (lines[:-1], [*lines[:2], *lines[3:]]):
        with pytest.raises(GraphUnavailable, match="broke off"):
            _ = [item async for item in read_items(parsed(broken))]
