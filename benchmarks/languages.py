"""Searching in one language, and across languages: the same short how-to pages in English, Indonesian, Korean, Arabic
and Japanese, kept in a PostgreSQL table as localized JSON and read by the real table source.

The question is what a page says of itself in one language; expected is the same page in another language (a filter
says in which language answers may be), or in its own. Latin words are taken out of Korean, Arabic and Japanese
questions, since names of commands are the same everywhere; out of English and Indonesian ones go the page's name and
all code. Within a language a page that holds the question word for word proves little, so with `--held-out` the
description is not indexed, and only the examples are. The model is the one that DESKLOOM_EMBEDDER names; vectors are
kept on disk between runs.

Run: python -m benchmarks.languages [--pages 1159] [--questions 150] [--held-out] [--cache FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from benchmarks.cached import CachedEmbedder
from benchmarks.labels import score
from benchmarks.rigs import DATA, table
from pydantic import SecretStr
from tests import postgres

from deskloom.embedders import open_embedder
from deskloom.errors import InvalidRequest
from deskloom.home import own_home
from deskloom.models import always
from deskloom.protocols import Embedder, Weighing
from deskloom.record import runs as record_runs
from deskloom.search import Mode, Query
from deskloom.settings import Settings
from deskloom.table_settings import TableSettings
from deskloom.wiring import App, open_app

LANGUAGES = ("en", "id", "ko", "ar", "ja")
OTHER_SCRIPTS = frozenset({"ko", "ar", "ja"})
MODES: Sequence[Mode] = ("keyword", "semantic", "hybrid")
DATABASE, NAME, SEED = "team", "pages", 7
DECLARED = TableSettings(
    name=NAME, table="pages", title="name", texts={"text": 1}, localized=("text",), follow="column"
)
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+")
CODE = re.compile(r"`[^`]*`|\{\{.*?\}\}")
WAIT = 1.0


def load(pages: int) -> list[dict[str, Any]]:
    """The pages that exist in most languages first."""
    file = DATA / "tldr-parallel" / "pages.jsonl.gz"
    if not file.is_file():
        sys.exit(f"The real data is not at {file}. Set DESKLOOM_DATA to the folder that holds tldr-parallel.")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return sorted(found, key=lambda page: -len(page["languages"]))[:pages]


def question(page: Mapping[str, Any], language: str) -> str:
    """What a page says of itself, without what is written the same in every language; maybe nothing is left."""
    text = CODE.sub(" ", page["summary"].get(language) or "")
    name = rf"(?<!\w){re.escape(page['title'])}(?!\w)"
    text = LATIN.sub(" ", text) if language in OTHER_SCRIPTS else re.sub(name, " ", text)
    return " ".join(text.split()).strip(" .。،,()") if re.search(r"\w", text) else ""


def is_alias(page: Mapping[str, Any]) -> bool:
    """Whether a page only says that its command is another name of another one."""
    return "alias" in (page["summary"].get("en") or "").casefold()


def text_of(page: Mapping[str, Any], language: str, *, held_out: bool) -> str:
    """A page in one language: its description and examples."""
    lines = page["markdown"][language].splitlines()
    return "\n".join(line for line in lines if not line.startswith("#") and not (held_out and line.startswith(">")))


async def fill(url: str, pages: Sequence[Mapping[str, Any]], *, held_out: bool) -> None:
    """The team's table, with a text for each language a page has."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE pages (page text PRIMARY KEY, name text NOT NULL, text jsonb NOT NULL)")
    rows = [
        (page["page"], page["title"], json.dumps({language: text_of(page, language, held_out=held_out)
                                                  for language in LANGUAGES if page["markdown"].get(language)}))
        for page in pages
    ]  # fmt: skip
    await connection.executemany("INSERT INTO pages VALUES ($1, $2, $3)", rows)
    await connection.close()


async def read(app: App) -> int:
    """Sync the table; returns how many entries the index holds."""
    run = await app.dispatcher.submit(source=NAME, stream="rows", requested_by="benchmark")
    waiting = asyncio.create_task(app.dispatcher.wait(run.id))
    while not (await asyncio.wait({waiting}, timeout=WAIT))[0]:
        print(f"\r{await app.index.count(NAME)} entries", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    async with app.record.reading() as tx:
        ended = await record_runs.get_run(tx, run.id)
    assert ended.state == "succeeded", ended.errors
    return await app.index.count(NAME)


async def measure(app: App, asked: Sequence[Mapping[str, Any]], pair: tuple[str, str], mode: Mode) -> str | None:
    """MRR@10 and Recall@10 of one pair of languages; None where there is nothing to ask."""
    source, target = pair
    found: dict[int, list[str]] = {}
    wanted: dict[int, list[str]] = {}
    for number, page in enumerate(asked):
        if not (text := question(page, source)) or not page["markdown"].get(target):
            continue
        wanted[number] = [page["page"]]
        try:
            hits = await app.search.search(
                Query(text=text, collections=(NAME,), mode=mode, limit=10, filters={"language": [target]})
            )
        except InvalidRequest:  # a question of stop words alone
            hits = []
        found[number] = [hit.id for hit in hits]
    got = score(found, wanted) if found else None
    return f"{got.mrr:.2f} / {got.recall:.2f}" if got else None


def ask(pages: Sequence[Mapping[str, Any]], language: str, count: int) -> list[Mapping[str, Any]]:
    """Pages to ask for in a language: those in most languages, then by chance.

    Without its Latin words many a page says what others say: only those that can be told apart count, and no alias.
    """
    said = Counter(question(page, language) for page in pages)
    having = [page for page in pages if (text := question(page, language)) and said[text] == 1 and not is_alias(page)]
    random.Random(SEED).shuffle(having)
    return sorted(having, key=lambda page: -len(page["languages"]))[:count]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1159)
    parser.add_argument("--questions", type=int, default=150, help="questions in each language")
    parser.add_argument("--held-out", action="store_true", help="index the examples only, not what is asked for")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "deskloom-bench" / "vectors.db")
    options = parser.parse_args()
    pages = load(options.pages)
    real = await open_embedder(Settings())
    embedder: Embedder = real if isinstance(real, Weighing) else CachedEmbedder(real, options.cache)
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        await postgres.create(server, DATABASE)
        await fill(server.url(DATABASE), pages, held_out=options.held_out)
        home = Path(folder) / "home"
        owned = own_home(home, "benchmark")
        settings = Settings(home=home, tables=(DECLARED,), source_database_url=SecretStr(server.url(DATABASE)))
        async with open_app(settings, home=owned.id, opener=always(embedder)) as app:
            began = time.perf_counter()
            entries = await read(app)
            print(f"{len(pages)} pages, {entries} entries, model {embedder.name}, {time.perf_counter() - began:.0f} s")
            for mode in MODES:
                lines: list[list[Any]] = [["asked in", "questions", *(f"found in {target}" for target in LANGUAGES)]]
                for source in LANGUAGES:
                    asked = ask(pages, source, options.questions)
                    cells = [await measure(app, asked, (source, target), mode) for target in LANGUAGES]
                    lines.append([source, len(asked), *(cell or "-" for cell in cells)])
                what = "description not indexed" if options.held_out else "whole page indexed"
                table(f"{mode}, {what}: MRR@10 / Recall@10", lines)


if __name__ == "__main__":
    asyncio.run(main())
