"""Back-up and restore: a record that is older than the source and the index, and an index older than the record."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests import postgres
from tests.fakes import FakeEmbedder
from tests.rig import Install, Rig

from deskloom import documents
from deskloom.model import Json
from deskloom.protocols import Purpose, Vectors
from deskloom.record import tables
from deskloom.record.backup import copy_record, remove_record
from deskloom.record.runs import Run
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.generate import generate

BackUp = Callable[[Rig], Awaitable[Callable[[], None]]]
"""Backs a record up; what it returns puts the back-up in the place of the record, whose app must be closed."""


def small() -> Desk:
    return generate(seed=3, tickets=24, articles=4, clock=Clock())


async def fill(made: Rig) -> None:
    for stream in ("tickets", "kb"):
        run = await made.sync(stream)
        assert run.state == "succeeded", run.errors


async def performed(made: Rig, mode: str, stream: str, **options: Any) -> Run:
    run = await made.app.dispatcher.submit(source="*", stream=stream, mode=mode, options=options)
    await made.app.dispatcher.wait(run.id)
    return await made.run(run)


async def verified(made: Rig, **options: bool) -> tuple[str, Json]:
    """How a verify ended, and its report."""
    run = await performed(made, "verify", "verify", **options)
    assert run.report is not None, run.errors
    return run.state, run.report


def edit(made: Rig) -> None:
    """Work at the source: a ticket is rewritten, one is deleted, one is new."""
    made.desk.clock.advance(120)
    first, second = sorted(made.desk.tickets.ids("updated", "live"))[:2]
    subject = "The lamp of the projector has burnt out"
    made.desk.perform({"method": "PUT", "path": f"tickets/{first}", "body": {"subject": subject}})
    made.desk.perform({"method": "DELETE", "path": f"tickets/{second}"})
    contact = next(row["id"] for row in made.desk.contacts if not row.get("deleted"))
    body = {"subject": subject, "description": "It is dark.", "requester_id": contact, "status": 2, "priority": 1}
    made.desk.perform({"method": "POST", "path": "tickets", "body": body | {"source": 2}})
    made.desk.clock.advance(60)


@pytest.fixture
def back_up(database_url: str | None, tmp_path: Path) -> BackUp:
    """As docs/operations.md tells: `deskloom db backup`, or pg_dump."""

    async def sqlite(made: Rig) -> Callable[[], None]:
        record = made.settings.home / "deskloom.db"
        await asyncio.to_thread(copy_record, record, tmp_path / "backup.db")

        def restore() -> None:
            remove_record(record)
            record.parent.mkdir(exist_ok=True)
            shutil.copy(tmp_path / "backup.db", record)

        return restore

    async def postgresql(made: Rig) -> Callable[[], None]:
        file = str(tmp_path / "backup.dump")
        await asyncio.to_thread(tool, "pg_dump", "--format=custom", f"--file={file}", str(database_url))
        return lambda: tool("pg_restore", "--clean", "--if-exists", "--no-owner", f"--dbname={database_url}", file)

    return postgresql if database_url else sqlite


def tool(name: str, *arguments: str) -> None:
    program = next(folder / name for folder in postgres.candidates() if (folder / name).exists())
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class HeldEmbedder(FakeEmbedder):
    """A fake that stops after some texts, says so, and goes on when it is free."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.held, self.free = asyncio.Event(), asyncio.Event()

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        if self.texts >= self.after:
            self.held.set()
            await self.free.wait()
        return await super().embed(texts, purpose)


async def cached(made: Rig) -> int:
    return sum(row["parts"] for row in await made.rows(tables.embeddings))


