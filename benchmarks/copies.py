"""A table of the benchmark beside its two copies: every row, field by field, in the record and in the index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.writes import table_rows
from sqlalchemy import select

from deskloom import documents
from deskloom.embedders import open_embedder
from deskloom.indexes.edge import EdgeIndex
from deskloom.record import open_record, tables
from deskloom.settings import Settings


async def compare(home: Path, environment: Mapping[str, str], name: str, url: str) -> tuple[int, dict[str, int]]:
    """Every row of the table beside the record and the index; returns how many there are, and what is wrong."""
    rows = await table_rows(url)
    wrong = dict.fromkeys(("record missing", "record wrong", "record extra"), 0)
    kept = await recorded(home)
    for key, row in rows.items():
        if key not in kept:
            wrong["record missing"] += 1
        elif kept[key] != record_of(row):
            wrong["record wrong"] += 1
    wrong["record extra"] = len(kept.keys() - rows.keys())
    return len(rows), wrong | await compare_index(home, environment, name, rows)


async def recorded(home: Path) -> dict[str, Any]:
    """What the record holds of each row that it does not hold for deleted."""
    record = open_record(f"sqlite+aiosqlite:///{home / 'deskloom.db'}")
    held = tables.table_rows
    try:
        async with record.reading() as tx:
            found = await tx.execute(select(held.c.external_id, held.c.raw).where(held.c.deleted_at.is_(None)))
            return {row.external_id: row.raw for row in found}
    finally:
        await record.aclose()


def record_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's columns as JSON holds them."""
    return {**row, "updatedAt": row["updatedAt"].isoformat()}


async def compare_index(
    home: Path, environment: Mapping[str, str], name: str, rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, int]:
    """The same for the points: every shown field, and the vector that the text should have."""
    wrong = dict.fromkeys(("index missing", "index wrong", "index extra"), 0)
    settings = Settings(_env_file=None, **settings_of(environment))  # type: ignore[call-arg]
    embedder = await open_embedder(settings)
    index = EdgeIndex(home / "index")
    try:
        await index.prepare(documents.schema(name, embedder))
        seen: set[str] = set()
        async for batch in index.scroll(name, None):
            known = [(id, load) for id, load in batch if load["item_id"] in rows]
            wrong["index extra"] += len(batch) - len(known)
            texts = [f"{load['title']}\n\n{rows[load['item_id']]['body']}" for _, load in known]
            vectors = await index.vectors(name, [id for id, _ in known])
            wanted = await embedder.embed(texts) if texts else []
            for (id, load), vector in zip(known, wanted, strict=True):
                row = rows[load["item_id"]]
                seen.add(load["item_id"])
                shown = {field: load[field] for field in ("title", "content", "tags", "version")}
                right = shown == {
                    "content": row["body"],
                    **{field: row[field] for field in ("title", "tags", "version")},
                }
                held = np.asarray(vectors[id]["content_vec"]).reshape(-1)
                wrong["index wrong"] += not (right and np.allclose(held, vector, atol=1e-3))
        wrong["index missing"] = len(rows.keys() - seen)
    finally:
        await index.aclose()
        await embedder.aclose()
    return wrong


def settings_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """The embedder's settings, as they stand in an environment."""
    names = {"DESKLOOM_EMBEDDER": "embedder", "DESKLOOM_EMBEDDER_URL": "embedder_url"}
    names |= {"DESKLOOM_EMBEDDER_MODEL": "embedder_model"}
    return {name: environment[variable] for variable, name in names.items() if variable in environment}
