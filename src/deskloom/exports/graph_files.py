"""The graph as files, for everyone without a graph database: GraphML, or CSV as `neo4j-admin database import` reads it.

The same graph gives the same bytes. Files take their place together, once all of them are complete.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol
from xml.sax.saxutils import escape, quoteattr

from deskloom.errors import FolderUnusable
from deskloom.exports.graph_lines import End, Head, Item
from deskloom.exports.graph_nodes import FIELDS, RELATIONS, Node, Relation, Type
from deskloom.model import Json

Format = Literal["graphml", "csv"]
MARK = "Deskloom"
"""The label that every node of ours has beside its own."""
LIST = ";"
"""Stands between the entries of a list."""
_FILES = {
    "Company": "companies.csv",
    "Contact": "contacts.csv",
    "Article": "articles.csv",
    "Ticket": "tickets.csv",
    "Folder": "folders.csv",
    "Document": "documents.csv",
}
_RELATIONS_FILE = "relations.csv"
_GRAPHML_FILE = "deskloom.graphml"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GRAPHML_TYPES: Mapping[Type, str] = {"long": "long", "double": "double"}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written where."""

    files: tuple[Path, ...]
    nodes: int
    relations: int


class _Writer(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...

    def begin(self, folder: Path, files: ExitStack) -> None: ...

    def node(self, node: Node, account: str) -> None: ...

    def relation(self, relation: Relation, account: str) -> None: ...

    def end(self) -> None: ...


async def write_files(items: AsyncIterator[Item], folder: Path, format: Format) -> Written:
    """Write the graph into `folder`, made if it is missing; other files in it stay as they are.

    What `items` raises leaves the files of the last time in place. Raises `FolderUnusable` if the folder cannot be
    written to.
    """
    writer: _Writer = _GraphML() if format == "graphml" else _Csv()
    with _unfinished(folder) as place:
        end = await _write(items, writer, place)
        for name in writer.names:
            os.replace(place / name, folder / name)
    return Written(tuple(folder / name for name in writer.names), end.nodes, end.relations)


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A place within the folder for files that are being written; it is gone in the end."""
    place = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".deskloom-graph-", dir=folder))
        yield place
    except OSError as error:
        why = error.strerror or str(error)
        raise FolderUnusable(
            f"The folder {folder} cannot be written to: {why}. Name another one.", path=str(folder)
        ) from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


async def _write(items: AsyncIterator[Item], writer: _Writer, folder: Path) -> End:
    head, end = Head({}, whole=True), End(0, 0)
    with ExitStack() as files:
        writer.begin(folder, files)
        async for item in items:
            match item:
                case Node():
                    writer.node(item, head.account(item.id))
                case Relation():
                    writer.relation(item, head.account(item.start))
                case Head():
                    head = item
                case End():
                    end = item
        writer.end()
    return end


def _opened(path: Path, files: ExitStack) -> IO[str]:
    return files.enter_context(path.open("w", encoding="utf-8", newline=""))


def _list(value: Any) -> Any:
    """A list as one text; what stands between its entries cannot stand within one."""
    return LIST.join(entry.replace(LIST, ",") for entry in value) if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------------------------- CSV


class _Csv:
    """One file for each label, and one of relations, each with a header that says what its columns hold."""

    names = (*_FILES.values(), _RELATIONS_FILE)

    def begin(self, folder: Path, files: ExitStack) -> None:
        self._nodes = {label: csv.writer(_opened(folder / name, files)) for label, name in _FILES.items()}
        self._relations = csv.writer(_opened(folder / _RELATIONS_FILE, files))
        for label, out in self._nodes.items():
            out.writerow(["id:ID", "deskloom", *(_column(*one) for one in FIELDS[label].items()), ":LABEL"])
        columns = {name: type for fields in RELATIONS.values() for name, type in fields.items()}
        self._columns = tuple(columns)
        self._relations.writerow(
            [":START_ID", ":END_ID", ":TYPE", "deskloom", *(_column(*one) for one in columns.items())]
        )

    def node(self, node: Node, account: str) -> None:
        values = (_list(node.properties[name]) for name in FIELDS[node.label])
        self._nodes[node.label].writerow([node.id, account, *values, f"{MARK}{LIST}{node.label}"])

    def relation(self, relation: Relation, account: str) -> None:
        values = (relation.properties.get(name) for name in self._columns)
        self._relations.writerow([relation.start, relation.end, relation.type, account, *values])

    def end(self) -> None:
        return None


def _column(name: str, type: Type) -> str:
    return name if type == "string" else f"{name}:{type}"


# --------------------------------------------------------------------------------------------------------- GraphML


class _GraphML:
    """One file; `labels` and `label` are where Neo4j's tools look for labels and types."""

    names = (_GRAPHML_FILE,)

    def begin(self, folder: Path, files: ExitStack) -> None:
        self._out = _opened(folder / _GRAPHML_FILE, files)
        write = self._out.write
        write('<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n')
        nodes = {name: type for fields in FIELDS.values() for name, type in fields.items()}
        for name, type in {"labels": "string", "deskloom": "string", **nodes}.items():
            write(_key(f"n_{name}", "node", name, type))
        edges = {name: type for fields in RELATIONS.values() for name, type in fields.items()}
        for name, type in {"label": "string", "deskloom": "string", **edges}.items():
            write(_key(f"e_{name}", "edge", name, type))
        write('<graph id="deskloom" edgedefault="directed">\n')

    def node(self, node: Node, account: str) -> None:
        named = {"labels": f":{MARK}:{node.label}", "deskloom": account, **node.properties}
        self._out.write(f"<node id={_attribute(node.id)}>{_data('n', named)}</node>\n")

    def relation(self, relation: Relation, account: str) -> None:
        ends = f"source={_attribute(relation.start)} target={_attribute(relation.end)}"
        named = {"label": relation.type, "deskloom": account, **relation.properties}
        self._out.write(f"<edge {ends}>{_data('e', named)}</edge>\n")

    def end(self) -> None:
        self._out.write("</graph>\n</graphml>\n")


def _key(id: str, on: str, name: str, type: Any) -> str:
    return f'<key id="{id}" for="{on}" attr.name="{name}" attr.type="{_GRAPHML_TYPES.get(type, "string")}"/>\n'


def _data(prefix: str, values: Json) -> str:
    return "".join(
        f'<data key="{prefix}_{name}">{_text(_list(value))}</data>'
        for name, value in values.items()
        if value is not None and value != []
    )


def _text(value: Any) -> str:
    return escape(_NOT_XML.sub("\ufffd", str(value)), {"\r": "&#13;"})


def _attribute(value: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", value))