async def test_a_lost_installation_is_restored_from_a_backup_taken_during_a_sync(
    install: Install, back_up: BackUp
) -> None:
    """The home and its index are gone: the run goes on from the restored record, one run more for each stream, and the
    copies agree; no text is embedded whose vectors were in the back-up."""
    async with install(small(), publish_batch=4) as made:
        embedder = made.models["minilm"] = HeldEmbedder(after=16)
        await made.reopen()
        run = await made.start("tickets")
        await embedder.held.wait()
        restore, known = await back_up(made), await cached(made)
        assert ((await made.run(run)).state, known > 0) == ("running", True)
        embedder.free.set()
        await made.app.dispatcher.wait(run.id)
        edit(made)
        await fill(made)
        await made.close()
        shutil.rmtree(made.settings.home)
        made.desk.clock.advance(3600)
        await made.open()  # which makes a new home
        await made.close()
        shutil.rmtree(made.settings.home / "index")
        restore()
        texts = embedder.texts
        assert [again.id for again in await made.reopen()] == [run.id]
        await fill(made)
        assert await made.differences() == []
        assert embedder.texts - texts == await cached(made) - known
        assert (await verified(made, deep=True))[1]["agree"]


def rewrite(made: Rig, ticket: int, subject: str) -> None:
    made.desk.clock.advance(60)
    made.desk.perform({"method": "PUT", "path": f"tickets/{ticket}", "body": {"subject": subject}})
    made.desk.clock.advance(60)


@pytest.mark.parametrize("first", ["verify", "sync"])
async def test_an_index_newer_than_the_record_is_mended_by_either(
    install: Install, back_up: BackUp, first: str
) -> None:
    """The index was not lost: points that the record does not know are removed, or taken over when their tickets are
    read again; one whose ticket was rewritten and put back has vectors of a text that the record never saw."""
    async with install(small()) as made:
        await fill(made)
        restore = await back_up(made)
        ticket = min(row["id"] for row in made.desk.tickets if not (row.get("deleted") or row.get("spam")))
        subject = next(row["subject"] for row in made.desk.tickets if row["id"] == ticket)
        edit(made)
        await fill(made)
        await made.close()
        rewrite(made, ticket, subject)
        restore()
        await made.reopen()
        if first == "verify":
            assert (await verified(made, repair=True))[0] == "succeeded"
        await fill(made)
        assert await made.differences() == []
        assert (await verified(made, deep=True))[1]["agree"]


async def test_an_index_older_than_the_record_is_mended(install: Install, tmp_path: Path) -> None:
    """Points that are missing, stale and extra in the restored folder are found and mended, and nothing is embedded."""
    async with install(small()) as made:
        await fill(made)
        await made.close()
        shutil.copytree(made.settings.home / "index", tmp_path / "index")
        await made.open()
        edit(made)
        await fill(made)
        await made.close()
        shutil.rmtree(made.settings.home / "index")
        shutil.copytree(tmp_path / "index", made.settings.home / "index")
        await made.open()
        _, report = await verified(made)
        told = report["collections"][documents.TICKETS]
        assert {what: told[what] for what in ("missing", "stale", "orphaned")} == {
            "missing": 1,
            "stale": 1,
            "orphaned": 1,
        }
        texts = made.embedder.texts
        assert (await verified(made, repair=True))[0] == "succeeded"
        assert await made.differences() == []
        assert made.embedder.texts == texts


async def test_a_record_from_before_a_reindex_beside_the_index_from_after_it(install: Install, back_up: BackUp) -> None:
    """Runs say that the index is of another model; a reindex mends it, and meanwhile nothing is mixed."""
    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        restore = await back_up(made)
        await performed(made, "reindex", documents.TICKETS, embedder={"kind": "bge-m3"})
        await made.close()
        restore()
        await made.reopen()
        edit(made)
        refused = await made.sync("tickets")
        assert (refused.state, refused.errors[-1].split(";")[0]) == (
            "failed",
            'Index "support_tickets" holds vectors of width 48',
        )
        done = await performed(made, "reindex", documents.TICKETS, embedder={"kind": "minilm"})
        assert done.state == "succeeded"
        await fill(made)
        assert await made.differences() == []
