"""The graph as lines of JSON, one for each part of it: how it travels, and how it waits on disk for its turn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import Any

from deskloom.errors import GraphUnavailable
from deskloom.exports.graph_nodes import Node, Relation
from deskloom.model import Json


@dataclass(frozen=True, slots=True)
class Head:
    """Stands first. `accounts`: source → its account; `whole`: nothing is left out, so that what is missing is gone."""

    accounts: Mapping[str, str]
    whole: bool

    def account(self, node: str) -> str:
        """The account a node is of, by its id."""
        return self.accounts[node.partition(":")[0]]


@dataclass(frozen=True, slots=True)
class End:
    """Stands last: how much there was. A graph without it is incomplete."""

    nodes: int
    relations: int


Item = Head | Node | Relation | End
_NAMES: Mapping[type, str] = {Head: "graph", Node: "node", Relation: "relation", End: "end"}
_TYPES: Mapping[str, type] = {name: kind for kind, name in _NAMES.items()}


def to_line(item: Item) -> bytes:
    """`{"node": {"id": …, "label": …, "properties": {…}}}` and a line feed, in ASCII: no reader splits it."""
    return json.dumps({_NAMES[type(item)]: asdict(item)}, separators=(",", ":")).encode() + b"\n"


def from_json(value: Any) -> Item:
    """The item of a parsed line."""
    [(name, members)] = value.items()
    item: Item = _TYPES[name](**members)
    return item


async def read_items(values: AsyncIterator[Json]) -> AsyncIterator[Item]:
    """The items of parsed lines, checked to be complete; raises `GraphUnavailable` if they break off."""
    counted = {Head: 0, Node: 0, Relation: 0, End: 0}
    async for value in values:
        item = from_json(value)
        counted[type(item)] += 1
        if isinstance(item, End) and (item.nodes, item.relations) != (counted[Node], counted[Relation]):
            break
        yield item
        if isinstance(item, End):
            return
    raise GraphUnavailable("The graph broke off before its end. Nothing was removed; run the export again.")


class Waiting:
    """Relations that wait on disk until every node has gone by, in order. Close it with `close`."""

    def __init__(self) -> None:
        self.count = 0
        self._file = TemporaryFile(prefix="deskloom-graph-")  # noqa: SIM115 - closed by `close`

    def put(self, relations: Iterable[Relation]) -> None:
        for relation in relations:
            self._file.write(to_line(relation))
            self.count += 1

    def batches(self, size: int) -> Iterator[list[Item]]:
        self._file.seek(0)
        batch: list[Item] = []
        for line in self._file:
            batch.append(from_json(json.loads(line)))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def close(self) -> None:
        self._file.close()
