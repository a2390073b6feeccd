"""A help desk that changes while it is synced, whatever its product: what is done to both, and what must come of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests import postgres
from tests.conftest import TEMPLATE
from tests.rig import Rig

from deskloom.record import failures
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.desk import HelpDesk
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.rows import Row, Rows
from deskloom.sandbox.server import SandboxServer

WORDS = st.lists(
    st.sampled_from(["printer", "vpn", "mail", "outage", "invoice", "login", "disk", "프린터", "طابعة"]),
    min_size=1,
    max_size=4,
)
STREAMS = st.sampled_from(["tickets", "tickets", "kb", "hours"])
INDEX = st.integers(0, 99)
AGES = st.sampled_from([0, 0, 10, 40, 100, -20])
"""How many days ago something was worked."""
FAULTS = ["500", "502", "503", "reset", "truncate", "cut", "html", "429", "403"]
BEGINNING = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CHANGES = ("created", "updated", "deleted", "embedded", "indexed", "failed")


class Agreement(RuleBasedStateMachine):
    """Random edits over the help desk's own API, with faults, limits, interruptions and restarts; then agreement.

    A product says how its account begins and what its own edits are.
    """

    statuses: ClassVar[Sequence[int]] = (2, 3, 4, 5)
    places: ClassVar[Sequence[str]] = ("tickets\\?", "conversations", "solutions", "time_entries", "api")
    """What faults may strike."""
    quiet = False
    """Whether some edits show in no list: then only a full run finds them."""
    refusing = False
    """Whether a deleted ticket is refused by its id: then a run that tries one again says so, before it sees the list
    on which the ticket stands as deleted."""

    def __init__(self, server: postgres.Server | None) -> None:
        """With a PostgreSQL server the record gets a database of its own there, else it is SQLite in the home."""
        super().__init__()
        self.postgres, self.database = server, f"t{uuid4().hex}"
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.named, self.set_back = 0, False
        self.desk: HelpDesk[Any]
        self.rig: Rig | None = None

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.desk = self.account(Clock(BEGINNING), data.draw)
        self.server = SandboxServer(self.desk)
        self.server.start()
        self.web = httpx.Client(base_url=f"{self.server.url}/api/v2", auth=(self.desk.key, "X"))
        if self.postgres:
            postgres.apart(postgres.create(self.postgres, self.database, TEMPLATE))
        database_url = self.postgres.url(self.database) if self.postgres else None
        self.rig = Rig(self.desk, self.server.url, self.folder / "home", database_url=database_url, retries=0)
        self.do(self.rig.open())
        self.desk.clock.advance(3600)
        self.first()

    def first(self) -> None:
        """What happens before anything else."""

    def account(self, clock: Clock, draw: Callable[..., Any]) -> HelpDesk[Any]:
        """The account as it stands in the beginning."""
        raise NotImplementedError

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            if self.rig:
                self.settle(self.rig)
        finally:
            if self.rig:
                self.do(self.rig.close())
                self.web.close()
                self.server.stop()
                if self.postgres:
                    postgres.apart(postgres.drop(self.postgres, self.database))
            self.runner.close()
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------------------------------------------- what is there

    def pick(self, index: int, *, live: bool = True) -> int | None:
        ids = [row["id"] for row in self.desk.tickets if not (live and (row.get("deleted") or row.get("spam")))]
        return ids[index % len(ids)] if ids else None

    def one_of(self, rows: Rows, index: int) -> Row | None:
        """A row, but none of a ticket that is hidden."""
        hidden = {row["id"] for row in self.desk.tickets if row.get("deleted") or row.get("spam")}
        found = [row for row in rows if row.get("ticket_id") not in hidden]
        return found[index % len(found)] if found else None

    def day(self, age: int) -> str:
        return f"{self.desk.clock.now() - timedelta(days=age):%Y-%m-%dT00:00:00Z}"

    def name(self, words: list[str]) -> str:
        """One that nothing else has."""
        self.named += 1
        return f"{' '.join(words)} {self.named}"

    def write(self, method: str, path: str, body: Any = None) -> None:
        self.into_a_fresh_second()
        with self.desk.lock:
            rules, self.desk.faults.rules = self.desk.faults.rules, []
        answer = self.web.request(method, path, json=body)
        self.desk.faults.rules = rules
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text)

    def into_a_fresh_second(self) -> None:
        """Where seconds come twice, a ticket may not change in one it has changed in already: its stamp is all there
        is to tell."""
        while self.set_back and any(row["updated_at"] == self.desk.stamp() for row in self.desk.tickets):
            self.desk.clock.advance(1)

    # ------------------------------------------------------------------------------------------------------ tickets

    @rule(words=WORDS, index=INDEX)
    def open_ticket(self, words: list[str], index: int) -> None:
        text = " ".join(words)
        self.write("POST", "/tickets", {"email": "ada@example.com", "subject": text, "description": f"<p>{text}</p>",
                                        "status": 2, "priority": 1, **self.place(index)})  # fmt: skip

    def place(self, index: int) -> Row:
        """What else a new ticket says."""
        return {}

    @rule(index=INDEX, status=INDEX)
    def set_status(self, index: int, status: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("PUT", f"/tickets/{id}", {"status": self.statuses[status % len(self.statuses)]})

    @rule(index=INDEX, words=WORDS, private=st.booleans())
    def say(self, index: int, words: list[str], private: bool) -> None:
        if (id := self.pick(index)) is not None:
            path, body = "notes" if private else "reply", f"<div>{' '.join(words)}</div>"
            self.write("POST", f"/tickets/{id}/{path}", {"body": body})

    @rule(index=INDEX)
    def argue(self, index: int) -> None:
        """More is said than a view of the ticket holds."""
        if (id := self.pick(index)) is not None:
            self.into_a_fresh_second()
            for number in range(12):
                self.desk.perform({"method": "POST", "path": f"tickets/{id}/reply", "body": {"body": f"No. {number}"}})

    @rule(index=INDEX, words=WORDS)
    def edit_note(self, index: int, words: list[str]) -> None:
        row = self.one_of(self.desk.conversations, index)
        if row is not None and row.get("source") == 2:
            self.write("PUT", f"/conversations/{row['id']}", {"body": f"<div>{' '.join(words)}</div>"})

    @rule(index=INDEX)
    def unsay(self, index: int) -> None:
        if (row := self.one_of(self.desk.conversations, index)) is not None:
            self.write("DELETE", f"/conversations/{row['id']}")

    @rule(index=INDEX)
    def delete_ticket(self, index: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("DELETE", f"/tickets/{id}")

    @rule(index=INDEX)
    def restore_ticket(self, index: int) -> None:
        ids = [row["id"] for row in self.desk.tickets if row.get("deleted")]
        if ids:
            self.write("PUT", f"/tickets/{ids[index % len(ids)]}/restore")

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

    @rule()
    def escalate(self) -> None:
        self.desk.run_sla()

    # ----------------------------------------------------------------------------------------------------- articles

    @rule(index=INDEX, words=WORDS, status=st.sampled_from([1, 2]))
    def edit_article(self, index: int, words: list[str], status: int) -> None:
        if (row := self.one_of(self.desk.articles, index)) is not None:
            self.write("PUT", f"/solutions/articles/{row['id']}", {"title": " ".join(words), "status": status})

    @rule(index=INDEX)
    def delete_article(self, index: int) -> None:
        row = self.one_of(self.desk.articles, index)
        if row is not None and len(self.desk.articles) > 1:
            self.write("DELETE", f"/solutions/articles/{row['id']}")

    @rule(index=INDEX, visibility=st.sampled_from([1, 2, 3]))
    def show_folder_to(self, index: int, visibility: int) -> None:
        if (row := self.one_of(self.desk.folders, index)) is not None:
            self.write("PUT", f"/solutions/folders/{row['id']}", {"visibility": visibility})

    # ---------------------------------------------------------------------------------------------- time and faults

    @rule(seconds=st.sampled_from([0, 1, 2, 30, 600, 90_000]))
    def wait(self, seconds: int) -> None:
        self.desk.clock.advance(seconds)

    @rule()
    def set_clocks_back(self) -> None:
        """Ours and the help desk's jump back by five seconds."""
        self.desk.clock.advance(-5)
        self.set_back = True

    @rule(kind=st.sampled_from(FAULTS), times=st.integers(1, 3), skip=st.integers(0, 6), where=INDEX)
    def break_something(self, kind: Any, times: int, skip: int, where: int) -> None:
        place = self.places[where % len(self.places)]
        self.desk.faults.add(
            Fault(match=place, kind=kind, times=times, skip=skip, retry_after=0 if kind == "429" else None)
        )

    @rule(index=INDEX)
    def close_talk(self, index: int) -> None:
        """What was said on one ticket may not be read any more."""
        if (id := self.pick(index)) is not None:
            self.desk.faults.add(Fault(match=rf"GET .*tickets/{id}/conversations", kind="403", times=None))

    # --------------------------------------------------------------------------------------------------------- runs

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
        if limit is not None and stream != "hours":  # whose limit counts sheets
            assert run.counts["fetched"] <= limit + run.counts["deleted"], run.counts

    @rule(
        nth=st.integers(1, 6),
        index=INDEX,
        edit=st.sampled_from(["restore", "restore", "DELETE", "spam", "unspam", "PUT"]),
        full=st.booleans(),
    )
    def sync_while_it_changes(self, nth: int, index: int, edit: str, full: bool) -> None:
        """A ticket moves from list to list while they are read."""
        if self.set_back:
            return  # its stamp might be one that it had before
        self.desk.faults.before("GET .*tickets\\?", lambda: self.move(edit, index), nth=nth)
        self.sync("tickets", None, full)
        self.desk.faults.hooks.clear()

    def move(self, edit: str, index: int) -> None:
        hidden = {"restore": "deleted", "unspam": "spam"}.get(edit)
        rows = [row for row in self.desk.tickets if (row.get(hidden) if hidden else not _hidden(row))]
        if not rows:
            return
        id = rows[index % len(rows)]["id"]
        if edit in ("spam", "unspam"):
            self.desk.perform({edit: id})
        elif edit == "restore":
            self.desk.perform({"method": "PUT", "path": f"tickets/{id}/restore"})
        else:
            self.desk.perform(
                {"method": edit, "path": f"tickets/{id}", "body": {"priority": 3} if edit == "PUT" else None}
            )

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

    # ---------------------------------------------------------------------------------------------------- agreement

    def settle(self, rig: Rig) -> None:
        """With the faults gone, the runs that were owed bring agreement, and another one changes nothing."""
        self.desk.faults.clear()
        self.desk.clock.advance(200_000)  # whatever waits in the retry queue is due
        # A read that a limit stopped ends with the next run, which passes over what it saw; the one after goes back.
        # What was worked and deleted before the days that are read again shows only when everything is read.
        told = "full" if self.quiet else "incremental"
        runs = [("tickets", "incremental"), ("tickets", told), ("kb", "incremental"), ("hours", "full")]
        for number, (stream, mode) in enumerate(runs):
            run = self.do(rig.sync(stream, mode=mode))
            assert run.state == "succeeded" or (self.refusing and not number), run.errors
        differences = self.do(rig.differences(hours=True))
        assert differences == [], differences
        before = rig.embedder.texts
        for stream in ("tickets", "kb", "hours"):
            run = self.do(rig.sync(stream))
            changed = {name: run.counts[name] for name in CHANGES}
            assert changed == dict.fromkeys(CHANGES, 0), (stream, run.counts)
        assert rig.embedder.texts == before
        assert self.do(self.verified(rig)) == (True, True)

    async def verified(self, rig: Rig) -> tuple[bool, bool]:
        """Whether `verify`, which looks on its own, finds the three copies equal too, and has nothing to mend."""
        run = await rig.app.dispatcher.submit(
            source="*", stream="verify", mode="verify", options={"deep": True, "source_check": True, "repair": True}
        )
        await rig.app.dispatcher.wait(run.id)
        ended = await rig.run(run)
        assert ended.report is not None, ended.errors
        return ended.report["agree"], not any(ended.report["mended"].values())


def _hidden(row: Row) -> bool:
    return bool(row.get("deleted") or row.get("spam"))
