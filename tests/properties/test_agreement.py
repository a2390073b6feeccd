"""After any mix of edits, faults, limits and interruptions the copies agree, and one more run changes nothing."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests import postgres
from tests.conftest import TEMPLATE
from tests.rig import Rig

from deskloom.record import failures
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer

WORDS = st.lists(
    st.sampled_from(["printer", "vpn", "mail", "outage", "invoice", "login", "disk", "프린터", "طابعة"]),
    min_size=1,
    max_size=4,
)
STREAMS = st.sampled_from(["tickets", "tickets", "kb"])
INDEX = st.integers(0, 99)
EXAMPLES = {"sqlite": 25, "postgresql": 8}
FAULTS = ["500", "502", "503", "reset", "truncate", "cut", "html", "429", "403"]


class Agreement(RuleBasedStateMachine):
    """A help desk that changes while it is synced, with faults, limits, interruptions and restarts."""

    def __init__(self, server: postgres.Server | None) -> None:
        """With a PostgreSQL server the record gets a database of its own there, else it is SQLite in the home."""
        super().__init__()
        self.postgres, self.database = server, f"t{uuid4().hex}"
        if server:
            postgres.apart(postgres.create(server, self.database, TEMPLATE))
        self.folder = Path(tempfile.mkdtemp())
        self.desk = generate(seed=3, tickets=6, articles=4, clock=Clock(datetime(2026, 3, 1, 9, 0, tzinfo=UTC)))
        self.server = SandboxServer(self.desk)
        self.server.start()
        self.runner = asyncio.Runner()
        database_url = server.url(self.database) if server else None
        self.rig = Rig(self.desk, self.server.url, self.folder / "home", database_url=database_url, retries=0)
        self.web = httpx.Client(base_url=f"{self.server.url}/api/v2", auth=(self.desk.key, "X"))
        self.renamed, self.set_back = 0, False
        self.do(self.rig.open())

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.do(self.rig.close())
            self.runner.close()
            self.web.close()
            self.server.stop()
            shutil.rmtree(self.folder)
            if self.postgres:
                postgres.apart(postgres.drop(self.postgres, self.database))

    # ------------------------------------------------------------------------------------------------------ edits

    def pick(self, index: int, *, live: bool = True) -> int | None:
        ids = [row["id"] for row in self.desk.tickets if not (live and (row.get("deleted") or row.get("spam")))]
        return ids[index % len(ids)] if ids else None

    def write(self, method: str, path: str, body: Any = None) -> None:
        self.into_a_fresh_second()
        with self.desk.lock:
            rules, self.desk.faults.rules = self.desk.faults.rules, []
        answer = self.web.request(method, path, json=body)
        self.desk.faults.rules = rules
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text)

    @rule(words=WORDS)
    def open_ticket(self, words: list[str]) -> None:
        text = " ".join(words)
        self.write("POST", "/tickets", {"email": "ada@example.com", "subject": text, "description": f"<p>{text}</p>",
                                        "status": 2, "priority": 1})  # fmt: skip

    @rule(index=INDEX, status=st.sampled_from([2, 3, 4, 5]))
    def set_status(self, index: int, status: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("PUT", f"/tickets/{id}", {"status": status})

    @rule(index=INDEX, words=WORDS, private=st.booleans())
    def say(self, index: int, words: list[str], private: bool) -> None:
        if (id := self.pick(index)) is None:
            return
        body = f"<div>{' '.join(words)}</div>"
        if private:
            self.write("POST", f"/tickets/{id}/notes", {"body": body})
        else:
            self.write("POST", f"/tickets/{id}/reply", {"body": body})

    @rule(index=INDEX)
    def unsay(self, index: int) -> None:
        live = {row["id"] for row in self.desk.tickets if not (row.get("deleted") or row.get("spam"))}
        ids = [row["id"] for row in self.desk.conversations if row["ticket_id"] in live]
        if ids:
            self.write("DELETE", f"/conversations/{ids[index % len(ids)]}")

    @rule(index=INDEX)
    def delete_ticket(self, index: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("DELETE", f"/tickets/{id}")

    @rule(index=INDEX)
    def restore_ticket(self, index: int) -> None:
        ids = [row["id"] for row in self.desk.tickets if row.get("deleted")]
        if ids:
            self.write("PUT", f"/tickets/{ids[index % len(ids)]}/restore")

    @rule(index=INDEX, other=INDEX)
    def merge_tickets(self, index: int, other: int) -> None:
        first, second = self.pick(index), self.pick(other)
        if first is not None and second is not None and first != second:
            self.write("PUT", "/tickets/merge", {"primary_id": first, "ticket_ids": [second]})

    @rule(index=INDEX)
    def mark_spam(self, index: int) -> None:
        if (id := self.pick(index)) is not None:
            self.into_a_fresh_second()
            self.desk.perform({"spam": id})

    @rule(index=INDEX)
    def unmark_spam(self, index: int) -> None:
        if ids := [row["id"] for row in self.desk.tickets if row.get("spam")]:
            self.into_a_fresh_second()
            self.desk.perform({"unspam": ids[index % len(ids)]})

    @rule(index=INDEX, words=WORDS)
    def rename_contact(self, index: int, words: list[str]) -> None:
        ids = [row["id"] for row in self.desk.contacts if not row.get("deleted") and not row.get("_blocked")]
        self.write("PUT", f"/contacts/{ids[index % len(ids)]}", {"name": " ".join(words)})

    @rule(index=INDEX, words=WORDS)
    def rename_company(self, index: int, words: list[str]) -> None:
        """One that has tickets, whose documents name it."""
        id = self.desk.tickets.get(self.pick(index, live=False))["company_id"]
        if id is not None:
            self.renamed += 1
            self.write("PUT", f"/companies/{id}", {"name": f"{' '.join(words)} {self.renamed}"})

    @rule()
    def escalate(self) -> None:
        self.desk.run_sla()

    @rule(index=INDEX, words=WORDS, status=st.sampled_from([1, 2]))
    def edit_article(self, index: int, words: list[str], status: int) -> None:
        ids = [row["id"] for row in self.desk.articles]
        if ids:
            self.write("PUT", f"/solutions/articles/{ids[index % len(ids)]}",
                       {"title": " ".join(words), "status": status})  # fmt: skip

    @rule(index=INDEX)
    def delete_article(self, index: int) -> None:
        ids = [row["id"] for row in self.desk.articles]
        if len(ids) > 1:
            self.write("DELETE", f"/solutions/articles/{ids[index % len(ids)]}")

    @rule(words=WORDS, index=INDEX)
    def write_article(self, words: list[str], index: int) -> None:
        folders = [row["id"] for row in self.desk.folders]
        text = " ".join(words)
        self.write("POST", f"/solutions/folders/{folders[index % len(folders)]}/articles",
                   {"title": text, "description": f"<p>{text}</p>", "type": 1, "status": 2})  # fmt: skip

    @rule(index=INDEX, words=WORDS, language=st.sampled_from(["de", "ko"]))
    def translate_article(self, index: int, words: list[str], language: str) -> None:
        row = list(self.desk.articles)[index % len(self.desk.articles)]
        text = " ".join(words)
        self.write("POST", f"/solutions/articles/{row['id']}/{language}",
                   {"title": text, "description": f"<p>{text}</p>", "status": 2})  # fmt: skip

    @rule(index=INDEX, visibility=st.sampled_from([1, 2, 3]))
    def show_folder_to(self, index: int, visibility: int) -> None:
        ids = [row["id"] for row in self.desk.folders]
        self.write("PUT", f"/solutions/folders/{ids[index % len(ids)]}", {"visibility": visibility})

    @rule(seconds=st.sampled_from([0, 1, 2, 30, 600, 90_000]))
    def wait(self, seconds: int) -> None:
        self.desk.clock.advance(seconds)

    @rule()
    def set_clocks_back(self) -> None:
        """Ours and the help desk's jump back by five seconds."""
        self.desk.clock.advance(-5)
        self.set_back = True

    def into_a_fresh_second(self) -> None:
        """Where seconds come twice, a ticket may not change in one it has changed in already: its stamp is all there
        is to tell."""
        while self.set_back and any(row["updated_at"] == self.desk.stamp() for row in self.desk.tickets):
            self.desk.clock.advance(1)

    # ------------------------------------------------------------------------------------------- faults and runs

    @rule(kind=st.sampled_from(FAULTS), times=st.integers(1, 3), skip=st.integers(0, 6),
          where=st.sampled_from(["tickets\\?", "conversations", "solutions", "contacts", "api"]))  # fmt: skip
    def break_something(self, kind: Any, times: int, skip: int, where: str) -> None:
        self.desk.faults.add(
            Fault(match=where, kind=kind, times=times, skip=skip, retry_after=0 if kind == "429" else None)
        )

    @rule(index=INDEX)
    def close_talk(self, index: int) -> None:
        """What was said on one ticket may not be read any more."""
        if (id := self.pick(index)) is not None:
            self.desk.faults.add(Fault(match=rf"GET .*tickets/{id}/conversations", kind="403", times=None))

    @rule(stream=STREAMS, age=st.sampled_from([0, 60, 7200, 10_000_000]), limit=st.sampled_from([None, 2]))
    def sync_since(self, stream: str, age: int, limit: int | None) -> None:
        since = self.desk.clock.now() - timedelta(seconds=age)
        run = self.do(self.rig.sync(stream, since=since, limit=limit))
        assert run.state in ("succeeded", "partial", "failed"), run

    @rule(stream=STREAMS)
    def retry_failures(self, stream: str) -> None:
        """`deskloom failures retry`: everything in the queue is due now."""

        async def make_due() -> None:
            async with self.rig.app.record.transaction() as tx:
                await failures.retry_now(tx, None, now=self.desk.clock.now())

        self.do(make_due())
        self.do(self.rig.sync(stream))

    @rule(stream=STREAMS, limit=st.sampled_from([None, None, 1, 3]), full=st.booleans())
    def sync(self, stream: str, limit: int | None, full: bool) -> None:
        run = self.do(self.rig.sync(stream, limit=limit, mode="full" if full else "incremental"))
        assert run.state in ("succeeded", "partial", "failed"), run
        if limit is not None:
            assert run.counts["fetched"] <= limit + run.counts["deleted"], run.counts

    @rule(stream=STREAMS, calls=st.integers(1, 12), full=st.booleans())
    def interrupt(self, stream: str, calls: int, full: bool) -> None:
        """Stop the process at a random request; the next one goes on."""

        async def work() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            self.desk.faults.before("api/v2", lambda: loop.call_soon_threadsafe(stopped.set), nth=calls)
            run = await self.rig.start(stream, mode="full" if full else "incremental")
            ended = asyncio.create_task(self.rig.app.dispatcher.wait(run.id))
            stop = asyncio.create_task(stopped.wait())
            await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            await self.rig.reopen()
            await ended

        self.do(work())
        self.desk.faults.hooks.clear()

    @initialize()
    def begin(self) -> None:
        self.desk.clock.advance(3600)

    def settle(self) -> None:
        """With the faults gone, the runs that were owed bring agreement, and another one changes nothing."""
        self.desk.faults.clear()
        self.desk.clock.advance(200_000)  # whatever waits in the retry queue is due
        # A read that a limit stopped ends with the next run, which passes over what it saw; the one after goes back.
        for stream in ("tickets", "tickets", "kb"):
            run = self.do(self.rig.sync(stream))
            assert run.state == "succeeded", run.errors
        assert self.do(self.rig.differences()) == []
        before = self.rig.embedder.texts
        for stream in ("tickets", "kb"):
            run = self.do(self.rig.sync(stream))
            changed = {
                name: run.counts[name] for name in ("created", "updated", "deleted", "embedded", "indexed", "failed")
            }
            assert changed == dict.fromkeys(changed, 0), (stream, run.counts)
        assert self.rig.embedder.texts == before
        assert self.do(self.verified()) == (True, True)

    async def verified(self) -> tuple[bool, bool]:
        """Whether `verify`, which looks on its own, finds the three copies equal too, and has nothing to mend."""
        run = await self.rig.app.dispatcher.submit(
            source="*", stream="verify", mode="verify", options={"deep": True, "source_check": True, "repair": True}
        )
        await self.rig.app.dispatcher.wait(run.id)
        ended = await self.rig.run(run)
        assert ended.report is not None, ended.errors
        return ended.report["agree"], not any(ended.report["mended"].values())


@pytest.mark.slow
def test_the_copies_agree(dialect: str, request: pytest.FixtureRequest) -> None:
    """Whatever happened, the runs after the last fault bring agreement, and another changes nothing."""
    server = request.getfixturevalue("postgres_server") if dialect == "postgresql" else None
    run_state_machine_as_test(
        lambda: Agreement(server),
        settings=settings(
            max_examples=EXAMPLES[dialect],
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
